/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forecasts of scaling/predictive.  Holt-Winters against a series worked
 * by hand from the formulas of Hyndman and Athanasopoulos, "Forecasting:
 * Principles and Practice".
 */
#include <criterion/criterion.h>

#include <math.h>

#include "plugins/scaling/predictive/forecast.h"
#include "plugins/scaling/predictive/holt_winters.h"

static const struct holt_winters_weights halves = { 0.5, 0.5, 0.5 };

/*
 * Season of two, all weights a half; means of the first two seasons 15 and
 * 17, so the trend begins as 1, the level as 15.5, the season as -4.5, 4.5.
 *
 *	y	forecast	level		trend		season
 *	14	12		17.5		1.5		-3.5
 *	20	23.5		17.25		0.625		2.75
 *	16	14.375		18.6875		1.03125		-2.6875
 *	26	22.46875	21.484375	1.9140625	4.515625
 *
 * One step after: 21.484375 + 1.9140625 - 2.6875.
 */
Test(scaling_holt_winters, agrees_with_a_series_worked_by_hand)
{
	static const double values[] = { 10, 20, 14, 20, 16, 26 };
	struct holt_winters model;

	cr_assert(holt_winters_run(values, 6, 2, &halves, &model));
	cr_assert_float_eq(model.level, 21.484375, 1e-12);
	cr_assert_float_eq(model.trend, 1.9140625, 1e-12);
	cr_assert_float_eq(model.season[0], -2.6875, 1e-12);
	cr_assert_float_eq(model.season[1], 4.515625, 1e-12);
	/* (1.625^2 + 3.53125^2) / 2 */
	cr_assert_float_eq(model.squared_error, 7.55517578125, 1e-12);
	cr_assert_float_eq(holt_winters_ahead(&model, 1), 20.7109375, 1e-12);
	cr_assert_float_eq(holt_winters_ahead(&model, 2), 29.828125, 1e-12);
	cr_assert_float_eq(holt_winters_ahead(&model, 3), 24.5390625, 1e-12);
}

/* The same with the third value missing: means 15 and 20, trend 2.5, level
 * 16.25, season -3.75, 3.75; the level moves to 18.75; then 20 comes where
 * 25 was expected: level 0.5 x 16.25 + 0.5 x 21.25 = 18.75, trend 0.5 x 0 +
 * 0.5 x 2.5 = 1.25, season 0.5 x -1.25 + 0.5 x 3.75 = 1.25. */
Test(scaling_holt_winters, a_missing_value_moves_on_and_teaches_nothing)
{
	const double values[] = { 10, 20, NAN, 20 };
	struct holt_winters model;

	cr_assert(holt_winters_run(values, 4, 2, &halves, &model));
	cr_assert_float_eq(model.level, 18.75, 1e-12);
	cr_assert_float_eq(model.trend, 1.25, 1e-12);
	cr_assert_float_eq(model.season[0], -3.75, 1e-12);
	cr_assert_float_eq(model.season[1], 1.25, 1e-12);
	cr_assert_float_eq(model.squared_error, 25, 1e-12);
}

Test(scaling_holt_winters, a_line_with_a_season_is_forecast_without_error)
{
	static const double season[] = { -3, 7, 1, 0, -5 };
	double values[37];
	struct holt_winters model;

	for (size_t i = 0; i < 37; i++)
		values[i] = 20 + 0.25 * (double)i + season[i % 5];
	cr_assert(holt_winters_fit(values, 37, 5, &model));
	cr_assert_float_eq(model.squared_error, 0, 1e-18);
	for (size_t h = 1; h <= 12; h++)
		cr_assert_float_eq(holt_winters_ahead(&model, h),
				   20 + 0.25 * (double)(36 + h) +
					   season[(36 + h) % 5],
				   1e-9);
}

Test(scaling_holt_winters, the_fit_is_no_worse_than_any_of_its_grid)
{
	static const double levels[] = { 0.05, 0.1, 0.2, 0.4 };
	double values[96];
	struct holt_winters best;
	unsigned int seed = 3;

	for (size_t i = 0; i < 96; i++)
		values[i] = 10 + 5 * sin(6.283185307 * (double)i / 24) +
			    (double)(rand_r(&seed) % 100) / 50;
	cr_assert(holt_winters_fit(values, 96, 24, &best));
	for (size_t i = 0; i < 4; i++) {
		struct holt_winters_weights weights = { levels[i], 0.01, 0.1 };
		struct holt_winters one;

		cr_assert(holt_winters_run(values, 96, 24, &weights, &one));
		cr_assert_leq(best.squared_error, one.squared_error);
	}
	/* Noise of two calls at the most around a season of ten. */
	cr_assert_lt(sqrt(best.squared_error), 1);
}

Test(scaling_holt_winters, too_little_is_no_model)
{
	double values[] = { 1, 2, 3, 4, NAN, NAN, NAN, NAN };
	struct holt_winters model;

	cr_assert_not(holt_winters_run(values, 3, 2, &halves, &model));
	cr_assert_not(holt_winters_run(values, 8, 4, &halves, &model));
	cr_assert_not(holt_winters_run(values, 8, 0, &halves, &model));
	cr_assert_not(holt_winters_run(values, 8, 1009, &halves, &model));
	values[0] = 1e308;
	values[1] = 1e308;
	cr_assert_not(holt_winters_run(values, 4, 2, &halves, &model));
}

