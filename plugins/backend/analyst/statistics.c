/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/backend/analyst/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double middle_of(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), ascending);
	return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static int sign(double x)
{
	return (x > 0) - (x < 0);
}

/* Variance of S where values are equal to each other in groups. */
static double variance_of(const double *values, size_t count)
{
	double sorted[STATISTICS_MAX], n = (double)count;
	double variance = n * (n - 1) * (2 * n + 5);

	memcpy(sorted, values, count * sizeof(*values));
	qsort(sorted, count, sizeof(*sorted), ascending);
	for (size_t i = 0, j; i < count; i = j) {
		double t;

		for (j = i + 1; j < count && sorted[j] <= sorted[i];)
			j++;
		t = (double)(j - i);
		variance -= t * (t - 1) * (2 * t + 5);
	}
	return variance / 18;
}

struct trend trend_of(const double *values, size_t count)
{
	size_t pairs = count * (count - 1) / 2, at = 0;
	double *slopes = malloc(pairs * sizeof(*slopes));
	double variance = variance_of(values, count);
	struct trend trend = { .p = 1 };

	for (size_t i = 0; i < count; i++)
		for (size_t j = i + 1; j < count; j++) {
			trend.s += sign(values[j] - values[i]);
			if (slopes != NULL)
				slopes[at++] = (values[j] - values[i]) /
					       (double)(j - i);
		}
	if (slopes != NULL)
		trend.slope = middle_of(slopes, pairs);
	free(slopes);
	if (variance > 0 && trend.s != 0) {
		double z = ((double)trend.s - sign((double)trend.s)) /
			   sqrt(variance);

		trend.p = erfc(fabs(z) / sqrt(2));
	}
	return trend;
}

struct change change_of(const double *values, size_t count)
{
	double part[STATISTICS_MAX], n = (double)count;
	struct change change = { .at = 1 };
	int64_t u = 0;

	/* U(t) = U(t-1) + sum over j of sign(x(t) - x(j)) */
	for (size_t t = 0; t + 1 < count; t++) {
		for (size_t j = 0; j < count; j++)
			u += sign(values[t] - values[j]);
		if (llabs(u) > change.k) {
			change.k = llabs(u);
			change.at = t + 1;
		}
	}
	change.p = fmin(1, 2 * exp(-6 * (double)change.k * (double)change.k /
				   (n * n * n + n * n)));
	memcpy(part, values, change.at * sizeof(*values));
	change.from = middle_of(part, change.at);
	memcpy(part, values + change.at, (count - change.at) * sizeof(*values));
	change.to = middle_of(part, count - change.at);
	return change;
}

double outlier_of(const double *values, size_t count, double value)
{
	double part[STATISTICS_MAX], middle, distance;

	memcpy(part, values, count * sizeof(*values));
	middle = middle_of(part, count);
	for (size_t i = 0; i < count; i++)
		part[i] = fabs(values[i] - middle);
	distance = middle_of(part, count);
	if (distance > 0)
		return 0.6745 * (value - middle) / distance;
	return sign(value - middle) == 0
		       ? 0
		       : copysign((double)INFINITY, value - middle);
}
