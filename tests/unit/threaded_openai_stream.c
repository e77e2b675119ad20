/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the openai backend makes of a stream: relayed as it comes, held back
 * and cancelled, and never a success that is none.
 */
#include "openai_fixture.h"

#include <string.h>

#include "core/memory.h"

#define DELTA(text)                                                       \
	"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text \
	"\"},\"finish_reason\":null}]}\n\n"
#define FINISH(reason)                                         \
	"data: {\"choices\":[{\"index\":0,\"delta\":{},\"fini" \
	"sh_reason\":\"" reason "\"}]}\n\n"
#define STREAM_USAGE                                                      \
	"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completi" \
	"on_tokens\":4}}\n\n"
#define DONE "data: [DONE]\n\n"

static void run_stream(struct call *call, const char *const *chunks,
		       uint32_t flags, const char *body)
{
	answer_reset();
	answer.chunks = chunks;
	call_plain(call, body, flags | ATOM_CALL_STREAM);
}

static void a_stream_is_relayed_chunk_by_chunk(void)
{
	static const char *const chunks[] = {
		": hello\n\n" DELTA("a"),   "data: {\"choices\":[{\"delta\":",
		"{\"content\":\"b\"}}]}\r", "\n\r\n" FINISH("length"),
		STREAM_USAGE DONE,	    NULL
	};
	struct call call;

	run_stream(&call, chunks, 0, "{" MESSAGES "}");
	CHECK(call.status == ATOM_OK && call.emits == 3);
	CHECK(strstr(call.emitted.bytes, "usage") == NULL);
	CHECK(strncmp(call.emitted.bytes, "4:{\"choices\":", 13) == 0);
	CHECK(call.usages == 1 && call.usage.input_tokens == 5);
	CHECK(call.usage.output_tokens == 4);
	CHECK(call.usage.finish_reason == ATOM_FINISH_LENGTH);
	call_close(&call);

	run_stream(&call, chunks, ATOM_CALL_WANTS_STREAM_USAGE,
		   "{" MESSAGES "}");
	CHECK(call.status == ATOM_OK && call.emits == 4);
	CHECK(strstr(call.emitted.bytes, "usage") != NULL);
	call_close(&call);

	run_stream(&call, chunks, 0, NULL);
	CHECK(call.status == ATOM_OK);
	CHECK(strcmp(call.emitted.bytes, "1:a\n1:b\n") == 0);
	call_close(&call);
}

static void lines_may_end_and_break_anywhere(void)
{
	static const char *const separators[] = { "\n", "\r\n", "\r" };
	static char pieces[600][2];
	const char *chunks[601];

	for (size_t s = 0; s < ARRAY_SIZE(separators); s++) {
		const char *e = separators[s];
		struct call call;
		char text[600];
		size_t n = 0;

		(void)snprintf(text, sizeof(text),
			       "\xef\xbb\xbf"
			       "event: message%sid: 1%sdata:{\"choices\":%s"
			       "data: [{\"delta\":{\"content\":\"yes\"}%s"
			       "data:,\"finish_reason\":\"stop\"}]}%s%s"
			       "retry: 5%s%sdata: [DONE]%s%s",
			       e, e, e, e, e, e, e, e, e, e);
		for (; text[n] != '\0'; n++) {
			pieces[n][0] = text[n];
			chunks[n] = pieces[n];
		}
		chunks[n] = NULL;
		run_stream(&call, chunks, 0, NULL);
		if (call.status != ATOM_OK)
			printf("# %s\n", call.error.message);
		CHECK(call.status == ATOM_OK);
		CHECK(strcmp(call.text.bytes, "yes") == 0);
		call_close(&call);
	}
}

