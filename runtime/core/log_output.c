/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The way of a line out of the process, without ever waiting.
 *
 * O_NONBLOCK belongs to the open file, which standard error shares with the
 * shell or the supervisor that started us: setting it there would break
 * theirs.  So a pipe or terminal is opened anew through /proc, where we may;
 * else we ask poll(2) first.  Sockets take MSG_DONTWAIT.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "core/log.h"
#include "core/log_priv.h"
#include "core/os.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

enum way {
	WAY_NONE,    /* memory only */
	WAY_WRITE,   /* never blocks: a file, or an open file of our own */
	WAY_POLL,    /* may block: ask first */
	WAY_SEND,    /* a socket */
	WAY_JOURNAL, /* journald's native protocol */
};

static _Atomic int output_way = WAY_NONE;
static _Atomic int output_fd = -1;
static _Atomic int own_fd = -1; /* the one to close, or -1 */
static _Atomic bool chosen;
static pthread_once_t standard_error_once = PTHREAD_ONCE_INIT;

static _Atomic uint64_t dropped;
/* The last line went out in part: the next one starts on a line of its own. */
static _Atomic bool torn;

uint64_t log_dropped(void)
{
	return atomic_load_explicit(&dropped, memory_order_relaxed);
}

static void choose(enum way way, int fd, int own)
{
	int old = atomic_exchange(&own_fd, own);

	atomic_store(&output_fd, fd);
	atomic_store(&output_way, (int)way);
	atomic_store(&chosen, true);
	if (old >= 0)
		os.close(old);
}

void log_set_descriptor(int fd)
{
	struct stat file;
	char path[32];
	int own;

	if (fd < 0) {
		choose(WAY_NONE, -1, -1);
	} else if (os.fstat(fd, &file) != 0) {
		/* Of what cannot be looked at, poll(2) still tells. */
		choose(errno == EBADF ? WAY_NONE : WAY_POLL, fd, -1);
	} else if (S_ISSOCK(file.st_mode)) {
		choose(WAY_SEND, fd, -1);
	} else if (S_ISFIFO(file.st_mode) || S_ISCHR(file.st_mode)) {
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		own = os.open(path,
			      O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY |
				      O_CLOEXEC,
			      0);
		choose(own >= 0 ? WAY_WRITE : WAY_POLL, own >= 0 ? own : fd,
		       own);
	} else {
		choose(WAY_WRITE, fd, -1);
	}
}

static void choose_standard_error(void)
{
	if (!atomic_load(&chosen))
		log_set_descriptor(2);
}

atom_status log_use_journal(struct atom_error *err)
{
	int fd = os.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX,
				       .sun_path = JOURNAL_SOCKET };
	struct msghdr nothing = { .msg_name = &address,
				  .msg_namelen = sizeof(address) };

	/* The journal ignores an empty datagram. */
	if (fd < 0 || os.sendmsg(fd, &nothing, MSG_NOSIGNAL) < 0) {
		int why = errno;

		if (fd >= 0)
			os.close(fd);
		return atom_fail(err, ATOM_EIO,
				 "log to the journal at %s: %s; log to "
				 "standard error instead",
				 JOURNAL_SOCKET, strerror(why));
	}
	choose(WAY_JOURNAL, fd, fd);
	return ATOM_OK;
}

/* --- each way ------------------------------------------------------------ */

static ssize_t write_once(int fd, const char *bytes, size_t length)
{
	ssize_t sent;

	do {
		sent = os.write(fd, bytes, length);
	} while (sent < 0 && errno == EINTR);
	return sent;
}

/* A pipe that is ready takes PIPE_BUF bytes at once, not more. */
static ssize_t write_if_ready(int fd, const char *bytes, size_t length)
{
	static pthread_mutex_t whole_lines = PTHREAD_MUTEX_INITIALIZER;
	size_t sent = 0;

	pthread_mutex_lock(&whole_lines);
	while (sent < length) {
		struct pollfd ready = { .fd = fd, .events = POLLOUT };
		size_t part =
			length - sent < PIPE_BUF ? length - sent : PIPE_BUF;

		if (poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT) ||
		    write_once(fd, bytes + sent, part) != (ssize_t)part)
			break;
		sent += part;
	}
	pthread_mutex_unlock(&whole_lines);
	return (ssize_t)sent;
}

static ssize_t send_parts(int fd, struct sockaddr_un *address,
			  struct iovec *parts, size_t count)
{
	struct msghdr message = {
		.msg_name = address,
		.msg_namelen = address ? sizeof(*address) : 0,
		.msg_iov = parts,
		.msg_iovlen = count,
	};
	ssize_t sent;

	do {
		sent = os.sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent;
}

/* systemd, "Native Journal Protocol": NAME=value lines in one datagram. */
static bool send_journal(int fd, int level, const char *event, const char *line,
			 size_t length)
{
	/* syslog's err, warning, info, debug */
	static const char priorities[] = "3467";
	struct sockaddr_un address = { .sun_family = AF_UNIX,
				       .sun_path = JOURNAL_SOCKET };
	char head[160];
	/* A line end in the word would begin a field of its own. */
	int word = (int)strcspn(event, "\n");
	int head_length =
		snprintf(head, sizeof(head),
			 "SYSLOG_IDENTIFIER=atomd\nPRIORITY=%c\n"
			 "ATOMD_EVENT=%.*s",
			 priorities[level & 3], word < 64 ? word : 64, event);
	struct iovec parts[] = {
		{ head, (size_t)head_length },
		{ (char[]){ "\nMESSAGE=" }, 9 },
		{ (char *)(uintptr_t)line, length },
	};

	return send_parts(fd, &address, parts, 3) > 0;
}

void log_output(int level, const char *event, const char *line, size_t length)
{
	pthread_once(&standard_error_once, choose_standard_error);

	const int way = atomic_load_explicit(&output_way, memory_order_acquire);
	const int fd = atomic_load_explicit(&output_fd, memory_order_acquire);
	ssize_t sent = -1;

	if (way == WAY_NONE)
		return;
	if (way == WAY_JOURNAL) {
		if (!send_journal(fd, level, event, line, length))
			atomic_fetch_add(&dropped, 1);
		return;
	}

	bool fresh =
		atomic_exchange_explicit(&torn, false, memory_order_relaxed);

	/* line[-1] is a line end. */
	line -= fresh;
	length += fresh;
	if (way == WAY_SEND) {
		struct iovec whole = { (char *)(uintptr_t)line, length };

		sent = send_parts(fd, NULL, &whole, 1);
	} else if (way == WAY_POLL) {
		sent = write_if_ready(fd, line, length);
	} else {
		sent = write_once(fd, line, length);
	}
	if (sent != (ssize_t)length) {
		atomic_fetch_add(&dropped, 1);
		if (sent > 0 || fresh)
			atomic_store_explicit(&torn, true,
					      memory_order_relaxed);
	}
}

void log_close_output(void)
{
	/* Whoever logs after the end still reaches standard error. */
	choose(WAY_POLL, 2, -1);
}
