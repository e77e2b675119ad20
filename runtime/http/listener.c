/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accepting.  A TCP listener has a socket on every loop and the kernel spreads
 * the connections (SO_REUSEPORT).  A unix or inherited socket is one: the
 * first loop accepts and hands the connections round.
 *
 * Descriptors belong to control, which lends them to the loops: an address
 * that is given up and named again in one reload keeps its sockets, and no
 * connection that waits in them is lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "http/server_priv.h"

#define ACCEPTS_MAX 64 /* of one wake-up */

/* --- handing round ------------------------------------------------------------ */

struct handoff {
	struct message message;
	struct http_socket *socket;
	int fd;
	struct sockaddr_storage address;
};

static void handoff_deliver(struct loop *loop, struct message *message)
{
	struct handoff *h = CONTAINER_OF(message, struct handoff, message);

	(void)loop;
	http_connection_open(h->socket, h->fd,
			     (const struct sockaddr *)&h->address);
	mem_free(h);
}

static void hand_over(struct http_socket *from, int fd,
		      const struct sockaddr_storage *address)
{
	struct http_listener *listener = from->listener;
	struct http_socket *to = from;
	struct handoff *h = NULL;

	if (listener->handed_round)
		to = &listener->sockets[listener->turn++ %
					listener->server->loop_count];
	if (to != from)
		h = mem_alloc(sizeof(*h));
	if (!h) {
		http_connection_open(from, fd,
				     (const struct sockaddr *)address);
		return;
	}
	h->message.deliver = handoff_deliver;
	h->socket = to;
	h->fd = fd;
	h->address = *address;
	loop_post(to->owner->loop, &h->message);
}

/* --- accepting ------------------------------------------------------------------ */

/*
 * No descriptor is left: the peer is told by a close, with the one kept in
 * reserve for that, instead of waiting in a queue that keeps the loop awake.
 */
static bool turn_one_away(struct http_socket *s)
{
	struct http_loop *owner = s->owner;
	int fd;

	metric_inc(http_metrics.refused[REFUSED_DESCRIPTORS]);
	if (owner->spare_fd < 0)
		return false;
	os.close(owner->spare_fd);
	fd = os.accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		os.close(fd);
	owner->spare_fd = os.open("/dev/null", O_RDONLY | O_CLOEXEC, 0);
	return fd >= 0;
}

/* False when nothing waits any more. */
static bool accept_one(struct http_socket *s)
{
	struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
	socklen_t length = sizeof(address);
	int fd = os.accept4(s->fd, (struct sockaddr *)&address, &length,
			    SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		hand_over(s, fd, &address);
		return true;
	}
	switch (errno) {
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		return turn_one_away(s);
	case EAGAIN:
#if EAGAIN != EWOULDBLOCK
	case EWOULDBLOCK:
#endif
	case EBADF:
	case EINVAL:
	case ENOTSOCK:
		return false;
	default:
		/* An error of that one connection, accept(2). */
		return true;
	}
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
	struct http_socket *s = CONTAINER_OF(poll, struct http_socket, poll);

	(void)events;
	if (status < 0)
		return;
	for (int i = 0; i < ACCEPTS_MAX && accept_one(s); i++)
		;
}

/* --- on the loop ------------------------------------------------------------------ */

static void open_deliver(struct loop *loop, struct message *message)
{
	struct http_socket *s =
		CONTAINER_OF(message, struct http_socket, open_message);
	int status;

	if (s->owner->stopped || s->owner->draining)
		return;
	status = uv_poll_init(loop_uv(loop), &s->poll, s->fd);
	if (status == 0) {
		s->open = true;
		s->next = s->owner->sockets;
		s->owner->sockets = s;
		status = uv_poll_start(&s->poll, UV_READABLE, on_acceptable);
	}
	if (status != 0)
		log_line(ATOM_LOG_ERROR, "http_listen_failed",
			 "this loop cannot watch the listener's socket",
			 LOG_TEXT("address", s->listener->bound),
			 LOG_TEXT("reason", uv_strerror(status)));
}

void http_socket_stop(struct http_socket *s)
{
	struct http_socket **link = &s->owner->sockets;

	while (*link != s)
		link = &(*link)->next;
	*link = s->next;
	s->open = false;
	uv_close((uv_handle_t *)&s->poll, NULL);
}

/* What waits in the socket is still taken. */
static void stop_accepting(struct http_socket *s)
{
	if (!s->open)
		return;
	while (accept_one(s))
		;
	http_socket_stop(s);
}

/* [control] No loop has it any more. */
static void release_descriptor(struct http_socket *s)
{
	if (s->ours && s->fd >= 0)
		os.close(s->fd);
	s->ours = false;
	s->fd = -1;
}

/* [control] The loop has let go of it. */
static void closed_deliver(struct loop *loop, struct message *message)
{
	struct http_socket *s =
		CONTAINER_OF(message, struct http_socket, closed_message);

	(void)loop;
	s->listener->open_sockets--;
	release_descriptor(s);
	http_drain_step(s->listener->server);
}

