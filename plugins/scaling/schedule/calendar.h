/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCALING_SCHEDULE_CALENDAR_H
#define SCALING_SCHEDULE_CALENDAR_H

/*
 * Days of the proleptic Gregorian calendar, counted from 1970-01-01, after
 * Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".  No time
 * zones: local time is UTC and an offset.
 */

#include <stdint.h>

struct date {
	int64_t year;
	int32_t month; /* 1 to 12 */
	int32_t day;   /* 1 to 31 */
};

/* Days of years within some millions of 1970. */
struct date date_of_day(int64_t day);
int64_t day_of_date(const struct date *date);
/* 0 is Sunday. */
int32_t weekday_of_day(int64_t day);
/* In the longest year. */
int32_t longest_month(int32_t month);

#endif
