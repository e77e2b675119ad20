/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bucket of a value: the same as by trying one bound after the other,
 * whatever the bits of the value, for bounds of every kind.
 */
#include <criterion/criterion.h>

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/metric.h"
#include "core/metric_bucket.h"
#include "failing_memory.h"

#define SETS	 20000
#define PATTERNS 200

static uint64_t random_state = 1;

/* G. Marsaglia, "Xorshift RNGs", 2003. */
static uint64_t random_bits(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static double of_bits(uint64_t bits)
{
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static uint32_t one_after_the_other(const double *bounds, size_t count,
				    double value)
{
	uint32_t at = 0;

	while (at < count && bounds[at] < value)
		at++;
	return at;
}

static void expect(const struct metric_buckets *b, const double *bounds,
		   size_t count, double value)
{
	const uint32_t is = metric_bucket_of(b, value);

	cr_assert(is <= count);
	if (isnan(value))
		return; /* counted nowhere */
	cr_assert_eq(is, one_after_the_other(bounds, count, value),
		     "%a of %zu bounds from %a to %a", value, count, bounds[0],
		     bounds[count - 1]);
}

static void expect_around(const struct metric_buckets *b, const double *bounds,
			  size_t count, double value)
{
	expect(b, bounds, count, value);
	expect(b, bounds, count, -value);
	expect(b, bounds, count, nextafter(value, INFINITY));
	expect(b, bounds, count, nextafter(value, -INFINITY));
}

/* Every value there is a reason for, and many there is none for. Returns
 * whether the bounds had to be searched. */
static bool try_bounds(const double *bounds, size_t count)
{
	static const double special[] = {
		0.0,	      -0.0,	1,	     DBL_MIN,		DBL_MAX,
		DBL_TRUE_MIN, INFINITY, DBL_EPSILON, (double)INT64_MAX,
	};
	struct metric_buckets *b = metric_buckets_new(bounds, count);
	bool searched;

	cr_assert_not_null(b);
	for (size_t i = 0; i < sizeof(special) / sizeof(*special); i++)
		expect_around(b, bounds, count, special[i]);
	expect(b, bounds, count, NAN);
	expect(b, bounds, count, -NAN);
	for (size_t i = 0; i < count; i++) {
		expect_around(b, bounds, count, bounds[i]);
		expect(b, bounds, count,
		       bounds[i] + (double)(random_bits() % 1024) / 1024);
	}
	for (int i = 0; i < PATTERNS; i++)
		expect(b, bounds, count, of_bits(random_bits()));
	searched = b->searched;
	mem_free(b);
	return searched;
}

static int rising(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Sorted, finite and each once: what a family may have. */
static size_t make_valid(double *bounds, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (isfinite(bounds[i]))
			bounds[kept++] = bounds[i];
	qsort(bounds, kept, sizeof(*bounds), rising);
	count = kept;
	kept = 0;
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || bounds[i] > bounds[kept - 1])
			bounds[kept++] = bounds[i];
	return kept;
}

/* Bounds of one of several kinds. */
static double random_bound(uint64_t kind)
{
	const double whole = (double)(random_bits() % 100);

	switch (kind) {
	case 0: /* any bits, subnormals and negative ones too */
		return of_bits(random_bits());
	case 1: /* about one exponent */
		return of_bits((uint64_t)1023 << 52 | random_bits() >> 12);
	case 2:
		return whole;
	case 3:
		return whole - 2;
	case 4: /* a few of the last bit apart */
		return of_bits(((uint64_t)1023 << 52) - 16 +
			       random_bits() % 40);
	case 5: /* subnormals */
		return of_bits(random_bits() >> 12);
	case 6:
		return -whole / 8;
	default: /* decades */
		return pow(10, whole / 4 - 12);
	}
}

Test(core_metric_bucket, any_bounds_and_any_bits_give_what_a_search_gives)
{
	for (int i = 0; i < SETS; i++) {
		const uint64_t kind = random_bits() % 8;
		double bounds[METRIC_BOUNDS_MAX];
		size_t count = 1 + random_bits() % METRIC_BOUNDS_MAX;

		for (size_t j = 0; j < count; j++)
			bounds[j] = random_bound(kind);
		/* Zero, whichever it is, is often the first one. */
		if (random_bits() % 4 == 0)
			bounds[0] = random_bits() % 2 == 0 ? 0.0 : -0.0;
		count = make_valid(bounds, count);
		if (count > 0)
			(void)try_bounds(bounds, count);
	}
}

Test(core_metric_bucket, bounds_that_people_write_need_no_search)
{
	static const double shares[] = { 0,   0.1, 0.2, 0.3, 0.4, 0.5,
					 0.6, 0.7, 0.8, 0.9, 1 };
	static const double decades[] = { 0.0001, 0.0003, 0.001, 0.003,
					  0.01,	  0.03,	  0.1,	 0.3,
					  1,	  3,	  10 };
	static const double signs[] = { -1, -0.0, 1 };
	static const double wide[] = { 1e-300, 1e-100, 1e-10, 1,
				       1e10,   1e100,  1e300 };
	double whole[METRIC_BOUNDS_MAX], powers[METRIC_BOUNDS_MAX];

	for (int i = 0; i < METRIC_BOUNDS_MAX; i++) {
		whole[i] = i;
		powers[i] = ldexp(1, i - 10);
	}
	cr_expect_not(try_bounds(metric_duration_bounds,
				 metric_duration_bound_count));
	cr_expect_not(try_bounds(shares, sizeof(shares) / sizeof(*shares)));
	cr_expect_not(try_bounds(decades, sizeof(decades) / sizeof(*decades)));
	cr_expect_not(try_bounds(signs, sizeof(signs) / sizeof(*signs)));
	cr_expect_not(try_bounds(wide, sizeof(wide) / sizeof(*wide)));
	for (size_t count = 1; count <= METRIC_BOUNDS_MAX; count++) {
		cr_expect_not(try_bounds(whole, count), "0 to %zu", count - 1);
		cr_expect_not(try_bounds(powers, count), "%zu powers", count);
	}
}

Test(core_metric_bucket, bounds_that_no_slots_tell_apart_are_searched)
{
	static const double negative[] = { -3, -2, -1, 0, 1 };
	const double next = nextafter(1, 2);
	const double close[] = { 1, next, nextafter(next, 2), 1e300, 1e301 };

	cr_expect(try_bounds(negative, 5));
	cr_expect(try_bounds(close, 5));
}

Test(core_metric_bucket, without_memory_there_are_none)
{
	struct metric_buckets *b;

	failing_memory_begin(1);
	b = metric_buckets_new(metric_duration_bounds, 3);
	cr_expect(failing_memory_end());
	cr_expect_null(b);
}
