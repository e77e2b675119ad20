/* SPDX-License-Identifier: Apache-2.0 */
/* scaling/predictive: a forecast is a floor, never more. */
#include <criterion/criterion.h>

#include <string.h>

#include "scaling_fixture.h"

#define STEP_MS	     INT64_C(300000)
#define DAY_STEPS    288
#define MORNING	     100 /* 8:20 */
#define MORNING_ENDS 130

static void begin(void)
{
	scaling_begin("predictive", "");
	scaling_load.concurrency = 10;
}

TestSuite(scaling_predictive, .init = begin, .fini = scaling_end);

/* `steps` of days that have 70 calls at once in the morning and none else;
 * the first one begins at midnight. */
static void days(size_t steps)
{
	scaling_forget_samples();
	for (size_t i = 0; i < steps; i++) {
		size_t of_day = i % DAY_STEPS;

		scaling_five_minutes(
			1, of_day >= MORNING && of_day < MORNING_ENDS ? 70 : 0,
			0);
	}
	scaling_seconds(60, 0, 0);
}

/* Samples stay where they are while time passes. */
static int32_t later(int64_t passed_ms)
{
	return scaling_ask_after(passed_ms);
}

Test(scaling_predictive, is_ready_before_the_morning_comes)
{
	days(3 * DAY_STEPS + MORNING - 3);
	/* Ten minutes ahead is the step before it begins. */
	cr_assert_eq(scaling_ask(), 0);
	cr_assert_str_eq(scaling_advice.metric, "concurrency");
	cr_assert_eq(later(299999), 0);
	cr_assert_eq(later(1), 10, "%s", scaling_advice.reason);
	cr_assert_str_eq(scaling_advice.reason_code, "forecast");
	cr_assert_str_eq(scaling_advice.metric, "forecast_calls");
	cr_assert_float_eq(scaling_advice.value, 70, 1e-9);
	cr_assert_eq(scaling_advice.action, ATOM_SCALE_ADD);

	days(3 * DAY_STEPS + MORNING_ENDS - 1);
	cr_assert_eq(scaling_ask(), 10);
	days(3 * DAY_STEPS + MORNING_ENDS);
	cr_assert_eq(scaling_ask(), 0);
}

Test(scaling_predictive, looks_as_far_ahead_as_the_longest_cold_start)
{
	static const double cold_starts_s[] = { 30, 1800 };

	days(3 * DAY_STEPS + MORNING - 6);
	cr_assert_eq(scaling_ask(), 0);
	scaling_load.cold_starts_s = cold_starts_s;
	scaling_load.cold_start_count = 2;
	cr_assert_eq(scaling_ask(), 10);
	scaling_load.cold_start_count = 0;
	scaling_reconfigure("ahead_ms = \"30m\";");
	cr_assert_eq(scaling_ask(), 10);
}

Test(scaling_predictive, never_takes_anything_away)
{
	days(3 * DAY_STEPS + MORNING - 1);
	scaling_load.ready = 20;
	scaling_load.desired = 20;
	scaling_seconds(60, 140, 0);
	cr_assert_eq(scaling_ask(), 20);
	cr_assert_str_eq(scaling_advice.metric, "concurrency");
	/* And at night, with calls that the days before did not have. */
	days(3 * DAY_STEPS + 20);
	scaling_seconds(60, 35, 0);
	cr_assert_geq(scaling_ask(), 5);
}

Test(scaling_predictive, without_a_season_it_is_concurrency)
{
	cr_assert_lt(scaling_ask(), 0);
	cr_assert_str_eq(scaling_advice.reason_code, "no_measurement");
	days(MORNING + 10);
	scaling_seconds(60, 7, 0);
	cr_assert_eq(scaling_ask(), 1);
	cr_assert_str_eq(scaling_advice.metric, "concurrency");
}

Test(scaling_predictive, one_season_is_enough_for_its_repetition)
{
	days(DAY_STEPS + MORNING - 1);
	cr_assert_eq(scaling_ask(), 10);
	scaling_reconfigure("method = \"holt_winters\";");
	cr_assert_eq(scaling_ask(), 0);
	scaling_reconfigure("season_ms = \"48h\";");
	cr_assert_eq(scaling_ask(), 0);
	scaling_reconfigure("");
	cr_assert_eq(scaling_ask(), 10);
}

Test(scaling_predictive, both_methods_see_the_morning)
{
	days(3 * DAY_STEPS + MORNING - 1);
	scaling_reconfigure("method = \"holt_winters\";");
	cr_assert_eq(scaling_ask(), 10);
	cr_assert(strstr(scaling_advice.reason, "Holt-Winters") != NULL);
	scaling_reconfigure("method = \"seasonal_naive\";");
	cr_assert_eq(scaling_ask(), 10);
	cr_assert(strstr(scaling_advice.reason, "Holt-Winters") == NULL);
}

