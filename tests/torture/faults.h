/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_TORTURE_FAULTS_H
#define TESTS_TORTURE_FAULTS_H

/*
 * What stands in the place of libc's functions asks here whether the call
 * fails; faults.c says how.  Each file includes this one first.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

/* The order is that of FUNCTIONS in control.py. */
enum function {
	F_MALLOC,
	F_CALLOC,
	F_REALLOC,
	F_MEMALIGN, /* memory */
	F_WRITE,
	F_PWRITE,
	F_WRITEV,
	F_SENDMSG,
	F_SEND,
	F_FSYNC,
	F_FDATASYNC,
	F_READ,
	F_PREAD,
	F_RECV,
	F_RECVMSG,
	F_OPEN,
	F_FSTAT,
	F_RENAME,
	F_UNLINK,
	F_MKDIR,
	F_FTRUNCATE,
	F_SOCKET,
	F_SOCKETPAIR,
	F_PIPE,
	F_EVENTFD,
	F_ACCEPT,
	F_BIND,
	F_LISTEN,
	F_CONNECT,
	F_EPOLL_CREATE,
	F_EPOLL_CTL,
	F_EPOLL_WAIT,
	F_FORK,
	F_SPAWN,
	F_THREAD,
	F_MMAP
};

#define SHORT (-1) /* half of the bytes, instead of an error */

/* Whether this call, that `caller` made, shall fail; then its error is
 * *error_r. */
int fails_for(const void *caller, enum function function, int fd, int *error_r);
#define fails(function, fd, error_r) \
	fails_for(__builtin_return_address(0), function, fd, error_r)
/* So many blocks and bytes more, or less, are in use. */
void count_memory(int64_t blocks, int64_t bytes);

#pragma GCC visibility pop

#define NEXT(name)                     \
	static __typeof__(&name) next; \
	if (next == NULL)              \
	next = (__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name)

/* `call` unless it shall fail; then `failed`, with errno. */
#define OR_FAIL(function, fd, name, failed, call) \
	do {                                      \
		int why;                          \
		NEXT(name);                       \
		if (fails(function, fd, &why)) {  \
			errno = why;              \
			return failed;            \
		}                                 \
		return next call;                 \
	} while (0)

/* As above, of a function that may do `half` of its work as well. */
#define OR_SHORT(function, fd, name, call, half)  \
	do {                                      \
		int why;                          \
		NEXT(name);                       \
		if (fails(function, fd, &why)) {  \
			if (why == SHORT)         \
				return next half; \
			errno = why;              \
			return -1;                \
		}                                 \
		return next call;                 \
	} while (0)

#define HALF(n) ((n) > 1 ? (n) / 2 : (n))

#endif
