/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "process_priv.h"

/*
 * What a worker says about a call.  A cancelled call's lines still tell its
 * end and its usage; the rest of them is dropped.
 */

/* A string's content: within the line, or decoded; false without memory.
 * Valid until the next one. */
static bool string_content(struct worker *w, const struct json_value *string,
			   struct atom_span *content_r)
{
	content_r->bytes = string->at + 1;
	content_r->length = string->length - 2;
	if (!string->escaped)
		return true;
	bytes_clear(&w->text);
	/* Decoded it is no longer than it was: room for that many. */
	bytes_append(&w->text, string->at, string->length);
	if (w->text.failed)
		return false;
	content_r->length = json_decode(string, w->text.at);
	content_r->bytes = w->text.at;
	return true;
}

static void out_of_memory(struct worker *w, struct call *call)
{
	call_cancel(w, call, "admin", ATOM_ENOMEM,
		    "no memory for a part of the worker's answer");
}

/* FNV-1a, 64 bits: tells whether `output` begins with what has gone out. */
static uint64_t hash_more(uint64_t hash, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3u;
	return hash;
}

#define HASH_EMPTY 0xcbf29ce484222325u

/* One emit is bounded; a cut never parts a character. */
static void emit_text(struct worker *w, struct call *call, const char *bytes,
		      size_t length)
{
	while (length > 0 && call->state == CALL_RUNNING) {
		size_t n = length < ATOM_EMIT_MAX ? length : ATOM_EMIT_MAX;

		while (n < length && n > 1 &&
		       ((unsigned char)bytes[n] & 0xc0) == 0x80)
			n--;
		call_emit(w, call, ATOM_EMIT_TEXT, bytes, n);
		bytes += n;
		length -= n;
	}
}

/* --- chunk ---------------------------------------------------------------- */

/* Is it the `delta` of an OpenAI chunk (tool calls and the like)? */
static bool is_delta(const struct json_value *value)
{
	static const char *const names[] = { "tool_calls", "content", "role",
					     "refusal", "function_call" };
	struct json_object object;

	if (json_read_object(value->at, value->length, &object) != NULL)
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (json_member(&object, names[i]).kind != JSON_NONE)
			return true;
	return false;
}

static void chunk_of_text(struct worker *w, struct call *call,
			  const struct json_value *text)
{
	struct atom_span content;

	if (!string_content(w, text, &content)) {
		out_of_memory(w, call);
		return;
	}
	if (content.length == 0)
		return;
	if (!call->chunked)
		call->text_hash = HASH_EMPTY;
	call->chunked = true;
	call->text_hash =
		hash_more(call->text_hash, content.bytes, content.length);
	call->text_length += content.length;
	emit_text(w, call, content.bytes, content.length);
}

/* Values that are no text stream as lines of JSON; whoever does not stream
 * gets the whole from `output`. */
static void chunk_of_json(struct worker *w, struct call *call,
			  const struct json_value *value)
{
	if (value->kind == JSON_OBJECT && is_delta(value)) {
		if (value->length > ATOM_EMIT_MAX) {
			call_cancel(w, call, "admin", ATOM_ELIMIT,
				    "the worker sent a delta of more than "
				    "8 MiB");
			return;
		}
		call->chunked = true;
		call_emit(w, call, ATOM_EMIT_DELTA, value->at, value->length);
		return;
	}
	if (!call->stream)
		return;
	call->chunked = true;
	emit_text(w, call, value->at, value->length);
	emit_text(w, call, "\n", 1);
}

bool receive_chunk(struct worker *w, struct call *call,
		   const struct json_object *line)
{
	struct json_value data = json_member(line, "data");

	if (data.kind == JSON_NONE)
		return false;
	if (call->state != CALL_RUNNING)
		return true;
	if (call->credit > 0)
		call->credit--;
	if (data.length > call->largest_chunk)
		call->largest_chunk = data.length;
	if (data.kind == JSON_STRING)
		chunk_of_text(w, call, &data);
	else
		chunk_of_json(w, call, &data);
	return true;
}

/* --- event ---------------------------------------------------------------- */

