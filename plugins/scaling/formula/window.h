/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCALING_FORMULA_WINDOW_H
#define SCALING_FORMULA_WINDOW_H

/*
 * What a load's one-second samples say of the last so many milliseconds.
 *
 * A window is filled from the newest sample backwards by the samples' own
 * lengths, not by their times: a clock that jumps moves no sample in or out.
 * Samples whose number was not measured take no part.  Where fewer samples
 * are there than the window is long, those that are there count.
 */

#include <stdbool.h>
#include <stdint.h>

#include <atomd/scaling.h>

/* Time-weighted mean of calls at once, in service and waiting.  False: not
 * measured at any time of the window; *mean_r stays. */
bool window_calls(const struct atom_load *load, int64_t window_ms,
		  double *mean_r);

/* The same of a member of struct atom_load_sample: `pick` reads it, negative
 * is missing. */
typedef double (*sample_number)(const struct atom_load_sample *sample);
bool window_mean(const struct atom_load *load, int64_t window_ms,
		 sample_number pick, double *mean_r);

/* Calls at once of one sample; waiting alone may be missing. */
double sample_calls(const struct atom_load_sample *sample);

/* Arrivals a second, refused calls included; negative is missing. */
double sample_arrival_rate(const struct atom_load_sample *sample);

#endif
