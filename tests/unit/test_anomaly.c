/* SPDX-License-Identifier: Apache-2.0 */

/* The formulas of monitor/anomaly, by values worked out by hand and on weeks
 * that are generated. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "plugins/monitor/anomaly/baseline.h"
#include "plugins/monitor/anomaly/signal.h"

#define THRESHOLD      6.0
#define EWMA_THRESHOLD 3.5

static bool near(double a, double b)
{
	return fabs(a - b) < 1e-9 * (1 + fabs(b));
}

Test(anomaly, middle_of_an_even_and_an_odd_number_of_values)
{
	double odd[] = { 5, 1, 3 }, even[] = { 4, 1, 3, 2 };

	cr_assert(near(median(odd, 3), 3));
	cr_assert(near(median(even, 4), 2.5));
}

Test(anomaly, robust_z_is_that_of_the_handbook)
{
	/* Median 3; distances 2 1 0 1 97, their median 1. */
	double values[] = { 1, 2, 3, 4, 100 };
	struct spread spread = spread_of(values, 5, 0.01);

	cr_assert(near(spread.middle, 3));
	cr_assert(near(spread.scale, 1.4826));
	cr_assert(near(robust_z(&spread, 100), 97 / 1.4826));
	cr_assert(near(robust_z(&spread, 3), 0));
}

Test(anomaly, where_most_are_equal_the_mean_distance_counts)
{
	/* Distances 0 0 0 0 5: their median is 0, their mean 1. */
	double values[] = { 2, 2, 2, 2, 7 };
	struct spread spread = spread_of(values, 5, 0.01);
	double same[] = { 2, 2, 2 };

	cr_assert(near(spread.scale, 1.2533));
	spread = spread_of(same, 3, 0.01);
	cr_assert(near(spread.scale, 0.01));
}

Test(anomaly, one_spike_is_none_and_two_are_one)
{
	struct course course = { 0 };

	cr_assert(course_step(&course, 50, 6, 3.5) == COURSE_SAME);
	/* 8 (the cut) by 0.25. */
	cr_assert(near(course.ewma, 2));
	cr_assert(course_step(&course, 0, 6, 3.5) == COURSE_SAME);
	cr_assert(near(course.ewma, 1.5));
	cr_assert(course_step(&course, 50, 6, 8) == COURSE_SAME);
	/* Up and down is not the same thing twice. */
	cr_assert(course_step(&course, -50, 6, 8) == COURSE_SAME);
	cr_assert(course_step(&course, -7, 6, 8) == COURSE_BEGAN);
	cr_assert(course.unusual);
	cr_assert(near(course_score(&course, 6, 8), -7));
}

Test(anomaly, it_ends_when_three_in_a_row_are_calm)
{
	struct course course = { 0 };
	int steps = 0;

	(void)course_step(&course, 9, 6, 3.5);
	cr_assert(course_step(&course, 9, 6, 3.5) == COURSE_BEGAN);
	while (course_step(&course, 0, 6, 3.5) == COURSE_SAME)
		cr_assert(steps++ < 20);
	/* e: 3.5 after both, under 1.75 from the third zero on. */
	cr_assert(steps == 4, "%d", steps);
	cr_assert(course.unusual == false);
}

Test(anomaly, a_small_shift_that_stays_is_found)
{
	struct course course = { 0 };
	int steps = 1;

	while (course_step(&course, 4, 6, 3.5) == COURSE_SAME)
		cr_assert(steps++ < 20);
	/* 4 (1 - 0.75^n) >= 3.5: n = 8. */
	cr_assert(steps == 8, "%d", steps);
}

Test(anomaly, no_value_is_no_evidence)
{
	struct course course = { 0 };

	(void)course_step(&course, 9, 6, 3.5);
	(void)course_miss(&course);
	/* Not in a row. */
	cr_assert(course_step(&course, 9, 6, 8) == COURSE_SAME);
	course = (struct course){ 0 };
	for (int i = 0; i < 1000; i++)
		cr_assert(course_miss(&course) == COURSE_SAME);
	(void)course_step(&course, 9, 6, 3.5);
	cr_assert(course_step(&course, 9, 6, 3.5) == COURSE_BEGAN);
	for (int i = 1; i < SCORE_LOST; i++)
		cr_assert(course_miss(&course) == COURSE_SAME);
	cr_assert(course_miss(&course) == COURSE_ENDED);
	cr_assert(near(course_score(&course, 6, 3.5), 0));
}

