/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request step by step: head, body, call, and what comes after the answer.
 * Each step goes as far as the bytes that have arrived, or the handler, allow.
 */
#include "core/id.h"
#include "core/os.h"
#include "http/server_priv.h"

/* May the peer still be sending, or has it sent what nobody reads? */
static bool sends_on(const struct http_connection *c)
{
	char byte;

	return !c->eof && (c->unread || http_request_left(c->request) > 0 ||
			   os.recv(c->fd, &byte, 1, MSG_PEEK) > 0);
}

/* All is written: say so, and wait for the peer's end if it may be sending. */
static void connection_end(struct http_connection *c)
{
	if (c->ssl)
		(void)SSL_shutdown(c->ssl);
	if (!sends_on(c)) {
		http_connection_close(c);
		return;
	}
	(void)shutdown(c->fd, SHUT_WR);
	http_enter(c, CONNECTION_LINGER);
	c->paused = false;
	c->linger_until_ms = loop_now_ms(c->owner->loop) + HTTP_LINGER_MAX_MS;
	c->linger_left = HTTP_LINGER_BYTES;
	http_wait(c, PHASE_LINGER);
	http_connection_arm(c);
}

static void refuse_head(struct http_connection *c)
{
	const struct http_head *head = c->request->head;
	enum http_refusal refusal = REFUSED_BAD_REQUEST;
	const char *code = "invalid_request";

	if (head->refusal == 414 || head->refusal == 431) {
		refusal = REFUSED_TOO_LARGE;
		code = "too_large";
	} else if (head->refusal > 500) {
		refusal = REFUSED_NOT_IMPLEMENTED;
		code = "not_implemented";
	}
	http_refuse_request(c, head->refusal, refusal, code, head->why);
}

void http_refuse_body(struct http_connection *c, unsigned int status,
		      const char *why)
{
	bool large = status == 413;

	http_refuse_request(c, status,
			    large ? REFUSED_TOO_LARGE : REFUSED_BAD_REQUEST,
			    large ? "too_large" : "invalid_request", why);
}

/* The body's first look: too large is said before a byte of it is read. */
static bool step_body_begin(struct http_connection *c)
{
	struct http_request *r = c->request;
	unsigned int status = 400;
	const char *why = NULL;

	http_enter(c, CONNECTION_BODY);
	switch (http_body_begin(r, &status, &why)) {
	case HTTP_PARSE_DONE:
		break;
	case HTTP_PARSE_MORE:
		http_wait(c, PHASE_BODY);
		r->body_began_ms = loop_now_ms(c->owner->loop);
		break;
	case HTTP_PARSE_REFUSED:
		http_refuse_body(c, status, why);
		return false;
	}
	return true;
}

static bool body_is_complete(const struct http_request *r)
{
	return r->next_at != 0 || r->ahead;
}

static void step_head_done(struct http_connection *c)
{
	struct http_request *r = c->request;
	const struct http_handler *handler = &c->owner->server->handler;

	id_new("req_", r->id);
	metric_inc(http_metrics.requests);
	if (!http_request_head_done(r)) {
		http_refuse_request(c, 400, REFUSED_BAD_REQUEST,
				    "invalid_request",
				    "the path is not sound UTF-8");
		return;
	}
	http_forwarded(r);
	if (!step_body_begin(c))
		return;
	if (handler->on_head) {
		r->handed = true;
		handler->on_head(r, handler->argument);
		/* Who has not answered and does not want to be told need not
		 * release what on_request has not shown. */
		r->handed = r->begun || r->gone || r->released;
	}
	if (c->state == CONNECTION_CLOSED)
		return;
	if (r->begun) {
		http_enter(c, CONNECTION_CALL);
		http_wait(c, PHASE_CALL);
	} else if (r->head->expect_continue && !r->gone &&
		   !body_is_complete(r) && r->in_end == r->head->size) {
		static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

		http_output_send(c, go_on, sizeof(go_on) - 1, NULL, 0);
	}
}

static bool step_head(struct http_connection *c)
{
	struct http_request *r = c->request;
	enum http_parse result = http_head_parse(r->head, r->in, r->in_end);

	if (result == HTTP_PARSE_MORE)
		return false;
	c->fresh = false;
	r->method = r->head->method;
	r->minor = r->head->minor;
	if (result == HTTP_PARSE_REFUSED) {
		refuse_head(c);
		return true;
	}
	r->head_read = true;
	r->keep_alive = r->head->keep_alive;
	step_head_done(c);
	return true;
}

static bool step_body(struct http_connection *c)
{
	const struct http_handler *handler = &c->owner->server->handler;

	if (!body_is_complete(c->request))
		return false;
	/* First, for it is not the one that gives way. */
	http_wait(c, PHASE_CALL);
	if (!http_place_for_one(c->owner, c->socket->listener)) {
		http_refuse_crowded(c);
		return true;
	}
	http_enter(c, CONNECTION_CALL);
	c->request->handed = true;
	handler->on_request(c->request, handler->argument);
	return true;
}

/* The answer is over: the next request, or the end. */
static bool step_call(struct http_connection *c)
{
	struct http_request *r = c->request;

	if (!r->ended || http_unsent(c))
		return false;
	if (r->cut) {
		http_connection_close(c);
		return false;
	}
	if (r->closing || c->close_after || c->eof) {
		connection_end(c);
		return false;
	}
	if (r->handed && !r->released)
		return false;
	c->paused = false;
	if (http_request_left(r) == 0) {
		c->request = NULL;
		http_request_free(r);
		http_enter(c, CONNECTION_IDLE);
		http_wait(c, PHASE_IDLE);
		http_connection_arm(c);
		if (c->owner->draining)
			http_connection_close(c);
		return false;
	}
	if (!http_request_next(r)) {
		http_connection_close(c);
		return false;
	}
	http_enter(c, CONNECTION_HEAD);
	http_wait(c, PHASE_HEAD);
	http_connection_arm(c);
	return true;
}

static bool step(struct http_connection *c)
{
	if (c->lost && c->state != CONNECTION_CLOSED) {
		http_connection_close(c);
		return false;
	}
	switch ((enum http_state)c->state) {
	case CONNECTION_HEAD:
		return step_head(c);
	case CONNECTION_BODY:
		return step_body(c);
	case CONNECTION_CALL:
		return step_call(c);
	case CONNECTION_PROXY:
	case CONNECTION_HANDSHAKE:
	case CONNECTION_IDLE:
	case CONNECTION_LINGER:
	case CONNECTION_CLOSED:
		break;
	}
	return false;
}

void http_connection_run(struct http_connection *c)
{
	if (c->running)
		return;
	c->running = true;
	while (step(c))
		;
	c->running = false;
	if (c->state == CONNECTION_CLOSED)
		http_request_leave(c);
}
