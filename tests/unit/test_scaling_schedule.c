/* SPDX-License-Identifier: Apache-2.0 */
/* scaling/schedule: windows of the calendar as floors under the load. */
#include <criterion/criterion.h>

#include <string.h>

#include "scaling_fixture.h"

#define HOUR_MS	  INT64_C(3600000)
#define MINUTE_MS INT64_C(60000)

#define OFFICE                                                             \
	"windows = ( { cron = \"0 8 * * mon-fri\"; duration_ms = \"10h\";" \
	"              instances = 4; } );"

static void begin(void)
{
	scaling_begin("schedule", "");
}

TestSuite(scaling_schedule, .init = begin, .fini = scaling_end);

static int32_t at(int64_t since_monday_ms)
{
	scaling_load.now_ms = SCALING_MONDAY_MS + since_monday_ms;
	return scaling_ask();
}

/* Nothing to do, and measured as such. */
static void idle(void)
{
	scaling_forget_samples();
	scaling_seconds(60, 0, 0);
}

Test(scaling_schedule, a_window_is_a_floor_from_its_time_for_its_duration)
{
	scaling_reconfigure(OFFICE);
	idle();
	cr_assert_eq(at(8 * HOUR_MS - 1), 0);
	cr_assert_eq(at(8 * HOUR_MS), 4);
	cr_assert_eq(scaling_advice.action, ATOM_SCALE_ADD);
	cr_assert_str_eq(scaling_advice.reason_code, "window");
	cr_assert_str_eq(scaling_advice.metric, "schedule");
	cr_assert(strstr(scaling_advice.reason, "until 18:00") != NULL, "%s",
		  scaling_advice.reason);
	cr_assert_eq(at(18 * HOUR_MS - 1), 4);
	cr_assert_eq(at(18 * HOUR_MS), 0);
	/* Friday, Saturday. */
	cr_assert_eq(at((4 * 24 + 12) * HOUR_MS), 4);
	cr_assert_eq(at((5 * 24 + 12) * HOUR_MS), 0);
}

Test(scaling_schedule, local_time_is_utc_and_the_offset)
{
	scaling_reconfigure(OFFICE);
	idle();
	scaling_load.utc_offset_s = 3600;
	cr_assert_eq(at(7 * HOUR_MS - 1), 0);
	cr_assert_eq(at(7 * HOUR_MS), 4);
	scaling_load.utc_offset_s = -(5 * 3600 + 1800);
	cr_assert_eq(at(13 * HOUR_MS + 29 * MINUTE_MS), 0);
	cr_assert_eq(at(13 * HOUR_MS + 30 * MINUTE_MS), 4);
	/* Sunday in UTC, Monday where it is. */
	scaling_load.utc_offset_s = 10 * 3600;
	cr_assert_eq(at(-2 * HOUR_MS), 4);
	/* Nobody lives there. */
	scaling_load.utc_offset_s = INT32_MAX;
	cr_assert_eq(at(8 * HOUR_MS), 4);
}

Test(scaling_schedule, a_window_goes_over_midnight_and_the_end_of_a_month)
{
	scaling_reconfigure("windows = ( { cron = \"0 22 31 * *\";"
			    "  duration_ms = \"8h\"; instances = 2; } );");
	idle();
	/* 2026-01-31 22:00 is 26 days and 22 hours after Monday the 5th. */
	cr_assert_eq(at((26 * 24 + 22) * HOUR_MS - 1), 0);
	cr_assert_eq(at((26 * 24 + 22) * HOUR_MS), 2);
	cr_assert_eq(at((27 * 24 + 6) * HOUR_MS - 1), 2);
	cr_assert_eq(at((27 * 24 + 6) * HOUR_MS), 0);
}

Test(scaling_schedule, of_windows_that_overlap_the_largest_counts)
{
	scaling_reconfigure("windows = ("
			    " { cron = \"0 8 * * *\"; duration_ms = \"10h\";"
			    "   instances = 4; },"
			    " { cron = \"30 11 * * *\"; duration_ms = \"2h\";"
			    "   instances = 8; },"
			    " { cron = \"0 12 * * *\"; duration_ms = \"10m\";"
			    "   instances = 1; } );");
	idle();
	cr_assert_eq(at(11 * HOUR_MS), 4);
	cr_assert_eq(at(12 * HOUR_MS), 8);
	cr_assert_eq(at(13 * HOUR_MS + 30 * MINUTE_MS), 4);
}

