/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCALING_FORMULA_USAGE_H
#define SCALING_FORMULA_USAGE_H

/*
 * How much of their instances an agent's calls use, in percent.  Instances
 * that are no processes (slots towards an HTTP model) have no CPU: slots in
 * use stand for it.
 */

#include <stdbool.h>
#include <stdint.h>

#include <atomd/scaling.h>

/* Slots in use of those of the ready instances, over the window; where
 * nothing was ready, or there are no samples, the load's own number of now.
 * False: not measured. */
bool usage_slots(const struct atom_load *load, int64_t window_ms,
		 double *percent_r);

/* CPU, or slots where CPU is missing: then *stands_in_r. */
bool usage_cpu(const struct atom_load *load, int64_t window_ms,
	       double *percent_r, bool *stands_in_r);

bool usage_memory(const struct atom_load *load, double *percent_r);

#endif
