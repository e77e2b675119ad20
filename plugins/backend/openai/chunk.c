/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "openai.h"

/* One chunk of a stream: checked, noted, relayed as it came. */

int call_emit(struct call *call, int32_t kind, const char *bytes, size_t length)
{
	struct openai *o = call->openai;
	atom_status status =
		o->backend->emit(o->host, call->handle, kind, bytes, length);

	if (status == ATOM_OK)
		return 1;
	if (status == ATOM_EBUSY) {
		o->http->pause(call->transfer);
		return 1;
	}
	atom_fail(failure_of(call), ATOM_ECANCELED,
		  "openai: the answer is not wanted any more");
	return 0;
}

void chunk_note_usage(struct call *call, struct json usage)
{
	int64_t input, output, cached;

	if (!json_is_object(usage))
		return;
	input = json_count(json_member(usage, "prompt_tokens"));
	output = json_count(json_member(usage, "completion_tokens"));
	cached = json_count(json_member(
		json_member(usage, "prompt_tokens_details"), "cached_tokens"));
	if (input < 0 && output < 0)
		return;
	call->usage.input_tokens = input > 0 ? input : 0;
	call->usage.output_tokens = output > 0 ? output : 0;
	call->usage.cached_tokens = cached > 0 ? cached : 0;
	call->usage_known = 1;
}

void chunk_note_reason(struct call *call, struct json choice)
{
	static const struct {
		const char *word;
		int32_t reason;
	} reasons[] = {
		{ "length", ATOM_FINISH_LENGTH },
		{ "tool_calls", ATOM_FINISH_TOOL_CALLS },
		{ "function_call", ATOM_FINISH_TOOL_CALLS },
		{ "content_filter", ATOM_FINISH_CONTENT_FILTER },
	};
	struct json reason = json_member(choice, "finish_reason");

	if (!json_is_string(reason))
		return;
	call->finish_seen = 1;
	call->usage.finish_reason = ATOM_FINISH_STOP;
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (json_reads(reason, reasons[i].word))
			call->usage.finish_reason = reasons[i].reason;
}

/* The string with the half that the last chunk ended in before it, and
 * without the half that it ends in itself, in call->body. */
static atom_status join_halves(struct call *call, struct json *text)
{
	struct bytes *joined = &call->body;
	size_t half = strlen(call->half);
	atom_status status;

	bytes_clear(joined);
	status = bytes_append(joined, "\"", 1);
	if (status == ATOM_OK)
		status = bytes_append(joined, call->half, half);
	if (status == ATOM_OK)
		status = bytes_append(joined, text->at + 1, text->length - 1);
	if (status != ATOM_OK)
		return status;
	call->half[0] = '\0';
	*text = (struct json){ joined->at, joined->length };
	if (json_ends_in_half(*text)) {
		text->length -= JSON_HALF;
		memcpy(call->half, text->at + text->length - 1, JSON_HALF);
		call->half[JSON_HALF] = '\0';
		joined->at[text->length - 1] = '"';
	}
	return ATOM_OK;
}

/* An invoke wants the text alone. */
static int emit_text(struct call *call, struct json delta)
{
	struct json text = json_member(delta, "content");
	size_t length;

	if (!json_is_string(text))
		text = json_member(delta, "refusal");
	if (!json_is_string(text) || text.length == 2)
		return 1;
	if (join_halves(call, &text) != ATOM_OK) {
		atom_fail(failure_of(call), ATOM_ENOMEM, "openai: no memory");
		return 0;
	}
	length = json_decode(text, call->body.at);
	return length == 0 ||
	       call_emit(call, ATOM_EMIT_TEXT, call->body.at, length);
}

void chunk_end_text(struct call *call)
{
	struct openai *o = call->openai;

	if (call->half[0] != '\0')
		(void)o->backend->emit(o->host, call->handle, ATOM_EMIT_TEXT,
				       "\xef\xbf\xbd", 3);
}

static int broken(struct call *call, const char *what)
{
	atom_fail(failure_of(call), ATOM_EPROTO,
		  "openai: the provider's stream holds %s; is base_url that of "
		  "an OpenAI-compatible API?",
		  what);
	return 0;
}

static int is_done(const struct sse_event *event)
{
	return event->length == 6 && memcmp(event->bytes, "[DONE]", 6) == 0;
}

/* What is looked at of a chunk. */
struct parts {
	struct json object; /* the whole */
	struct json error;
	struct json choices;
	struct json usage;
};

/* Finds them on the way on which the text is checked; 1, or 0: it is no
 * object. */
static int find_parts(const struct sse_event *event, struct parts *parts)
{
	struct json_walk walk = json_walk_text(event->bytes, event->length);
	struct json name, value;

	*parts = (struct parts){ 0 };
	while (json_next(&walk, &name, &value)) {
		if (json_reads(name, "choices"))
			parts->choices = value;
		else if (json_reads(name, "usage"))
			parts->usage = value;
		else if (json_reads(name, "error"))
			parts->error = value;
	}
	return json_walked(&walk, &parts->object);
}

int chunk_take(struct call *call, const struct sse_event *event)
{
	struct parts parts;
	struct json choice;

	if (is_done(event)) {
		if (!call->any_chunk)
			return broken(call, "an end and no answer");
		call->done = 1;
		return 1;
	}
	if (!find_parts(event, &parts))
		return broken(call, "an event that is no JSON object");
	if (event->is_error || !json_is_null(parts.error)) {
		failure_of_object(call, parts.object);
		return 0;
	}
	if (!json_is_array(parts.choices))
		return broken(call, "an event without choices");
	choice = json_first(parts.choices);
	chunk_note_usage(call, parts.usage);
	if (choice.at != NULL) {
		call->any_chunk = 1;
		chunk_note_reason(call, choice);
	} else if (json_is_object(parts.usage) &&
		   (call->flags & ATOM_CALL_WANTS_STREAM_USAGE) == 0) {
		return 1;
	}
	if ((call->flags & ATOM_CALL_INVOKE) != 0)
		return emit_text(call, json_member(choice, "delta"));
	return call_emit(call, ATOM_EMIT_RAW, parts.object.at,
			 parts.object.length);
}
