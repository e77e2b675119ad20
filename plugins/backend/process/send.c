/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "process_priv.h"

/* Lines to the worker.  They are built whole before they are written, so that
 * a failure leaves nothing half said. */

/* The service takes no more unsent bytes than this (atomd/host.h). */
#define SEND_MAX ((size_t)16 * 1024 * 1024)

static void begin_line(struct worker *w, const char *op)
{
	bytes_clear(&w->output);
	bytes_append_text(&w->output, "{\"op\":\"");
	bytes_append_text(&w->output, op);
	bytes_append_text(&w->output, "\"");
}

/* An id says where its call is kept, and which of those kept there it is. */
static void add_id(struct worker *w, const struct call *call)
{
	char text[64];

	(void)snprintf(text, sizeof(text), ",\"id\":\"%d-%" PRIu64 "\"",
		       (int)(call - w->calls), call->number);
	bytes_append_text(&w->output, text);
}

/* ATOM_ENOMEM, ATOM_ELIMIT, or ATOM_EIO; ATOM_EBUSY is none of ours: what is
 * unsent is bounded by the service. */
static atom_status end_line(struct worker *w)
{
	atom_status status;

	bytes_append_text(&w->output, "}\n");
	if (w->output.failed)
		status = ATOM_ENOMEM;
	else if (w->process == NULL)
		status = ATOM_EIO;
	else
		status = w->backend->process->write(w->process, w->output.at,
						    w->output.length);
	if (status == ATOM_EBUSY)
		status = ATOM_OK;
	bytes_clear(&w->output);
	return status;
}

/* A short line: when it cannot be sent the worker does not read, or has gone,
 * which its deadlines and its exit tell. */
static void end_short_line(struct worker *w)
{
	if (end_line(w) != ATOM_OK)
		worker_log(w, ATOM_LOG_DEBUG, "worker_deaf",
			   "a line to the worker could not be sent");
}

static void add_string(struct bytes *out, const char *name, const char *text)
{
	bytes_append_text(out, name);
	bytes_append_string(out, text);
}

static void add_number(struct bytes *out, const char *name, int64_t number)
{
	bytes_append_text(out, name);
	bytes_append_number(out, number);
}

static void add_flag(struct bytes *out, const char *name, bool set)
{
	bytes_append_text(out, name);
	bytes_append_text(out, set ? "true" : "false");
}

/* The text of a content's part, without its quotes; false when it has none.
 * {"type":"text","text":"..."} */
static bool part_text(const struct json_value *part, struct json_value *text_r)
{
	struct json_object object;
	struct json_value type;

	if (part->kind != JSON_OBJECT ||
	    json_read_object(part->at, part->length, &object) != NULL)
		return false;
	type = json_member(&object, "type");
	*text_r = json_member(&object, "text");
	return json_equals(&type, "text") && text_r->kind == JSON_STRING;
}

/* A chat's content in parts: its text parts, as one string. */
static void add_parts(struct bytes *out, const struct atom_span *content)
{
	struct json_value parts = { .at = content->bytes,
				    .length = content->length,
				    .kind = JSON_ARRAY };
	struct json_value part, text;
	bool first = true;
	size_t at = 0;

	bytes_append_text(out, "\"");
	while (json_next_element(&parts, &at, &part)) {
		if (!part_text(&part, &text))
			continue;
		if (!first)
			bytes_append_text(out, "\\n");
		first = false;
		bytes_append(out, text.at + 1, text.length - 2);
	}
	bytes_append_text(out, "\"");
}

static void add_input(struct bytes *out,
		      const struct atom_call_request *request)
{
	const struct atom_span *input = &request->input;

	bytes_append_text(out, ",\"input\":");
	if (input->length == 0)
		bytes_append_text(out, "\"\"");
	else if ((request->flags & ATOM_CALL_INVOKE) == 0 &&
		 input->bytes[0] == '[')
		add_parts(out, input);
	else
		bytes_append_json(out, input->bytes, input->length);
}

static void add_session(struct bytes *out,
			const struct atom_call_request *request)
{
	if (request->session_id[0] == '\0')
		return;
	add_string(out, ",\"session\":{\"id\":", request->session_id);
	bytes_append_text(out, ",\"state\":");
	if (request->state.length == 0)
		bytes_append_text(out, "null");
	else
		bytes_append_json(out, request->state.bytes,
				  request->state.length);
	bytes_append_text(out, "}");
}

static void add_meta(struct bytes *out, const struct atom_call_request *request)
{
	add_string(out, ",\"meta\":{\"request_id\":", request->request_id);
	if (request->traceparent[0] != '\0')
		add_string(out, ",\"traceparent\":", request->traceparent);
	if (request->model[0] != '\0')
		add_string(out, ",\"model\":", request->model);
	if (request->max_tokens > 0)
		add_number(out, ",\"max_tokens\":", request->max_tokens);
	if ((request->flags & ATOM_CALL_PROBE) != 0)
		bytes_append_text(out, ",\"probe\":true");
	add_flag(out,
		 ",\"dry_run\":", (request->flags & ATOM_CALL_DRY_RUN) != 0);
	bytes_append_text(out, "}");
}

atom_status send_call(struct worker *w, const struct call *call,
		      const struct atom_call_request *request,
		      struct atom_error *err)
{
	struct bytes *out = &w->output;
	atom_status status;
	size_t length;

	begin_line(w, "call");
	add_id(w, call);
	add_string(out, ",\"agent\":", request->agent);
	add_input(out, request);
	bytes_append_text(out, ",\"messages\":");
	if (request->messages.length == 0)
		bytes_append_text(out, "[]");
	else
		bytes_append_json(out, request->messages.bytes,
				  request->messages.length);
	add_flag(out, ",\"stream\":", call->stream);
	add_number(out, ",\"deadline_ms\":", request->deadline_ms);
	add_number(out, ",\"attempt\":", request->attempt);
	add_session(out, request);
	add_meta(out, request);
	length = out->length + 2;
	status = end_line(w);
	switch (status) {
	case ATOM_OK:
		return ATOM_OK;
	case ATOM_ELIMIT:
		if (length <= SEND_MAX)
			return atom_fail(err, ATOM_EBUSY,
					 "the worker %s does not read what it "
					 "is sent",
					 w->name);
		status = atom_fail(err, ATOM_ELIMIT,
				   "the call is a line of %zu bytes; a worker "
				   "takes at most %zu",
				   length, SEND_MAX);
		if (err != NULL)
			(void)snprintf(err->code, sizeof(err->code),
				       "too_large");
		return status;
	case ATOM_ENOMEM:
		return atom_fail(err, ATOM_ENOMEM, "process: no memory");
	default:
		status = atom_fail(err, ATOM_EUNAVAILABLE,
				   "the worker %s ended before the call "
				   "reached it",
				   w->name);
		if (err != NULL)
			(void)snprintf(err->code, sizeof(err->code),
				       "worker_lost");
		return status;
	}
}

void send_cancel(struct worker *w, const struct call *call, const char *reason)
{
	begin_line(w, "cancel");
	add_id(w, call);
	add_string(&w->output, ",\"reason\":", reason);
	end_short_line(w);
}

void send_credit(struct worker *w, const struct call *call, int32_t chunks)
{
	begin_line(w, "credit");
	add_id(w, call);
	add_number(&w->output, ",\"n\":", chunks);
	end_short_line(w);
}

void send_ping(struct worker *w)
{
	begin_line(w, "ping");
	add_number(&w->output, ",\"n\":", ++w->ping_number);
	end_short_line(w);
}

void send_drain(struct worker *w)
{
	begin_line(w, "drain");
	end_short_line(w);
}
