/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What arrives on a connection, by the state that it is in.
 */
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "http/server_priv.h"

/* Reads of one wake-up, so that one busy peer does not starve the others. */
#define READS_MAX 32

/* The peer has gone, or sends no more. */
void http_connection_ended(struct http_connection *c, bool lost)
{
	struct http_request *r = c->request;

	if (!lost && c->state == CONNECTION_CALL && r->ended) {
		/* What is left of the answer may still be wanted. */
		c->eof = true;
		http_connection_arm(c);
		http_connection_run(c);
		return;
	}
	http_connection_close(c);
}

static void linger_input(struct http_connection *c)
{
	for (int i = 0; i < READS_MAX; i++) {
		ssize_t n = http_read(c, c->owner->scratch,
				      sizeof(c->owner->scratch));

		if (n == HTTP_READ_LATER)
			break;
		if (n <= 0 || (size_t)n > c->linger_left ||
		    loop_now_ms(c->owner->loop) > c->linger_until_ms) {
			http_connection_close(c);
			return;
		}
		c->linger_left -= (size_t)n;
	}
	http_wait(c, PHASE_LINGER);
}

/* While the handler has the request: the next one, or the client's end. */
static void call_input(struct http_connection *c)
{
	struct http_request *r = c->request;
	char *room;
	size_t length = http_request_room(r, CONNECTION_CALL, &room);
	ssize_t n;

	if (length == 0) {
		c->paused = true;
		http_connection_arm(c);
		return;
	}
	n = http_read(c, room, length);
	if (n > 0)
		*(r->ahead ? &r->ahead_length : &r->in_end) += (size_t)n;
	else if (n != HTTP_READ_LATER)
		http_connection_ended(c, n == HTTP_READ_LOST);
}

/* Bytes that trickle in keep the stall timer from firing; over the same time
 * they must at least average to something. */
static bool slow_body(const struct http_connection *c)
{
	const struct http_limits *limits = &c->owner->server->limits;
	const struct http_request *r = c->request;
	int64_t elapsed_ms = loop_now_ms(c->owner->loop) - r->body_began_ms;

	return elapsed_ms > limits->body_stall_ms &&
	       (int64_t)r->body_received * 1000 / elapsed_ms <
		       limits->body_rate_min;
}

void http_refuse_slow(struct http_connection *c, const char *message)
{
	http_refuse_request(c, 408, REFUSED_TIMEOUT, "timeout", message);
}

static void body_input(struct http_connection *c, size_t n)
{
	struct http_request *r = c->request;
	unsigned int status = 400;
	const char *why = NULL;

	r->body_received += n;
	switch (http_body_more(r, n, &status, &why)) {
	case HTTP_PARSE_MORE:
		if (slow_body(c))
			http_refuse_slow(c, "the body comes too slowly");
		else
			http_wait(c, PHASE_BODY);
		break;
	case HTTP_PARSE_DONE:
		break;
	case HTTP_PARSE_REFUSED:
		http_refuse_body(c, status, why);
		break;
	}
}

static void bytes_arrived(struct http_connection *c, size_t n)
{
	struct http_request *r = c->request;

	if (c->state == CONNECTION_IDLE) {
		http_enter(c, CONNECTION_HEAD);
		r->began_ns = os.monotonic_ns();
		/* A new connection's time has run since it was accepted. */
		if (c->phase != PHASE_HEAD)
			http_wait(c, PHASE_HEAD);
	}
	if (c->state == CONNECTION_HEAD)
		r->in_end += n;
	else
		body_input(c, n);
	http_connection_run(c);
}

/* Nothing came for a request that was made in expectation. */
static void nothing_arrived(struct http_connection *c, ssize_t n)
{
	if (c->state == CONNECTION_IDLE && c->request) {
		http_request_free(c->request);
		c->request = NULL;
	}
	if (n != HTTP_READ_LATER)
		http_connection_ended(c, n == HTTP_READ_LOST);
}

void http_connection_input(struct http_connection *c)
{
	for (int i = 0; http_wants_input(c); i++) {
		char *room;
		size_t length;
		ssize_t n;

		if (i >= READS_MAX && !(c->ssl && SSL_has_pending(c->ssl)))
			break;
		/* The first bytes are read straight into a request. */
		if (c->state == CONNECTION_IDLE)
			c->request = http_request_alloc(c);
		if (!c->request) {
			http_connection_close(c);
			return;
		}
		length = http_request_room(c->request,
					   (enum http_state)c->state, &room);
		if (length == 0) {
			http_connection_close(c);
			return;
		}
		n = http_read(c, room, length);
		if (n <= 0) {
			nothing_arrived(c, n);
			return;
		}
		bytes_arrived(c, (size_t)n);
		/* A plain socket that gave less than asked for is empty. */
		if (!c->ssl && (size_t)n < length)
			break;
	}
}

static void handshake(struct http_connection *c)
{
	switch (http_tls_handshake(c)) {
	case HANDSHAKE_MORE:
		http_connection_arm(c);
		return;
	case HANDSHAKE_DONE:
		c->blocked = false;
		http_enter(c, CONNECTION_IDLE);
		if (!c->owner->draining)
			http_wait(c, PHASE_HEAD);
		http_connection_arm(c);
		http_connection_input(c);
		return;
	case HANDSHAKE_PLAIN:
		metric_inc(http_metrics.handshake_failures);
		SSL_free(c->ssl);
		c->ssl = NULL;
		c->blocked = false;
		http_refuse_request(c, 400, REFUSED_BAD_REQUEST,
				    "invalid_request",
				    "plain HTTP on a TLS port");
		http_connection_continue(c);
		return;
	case HANDSHAKE_FAILED:
		metric_inc(http_metrics.handshake_failures);
		http_connection_close(c);
		return;
	}
}

/* Byte for byte as long as the header is: what follows is TLS's or the
 * request's. */
static void preface_input(struct http_connection *c)
{
	struct http_preface *p = c->preface;
	struct http_proxy header = { .size = HTTP_PROXY_FIXED };
	enum http_parse result = HTTP_PARSE_MORE;

	(void)http_proxy_parse(p->bytes, p->have, &header);
	while (result == HTTP_PARSE_MORE) {
		ssize_t n = http_read_plain(c, (char *)p->bytes + p->have,
					    header.size - p->have);

		if (n == HTTP_READ_LATER)
			return;
		if (n <= 0) {
			http_connection_close(c);
			return;
		}
		p->have += (size_t)n;
		result = http_proxy_parse(p->bytes, p->have, &header);
	}
	if (result == HTTP_PARSE_REFUSED) {
		metric_inc(http_metrics.refused[REFUSED_PROXY]);
		if (http_may_log_refusal(c->owner))
			log_line(ATOM_LOG_INFO, "proxy_refused", header.why,
				 LOG_TEXT("client", c->address),
				 LOG_TEXT("listener",
					  c->socket->listener->name));
		http_connection_close(c);
		return;
	}
	http_peer_proxied(c, &header);
	mem_free(TAKE(c->preface));
	http_connection_begin(c);
}

void http_connection_readable(struct http_connection *c)
{
	switch ((enum http_state)c->state) {
	case CONNECTION_PROXY:
		preface_input(c);
		break;
	case CONNECTION_HANDSHAKE:
		handshake(c);
		break;
	case CONNECTION_IDLE:
	case CONNECTION_HEAD:
	case CONNECTION_BODY:
		http_connection_input(c);
		break;
	case CONNECTION_CALL:
		call_input(c);
		break;
	case CONNECTION_LINGER:
		linger_input(c);
		break;
	case CONNECTION_CLOSED:
		break;
	}
}
