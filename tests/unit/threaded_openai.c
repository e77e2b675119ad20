/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the openai backend sends, and what it makes of a whole answer.  Its
 * streams are threaded_openai_stream.c's.
 */
#include "openai_fixture.h"

#include <string.h>
#include <time.h>

#include "core/memory.h"

#define WHOLE(text, more)                                                \
	"{\"id\":\"x\",\"choices\":[{\"index\":0,\"message\":{\"role\":" \
	"\"assistant\",\"content\":" text                                \
	"},\"finish_reason\":\"stop\"}]" more "}"
#define USAGE                                                               \
	",\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3,\"prompt_" \
	"tokens_details\":{\"cached_tokens\":2}}"

/* --- what is sent --------------------------------------------------------- */

static void expect_sent(const char *options, const char *body, uint32_t flags,
			int64_t max_tokens, const char *expected)
{
	struct call call;

	answer_reset();
	answer.body = WHOLE("\"x\"", "");
	call_open(&call, options, body, flags);
	call.request.max_tokens = max_tokens;
	call_run(&call);
	if (strcmp(sent_body(), expected) != 0)
		printf("# sent     %s\n# expected %s\n", sent_body(), expected);
	CHECK(strcmp(sent_body(), expected) == 0);
	call_close(&call);
}

static void bodies_are_spliced(void)
{
	/* Nothing to change: byte for byte. */
	expect_sent("", "{ \"model\" : \"bot\",\t" MESSAGES ",\"z\":-0.0 }", 0,
		    0, "{ \"model\" : \"bot\",\t" MESSAGES ",\"z\":-0.0 }");
	expect_sent("\"model\":\"m\\\"1\"",
		    "{\"model\":\"bot\"," MESSAGES ",\"a\":{\"model\":1}}", 0,
		    0,
		    "{\"model\":\"m\\\"1\"," MESSAGES ",\"a\":{\"model\":1}}");
	expect_sent("\"model\":\"m\"", "{" MESSAGES ",\"mod\\u0065l\":\"bot\"}",
		    0, 9,
		    "{\"max_tokens\":9," MESSAGES ",\"mod\\u0065l\":\"m\"}");
	expect_sent("", "{\"max_tokens\":3," MESSAGES "}", 0, 9,
		    "{\"max_tokens\":3," MESSAGES "}");
	expect_sent("", "{\"max_completion_tokens\":3," MESSAGES "}", 0, 9,
		    "{\"max_completion_tokens\":3," MESSAGES "}");
	expect_sent("", "{\"max_tokens\": null ," MESSAGES "}", 0, 9,
		    "{\"max_tokens\": 9 ," MESSAGES "}");
	expect_sent("\"token_field\":\"max_completion_tokens\"",
		    "{" MESSAGES "}", 0, 9,
		    "{\"max_completion_tokens\":9," MESSAGES "}");
}

static void streams_ask_for_usage(void)
{
	expect_sent("", "{" MESSAGES "}", ATOM_CALL_STREAM, 0,
		    "{\"stream_options\":{\"include_usage\":true}," MESSAGES
		    "}");
	expect_sent("", "{" MESSAGES ",\"stream_options\":{ }}",
		    ATOM_CALL_STREAM, 0,
		    "{" MESSAGES ",\"stream_options\":{\"include_usage\":true"
		    " }}");
	expect_sent("", "{" MESSAGES ",\"stream_options\":{\"a\":1}}",
		    ATOM_CALL_STREAM, 0,
		    "{" MESSAGES ",\"stream_options\":{\"include_usage\":true,"
		    "\"a\":1}}");
	expect_sent("",
		    "{" MESSAGES ",\"stream_options\":{\"include_usage\":"
		    "false}}",
		    ATOM_CALL_STREAM, 0,
		    "{" MESSAGES ",\"stream_options\":{\"include_usage\":true}"
		    "}");
	expect_sent("", "{" MESSAGES ",\"stream_options\":null}",
		    ATOM_CALL_STREAM, 0,
		    "{" MESSAGES ",\"stream_options\":{\"include_usage\":true}"
		    "}");
	expect_sent("", "{" MESSAGES "}",
		    ATOM_CALL_STREAM | ATOM_CALL_WANTS_STREAM_USAGE, 0,
		    "{" MESSAGES "}");
}

static void an_invoke_is_built(void)
{
	expect_sent("\"model\":\"m\"", NULL, 0, 5,
		    "{\"model\":\"m\"," MESSAGES ",\"max_tokens\":5}");
	expect_sent("", NULL, ATOM_CALL_STREAM, 0,
		    "{\"model\":\"bot\"," MESSAGES ",\"stream\":true,"
		    "\"stream_options\":{\"include_usage\":true}}");
}

