/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server as control sees it: made, drained, freed.
 *
 * A drain runs in steps, each of which is over on all loops before the next
 * begins: the listeners take what waits and close; the loops close what is
 * idle and let the rest finish; at the deadline what is left is cut.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "http/server_priv.h"

const struct http_limits http_limits_default = {
	.head_max = HTTP_HEAD_BYTES,
	.fields_max = HTTP_FIELDS_MAX,
	.body_max = 10 * 1024 * 1024,
	.head_timeout_ms = 10000,
	.body_stall_ms = 10000,
	.body_rate_min = 240,
	.idle_timeout_ms = 75000,
	.write_stall_ms = 60000,
	.tls_handshake_ms = 10000,
	.heartbeat_ms = 15000,
	.stream_high_bytes = 256 * 1024,
	.descriptors_max = 0,
};

/* --- on the loops ------------------------------------------------------------- */

static void close_all(struct http_loop *owner, enum http_phase phase)
{
	/* Closing may let others move; those are met again. */
	while (owner->queues[phase].first)
		http_connection_close(owner->queues[phase].first);
}

/* New connections that have not sent a byte yet may have a request on its
 * way; they get a moment. */
static void shorten_fresh(struct http_loop *owner)
{
	struct http_connection *c = owner->queues[PHASE_HEAD].first;

	while (c) {
		struct http_connection *next = c->next;

		if (c->state == CONNECTION_IDLE)
			http_wait(c, PHASE_GRACE);
		c = next;
	}
}

static void drain_deliver(struct loop *loop, struct message *message)
{
	struct http_loop *owner =
		CONTAINER_OF(message, struct http_loop, drain_message);

	(void)loop;
	owner->draining = true;
	close_all(owner, PHASE_IDLE);
	shorten_fresh(owner);
	http_loop_settle(owner);
}

static void cut(struct http_loop *owner)
{
	for (int phase = 0; phase < PHASE_COUNT; phase++)
		close_all(owner, (enum http_phase)phase);
}

static void cut_deliver(struct loop *loop, struct message *message)
{
	struct http_loop *owner =
		CONTAINER_OF(message, struct http_loop, cut_message);

	(void)loop;
	owner->draining = true;
	cut(owner);
	http_loop_settle(owner);
}

static void loop_stops(void *argument)
{
	struct http_loop *owner = argument;

	owner->stopped = true;
	while (owner->sockets)
		http_socket_stop(owner->sockets);
	cut(owner);
	http_flush_all(owner);
	http_queues_stop(owner);
	uv_close((uv_handle_t *)&owner->prepare, NULL);
}

static void before_poll(uv_prepare_t *prepare)
{
	http_flush_all(CONTAINER_OF(prepare, struct http_loop, prepare));
}

/* --- draining, as control sees it ------------------------------------------------ */

static bool listeners_are_closed(const struct http_server *server)
{
	for (const struct http_listener *l = server->listeners; l; l = l->next)
		if (l->open_sockets)
			return false;
	return true;
}

void http_drain_step(struct http_server *server)
{
	if (!server->draining || server->drain_posted ||
	    !listeners_are_closed(server))
		return;
	server->drain_posted = true;
	for (unsigned int i = 0; i < server->loop_count; i++)
		loop_post(server->loops[i].loop,
			  &server->loops[i].drain_message);
}

static void drained_deliver(struct loop *loop, struct message *message)
{
	struct http_loop *owner =
		CONTAINER_OF(message, struct http_loop, drained_message);
	struct http_server *server = owner->server;

	(void)loop;
	if (++server->loops_drained < server->loop_count)
		return;
	timer_stop(&server->drain_timer);
	if (server->drained)
		server->drained(server->drained_argument);
}

static void drain_deadline(struct timer *timer)
{
	struct http_server *server =
		CONTAINER_OF(timer, struct http_server, drain_timer);

	log_line(ATOM_LOG_WARN, "drain_deadline",
		 "closing connections that are still in use",
		 LOG_NUMBER("connections", http_server_connections(server)));
	for (unsigned int i = 0; i < server->loop_count; i++)
		loop_post(server->loops[i].loop, &server->loops[i].cut_message);
}

void http_server_drain(struct http_server *server, int64_t deadline_ms,
		       void (*drained)(void *argument), void *argument)
{
	if (server->draining)
		return;
	server->draining = true;
	server->drained = drained;
	server->drained_argument = argument;
	if (timer_set(loop_control(), &server->drain_timer, deadline_ms) !=
	    ATOM_OK)
		drain_deadline(&server->drain_timer);
	for (struct http_listener *l = server->listeners; l; l = l->next)
		if (!l->retired)
			http_listener_retire(l, true);
	http_drain_step(server);
}

/* --- life -------------------------------------------------------------------------- */

/* The rest of the daemon has a quarter, or as many as it can use. */
static unsigned int descriptors_max(const struct http_server *server)
{
	struct rlimit limit = { 1024, 1024 };
	rlim_t usable, rest;

	if (server->limits.descriptors_max)
		return server->limits.descriptors_max;
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	usable = limit.rlim_cur > 1000000 ? 1000000 : limit.rlim_cur;
	rest = usable / 4;
	if (rest > HTTP_OTHERS_MAX)
		rest = HTTP_OTHERS_MAX;
	usable = (usable - rest) / server->loop_count;
	return usable > 64 ? (unsigned int)usable : 64;
}

