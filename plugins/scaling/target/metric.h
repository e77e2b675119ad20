/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCALING_TARGET_METRIC_H
#define SCALING_TARGET_METRIC_H

/* The numbers of a load that can have a target. */

#include <stdbool.h>
#include <stdint.h>

#include <atomd/scaling.h>

enum metric_id {
	METRIC_SLOT_PERCENT,
	METRIC_CPU_PERCENT,
	METRIC_MEMORY_PERCENT,
	METRIC_CALLS,
	METRIC_IN_FLIGHT,
	METRIC_WAITING,
	METRIC_ARRIVALS_PER_S,
	METRIC_COUNT
};

struct metric {
	const char *name;
	/* A number of each instance, whose mean is the measurement; else one of
	 * the whole agent, which its instances share. */
	bool each;
	const char *high; /* reason codes */
	const char *low;
};

/* The metric's names in the order of enum metric_id, NULL-ended. */
extern const char *const metric_names[];

const struct metric *metric_of(int32_t id);

/* False: not measured.  *stands_in_r: slots stand for CPU. */
bool metric_read(const struct atom_load *load, int32_t id, int64_t window_ms,
		 double *value_r, bool *stands_in_r);

#endif
