/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a connection.
 *
 *	     (proxy_protocol)   (TLS)
 *	open ──► PROXY ──► HANDSHAKE ──► IDLE ──first byte──► HEAD ──► BODY ──► CALL
 *	  └────────┴────────(plain)───────▲                    │         │       │
 *	                                  └──── keep-alive ────┼─────────┼───────┤
 *	                                       refused: 4xx ───┴────┬────┘       │
 *	                                                            ▼     last answer
 *	        CLOSED ◄── end of file, 5 s, 30 s ── LINGER ◄────────────────────┘
 *	           ▲                                                             │
 *	           └── peer gone, timeouts, the deadline of a drain ─────────────┘
 *
 * A connection without a request holds no buffer.  While the handler has a
 * request, reading goes on: it is how a client's leaving is noticed.  A
 * client that closes only its sending half counts as gone, as in nginx.
 *
 * LINGER is for clients that may still be sending: closing while their bytes
 * are unread would reset the connection, and the reset may overtake the
 * answer.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "http/server_priv.h"

static void on_poll(uv_poll_t *poll, int status, int events);

/* --- opening ------------------------------------------------------------------ */

/* The one that is in a phase the longest, if it is that for a time at all. */
static struct http_connection *longest_in(struct http_loop *owner,
					  enum http_phase phase, int64_t ms)
{
	const struct http_queue *q = &owner->queues[phase];
	int64_t since = loop_now_ms(owner->loop) - ms;

	return q->first && q->first->deadline_ms - q->timeout_ms <= since
		       ? q->first
		       : NULL;
}

/* Beyond those of everybody: an operator comes in where callers have taken all
 * there are. */
static unsigned int spare_of(const struct http_listener *listener)
{
	return listener->admin ? HTTP_REFUSED_MAX + HTTP_ADMIN_MAX : 0;
}

static bool descriptor_is_left(const struct http_loop *owner, unsigned int more)
{
	return owner->connections + owner->calls <
	       owner->descriptors_max + more;
}

/*
 * A request of one packet, or a few, needs no time: who has begun and does not
 * go on is likelier to mean harm than who will ask again.
 */
bool http_place_for_one(struct http_loop *owner,
			const struct http_listener *listener)
{
	struct http_connection *c;

	if (descriptor_is_left(owner, spare_of(listener)))
		return true;
	c = longest_in(owner, PHASE_HEAD, HTTP_PATIENCE_MS);
	if (!c)
		c = longest_in(owner, PHASE_HANDSHAKE, HTTP_PATIENCE_MS);
	if (c)
		metric_inc(http_metrics.timeouts[c->phase]);
	else
		c = longest_in(owner, PHASE_IDLE, 0);
	if (c)
		http_connection_close(c);
	return c != NULL;
}

void http_refuse_crowded(struct http_connection *c)
{
	http_refuse_request(c, 503, REFUSED_CONNECTIONS, "too_many_connections",
			    "this server has no connection left; try again");
}

static bool connection_tls(struct http_connection *c)
{
	if (!c->socket->tls)
		return true;
	c->ssl = SSL_new(c->socket->tls);
	if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1)
		return false;
	SSL_set_accept_state(c->ssl);
	c->tls_generation = c->socket->tls_generation;
	return true;
}

/* Where a PROXY header has to come first: only from whom one is taken. */
static bool connection_preface(struct http_connection *c)
{
	const struct http_listener *listener = c->socket->listener;

	if (!listener->proxy_protocol)
		return true;
	if (!c->trusted) {
		metric_inc(http_metrics.refused[REFUSED_PROXY]);
		if (http_may_log_refusal(c->owner))
			log_line(ATOM_LOG_INFO, "proxy_refused",
				 "this listener is for its trusted_proxies "
				 "alone",
				 LOG_TEXT("client", c->address),
				 LOG_TEXT("listener", listener->name));
		return false;
	}
	c->preface = mem_zalloc(sizeof(*c->preface));
	if (!c->preface)
		return false;
	http_enter(c, CONNECTION_PROXY);
	http_wait(c, c->owner->draining ? PHASE_GRACE : PHASE_HANDSHAKE);
	return true;
}

void http_connection_begin(struct http_connection *c)
{
	http_enter(c, c->ssl ? CONNECTION_HANDSHAKE : CONNECTION_IDLE);
	if (c->owner->draining)
		http_wait(c, PHASE_GRACE);
	else
		http_wait(c, c->ssl ? PHASE_HANDSHAKE : PHASE_HEAD);
}

void http_connection_open(struct http_socket *socket, int fd,
			  const struct sockaddr *address)
{
	struct http_loop *owner = socket->owner;
	bool place =
		!owner->stopped && http_place_for_one(owner, socket->listener);
	struct http_connection *c = NULL;

	if (place ||
	    (!owner->stopped && descriptor_is_left(owner, HTTP_REFUSED_MAX)))
		c = http_connection_alloc(owner);
	if (!c || uv_poll_init(loop_uv(owner->loop), &c->poll, fd) != 0) {
		metric_inc(http_metrics.refused[REFUSED_CONNECTIONS]);
		mem_free(c);
		os.close(fd);
		http_loop_settle(owner);
		return;
	}
	c->fd = fd;
	c->socket = socket;
	c->fresh = true;
	owner->connections++;
	atomic_store_explicit(&owner->connections_shown, owner->connections,
			      memory_order_relaxed);
	metric_inc(http_metrics.accepted);
	http_peer_read(c, address);
	if (!connection_tls(c) || !connection_preface(c)) {
		http_connection_close(c);
		return;
	}
	if (!c->preface)
		http_connection_begin(c);
	http_connection_arm(c);
	if (place)
		return;
	if (c->ssl) {
		metric_inc(http_metrics.refused[REFUSED_CONNECTIONS]);
		http_connection_close(c);
		return;
	}
	http_refuse_crowded(c);
	http_connection_continue(c);
}

