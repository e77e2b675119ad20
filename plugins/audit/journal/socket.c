/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/audit/journal/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

#include "plugins/audit/remote/deadline.h"

/* As sd_journal_send(3) asks for: an entry of some size fits. */
#define SEND_BUFFER (8 * 1024 * 1024)

static int connect_path(const char *path, int type, struct atom_error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		(void)atom_fail(err, ATOM_EINVAL,
				"%s: expected a path of at most %zu bytes",
				path, sizeof(address.sun_path) - 1);
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&address,
			       sizeof(address)) == 0)
		return fd;
	(void)atom_fail(err, ATOM_EIO, "connect %s: %s", path, strerror(errno));
	if (fd >= 0)
		(void)close(fd);
	return -1;
}

int journal_connect(const char *path, struct atom_error *err)
{
	const int size = SEND_BUFFER;
	int fd = connect_path(path, SOCK_DGRAM, err);

	/* Forced where we may; less is a memfd more often, nothing worse. */
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size,
				  sizeof(size)) != 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size,
				 sizeof(size));
	return fd;
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

/* 0, or an errno. */
static int send_message(int fd, const struct msghdr *message, int64_t deadline)
{
	for (;;) {
		if (sendmsg(fd, message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return 0;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			return errno;
		if (!wait_for(fd, POLLOUT, deadline))
			return ETIMEDOUT;
	}
}

/* A sealed file: journald refuses one that may still change. */
static int sealed_file(const char *bytes, size_t length)
{
	int fd = memfd_create("atomd-audit", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t used = 0;

	while (fd >= 0 && used < length) {
		ssize_t put = write(fd, bytes + used, length - used);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			break;
		used += (size_t)put;
	}
	if (fd >= 0 &&
	    (used < length || fcntl(fd, F_ADD_SEALS,
				    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE |
					    F_SEAL_SEAL) != 0)) {
		int error = errno;

		(void)close(fd);
		errno = error;
		fd = -1;
	}
	return fd;
}

static int send_file(int fd, int file, int64_t deadline)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .space = "" };
	struct msghdr message = {
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space),
	};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(rights), &file, sizeof(file));
	return send_message(fd, &message, deadline);
}

atom_status journal_send(int fd, const char *bytes, size_t length,
			 int64_t deadline, struct atom_error *err)
{
	struct iovec piece = { (void *)(uintptr_t)bytes, length };
	const struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
	int error = send_message(fd, &message, deadline);

	if (error == EMSGSIZE || error == ENOBUFS) {
		int file = sealed_file(bytes, length);

		if (file < 0)
			return atom_fail(err, ATOM_EIO, "memfd: %s",
					 strerror(errno));
		error = send_file(fd, file, deadline);
		(void)close(file);
	}
	if (error == ETIMEDOUT)
		return atom_fail(err, ATOM_ETIMEOUT, "journald takes nothing");
	if (error != 0)
		return atom_fail(err, ATOM_EIO, "send: %s", strerror(error));
	return ATOM_OK;
}

/* --- varlink ---------------------------------------------------------------- */

/* A reply is one JSON object and a NUL. */
static atom_status read_reply(int fd, int64_t deadline, char *reply,
			      size_t size, struct atom_error *err)
{
	size_t used = 0;

	while (used < size) {
		ssize_t got = recv(fd, reply + used, size - used, 0);

		if (got > 0) {
			used += (size_t)got;
			if (reply[used - 1] == '\0')
				return ATOM_OK;
		} else if (got == 0) {
			return atom_fail(err, ATOM_EIO, "journald has closed");
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			if (!wait_for(fd, POLLIN, deadline))
				return atom_fail(err, ATOM_ETIMEOUT,
						 "journald does not answer");
		} else if (errno != EINTR) {
			return atom_fail(err, ATOM_EIO, "receive: %s",
					 strerror(errno));
		}
	}
	return atom_fail(err, ATOM_EPROTO, "journald's answer is too long");
}

static atom_status judge_reply(const char *text, struct atom_error *err)
{
	json_t *reply = json_loads(text, 0, NULL);
	const char *error = json_string_value(json_object_get(reply, "error"));
	atom_status status = ATOM_OK;

	if (!json_is_object(reply))
		status = atom_fail(err, ATOM_EPROTO,
				   "journald's answer is no JSON object");
	else if (error != NULL)
		status = atom_fail(err, ATOM_EIO, "journald answered %.120s",
				   error);
	json_decref(reply);
	return status;
}

atom_status journal_synchronize(const char *path, int64_t deadline,
				struct atom_error *err)
{
	static const char request[] =
		"{\"method\":\"io.systemd.Journal.Synchronize\"}";
	char reply[4096];
	int fd = connect_path(path, SOCK_STREAM, err);
	atom_status status;

	if (fd < 0)
		return ATOM_EIO;
	/* Into an empty buffer: all of it or nothing. */
	if (send(fd, request, sizeof(request), MSG_NOSIGNAL) !=
	    (ssize_t)sizeof(request))
		status = atom_fail(err, ATOM_EIO, "send: %s", strerror(errno));
	else
		status = read_reply(fd, deadline, reply, sizeof(reply), err);
	(void)close(fd);
	return status == ATOM_OK ? judge_reply(reply, err) : status;
}
