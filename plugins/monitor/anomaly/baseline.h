/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ANOMALY_BASELINE_H
#define ANOMALY_BASELINE_H

/*
 * What one series was: a value of each 5 minutes ("slot", numbered from
 * 1970) of the last days, 4 bytes each, none where there was none; and what
 * is usual at a time of day by them: the values of the same hour of the other
 * days.  Pure.
 *
 * Warm-up: nothing is said before `least_days` other days have at least half
 * of that hour.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugins/monitor/anomaly/score.h"

#define SLOT_MS	      300000
#define SLOTS_A_DAY   288
#define BASELINE_SIDE 6 /* slots before and behind: the hour around */
#define BASELINE_DAYS 30

struct baseline {
	float *values; /* NAN = none */
	size_t size;
	int64_t last; /* newest slot; 0 = none yet */
};

/* False: no memory.  `days` 1..BASELINE_DAYS. */
bool baseline_init(struct baseline *baseline, int days);
void baseline_fini(struct baseline *baseline);

/* Older than what is kept: ignored. */
void baseline_set(struct baseline *baseline, int64_t slot, double value);
/* NAN: none. */
double baseline_get(const struct baseline *baseline, int64_t slot);

/* Values of the hour around `slot` on the other days, in out[] of
 * BASELINE_DAYS * (2 * BASELINE_SIDE + 1).  0: not known yet. */
size_t baseline_usual(const struct baseline *baseline, int64_t slot,
		      int least_days, double *out);

#endif
