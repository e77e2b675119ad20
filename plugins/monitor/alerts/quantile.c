/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "plugins/monitor/alerts/function.h"

static int by_bound(const void *a, const void *b)
{
	double x = ((const struct bucket *)a)->bound;
	double y = ((const struct bucket *)b)->bound;

	return (x > y) - (x < y);
}

/* Equal bounds become one bucket, and counts never fall: scrapes of a running
 * histogram are not of one instant. */
static size_t tidy(struct bucket *buckets, size_t count)
{
	size_t kept = 0;

	qsort(buckets, count, sizeof(*buckets), by_bound);
	for (size_t i = 0; i < count; i++) {
		if (kept > 0 && buckets[kept - 1].bound == buckets[i].bound)
			buckets[kept - 1].count += buckets[i].count;
		else
			buckets[kept++] = buckets[i];
	}
	for (size_t i = 1; i < kept; i++)
		if (buckets[i].count < buckets[i - 1].count)
			buckets[i].count = buckets[i - 1].count;
	return kept;
}

double bucket_quantile(double q, struct bucket *buckets, size_t count)
{
	double start = 0, below = 0, rank;
	size_t at = 0;

	if (isnan(q))
		return NAN;
	if (q < 0)
		return -INFINITY;
	if (q > 1)
		return INFINITY;
	if (count == 0)
		return NAN;
	count = tidy(buckets, count);
	if (buckets[count - 1].bound != INFINITY || count < 2 ||
	    buckets[count - 1].count == 0)
		return NAN;
	rank = q * buckets[count - 1].count;
	while (at < count - 1 && !(buckets[at].count >= rank))
		at++;
	if (at == count - 1)
		return buckets[count - 2].bound;
	if (at == 0 && buckets[0].bound <= 0)
		return buckets[0].bound;
	if (at > 0) {
		start = buckets[at - 1].bound;
		below = buckets[at - 1].count;
	}
	return start + (buckets[at].bound - start) *
			       ((rank - below) / (buckets[at].count - below));
}
