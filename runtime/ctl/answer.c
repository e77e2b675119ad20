/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "answer.h"

#include "sse.h"

#include <stdlib.h>
#include <string.h>

#define EVENT_MAX (16u << 20)

struct answer_reader {
	struct ctl *ctl;
	struct sse sse;
	json_t *end;   /* the event with the whole output */
	json_t *error; /* what an error event said */
	bool strange;  /* an event that is none of this API's */
	bool any_text;
	char last;
};

static void print_text(struct answer_reader *reader, const char *text,
		       size_t length)
{
	if (length == 0)
		return;
	terminal_write(stdout, text, length, !reader->ctl->terminal.out);
	fflush(stdout);
	reader->any_text = true;
	reader->last = text[length - 1];
}

static void print_value(struct answer_reader *reader, const json_t *value)
{
	if (json_is_string(value)) {
		print_text(reader, json_string_value(value),
			   json_string_length(value));
		return;
	}
	char *json = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY);
	if (json)
		print_text(reader, json, strlen(json));
	free(json);
}

static bool on_event(void *closure, const char *name, const char *bytes,
		     size_t length)
{
	struct answer_reader *reader = closure;
	if (length == 6 && !memcmp(bytes, "[DONE]", 6))
		return true;
	json_t *event = json_loadb(bytes, length, 0, NULL);
	json_t *delta = json_object_get(event, "delta");
	json_t *error = json_object_get(event, "error");
	bool go_on = true;
	if (!json_is_object(event)) {
		reader->strange = true;
		go_on = false;
	} else if (json_is_object(error)) {
		reader->error = json_incref(error);
		go_on = false;
	} else if (!strcmp(name, "error")) {
		reader->error = json_incref(event);
		go_on = false;
	} else if (json_object_get(event, "output")) {
		json_decref(reader->end);
		reader->end = json_incref(event);
	} else if (delta) {
		print_value(reader, delta);
	}
	json_decref(event);
	return go_on;
}

static bool on_bytes(void *closure, const char *bytes, size_t length)
{
	struct answer_reader *reader = closure;
	return sse_feed(&reader->sse, bytes, length);
}

/* The request's body, or NULL with the sentence left. */
static char *body_of(struct ctl *ctl, const struct answer_call *call,
		     bool stream)
{
	if (memchr(call->input, '\0', call->input_length)) {
		ctl_fail(ctl, CTL_USAGE,
			 "the text holds a NUL byte; agents take UTF-8 text");
		return NULL;
	}
	json_t *input = json_stringn(call->input, call->input_length);
	if (!input) {
		ctl_fail(ctl, CTL_USAGE,
			 "the text is not UTF-8; agents take UTF-8 text");
		return NULL;
	}
	json_t *body =
		json_pack("{s:o, s:b}", "input", input, "stream", stream);
	json_t *session = call->session ? json_string(call->session) : NULL;
	char *json = NULL;
	if (call->session && !session)
		ctl_fail(ctl, CTL_USAGE, "the session's name is not UTF-8");
	else if (!body ||
		 (session && json_object_set(body, "session_id", session)) ||
		 !(json = json_dumps(body, JSON_COMPACT)))
		ctl_fail_memory(ctl);
	json_decref(session);
	json_decref(body);
	return json;
}

/* How the stream ended, once the transfer itself was sound. */
static int judge_stream(struct ctl *ctl, const struct answer_reader *reader,
			const struct client_answer *answer)
{
	if (reader->error)
		return ctl_fail_error(ctl, reader->error, 0,
				      answer->request_id);
	if (reader->end)
		return CTL_DONE;
	if (strcmp(answer->content_type, "text/event-stream"))
		return ctl_fail(ctl, CTL_FAILED,
				"%s answered with %s, expected "
				"text/event-stream; is it atomd's address?",
				client_endpoint(ctl->client),
				answer->content_type[0] ? answer->content_type
							: "no content type");
	if (reader->strange)
		return ctl_fail(ctl, CTL_FAILED,
				"an event of the answer is not JSON or too "
				"large (request %s)",
				answer->request_id);
	return ctl_fail(ctl, CTL_FAILED,
			"the answer was cut off: its stream ended without "
			"the event that closes it (request %s)",
			answer->request_id);
}

