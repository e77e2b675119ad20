/* SPDX-License-Identifier: Apache-2.0 */
#include "core/metric_bucket.h"

#include <math.h>

#include "core/memory.h"

#define PER_SLOT  2  /* bounds, as many as are compared */
#define SHIFT_MAX 62 /* all but the sign and the exponent's highest bit */

_Static_assert(METRIC_BOUNDS_MAX <= UINT8_MAX, "below[] counts bounds");

/* The bits of bound `i`, those of 0 for -0: they are the same number. */
static int64_t bits_of(const struct metric_buckets *b, size_t i)
{
	int64_t bits;

	memcpy(&bits, &b->bounds[i], sizeof(bits));
	return bits == INT64_MIN ? 0 : bits;
}

static int64_t positive_bits_of(const struct metric_buckets *b, size_t i)
{
	int64_t bits = bits_of(b, i);

	return bits > 0 ? bits : 0;
}

/* Slots of `shift`; false when they are too many, or hold too much. */
static bool take_shift(struct metric_buckets *b, uint32_t shift)
{
	int64_t last;
	uint32_t at = 0;

	b->shift = shift;
	b->first = positive_bits_of(b, 1) >> shift;
	/* One more, for the last bound. */
	last = (positive_bits_of(b, b->count - 2) >> shift) - b->first + 1;
	if (last >= METRIC_SLOTS_MAX)
		return false;
	b->last = (uint32_t)last;
	for (uint32_t slot = 0; slot <= b->last; slot++) {
		b->below[slot] = (uint8_t)at;
		while (at < b->count &&
		       metric_slot_of(b, bits_of(b, at)) == slot)
			at++;
		if (at - b->below[slot] > PER_SLOT)
			return false;
	}
	return true;
}

struct metric_buckets *metric_buckets_new(const double *bounds, size_t count)
{
	struct metric_buckets *b = mem_zalloc(sizeof(*b));

	if (b == NULL)
		return NULL;
	b->count = (uint32_t)count;
	memcpy(b->bounds, bounds, count * sizeof(*bounds));
	for (size_t i = count; i < METRIC_BOUNDS_MAX + 2; i++)
		b->bounds[i] = INFINITY;
	/* One slot is enough. */
	if (count <= PER_SLOT)
		return b;
	for (uint32_t shift = SHIFT_MAX; shift > 0; shift--)
		if (take_shift(b, shift))
			return b;
	b->searched = true;
	b->last = 0;
	return b;
}

uint32_t metric_bucket_search(const struct metric_buckets *b, double value)
{
	uint32_t at = 0, left = b->count;

	while (left > 1) {
		uint32_t half = left / 2;

		at += b->bounds[at + half - 1] < value ? half : 0;
		left -= half;
	}
	return at;
}
