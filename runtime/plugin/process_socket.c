/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/socket.h>

#include "core/os.h"
#include "plugin/host_process_priv.h"

/* The protocol socket of a child. */

/* Unsent bytes from which the writer is told to wait. */
#define UNSENT_HIGH ((size_t)256 * 1024)
/* An empty buffer larger than this is given back. */
#define UNSENT_KEEP ((size_t)64 * 1024)
#define READ_BYTES  ((size_t)64 * 1024)
/* Reads of one child in one turn of the loop, so that others get theirs; and
 * after its exit, when a socket can hold no more than that. */
#define READS_A_TURN   4
#define READS_AT_DEATH 64

static size_t unsent(const struct atom_process_handle *p)
{
	return p->unsent.length - p->sent;
}

static void arm(struct atom_process_handle *p)
{
	int interest = (p->paused ? 0 : UV_READABLE) |
		       (unsent(p) > 0 ? UV_WRITABLE : 0);

	if (p->socket == NULL || interest == p->interest)
		return;
	p->interest = interest;
	if (interest == 0)
		(void)uv_poll_stop(&p->socket->poll);
	else
		(void)uv_poll_start(&p->socket->poll, interest, socket_ready);
}

/* --- reading ----------------------------------------------------------------- */

/* Delivers what there is; false at end of file or error. */
static bool read_some(struct atom_process_handle *p, int turns)
{
	char bytes[READ_BYTES];

	while (turns-- > 0 && p->socket != NULL && !p->freed &&
	       (!p->paused || p->exited)) {
		ssize_t n = os.read(p->socket->fd, bytes, sizeof(bytes));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return true;
		if (n <= 0)
			return false;
		p->events->data(p->argument, bytes, (size_t)n);
	}
	return true;
}

static void lost(struct atom_process_handle *p)
{
	if (p->socket == NULL)
		return;
	child_unwatch(&p->socket);
	if (!p->freed)
		p->events->closed(p->argument);
}

void socket_read_rest(struct atom_process_handle *p)
{
	(void)read_some(p, READS_AT_DEATH);
	lost(p);
}

/* --- writing ----------------------------------------------------------------- */

static void forget_unsent(struct atom_process_handle *p)
{
	p->sent = 0;
	buffer_clear(&p->unsent);
	if (p->unsent.capacity > UNSENT_KEEP) {
		buffer_fini(&p->unsent);
		buffer_init(&p->unsent, SOCKET_UNSENT_MAX);
	}
}

/* Sends what it can; false when the child has closed its end. */
static bool flush(struct atom_process_handle *p)
{
	while (unsent(p) > 0 && p->socket != NULL) {
		struct iovec part = { p->unsent.bytes + p->sent, unsent(p) };
		struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
		ssize_t n = os.sendmsg(p->socket->fd, &message, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return true;
		if (n < 0) {
			forget_unsent(p);
			return false;
		}
		p->sent += (size_t)n;
	}
	forget_unsent(p);
	if (p->input_closed && p->socket != NULL)
		(void)shutdown(p->socket->fd, SHUT_WR);
	return true;
}

atom_status socket_write(struct atom_process_handle *p, const char *bytes,
			 size_t length)
{
	if (p->socket == NULL || p->input_closed)
		return ATOM_EIO;
	if (p->sent > p->unsent.length / 2) {
		buffer_consume(&p->unsent, p->sent);
		p->sent = 0;
	}
	if (buffer_append(&p->unsent, bytes, length) != ATOM_OK)
		return ATOM_ELIMIT;
	if (!flush(p))
		return ATOM_EIO;
	arm(p);
	if (unsent(p) < UNSENT_HIGH)
		return ATOM_OK;
	p->want_drained = true;
	return ATOM_EBUSY;
}

void socket_close_input(struct atom_process_handle *p)
{
	p->input_closed = true;
	if (p->socket != NULL)
		(void)flush(p);
}

void socket_pause(struct atom_process_handle *p)
{
	p->paused = true;
	arm(p);
}

void socket_resume(struct atom_process_handle *p)
{
	p->paused = false;
	arm(p);
}

/* --- both --------------------------------------------------------------------- */

void socket_ready(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;
	struct atom_process_handle *p = w->process;
	bool alive = true;

	child_enter(p);
	if (status != 0) {
		/* It has closed its end without having read all, and libuv
		 * lets go of the socket.  What it said is still there. */
		p->interest = 0;
		forget_unsent(p);
	}
	if (status != 0 || (events & UV_READABLE) != 0)
		alive = read_some(p, READS_A_TURN);
	/* A child that no longer reads may still have much to say: only
	 * reading tells that it is over. */
	if (alive && p->socket != NULL && (events & UV_WRITABLE) != 0)
		(void)flush(p);
	if (!alive)
		lost(p);
	if (p->want_drained && unsent(p) < UNSENT_HIGH / 2 &&
	    p->socket != NULL && !p->freed) {
		p->want_drained = false;
		p->events->drained(p->argument);
	}
	arm(p);
	child_leave(p);
}