bool receive_event(struct worker *w, struct call *call,
		   const struct json_object *line)
{
	struct json_value type = json_member(line, "type");
	struct json_value data = json_member(line, "data");
	struct bytes *out = &w->text;

	if (type.kind != JSON_STRING)
		return false;
	if (call->state != CALL_RUNNING)
		return true;
	bytes_clear(out);
	bytes_append_text(out, "{\"type\":");
	bytes_append(out, type.at, type.length);
	bytes_append_text(out, ",\"data\":");
	if (data.kind == JSON_NONE)
		bytes_append_text(out, "{}");
	else
		bytes_append(out, data.at, data.length);
	bytes_append_text(out, "}");
	if (out->failed || out->length > ATOM_EMIT_MAX)
		worker_log(w, ATOM_LOG_WARN, "worker_event_dropped",
			   "an event of %zu bytes was dropped", out->length);
	else
		call_emit(w, call, ATOM_EMIT_EVENT, out->at, out->length);
	return true;
}

/* --- result --------------------------------------------------------------- */

static bool take_count(const struct json_object *usage, const char *name,
		       int64_t *count_r)
{
	struct json_value count = json_member(usage, name);

	return count.kind == JSON_NONE ||
	       (json_to_integer(&count, count_r) && *count_r >= 0);
}

static int32_t finish_reason(const struct json_object *line)
{
	static const char *const words[] = {
		[ATOM_FINISH_STOP] = "stop",
		[ATOM_FINISH_LENGTH] = "length",
		[ATOM_FINISH_TOOL_CALLS] = "tool_calls",
		[ATOM_FINISH_CONTENT_FILTER] = "content_filter",
	};
	struct json_value reason = json_member(line, "finish_reason");

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (json_equals(&reason, words[i]))
			return (int32_t)i;
	return ATOM_FINISH_STOP;
}

/* Of results, and of errors that tell it: failures cost too. */
static bool take_usage(struct worker *w, struct call *call,
		       const struct json_object *line)
{
	struct json_value member = json_member(line, "usage");
	struct atom_usage usage = {
		.struct_size = sizeof(usage),
		.finish_reason = finish_reason(line),
	};
	struct json_object object;
	bool known = member.kind != JSON_NONE && member.kind != JSON_NULL;

	if (!known)
		usage.input_tokens = usage.output_tokens = -1;
	if (known &&
	    (member.kind != JSON_OBJECT ||
	     json_read_object(member.at, member.length, &object) != NULL ||
	     !take_count(&object, "input_tokens", &usage.input_tokens) ||
	     !take_count(&object, "output_tokens", &usage.output_tokens) ||
	     !take_count(&object, "cached_tokens", &usage.cached_tokens)))
		return false;
	if (known || usage.finish_reason != ATOM_FINISH_STOP)
		w->backend->calls->usage(w->backend->host, call->handle,
					 &usage);
	return true;
}

/* `output` is the whole answer: what of it has not gone out yet. */
static void emit_output_text(struct worker *w, struct call *call,
			     const struct atom_span *text)
{
	size_t gone = call->text_length;

	if (!call->chunked) {
		emit_text(w, call, text->bytes, text->length);
		return;
	}
	/* The client has seen the chunks: where they differ they count. */
	if (gone > 0 && text->length > gone &&
	    hash_more(HASH_EMPTY, text->bytes, gone) == call->text_hash)
		emit_text(w, call, text->bytes + gone, text->length - gone);
}

static atom_status emit_output(struct worker *w, struct call *call,
			       const struct json_value *output,
			       struct atom_error *err)
{
	struct atom_span text;

	if (output->kind == JSON_NONE && !call->chunked)
		return atom_fail(err, ATOM_EPROTO,
				 "the worker's result has no output, and no "
				 "chunk came before it");
	if (output->kind == JSON_STRING) {
		if (!string_content(w, output, &text))
			return atom_fail(err, ATOM_ENOMEM,
					 "no memory for the answer");
		emit_output_text(w, call, &text);
		return ATOM_OK;
	}
	if (output->kind == JSON_NONE || call->chunked)
		return ATOM_OK;
	if (output->length > ATOM_EMIT_MAX)
		return atom_fail(err, ATOM_ELIMIT,
				 "the worker's output has %zu bytes of JSON; "
				 "at most %d are allowed",
				 output->length, ATOM_EMIT_MAX);
	call_emit(w, call, ATOM_EMIT_JSON, output->at, output->length);
	return ATOM_OK;
}

