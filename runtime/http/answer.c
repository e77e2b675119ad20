/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer: its head, its body at once or as a stream, and the answers that
 * the server gives by itself.
 */
#include <assert.h>
#include <string.h>

#include "core/log.h"
#include "core/memory.h"
#include "http/parse_priv.h"
#include "http/server_priv.h"

/* Lines about refused requests that one loop writes in a second. */
#define REFUSALS_LOGGED	 10
#define CONTENT_TYPE_MAX 256

/* --- the head ----------------------------------------------------------------- */

/* A head under construction; the scratch buffer is larger than any head. */
struct writer {
	char *at;
};

static void put(struct writer *w, const char *bytes, size_t length)
{
	memcpy(w->at, bytes, length);
	w->at += length;
}

#define PUT(w, literal) put(w, literal, sizeof(literal) - 1)

static void put_text(struct writer *w, const char *text)
{
	put(w, text, strlen(text));
}

static void put_number(struct writer *w, uint64_t number)
{
	char digits[20];
	size_t n = sizeof(digits);

	do {
		digits[--n] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	put(w, digits + n, sizeof(digits) - n);
}

static const char *sound_type(const char *content_type)
{
	size_t length = content_type ? strlen(content_type) : 0;

	return length < CONTENT_TYPE_MAX &&
			       http_is_printable(content_type, length)
		       ? content_type
		       : "application/octet-stream";
}

/* How the connection goes on is decided here, and kept to. */
static void put_connection(struct writer *w, struct http_request *r)
{
	struct http_connection *c = r->connection;

	if (r->next_at == 0 && r->head_read) {
		/* The body has not been read: nobody will. */
		c->close_after = true;
		c->unread = true;
	}
	r->closing = c->close_after || c->owner->draining || !r->keep_alive ||
		     r->until_close;
	if (r->closing)
		PUT(w, "Connection: close\r\n");
	else if (r->minor == 0)
		PUT(w, "Connection: keep-alive\r\n");
}

/* length < 0: a stream. */
static size_t head_make(struct http_request *r, int status,
			const char *content_type, int64_t length)
{
	struct http_loop *owner = r->owner;
	struct writer w = { owner->scratch };
	bool bodiless = status == 204 || status == 304 || status < 200;

	r->no_body = bodiless || r->method == HTTP_HEAD;
	PUT(&w, "HTTP/1.1 ");
	put_number(&w, (uint64_t)status);
	PUT(&w, " ");
	put_text(&w, http_status_phrase((unsigned int)status));
	PUT(&w, "\r\nDate: ");
	put_text(&w, http_date(owner));
	PUT(&w, "\r\n");
	if (content_type && *content_type && !bodiless) {
		PUT(&w, "Content-Type: ");
		put_text(&w, sound_type(content_type));
		PUT(&w, "\r\n");
	}
	if (length >= 0 && !bodiless) {
		PUT(&w, "Content-Length: ");
		put_number(&w, (uint64_t)length);
		PUT(&w, "\r\n");
	} else if (r->chunked_out && !bodiless) {
		PUT(&w, "Transfer-Encoding: chunked\r\n");
	}
	PUT(&w, "x-request-id: ");
	put_text(&w, r->id);
	PUT(&w, "\r\n");
	put(&w, r->added_heap ? r->added_heap : r->added, r->added_length);
	put_connection(&w, r);
	PUT(&w, "\r\n");
	r->begun = true;
	return (size_t)(w.at - owner->scratch);
}

static bool field_is_the_servers(const char *name)
{
	static const char *const ours[] = { "x-request-id", "date",
					    "content-length", "connection",
					    "transfer-encoding" };
	struct http_text text = { name, strlen(name) };

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (http_text_is(text, ours[i]))
			return true;
	return false;
}

atom_status http_add_field(struct http_request *request, const char *name,
			   const char *value)
{
	size_t name_length = strlen(name), value_length = strlen(value);
	size_t length = name_length + value_length + 4;
	struct writer w;

	if (request->begun)
		return ATOM_ESTATE;
	if (name_length == 0 || !http_all_of(name, name_length, HTTP_TOK) ||
	    !http_is_printable(value, value_length) ||
	    field_is_the_servers(name))
		return ATOM_EINVAL;
	if (request->added_length + length > HTTP_FIELDS_BYTES)
		return ATOM_ELIMIT;
	if (!request->added_heap &&
	    length > sizeof(request->added) - request->added_length) {
		request->added_heap = mem_alloc(HTTP_FIELDS_BYTES);
		if (!request->added_heap)
			return ATOM_ENOMEM;
		memcpy(request->added_heap, request->added,
		       request->added_length);
	}
	w.at = (request->added_heap ? request->added_heap : request->added) +
	       request->added_length;
	put(&w, name, name_length);
	PUT(&w, ": ");
	put(&w, value, value_length);
	PUT(&w, "\r\n");
	request->added_length += (uint16_t)length;
	return ATOM_OK;
}

void http_close_after(struct http_request *request)
{
	/* What it may have sent behind this request is thrown away. */
	request->connection->close_after = true;
	request->connection->unread = true;
}

/* --- at once -------------------------------------------------------------------- */

bool http_answered(const struct http_request *request)
{
	return request->begun;
}

void http_answer(struct http_request *request, int status,
		 const char *content_type, const void *body, size_t length)
{
	struct http_connection *c = request->connection;
	size_t head;

	assert(!request->begun);
	if (c->state == CONNECTION_CLOSED) {
		request->begun = request->ended = true;
		return;
	}
	/* Refused later than at its head: the body is thrown away. */
	if (c->state == CONNECTION_BODY && !c->running) {
		http_enter(c, CONNECTION_CALL);
		http_wait(c, PHASE_CALL);
	}
	head = head_make(request, status, content_type, (int64_t)length);
	request->ended = true;
	http_output_send(c, c->owner->scratch, head, body,
			 request->no_body ? 0 : length);
	http_connection_continue(c);
}

/* --- as a stream ------------------------------------------------------------------ */

void http_stream_begin(struct http_request *request, int status,
		       const char *content_type)
{
	struct http_connection *c = request->connection;
	size_t head;

	assert(!request->begun);
	request->begun = true;
	if (c->state == CONNECTION_CLOSED)
		return;
	request->chunked_out = request->minor > 0;
	request->until_close = !request->chunked_out;
	request->events = content_type &&
			  strncmp(content_type, "text/event-stream", 17) == 0 &&
			  request->method != HTTP_HEAD;
	request->newlines = 2;
	head = head_make(request, status, content_type, -1);
	if (request->no_body)
		request->chunked_out = false;
	(void)http_output_append(c, c->owner->scratch, head);
	http_output_flush_soon(c);
}

/* How many line ends the stream's text has at its end, carriage returns not
 * counted: two are the end of an event. */
static uint8_t newlines_after(uint8_t before, const char *bytes, size_t length)
{
	size_t from = length > 4 ? length - 4 : 0;
	uint8_t newlines = from ? 0 : before;

	for (size_t i = from; i < length; i++) {
		if (bytes[i] == '\n')
			newlines += newlines < 2;
		else if (bytes[i] != '\r')
			newlines = 0;
	}
	return newlines;
}

/* The frame of a chunk and the bytes in one piece, or the bytes alone. */
static bool chunk_append(struct http_request *r, const char *bytes,
			 size_t length)
{
	static const char digits[] = "0123456789abcdef";
	struct http_connection *c = r->connection;
	struct writer w;
	int shift = 60;

	if (!r->chunked_out)
		return http_output_append(c, bytes, length);
	w.at = http_output_room(c, length + 20);
	if (!w.at)
		return false;
	while (shift && !(length >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		*w.at++ = digits[length >> shift & 15];
	PUT(&w, "\r\n");
	put(&w, bytes, length);
	PUT(&w, "\r\n");
	c->out.end = (size_t)(w.at - c->out.bytes);
	return true;
}

atom_status http_stream_write(struct http_request *request, const void *bytes,
			      size_t length)
{
	struct http_connection *c = request->connection;

	assert(request->begun && !request->ended);
	if (c->state == CONNECTION_CLOSED || c->lost)
		return ATOM_ECANCELED;
	if (length == 0 || request->no_body)
		return ATOM_OK;
	(void)chunk_append(request, bytes, length);
	if (request->events)
		request->newlines =
			newlines_after(request->newlines, bytes, length);
	http_output_flush_soon(c);
	if (c->lost)
		return ATOM_ECANCELED;
	if (http_unsent(c) <= c->owner->server->limits.stream_high_bytes)
		return ATOM_OK;
	request->busy_told = true;
	return ATOM_EBUSY;
}

void http_stream_end(struct http_request *request, bool complete)
{
	struct http_connection *c = request->connection;

	assert(request->begun && !request->ended);
	request->ended = true;
	if (c->state == CONNECTION_CLOSED)
		return;
	if (!complete) {
		request->cut = true;
		c->close_after = true;
	} else if (request->chunked_out) {
		(void)http_output_append(c, "0\r\n\r\n", 5);
	}
	if (c->phase == PHASE_HEARTBEAT)
		http_wait(c, PHASE_CALL);
	http_output_flush_soon(c);
}

/*
 * A comment keeps proxies and clients from taking silence for death (HTML
 * standard, section 9.2.7).  It must not stand within a line; and the empty
 * line behind it would end an event that is half sent.
 */
void http_heartbeat(struct http_request *r)
{
	static const char comment[] = ": keep-alive\n\n";

	if (!r || !r->events || r->ended || r->newlines == 0 ||
	    http_unsent(r->connection))
		return;
	(void)chunk_append(r, comment, sizeof(comment) - 3 + r->newlines);
	http_output_flush_soon(r->connection);
}

/* --- the end of a request ----------------------------------------------------------- */

void http_request_release(struct http_request *request)
{
	struct http_connection *c = request->connection;

	assert(request->handed && !request->released);
	request->released = true;
	if (!request->ended && c->state != CONNECTION_CLOSED) {
		log_line(ATOM_LOG_ERROR, "http_unanswered",
			 "a request was released without an answer",
			 LOG_TEXT("request", request->id));
		if (request->begun)
			http_stream_end(request, false);
		else
			http_answer(request, 500, NULL, NULL, 0);
	}
	http_connection_continue(c);
}

/* --- answers of the server's own ------------------------------------------------------ */

/* A stranger must not be able to fill the log. */
bool http_may_log_refusal(struct http_loop *owner)
{
	int64_t now_ms = loop_now_ms(owner->loop);

	if (now_ms - owner->refusals_logged_ms >= 1000) {
		owner->refusals_logged_ms = now_ms;
		owner->refusals_logged = 0;
	}
	return owner->refusals_logged++ < REFUSALS_LOGGED;
}

static void log_refusal(struct http_connection *c, unsigned int status,
			const char *message)
{
	if (!http_may_log_refusal(c->owner))
		return;
	log_line(ATOM_LOG_INFO, "http_refused", message,
		 LOG_NUMBER("status", status), LOG_TEXT("client", c->address),
		 LOG_TEXT("listener", c->socket->listener->name),
		 LOG_TEXT("request", c->request->id));
}

/* What on_head kept for this request has no use any more. */
static void tell_gone(struct http_connection *c)
{
	struct http_request *r = c->request;
	bool running = c->running;

	if (!r->handed || r->released || r->gone_told)
		return;
	r->gone_told = true;
	if (!r->gone)
		return;
	c->running = true;
	r->gone(r);
	c->running = running;
}

void http_refuse_request(struct http_connection *c, unsigned int status,
			 enum http_refusal refusal, const char *code,
			 const char *message)
{
	struct http_request *r = c->request;
	struct buffer body = BUFFER_INIT(1024);
	size_t head;

	metric_inc(http_metrics.refused[refusal]);
	if (!r) {
		r = c->request = http_request_alloc(c);
		if (!r) {
			http_connection_close(c);
			return;
		}
	}
	if (!r->id[0])
		id_new("req_", r->id);
	log_refusal(c, status, message);
	(void)buffer_append_text(&body, "{\"error\":{\"message\":\"");
	(void)buffer_append_json(&body, message, strlen(message));
	(void)buffer_printf(
		&body,
		"\",\"type\":\"%s\",\"code\":\"%s\","
		"\"param\":null}}",
		status < 500 ? "invalid_request_error" : "server_error", code);
	c->close_after = true;
	c->unread = true;
	http_enter(c, CONNECTION_CALL);
	http_wait(c, PHASE_CALL);
	/* First: who is told releases it, and then owes no answer. */
	r->ended = true;
	tell_gone(c);
	head = head_make(r, (int)status, "application/json",
			 (int64_t)body.length);
	http_output_send(c, c->owner->scratch, head, body.bytes,
			 r->no_body ? 0 : body.length);
	buffer_fini(&body);
}
