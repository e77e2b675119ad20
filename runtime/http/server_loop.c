/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each loop keeps for the server: queues of waiting connections by
 * deadline, pools of the objects that come and go with every request, and the
 * date.
 */
#include <string.h>
#include <time.h>

#include "core/memory.h"
#include "core/os.h"
#include "http/server_priv.h"

/* --- queues -------------------------------------------------------------- */

static void queue_arm(struct http_queue *q)
{
	int64_t now = loop_now_ms(q->owner->loop);

	/*
	 * A timer that is pending fires for a connection that may have moved
	 * on since; then it is set again.  So a request costs no timer.
	 */
	if (!q->first || timer_pending(&q->timer))
		return;
	/* Without memory for a timer the next entry tries again. */
	(void)timer_set(
		q->owner->loop, &q->timer,
		q->first->deadline_ms > now ? q->first->deadline_ms - now : 0);
}

static void queue_fire(struct timer *timer)
{
	struct http_queue *q = CONTAINER_OF(timer, struct http_queue, timer);
	enum http_phase phase = (enum http_phase)(q - q->owner->queues);
	int64_t now = loop_now_ms(q->owner->loop);

	while (q->first && q->first->deadline_ms <= now) {
		struct http_connection *c = q->first;

		http_wait_end(c);
		http_connection_expired(c, phase);
	}
	queue_arm(q);
}

void http_wait_end(struct http_connection *c)
{
	struct http_queue *q;

	if (c->phase < 0)
		return;
	q = &c->owner->queues[c->phase];
	*(c->previous ? &c->previous->next : &q->first) = c->next;
	*(c->next ? &c->next->previous : &q->last) = c->previous;
	c->previous = c->next = NULL;
	c->phase = -1;
}

void http_wait(struct http_connection *c, enum http_phase phase)
{
	struct http_queue *q = &c->owner->queues[phase];

	http_wait_end(c);
	c->phase = (int8_t)phase;
	c->deadline_ms = loop_now_ms(c->owner->loop) + q->timeout_ms;
	c->previous = q->last;
	*(q->last ? &q->last->next : &q->first) = c;
	q->last = c;
	if (q->timeout_ms)
		queue_arm(q);
}

void http_queues_init(struct http_loop *owner)
{
	const struct http_limits *limits = &owner->server->limits;
	const int64_t timeouts[PHASE_COUNT] = {
		[PHASE_HANDSHAKE] = limits->tls_handshake_ms,
		[PHASE_HEAD] = limits->head_timeout_ms,
		[PHASE_BODY] = limits->body_stall_ms,
		[PHASE_IDLE] = limits->idle_timeout_ms,
		[PHASE_CALL] = 0,
		[PHASE_WRITE] = limits->write_stall_ms,
		[PHASE_HEARTBEAT] = limits->heartbeat_ms,
		[PHASE_LINGER] = HTTP_LINGER_MS,
		[PHASE_GRACE] = HTTP_GRACE_MS,
	};

	for (int i = 0; i < PHASE_COUNT; i++) {
		owner->queues[i].owner = owner;
		owner->queues[i].timeout_ms = timeouts[i];
		owner->queues[i].timer.fire = queue_fire;
	}
}

void http_queues_stop(struct http_loop *owner)
{
	for (int i = 0; i < PHASE_COUNT; i++)
		timer_stop(&owner->queues[i].timer);
}

/* --- pools ---------------------------------------------------------------- */

struct http_connection *http_connection_alloc(struct http_loop *owner)
{
	struct http_connection *c = owner->free_connections;

	if (c) {
		owner->free_connections = c->next;
		owner->free_connection_count--;
		memset(c, 0, sizeof(*c));
	} else {
		c = mem_zalloc(sizeof(*c));
	}
	if (c) {
		c->owner = owner;
		c->phase = -1;
	}
	return c;
}

void http_connection_free(struct http_connection *c)
{
	struct http_loop *owner = c->owner;

	if (owner->free_connection_count >= HTTP_POOL_MAX) {
		mem_free(c);
		return;
	}
	c->next = owner->free_connections;
	owner->free_connections = c;
	owner->free_connection_count++;
}

