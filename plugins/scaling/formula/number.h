/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCALING_FORMULA_NUMBER_H
#define SCALING_FORMULA_NUMBER_H

/*
 * Numbers of a load, which may be missing, and numbers of instances, which
 * may not be absurd.
 */

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

/* No strategy asks for more: the host takes it for a fault. */
#define INSTANCES_MAX 100000

/* Rounding of a few operations on doubles: 42 calls at 70 % of 4 each are 15
 * instances, though the quotient is 15.000000000000002. */
#define CEILING_SLACK 1e-9

/* Was this measured?  Negative numbers of a load were not; NaN and infinity
 * come from a measurement that went wrong. */
static inline bool number_known(double value)
{
	return isfinite(value) && value >= 0;
}

/* The fewest whole instances that are at least `exact`, 0 to INSTANCES_MAX;
 * 0 for NaN. */
static inline int32_t instances_at_least(double exact)
{
	if (isnan(exact) || exact <= 0)
		return 0;
	if (exact >= INSTANCES_MAX)
		return INSTANCES_MAX;
	return (int32_t)ceil(exact - CEILING_SLACK);
}

/* A count of the load, 0 to INSTANCES_MAX. */
static inline int32_t instances_counted(int32_t count)
{
	if (count < 0)
		return 0;
	return count < INSTANCES_MAX ? count : INSTANCES_MAX;
}

/* `value` is within `low` and `high`; NaN is `low`. */
static inline double number_within(double value, double low, double high)
{
	if (!(value > low))
		return low;
	return value < high ? value : high;
}

#endif
