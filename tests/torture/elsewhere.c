/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elsewhere CPU[,CPU...] PROGRAM [ARGUMENT...]: the program, run on these
 * processors.  taskset(1) in a fifth of its time, for it is linked statically:
 * what is started on a processor only to leave it shall not be felt there.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	cpu_set_t set;

	if (argc < 3)
		return 2;
	CPU_ZERO(&set);
	for (char *at = argv[1], *end; *at != '\0'; at = end + (*end == ',')) {
		CPU_SET((int)strtol(at, &end, 10), &set);
		if (end == at)
			return 2;
	}
	if (sched_setaffinity(0, sizeof(set), &set) == 0)
		execv(argv[2], argv + 2);
	perror(argv[2]);
	return 1;
}
