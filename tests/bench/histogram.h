/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

/*
 * Counts of times, for percentiles: 64 buckets of equal width in each power
 * of two, as HdrHistogram has them, so a value is off by at most 1.6 %.
 */

#include <stdint.h>

#define HISTOGRAM_STEPS	 64
#define HISTOGRAM_POWERS 40 /* up to 19 hours in ns */

struct histogram {
	uint64_t counts[HISTOGRAM_POWERS * HISTOGRAM_STEPS];
	uint64_t total;
	uint64_t largest;
};

void histogram_add(struct histogram *h, uint64_t value);
/* The value that a share (0.99) of all do not exceed; 0: there are none. */
uint64_t histogram_at(const struct histogram *h, double share);

#endif
