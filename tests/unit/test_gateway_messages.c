/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chat's request: which bodies are refused and with what parameter, how
 * messages are judged, spliced and remembered.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "gateway/chat.h"
#include "gateway/messages.h"
#include "gateway/traceparent.h"

static struct json_span span_of(const char *text)
{
	struct json_scan_error error;
	struct json_span span;

	cr_assert_eq(json_scan_value(text, strlen(text), 64, &span, &error),
		     ATOM_OK, "%s: %s", text, error.what);
	return span;
}

static atom_status judge(const char *text, struct message_list *list)
{
	struct json_span array = span_of(text);
	char why[160] = "";

	return messages_read(&array, list, why, sizeof(why));
}

Test(gateway_messages, what_is_no_list_of_messages_is_refused)
{
	static const char *const texts[] = {
		"{}",
		"[]",
		"\"x\"",
		"[1]",
		"[\"x\"]",
		"[{}]",
		"[{\"content\":\"x\"}]",
		"[{\"role\":5}]",
		"[{\"role\":\"user\"},null]",
		/* Two readers would take different ones. */
		"[{\"role\":\"user\",\"role\":\"system\",\"content\":\"x\"}]",
		"[{\"role\":\"user\",\"r\\u006fle\":\"system\"}]",
		"[{\"role\":\"user\",\"content\":\"x\",\"content\":\"y\"}]",
	};
	struct message_list list;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		cr_assert_eq(judge(texts[i], &list), ATOM_EINVAL, "%s",
			     texts[i]);
}

Test(gateway_messages, who_speaks_is_found)
{
	struct message_list list;

	cr_assert_eq(judge("[{\"role\":\"user\",\"content\":\"a\"},"
			   "{\"role\":\"assistant\",\"content\":\"b\"},"
			   "{\"role\":\"user\",\"content\":\"c\"},"
			   "{\"role\":\"tool\",\"content\":\"d\"}]",
			   &list),
		     ATOM_OK);
	cr_assert_eq(list.count, 4);
	cr_assert_not(list.has_system);
	cr_assert(json_span_equals(&list.last_user, "c"));
	cr_assert_eq(
		judge("[{\"role\":\"developer\",\"content\":\"a\"}]", &list),
		ATOM_OK);
	cr_assert(list.has_system);
	cr_assert_eq(list.last_user.kind, JSON_SPAN_NONE);
	/* However it is written. */
	cr_assert_eq(judge("[{\"role\":\"s\\u0079stem\"}]", &list), ATOM_OK);
	cr_assert(list.has_system);
}

static const char *spliced(const char *prompt, const char *session,
			   const char *array, struct buffer *out)
{
	struct buffer before = BUFFER_INIT(4096);
	struct json_span span;

	buffer_clear(out);
	cr_assert_eq(buffer_append_text(&before, session), ATOM_OK);
	if (array != NULL)
		span = span_of(array);
	cr_assert_eq(messages_splice(out, prompt, &before,
				     array != NULL ? &span : NULL),
		     ATOM_OK);
	buffer_fini(&before);
	return out->bytes;
}

Test(gateway_messages, prompt_and_memory_come_before_the_callers)
{
	struct buffer out = BUFFER_INIT(4096);

	cr_assert_str_eq(spliced("", "", "[ {\"a\":1} ]", &out),
			 "[ {\"a\":1} ]");
	cr_assert_str_eq(
		spliced("be \"brief\"", "", "[{\"a\":1}]", &out),
		"[{\"role\":\"system\",\"content\":\"be \\\"brief\\\"\"},"
		"{\"a\":1}]");
	cr_assert_str_eq(
		spliced("", "{\"s\":1},{\"s\":2}", "[{\"a\":1}]", &out),
		"[{\"s\":1},{\"s\":2},{\"a\":1}]");
	cr_assert_str_eq(
		spliced("p", "{\"s\":1}", "[{\"a\":1},{\"b\":2}]", &out),
		"[{\"role\":\"system\",\"content\":\"p\"},{\"s\":1},"
		"{\"a\":1},{\"b\":2}]");
	cr_assert_str_eq(spliced("p", "", NULL, &out),
			 "[{\"role\":\"system\",\"content\":\"p\"}]");
	cr_assert_str_eq(spliced("", "", NULL, &out), "[]");
	buffer_fini(&out);
}

Test(gateway_messages, a_splice_that_is_too_long_is_told)
{
	struct buffer out = BUFFER_INIT(16);
	struct json_span array = span_of("[{\"role\":\"user\"}]");

	cr_assert_neq(messages_splice(&out, "a prompt", NULL, &array), ATOM_OK);
	buffer_fini(&out);
}

Test(gateway_messages, a_session_remembers_all_but_system_messages)
{
	struct buffer out = BUFFER_INIT(4096);
	struct json_span array =
		span_of("[{\"role\":\"system\",\"content\":\"s\"}, "
			"{\"role\":\"user\",\"content\":\"a\"},\n"
			"{\"role\":\"developer\",\"content\":\"d\"},"
			"{\"role\":\"tool\",\"content\":\"t\"}]");
	size_t count = 0;

	cr_assert_eq(messages_append_new(&out, &array, &count), ATOM_OK);
	cr_assert_eq(count, 2);
	cr_assert_str_eq(out.bytes, "{\"role\":\"user\",\"content\":\"a\"},"
				    "{\"role\":\"tool\",\"content\":\"t\"}");
	buffer_fini(&out);
}

