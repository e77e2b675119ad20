/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_ROUNDS_H
#define BENCH_ROUNDS_H

/*
 * What the programs share that measure parts of the daemon: the same thing
 * done some rounds long, of which the median counts.
 */

#define ROUNDS_MAX 99

/* CPU time of this thread. */
double cpu_ns(void);
double wall_ns(void);
/* Of so many figures, which are sorted: the least is the first then. */
double median(double *figures, int count);
/* A number of the command line, or the end of the program. */
int rounds_argument(int argc, char **argv, int otherwise);

#endif