static atom_status take_state(struct worker *w, struct call *call,
			      const struct json_object *line,
			      struct atom_error *err)
{
	struct json_value state = json_member(line, "state");
	struct atom_span span = { state.at, state.length };

	if (state.kind == JSON_NONE || !call->session)
		return ATOM_OK;
	if (w->backend->calls->set_state(w->backend->host, call->handle,
					 &span) == ATOM_OK)
		return ATOM_OK;
	return atom_fail(err, ATOM_ELIMIT,
			 "the session's state has %zu bytes; at most 256 KiB "
			 "are kept",
			 state.length);
}

bool receive_result(struct worker *w, struct call *call,
		    const struct json_object *line)
{
	struct json_value output = json_member(line, "output");
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status = ATOM_OK;

	if (call->state == CALL_RUNNING) {
		if (!take_usage(w, call, line))
			return false;
		status = emit_output(w, call, &output, &err);
		if (status == ATOM_OK)
			status = take_state(w, call, line, &err);
	} else if (call->state == CALL_CANCELLED) {
		(void)take_usage(w, call, line);
	}
	call_end(w, call, status, &err);
	return true;
}

/* --- error ---------------------------------------------------------------- */

static const struct {
	const char *word;
	atom_status status;
	/* When the worker says that trying again is of no use. */
	atom_status final;
} codes[] = {
	{ "invalid_input", ATOM_EINVAL, ATOM_EINVAL },
	{ "provider", ATOM_EIO, ATOM_EPROTO },
	{ "rate_limited", ATOM_EQUOTA, ATOM_EQUOTA },
	{ "context_overflow", ATOM_EINVAL, ATOM_EINVAL },
	{ "cancelled", ATOM_ECANCELED, ATOM_ECANCELED },
	{ "timeout", ATOM_ETIMEOUT, ATOM_ETIMEOUT },
	{ "unavailable", ATOM_EBUSY, ATOM_EUNAVAILABLE },
	{ "internal", ATOM_EINTERNAL, ATOM_EINTERNAL },
};

static atom_status status_of_code(const struct json_object *line,
				  const char **word_r)
{
	struct json_value code = json_member(line, "code");
	struct json_value retryable = json_member(line, "retryable");

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (json_equals(&code, codes[i].word)) {
			*word_r = codes[i].word;
			return retryable.kind == JSON_FALSE ? codes[i].final
							    : codes[i].status;
		}
	*word_r = "internal";
	return ATOM_EINTERNAL;
}

/* Fills the message; cut where a character begins. */
static void error_message(struct worker *w, const struct json_value *message,
			  const char *word, struct atom_error *err)
{
	struct atom_span text = { NULL, 0 };
	size_t n;

	if (message->kind == JSON_STRING)
		(void)string_content(w, message, &text);
	n = text.length;
	if (n >= sizeof(err->message)) {
		n = sizeof(err->message) - 1;
		while (n > 0 && ((unsigned char)text.bytes[n] & 0xc0) == 0x80)
			n--;
	}
	if (n == 0) {
		(void)snprintf(err->message, sizeof(err->message),
			       "the agent's worker failed: %s", word);
		return;
	}
	memcpy(err->message, text.bytes, n);
	err->message[n] = '\0';
}

bool receive_error(struct worker *w, struct call *call,
		   const struct json_object *line)
{
	struct json_value message = json_member(line, "message");
	struct json_value wait = json_member(line, "retry_after_ms");
	struct atom_error err = ATOM_ERROR_INIT;
	const char *word = NULL;
	int64_t wait_ms = 0;
	atom_status status;

	if (json_member(line, "code").kind != JSON_STRING)
		return false;
	if (call->state != CALL_ZOMBIE)
		(void)take_usage(w, call, line);
	status = status_of_code(line, &word);
	err.status = status;
	if (json_to_integer(&wait, &wait_ms) && wait_ms > 0)
		err.retry_after_ms =
			wait_ms < INT32_MAX ? (int32_t)wait_ms : INT32_MAX;
	(void)snprintf(err.code, sizeof(err.code), "%s", word);
	error_message(w, &message, word, &err);
	call_end(w, call, status, &err);
	return true;
}
