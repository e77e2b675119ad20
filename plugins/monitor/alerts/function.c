/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/alerts/function.h"

#include <math.h>
#include <string.h>
#include <strings.h>

/* --- of a series over a time -------------------------------------------------- */

static bool rate(const struct expr_sample *samples, size_t count,
		 int64_t from_ms, int64_t to_ms, double *value_r)
{
	if (!extrapolated_growth(samples, count, from_ms, to_ms, true, value_r))
		return false;
	*value_r /= (double)(to_ms - from_ms) / 1000;
	return true;
}

static bool increase(const struct expr_sample *samples, size_t count,
		     int64_t from_ms, int64_t to_ms, double *value_r)
{
	return extrapolated_growth(samples, count, from_ms, to_ms, true,
				   value_r);
}

static bool delta(const struct expr_sample *samples, size_t count,
		  int64_t from_ms, int64_t to_ms, double *value_r)
{
	return extrapolated_growth(samples, count, from_ms, to_ms, false,
				   value_r);
}

#define OVER_TIME(name)                                                   \
	static bool name(const struct expr_sample *samples, size_t count, \
			 ATOM_UNUSED int64_t from_ms,                     \
			 ATOM_UNUSED int64_t to_ms, double *value_r)

OVER_TIME(sum_over_time)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += samples[i].value;
	*value_r = sum;
	return true;
}

OVER_TIME(avg_over_time)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += samples[i].value;
	*value_r = sum / (double)count;
	return true;
}

OVER_TIME(min_over_time)
{
	double least = samples[0].value;

	for (size_t i = 1; i < count; i++)
		if (samples[i].value < least || isnan(least))
			least = samples[i].value;
	*value_r = least;
	return true;
}

OVER_TIME(max_over_time)
{
	double most = samples[0].value;

	for (size_t i = 1; i < count; i++)
		if (samples[i].value > most || isnan(most))
			most = samples[i].value;
	*value_r = most;
	return true;
}

OVER_TIME(count_over_time)
{
	(void)samples;
	*value_r = (double)count;
	return true;
}

OVER_TIME(last_over_time)
{
	*value_r = samples[count - 1].value;
	return true;
}

OVER_TIME(present_over_time)
{
	(void)samples;
	(void)count;
	*value_r = 1;
	return true;
}

OVER_TIME(changes)
{
	double times = 0;

	for (size_t i = 1; i < count; i++)
		if (samples[i].value != samples[i - 1].value &&
		    !(isnan(samples[i].value) && isnan(samples[i - 1].value)))
			times++;
	*value_r = times;
	return true;
}

OVER_TIME(resets)
{
	double times = 0;

	for (size_t i = 1; i < count; i++)
		if (samples[i].value < samples[i - 1].value)
			times++;
	*value_r = times;
	return true;
}

/* --- of a number ---------------------------------------------------------------- */

static double absolute(double value, double parameter)
{
	(void)parameter;
	return fabs(value);
}

static double upwards(double value, double parameter)
{
	(void)parameter;
	return ceil(value);
}

static double downwards(double value, double parameter)
{
	(void)parameter;
	return floor(value);
}

/* The bounds of Go's math.Max and math.Min: NaN wins. */
static double at_least(double value, double parameter)
{
	return isnan(value) || isnan(parameter) ? NAN : fmax(value, parameter);
}

static double at_most(double value, double parameter)
{
	return isnan(value) || isnan(parameter) ? NAN : fmin(value, parameter);
}

#define RANGE(word, keeps)                                \
	{                                                 \
#word, FUNCTION_OVER_TIME, 1,             \
			{ EXPR_RANGE }, keeps, NULL, word \
	}
#define ELEMENT(word, count, function)                                       \
	{                                                                    \
		word, FUNCTION_ELEMENT, count, { EXPR_VECTOR, EXPR_SCALAR }, \
			false, function, NULL                                \
	}

static const struct expr_function functions[] = {
	{ "time", FUNCTION_SCALAR, 0, { 0 }, false, NULL, NULL },
	{ "scalar", FUNCTION_SCALAR, 1, { EXPR_VECTOR }, false, NULL, NULL },
	{ "vector", FUNCTION_VECTOR, 1, { EXPR_SCALAR }, false, NULL, NULL },
	{ "absent", FUNCTION_ABSENT, 1, { EXPR_VECTOR }, false, NULL, NULL },
	{ "histogram_quantile",
	  FUNCTION_QUANTILE,
	  2,
	  { EXPR_SCALAR, EXPR_VECTOR },
	  false,
	  NULL,
	  NULL },
	RANGE(rate, false),
	RANGE(increase, false),
	RANGE(delta, false),
	RANGE(changes, false),
	RANGE(resets, false),
	RANGE(sum_over_time, false),
	RANGE(avg_over_time, false),
	RANGE(min_over_time, false),
	RANGE(max_over_time, false),
	RANGE(count_over_time, false),
	RANGE(present_over_time, false),
	RANGE(last_over_time, true),
	ELEMENT("abs", 1, absolute),
	ELEMENT("ceil", 1, upwards),
	ELEMENT("floor", 1, downwards),
	ELEMENT("clamp_min", 2, at_least),
	ELEMENT("clamp_max", 2, at_most),
};

const struct expr_function *expr_function_find(const char *name, size_t length)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (strlen(functions[i].name) == length &&
		    memcmp(functions[i].name, name, length) == 0)
			return &functions[i];
	return NULL;
}
