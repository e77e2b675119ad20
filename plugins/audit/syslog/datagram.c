/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/audit/syslog/datagram.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plugins/audit/remote/deadline.h"

static const struct addrinfo *address_at(const struct addrinfo *list,
					 uint32_t turn)
{
	const struct addrinfo *at = list;

	while (turn-- > 0)
		at = at->ai_next != NULL ? at->ai_next : list;
	return at;
}

int datagram_open(const struct addrinfo *list, uint32_t turn,
		  struct atom_error *err)
{
	int error = EADDRNOTAVAIL;
	uint32_t count = 0;

	for (const struct addrinfo *a = list; a != NULL; a = a->ai_next)
		count++;
	for (uint32_t i = 0; i < count; i++) {
		const struct addrinfo *a =
			address_at(list, (turn % count + i) % count);
		int fd = socket(a->ai_family,
				SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0)
			return fd;
		error = errno;
		if (fd >= 0)
			(void)close(fd);
	}
	(void)atom_fail(err, ATOM_EIO, "connect: %s", strerror(error));
	return -1;
}

static atom_status failed(int error, struct atom_error *err)
{
	if (error == ECONNREFUSED)
		return atom_fail(err, ATOM_EUNAVAILABLE,
				 "nobody listens there");
	if (error == EMSGSIZE)
		return atom_fail(err, ATOM_ELIMIT,
				 "larger than a datagram may be there; lower "
				 "message_max");
	return atom_fail(err, ATOM_EIO, "send: %s", strerror(error));
}

atom_status datagram_send(int fd, const char *bytes, size_t length,
			  int64_t deadline, struct atom_error *err)
{
	for (;;) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };

		if (send(fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return ATOM_OK;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			return failed(errno, err);
		if (poll(&poll_fd, 1, deadline_left(deadline)) == 0)
			return atom_fail(err, ATOM_ETIMEOUT,
					 "the socket takes nothing");
	}
}

atom_status datagram_check(int fd, struct atom_error *err)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	return error == 0 ? ATOM_OK : failed(error, err);
}
