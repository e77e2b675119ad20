/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCALING_PREDICTIVE_HOLT_WINTERS_H
#define SCALING_PREDICTIVE_HOLT_WINTERS_H

/*
 * Holt-Winters' additive method: a level, a trend and a season, each smoothed
 * by a weight of its own.  For a season of m steps:
 *
 *	level(t)  = a (y(t) - season(t-m)) + (1-a) (level(t-1) + trend(t-1))
 *	trend(t)  = b (level(t) - level(t-1)) + (1-b) trend(t-1)
 *	season(t) = c (y(t) - level(t-1) - trend(t-1)) + (1-c) season(t-m)
 *	y(t+h)    = level(t) + h trend(t) + season(of that step)
 *
 * Source: Hyndman and Athanasopoulos, "Forecasting: Principles and Practice",
 * Holt-Winters' seasonal method (Holt 1957, Winters 1960).  It begins with the
 * first season, less the trend between the means of the first two: a straight
 * line with a season is forecast without an error.
 *
 * A missing value (NaN) moves the level on by the trend and teaches nothing.
 */

#include <stdbool.h>
#include <stddef.h>

#define HOLT_WINTERS_SEASON_MAX 1008 /* half of the longest series */

struct holt_winters_weights {
	double level;
	double trend;
	double season;
};

struct holt_winters {
	double level;
	double trend;
	size_t length;	      /* of the season */
	size_t next;	      /* step of the season that comes next */
	double squared_error; /* mean, one step ahead, over the last season */
	double season[HOLT_WINTERS_SEASON_MAX];
};

/* False: less than two seasons, a season without any value, or numbers that
 * left all bounds. */
bool holt_winters_run(const double *values, size_t count, size_t season,
		      const struct holt_winters_weights *weights,
		      struct holt_winters *model_r);

/* The same with those of a small grid of weights whose error is least. */
bool holt_winters_fit(const double *values, size_t count, size_t season,
		      struct holt_winters *model_r);

/* `steps` (1 or more) after the last value. */
double holt_winters_ahead(const struct holt_winters *model, size_t steps);

#endif
