/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "age.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS	  (60 * MINUTE_MS)
#define DAY_MS	  (24 * HOUR_MS)

/* Reads exactly `count` digits and moves on; false when there are fewer. */
static bool digits(const char **at, int count, int *value_r)
{
	int value = 0;
	for (int i = 0; i < count; i++) {
		char c = (*at)[i];
		if (c < '0' || c > '9')
			return false;
		value = value * 10 + (c - '0');
	}
	*at += count;
	*value_r = value;
	return true;
}

static bool literal(const char **at, const char *one_of)
{
	if (!**at || !strchr(one_of, **at))
		return false;
	(*at)++;
	return true;
}

/* Days since 1970 of a date of the Gregorian calendar; Howard Hinnant's
 * `days_from_civil`, which needs no time zone and no `time_t`. */
static int64_t days_of(int year, int month, int day)
{
	year -= month <= 2;
	int era = year / 400;
	int year_of_era = year - era * 400;
	int day_of_year =
		(153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int day_of_era = year_of_era * 365 + year_of_era / 4 -
			 year_of_era / 100 + day_of_year;
	return (int64_t)era * 146097 + day_of_era - 719468;
}

/* The fraction of a second, milliseconds kept; and the offset, in minutes. */
static bool tail(const char *at, int *ms_r, int *offset_r)
{
	int ms = 0;
	if (*at == '.') {
		int weight = 100;
		at++;
		if (*at < '0' || *at > '9')
			return false;
		for (; *at >= '0' && *at <= '9'; at++, weight /= 10)
			ms += (*at - '0') * weight;
	}
	int hours = 0;
	int minutes = 0;
	int sign = 1;
	if (*at == 'Z' || *at == 'z') {
		at++;
	} else {
		sign = *at == '-' ? -1 : 1;
		if (!literal(&at, "+-") || !digits(&at, 2, &hours) ||
		    !literal(&at, ":") || !digits(&at, 2, &minutes) ||
		    hours > 23 || minutes > 59)
			return false;
	}
	*ms_r = ms;
	*offset_r = sign * (hours * 60 + minutes);
	return *at == '\0';
}

bool age_parse_time(const char *text, int64_t *time_ms_r)
{
	int year, month, day, hour, minute, second, ms, offset;
	const char *at = text;
	if (!digits(&at, 4, &year) || !literal(&at, "-") ||
	    !digits(&at, 2, &month) || !literal(&at, "-") ||
	    !digits(&at, 2, &day) || !literal(&at, "Tt ") ||
	    !digits(&at, 2, &hour) || !literal(&at, ":") ||
	    !digits(&at, 2, &minute) || !literal(&at, ":") ||
	    !digits(&at, 2, &second) || !tail(at, &ms, &offset))
		return false;
	if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 ||
	    minute > 59 || second > 60)
		return false;
	*time_ms_r = days_of(year, month, day) * DAY_MS + hour * HOUR_MS +
		     (minute - offset) * MINUTE_MS + second * SECOND_MS + ms;
	return true;
}

void age_format(char out[AGE_TEXT_MAX], int64_t time_ms, int64_t now_ms)
{
	static const struct {
		int64_t below_ms;
		int64_t unit_ms;
		char letter;
	} units[] = {
		{ 2 * MINUTE_MS, SECOND_MS, 's' },
		{ 2 * HOUR_MS, MINUTE_MS, 'm' },
		{ 2 * DAY_MS, HOUR_MS, 'h' },
		{ INT64_MAX, DAY_MS, 'd' },
	};
	int64_t age_ms = now_ms - time_ms;
	const char *before = age_ms < 0 ? "in " : "";
	if (age_ms < 0)
		age_ms = -age_ms;
	size_t i = 0;
	while (age_ms >= units[i].below_ms)
		i++;
	snprintf(out, AGE_TEXT_MAX, "%s%" PRId64 "%c", before,
		 age_ms / units[i].unit_ms, units[i].letter);
}

void age_format_duration(char out[AGE_TEXT_MAX], double duration_ms)
{
	if (duration_ms < 10)
		snprintf(out, AGE_TEXT_MAX, "%.1fms", duration_ms);
	else if (duration_ms < 1000)
		snprintf(out, AGE_TEXT_MAX, "%.0fms", duration_ms);
	else if (duration_ms < 10000)
		snprintf(out, AGE_TEXT_MAX, "%.2fs", duration_ms / 1000);
	else
		snprintf(out, AGE_TEXT_MAX, "%.0fs", duration_ms / 1000);
}

int64_t age_now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
