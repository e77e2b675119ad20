/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_OS_H
#define CORE_OS_H

/*
 * The seam between the runtime and the machine: clock, randomness,
 * allocation, files, sockets and processes go through this one table.  In
 * production each entry is libc's function; tests swap entries so that the
 * n-th allocation or write fails, time jumps, or fsync lies.
 *
 * The entries keep libc's meaning (errno included).  The table is written
 * before threads start and only read afterwards.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

struct os {
	/* Nanoseconds of CLOCK_MONOTONIC; milliseconds of CLOCK_REALTIME. */
	int64_t (*monotonic_ns)(void);
	int64_t (*realtime_ms)(void);
	/* As of the kernel's last tick, a few milliseconds ago; a fifth of the
	 * cost. */
	int64_t (*realtime_coarse_ms)(void);
	/* Fill with bytes fit for keys; 0, or -1 with errno. */
	int (*random)(void *bytes, size_t length);

	void *(*alloc)(size_t size);
	void *(*realloc)(void *old, size_t size);
	void (*free)(void *old);

	int (*open)(const char *path, int flags, mode_t mode);
	int (*close)(int fd);
	ssize_t (*read)(int fd, void *bytes, size_t length);
	ssize_t (*write)(int fd, const void *bytes, size_t length);
	int (*fsync)(int fd);
	int (*fdatasync)(int fd);
	int (*rename)(const char *from, const char *to);
	int (*unlink)(const char *path);
	int (*fstat)(int fd, struct stat *result);
	int (*mkdir)(const char *path, mode_t mode);

	int (*socket)(int domain, int type, int protocol);
	int (*bind)(int fd, const struct sockaddr *address, socklen_t length);
	int (*listen)(int fd, int backlog);
	int (*connect)(int fd, const struct sockaddr *address,
		       socklen_t length);
	int (*accept4)(int fd, struct sockaddr *address, socklen_t *length,
		       int flags);
	ssize_t (*recv)(int fd, void *bytes, size_t length, int flags);
	ssize_t (*sendmsg)(int fd, const struct msghdr *message, int flags);
	int (*socketpair)(int domain, int type, int protocol, int fds[2]);
	int (*pipe2)(int fds[2], int flags);

	/* A child that runs `child` in this process' memory, on a stack of its
	 * own, while the calling thread waits for it to exec or to end; its
	 * value is the child's status.  Nothing of the memory is copied, so it
	 * takes no longer the larger the process is.  The child may call what
	 * is async-signal-safe, and no set*id() of libc, which would look for
	 * the caller's threads.  Its pid, or -1 with errno. */
	pid_t (*vfork)(int (*child)(void *argument), void *argument);
	int (*kill)(pid_t pid, int signal);
	int (*pidfd_open)(pid_t pid, unsigned int flags);
};

extern struct os os;

#endif
