/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "core/memory.h"
#include "core/os.h"
#include "http/client_priv.h"

/*
 * Life of a lean transfer: a connection, the request into it, and the end.
 * client_lean.h tells the whole.
 *
 * Nothing here ends a transfer from inside a call of its owner: what fails
 * within `start` or `resume` is told from the loop's next round.
 */

/* A timer that is always pending never fails for want of memory. */
#define FAR_MS ((int64_t)3600 * 1000)
/* As everybody has it, see is_known() of client_resolve.c. */
#define LOCALHOST "[::1],127.0.0.1"

/* --- later ------------------------------------------------------------------ */

static void tell_later(struct atom_http_transfer *t)
{
	struct lean_pool *pool = &t->client->lean;

	if (t->resumed)
		return;
	t->resumed = true;
	t->next_resumed = pool->later;
	pool->later = t;
	(void)timer_set(t->client->loop, &pool->later_timer, 0);
}

void lean_forget_later(struct atom_http_transfer *t)
{
	struct atom_http_transfer **link = &t->client->lean.later;

	if (!t->resumed)
		return;
	while (*link != t)
		link = &(*link)->next_resumed;
	*link = t->next_resumed;
	t->resumed = false;
}

static void close_connection(struct atom_http_transfer *t)
{
	if (t->lean.connection != NULL)
		lean_connection_close(TAKE(t->lean.connection));
	lean_give_up_attempts(t);
}

void lean_fail_later(struct atom_http_transfer *t, int code)
{
	close_connection(t);
	t->lean.failure = code;
	tell_later(t);
}

void lean_resume(struct atom_http_transfer *t)
{
	if (t->lean.held != NULL)
		tell_later(t);
	else
		lean_watch(t);
}

/* Not a byte of it has gone out: once more, from the beginning. */
static void launch_anew(struct atom_http_transfer *t)
{
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status;

	t->lean.again = false;
	transfer_list_remove(t);
	t->phase = PHASE_RESOLVING;
	status = resolve_and_launch(t, &err);
	if (status != ATOM_OK)
		transfer_end(t, status, &err);
}

static void give_held(struct atom_http_transfer *t)
{
	char *held = TAKE(t->lean.held);

	lean_take(t, held, t->lean.held_length);
	mem_free(held);
}

static void run_later(struct timer *timer)
{
	struct http_client *client =
		CONTAINER_OF(timer, struct http_client, lean.later_timer);
	struct atom_http_transfer *t;

	(void)timer_set(client->loop, timer, FAR_MS);
	while ((t = client->lean.later) != NULL) {
		client->lean.later = t->next_resumed;
		t->resumed = false;
		if (t->lean.failure != 0)
			lean_fail(t, t->lean.failure);
		else if (t->lean.again)
			launch_anew(t);
		else if (t->lean.held != NULL && !t->paused)
			give_held(t);
	}
}

/* --- the request ------------------------------------------------------------- */

static bool is_unsent(const struct atom_http_transfer *t)
{
	return t->lean.request_sent < t->lean.request_length ||
	       t->piece < t->piece_count;
}

static int fill(const struct atom_http_transfer *t, struct iovec *iov)
{
	size_t offset = t->piece_offset;
	int count = 0;

	if (t->lean.request_sent < t->lean.request_length)
		iov[count++] = (struct iovec){
			t->lean.request + t->lean.request_sent,
			t->lean.request_length - t->lean.request_sent,
		};
	for (size_t i = t->piece; i < t->piece_count; i++) {
		const struct atom_span *piece = &t->pieces[i];

		iov[count++] = (struct iovec){
			(char *)(uintptr_t)piece->bytes + offset,
			piece->length - offset,
		};
		offset = 0;
	}
	return count;
}

/* Pieces that are through are passed, empty ones too. */
static void advance(struct atom_http_transfer *t, size_t sent)
{
	size_t left = t->lean.request_length - t->lean.request_sent;

	if (left > sent)
		left = sent;
	t->lean.request_sent += left;
	sent -= left;
	if (t->lean.request_sent < t->lean.request_length)
		return;
	while (t->piece < t->piece_count) {
		left = t->pieces[t->piece].length - t->piece_offset;
		if (left > sent) {
			t->piece_offset += sent;
			return;
		}
		sent -= left;
		t->piece++;
		t->piece_offset = 0;
	}
}

