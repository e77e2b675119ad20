/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "openai.h"

/* A call from invoke to finish. */

/* A stream's connection is kept when its answer ends this soon after
 * [DONE]; the caller does not wait longer for it. */
#define LINGER_MS 200

/* The calls of this thread's loop, by handle. */
#define BUCKETS 1024
static _Thread_local struct call *calls[BUCKETS];

static struct call **bucket_of(atom_call handle)
{
	return &calls[(handle ^ handle >> 16 ^ handle >> 32) % BUCKETS];
}

static struct call *find(atom_call handle)
{
	struct call *call = *bucket_of(handle);

	while (call != NULL && call->handle != handle)
		call = call->next;
	return call;
}

static struct call *call_new(struct openai *o, atom_call handle,
			     const struct atom_call_request *request)
{
	struct call *call = calloc(1, sizeof(*call));
	struct call **bucket = bucket_of(handle);

	if (call == NULL)
		return NULL;
	call->openai = o;
	call->handle = handle;
	call->flags = request->flags;
	call->usage.struct_size = sizeof(call->usage);
	bytes_init(&call->body, ANSWER_MAX);
	sse_init(&call->sse);
	call->next = *bucket;
	*bucket = call;
	return call;
}

static void call_free(struct call *call)
{
	struct call **link = bucket_of(call->handle);

	while (*link != call)
		link = &(*link)->next;
	*link = call->next;
	if (call->timer != NULL)
		call->openai->timer->free(&call->timer);
	bytes_fini(&call->body);
	sse_fini(&call->sse);
	free(call->error);
	free(call);
}

/* --- the end ---------------------------------------------------------------------- */

static void tell_failure(struct openai *o, atom_call handle,
			 const struct atom_error *error)
{
	struct atom_error lost = ATOM_ERROR_INIT;

	if (error == NULL) {
		atom_fail(&lost, ATOM_ENOMEM, "openai: no memory");
		error = &lost;
	}
	o->backend->finish(o->host, handle, error->status, error);
}

static void finish(struct call *call)
{
	struct openai *o = call->openai;
	struct atom_error *error = call->error;
	struct atom_usage usage = call->usage;
	atom_call handle = call->handle;
	int tell_usage = call->usage_known || call->finish_seen;
	int failed = call->failed;

	call->error = NULL;
	if (!call->usage_known)
		usage.input_tokens = usage.output_tokens = -1;
	call_free(call);
	if (tell_usage)
		o->backend->usage(o->host, handle, &usage);
	if (failed)
		tell_failure(o, handle, error);
	else
		o->backend->finish(o->host, handle, ATOM_OK, NULL);
	free(error);
}

/* The transfer ended well; did the answer? */
static void judge_stream(struct call *call)
{
	struct sse_event event;
	enum sse_result result = SSE_MORE;

	if (!call->done)
		result = sse_end(&call->sse, &event);
	if (result == SSE_EVENT && !chunk_take(call, &event))
		return;
	if (result == SSE_LONG || result == SSE_NO_MEMORY)
		atom_fail(failure_of(call), ATOM_EPROTO,
			  "openai: the provider's stream ended within an "
			  "event");
	else if (!call->done && !call->finish_seen)
		atom_fail(failure_of(call), ATOM_EIO,
			  "openai: the provider's stream ended before the "
			  "answer did");
}

static void on_end(void *argument, atom_status status, int32_t request_sent,
		   const struct atom_error *error)
{
	struct call *call = argument;

	(void)request_sent;
	if (call->failed || call->done) {
		/* Given up, or complete before its transfer was. */
	} else if (call->answer == ANSWER_ERROR) {
		failure_of_answer(call);
	} else if (status != ATOM_OK) {
		*failure_of(call) = *error;
	} else if (call->answer == ANSWER_STREAM) {
		judge_stream(call);
	} else {
		(void)whole_take(call);
	}
	if (!call->failed)
		chunk_end_text(call);
	finish(call);
}

/* It has failed; the transfer's end is the call's. */
static void give_up(struct call *call)
{
	call->openai->http->cancel(call->transfer);
}

/* --- the answer -------------------------------------------------------------------- */

static void on_head(void *argument, struct atom_http_transfer *transfer,
		    int32_t status)
{
	struct call *call = argument;
	const char *type = call->openai->http->header(transfer, "content-type");

	call->http_status = status;
	call->transfer = transfer;
	if (status < 200 || status > 299)
		call->answer = ANSWER_ERROR;
	else if ((call->flags & ATOM_CALL_STREAM) != 0 &&
		 (type == NULL || strncasecmp(type, "application/json", 16)))
		call->answer = ANSWER_STREAM;
	else
		call->answer = ANSWER_WHOLE;
}

static void on_linger_end(void *argument)
{
	give_up(argument);
}

/* [DONE] has come: the answer's own end should be right behind. */
static void linger(struct call *call)
{
	struct openai *o = call->openai;

	if (call->timer != NULL)
		return;
	if (o->timer->create(o->host, on_linger_end, call, &call->timer,
			     NULL) != ATOM_OK)
		give_up(call);
	else
		o->timer->set(call->timer, LINGER_MS, 0);
}

