/* SPDX-License-Identifier: Apache-2.0 */
/* Processes, threads, what joins them, and address space. */
#include "faults.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): in place
 * of libc's. */
int pipe2(int fds[2], int flags)
{
	OR_FAIL(F_PIPE, -1, pipe2, -1, (fds, flags));
}

int eventfd(unsigned int value, int flags)
{
	OR_FAIL(F_EVENTFD, -1, eventfd, -1, (value, flags));
}

pid_t fork(void)
{
	OR_FAIL(F_FORK, -1, fork, -1, ());
}

int clone(int (*child)(void *), void *stack, int flags, void *argument, ...)
{
	OR_FAIL(F_FORK, -1, clone, -1, (child, stack, flags, argument));
}

int posix_spawn(pid_t *pid, const char *path,
		const posix_spawn_file_actions_t *files,
		const posix_spawnattr_t *attributes, char *const argv[],
		char *const environment[])
{
	int why;
	NEXT(posix_spawn);

	if (fails(F_SPAWN, -1, &why))
		return why;
	return next(pid, path, files, attributes, argv, environment);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
		   void *(*run)(void *), void *argument)
{
	int why;
	NEXT(pthread_create);

	if (fails(F_THREAD, -1, &why))
		return why;
	return next(thread, attributes, run, argument);
}

void *mmap(void *at, size_t length, int protection, int flags, int fd,
	   off_t offset)
{
	OR_FAIL(F_MMAP, fd, mmap, MAP_FAILED,
		(at, length, protection, flags, fd, offset));
}

void *mmap64(void *at, size_t length, int protection, int flags, int fd,
	     off64_t offset)
{
	OR_FAIL(F_MMAP, fd, mmap64, MAP_FAILED,
		(at, length, protection, flags, fd, offset));
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