/* --- closing ------------------------------------------------------------------- */

/* Its memory goes when nobody can reach it any more. */
static void connection_reap(struct http_connection *c)
{
	if (!c->handle_closed || c->request || c->waiting_flush || c->running)
		return;
	http_peer_close(c);
	http_connection_free(c);
}

static void on_closed(uv_handle_t *handle)
{
	struct http_connection *c =
		CONTAINER_OF(handle, struct http_connection, poll);

	c->handle_closed = true;
	connection_reap(c);
}

/* Frees the request of a closed connection, or tells its owner to. */
void http_request_leave(struct http_connection *c)
{
	struct http_request *r = c->request;
	bool running = c->running;

	if (!r)
		return;
	if (r->handed && !r->released && !r->ended && !r->gone_told) {
		r->gone_told = true;
		metric_inc(http_metrics.gone);
		if (r->gone) {
			c->running = true;
			r->gone(r);
			c->running = running;
		}
	}
	if (running || (r->handed && !r->released))
		return;
	c->request = NULL;
	http_request_free(r);
}

/* An answer that breaks off nobody may take for whole.  One with a length or in
 * chunks shows it by its missing end; where the close is the end, only a reset
 * does. */
static void break_off(const struct http_connection *c)
{
	const struct http_request *r = c->request;
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	if (r && r->until_close &&
	    (!r->ended || r->cut || c->lost || http_unsent(c)))
		(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now,
				 sizeof(now));
}

void http_connection_close(struct http_connection *c)
{
	struct http_loop *owner = c->owner;

	if (c->state == CONNECTION_CLOSED)
		return;
	break_off(c);
	http_enter(c, CONNECTION_CLOSED);
	http_wait_end(c);
	uv_close((uv_handle_t *)&c->poll, on_closed);
	SSL_free(c->ssl);
	c->ssl = NULL;
	http_certificate_free(c);
	os.close(c->fd);
	c->fd = -1;
	http_output_free(c);
	mem_free(TAKE(c->preface));
	owner->connections--;
	atomic_store_explicit(&owner->connections_shown, owner->connections,
			      memory_order_relaxed);
	http_request_leave(c);
	http_loop_settle(owner);
}

void http_connection_continue(struct http_connection *c)
{
	if (c->running)
		return;
	if (c->state == CONNECTION_CLOSED) {
		http_request_leave(c);
		connection_reap(c);
		return;
	}
	http_connection_run(c);
	/* What TLS has decrypted already no poll will tell about. */
	if (c->ssl && http_wants_input(c) && SSL_has_pending(c->ssl))
		http_connection_input(c);
}

/* --- events --------------------------------------------------------------------- */

void http_connection_arm(struct http_connection *c)
{
	int events = 0;

	if (c->state == CONNECTION_CLOSED)
		return;
	if (!c->eof)
		events = c->paused ? UV_DISCONNECT : UV_READABLE;
	if (c->blocked)
		events |= UV_WRITABLE;
	if (events == c->events)
		return;
	c->events = (uint8_t)events;
	if (events)
		(void)uv_poll_start(&c->poll, events, on_poll);
	else
		(void)uv_poll_stop(&c->poll);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct http_connection *c =
		CONTAINER_OF(poll, struct http_connection, poll);

	if (status < 0) {
		http_connection_close(c);
		return;
	}
	if (events & UV_WRITABLE && c->state != CONNECTION_HANDSHAKE) {
		http_output_flush(c);
		http_connection_flushed(c);
	}
	if (events & UV_DISCONNECT) {
		http_connection_ended(c, false);
		return;
	}
	if (events & UV_READABLE || c->state == CONNECTION_HANDSHAKE)
		http_connection_readable(c);
}

void http_connection_flushed(struct http_connection *c)
{
	struct http_request *r = c->request;
	size_t high = c->owner->server->limits.stream_high_bytes;

	if (c->state == CONNECTION_CLOSED) {
		connection_reap(c);
		return;
	}
	if (c->lost) {
		http_connection_close(c);
		return;
	}
	if (r && r->events && !r->ended && !c->blocked)
		http_wait(c, PHASE_HEARTBEAT);
	if (r && r->busy_told && !r->ended && http_unsent(c) <= high / 2) {
		r->busy_told = false;
		if (r->drain) {
			c->running = true;
			r->drain(r);
			c->running = false;
		}
	}
	http_connection_continue(c);
}

void http_connection_expired(struct http_connection *c, enum http_phase phase)
{
	metric_inc(http_metrics.timeouts[phase]);
	switch (phase) {
	case PHASE_HEAD:
		if (!c->request) {
			http_connection_close(c);
			return;
		}
		http_refuse_slow(c,
				 "the request's head did not arrive in time");
		http_connection_continue(c);
		return;
	case PHASE_BODY:
		http_refuse_slow(c, "the request's body stopped arriving");
		http_connection_continue(c);
		return;
	case PHASE_HEARTBEAT:
		http_heartbeat(c->request);
		http_wait(c, PHASE_HEARTBEAT);
		return;
	case PHASE_HANDSHAKE:
	case PHASE_IDLE:
	case PHASE_CALL:
	case PHASE_WRITE:
	case PHASE_LINGER:
	case PHASE_GRACE:
	case PHASE_COUNT:
		break;
	}
	http_connection_close(c);
}