Test(gateway_messages, text_in_parts_becomes_one_string)
{
	struct buffer out = BUFFER_INIT(4096);
	struct json_span content =
		span_of("[{\"type\":\"text\",\"text\":\"a\\n\"},"
			"{\"text\":\"b\",\"type\":\"text\"}]");

	cr_assert_eq(messages_flatten(&content, &out), ATOM_OK);
	cr_assert_str_eq(out.bytes, "\"a\\nb\"");
	buffer_clear(&out);
	content = span_of("[{\"type\":\"text\",\"text\":\"a\"},"
			  "{\"type\":\"image_url\"}]");
	cr_assert_eq(messages_flatten(&content, &out), ATOM_ENOTSUP);
	cr_assert_eq(out.length, 0);
	content = span_of("\"plain\"");
	cr_assert_eq(messages_flatten(&content, &out), ATOM_ENOTSUP);
	buffer_fini(&out);
}

/* --- the whole body -------------------------------------------------------- */

#define ONE "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"

static bool read_body(const char *text, struct chat_request *r,
		      struct api_error *e)
{
	static struct chat_body body;
	char model[64];

	return chat_scan(text, strlen(text), &body, e) &&
	       chat_model(&body, model, sizeof(model), e) &&
	       chat_parameters(&body, r, e);
}

Test(gateway_chat, a_wrong_body_is_refused_with_its_parameter)
{
	static const struct {
		const char *body;
		const char *param; /* NULL = none */
	} cases[] = {
		{ "", NULL },
		{ "{", NULL },
		{ "[]", NULL },
		{ "null", NULL },
		{ "{\"model\":\"a\"," ONE "} x", NULL },
		{ "{\"model\":\"a\",\"model\":\"b\"," ONE "}", NULL },
		{ "{\"model\":\"a\xff\"," ONE "}", NULL },
		{ "{}", "model" },
		{ "{\"model\":5," ONE "}", "model" },
		{ "{\"model\":null," ONE "}", "model" },
		{ "{\"model\":\"a\"}", "messages" },
		{ "{\"model\":\"a\",\"messages\":[]}", "messages" },
		{ "{\"model\":\"a\",\"stream\":\"yes\"," ONE "}", "stream" },
		{ "{\"model\":\"a\",\"stream\":1," ONE "}", "stream" },
		{ "{\"model\":\"a\",\"max_tokens\":-1," ONE "}", "max_tokens" },
		{ "{\"model\":\"a\",\"max_tokens\":0," ONE "}", "max_tokens" },
		{ "{\"model\":\"a\",\"max_tokens\":1.5," ONE "}",
		  "max_tokens" },
		{ "{\"model\":\"a\",\"max_tokens\":1e999," ONE "}",
		  "max_tokens" },
		{ "{\"model\":\"a\",\"max_completion_tokens\":\"1\"," ONE "}",
		  "max_completion_tokens" },
		{ "{\"model\":\"a\",\"n\":2," ONE "}", "n" },
		{ "{\"model\":\"a\",\"stream_options\":{}," ONE "}",
		  "stream_options" },
		{ "{\"model\":\"a\",\"stream\":true,\"stream_options\":{"
		  "\"include_usage\":1}," ONE "}",
		  "stream_options.include_usage" },
		/* Two readers would take different ones. */
		{ "{\"model\":\"a\",\"stream\":true,\"stream_options\":{"
		  "\"include_usage\":true,\"include\\u005fusage\":false}," ONE
		  "}",
		  "stream_options" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct chat_request r;
		struct api_error e = API_ERROR_INIT;

		cr_assert_not(read_body(cases[i].body, &r, &e), "%s",
			      cases[i].body);
		cr_assert_str_eq(e.code, "invalid_request", "%s",
				 cases[i].body);
		if (cases[i].param == NULL)
			cr_assert_null(e.param, "%s", cases[i].body);
		else
			cr_assert_str_eq(e.param, cases[i].param);
	}
}

Test(gateway_chat, parameters_are_read_and_null_is_absent)
{
	struct chat_request r;
	struct api_error e = API_ERROR_INIT;

	cr_assert(read_body("{\"model\":\"a\",\"stream\":null,"
			    "\"max_tokens\":null,\"n\":1," ONE "}",
			    &r, &e),
		  "%s", e.message);
	cr_assert_not(r.stream);
	cr_assert_eq(r.max_tokens, 0);
	cr_assert(read_body("{\"model\":\"a\",\"stream\":true,"
			    "\"stream_options\":{\"include_usage\":true},"
			    "\"max_tokens\":5,\"max_completion_tokens\":7," ONE
			    "}",
			    &r, &e),
		  "%s", e.message);
	cr_assert(r.stream && r.include_usage);
	cr_assert_eq(r.max_tokens, 7);
}

Test(gateway_chat, a_name_too_long_for_an_agent_is_an_unknown_agent)
{
	static struct chat_body body;
	struct api_error e = API_ERROR_INIT;
	const char *text = "{\"model\":\"aaaaaaaaaaaaaaaaaaaa\"}";
	char model[8];

	cr_assert(chat_scan(text, strlen(text), &body, &e));
	cr_assert_not(chat_model(&body, model, sizeof(model), &e));
	cr_assert_str_eq(e.code, "agent_not_found");
	cr_assert_eq(e.status, 404);
}

Test(gateway_chat, only_a_sound_traceparent_is_passed_on)
{
	static const struct {
		const char *text;
		bool valid;
	} cases[] = {
		{ "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		  true },
		{ "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		  false },
		{ "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		  false },
		{ "00-00000000000000000000000000000000-b7ad6b7169203331-01",
		  false },
		{ "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		  false },
		{ "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
		  false },
		{ "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
		  false },
		{ "", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_assert_eq(traceparent_valid(cases[i].text), cases[i].valid,
			     "%s", cases[i].text);
}
