/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/audit/syslog/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "plugins/audit/remote/deadline.h"

/* How long a receiver that speaks TLS 1.3 is given to say what it thinks of
 * our certificate before the first message goes out. */
#define JUDGE_MS 1000

/* A receiver that acknowledges nothing for so long is connected to anew
 * (RFC 5482). */
#define USER_TIMEOUT_MS 60000

void stream_init(struct stream *stream)
{
	*stream = (struct stream){ .fd = -1 };
}

void stream_close(struct stream *stream, bool politely)
{
	if (stream->fd >= 0) {
		if (politely && stream->tls != NULL) {
			char bytes[256];
			size_t length;

			tls_shutdown(stream->tls);
			length = tls_take(stream->tls, bytes, sizeof(bytes));
			(void)send(stream->fd, bytes, length,
				   MSG_NOSIGNAL | MSG_DONTWAIT);
		}
		(void)close(stream->fd);
	}
	tls_free(&stream->tls);
	free(stream->out);
	stream_init(stream);
}

static bool wait_for(int fd, short events, int64_t deadline)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };
	int ready;

	do
		ready = poll(&poll_fd, 1, deadline_left(deadline));
	while (ready < 0 && errno == EINTR);
	return ready > 0;
}

static atom_status connect_one(struct stream *stream,
			       const struct addrinfo *address, int64_t deadline,
			       struct atom_error *err)
{
	const int on = 1;
	const unsigned int user_timeout = USER_TIMEOUT_MS;
	int error = 0;
	socklen_t size = sizeof(error);

