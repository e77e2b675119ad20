/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ANOMALY_SCORE_H
#define ANOMALY_SCORE_H

/*
 * How unusual a value is.  Pure: no clock, no daemon.
 *
 * The *robust z* of a value against others (the "modified z-score" of Iglewicz
 * and Hoaglin, How to Detect and Handle Outliers, 1993; NIST/SEMATECH
 * e-Handbook of Statistical Methods 1.3.5.17):
 *
 *	z = (x - median) / (1.4826 MAD)
 *
 * 1.4826 = 1 / 0.6745 makes the MAD of normal values their standard deviation.
 * Half of the others may be anything before it is misled, so a bad day among
 * them does no harm.  Where most of the others are equal the MAD is 0: then
 * 1.2533 times their mean distance from the median stands for it (sqrt(pi/2),
 * the same for normal values), and in any case a floor that the caller knows.
 *
 * The *EWMA* of such z (S. W. Roberts, Control Chart Tests Based on Geometric
 * Moving Averages, Technometrics 1(3), 1959; NIST 6.3.2.4):
 *
 *	e(t) = lambda z(t) + (1 - lambda) e(t-1)
 *
 * finds the small shift that stays, which no single value shows.  z is cut to
 * SCORE_CLIP before, so that one spike does not carry on.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCORE_LAMBDA 0.25
#define SCORE_CLIP   8.0

/* Middle of `count` > 0 values, which it puts in order; of two middle ones
 * the mean. */
double median(double *values, size_t count);

struct spread {
	double middle; /* median */
	double scale;  /* of one standard deviation; > 0 */
};

/* `values` (count > 0) are put in another order.  `floor` > 0. */
struct spread spread_of(double *values, size_t count, double floor);

double robust_z(const struct spread *spread, double value);

/* What an alarm is about a series over time.
 *
 *	        |z| >= limit twice in a row, or |e| >= ewma_limit
 *	(usual) ---------------------------------------------> (unusual)
 *	   ^        |z| < limit / 2 and |e| < ewma_limit / 2       |
 *	   +------------------ SCORE_CALM times in a row -----------+
 *	   +------------------ SCORE_LOST times without a value ----+
 *
 * No value is no evidence: it changes nothing but the last. */
#define SCORE_CALM 3
#define SCORE_LOST 12

struct course {
	double ewma;
	double last_z; /* of the last value; 0 = none before */
	int calm, lost;
	bool unusual;
};

enum course_change {
	COURSE_SAME = 0,
	COURSE_BEGAN = 1,
	COURSE_ENDED = 2
};

enum course_change course_step(struct course *course, double z, double limit,
			       double ewma_limit);
enum course_change course_miss(struct course *course);
/* Signed, in the unit of `limit`: at or beyond it is unusual. */
double course_score(const struct course *course, double limit,
		    double ewma_limit);

#endif
