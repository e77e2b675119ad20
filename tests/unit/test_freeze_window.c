/* SPDX-License-Identifier: Apache-2.0 */

/* Windows of the calendar in which nothing is deployed, by a clock that the
 * test moves. */

#include <criterion/criterion.h>

#include "agent/freeze.h"

#define HOUR_MS INT64_C(3600000)
/* 2026-01-02 18:00, a Friday. */
#define FRIDAY_18 (INT64_C(20455) * 24 * HOUR_MS + 18 * HOUR_MS)

static struct config_freeze_window made(const char *cron, int64_t duration_ms)
{
	struct config_freeze_window window = {
		.text = cron,
		.duration_ms = duration_ms,
		.reason = "",
	};
	struct atom_error err = ATOM_ERROR_INIT;

	cr_assert_eq(cron_parse(cron, &window.cron, &err), ATOM_OK, "%s",
		     err.message);
	return window;
}

static bool holds(const struct config_freeze_windows *windows, int64_t at_ms,
		  int64_t ends_ms)
{
	int64_t found = -1;

	if (freeze_window_at(windows, at_ms, &found) == NULL)
		return false;
	cr_assert_eq(found, ends_ms, "ends %lld", (long long)found);
	return true;
}

Test(freeze_window, one_over_the_weekend_holds_from_its_minute_to_its_end)
{
	struct config_freeze_window weekend = made("0 18 * * 5", 62 * HOUR_MS);
	const struct config_freeze_windows windows = { &weekend, 1 };
	int64_t ends_ms = FRIDAY_18 + 62 * HOUR_MS;

	cr_assert_not(holds(&windows, FRIDAY_18 - 1, 0));
	cr_assert(holds(&windows, FRIDAY_18, ends_ms));
	cr_assert(holds(&windows, FRIDAY_18 + 30 * HOUR_MS + 17, ends_ms));
	cr_assert(holds(&windows, ends_ms - 1, ends_ms));
	cr_assert_not(holds(&windows, ends_ms, 0));
	cr_assert(holds(&windows, FRIDAY_18 + 7 * 24 * HOUR_MS,
			ends_ms + 7 * 24 * HOUR_MS));
}

Test(freeze_window, of_several_the_one_that_ends_last_is_told)
{
	struct config_freeze_window list[] = {
		made("0 18 * * 5", HOUR_MS),
		made("30 18 * * *", HOUR_MS),
		made("0 0 1 1 *", 24 * HOUR_MS),
	};
	const struct config_freeze_windows windows = { list, 3 };
	int64_t ends_ms = 0;

	cr_assert(
		holds(&windows, FRIDAY_18 + HOUR_MS / 4, FRIDAY_18 + HOUR_MS));
	cr_assert_eq(freeze_window_at(&windows, FRIDAY_18 + HOUR_MS * 3 / 4,
				      &ends_ms),
		     &list[1]);
	cr_assert_eq(ends_ms, FRIDAY_18 + HOUR_MS * 3 / 2);
}

Test(freeze_window, without_any_nothing_holds)
{
	const struct config_freeze_windows none = { .count = 0 };

	cr_assert_not(holds(&none, FRIDAY_18, 0));
	cr_assert_null(freeze_window_reason(&none, "all agents"));
}
