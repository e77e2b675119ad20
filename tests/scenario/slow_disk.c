/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that takes its time: loaded before libc (LD_PRELOAD), it does not end a
 * sync of data as long as there is a file SLOW_DISK.
 */
#include <stdlib.h>
#include <unistd.h>

#define LOOK_US 1000

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): in place
 * of libc's. */
int fdatasync(int fd)
{
	const char *slow = getenv("SLOW_DISK");

	while (slow != NULL && access(slow, F_OK) == 0)
		usleep(LOOK_US);
	return fsync(fd);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
