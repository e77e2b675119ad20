/* SPDX-License-Identifier: Apache-2.0 */

#include "plugins/scaling/predictive/holt_winters.h"

#include <math.h>

/* Mean of what is known; false: nothing is. */
static bool mean_of(const double *values, size_t count, double *mean_r)
{
	double sum = 0;
	size_t known = 0;

	for (size_t i = 0; i < count; i++) {
		if (isnan(values[i]))
			continue;
		sum += values[i];
		known++;
	}
	if (known == 0)
		return false;
	*mean_r = sum / (double)known;
	return true;
}

static bool begin(const double *values, size_t season,
		  struct holt_winters *model)
{
	double first;
	double second;

	if (!mean_of(values, season, &first) ||
	    !mean_of(values + season, season, &second))
		return false;

	double trend = (second - first) / (double)season;
	double middle = (double)(season - 1) / 2;

	model->trend = trend;
	model->level = first + trend * middle;
	model->length = season;
	model->next = 0;
	for (size_t i = 0; i < season; i++) {
		double line = first + trend * ((double)i - middle);

		model->season[i] = isnan(values[i]) ? 0 : values[i] - line;
	}
	return true;
}

/* The next value; returns the error of its forecast, NaN where the value is
 * missing. */
static double learn(struct holt_winters *model, double value,
		    const struct holt_winters_weights *weights)
{
	double *season = &model->season[model->next];
	double before = model->level;
	double expected = before + model->trend;
	double error = value - expected - *season;

	model->next = model->next + 1 == model->length ? 0 : model->next + 1;
	if (isnan(value)) {
		model->level = expected;
		return value;
	}
	model->level = weights->level * (value - *season) +
		       (1 - weights->level) * expected;
	*season = weights->season * (value - expected) +
		  (1 - weights->season) * *season;
	model->trend = weights->trend * (model->level - before) +
		       (1 - weights->trend) * model->trend;
	return error;
}

bool holt_winters_run(const double *values, size_t count, size_t season,
		      const struct holt_winters_weights *weights,
		      struct holt_winters *model)
{
	double squares = 0;
	size_t known = 0;

	if (season == 0 || season > HOLT_WINTERS_SEASON_MAX ||
	    count < 2 * season || !begin(values, season, model))
		return false;
	for (size_t i = season; i < count; i++) {
		double error = learn(model, values[i], weights);

		if (i < count - season || isnan(error))
			continue;
		squares += error * error;
		known++;
	}
	if (known == 0 || !isfinite(squares) || !isfinite(model->level) ||
	    !isfinite(model->trend))
		return false;
	model->squared_error = squares / (double)known;
	return true;
}

bool holt_winters_fit(const double *values, size_t count, size_t season,
		      struct holt_winters *model)
{
	static const double levels[] = { 0.05, 0.1, 0.2, 0.4 };
	static const double trends[] = { 0, 0.01, 0.05 };
	static const double seasons[] = { 0.05, 0.1, 0.3 };
	const size_t trend_count = sizeof(trends) / sizeof(trends[0]);
	const size_t season_count = sizeof(seasons) / sizeof(seasons[0]);
	const size_t all =
		sizeof(levels) / sizeof(levels[0]) * trend_count * season_count;
	struct holt_winters tried;
	bool found = false;

	for (size_t i = 0; i < all; i++) {
		struct holt_winters_weights weights = {
			.level = levels[i / (trend_count * season_count)],
			.trend = trends[i / season_count % trend_count],
			.season = seasons[i % season_count],
		};

		if (!holt_winters_run(values, count, season, &weights,
				      &tried) ||
		    (found && tried.squared_error >= model->squared_error))
			continue;
		*model = tried;
		found = true;
	}
	return found;
}

double holt_winters_ahead(const struct holt_winters *model, size_t steps)
{
	return model->level + (double)steps * model->trend +
	       model->season[(model->next + steps - 1) % model->length];
}
