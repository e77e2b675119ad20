/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A listener's socket on its loop: accepting, handing connections round, and
 * the messages by which control lends the descriptor and takes it back.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "http/server_priv.h"

#define ACCEPTS_MAX    64 /* of one wake-up */
#define WATCH_AGAIN_MS 1000
/* Until it is looked again whether a descriptor is free, and told again. */
#define PAUSE_MS      100
#define PAUSE_TOLD_MS 10000

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

static void regain_spare(struct http_loop *owner)
{
	if (owner->spare_fd < 0)
		owner->spare_fd = os.open("/dev/null", O_RDONLY | O_CLOEXEC, 0);
}

/* Nor can anyone be told.  Clients wait in the socket, which would wake the
 * loop all the time. */
static void pause_accepting(struct http_socket *s)
{
	struct http_loop *owner = s->owner;
	int64_t now = loop_now_ms(owner->loop);

	/* Without memory for the timer it is tried at each wake-up. */
	if (timer_set(owner->loop, &s->watch_again, PAUSE_MS) == ATOM_OK)
		(void)uv_poll_stop(&s->poll);
	if (owner->pause_told_ms != 0 &&
	    now - owner->pause_told_ms < PAUSE_TOLD_MS)
		return;
	owner->pause_told_ms = now > 0 ? now : 1;
	log_line(ATOM_LOG_WARN, "no_descriptors",
		 "new connections wait: no descriptor or no memory of the "
		 "kernel's is left; raise LimitNOFILE, or see what has them "
		 "open",
		 LOG_TEXT("address", s->listener->bound));
}

/*
 * No descriptor is left: the peer is told by a close, with the one kept in
 * reserve for that.  Others may have taken it since the last one.
 */
static bool turn_one_away(struct http_socket *s)
{
	struct http_loop *owner = s->owner;
	int fd = -1;

	regain_spare(owner);
	if (owner->spare_fd >= 0) {
		os.close(owner->spare_fd);
		owner->spare_fd = -1;
		fd = os.accept4(s->fd, NULL, NULL,
				SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			regain_spare(owner);
			return false; /* another loop has it */
		}
		if (fd >= 0) {
			os.close(fd);
			metric_inc(http_metrics.refused[REFUSED_DESCRIPTORS]);
		}
		regain_spare(owner);
	}
	if (fd < 0 && s->watched)
		pause_accepting(s);
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

/* A kernel without room for one more watch may have some later: clients wait
 * in the socket meanwhile. */
static void watch(struct http_socket *s)
{
	int status = uv_poll_init(loop_uv(s->owner->loop), &s->poll, s->fd);

	if (status == 0) {
		s->watched = true;
		(void)uv_poll_start(&s->poll, UV_READABLE, on_acceptable);
		return;
	}
	if (!s->failure_told)
		log_line(ATOM_LOG_ERROR, "http_listen_failed",
			 "this loop cannot watch the listener's socket, and "
			 "tries again each second",
			 LOG_TEXT("address", s->listener->bound),
			 LOG_TEXT("reason", uv_strerror(status)));
	s->failure_told = true;
	(void)timer_set(s->owner->loop, &s->watch_again, WATCH_AGAIN_MS);
}

static void watch_again(struct timer *timer)
{
	struct http_socket *s =
		CONTAINER_OF(timer, struct http_socket, watch_again);

	if (!s->watched) {
		watch(s);
		return;
	}
	regain_spare(s->owner);
	(void)uv_poll_start(&s->poll, UV_READABLE, on_acceptable);
}

static void open_deliver(struct loop *loop, struct message *message)
{
	struct http_socket *s =
		CONTAINER_OF(message, struct http_socket, open_message);

	(void)loop;
	if (s->owner->stopped || s->owner->draining)
		return;
	s->open = true;
	s->next = s->owner->sockets;
	s->owner->sockets = s;
	watch(s);
}

void http_socket_stop(struct http_socket *s)
{
	struct http_socket **link = &s->owner->sockets;

	while (*link != s)
		link = &(*link)->next;
	*link = s->next;
	s->open = false;
	timer_stop(&s->watch_again);
	if (s->watched)
		uv_close((uv_handle_t *)&s->poll, NULL);
	s->watched = false;
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

void http_socket_release(struct http_socket *s)
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
	http_socket_release(s);
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
		s->tls_generation++;
	}
}

void http_socket_init(struct http_socket *s, struct http_listener *listener,
		      struct http_loop *owner)
{
	s->listener = listener;
	s->owner = owner;
	s->fd = -1;
	s->watch_again.fire = watch_again;
	s->open_message.deliver = open_deliver;
	s->close_message.deliver = close_deliver;
	s->closed_message.deliver = closed_deliver;
	s->renew_message.deliver = renew_deliver;
}
