/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "gateway/chat.h"
#include "gateway/handlers.h"
#include "gateway/sse.h"

/*
 * POST /v1/agents/NAME/invoke: one input, one output.
 *
 * Streaming: `{"delta":"text"}` events as text comes, `progress` events, and
 * one with the whole output, as it would have been without a stream.
 */

static const struct surface invoke_surface;

/* --- the request -------------------------------------------------------------- */

/* The session's name, or "" where there is none or no such name can be. */
static void read_session(const struct chat_body *body,
			 char session[SESSION_ID_MAX + 2])
{
	const struct json_member *id =
		json_members_find(body->members, body->count, "session_id");

	if (id == NULL || id->value.kind != JSON_SPAN_STRING ||
	    !json_span_to_text(&id->value, session, SESSION_ID_MAX + 2))
		session[0] = '\0';
}

static bool read_body(struct exchange *x, const struct chat_body *body,
		      const char *session, struct api_error *e)
{
	const struct json_member *input =
		json_members_find(body->members, body->count, "input");
	const struct json_member *stream =
		json_members_find(body->members, body->count, "stream");
	const struct json_member *id =
		json_members_find(body->members, body->count, "session_id");

	if (input == NULL || (input->value.kind != JSON_SPAN_STRING &&
			      input->value.kind != JSON_SPAN_OBJECT)) {
		api_error_set(e, "invalid_request", "input",
			      "input: expected a string or an object");
		return false;
	}
	if (stream != NULL && stream->value.kind != JSON_SPAN_NULL &&
	    !json_span_to_bool(&stream->value, &x->stream)) {
		api_error_set(e, "invalid_request", "stream",
			      "stream: expected true or false");
		return false;
	}
	if (id != NULL && id->value.kind != JSON_SPAN_NULL &&
	    !session_id_valid(session)) {
		api_error_set(e, "invalid_request", "session_id",
			      "session_id: expected 1 to %d characters of "
			      "A-Z a-z 0-9 _ . : -",
			      SESSION_ID_MAX);
		return false;
	}
	x->asked = input->value;
	x->call.request.input =
		(struct atom_span){ input->value.at, input->value.length };
	x->call.request.flags = ATOM_CALL_INVOKE;
	return true;
}

/* An agent without memory answers all the same, and `session_id` is null in
 * its answer: a caller need not know which agents remember. */
static bool join(struct exchange *x, const struct principal *principal,
		 const char *session, struct api_error *e)
{
	return session[0] == '\0' ||
	       !revision_config(x->revision)->memory.present ||
	       exchange_join(x, principal, session, e);
}

void handle_invoke(struct http_request *request,
		   const struct admission *admission)
{
	struct exchange *x = exchange_new(request, &invoke_surface);
	const struct route_params *params = &admission->params;
	char session[SESSION_ID_MAX + 2];
	struct chat_body body;
	struct api_error e, unread;
	bool read;

	if (x == NULL)
		return;
	/* The session says which revision answers; but whether there is such
	 * an agent, and may be called, is said first. */
	read = chat_scan(x->body, x->body_length, &body, &unread);
	session[0] = '\0';
	if (read)
		read_session(&body, session);
	if (!exchange_route(x, admission, params->at[0], params->length[0],
			    session_id_valid(session) ? session : NULL, &e)) {
		exchange_refuse(x, admission, &e);
		return;
	}
	if (!read)
		exchange_refuse(x, admission, &unread);
	else if (read_body(x, &body, session, &e) &&
		 join(x, &admission->principal, session, &e) &&
		 exchange_admit(x, &admission->principal, &e))
		exchange_begin(x);
	else
		exchange_refuse(x, admission, &e);
}

/* --- messages ------------------------------------------------------------------- */

/* The input as a user's message; an object as its JSON, in a string. */
static atom_status append_user(const struct exchange *x, struct buffer *out)
{
	buffer_append_text(out, "{\"role\":\"user\",\"content\":");
	if (x->asked.kind == JSON_SPAN_STRING) {
		buffer_append(out, x->asked.at, x->asked.length);
	} else {
		buffer_append_char(out, '"');
		buffer_append_json(out, x->asked.at, x->asked.length);
		buffer_append_char(out, '"');
	}
	return buffer_append_char(out, '}');
}

