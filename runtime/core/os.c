/* SPDX-License-Identifier: Apache-2.0 */
#include "core/os.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Of a child before it execs: a few small structs and libc's wrappers. */
#define VFORK_STACK ((size_t)32 * 1024)

static int64_t real_monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t real_realtime_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t real_realtime_coarse_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int real_random(void *bytes, size_t length)
{
	unsigned char *at = bytes;

	while (length) {
		ssize_t got = getrandom(at, length, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		at += got;
		length -= (size_t)got;
	}
	return 0;
}

/* libc's are variadic, or take a transparent union. */

static int real_open(const char *path, int flags, mode_t mode)
{
	return open(path, flags, mode);
}

static int real_bind(int fd, const struct sockaddr *address, socklen_t length)
{
	return bind(fd, address, length);
}

static int real_connect(int fd, const struct sockaddr *address,
			socklen_t length)
{
	return connect(fd, address, length);
}

static int real_accept4(int fd, struct sockaddr *address, socklen_t *length,
			int flags)
{
	return accept4(fd, address, length, flags);
}

static int real_pidfd_open(pid_t pid, unsigned int flags)
{
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* A sanitizer takes what the child does for the caller's own doing. */
static pid_t real_vfork(int (*child)(void *argument), void *argument)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(child(argument));
	return pid;
}
#else
static pid_t real_vfork(int (*child)(void *argument), void *argument)
{
	/* It is used while the caller waits, so its own will do. */
	_Alignas(16) char stack[VFORK_STACK];

	return clone(child, stack + sizeof(stack),
		     CLONE_VM | CLONE_VFORK | SIGCHLD, argument);
}
#endif

struct os os = {
	.monotonic_ns = real_monotonic_ns,
	.realtime_ms = real_realtime_ms,
	.realtime_coarse_ms = real_realtime_coarse_ms,
	.random = real_random,
	.alloc = malloc,
	.realloc = realloc,
	.free = free,
	.open = real_open,
	.close = close,
	.read = read,
	.write = write,
	.fsync = fsync,
	.fdatasync = fdatasync,
	.rename = rename,
	.unlink = unlink,
	.fstat = fstat,
	.mkdir = mkdir,
	.socket = socket,
	.bind = real_bind,
	.listen = listen,
	.connect = real_connect,
	.accept4 = real_accept4,
	.recv = recv,
	.sendmsg = sendmsg,
	.socketpair = socketpair,
	.pipe2 = pipe2,
	.vfork = real_vfork,
	.kill = kill,
	.pidfd_open = real_pidfd_open,
};