static void close_deliver(struct loop *loop, struct message *message)
{
	struct http_socket *s =
		CONTAINER_OF(message, struct http_socket, close_message);

	(void)loop;
	stop_accepting(s);
	if (s->last) {
		/* At once: what came from now on would be lost. */
		os.close(s->fd);
		s->fd = -1;
	}
	loop_post(loop_control(), &s->closed_message);
}

static void renew_deliver(struct loop *loop, struct message *message)
{
	struct http_socket *s =
		CONTAINER_OF(message, struct http_socket, renew_message);
	SSL_CTX *next = atomic_exchange(&s->tls_next, NULL);

	(void)loop;
	if (next) {
		SSL_CTX_free(s->tls);
		s->tls = next;
	}
}

/* --- made and freed by control ------------------------------------------------------ */

static void sockets_init(struct http_listener *listener)
{
	struct http_server *server = listener->server;

	for (unsigned int i = 0; i < server->loop_count; i++) {
		struct http_socket *s = &listener->sockets[i];

		s->listener = listener;
		s->owner = &server->loops[i];
		s->fd = -1;
		s->open_message.deliver = open_deliver;
		s->close_message.deliver = close_deliver;
		s->closed_message.deliver = closed_deliver;
		s->renew_message.deliver = renew_deliver;
	}
}

static bool copy_texts(struct http_listener *listener,
		       const struct http_listener_spec *spec)
{
	const char *const *from = spec->trusted_proxies;
	bool tls = spec->certificate && *spec->certificate;
	size_t n = 0;

	if (tls) {
		/* One file may hold both. */
		const char *key =
			spec->key && *spec->key ? spec->key : spec->certificate;

		listener->certificate = mem_strdup(spec->certificate);
		listener->key = mem_strdup(key);
		listener->client_ca =
			mem_strdup(spec->client_ca ? spec->client_ca : "");
		if (!listener->certificate || !listener->key ||
		    !listener->client_ca)
			return false;
	}
	while (from && from[n])
		n++;
	if (n == 0)
		return true;
	listener->trusted = mem_array(n + 1, sizeof(char *));
	if (!listener->trusted)
		return false;
	for (size_t i = 0; i < n; i++) {
		listener->trusted[i] = mem_strdup(from[i]);
		if (!listener->trusted[i])
			return false;
	}
	return true;
}

static atom_status listener_new(struct http_server *server,
				const struct http_listener_spec *spec,
				struct http_listener **listener_r,
				struct atom_error *err)
{
	struct http_listener *listener = mem_zalloc(sizeof(*listener));
	atom_status status = ATOM_OK;

	if (!listener)
		return atom_fail(err, ATOM_ENOMEM, "listener %s: no memory",
				 spec->address);
	listener->server = server;
	listener->admin = spec->admin;
	listener->is_unix = strncmp(spec->address, "unix:", 5) == 0;
	listener->sockets =
		mem_array(server->loop_count, sizeof(*listener->sockets));
	if (!listener->sockets) {
		status = atom_fail(err, ATOM_ENOMEM, "listener %s: no memory",
				   spec->address);
		goto out;
	}
	sockets_init(listener);
	if (strlen(spec->address) >= sizeof(listener->name)) {
		status = atom_fail(err, ATOM_EINVAL,
				   "listener address is longer than %zu bytes",
				   sizeof(listener->name) - 1);
		goto out;
	}
	memcpy(listener->name, spec->address, strlen(spec->address) + 1);
	if (!copy_texts(listener, spec))
		status = atom_fail(err, ATOM_ENOMEM, "listener %s: no memory",
				   spec->address);
out:
	if (status != ATOM_OK)
		http_listener_free(listener);
	else
		*listener_r = listener;
	return status;
}

void http_listener_free(struct http_listener *listener)
{
	if (!listener)
		return;
	for (unsigned int i = 0;
	     listener->sockets && i < listener->server->loop_count; i++) {
		struct http_socket *s = &listener->sockets[i];

		release_descriptor(s);
		SSL_CTX_free(s->tls);
		SSL_CTX_free(atomic_load(&s->tls_next));
	}
	SSL_CTX_free(listener->tls);
	for (size_t i = 0; listener->trusted && listener->trusted[i]; i++)
		mem_free(listener->trusted[i]);
	mem_free(listener->trusted);
	mem_free(listener->certificate);
	mem_free(listener->key);
	mem_free(listener->client_ca);
	mem_free(listener->sockets);
	mem_free(listener);
}

/* The sockets of a listener that was given up a moment ago. */
static bool take_over(struct http_listener *listener)
{
	for (struct http_listener *old = listener->server->listeners; old;
	     old = old->next) {
		if (!old->retired || old->is_unix ||
		    strcmp(old->name, listener->name) != 0 ||
		    !old->sockets[0].ours)
			continue;
		for (unsigned int i = 0; i < listener->server->loop_count;
		     i++) {
			/* Its loop may still be accepting from the old one. */
			listener->sockets[i].fd = old->sockets[i].fd;
			listener->sockets[i].ours = old->sockets[i].ours;
			old->sockets[i].ours = false;
		}
		memcpy(listener->bound, old->bound, sizeof(old->bound));
		listener->handed_round = old->handed_round;
		listener->inherited = old->inherited;
		return true;
	}
	return false;
}