static atom_status invoke_splice(struct exchange *x)
{
	const char *prompt = revision_config(x->revision)->system_prompt;
	struct buffer *out = &x->messages;

	messages_splice(out, prompt, exchange_remembered(x), NULL);
	if (out->failed)
		return ATOM_ELIMIT;
	/* The user's comes in before the bracket. */
	out->bytes[--out->length] = '\0';
	if (out->length > 1)
		buffer_append_char(out, ',');
	append_user(x, out);
	buffer_append_char(out, ']');
	x->call.request.messages =
		(struct atom_span){ out->bytes, out->length };
	return out->failed ? ATOM_ELIMIT : ATOM_OK;
}

static atom_status invoke_remember(const struct exchange *x, struct buffer *out,
				   size_t *count_r)
{
	++*count_r;
	append_user(x, out);
	return out->failed ? ATOM_ELIMIT : ATOM_OK;
}

/* --- the answer -------------------------------------------------------------------- */

/* What has been added to the text. */
static void tell_text(struct exchange *x, struct buffer *out)
{
	const struct buffer *text = &x->completion.text;
	size_t ready = completion_text_ready(&x->completion), from;

	if (ready <= x->told)
		return;
	buffer_append_text(out, "data: {\"delta\":\"");
	from = out->length;
	buffer_append(out, text->bytes + x->told, ready - x->told);
	if (!out->failed)
		json_mend_surrogates(out->bytes + from, out->length - from);
	buffer_append_text(out, "\"}\n\n");
	x->told = ready;
}

static void invoke_emit(struct exchange *x, int32_t kind, const char *bytes,
			size_t length, struct buffer *out)
{
	/* Objects and tool calls come with the output. */
	if (kind == ATOM_EMIT_EVENT)
		sse_event(out, "progress", bytes, length);
	else
		tell_text(x, out);
}

static atom_status append_result(struct exchange *x, struct buffer *out)
{
	const char *session = exchange_session(x);
	atom_status status;

	buffer_append_text(out, "{\"output\":");
	status = completion_output(&x->completion, out);
	buffer_append_text(out, ",\"finish_reason\":\"");
	buffer_append_text(out, completion_finish_word(&x->call.usage));
	buffer_append_text(out, "\",\"usage\":");
	completion_usage_native(&x->call.usage, out);
	buffer_append_text(out, ",\"agent\":\"");
	buffer_append_text(out, revision_agent(x->revision));
	buffer_append_text(out, "\",\"revision\":");
	buffer_append_text(out, revision_label(x->revision));
	buffer_append_text(out, ",\"session_id\":");
	if (session != NULL)
		buffer_append_json_string(out, session);
	else
		buffer_append_text(out, "null");
	buffer_append_text(out, ",\"request_id\":\"");
	buffer_append_text(out, x->request_id);
	buffer_append_text(out, "\"}");
	return status;
}

static atom_status invoke_finish(struct exchange *x, struct buffer *out)
{
	size_t from;
	atom_status status;

	completion_text_end(&x->completion);
	tell_text(x, out);
	buffer_append_text(out, "data: ");
	from = out->length;
	status = append_result(x, out);
	/* An object may come with line ends in it. */
	for (size_t i = from; i < out->length; i++)
		if (out->bytes[i] == '\n' || out->bytes[i] == '\r')
			out->bytes[i] = ' ';
	buffer_append_text(out, "\n\ndata: [DONE]\n\n");
	return status;
}

static void invoke_fail(struct exchange *x, const struct api_error *e,
			struct buffer *out)
{
	(void)x;
	buffer_append_text(out, "event: error\ndata: ");
	api_error_append(e, NULL, out);
	buffer_append_text(out, "\n\n");
}

static atom_status invoke_whole(struct exchange *x, struct buffer *out,
				const struct buffer **body_r)
{
	(void)body_r;
	return append_result(x, out);
}

static const struct surface invoke_surface = {
	.splice = invoke_splice,
	.remember = invoke_remember,
	.emit = invoke_emit,
	.finish = invoke_finish,
	.fail = invoke_fail,
	.whole = invoke_whole,
	.collects = true,
};
