/* SPDX-License-Identifier: Apache-2.0 */
/* Cron expressions of scaling/schedule, and its calendar. */
#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "plugins/scaling/schedule/calendar.h"
#include "plugins/scaling/schedule/cron.h"

#define DAY 1440

static struct cron parsed(const char *text)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct cron cron;

	cr_assert_eq(cron_parse(text, &cron, &err), ATOM_OK, "%s: %s", text,
		     err.message);
	return cron;
}

static void refused(const char *text, const char *words)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct cron cron;

	cr_assert_eq(cron_parse(text, &cron, &err), ATOM_EINVAL, "%s", text);
	cr_assert(strstr(err.message, words) != NULL, "%s: %s", text,
		  err.message);
}

static int64_t minute_of(int64_t year, int32_t month, int32_t day, int hour,
			 int minute)
{
	struct date date = { year, month, day };

	return day_of_date(&date) * DAY + hour * 60 + minute;
}

static bool true_at(const char *text, int64_t minute)
{
	struct cron cron = parsed(text);
	int64_t found;

	return cron_last(&cron, minute, 0, &found);
}

Test(scaling_calendar, agrees_with_the_c_library)
{
	for (int64_t day = -800000; day < 800000; day += 97) {
		time_t at = (time_t)(day * 86400);
		struct tm tm;
		struct date date = date_of_day(day);

		cr_assert(gmtime_r(&at, &tm) != NULL);
		cr_assert_eq(date.year, tm.tm_year + 1900);
		cr_assert_eq(date.month, tm.tm_mon + 1);
		cr_assert_eq(date.day, tm.tm_mday);
		cr_assert_eq(weekday_of_day(day), tm.tm_wday);
		cr_assert_eq(day_of_date(&date), day);
	}
}

Test(scaling_cron, fields_hold_what_they_name)
{
	struct cron cron = parsed("0,15,30-32 */6 1,31 jan-mar,12 mon-fri");

	cr_assert_eq(cron.minutes,
		     UINT64_C(1) | UINT64_C(1) << 15 | UINT64_C(7) << 30);
	cr_assert_eq(cron.hours, 1u | 1u << 6 | 1u << 12 | 1u << 18);
	cr_assert_eq(cron.month_days, 1u << 1 | 1u << 31);
	cr_assert_eq(cron.months, 7u << 1 | 1u << 12);
	cr_assert_eq(cron.weekdays, 0x3eu);
	cr_assert(cron.either_day);
}

Test(scaling_cron, steps_count_from_the_ranges_beginning)
{
	cr_assert_eq(parsed("5-20/7 * * * *").minutes,
		     UINT64_C(1) << 5 | UINT64_C(1) << 12 | UINT64_C(1) << 19);
	cr_assert_eq(parsed("*/25 * * * *").minutes,
		     UINT64_C(1) | UINT64_C(1) << 25 | UINT64_C(1) << 50);
	cr_assert_eq(parsed("* */99 * * *").hours, 1u);
	cr_assert_eq(parsed("* * */10 * *").month_days,
		     1u << 1 | 1u << 11 | 1u << 21 | 1u << 31);
}

Test(scaling_cron, sunday_is_0_and_7_and_ends_a_range)
{
	cr_assert_eq(parsed("0 0 * * 7").weekdays, 1u);
	cr_assert_eq(parsed("0 0 * * 0").weekdays, 1u);
	cr_assert_eq(parsed("0 0 * * SUN").weekdays, 1u);
	cr_assert_eq(parsed("0 0 * * 5-7").weekdays, 1u | 1u << 5 | 1u << 6);
	cr_assert_eq(parsed("0 0 * * Sat-Sun").weekdays, 1u | 1u << 6);
	cr_assert_eq(parsed("0 0 * * sun-mon").weekdays, 3u);
	cr_assert_eq(parsed("0 0 * * sun-sun").weekdays, 1u);
	cr_assert_eq(parsed("0 0 * * 0-0").weekdays, 1u);
	cr_assert_eq(parsed("0 0 * * *").weekdays, 0x7fu);
}