int answer_stream(struct ctl *ctl, const struct answer_call *call,
		  json_t **end_r, bool *interrupted_r)
{
	struct answer_reader reader = { .ctl = ctl };
	struct client_answer answer = { 0 };
	struct text path = TEXT_INIT(ENDPOINT_TEXT_MAX);
	int code = CTL_USAGE;
	sse_init(&reader.sse, EVENT_MAX, on_event, &reader);

	char *json = body_of(ctl, call, true);
	if (!json)
		goto out;
	if (!ctl_path(&path, "/v1/agents/", call->agent, "/invoke")) {
		ctl_fail(ctl, CTL_USAGE, "the agent's name is too long");
		goto out;
	}
	const struct client_request request = {
		.method = "POST",
		.path = text_string(&path),
		.json = json,
		.accept = "text/event-stream",
		.on_bytes = on_bytes,
		.closure = &reader,
	};
	enum client_result result = client_send(ctl->client, &request, &answer);
	*interrupted_r = result == CLIENT_INTERRUPTED;
	if (result == CLIENT_STOPPED && !reader.error)
		reader.strange = true;
	/* Everything arrived, whatever happened to the connection then. */
	if (result == CLIENT_CUT && reader.end)
		result = CLIENT_ANSWERED;
	code = ctl_judge(ctl, result, &answer);
	if (code == CTL_DONE)
		code = judge_stream(ctl, &reader, &answer);
	if (code == CTL_DONE && !reader.any_text)
		print_value(&reader, json_object_get(reader.end, "output"));
	if (reader.any_text && reader.last != '\n')
		putchar('\n');
	fflush(stdout);
	if (code == CTL_DONE)
		*end_r = json_incref(reader.end);
out:
	client_answer_fini(&answer);
	json_decref(reader.end);
	json_decref(reader.error);
	sse_fini(&reader.sse);
	text_fini(&path);
	free(json);
	return code;
}

int answer_whole(struct ctl *ctl, const struct answer_call *call,
		 json_t **answer_r)
{
	struct text path = TEXT_INIT(ENDPOINT_TEXT_MAX);
	int code = CTL_USAGE;
	char *json = body_of(ctl, call, false);
	if (!json)
		goto out;
	if (!ctl_path(&path, "/v1/agents/", call->agent, "/invoke")) {
		ctl_fail(ctl, CTL_USAGE, "the agent's name is too long");
		goto out;
	}
	const struct client_request request = {
		.method = "POST",
		.path = text_string(&path),
		.json = json,
		.accept = "application/json",
		.progress = "waiting for the answer",
	};
	code = ctl_exchange(ctl, &request, answer_r);
out:
	text_fini(&path);
	free(json);
	return code;
}

void answer_print_usage(const struct ctl *ctl, const json_t *end)
{
	const json_t *usage = json_object_get(end, "usage");
	if (!ctl->terminal.out || !ctl->terminal.error ||
	    !json_is_object(usage))
		return;
	/* OpenAI's chat names, or those of the worker protocol. */
	bool openai = json_object_get(usage, "prompt_tokens");
	long long in = member_integer(usage, openai ? "prompt_tokens"
						    : "input_tokens");
	long long out = member_integer(usage, openai ? "completion_tokens"
						     : "output_tokens");
	const char *dim = ctl->terminal.colour ? "\033[2m" : "";
	const char *plain = ctl->terminal.colour ? "\033[0m" : "";
	fprintf(stderr, "%s%lld tokens in, %lld out%s\n", dim, in, out, plain);
}
