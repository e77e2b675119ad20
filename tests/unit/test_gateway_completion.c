/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers: put together from pieces, as events, and log lines as their reader
 * may see them.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "gateway/completion.h"
#include "gateway/log_filter.h"
#include "gateway/sse.h"

static atom_status add(struct completion *c, int32_t kind, const char *text)
{
	return completion_add(c, kind, false, text, strlen(text));
}

static void message_is(struct completion *c, const char *expected)
{
	struct buffer out = BUFFER_INIT(65536);

	cr_assert_eq(completion_message(c, &out), ATOM_OK);
	cr_assert_str_eq(out.bytes, expected);
	buffer_fini(&out);
}

static void output_is(struct completion *c, const char *expected)
{
	struct buffer out = BUFFER_INIT(65536);

	cr_assert_eq(completion_output(c, &out), ATOM_OK);
	cr_assert_str_eq(out.bytes, expected);
	buffer_fini(&out);
}

Test(gateway_completion, text_comes_together)
{
	struct completion c;

	completion_init(&c);
	message_is(&c, "{\"role\":\"assistant\",\"content\":\"\"}");
	cr_assert_eq(add(&c, ATOM_EMIT_TEXT, "say "), ATOM_OK);
	cr_assert_eq(add(&c, ATOM_EMIT_TEXT, "\"hi\"\n"), ATOM_OK);
	message_is(&c, "{\"role\":\"assistant\",\"content\":"
		       "\"say \\\"hi\\\"\\n\"}");
	output_is(&c, "\"say \\\"hi\\\"\\n\"");
	completion_clear(&c, 4096);
	message_is(&c, "{\"role\":\"assistant\",\"content\":\"\"}");
	completion_fini(&c);
}

static bool is_json(int32_t kind, const char *text)
{
	struct completion c;
	bool is;

	completion_init(&c);
	cr_assert_eq(completion_add(&c, kind, true, text, strlen(text)),
		     ATOM_OK);
	is = completion_is_json(&c);
	completion_fini(&c);
	return is;
}

Test(gateway_completion, whether_what_was_said_is_json)
{
	cr_assert(is_json(ATOM_EMIT_TEXT, "{\"a\": [1, \"\\u00e9\"]}"));
	cr_assert(is_json(ATOM_EMIT_TEXT, " 17\n"));
	cr_assert_not(is_json(ATOM_EMIT_TEXT, "{\"a\": [1,"));
	cr_assert_not(is_json(ATOM_EMIT_TEXT, "Here it is: {\"a\":1}"));
	cr_assert_not(is_json(ATOM_EMIT_TEXT, ""));
	cr_assert(is_json(ATOM_EMIT_JSON, "{\"a\":1}"));
	cr_assert(is_json(ATOM_EMIT_RAW,
			  "{\"choices\":[{\"message\":{\"role\":\"assistant\","
			  "\"content\":\"{\\\"a\\\":1}\"}}]}"));
	cr_assert_not(is_json(ATOM_EMIT_RAW,
			      "{\"choices\":[{\"message\":{\"role\":"
			      "\"assistant\",\"content\":\"{a}\"}}]}"));
	cr_assert(is_json(ATOM_EMIT_RAW,
			  "{\"choices\":[{\"message\":{\"role\":\"assistant\","
			  "\"content\":null,\"tool_calls\":[]}}]}"),
		  "tool calls say nothing that could be JSON");
}

Test(gateway_completion, a_character_cut_in_two_is_whole_again)
{
	static const char crab[] = "a\xf0\x9f\xa6\x80z";
	struct completion c;

	for (size_t cut = 0; cut <= strlen(crab); cut++) {
		completion_init(&c);
		cr_assert_eq(
			completion_add(&c, ATOM_EMIT_TEXT, false, crab, cut),
			ATOM_OK);
		cr_assert_eq(completion_add(&c, ATOM_EMIT_TEXT, false,
					    crab + cut, strlen(crab) - cut),
			     ATOM_OK);
		output_is(&c, "\"a\xf0\x9f\xa6\x80z\"");
		completion_fini(&c);
	}
	completion_init(&c);
	for (size_t i = 0; i < strlen(crab); i++)
		cr_assert_eq(
			completion_add(&c, ATOM_EMIT_TEXT, false, crab + i, 1),
			ATOM_OK);
	output_is(&c, "\"a\xf0\x9f\xa6\x80z\"");
	completion_fini(&c);
}

