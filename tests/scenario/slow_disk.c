/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that takes its time: loaded before libc (LD_PRELOAD), it does not end a
 * sync of data as long as there is a file SLOW_DISK; with SLOW_DISK_OF, of files
 * alone that have this word in them.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_US 1000

static bool is_slow(int fd)
{
	const char *word = getenv("SLOW_DISK_OF");
	char path[64], bytes[65536];
	ssize_t n;
	int copy;

	if (word == NULL)
		return true;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	copy = open(path, O_RDONLY | O_CLOEXEC);
	if (copy < 0)
		return false;
	n = pread(copy, bytes, sizeof(bytes), 0);
	(void)close(copy);
	return n > 0 && memmem(bytes, (size_t)n, word, strlen(word)) != NULL;
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): in place
 * of libc's. */
int fdatasync(int fd)
{
	const char *slow = getenv("SLOW_DISK");

	while (slow != NULL && is_slow(fd) && access(slow, F_OK) == 0)
		usleep(LOOK_US);
	return fsync(fd);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