static void broken_streams_are_never_successes(void)
{
	static const char *const cut[] = { DELTA("a"), NULL };
	static const char *const only_done[] = { DONE, NULL };
	static const char *const garbage[] = { DELTA("a"), "data: {{{ not\n\n",
					       NULL };
	static const char *const utf8[] = {
		"data: {\"choices\":[\"\xff\"]}\n\n", NULL
	};
	static const char *const no_choices[] = { "data: {\"a\":1}\n\n", NULL };
	static const char *const error[] = {
		DELTA("a"),
		"data: {\"error\":{\"message\":\"fell over\",\"code\":\"oops\""
		"}}\n\n",
		DONE, NULL
	};
	static const char *const named[] = {
		"event: error\ndata: {\"message\":\"fell over\"}\n\n", NULL
	};
	static const char *const quota[] = {
		"data: {\"error\":{\"message\":\"m\",\"type\":"
		"\"rate_limit_error\"}}\n\n",
		NULL
	};
	static const struct {
		const char *const *chunks;
		atom_status status;
		const char *word;
	} streams[] = {
		{ cut, ATOM_EIO, "ended before" },
		{ only_done, ATOM_EPROTO, "no answer" },
		{ garbage, ATOM_EPROTO, "no JSON" },
		{ utf8, ATOM_EPROTO, "no JSON" },
		{ no_choices, ATOM_EPROTO, "choices" },
		{ error, ATOM_EIO, "fell over" },
		{ named, ATOM_EIO, "fell over" },
		{ quota, ATOM_EQUOTA, "m" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
		struct call call;

		run_stream(&call, streams[i].chunks, 0, "{" MESSAGES "}");
		CHECK(call.status == streams[i].status);
		CHECK(strstr(call.error.message, streams[i].word) != NULL);
		CHECK(call.emits <= 1);
		call_close(&call);
	}
}

static void a_stream_cut_or_stalled_midway_is_an_error(void)
{
	static const char *const chunks[] = { DELTA("a"), FINISH("stop"),
					      NULL };
	struct call call;

	answer_reset();
	answer.chunks = chunks;
	answer.cut = true;
	call_plain(&call, "{" MESSAGES "}", ATOM_CALL_STREAM);
	CHECK(call.status == ATOM_EIO && call.emits == 2);
	call_close(&call);

	answer.cut = false;
	answer.hangs = true;
	call_open(&call, "", "{" MESSAGES "}", ATOM_CALL_STREAM);
	call.request.stall_ms = 500;
	call_run(&call);
	CHECK(call.status == ATOM_ETIMEOUT && call.emits == 2);
	call_close(&call);
}

static void a_stream_that_lingers_behind_done_is_complete(void)
{
	static const char *const chunks[] = { DELTA("a"), FINISH("stop"), DONE,
					      NULL };
	struct call call;

	answer_reset();
	answer.chunks = chunks;
	answer.hangs = true;
	call_plain(&call, "{" MESSAGES "}", ATOM_CALL_STREAM);
	CHECK(call.status == ATOM_OK && call.emits == 2);
	call_close(&call);
}

static void an_event_without_end_is_bounded(void)
{
	static char long_text[70000];
	static const char *chunks[64];
	struct call call;

	memset(long_text, 'x', sizeof(long_text) - 1);
	chunks[0] = "data: {\"choices\":\"";
	for (size_t i = 1; i < ARRAY_SIZE(chunks) - 1; i++)
		chunks[i] = long_text;
	run_stream(&call, chunks, 0, "{" MESSAGES "}");
	CHECK(call.status == ATOM_EPROTO);
	CHECK(strstr(call.error.message, "1048576") != NULL);
	call_close(&call);
}

/* --- backpressure and cancelling ------------------------------------------ */

static void a_slow_client_loses_nothing(void)
{
	const char *chunks[202];
	struct call call;

	for (size_t i = 0; i < 200; i++)
		chunks[i] = DELTA("0123456789");
	chunks[200] = FINISH("stop") DONE;
	chunks[201] = NULL;
	answer_reset();
	answer.chunks = chunks;
	call_open(&call, "", NULL, ATOM_CALL_STREAM);
	call.busy_every = 17;
	call_run(&call);
	CHECK(call.status == ATOM_OK && call.text.length == 2001);
	call_close(&call);
}

static void cancelling_closes_the_connection(void)
{
	static const char *const chunks[] = { DELTA("a"), NULL };
	struct call call;

	answer_reset();
	answer.chunks = chunks;
	answer.hangs = true;
	call_open(&call, "", "{" MESSAGES "}", ATOM_CALL_STREAM);
	call.cancel_at = 1;
	call_run(&call);
	CHECK(call.status == ATOM_ECANCELED);
	call_close(&call);
}

static const struct tap_test tests[] = {
	TAP_TEST(a_stream_is_relayed_chunk_by_chunk),
	TAP_TEST(lines_may_end_and_break_anywhere),
	TAP_TEST(broken_streams_are_never_successes),
	TAP_TEST(a_stream_cut_or_stalled_midway_is_an_error),
	TAP_TEST(a_stream_that_lingers_behind_done_is_complete),
	TAP_TEST(an_event_without_end_is_bounded),
	TAP_TEST(a_slow_client_loses_nothing),
	TAP_TEST(cancelling_closes_the_connection),
};

int main(void)
{
	return openai_main(tests, ARRAY_SIZE(tests));
}