static void stream_data(struct call *call, const char *bytes, size_t length)
{
	const char *end = bytes + length;
	struct sse_event event;
	enum sse_result result = SSE_MORE;

	while (!call->done && (result = sse_next(&call->sse, &bytes, end,
						 &event)) == SSE_EVENT) {
		if (!chunk_take(call, &event)) {
			give_up(call);
			return;
		}
	}
	if (call->done) {
		linger(call);
		return;
	}
	if (result == SSE_LONG)
		atom_fail(failure_of(call), ATOM_EPROTO,
			  "openai: the provider's stream holds an event over "
			  "%zu bytes",
			  SSE_EVENT_MAX);
	else if (result == SSE_NO_MEMORY)
		atom_fail(failure_of(call), ATOM_ENOMEM, "openai: no memory");
	if (call->failed)
		give_up(call);
}

static void on_data(void *argument, struct atom_http_transfer *transfer,
		    const char *bytes, size_t length)
{
	struct call *call = argument;
	atom_status status;

	(void)transfer;
	if (call->answer == ANSWER_STREAM) {
		stream_data(call, bytes, length);
		return;
	}
	if (call->answer == ANSWER_ERROR &&
	    call->body.length + length > ERROR_BODY_MAX) {
		failure_of_answer(call);
		give_up(call);
		return;
	}
	status = bytes_append(&call->body, bytes, length);
	if (status == ATOM_OK)
		return;
	atom_fail(failure_of(call), status,
		  status == ATOM_ELIMIT
			  ? "openai: the provider's answer is over %zu bytes"
			  : "openai: no memory for an answer (over %zu bytes)",
		  status == ATOM_ELIMIT ? (size_t)ANSWER_MAX
					: call->body.length);
	give_up(call);
}

static const struct atom_http_events events = {
	.struct_size = sizeof(events),
	.head = on_head,
	.data = on_data,
	.end = on_end,
};

/* --- the request ----------------------------------------------------------------------- */

/* A field of this request alone; left out when it would not be sound. */
static void add_field(const char **fields, size_t *count, char *text,
		      size_t size, const char *name, const char *value)
{
	int length = snprintf(text, size, "%s: %s", name, value);

	if (value[0] == '\0' || length < 0 || (size_t)length >= size)
		return;
	for (const char *at = value; *at != '\0'; at++)
		if (*at < ' ' || *at == 127)
			return;
	fields[(*count)++] = text;
}

static int32_t to_ms(int64_t ms)
{
	return ms <= 0 ? 0 : ms < INT32_MAX ? (int32_t)ms : INT32_MAX;
}

static atom_status start(struct call *call,
			 const struct atom_call_request *request,
			 struct atom_error *err)
{
	struct openai *o = call->openai;
	int stream = (request->flags & ATOM_CALL_STREAM) != 0;
	const char *fields[OPTION_FIELDS_MAX + 8];
	char request_id[256], traceparent[128];
	size_t count = o->field_count;
	struct request_body body;
	struct atom_http_request http = {
		.struct_size = sizeof(http),
		.flags = o->options->verify_tls ? 0 : ATOM_HTTP_INSECURE,
		.method = "POST",
		.url = o->url,
		.headers = fields,
		.body = body.pieces,
		.proxy = o->options->proxy,
		.ca_file = o->ca_file,
		.connect_ms = to_ms(request->connect_ms),
		.total_ms = to_ms(request->deadline_ms),
		.head_ms = stream ? to_ms(request->first_token_ms) : 0,
		.answer_max = stream ? UINT64_MAX : ANSWER_MAX,
	};
	atom_status status = request_body(call, request, &body, err);

	if (status != ATOM_OK)
		return status;
	/* A provider may send its head at once and think afterwards. */
	if (stream && request->stall_ms > 0)
		http.stall_ms =
			to_ms(request->stall_ms > request->first_token_ms
				      ? request->stall_ms
				      : request->first_token_ms);
	memcpy(fields, o->fields, count * sizeof(fields[0]));
	fields[count++] = stream ? "Accept: text/event-stream"
				 : "Accept: application/json";
	add_field(fields, &count, request_id, sizeof(request_id),
		  "x-request-id", request->request_id);
	add_field(fields, &count, traceparent, sizeof(traceparent),
		  "traceparent", request->traceparent);
	http.header_count = count;
	http.body_count = body.count;
	return o->http->start(o->host, &http, &events, call, &call->transfer,
			      err);
}

atom_status call_begin(struct openai *o, atom_call handle,
		       struct atom_error *err)
{
	const struct atom_call_request *request =
		o->backend->request(o->host, handle);
	struct call *call;
	atom_status status;

	if (request == NULL)
		return atom_fail(err, ATOM_ESTATE,
				 "openai: the call has ended already");
	call = call_new(o, handle, request);
	if (call == NULL)
		return atom_fail(err, ATOM_ENOMEM, "openai: no memory");
	status = start(call, request, err);
	if (status != ATOM_OK)
		call_free(call);
	return status;
}

void call_cancel(atom_call handle)
{
	struct call *call = find(handle);

	if (call == NULL)
		return;
	atom_fail(failure_of(call), ATOM_ECANCELED, "openai: cancelled");
	give_up(call);
}

void call_resume(atom_call handle)
{
	struct call *call = find(handle);

	if (call != NULL)
		call->openai->http->resume(call->transfer);
}
