/* SPDX-License-Identifier: Apache-2.0 */
#include "rounds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double clock_of(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

double cpu_ns(void)
{
	return clock_of(CLOCK_THREAD_CPUTIME_ID);
}

double wall_ns(void)
{
	return clock_of(CLOCK_MONOTONIC);
}

static int rising(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double median(double *figures, int count)
{
	qsort(figures, (size_t)count, sizeof(*figures), rising);
	return figures[count / 2];
}

int rounds_argument(int argc, char **argv, int otherwise)
{
	long rounds = otherwise;

	if (argc == 3 && strcmp(argv[1], "--rounds") == 0)
		rounds = strtol(argv[2], NULL, 10);
	if ((argc != 1 && argc != 3) || rounds < 1 || rounds > ROUNDS_MAX) {
		(void)fprintf(stderr, "%s: expected --rounds 1 to %d\n",
			      argv[0], ROUNDS_MAX);
		exit(2);
	}
	return (int)rounds;
}
