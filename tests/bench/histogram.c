/* SPDX-License-Identifier: Apache-2.0 */
#include "histogram.h"

#include <stddef.h>

/* Values below 2 * STEPS have a bucket each; above, the top bits choose. */
static size_t bucket_of(uint64_t value)
{
	int shift = 0;
	size_t bucket;

	while (value >> shift >= (uint64_t)2 * HISTOGRAM_STEPS)
		shift++;
	bucket = (size_t)shift * HISTOGRAM_STEPS + (size_t)(value >> shift);
	return bucket < HISTOGRAM_POWERS * HISTOGRAM_STEPS
		       ? bucket
		       : HISTOGRAM_POWERS * HISTOGRAM_STEPS - 1;
}

/* The middle of a bucket. */
static uint64_t value_of(size_t bucket)
{
	size_t shift;

	if (bucket < (size_t)2 * HISTOGRAM_STEPS)
		return bucket;
	shift = bucket / HISTOGRAM_STEPS - 1;
	return ((uint64_t)(bucket - shift * HISTOGRAM_STEPS) << shift) +
	       ((uint64_t)1 << shift) / 2;
}

void histogram_add(struct histogram *h, uint64_t value)
{
	h->counts[bucket_of(value)]++;
	h->total++;
	if (value > h->largest)
		h->largest = value;
}

uint64_t histogram_at(const struct histogram *h, double share)
{
	uint64_t rank = (uint64_t)(share * (double)h->total), seen = 0;

	if (h->total == 0)
		return 0;
	for (size_t i = 0; i < HISTOGRAM_POWERS * HISTOGRAM_STEPS; i++) {
		seen += h->counts[i];
		if (seen > rank)
			return value_of(i) < h->largest ? value_of(i)
							: h->largest;
	}
	return h->largest;
}
