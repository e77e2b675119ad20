/* SPDX-License-Identifier: Apache-2.0 */

#include "plugins/scaling/predictive/forecast.h"

#include "plugins/scaling/formula/number.h"
#include "plugins/scaling/predictive/holt_winters.h"

/* Seasons ago until there is one that is known; NaN: never. */
static double naive_ahead(const struct series *series, size_t season,
			  size_t steps)
{
	size_t at = series->count + steps - 1;

	while (at >= season) {
		at -= season;
		if (at < series->count && !isnan(series->values[at]))
			return series->values[at];
	}
	return NAN;
}

/* Mean squared error over the last season; NaN: there is no pair. */
static double naive_squared_error(const struct series *series, size_t season)
{
	double squares = 0;
	size_t known = 0;

	for (size_t i = series->count; i > season && series->count - i < season;
	     i--) {
		double error =
			series->values[i - 1] - series->values[i - 1 - season];

		if (isnan(error))
			continue;
		squares += error * error;
		known++;
	}
	return known > 0 ? squares / (double)known : NAN;
}

void forecast_make(const struct series *series, int32_t method, size_t season,
		   struct forecast *forecast)
{
	struct holt_winters model;
	bool smooth = false;
	double squared = NAN;

	*forecast = (struct forecast){ .method = FORECAST_NONE,
				       .most = series->most };
	for (size_t i = 0; i < FORECAST_STEPS; i++)
		forecast->values[i] = NAN;
	if (season == 0 || series->count < season)
		return;
	if (method != FORECAST_HOLT_WINTERS)
		squared = naive_squared_error(series, season);
	if (method != FORECAST_SEASONAL_NAIVE)
		smooth = holt_winters_fit(series->values, series->count, season,
					  &model);
	if (smooth && !(squared < model.squared_error))
		squared = model.squared_error;
	else if (method == FORECAST_HOLT_WINTERS)
		return;
	else
		smooth = false;

	forecast->method =
		smooth ? FORECAST_HOLT_WINTERS : FORECAST_SEASONAL_NAIVE;
	forecast->error = squared >= 0 ? sqrt(squared) : 0;
	for (size_t i = 0; i < FORECAST_STEPS; i++)
		forecast->values[i] =
			smooth ? holt_winters_ahead(&model, i + 1)
			       : naive_ahead(series, season, i + 1);
}

bool forecast_sound(const struct forecast *forecast)
{
	for (size_t i = 0; i < FORECAST_STEPS; i++)
		if (isinf(forecast->values[i]))
			return false;
	return forecast->method > FORECAST_BEST &&
	       forecast->method <= FORECAST_NONE &&
	       number_known(forecast->error) && number_known(forecast->most);
}

bool forecast_peak(const struct forecast *forecast, int64_t age_ms,
		   int64_t ahead_ms, double *calls_r)
{
	int64_t first = age_ms / SERIES_STEP_MS;
	int64_t last = (age_ms + ahead_ms) / SERIES_STEP_MS;
	double most = NAN;

	for (int64_t i = first; i <= last && i < FORECAST_STEPS; i++)
		most = fmax(most, forecast->values[i]); /* skips NaN */
	if (isnan(most))
		return false;
	*calls_r = most;
	return true;
}