Test(anomaly, a_baseline_is_the_same_hour_of_other_days)
{
	double out[BASELINE_DAYS * (2 * BASELINE_SIDE + 1)];
	const int64_t now = 10000;
	struct baseline baseline;

	cr_assert(baseline_init(&baseline, 3));
	/* Before 1970 there is nothing, however far the days go back. */
	baseline_set(&baseline, -5, 1);
	cr_assert(isnan(baseline_get(&baseline, -5)));
	baseline_set(&baseline, 10, 1);
	cr_assert(isnan(baseline_get(&baseline, 10 - SLOTS_A_DAY)));
	cr_assert(baseline_usual(&baseline, 10, 2, out) == 0);
	baseline_set(&baseline, now, 1);
	for (int day = 1; day <= 3; day++)
		for (int side = -7; side <= 7; side++)
			baseline_set(&baseline,
				     now - (int64_t)day * SLOTS_A_DAY + side,
				     day * 100 + side);
	cr_assert(baseline_usual(&baseline, now, 3, out) == 39);
	for (int i = 0; i < 39; i++)
		cr_assert(near(out[i], (i / 13 + 1) * 100 + i % 13 - 6));
	/* A day with less than half of the hour does not count as one. */
	for (int side = -6; side <= 0; side++)
		baseline_set(&baseline, now - 3 * SLOTS_A_DAY + side,
			     (double)NAN);
	cr_assert(baseline_usual(&baseline, now, 3, out) == 0);
	cr_assert(baseline_usual(&baseline, now, 2, out) == 32);
	/* Time goes on, what is between had no value. */
	baseline_set(&baseline, now + 10, 5);
	cr_assert(isnan(baseline_get(&baseline, now + 9)));
	cr_assert(near(baseline_get(&baseline, now), 1));
	baseline_set(&baseline, now + 100000, 5);
	cr_assert(isnan(baseline_get(&baseline, now)));
	cr_assert(isnan(baseline_get(&baseline, now + 10)));
	baseline_fini(&baseline);
}

Test(anomaly, a_quantile_of_buckets_is_prometheus_own)
{
	const double bounds[] = { 0.1, 0.5, 1, (double)INFINITY };
	const double counts[] = { 10, 80, 100, 100 };
	const double beyond[] = { 0, 0, 0, 100 };

	/* Rank 95 lies three quarters into the bucket 0.5..1. */
	cr_assert(near(signal_quantile(0.95, bounds, counts, 4), 0.875));
	cr_assert(near(signal_quantile(0.05, bounds, counts, 4), 0.05));
	cr_assert(near(signal_quantile(0.95, bounds, beyond, 4), 1));
	cr_assert(isnan(signal_quantile(0.95, bounds, counts, 1)));
}

Test(anomaly, the_floor_is_the_noise_of_counting)
{
	const struct signal rate = { "r", "m", SIGNAL_RATE, "", "" };
	const struct signal share = { "s", "m", SIGNAL_SHARE, "", "" };
	const struct signal level = { "l", "m", SIGNAL_LEVEL, "", "" };

	/* 1/300 a second is one in five minutes. */
	cr_assert(near(signal_floor(&rate, 1 / 300.0, 0), sqrt(2) / 300));
	cr_assert(near(signal_floor(&rate, 100, 0), 10));
	/* None of 98: p = 1/100. */
	cr_assert(near(signal_floor(&share, 0, 98), sqrt(0.0099 / 99)));
	cr_assert(near(signal_floor(&level, 1, 0), 0.25));
}

/* --- weeks ---------------------------------------------------------------------- */

static uint64_t random_state;