Test(gateway_completion, broken_text_is_marked_and_loses_nothing_else)
{
	struct completion c;

	completion_init(&c);
	cr_assert_eq(add(&c, ATOM_EMIT_TEXT, "a\xf0\x9f"), ATOM_OK);
	cr_assert_eq(add(&c, ATOM_EMIT_TEXT, "b\xe2"), ATOM_OK);
	output_is(&c, "\"a\xef\xbf\xbd\xef\xbf\xbd"
		      "b\xef\xbf\xbd\"");
	completion_fini(&c);
}

Test(gateway_completion, tool_calls_come_together_from_deltas)
{
	struct completion c;

	completion_init(&c);
	cr_assert_eq(add(&c, ATOM_EMIT_DELTA,
			 "{\"tool_calls\":[{\"index\":0,\"id\":\"c1\","
			 "\"type\":\"function\",\"function\":{\"name\":\"f\","
			 "\"arguments\":\"{\\\"a\\\"\"}}]}"),
		     ATOM_OK);
	cr_assert_eq(add(&c, ATOM_EMIT_DELTA,
			 "{\"tool_calls\":[{\"index\":0,\"function\":{"
			 "\"arguments\":\":1}\"}},{\"index\":1,\"id\":\"c2\","
			 "\"function\":{\"name\":\"g\",\"arguments\":\"\"}}]}"),
		     ATOM_OK);
	message_is(&c,
		   "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":["
		   "{\"id\":\"c1\",\"type\":\"function\",\"function\":{"
		   "\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}},"
		   "{\"id\":\"c2\",\"type\":\"function\",\"function\":{"
		   "\"name\":\"g\",\"arguments\":\"\"}}]}");
	completion_fini(&c);
}

Test(gateway_completion, a_delta_that_is_none_is_refused)
{
	static const char *const deltas[] = {
		"",
		"[]",
		"{",
		"x",
		"{\"tool_calls\":[{\"index\":7,\"id\":\"a\"}]}",
		"{\"tool_calls\":[{\"index\":-1,\"id\":\"a\"}]}",
	};
	struct completion c;

	for (size_t i = 0; i < sizeof(deltas) / sizeof(deltas[0]); i++) {
		completion_init(&c);
		cr_assert_eq(add(&c, ATOM_EMIT_DELTA, deltas[i]), ATOM_EPROTO,
			     "%s", deltas[i]);
		completion_fini(&c);
	}
}

Test(gateway_completion, a_providers_chunks_come_together)
{
	struct completion c;

	completion_init(&c);
	cr_assert_eq(add(&c, ATOM_EMIT_RAW,
			 "{\"choices\":[{\"index\":0,\"delta\":{\"role\":"
			 "\"assistant\",\"content\":\"\"}}]}"),
		     ATOM_OK);
	cr_assert_eq(add(&c, ATOM_EMIT_RAW,
			 "{\"choices\":[{\"index\":0,\"delta\":{\"content\":"
			 "\"one \\u0074wo\"}}]}"),
		     ATOM_OK);
	cr_assert_eq(add(&c, ATOM_EMIT_RAW, "{\"choices\":[],\"usage\":{}}"),
		     ATOM_OK);
	output_is(&c, "\"one \\u0074wo\"");
	completion_fini(&c);
}

static void add_content(struct completion *c, const char *inside)
{
	char chunk[256];

	(void)snprintf(chunk, sizeof(chunk),
		       "{\"choices\":[{\"index\":0,\"delta\":{\"content\":"
		       "\"%s\"}}]}",
		       inside);
	cr_assert_eq(add(c, ATOM_EMIT_RAW, chunk), ATOM_OK, "%s", chunk);
}

Test(gateway_completion, a_pair_cut_between_chunks_is_a_pair_again)
{
	struct completion c;

	completion_init(&c);
	add_content(&c, "a\\ud83d");
	cr_assert_eq(completion_text_ready(&c), 1);
	add_content(&c, "\\ude00b");
	cr_assert_eq(completion_text_ready(&c), c.text.length);
	message_is(&c, "{\"role\":\"assistant\",\"content\":"
		       "\"a\\ud83d\\ude00b\"}");
	output_is(&c, "\"a\\ud83d\\ude00b\"");
	completion_fini(&c);
}

Test(gateway_completion, half_a_pair_that_stays_alone_is_marked)
{
	static const struct {
		const char *one, *two, *output;
		size_t ready; /* behind both */
	} texts[] = {
		{ "\\uD83D", "x", "\"\\ufffdx\"", 7 },
		{ "\\uDE00", "\\ud83d", "\"\\ufffd\\ufffd\"", 6 },
		{ "\\ud83d", "\\ud83d\\ude00", "\"\\ufffd\\ud83d\\ude00\"",
		  18 },
		/* A backslash, and letters behind it. */
		{ "\\\\ud83d", "", "\"\\\\ud83d\"", 7 },
		{ "\\\\", "\\ud83d", "\"\\\\\\ufffd\"", 2 },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct completion c;

		completion_init(&c);
		add_content(&c, texts[i].one);
		add_content(&c, texts[i].two);
		cr_expect_eq(completion_text_ready(&c), texts[i].ready);
		output_is(&c, texts[i].output);
		completion_fini(&c);
	}
}

Test(gateway_completion, a_providers_object_gives_its_message)
{
	static const char body[] =
		"{\"id\":\"x\",\"choices\":[{\"message\":{\"role\":"
		"\"assistant\",\"content\":\"hi\"},\"index\":0}]}";
	struct completion c;
	struct buffer out = BUFFER_INIT(4096);

	completion_init(&c);
	/* In two pieces: it is whole at the end. */
	cr_assert_eq(completion_add(&c, ATOM_EMIT_RAW, true, body, 10),
		     ATOM_OK);
	cr_assert_eq(completion_add(&c, ATOM_EMIT_RAW, true, body + 10,
				    sizeof(body) - 11),
		     ATOM_OK);
	message_is(&c, "{\"role\":\"assistant\",\"content\":\"hi\"}");
	output_is(&c, "\"hi\"");
	completion_clear(&c, 4096);
	cr_assert_eq(completion_add(&c, ATOM_EMIT_RAW, true, "{}", 2), ATOM_OK);
	cr_assert_eq(completion_message(&c, &out), ATOM_EPROTO);
	cr_assert_eq(completion_output(&c, &out), ATOM_EPROTO);
	completion_fini(&c);
	buffer_fini(&out);
}

Test(gateway_completion, an_object_is_an_output_and_its_text_a_content)
{
	struct completion c;
	struct buffer out = BUFFER_INIT(4096);

	completion_init(&c);
	cr_assert_eq(add(&c, ATOM_EMIT_JSON, "{\"a\":\n1}"), ATOM_OK);
	output_is(&c, "{\"a\":\n1}");
	message_is(&c, "{\"role\":\"assistant\",\"content\":"
		       "\"{\\\"a\\\":\\n1}\"}");
	completion_clear(&c, 4096);
	cr_assert_eq(add(&c, ATOM_EMIT_JSON, "{\"a\":"), ATOM_OK);
	cr_assert_eq(completion_output(&c, &out), ATOM_EPROTO);
	completion_fini(&c);
	buffer_fini(&out);
}

Test(gateway_completion, an_answer_has_a_bound)
{
	static char much[1 << 20];
	struct completion c;
	atom_status status = ATOM_OK;
	int taken = 0;

	memset(much, 'a', sizeof(much));
	completion_init(&c);
	while (status == ATOM_OK && taken < 100) {
		status = completion_add(&c, ATOM_EMIT_TEXT, false, much,
					sizeof(much));
		taken++;
	}
	cr_assert_eq(status, ATOM_ELIMIT);
	cr_assert_eq(taken, 17);
	completion_fini(&c);
}

Test(gateway_completion, usage_is_told_in_both_ways)
{
	struct atom_usage usage = { .input_tokens = 3,
				    .output_tokens = 4,
				    .cached_tokens = 2,
				    .finish_reason = ATOM_FINISH_LENGTH };
	struct buffer out = BUFFER_INIT(4096);

	completion_usage_chat(&usage, &out);
	cr_assert_str_eq(out.bytes,
			 "{\"prompt_tokens\":3,\"completion_tokens\":4,"
			 "\"total_tokens\":7,\"prompt_tokens_details\":{"
			 "\"cached_tokens\":2}}");
	buffer_clear(&out);
	usage.cached_tokens = 0;
	usage.input_tokens = -1;
	completion_usage_native(&usage, &out);
	cr_assert_str_eq(out.bytes, "{\"input_tokens\":0,\"output_tokens\":4,"
				    "\"total_tokens\":4}");
	cr_assert_str_eq(completion_finish_word(&usage), "length");
	buffer_fini(&out);
}

/* --- events ----------------------------------------------------------------- */

Test(gateway_sse, line_ends_cannot_end_an_event)
{
	static const char json[] = "{\n\"a\":\r\n1}";
	struct buffer out = BUFFER_INIT(4096);

	sse_event(&out, NULL, json, sizeof(json) - 1);
	cr_assert_str_eq(out.bytes, "data: { \"a\":  1}\n\n");
	buffer_clear(&out);
	sse_event(&out, "progress", "{}", 2);
	cr_assert_str_eq(out.bytes, "event: progress\ndata: {}\n\n");
	buffer_clear(&out);
	sse_comment(&out, "a\nb", 3);
	cr_assert_str_eq(out.bytes, ": a b\n\n");
	buffer_fini(&out);
}

/* --- the log ----------------------------------------------------------------- */

static const char line[] =
	"{\"time\":\"t\",\"level\":\"info\",\"event\":\"call\",\"message\":"
	"\"secret words\",\"agent\":\"echo\",\"request\":\"req_1\",\"user\":"
	"\"key:1\",\"address\":\"10.0.0.1\",\"status\":200}";

static const char *seen(const struct log_filter *filter, struct buffer *out)
{
	buffer_clear(out);
	return log_filter_append(filter, line, sizeof(line) - 1, out)
		       ? out->bytes
		       : NULL;
}

Test(gateway_log_filter, lines_are_chosen_by_agent_and_request)
{
	struct buffer out = BUFFER_INIT(4096);
	struct log_filter filter = { .only_public = false };

	cr_assert_not_null(seen(&filter, &out));
	cr_assert_eq(out.length, sizeof(line));
	(void)snprintf(filter.agent, sizeof(filter.agent), "echo");
	cr_assert_not_null(seen(&filter, &out));
	(void)snprintf(filter.agent, sizeof(filter.agent), "ech");
	cr_assert_null(seen(&filter, &out));
	filter.agent[0] = '\0';
	(void)snprintf(filter.request, sizeof(filter.request), "req_1");
	cr_assert_not_null(seen(&filter, &out));
	(void)snprintf(filter.request, sizeof(filter.request), "req_2");
	cr_assert_null(seen(&filter, &out));
	buffer_fini(&out);
}

Test(gateway_log_filter, the_public_sees_no_user_address_or_text)
{
	struct buffer out = BUFFER_INIT(4096);
	struct log_filter filter = { .only_public = true };

	cr_assert_str_eq(seen(&filter, &out),
			 "{\"time\":\"t\",\"level\":\"info\",\"event\":"
			 "\"call\",\"agent\":\"echo\",\"request\":\"req_1\","
			 "\"status\":200}\n");
	buffer_fini(&out);
}