static void messages_are_replaced_when_the_host_has_others(void)
{
	struct call call;

	answer_reset();
	answer.body = WHOLE("\"x\"", "");
	call_open(&call, "", "{\"a\":1," MESSAGES ",\"b\":2}", 0);
	call.request.messages = (struct atom_span){ "[1]", 3 };
	call_run(&call);
	CHECK(call.status == ATOM_OK);
	CHECK(strcmp(sent_body(), "{\"a\":1,\"messages\":[1],\"b\":2}") == 0);
	call_close(&call);
}

static void heads_carry_what_is_configured(void)
{
	struct call call;

	answer_reset();
	answer.body = WHOLE("\"x\"", "");
	call_open(&call,
		  "\"organization\":\"org\",\"headers\":"
		  "{\"X-More\":\"1\"}",
		  NULL, 0);
	call_run(&call);
	CHECK(strncmp(sent(), "POST /v1/chat/completions HTTP/1.1\r\n", 36) ==
	      0);
	CHECK(strstr(sent(), "Authorization: Bearer " OPENAI_KEY "\r\n") !=
	      NULL);
	CHECK(strstr(sent(), "OpenAI-Organization: org\r\n") != NULL);
	CHECK(strstr(sent(), "X-More: 1\r\n") != NULL);
	CHECK(strstr(sent(), "x-request-id: req-1\r\n") != NULL);
	CHECK(strstr(sent(), "traceparent: 00-1-2-01\r\n") != NULL);
	CHECK(strstr(sent(), "Content-Type: application/json\r\n") != NULL);
	call_close(&call);
}

static void wrong_options_are_sentences(void)
{
	static const struct {
		const char *options;
		const char *word;
	} wrong[] = {
		{ "\"base_url\":\"ftp://x\"", "base_url" },
		{ "\"base_url\":\"http://u:p@x/v1\"", "api_key" },
		{ "\"ca_file\":\"/no/such/file\"", "ca_file" },
		{ "\"headers\":{\"Host\":\"x\"}", "Host" },
		{ "\"organization\":\"a\\nb\"", "OpenAI-Organization" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct atom_error err = ATOM_ERROR_INIT;
		struct backend b;

		CHECK(backend_open(&b, wrong[i].options, &err) != ATOM_OK);
		if (strstr(err.message, wrong[i].word) == NULL)
			printf("# %s: %s\n", wrong[i].options, err.message);
		CHECK(strstr(err.message, wrong[i].word) != NULL);
		backend_close(&b);
	}
}

/* --- whole answers -------------------------------------------------------- */

static void a_whole_answer_is_relayed_with_its_usage(void)
{
	struct call call;

	answer_reset();
	answer.body = WHOLE("\"a\\u00e9\"", USAGE);
	call_plain(&call, "{" MESSAGES "}", 0);
	CHECK(call.status == ATOM_OK && call.emits == 1);
	CHECK(strcmp(call.emitted.bytes,
		     "4:" WHOLE("\"a\\u00e9\"", USAGE) "\n") == 0);
	CHECK(call.usages == 1 && call.usage.input_tokens == 7);
	CHECK(call.usage.output_tokens == 3 && call.usage.cached_tokens == 2);
	CHECK(call.usage.finish_reason == ATOM_FINISH_STOP);
	call_close(&call);

	call_plain(&call, NULL, 0);
	CHECK(call.status == ATOM_OK);
	CHECK(strcmp(call.emitted.bytes, "1:a\xc3\xa9\n") == 0);
	call_close(&call);
}

static void what_is_no_completion_is_an_error(void)
{
	static const struct {
		const char *body;
		atom_status status;
	} answers[] = {
		{ "", ATOM_EPROTO },
		{ "<html>", ATOM_EPROTO },
		{ "{}", ATOM_EPROTO },
		{ "[]", ATOM_EPROTO },
		{ "{\"choices\":[]}", ATOM_EPROTO },
		{ "{\"choices\":[{}]}", ATOM_EPROTO },
		{ "{\"choices\":[{\"message\":{}}]", ATOM_EPROTO },
		{ "{\"choices\":[{\"message\":{}}]} x", ATOM_EPROTO },
		{ "{\"error\":{\"message\":\"m\",\"code\":\"c\"}}", ATOM_EIO },
		{ "{\"error\":\"busy\"}", ATOM_EIO },
	};

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		struct call call;

		answer_reset();
		answer.body = answers[i].body;
		call_plain(&call, "{" MESSAGES "}", 0);
		CHECK(call.status == answers[i].status && call.emits == 0);
		call_close(&call);
		call_plain(&call, "{" MESSAGES "}", ATOM_CALL_STREAM);
		CHECK(call.status == answers[i].status && call.emits == 0);
		call_close(&call);
	}
}