static atom_status check_spec(const struct http_listener_spec *spec,
			      struct atom_error *err)
{
	const char *const *cidr = spec->trusted_proxies;

	for (; cidr && *cidr; cidr++)
		if (!http_cidr_sound(*cidr))
			return atom_fail(err, ATOM_EINVAL,
					 "listener %s: trusted_proxies: \"%s\" "
					 "is no address or CIDR such as "
					 "10.0.0.0/8, and not \"unix\"",
					 spec->address, *cidr);
	if (spec->admin && strncmp(spec->address, "unix:", 5) != 0)
		return atom_fail(err, ATOM_EINVAL,
				 "listener %s: admin = true trusts the peer's "
				 "process and needs a unix: address",
				 spec->address);
	return ATOM_OK;
}

static atom_status listener_tls(struct http_listener *listener,
				struct atom_error *err)
{
	SSL_CTX *tls;

	if (!listener->certificate)
		return ATOM_OK;
	tls = http_tls_new(listener, NULL, err);
	if (!tls)
		return ATOM_EINVAL;
	for (unsigned int i = 0; i < listener->server->loop_count; i++) {
		SSL_CTX_up_ref(tls);
		listener->sockets[i].tls = tls;
	}
	listener->tls = tls;
	return ATOM_OK;
}

atom_status http_server_listen(struct http_server *server,
			       const struct http_listener_spec *spec,
			       struct atom_error *err)
{
	struct http_listener *listener = NULL, **last;
	atom_status status = check_spec(spec, err);

	if (status == ATOM_OK)
		status = listener_new(server, spec, &listener, err);
	if (status != ATOM_OK)
		return status;
	status = listener_tls(listener, err);
	if (status != ATOM_OK)
		goto out;
	if (spec->inherited_fd >= 0)
		status = http_listener_inherit(listener, spec->inherited_fd,
					       err);
	else if (!take_over(listener))
		status = http_listener_bind(listener, spec->admin_group, err);
	if (status != ATOM_OK)
		goto out;
	for (last = &server->listeners; *last; last = &(*last)->next)
		;
	*last = TAKE(listener);
out:
	http_listener_free(listener);
	return status;
}

void http_server_accept(struct http_server *server)
{
	server->accepting = true;
	for (struct http_listener *l = server->listeners; l; l = l->next) {
		if (l->accepting || l->retired)
			continue;
		l->accepting = true;
		for (unsigned int i = 0; i < server->loop_count; i++) {
			struct http_socket *s = &l->sockets[i];

			if (!s->ours)
				continue;
			l->open_sockets++;
			loop_post(s->owner->loop, &s->open_message);
		}
		log_line(ATOM_LOG_INFO, "listening", "accepting connections",
			 LOG_TEXT("address", l->bound));
	}
}

void http_listener_retire(struct http_listener *l, bool last)
{
	l->retired = true;
	http_listener_unlink(l);
	for (unsigned int i = 0; i < l->server->loop_count; i++) {
		struct http_socket *s = &l->sockets[i];

		if (!s->ours)
			continue;
		if (l->accepting) {
			s->last = last;
			loop_post(s->owner->loop, &s->close_message);
		} else {
			release_descriptor(s);
		}
	}
}

void http_server_unlisten(struct http_server *server, const char *address)
{
	for (struct http_listener *l = server->listeners; l; l = l->next) {
		if (l->retired || strcmp(l->name, address) != 0)
			continue;
		http_listener_retire(l, false);
		log_line(ATOM_LOG_INFO, "listener_closed",
			 "no longer accepting connections",
			 LOG_TEXT("address", l->bound));
	}
}

atom_status http_server_reload_tls(struct http_server *server,
				   struct atom_error *err)
{
	atom_status status = ATOM_OK;

	for (struct http_listener *l = server->listeners; l; l = l->next) {
		SSL_CTX *next;

		if (l->retired || !l->certificate)
			continue;
		/* The first failure is told, the others are still renewed. */
		next = http_tls_new(l, l->tls, status == ATOM_OK ? err : NULL);
		if (!next) {
			status = ATOM_EINVAL;
			continue;
		}
		for (unsigned int i = 0; i < server->loop_count; i++) {
			struct http_socket *s = &l->sockets[i];
			SSL_CTX *untaken;

			SSL_CTX_up_ref(next);
			untaken = atomic_exchange(&s->tls_next, next);
			if (untaken)
				SSL_CTX_free(untaken);
			else
				loop_post(s->owner->loop, &s->renew_message);
		}
		SSL_CTX_free(l->tls);
		l->tls = next;
	}
	return status;
}

const char *http_server_address(const struct http_server *server, size_t i)
{
	for (const struct http_listener *l = server->listeners; l; l = l->next)
		if (!l->retired && i-- == 0)
			return l->bound;
	return NULL;
}

size_t http_server_listener_count(const struct http_server *server)
{
	size_t n = 0;

	for (const struct http_listener *l = server->listeners; l; l = l->next)
		n += !l->retired;
	return n;
}
