/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes out of and into a connection, plain or by TLS.
 *
 * What is to be sent goes straight to the socket while it takes it.  Only the
 * rest is kept, in one buffer that a connection owns while it has something
 * unsent.  Writes of streams are gathered first and leave together before the
 * loop polls again: one call to the kernel for all the events of one
 * iteration.
 */
#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#include "core/memory.h"
#include "core/os.h"
#include "http/server_priv.h"

/* Gathered bytes beyond this are written at once. */
#define GATHER_BYTES (32 * 1024)

/* --- the buffer ------------------------------------------------------------ */

void http_output_free(struct http_connection *c)
{
	struct http_loop *owner = c->owner;
	struct http_output *out = &c->out;

	if (out->capacity == HTTP_OUTPUT_BYTES &&
	    owner->free_output_count < HTTP_POOL_MAX) {
		memcpy(out->bytes, &owner->free_outputs, sizeof(void *));
		owner->free_outputs = out->bytes;
		owner->free_output_count++;
	} else {
		mem_free(out->bytes);
	}
	*out = (struct http_output){ NULL, 0, 0, 0 };
}

static bool output_first(struct http_connection *c)
{
	struct http_loop *owner = c->owner;

	if (owner->free_outputs) {
		c->out.bytes = owner->free_outputs;
		memcpy(&owner->free_outputs, c->out.bytes, sizeof(void *));
		owner->free_output_count--;
	} else {
		c->out.bytes = mem_alloc(HTTP_OUTPUT_BYTES);
		if (!c->out.bytes)
			return false;
	}
	c->out.capacity = HTTP_OUTPUT_BYTES;
	return true;
}

static bool output_grow(struct http_connection *c, size_t length)
{
	struct http_output *out = &c->out;
	size_t unsent = http_unsent(c);
	size_t max =
		c->owner->server->limits.stream_high_bytes + HTTP_OUTPUT_SPARE;
	size_t capacity;
	char *bytes;

	/* A piece that finds nothing before it but a head is a whole answer,
	 * and its maker has bounded it. */
	if (unsent > HTTP_SCRATCH_BYTES &&
	    (length > max || unsent + length > max))
		return false;
	if (!out->bytes && !output_first(c))
		return false;
	if (out->begin) {
		memmove(out->bytes, out->bytes + out->begin, unsent);
		out->begin = 0;
		out->end = unsent;
	}
	for (capacity = out->capacity; capacity < unsent + length;)
		capacity *= 2;
	if (capacity == out->capacity)
		return true;
	bytes = mem_realloc(out->bytes, capacity);
	if (!bytes)
		return false;
	out->bytes = bytes;
	out->capacity = capacity;
	return true;
}

char *http_output_room(struct http_connection *c, size_t length)
{
	if (c->lost || c->state == CONNECTION_CLOSED)
		return NULL;
	if (c->out.capacity - c->out.end < length && !output_grow(c, length)) {
		/* A gap in a stream must not go unseen. */
		c->lost = true;
		return NULL;
	}
	return c->out.bytes + c->out.end;
}

bool http_output_append(struct http_connection *c, const void *bytes,
			size_t length)
{
	char *room;

	if (length == 0)
		return true;
	room = http_output_room(c, length);
	if (!room)
		return false;
	memcpy(room, bytes, length);
	c->out.end += length;
	return true;
}

/* --- writing --------------------------------------------------------------- */

