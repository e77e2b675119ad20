/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ANALYST_STATISTICS_H
#define ANALYST_STATISTICS_H

/*
 * What is told of a series of numbers.  All of it goes by ranks and medians,
 * so that no single value and no distribution misleads it.  Pure.
 *
 *	trend	Mann-Kendall: H. B. Mann, Nonparametric Tests Against Trend,
 *		Econometrica 13, 1945; M. G. Kendall, Rank Correlation
 *		Methods, 1975 (variance with ties)
 *	slope	Theil-Sen: P. K. Sen, Estimates of the Regression Coefficient
 *		Based on Kendall's Tau, JASA 63, 1968
 *	change	A. N. Pettitt, A Non-Parametric Approach to the Change-Point
 *		Problem, Applied Statistics 28, 1979
 *	outlier	modified z-score: B. Iglewicz and D. Hoaglin, How to Detect
 *		and Handle Outliers, 1993; beyond 3.5
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATISTICS_MAX	 240 /* values of a series */
#define STATISTICS_LEAST 10  /* fewer say nothing */

/* Of `count` > 0 values, which are put in order. */
double middle_of(double *values, size_t count);

struct trend {
	int64_t s;    /* pairs that rise less pairs that fall */
	double p;     /* two-sided, by the normal approximation; 1 = none */
	double slope; /* a step */
};

/* `count` 2..STATISTICS_MAX. */
struct trend trend_of(const double *values, size_t count);

struct change {
	size_t at;   /* the first value that belongs to what is after */
	int64_t k;   /* Pettitt's */
	double p;    /* 2 exp(-6 k^2 / (n^3 + n^2)), at most 1 */
	double from; /* medians of before and after */
	double to;
};

struct change change_of(const double *values, size_t count);

/* The modified z-score of `value` among the values; 0 where they are all the
 * same as it, and +-infinity where they are the same and it is another. */
double outlier_of(const double *values, size_t count, double value);

#endif