static double uniform(void)
{
	random_state =
		random_state * 6364136223846793005u + 1442695040888963407u;
	return ((double)(random_state >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(void)
{
	return sqrt(-2 * log(uniform())) * cos(2 * M_PI * uniform());
}

/* Calls in five minutes: a day's wave, a weekend, a slow wander (the load of
 * people is no Poisson process), and counting. */
static double calls_at(int64_t slot, double base, double *wander)
{
	double day = (double)(slot % SLOTS_A_DAY) / SLOTS_A_DAY;
	double mean = base * (1 + 0.8 * sin(2 * M_PI * day));

	if (slot / SLOTS_A_DAY % 7 >= 5)
		mean *= 0.7;
	*wander = 0.95 * *wander + 0.03 * normal();
	mean *= exp(*wander);
	return fmax(0, floor(mean + sqrt(mean) * normal() + 0.5));
}

struct outcome {
	int alarms;
	int detected_after; /* slots; -1 = not */
	double judged;
};

/* `days` of rates, the first 14 to warm up; from `shift_at` on times
 * `factor`. */
static struct outcome run_weeks(double base, int days, int64_t shift_at,
				double factor, uint64_t seed)
{
	const struct signal rate = { "r", "m", SIGNAL_RATE, "", "" };
	double out[BASELINE_DAYS * (2 * BASELINE_SIDE + 1)];
	struct outcome outcome = { .detected_after = -1 };
	struct course course = { 0 };
	struct baseline baseline;
	double wander = 0;

	random_state = seed * 2654435761u + 1;
	cr_assert(baseline_init(&baseline, 14));
	for (int64_t slot = 1; slot <= (int64_t)days * SLOTS_A_DAY; slot++) {
		double calls = calls_at(slot, base, &wander);
		enum course_change change;
		struct spread spread;
		double value;
		size_t count;

		if (shift_at > 0 && slot >= shift_at)
			calls = floor(calls * factor);
		value = calls / 300;
		baseline_set(&baseline, slot, value);
		if (slot <= 14 * SLOTS_A_DAY)
			continue;
		count = baseline_usual(&baseline, slot, 3, out);
		cr_assert(count > 0);
		spread = spread_of(
			out, count,
			signal_floor(&rate, median(out, count), calls));
		change = course_step(&course, robust_z(&spread, value),
				     THRESHOLD, EWMA_THRESHOLD);
		outcome.judged++;
		if (change != COURSE_BEGAN)
			continue;
		outcome.alarms++;
		if (shift_at > 0 && slot >= shift_at &&
		    outcome.detected_after < 0)
			outcome.detected_after = (int)(slot - shift_at);
	}
	baseline_fini(&baseline);
	return outcome;
}

Test(anomaly, quiet_weeks_are_quiet)
{
	static const double bases[] = { 0.5, 5, 50, 500, 5000 };
	double judged = 0;
	int alarms = 0;

	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++)
		for (uint64_t seed = 1; seed <= 8; seed++) {
			struct outcome outcome =
				run_weeks(bases[i], 28, 0, 1, seed);

			alarms += outcome.alarms;
			judged += outcome.judged;
		}
	(void)fprintf(stderr, "# %d alarms in %.0f series-weeks\n", alarms,
		      judged / (7 * SLOTS_A_DAY));
	/* 80 weeks of one series; of 400 six were found. */
	cr_assert(alarms <= 3, "%d", alarms);
}

Test(anomaly, steps_are_found)
{
	/* At the top, on the flank, and at the bottom of the day's wave, where
	 * a weekend is as far off as a drop by half. */
	static const int hours[] = { 6, 12, 18 };
	static const struct {
		double base, factor;
		int within; /* slots of five minutes */
		size_t hours;
	} cases[] = {
		{ 500, 0, 6, 3 }, { 500, 3, 6, 3 }, { 500, 0.2, 24, 1 },
		{ 50, 4, 6, 3 },  { 50, 0, 24, 2 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t h = 0; h < cases[i].hours; h++)
			for (uint64_t seed = 1; seed <= 4; seed++) {
				int64_t at = 15 * SLOTS_A_DAY +
					     (int64_t)hours[h] * 12;
				struct outcome outcome =
					run_weeks(cases[i].base, 17, at,
						  cases[i].factor, seed);

				cr_assert(outcome.detected_after >= 0 &&
						  outcome.detected_after <=
							  cases[i].within,
					  "case %zu, hour %d, seed %d: %d", i,
					  hours[h], (int)seed,
					  outcome.detected_after);
			}
}
