/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <criterion/criterion.h>

#include <inttypes.h>

#include "ctl/age.h"

#define DAY_MS INT64_C(86400000)

Test(ctl_age, reads_rfc3339_times)
{
	static const struct {
		const char *text;
		int64_t time_ms;
	} times[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "1970-01-01T00:00:00.250Z", 250 },
		{ "1970-01-01T00:00:00.2509999Z", 250 },
		{ "1970-01-01t01:00:00+01:00", 0 },
		{ "1969-12-31 23:30:00-00:30", 0 },
		{ "2000-02-29T00:00:00Z", INT64_C(951782400000) },
		{ "2026-01-02T03:04:05.678Z", INT64_C(1767323045678) },
		{ "1969-12-31T23:59:59Z", -1000 },
	};
	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		int64_t found = 1;
		cr_assert(age_parse_time(times[i].text, &found), "%s",
			  times[i].text);
		cr_assert_eq(found, times[i].time_ms, "%s: %" PRId64,
			     times[i].text, found);
	}
}

Test(ctl_age, refuses_what_is_no_time_and_leaves_the_result)
{
	static const char *const wrong[] = {
		"",
		"now",
		"2026-01-02",
		"2026-01-02T03:04:05",
		"2026-01-02T03:04:05.Z",
		"2026-13-02T03:04:05Z",
		"2026-00-02T03:04:05Z",
		"2026-01-32T03:04:05Z",
		"2026-01-02T24:04:05Z",
		"2026-01-02T03:60:05Z",
		"2026-01-02T03:04:05+1:00",
		"2026-01-02T03:04:05+24:00",
		"2026-01-02T03:04:05Zx",
		"26-01-02T03:04:05Z",
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		int64_t found = 77;
		cr_assert_not(age_parse_time(wrong[i], &found), "%s", wrong[i]);
		cr_assert_eq(found, 77);
	}
}

Test(ctl_age, says_ages_in_one_unit)
{
	static const struct {
		int64_t age_ms;
		const char *text;
	} ages[] = {
		{ 0, "0s" },
		{ 999, "0s" },
		{ 119999, "119s" },
		{ 120000, "2m" },
		{ 3 * 60000 + 59000, "3m" },
		{ 7199999, "119m" },
		{ 7200000, "2h" },
		{ 2 * DAY_MS - 1, "47h" },
		{ 2 * DAY_MS, "2d" },
		{ 800 * DAY_MS, "800d" },
		{ -30 * DAY_MS, "in 30d" },
		{ -5000, "in 5s" },
	};
	for (size_t i = 0; i < sizeof(ages) / sizeof(*ages); i++) {
		char text[AGE_TEXT_MAX];
		age_format(text, 0, ages[i].age_ms);
		cr_assert_str_eq(text, ages[i].text);
	}
}

Test(ctl_age, says_durations_in_few_figures)
{
	static const struct {
		double duration_ms;
		const char *text;
	} durations[] = {
		{ 0, "0.0ms" },	  { 0.84, "0.8ms" }, { 12.4, "12ms" },
		{ 999, "999ms" }, { 1200, "1.20s" }, { 10000, "10s" },
		{ 75300, "75s" },
	};
	for (size_t i = 0; i < sizeof(durations) / sizeof(*durations); i++) {
		char text[AGE_TEXT_MAX];
		age_format_duration(text, durations[i].duration_ms);
		cr_assert_str_eq(text, durations[i].text);
	}
}