	stream->fd = socket(address->ai_family,
			    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (stream->fd < 0)
		return atom_fail(err, ATOM_EIO, "socket: %s", strerror(errno));
	(void)setsockopt(stream->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(stream->fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
			 &user_timeout, sizeof(user_timeout));
	(void)setsockopt(stream->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(stream->fd, address->ai_addr, address->ai_addrlen) == 0)
		return ATOM_OK;
	if (errno != EINPROGRESS)
		return atom_fail(err, ATOM_EIO, "connect: %s", strerror(errno));
	if (!wait_for(stream->fd, POLLOUT, deadline))
		return atom_fail(err, ATOM_ETIMEOUT,
				 "connect: no answer in time");
	if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	if (error != 0)
		return atom_fail(err, ATOM_EIO, "connect: %s", strerror(error));
	return ATOM_OK;
}

static atom_status append(struct stream *stream, const char *bytes,
			  size_t length, struct atom_error *err)
{
	size_t needed;

	if (stream->out_at > 0) {
		stream->out_length -= stream->out_at;
		memmove(stream->out, stream->out + stream->out_at,
			stream->out_length);
		stream->out_at = 0;
	}
	needed = stream->out_length + length;
	if (needed > stream->out_capacity) {
		char *out = realloc(stream->out, needed * 2);

		if (out == NULL)
			return atom_fail(err, ATOM_ENOMEM, "out of memory");
		stream->out = out;
		stream->out_capacity = needed * 2;
	}
	memcpy(stream->out + stream->out_length, bytes, length);
	stream->out_length += length;
	return ATOM_OK;
}

/* What TLS wants to say goes behind what is buffered. */
static atom_status take_tls(struct stream *stream, struct atom_error *err)
{
	char bytes[4096];
	size_t length;

	while ((length = tls_take(stream->tls, bytes, sizeof(bytes))) > 0) {
		atom_status status = append(stream, bytes, length, err);

		if (status != ATOM_OK)
			return status;
	}
	return ATOM_OK;
}

/* Reads what has come; *closed_r: nothing more will. */
static atom_status receive(struct stream *stream, bool *any_r,
			   struct atom_error *err)
{
	char bytes[4096];
	ssize_t got;

	*any_r = false;
	for (;;) {
		got = recv(stream->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return ATOM_OK;
		if (got < 0)
			return atom_fail(err, ATOM_EIO, "connection: %s",
					 strerror(errno));
		if (got == 0)
			return atom_fail(err, ATOM_EIO,
					 "the receiver has closed");
		*any_r = true;
		if (stream->tls != NULL &&
		    tls_received(stream->tls, bytes, (size_t)got, err) !=
			    ATOM_OK)
			return ATOM_ENOMEM;
	}
}

static atom_status handshake(struct stream *stream, int64_t deadline,
			     struct atom_error *err)
{
	for (;;) {
		atom_status step = tls_handshake(stream->tls, err);
		atom_status status;
		bool any;

		if (step != ATOM_OK && step != ATOM_EBUSY) {
			/* The alert tells the other side why. */
			if (take_tls(stream, NULL) == ATOM_OK)
				(void)stream_flush(stream, monotonic_ms(),
						   NULL);
			return step;
		}
		status = take_tls(stream, err);
		if (status == ATOM_OK)
			status = stream_flush(stream, deadline, err);
		if (status != ATOM_OK || step == ATOM_OK)
			return status;
		if (!wait_for(stream->fd, POLLIN, deadline))
			return atom_fail(err, ATOM_ETIMEOUT,
					 "TLS handshake: no answer in time");
		status = receive(stream, &any, err);
		if (status != ATOM_OK && !any)
			return status;
	}
}

/* With TLS 1.3 our handshake is over before the receiver has seen our
 * certificate.  Its first words after that (a session ticket, mostly) say
 * that it was taken; messages sent before would be lost with a refusal. */
static atom_status await_judgement(struct stream *stream, int64_t deadline,
				   struct atom_error *err)
{
	int64_t until = monotonic_ms() + JUDGE_MS;

	if (!wait_for(stream->fd, POLLIN, until < deadline ? until : deadline))
		return ATOM_OK; /* a silent one is taken at its silence */
	return stream_check(stream, err);
}

static atom_status open_one(struct stream *stream,
			    const struct addrinfo *address,
			    struct tls_context *context, int64_t deadline,
			    struct atom_error *err)
{
	atom_status status = connect_one(stream, address, deadline, err);

	if (status != ATOM_OK || context == NULL)
		return status;
	status = tls_new(context, &stream->tls, err);
	if (status == ATOM_OK)
		status = handshake(stream, deadline, err);
	if (status == ATOM_OK && tls_context_has_certificate(context) &&
	    tls_judges_late(stream->tls))
		status = await_judgement(stream, deadline, err);
	return status;
}

atom_status stream_open(struct stream *stream, const struct addrinfo *list,
			struct tls_context *context, int64_t deadline,
			struct atom_error *err)
{
	atom_status status = atom_fail(err, ATOM_EIO, "no address");
	int left = 0;

	for (const struct addrinfo *a = list; a != NULL; a = a->ai_next)
		left++;
	for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
		/* One that says nothing leaves time for the others. */
		int64_t until =
			monotonic_ms() + deadline_left(deadline) / left--;

		status = open_one(stream, a, context, until, err);
		if (status == ATOM_OK)
			return ATOM_OK;
		stream_close(stream, false);
	}
	return status;
}

size_t stream_buffered(const struct stream *stream)
{
	return stream->out_length - stream->out_at;
}

atom_status stream_put(struct stream *stream, const char *bytes, size_t length,
		       uint64_t *position_r, struct atom_error *err)
{
	atom_status status;

	if (stream->tls != NULL) {
		status = tls_write(stream->tls, bytes, length, err);
		if (status == ATOM_OK)
			status = take_tls(stream, err);
	} else {
		status = append(stream, bytes, length, err);
	}
	*position_r = stream->sent + stream_buffered(stream);
	return status;
}

atom_status stream_flush(struct stream *stream, int64_t deadline,
			 struct atom_error *err)
{
	while (stream->out_at < stream->out_length) {
		ssize_t sent = send(stream->fd, stream->out + stream->out_at,
				    stream->out_length - stream->out_at,
				    MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent >= 0) {
			stream->out_at += (size_t)sent;
			stream->sent += (uint64_t)sent;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			if (!wait_for(stream->fd, POLLOUT, deadline))
				return atom_fail(err, ATOM_ETIMEOUT,
						 "the receiver takes nothing");
		} else if (errno != EINTR) {
			return atom_fail(err, ATOM_EIO, "connection: %s",
					 strerror(errno));
		}
	}
	stream->out_at = 0;
	stream->out_length = 0;
	return ATOM_OK;
}

atom_status stream_check(struct stream *stream, struct atom_error *err)
{
	bool any = false;
	atom_status status = receive(stream, &any, err);

	/* An alert says more than the end of the connection after it. */
	if (stream->tls != NULL && any) {
		atom_status tls = tls_read(stream->tls, err);

		if (tls != ATOM_OK)
			return tls;
	}
	return status;
}

uint64_t stream_acknowledged(const struct stream *stream)
{
	int waiting = 0;

	if (ioctl(stream->fd, SIOCOUTQ, &waiting) < 0 || waiting < 0)
		return 0;
	return stream->sent - (uint64_t)waiting;
}
