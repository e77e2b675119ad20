/* SPDX-License-Identifier: Apache-2.0 */

#include "plugins/scaling/schedule/calendar.h"

#define DAYS_OF_ERA	146097 /* 400 years */
#define DAYS_TO_1970	719468 /* from 0000-03-01 */
#define DAYS_OF_YEARS4	1460
#define DAYS_OF_CENTURY 36524

static int64_t floor_of(int64_t value, int64_t unit)
{
	int64_t quotient = value / unit;

	return value % unit < 0 ? quotient - 1 : quotient;
}

struct date date_of_day(int64_t day)
{
	int64_t since = day + DAYS_TO_1970;
	int64_t era = floor_of(since, DAYS_OF_ERA);
	int64_t of_era = since - era * DAYS_OF_ERA;
	int64_t year_of_era =
		(of_era - of_era / DAYS_OF_YEARS4 + of_era / DAYS_OF_CENTURY -
		 of_era / (DAYS_OF_ERA - 1)) /
		365;
	/* Years begin in March: the leap day is their last. */
	int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 -
				    year_of_era / 100);
	int64_t from_march = (5 * of_year + 2) / 153;
	int32_t month =
		(int32_t)(from_march < 10 ? from_march + 3 : from_march - 9);

	return (struct date){
		.year = year_of_era + era * 400 + (month <= 2 ? 1 : 0),
		.month = month,
		.day = (int32_t)(of_year - (153 * from_march + 2) / 5 + 1),
	};
}

int64_t day_of_date(const struct date *date)
{
	int64_t year = date->year - (date->month <= 2 ? 1 : 0);
	int64_t era = floor_of(year, 400);
	int64_t year_of_era = year - era * 400;
	int64_t from_march =
		date->month > 2 ? date->month - 3 : date->month + 9;
	int64_t of_year = (153 * from_march + 2) / 5 + date->day - 1;
	int64_t of_era = year_of_era * 365 + year_of_era / 4 -
			 year_of_era / 100 + of_year;

	return era * DAYS_OF_ERA + of_era - DAYS_TO_1970;
}

int32_t weekday_of_day(int64_t day)
{
	int64_t shifted = day + 4; /* 1970-01-01 was a Thursday */

	return (int32_t)(shifted - 7 * floor_of(shifted, 7));
}

int32_t longest_month(int32_t month)
{
	static const int8_t days[] = { 31, 29, 31, 30, 31, 30,
				       31, 31, 30, 31, 30, 31 };

	return days[month - 1];
}