Test(scaling_schedule, a_window_that_lasts_longer_than_its_period_never_ends)
{
	scaling_reconfigure("windows = ( { cron = \"0 * * * *\";"
			    "  duration_ms = \"90m\"; instances = 3; } );");
	idle();
	for (int64_t minute = 0; minute < 300; minute += 7)
		cr_assert_eq(at(minute * MINUTE_MS), 3);
}

Test(scaling_schedule, begins_early_by_the_option_or_the_cold_starts)
{
	static const double cold_starts_s[] = { 20, 240, -1, 3 };

	scaling_reconfigure("early_ms = \"2m\";" OFFICE);
	idle();
	cr_assert_eq(at(8 * HOUR_MS - 2 * MINUTE_MS - 1), 0);
	cr_assert_eq(at(8 * HOUR_MS - 2 * MINUTE_MS), 4);
	cr_assert_eq(at(18 * HOUR_MS - 1), 4);
	cr_assert_eq(at(18 * HOUR_MS), 0);
	scaling_load.cold_starts_s = cold_starts_s;
	scaling_load.cold_start_count = 4;
	cr_assert_eq(at(8 * HOUR_MS - 4 * MINUTE_MS - 1), 0);
	cr_assert_eq(at(8 * HOUR_MS - 4 * MINUTE_MS), 4);
}

Test(scaling_schedule, above_a_window_the_load_decides)
{
	scaling_reconfigure(OFFICE);
	scaling_load.concurrency = 10;
	idle();
	(void)at(12 * HOUR_MS);
	scaling_seconds(60, 70, 0);
	cr_assert_eq(at(12 * HOUR_MS), 10);
	cr_assert_str_eq(scaling_advice.metric, "concurrency");
	cr_assert_str_eq(scaling_advice.reason_code, "panic");
	scaling_reconfigure("target_utilization_percent = 35.0;" OFFICE);
	cr_assert_eq(at(12 * HOUR_MS), 20);
}

Test(scaling_schedule, without_a_base_it_is_min_outside)
{
	scaling_reconfigure("base = \"none\";" OFFICE);
	scaling_load.min = 2;
	scaling_seconds(60, 500, 0);
	cr_assert_eq(at(6 * HOUR_MS), 2);
	cr_assert_str_eq(scaling_advice.reason_code, "no_window");
	cr_assert_eq(at(9 * HOUR_MS), 4);
	scaling_load.min = 0;
	cr_assert_eq(at(6 * HOUR_MS), 0);
	scaling_load.waiting = 1;
	cr_assert_eq(at(6 * HOUR_MS), 1);
}

Test(scaling_schedule, nothing_measured_raises_to_the_window_and_never_lowers)
{
	scaling_reconfigure(OFFICE);
	cr_assert_eq(at(9 * HOUR_MS), 4);
	scaling_load.desired = 6;
	cr_assert_lt(at(9 * HOUR_MS), 0);
	cr_assert_lt(at(6 * HOUR_MS), 0);
}

Test(scaling_schedule, new_windows_hold_from_the_next_evaluation_on)
{
	idle();
	cr_assert_eq(at(9 * HOUR_MS), 0);
	scaling_reconfigure(OFFICE);
	cr_assert_eq(at(9 * HOUR_MS), 4);
	scaling_reconfigure("windows = ( { cron = \"0 20 * * *\"; } );");
	cr_assert_eq(at(9 * HOUR_MS), 0);
	cr_assert_eq(at(20 * HOUR_MS), 1);
}

Test(scaling_schedule, wrong_windows_are_refused)
{
	scaling_refused("schedule", "windows = ( { instances = 1; } );",
			"option `cron` (a string) is required");
	scaling_refused("schedule", "windows = ( { cron = \"8 o'clock\"; } );",
			"cron field `hour`");
	scaling_refused("schedule",
			"windows = ( { cron = \"* * * * *\"; },"
			"            { cron = \"0 0 31 4 *\"; } );",
			"never comes true");
	scaling_refused("schedule",
			"windows = ( { cron = \"* * * * *\";"
			"  duration_ms = \"32d\"; } );",
			"duration_ms");
}

Test(scaling_schedule, nonsense_is_bounded)
{
	scaling_reconfigure(
		"windows = ( { cron = \"0 0 29 2 *\";"
		"  duration_ms = \"31d\"; instances = 100000; } );");
	scaling_bombard(5, 2000);
	scaling_reconfigure("base = \"none\"; early_ms = \"1h\";" OFFICE);
	scaling_bombard(6, 2000);
}