Test(scaling_cron, blanks_of_any_number_part_fields)
{
	cr_assert_eq(parsed("  1\t2   3 4  5 ").hours, 1u << 2);
}

Test(scaling_cron, what_is_wrong_is_said)
{
	refused("", "five fields");
	refused("* * * *", "five fields");
	refused("* * * * * *", "five fields");
	refused("60 * * * *", "`minute`");
	refused("* 24 * * *", "`hour`");
	refused("* * 0 * *", "`day of month`");
	refused("* * 32 * *", "`day of month`");
	refused("* * * 13 *", "`month`");
	refused("* * * 0 *", "`month`");
	refused("* * * foo *", "a number or name");
	refused("* * * * 8", "`day of week`");
	refused("* * * jan- *", "a range");
	refused("10-5 * * * *", "from the lower to the higher");
	refused("* * * * fri-mon", "from the lower to the higher");
	refused("*/0 * * * *", "a step");
	refused("*/ * * * *", "a step");
	refused("5/10 * * * *", "a step");
	refused("1,,2 * * * *", "`minute`");
	refused("1, * * * *", "`minute`");
	refused("1x * * * *", "a list");
	refused("-1 * * * *", "`minute`");
	refused("99999999999999999999 * * * *", "`minute`");
	refused("mon * * * *", "`minute`");
	refused("* * * january *", "a list");
}

Test(scaling_cron, an_expression_that_never_comes_true_is_refused)
{
	refused("0 0 30 2 *", "never comes true");
	refused("0 0 31 feb,apr,jun,sep,nov *", "never comes true");
	(void)parsed("0 0 29 2 *");
	(void)parsed("0 0 30 2,3 *");
	(void)parsed("0 0 30 2 mon"); /* either day */
}

Test(scaling_cron, a_leap_day_comes_in_leap_years)
{
	struct cron cron = parsed("0 12 29 2 *");
	int64_t found;

	cr_assert(true_at("0 12 29 2 *", minute_of(2028, 2, 29, 12, 0)));
	cr_assert(true_at("0 12 29 2 *", minute_of(2000, 2, 29, 12, 0)));
	cr_assert_not(true_at("0 12 29 2 *", minute_of(2027, 3, 1, 12, 0)));
	cr_assert(cron_last(&cron, minute_of(2027, 6, 1, 0, 0), 10 * 366 * DAY,
			    &found));
	cr_assert_eq(found, minute_of(2024, 2, 29, 12, 0));
	/* 1900 was none, 1904 was; 2100 will be none. */
	cr_assert(cron_last(&cron, minute_of(1904, 2, 28, 0, 0), 10 * 366 * DAY,
			    &found));
	cr_assert_eq(found, minute_of(1896, 2, 29, 12, 0));
	cr_assert(cron_last(&cron, minute_of(2101, 1, 1, 0, 0), 10 * 366 * DAY,
			    &found));
	cr_assert_eq(found, minute_of(2096, 2, 29, 12, 0));
}

/* crontab(5): "30 4 1,15 * 5" is at 4:30 on the 1st and 15th, and on every
 * Friday. */
Test(scaling_cron, of_two_restricted_day_fields_either_is_enough)
{
	const char *text = "30 4 1,15 * 5";

	cr_assert(true_at(text, minute_of(2026, 1, 1, 4, 30)));	 /* Thursday */
	cr_assert(true_at(text, minute_of(2026, 1, 2, 4, 30)));	 /* Friday */
	cr_assert(true_at(text, minute_of(2026, 1, 15, 4, 30))); /* Thursday */
	cr_assert_not(true_at(text, minute_of(2026, 1, 3, 4, 30)));
	/* A field that begins with `*` restricts nothing of its own. */
	cr_assert_not(true_at("30 4 */2 * 5", minute_of(2026, 1, 1, 4, 30)));
	cr_assert_not(true_at("30 4 */2 * 5", minute_of(2026, 1, 2, 4, 30)));
	cr_assert(true_at("30 4 */2 * 5", minute_of(2026, 1, 9, 4, 30)));
}