static ssize_t send_some(const struct atom_http_transfer *t)
{
	struct iovec iov[1 + HTTP_BODY_MAX];
	struct msghdr message = { .msg_iov = iov };
	ssize_t n;

	message.msg_iovlen = (size_t)fill(t, iov);
	do {
		n = os.sendmsg(t->lean.connection->fd, &message, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n;
}

/* The server takes nothing.  It may have answered already, which is read;
 * only when it has got nothing at all may another connection be taken. */
static void write_failed(struct atom_http_transfer *t, int code)
{
	if (t->phase >= PHASE_SENT) {
		t->lean.write_lost = true;
		lean_watch(t);
	} else if (t->lean.used) {
		close_connection(t);
		t->lean.again = true;
		tell_later(t);
	} else {
		lean_fail_later(t, code);
	}
}

void lean_write(struct atom_http_transfer *t)
{
	while (is_unsent(t) && !t->lean.write_lost) {
		ssize_t n = send_some(t);

		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0) {
			write_failed(t, errno);
			return;
		}
		if (t->phase < PHASE_SENT)
			t->phase = PHASE_SENT;
		advance(t, (size_t)n);
	}
	lean_watch(t);
}

void lean_watch(struct atom_http_transfer *t)
{
	struct lean_connection *c = t->lean.connection;
	int events = 0;

	if (c == NULL)
		return;
	if (t->lean.held == NULL && (!t->paused || t->phase < PHASE_BEGUN))
		events |= UV_READABLE;
	if (is_unsent(t) && !t->lean.write_lost)
		events |= UV_WRITABLE;
	lean_connection_watch(c, events);
}

/* --- a connection -------------------------------------------------------------- */

bool lean_launch_kept(struct atom_http_transfer *t)
{
	struct http_client *client = t->client;
	struct lean_connection *c = lean_pool_take(client, t->lean.name);

	if (c == NULL)
		return false;
	c->transfer = t;
	t->lean.connection = c;
	t->lean.used = true;
	t->phase = PHASE_CONNECTING;
	transfer_list_add(&client->transfers, t);
	lean_write(t);
	return true;
}

atom_status lean_launch(struct atom_http_transfer *t, const char *addresses,
			struct atom_error *err)
{
	if (addresses == NULL)
		addresses = strcasecmp(t->peer_host, "localhost") == 0
				    ? LOCALHOST
				    : t->peer_host;
	t->lean.used = false;
	return lean_connect(t, addresses)
		       ? ATOM_OK
		       : atom_fail(err, ATOM_ENOMEM,
				   "no memory for a request to %s", t->where);
}

/* --- the end --------------------------------------------------------------------- */

void lean_leave(struct atom_http_transfer *t, bool keep)
{
	struct lean_connection *c = TAKE(t->lean.connection);

	lean_forget_later(t);
	lean_forget_attempts(t);
	if (c == NULL)
		return;
	if (keep && t->lean.keep_alive && !is_unsent(t))
		lean_pool_keep(c, t->lean.name);
	else
		lean_connection_close(c);
}

void lean_free(struct atom_http_transfer *t)
{
	lean_leave(t, false);
	mem_free(t->lean.head_memory);
	mem_free(t->lean.held);
	lean_partial_free(t);
}

void lean_fail(struct atom_http_transfer *t, int code)
{
	const char *reason = code != 0
				     ? uv_strerror(uv_translate_sys_error(code))
				     : "end of file";
	struct atom_error err = ATOM_ERROR_INIT;
	char attempts[LEAN_ATTEMPTS_TEXT];
	atom_status status;

	if (lean_tell_attempts(t, attempts, sizeof(attempts)))
		reason = attempts;
	if (code == ENOMEM)
		status = atom_fail(&err, ATOM_ENOMEM,
				   "no memory for a request to %s", t->where);
	else if (t->phase < PHASE_SENT)
		status = transfer_explain_connect(t, reason, &err);
	else
		status = transfer_explain_cut(t, reason, &err);
	transfer_end(t, status, &err);
}

/* --- of a loop --------------------------------------------------------------------- */

atom_status lean_init(struct http_client *client)
{
	struct lean_pool *pool = &client->lean;

	pool->later_timer.fire = run_later;
	pool->bytes = mem_alloc(LEAN_READ_BYTES);
	if (pool->bytes == NULL)
		return ATOM_ENOMEM;
	return timer_set(client->loop, &pool->later_timer, FAR_MS);
}

void lean_stop(struct http_client *client)
{
	lean_pool_clear(client);
	timer_stop(&client->lean.later_timer);
}

void lean_fini(struct http_client *client)
{
	lean_stop(client);
	mem_free(TAKE(client->lean.bytes));
}