/* > 0: taken; 0: not now; < 0: lost. */
static ssize_t write_plain(struct http_connection *c, const struct iovec *iov,
			   size_t count)
{
	struct msghdr message = { .msg_iov = (struct iovec *)iov,
				  .msg_iovlen = count };
	ssize_t n;

	do {
		n = os.sendmsg(c->fd, &message, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
}

static ssize_t write_tls(struct http_connection *c, const char *bytes,
			 size_t length)
{
	size_t n;

	ERR_clear_error();
	if (SSL_write_ex(c->ssl, bytes, length, &n) == 1)
		return (ssize_t)n;
	switch (SSL_get_error(c->ssl, 0)) {
	case SSL_ERROR_WANT_WRITE:
	case SSL_ERROR_WANT_READ:
		return 0;
	default:
		return -1;
	}
}

static void wrote(struct http_connection *c, ssize_t n)
{
	if (n > 0)
		metric_add(http_metrics.sent_bytes, (double)n);
	if (n < 0)
		c->lost = true;
}

/* Out of and back to the phase of what the connection is at. */
static void wait_while_writing(struct http_connection *c, bool progress)
{
	if (c->state == CONNECTION_CLOSED || c->lost)
		return;
	if (c->blocked) {
		if (progress || c->phase != PHASE_WRITE)
			http_wait(c, PHASE_WRITE);
	} else if (c->phase == PHASE_WRITE) {
		http_wait(c, c->state == CONNECTION_BODY ? PHASE_BODY
							 : PHASE_CALL);
	}
}

void http_output_flush(struct http_connection *c)
{
	struct http_output *out = &c->out;
	bool progress = false;

	c->blocked = false;
	while (http_unsent(c) && !c->lost) {
		struct iovec iov = { out->bytes + out->begin, http_unsent(c) };
		ssize_t n = c->ssl ? write_tls(c, iov.iov_base, iov.iov_len)
				   : write_plain(c, &iov, 1);

		wrote(c, n);
		if (n <= 0) {
			c->blocked = n == 0;
			break;
		}
		progress = true;
		out->begin += (size_t)n;
	}
	if (c->lost || !http_unsent(c))
		http_output_free(c);
	wait_while_writing(c, progress);
	http_connection_arm(c);
}

void http_output_send(struct http_connection *c, const void *head,
		      size_t head_length, const void *body, size_t body_length)
{
	struct iovec iov[2] = { { (void *)head, head_length },
				{ (void *)body, body_length } };
	ssize_t n = 0;
	size_t rest;

	if (c->lost || c->state == CONNECTION_CLOSED)
		return;
	if (!c->ssl && !http_unsent(c)) {
		n = write_plain(c, iov, body_length ? 2 : 1);
		wrote(c, n);
		if (n < 0 || (size_t)n == head_length + body_length)
			return;
	}
	/* What was not taken. */
	rest = (size_t)n < head_length ? head_length - (size_t)n : 0;
	if (!http_output_append(c, (const char *)head + (head_length - rest),
				rest))
		return;
	rest = (size_t)n > head_length ? body_length - ((size_t)n - head_length)
				       : body_length;
	if (!http_output_append(c, (const char *)body + (body_length - rest),
				rest))
		return;
	http_output_flush(c);
}

/* --- at the end of the iteration -------------------------------------------- */

void http_output_flush_soon(struct http_connection *c)
{
	if (http_unsent(c) >= GATHER_BYTES && !c->blocked && !c->lost)
		http_output_flush(c);
	if (c->waiting_flush)
		return;
	c->waiting_flush = true;
	c->flush_next = c->owner->flush_first;
	c->owner->flush_first = c;
}

void http_flush_all(struct http_loop *owner)
{
	/* Callbacks may put connections into the list again: for this round
	 * too, so that nothing waits over a poll. */
	while (owner->flush_first) {
		struct http_connection *c = owner->flush_first;

		owner->flush_first = c->flush_next;
		c->flush_next = NULL;
		c->waiting_flush = false;
		if (c->state != CONNECTION_CLOSED && !c->blocked && !c->lost &&
		    http_unsent(c))
			http_output_flush(c);
		http_connection_flushed(c);
	}
}

/* --- reading ----------------------------------------------------------------- */

ssize_t http_read_plain(struct http_connection *c, char *bytes, size_t length)
{
	ssize_t n;

	do {
		n = os.recv(c->fd, bytes, length, 0);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	return errno == EAGAIN || errno == EWOULDBLOCK ? HTTP_READ_LATER
						       : HTTP_READ_LOST;
}

static ssize_t read_tls(struct http_connection *c, char *bytes, size_t length)
{
	size_t n;

	ERR_clear_error();
	if (SSL_read_ex(c->ssl, bytes, length, &n) == 1)
		return (ssize_t)n;
	switch (SSL_get_error(c->ssl, 0)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return HTTP_READ_LATER;
	case SSL_ERROR_ZERO_RETURN:
		return HTTP_READ_END;
	default:
		return HTTP_READ_LOST;
	}
}

ssize_t http_read(struct http_connection *c, char *bytes, size_t length)
{
	ssize_t n = c->ssl ? read_tls(c, bytes, length)
			   : http_read_plain(c, bytes, length);

	if (n > 0)
		metric_add(http_metrics.received_bytes, (double)n);
	return n;
}
