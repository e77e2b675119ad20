/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_METRIC_BUCKET_H
#define CORE_METRIC_BUCKET_H

/*
 * Which bucket of a histogram a value falls in.
 *
 * The bits of a double that is not negative rise with it: exponent first, then
 * mantissa.  Without the low ones they number log-linear slots, a power of two
 * of equal ones to each octave, as in HdrHistogram.  A family takes the widest slots in which no more than two
 * of its bounds share one, and keeps for each slot how many bounds lie in the
 * slots before it; those two are then compared.  Three loads and two
 * comparisons, whatever the value and however many bounds.
 *
 * What lies below the second bound's slot is of the first slot, what lies
 * above the last but one's of the last: the comparisons tell the rest, zero
 * and negative numbers, too.  Bounds that need more slots than there are (3
 * negative ones; neighbours by the last bit beside ones far away) are
 * searched by halving.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define METRIC_BOUNDS_MAX 32
#define METRIC_SLOTS_MAX  256

struct metric_buckets {
	int64_t first;	/* number of slot 0 */
	uint32_t last;	/* slot */
	uint32_t shift; /* bits of a double that slots leave out */
	uint32_t count; /* of bounds */
	bool searched;
	uint8_t below[METRIC_SLOTS_MAX];
	double bounds[METRIC_BOUNDS_MAX + 2]; /* two of +Inf behind them */
};

/* Of bounds that rise and are finite, at most METRIC_BOUNDS_MAX.  NULL without
 * memory; mem_free() frees it. [any] */
struct metric_buckets *metric_buckets_new(const double *bounds, size_t count);

/* The slot of a double by its bits. */
static inline uint32_t metric_slot_of(const struct metric_buckets *b,
				      int64_t bits)
{
	int64_t slot = (bits >> b->shift) - b->first;

	slot = slot > 0 ? slot : 0;
	return slot < b->last ? (uint32_t)slot : b->last;
}

/* By halving: the first bound that is >= value, or the last one. */
uint32_t metric_bucket_search(const struct metric_buckets *b, double value);

/* How many bounds are < value: the bucket that it falls in.  NaN falls in
 * any. [any] */
static inline uint32_t metric_bucket_of(const struct metric_buckets *b,
					double value)
{
	int64_t bits;
	uint32_t at;

	memcpy(&bits, &value, sizeof(bits));
	at = b->below[metric_slot_of(b, bits)];
	if (__builtin_expect(b->searched, 0))
		at = metric_bucket_search(b, value);
	return at + (b->bounds[at] < value) + (b->bounds[at + 1] < value);
}

#endif
