/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets, and waiting for them. */
#include "faults.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): in place
 * of libc's. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	int why;
	NEXT(sendmsg);

	if (fails(F_SENDMSG, fd, &why)) {
		struct msghdr less = *message;
		struct iovec part;

		if (why != SHORT || message->msg_iovlen == 0) {
			errno = why == SHORT ? EINTR : why;
			return -1;
		}
		part = message->msg_iov[0];
		part.iov_len = HALF(part.iov_len);
		less.msg_iov = &part;
		less.msg_iovlen = 1;
		return next(fd, &less, flags);
	}
	return next(fd, message, flags);
}

ssize_t send(int fd, const void *bytes, size_t length, int flags)
{
	OR_SHORT(F_SEND, fd, send, (fd, bytes, length, flags),
		 (fd, bytes, HALF(length), flags));
}

ssize_t recv(int fd, void *bytes, size_t length, int flags)
{
	OR_SHORT(F_RECV, fd, recv, (fd, bytes, length, flags),
		 (fd, bytes, HALF(length), flags));
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	OR_FAIL(F_RECVMSG, fd, recvmsg, -1, (fd, message, flags));
}

int socket(int domain, int type, int protocol)
{
	OR_FAIL(F_SOCKET, -1, socket, -1, (domain, type, protocol));
}

int socketpair(int domain, int type, int protocol, int fds[2])
{
	OR_FAIL(F_SOCKETPAIR, -1, socketpair, -1,
		(domain, type, protocol, fds));
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	OR_FAIL(F_ACCEPT, fd, accept4, -1, (fd, address, length, flags));
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
	OR_FAIL(F_BIND, fd, bind, -1, (fd, address, length));
}

int listen(int fd, int backlog)
{
	OR_FAIL(F_LISTEN, fd, listen, -1, (fd, backlog));
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
	OR_FAIL(F_CONNECT, fd, connect, -1, (fd, address, length));
}

int epoll_create1(int flags)
{
	OR_FAIL(F_EPOLL_CREATE, -1, epoll_create1, -1, (flags));
}

int epoll_ctl(int fd, int operation, int other, struct epoll_event *event)
{
	OR_FAIL(F_EPOLL_CTL, other, epoll_ctl, -1,
		(fd, operation, other, event));
}

int epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms)
{
	OR_FAIL(F_EPOLL_WAIT, -1, epoll_wait, -1,
		(fd, events, count, timeout_ms));
}

int epoll_pwait(int fd, struct epoll_event *events, int count, int timeout_ms,
		const sigset_t *mask)
{
	OR_FAIL(F_EPOLL_WAIT, -1, epoll_pwait, -1,
		(fd, events, count, timeout_ms, mask));
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
