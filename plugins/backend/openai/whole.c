/* SPDX-License-Identifier: Apache-2.0 */
#include "openai.h"

/* An answer that came in one piece. */

static int broken(struct call *call, const char *what)
{
	atom_fail(failure_of(call), ATOM_EPROTO,
		  "openai: the provider answered %d with %s; is base_url that "
		  "of an OpenAI-compatible API?",
		  (int)call->http_status, what);
	return 0;
}

/* The text is decoded where it lies. */
static int emit_text(struct call *call, struct json message)
{
	struct json text = json_member(message, "content");
	size_t length;

	if (json_is_null(text))
		text = json_member(message, "refusal");
	if (json_is_null(text))
		return 1;
	if (!json_is_string(text))
		return broken(call, "a message whose content is no text");
	length = json_decode(text, call->body.at);
	return length == 0 ||
	       call_emit(call, ATOM_EMIT_TEXT, call->body.at, length);
}

int whole_take(struct call *call)
{
	struct json object, choice, message;

	if (!json_whole(call->body.at, call->body.length, &object) ||
	    !json_is_object(object))
		return broken(call, "what is no JSON object");
	if (!json_is_null(json_member(object, "error"))) {
		failure_of_object(call, object);
		return 0;
	}
	if ((call->flags & ATOM_CALL_STREAM) != 0)
		return broken(call, "one JSON object where a stream was asked "
				    "for");
	choice = json_first(json_member(object, "choices"));
	message = json_member(choice, "message");
	if (!json_is_object(message))
		return broken(call, "JSON that is no chat completion");
	chunk_note_usage(call, json_member(object, "usage"));
	chunk_note_reason(call, choice);
	if ((call->flags & ATOM_CALL_INVOKE) != 0)
		return emit_text(call, message);
	return call_emit(call, ATOM_EMIT_RAW, object.at, object.length);
}