/* 20 and 40 calls by turns, every hour: one season ago is always 20 off, so
 * the usual error is 20. */
Test(scaling_predictive, the_margin_is_of_the_usual_error)
{
	scaling_reconfigure("method = \"seasonal_naive\"; season_ms = \"1h\";"
			    "margin = 0.0;");
	for (size_t i = 0; i < 48; i++)
		scaling_five_minutes(1, i / 12 % 2 == 0 ? 20 : 40, 0);
	scaling_seconds(60, 0, 0);
	cr_assert_eq(scaling_ask(), 6); /* ceil(40 / 7) */
	scaling_reconfigure("method = \"seasonal_naive\"; season_ms = \"1h\";");
	cr_assert_eq(scaling_ask(), 9); /* ceil(60 / 7) */
	/* Never beyond half as much again as was seen: 60. */
	scaling_reconfigure("method = \"seasonal_naive\"; season_ms = \"1h\";"
			    "margin = 10.0;");
	cr_assert_eq(scaling_ask(), 9);
}

Test(scaling_predictive, a_series_that_ended_long_ago_says_nothing)
{
	days(3 * DAY_STEPS + MORNING);
	cr_assert_eq(scaling_ask(), 10);
	cr_assert_eq(later(3 * STEP_MS), 10);
	cr_assert_eq(later(1), 0);
}

Test(scaling_predictive, less_than_a_tenth_of_a_call_keeps_nobody)
{
	scaling_five_minutes(2 * DAY_STEPS, 0.09, 0);
	scaling_seconds(60, 0, 0);
	cr_assert_eq(scaling_ask(), 0);
	scaling_forget_samples();
	scaling_five_minutes(2 * DAY_STEPS, 0.2, 0);
	scaling_seconds(60, 0, 0);
	scaling_state_size = 0;
	cr_assert_eq(scaling_ask(), 1);
}

Test(scaling_predictive, steps_that_were_not_measured_are_missing_not_zero)
{
	days(3 * DAY_STEPS + MORNING - 1);
	/* Yesterday's morning was not seen: the day before it was. */
	struct atom_load_sample *last = scaling_last_five_minutes();

	for (size_t i = DAY_STEPS - 40; i < DAY_STEPS + 10; i++)
		(last - i)->in_flight = -1;
	scaling_reconfigure("method = \"seasonal_naive\";");
	cr_assert_eq(scaling_ask(), 10);
}

Test(scaling_predictive, nothing_measured_now_raises_and_never_lowers)
{
	days(3 * DAY_STEPS + MORNING - 1);
	scaling_load.second_count = 0;
	cr_assert_eq(scaling_ask(), 10);
	scaling_load.desired = 12;
	cr_assert_lt(scaling_ask(), 0);
}

/* The forecast is kept: changing an old sample changes nothing until a new
 * one comes. */
Test(scaling_predictive, a_forecast_is_made_once_a_sample)
{
	days(3 * DAY_STEPS + MORNING - 1);
	scaling_reconfigure("method = \"seasonal_naive\"; margin = 0.0;");
	cr_assert_eq(scaling_ask(), 10);
	for (size_t i = 0; i < 3 * DAY_STEPS; i++)
		(scaling_last_five_minutes() - i)->in_flight = 0;
	cr_assert_eq(later(2000), 10);
	/* The wall clock steps, and the samples' times with it. */
	for (size_t i = 0; i < 3 * DAY_STEPS + MORNING - 1; i++)
		(scaling_last_five_minutes() - i)->time_ms += 3600000;
	scaling_load.now_ms += 3600000;
	cr_assert_eq(later(2000), 10);
	scaling_five_minutes(1, 0, 0);
	cr_assert_eq(later(2000), 0);
}

Test(scaling_predictive, options_out_of_range_are_refused)
{
	scaling_refused("predictive", "method = \"oracle\";", "seasonal_naive");
	scaling_refused("predictive", "season_ms = \"8d\";", "season_ms");
	scaling_refused("predictive", "ahead_ms = \"2h\";", "ahead_ms");
	scaling_refused("predictive", "margin = -1.0;", "margin");
}

Test(scaling_predictive, nonsense_is_bounded)
{
	scaling_bombard(8, 300);
	scaling_reconfigure("season_ms = \"1h\"; margin = 10.0;");
	scaling_bombard(9, 300);
	scaling_reconfigure("season_ms = \"7d\"; method = \"seasonal_naive\";");
	scaling_bombard(10, 300);
}