/* --- both methods ------------------------------------------------------- */

static struct series series;

static void series_of(size_t count, const double *values)
{
	series.count = count;
	series.most = 0;
	for (size_t i = 0; i < count; i++) {
		series.values[i] = values[i];
		series.most = fmax(series.most, values[i]);
	}
}

Test(scaling_forecast, naive_is_what_was_one_season_ago)
{
	static const double values[] = { 1, 2, 3, 5, 7, 9, 4 };
	struct forecast forecast;

	series_of(7, values);
	forecast_make(&series, FORECAST_SEASONAL_NAIVE, 3, &forecast);
	cr_assert_eq(forecast.method, FORECAST_SEASONAL_NAIVE);
	/* The last three are 7, 9, 4. */
	cr_assert_float_eq(forecast.values[0], 7, 0);
	cr_assert_float_eq(forecast.values[1], 9, 0);
	cr_assert_float_eq(forecast.values[2], 4, 0);
	cr_assert_float_eq(forecast.values[3], 7, 0);
	/* Errors of the last season: 7 - 2, 9 - 3, 4 - 5. */
	cr_assert_float_eq(forecast.error, sqrt(62.0 / 3), 1e-12);
	cr_assert_float_eq(forecast.most, 9, 0);
}

Test(scaling_forecast, naive_skips_a_season_that_is_missing)
{
	const double values[] = { 1, 2, 3, 5, NAN, NAN };
	struct forecast forecast;

	series_of(6, values);
	forecast_make(&series, FORECAST_SEASONAL_NAIVE, 3, &forecast);
	cr_assert_float_eq(forecast.values[0], 5, 0);
	cr_assert_float_eq(forecast.values[1], 2, 0);
	cr_assert_float_eq(forecast.values[2], 3, 0);
	cr_assert_float_eq(forecast.error, 4, 1e-12);
}

Test(scaling_forecast, one_season_is_enough_for_naive_alone)
{
	static const double values[] = { 1, 2, 3, 4 };
	struct forecast forecast;

	series_of(4, values);
	forecast_make(&series, FORECAST_BEST, 4, &forecast);
	cr_assert_eq(forecast.method, FORECAST_SEASONAL_NAIVE);
	cr_assert_float_eq(forecast.values[0], 1, 0);
	cr_assert_float_eq(forecast.error, 0, 0);
	forecast_make(&series, FORECAST_HOLT_WINTERS, 4, &forecast);
	cr_assert_eq(forecast.method, FORECAST_NONE);
	forecast_make(&series, FORECAST_BEST, 5, &forecast);
	cr_assert_eq(forecast.method, FORECAST_NONE);
	cr_assert(isnan(forecast.values[0]));
}

Test(scaling_forecast, best_is_the_one_with_the_smaller_errors)
{
	double values[40];
	struct forecast forecast;

	/* A trend: one season ago is always four too low. */
	for (size_t i = 0; i < 40; i++)
		values[i] = (double)i + (i % 4 == 0 ? 10 : 0);
	series_of(40, values);
	forecast_make(&series, FORECAST_BEST, 4, &forecast);
	cr_assert_eq(forecast.method, FORECAST_HOLT_WINTERS);
	cr_assert_float_eq(forecast.values[0], 50, 1e-9);

	/* A level that jumped three seasons ago and has repeated itself to the
	 * digit since: smoothing still comes after it. */
	for (size_t i = 0; i < 40; i++)
		values[i] = (i < 28 ? 0 : 100) + (i % 4 == 0 ? 10 : 0);
	series_of(40, values);
	forecast_make(&series, FORECAST_BEST, 4, &forecast);
	cr_assert_eq(forecast.method, FORECAST_SEASONAL_NAIVE);
	cr_assert_float_eq(forecast.values[0], 110, 0);
	cr_assert_float_eq(forecast.error, 0, 0);
}

Test(scaling_forecast, the_peak_is_of_the_steps_that_lie_ahead)
{
	struct forecast forecast = { .method = FORECAST_SEASONAL_NAIVE };
	double calls = -1;

	for (size_t i = 0; i < FORECAST_STEPS; i++)
		forecast.values[i] = i == 3 ? NAN : (double)(i * i);
	cr_assert(forecast_peak(&forecast, 0, 0, &calls));
	cr_assert_float_eq(calls, 0, 0);
	cr_assert(forecast_peak(&forecast, 299999, 0, &calls));
	cr_assert_float_eq(calls, 0, 0);
	cr_assert(forecast_peak(&forecast, 299999, 1, &calls));
	cr_assert_float_eq(calls, 1, 0);
	cr_assert(forecast_peak(&forecast, 600000, 300000, &calls));
	cr_assert_float_eq(calls, 4, 0);
	cr_assert_not(forecast_peak(&forecast, 900000, 0, &calls));
	cr_assert(forecast_peak(&forecast, 900000, 3600000, &calls));
	cr_assert_float_eq(calls, 225, 0);
	cr_assert_not(forecast_peak(&forecast, 16 * 300000, 1, &calls));
}