static struct http_message *message_alloc(struct http_loop *owner)
{
	struct http_message *m = owner->free_messages;

	if (!m)
		return mem_alloc(sizeof(*m));
	owner->free_messages = m->next_free;
	owner->free_message_count--;
	return m;
}

void http_message_free(struct http_request *r)
{
	struct http_loop *owner = r->owner;
	struct http_message *m = TAKE(r->message);

	if (!m)
		return;
	if (r->in != m->bytes)
		mem_free(r->in);
	r->in = NULL;
	r->head = NULL;
	if (owner->free_message_count >= HTTP_POOL_MAX) {
		mem_free(m);
		return;
	}
	m->next_free = owner->free_messages;
	owner->free_messages = m;
	owner->free_message_count++;
}

struct http_request *http_request_alloc(struct http_connection *c)
{
	struct http_loop *owner = c->owner;
	struct http_message *m = message_alloc(owner);
	struct http_request *r = owner->free_requests;

	if (!m)
		return NULL;
	if (r) {
		owner->free_requests = r->next_free;
		owner->free_request_count--;
	} else {
		r = mem_alloc(sizeof(*r));
	}
	if (!r) {
		mem_free(m);
		return NULL;
	}
	memset(r, 0, sizeof(*r));
	r->connection = c;
	r->owner = owner;
	r->message = m;
	r->head = &m->head;
	r->in = m->bytes;
	r->in_size = sizeof(m->bytes);
	http_head_init_request(&m->head,
			       (uint32_t)owner->server->limits.head_max);
	m->head.fields_max = (uint16_t)owner->server->limits.fields_max;
	return r;
}

void http_request_free(struct http_request *r)
{
	struct http_loop *owner = r->owner;

	http_message_free(r);
	mem_free(r->body);
	mem_free(r->ahead);
	mem_free(r->added_heap);
	if (owner->free_request_count >= HTTP_POOL_MAX) {
		mem_free(r);
		return;
	}
	r->next_free = owner->free_requests;
	owner->free_requests = r;
	owner->free_request_count++;
}

void http_pools_fini(struct http_loop *owner)
{
	while (owner->free_connections) {
		struct http_connection *c = owner->free_connections;

		owner->free_connections = c->next;
		mem_free(c);
	}
	while (owner->free_requests) {
		struct http_request *r = owner->free_requests;

		owner->free_requests = r->next_free;
		mem_free(r);
	}
	while (owner->free_messages) {
		struct http_message *m = owner->free_messages;

		owner->free_messages = m->next_free;
		mem_free(m);
	}
	while (owner->free_outputs) {
		void *bytes = owner->free_outputs;

		memcpy(&owner->free_outputs, bytes, sizeof(void *));
		mem_free(bytes);
	}
}

/* --- the rest --------------------------------------------------------------- */

/* IMF-fixdate, RFC 9110 section 5.6.7; strftime would follow the locale. */
static void date_make(int64_t realtime_ms, char out[32])
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t seconds = (time_t)(realtime_ms / 1000);
	struct tm t;

	gmtime_r(&seconds, &t);
	snprintf(out, 32, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
		 days + t.tm_wday * 3, (unsigned int)t.tm_mday % 100,
		 months + t.tm_mon * 3,
		 (unsigned int)(t.tm_year + 1900) % 10000,
		 (unsigned int)t.tm_hour % 100, (unsigned int)t.tm_min % 100,
		 (unsigned int)t.tm_sec % 100);
}

const char *http_date(struct http_loop *owner)
{
	int64_t now = loop_now_ms(owner->loop);

	if (now >= owner->date_until_ms) {
		int64_t realtime_ms = os.realtime_ms();

		date_make(realtime_ms, owner->date);
		owner->date_until_ms = now + 1000 - realtime_ms % 1000;
	}
	return owner->date;
}

void http_loop_settle(struct http_loop *owner)
{
	if (!owner->draining || owner->drained_told || owner->connections)
		return;
	owner->drained_told = true;
	loop_post(loop_control(), &owner->drained_message);
}
