/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCALING_PREDICTIVE_SERIES_H
#define SCALING_PREDICTIVE_SERIES_H

/*
 * Calls at once, each five minutes, of up to seven days: the load's long
 * samples as a series of equal steps, with NaN where nothing was measured.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/scaling.h>

#define SERIES_STEP_MS INT64_C(300000)
#define SERIES_MAX     2016 /* seven days */

struct series {
	size_t count;		   /* from the first known to the last sample */
	double most;		   /* the largest known, 0 without any */
	double values[SERIES_MAX]; /* oldest first */
};

/* Samples are placed by their distance from the last one; those that lie in
 * no order are left out. */
void series_read(const struct atom_load *load, struct series *series_r);

/* How long ago the last sample ended, 0 at least.  False: there is none. */
bool series_age(const struct atom_load *load, int64_t *age_ms_r);

#endif