static atom_status loop_init(struct http_server *server, unsigned int index,
			     struct atom_error *err)
{
	struct http_loop *owner = &server->loops[index];

	owner->server = server;
	owner->loop = loops_get(index);
	owner->descriptors_max = descriptors_max(server);
	owner->date_until_ms = INT64_MIN;
	owner->drain_message.deliver = drain_deliver;
	owner->cut_message.deliver = cut_deliver;
	owner->drained_message.deliver = drained_deliver;
	http_queues_init(owner);
	owner->spare_fd = os.open("/dev/null", O_RDONLY | O_CLOEXEC, 0);
	if (loop_at_stop(owner->loop, loop_stops, owner) != ATOM_OK)
		return atom_fail(err, ATOM_ENOMEM, "HTTP server: no memory");
	/* Neither call fails: libuv documents it. */
	uv_prepare_init(loop_uv(owner->loop), &owner->prepare);
	uv_prepare_start(&owner->prepare, before_poll);
	return ATOM_OK;
}

static void bound_limits(struct http_limits *limits)
{
	if (limits->fields_max > HTTP_FIELDS_MAX)
		limits->fields_max = HTTP_FIELDS_MAX;
	if (limits->head_max > HTTP_HEAD_CEILING)
		limits->head_max = HTTP_HEAD_CEILING;
}

static double open_connections(void *server)
{
	return (double)http_server_connections(server);
}

/* --- TLS, by the clock ------------------------------------------------------------ */

/* Looks at the certificates' ends, and makes new keys for tickets. */
static void on_tls_timer(struct timer *timer)
{
	struct http_server *server =
		CONTAINER_OF(timer, struct http_server, tls_timer);
	struct atom_error err = ATOM_ERROR_INIT;
	int64_t now_ms = loop_now_ms(loop_control());

	if (now_ms - server->tickets_made_ms >= HTTP_TICKETS_MS) {
		server->tickets_made_ms = now_ms;
		if (http_tickets_rotate(&err) != ATOM_OK)
			log_line(ATOM_LOG_ERROR, "tls_tickets", err.message);
	}
	http_expiry_check(server);
	(void)timer_set(loop_control(), timer, HTTP_TLS_TIMER_MS);
}

static atom_status tls_init(struct http_server *server, struct atom_error *err)
{
	atom_status status = http_tickets_rotate(err);

	if (status == ATOM_OK)
		status = http_expiry_init(err);
	server->tls_timer.fire = on_tls_timer;
	server->tickets_made_ms = loop_now_ms(loop_control());
	if (status == ATOM_OK && timer_set(loop_control(), &server->tls_timer,
					   HTTP_TLS_TIMER_MS) != ATOM_OK)
		status = atom_fail(err, ATOM_ENOMEM, "HTTP server: no memory");
	return status;
}

atom_status http_server_new(const struct http_limits *limits,
			    const struct http_handler *handler,
			    struct http_server **server_r,
			    struct atom_error *err)
{
	struct http_server *server = mem_zalloc(sizeof(*server));
	atom_status status = http_metrics_init(err);

	if (status != ATOM_OK)
		goto out;
	if (server)
		server->loops =
			mem_array(loops_serving(), sizeof(*server->loops));
	if (!server || !server->loops) {
		status = atom_fail(err, ATOM_ENOMEM, "HTTP server: no memory");
		goto out;
	}
	/* OpenSSL writes to sockets without MSG_NOSIGNAL. */
	(void)signal(SIGPIPE, SIG_IGN);
	server->limits = *limits;
	bound_limits(&server->limits);
	server->handler = *handler;
	server->loop_count = loops_serving();
	server->drain_timer.fire = drain_deadline;
	for (unsigned int i = 0; i < server->loop_count; i++) {
		status = loop_init(server, i, err);
		if (status != ATOM_OK)
			break;
	}
	if (status == ATOM_OK)
		status = tls_init(server, err);
	if (status == ATOM_OK &&
	    metric_gauge_callback("atomd_http_connections", "Open connections.",
				  open_connections, server) != ATOM_OK)
		status = atom_fail(err, ATOM_EEXIST,
				   "HTTP server: there is one already, or no "
				   "memory for its metrics");
	*server_r = server;
	return status;
out:
	if (server)
		mem_free(server->loops);
	mem_free(server);
	return status;
}

void http_server_free(struct http_server **server_r)
{
	struct http_server *server = TAKE(*server_r);

	if (!server)
		return;
	while (server->listeners) {
		struct http_listener *l = server->listeners;

		server->listeners = l->next;
		http_listener_unlink(l);
		http_listener_free(l);
	}
	for (unsigned int i = 0; i < server->loop_count; i++) {
		if (server->loops[i].spare_fd >= 0)
			os.close(server->loops[i].spare_fd);
		http_pools_fini(&server->loops[i]);
	}
	timer_stop(&server->tls_timer);
	http_tickets_fini();
	mem_free(server->loops);
	mem_free(server);
}

uint64_t http_server_connections(const struct http_server *server)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < server->loop_count; i++)
		n += atomic_load_explicit(&server->loops[i].connections_shown,
					  memory_order_relaxed);
	return n;
}