static void provider_errors_are_mapped(void)
{
	static const struct {
		const char *status;
		const char *fields;
		const char *body;
		atom_status mapped;
		int32_t http_status;
		const char *code;
		const char *message;
		int32_t retry_ms;
	} answers[] = {
		{ "400 Bad Request", "",
		  "{\"error\":{\"message\":\"too \\\"long\\\" " OPENAI_KEY
		  "\",\"type\":\"t\",\"code\":\"context_length_exceeded\"}}",
		  ATOM_EINVAL, 400, "context_length_exceeded",
		  "too \"long\" ***", 0 },
		{ "404 Not Found", "",
		  "{\"error\":{\"message\":\"m\",\"type\":\"t\",\"code\":null}"
		  "}",
		  ATOM_ENOENT, 404, "t", "m", 0 },
		{ "401 Unauthorized", "",
		  "{\"error\":{\"message\":\"wrong " OPENAI_KEY
		  "\",\"code\":\"invalid_api_key\"}}",
		  ATOM_EPERM, 401, "", "openai: the provider refused", 0 },
		{ "429 Too Many", "Retry-After: 7\r\n",
		  "{\"error\":{\"message\":\"slow down\",\"code\":\"rate\"}}",
		  ATOM_EQUOTA, 429, "rate", "slow down", 7000 },
		{ "429 Too Many", "retry-after-ms: 250\r\nRetry-After: 7\r\n",
		  "", ATOM_EQUOTA, 429, "", "openai: the provider answered 429",
		  250 },
		{ "500 Oops", "", "<html>nginx</html>", ATOM_EIO, 500, "",
		  "openai: the provider answered 500", 0 },
		{ "503 Busy", "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
		  "{\"detail\":\"loading\"}", ATOM_EBUSY, 503, "", "loading",
		  0 },
		{ "422 No", "",
		  "[{\"error\":{\"message\":\"m2\",\"code\":\"a b\"}}]",
		  ATOM_EINVAL, 422, "", "m2", 0 },
		{ "302 Found", "Location: /x\r\n", "", ATOM_EPROTO, 302, "",
		  "openai: the provider answered with a redirection", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(answers) * 2; i++) {
		size_t n = i / 2;
		struct call call;

		answer_reset();
		answer.status = answers[n].status;
		answer.fields = answers[n].fields;
		answer.body = answers[n].body;
		call_plain(&call, "{" MESSAGES "}",
			   i % 2 ? ATOM_CALL_STREAM : 0);
		CHECK(call.status == answers[n].mapped && call.emits == 0);
		CHECK(call.error.http_status == answers[n].http_status);
		CHECK(strcmp(call.error.code, answers[n].code) == 0);
		CHECK(strncmp(call.error.message, answers[n].message,
			      strlen(answers[n].message)) == 0);
		CHECK(call.error.retry_after_ms == answers[n].retry_ms);
		call_close(&call);
	}
}

static void a_retry_date_counts_from_now(void)
{
	char fields[96], date[64];
	time_t later = time(NULL) + 60;
	struct call call;
	struct tm tm;

	answer_reset();
	CHECK(gmtime_r(&later, &tm) != NULL);
	CHECK(strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm) >
	      0);
	(void)snprintf(fields, sizeof(fields), "Retry-After: %s\r\n", date);
	answer.status = "429 Too Many";
	answer.fields = fields;
	call_plain(&call, "{" MESSAGES "}", 0);
	CHECK(call.error.retry_after_ms > 50000);
	CHECK(call.error.retry_after_ms <= 60000);
	call_close(&call);
}

static void nobody_there_is_an_error(void)
{
	struct call call;

	call_open(&call, "\"base_url\":\"http://127.0.0.1:1/v1\"",
		  "{" MESSAGES "}", 0);
	call_run(&call);
	CHECK(call.status == ATOM_EIO && call.error.http_status == 0);
	call_close(&call);
}

static const struct tap_test tests[] = {
	TAP_TEST(bodies_are_spliced),
	TAP_TEST(streams_ask_for_usage),
	TAP_TEST(an_invoke_is_built),
	TAP_TEST(messages_are_replaced_when_the_host_has_others),
	TAP_TEST(heads_carry_what_is_configured),
	TAP_TEST(wrong_options_are_sentences),
	TAP_TEST(a_whole_answer_is_relayed_with_its_usage),
	TAP_TEST(what_is_no_completion_is_an_error),
	TAP_TEST(provider_errors_are_mapped),
	TAP_TEST(a_retry_date_counts_from_now),
	TAP_TEST(nobody_there_is_an_error),
};

int main(void)
{
	return openai_main(tests, ARRAY_SIZE(tests));
}