Test(scaling_cron, the_last_match_is_found_across_days)
{
	struct cron cron = parsed("45 22 * * mon-fri");
	int64_t monday = minute_of(2026, 1, 5, 0, 0);
	int64_t found;

	cr_assert(cron_last(&cron, monday + 22 * 60 + 45, 0, &found));
	cr_assert_not(cron_last(&cron, monday + 22 * 60 + 46, 0, &found));
	cr_assert(cron_last(&cron, monday + 22 * 60 + 46, 1, &found));
	/* From Monday's midnight: Friday evening. */
	cr_assert(cron_last(&cron, monday, 3 * DAY, &found));
	cr_assert_eq(found, minute_of(2026, 1, 2, 22, 45));
	cr_assert_not(cron_last(&cron, monday, 2 * DAY, &found));
	cr_assert_not(cron_last(&cron, monday, 2 * DAY + 74, &found));
	cr_assert(cron_last(&cron, monday, 2 * DAY + 75, &found));
}

Test(scaling_cron, minutes_before_1970_are_minutes)
{
	struct cron cron = parsed("0 6 * * *");
	int64_t found;

	cr_assert(cron_last(&cron, -1, DAY, &found));
	cr_assert_eq(found, -DAY + 360);
}

/* Against a slow search that asks each minute. */
Test(scaling_cron, agrees_with_asking_every_minute)
{
	static const char *const all[] = {
		"*/7 3-20/5 * * *", "59 23 31 * *", "0 0 1 */3 mon",
		"13 13 13 * fri",   "* * * * sun",  "1-2,58-59 0,23 28-31 2 *",
	};
	const int64_t from = minute_of(2026, 1, 20, 0, 0);

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct cron cron = parsed(all[i]);
		int64_t slow = INT64_MIN;

		for (int64_t m = from - 40 * DAY; m < from + 40 * DAY; m++) {
			int64_t found = INT64_MIN;
			int64_t found_now;
			struct tm tm;
			time_t at = (time_t)(m * 60);

			cr_assert(gmtime_r(&at, &tm) != NULL);

			bool dom = cron.month_days >> tm.tm_mday & 1;
			bool dow = cron.weekdays >> tm.tm_wday & 1;

			if ((cron.minutes >> tm.tm_min & 1) &&
			    (cron.hours >> tm.tm_hour & 1) &&
			    (cron.months >> (tm.tm_mon + 1) & 1) &&
			    (cron.either_day ? dom || dow : dom && dow))
				slow = m;
			cr_assert_eq(cron_last(&cron, m, 0, &found_now),
				     slow == m, "%s", all[i]);
			if (m < from || m % 11 != 0)
				continue;
			(void)cron_last(&cron, m, m - (from - 40 * DAY),
					&found);
			cr_assert_eq(found, slow, "%s", all[i]);
		}
	}
}

/* Letters of expressions in any order: refused or parsed, never worse. */
Test(scaling_cron, any_text_is_parsed_or_refused)
{
	static const char any[] = "0123456789*/-,  \tmonjansu7";
	static const char likely[] = "* * * 1 2 *,-/";
	char text[32];
	unsigned int seed = 7;
	int good = 0;

	for (int i = 0; i < 200000; i++) {
		struct atom_error err = ATOM_ERROR_INIT;
		struct cron cron;
		int64_t found;
		size_t length = (size_t)rand_r(&seed) % (sizeof(text) - 1);
		const char *letters = i % 2 == 0 ? any : likely;
		size_t count = strlen(letters);

		for (size_t at = 0; at < length; at++)
			text[at] = letters[(size_t)rand_r(&seed) % count];
		text[length] = '\0';
		if (cron_parse(text, &cron, &err) != ATOM_OK) {
			cr_assert_neq(err.message[0], '\0');
			continue;
		}
		good++;
		(void)cron_last(&cron, minute_of(2026, 1, 5, 0, 0), 400 * DAY,
				&found);
	}
	cr_assert_gt(good, 0);
}
