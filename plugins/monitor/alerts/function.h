/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ALERTS_FUNCTION_H
#define ALERTS_FUNCTION_H

/*
 * The functions of the expression language, in one table.
 */

#include "plugins/monitor/alerts/expr.h"

enum function_form {
	FUNCTION_SCALAR,    /* of nothing or a vector: time(), scalar(v) */
	FUNCTION_VECTOR,    /* of a scalar: vector(s) */
	FUNCTION_ELEMENT,   /* each element by itself: abs(v) */
	FUNCTION_OVER_TIME, /* each series by itself: rate(v[5m]) */
	FUNCTION_ABSENT,
	FUNCTION_QUANTILE
};

struct expr_function {
	const char *name;
	enum function_form form;
	int argument_count;
	enum expr_type arguments[2];
	bool keeps_name;
	double (*element)(double value, double parameter);
	/* False: no value of that. */
	bool (*over_time)(const struct expr_sample *samples, size_t count,
			  int64_t from_ms, int64_t to_ms, double *value_r);
};

/* NULL: there is none of that name. */
const struct expr_function *expr_function_find(const char *name, size_t length);

/* --- quantile.c ------------------------------------------------------------------ */

struct bucket {
	double bound; /* upper, `le` */
	double count; /* observations up to it */
};

/* The quantile `q` of a histogram's buckets by linear interpolation, as
 * Prometheus' histogram_quantile() documents it.  Sorts them in place. */
double bucket_quantile(double q, struct bucket *buckets, size_t count);

/* --- extrapolate.c ---------------------------------------------------------------- */

/* How much a counter grew over [from_ms, to_ms], or a gauge went up (counter:
 * false), from the samples in it, extrapolated to its ends as Prometheus
 * documents for rate(), increase() and delta().  Needs two samples. */
bool extrapolated_growth(const struct expr_sample *samples, size_t count,
			 int64_t from_ms, int64_t to_ms, bool counter,
			 double *growth_r);

#endif
