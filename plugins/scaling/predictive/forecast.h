/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCALING_PREDICTIVE_FORECAST_H
#define SCALING_PREDICTIVE_FORECAST_H

/*
 * Calls at once in the next steps of a series, by Holt-Winters, or by the
 * seasonal naive forecast: what was one season ago (or two, where that is
 * missing).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugins/scaling/predictive/series.h"

/* An hour ahead of a last sample that is a quarter of an hour old. */
#define FORECAST_STEPS 16

enum forecast_method {
	FORECAST_BEST, /* whose errors over the last season are smaller */
	FORECAST_HOLT_WINTERS,
	FORECAST_SEASONAL_NAIVE,
	FORECAST_NONE /* there is not enough of the series */
};

struct forecast {
	int32_t method; /* that made it; never BEST */
	int32_t reserved;
	double error; /* root of the mean squared error, 0 = not known */
	double most;  /* of the series */
	double values[FORECAST_STEPS]; /* NaN: none for that step */
};

void forecast_make(const struct series *series, int32_t method, size_t season,
		   struct forecast *forecast_r);

/* Is this one that forecast_make may have made? */
bool forecast_sound(const struct forecast *forecast);

/* The largest of the steps that lie in the next `ahead_ms`, when the series
 * ended `age_ms` ago.  False: there is none. */
bool forecast_peak(const struct forecast *forecast, int64_t age_ms,
		   int64_t ahead_ms, double *calls_r);

#endif
