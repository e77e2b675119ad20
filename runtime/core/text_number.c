/* SPDX-License-Identifier: Apache-2.0 */

/* Numbers, durations, sizes and times: the other half of text.h. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Digits at *text to a value that is >= 0; moves *text behind them. */
static bool take_digits(const char **text, int64_t *value_r)
{
	const char *at = *text;
	int64_t value = 0;

	if (!is_digit(*at))
		return false;
	for (; is_digit(*at); at++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, *at - '0', &value))
			return false;
	*text = at;
	*value_r = value;
	return true;
}

bool text_to_int(const char *text, int64_t *value_r)
{
	const bool negative = *text == '-';
	const char *at = text + negative;
	int64_t value = 0;

	if (!is_digit(*at))
		return false;
	/* Counted downwards: the smallest has no positive twin. */
	for (; is_digit(*at); at++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_sub_overflow(value, *at - '0', &value))
			return false;
	if (*at != '\0' || (!negative && value == INT64_MIN))
		return false;
	*value_r = negative ? value : -value;
	return true;
}

bool text_to_float(const char *text, double *value_r)
{
	const char *at = text + (*text == '-');
	char *end;

	/* strtod takes more than we do: "inf", "nan", hexadecimal, blanks. */
	if (!is_digit(*at))
		return false;
	while (is_digit(*at))
		at++;
	if (*at == '.') {
		if (!is_digit(*++at))
			return false;
		while (is_digit(*at))
			at++;
	}
	if (*at == 'e' || *at == 'E') {
		at++;
		at += *at == '+' || *at == '-';
		if (!is_digit(*at))
			return false;
		while (is_digit(*at))
			at++;
	}
	if (*at != '\0')
		return false;

	double value = strtod(text, &end);

	if (*end != '\0' || !isfinite(value))
		return false;
	*value_r = value;
	return true;
}

struct unit {
	const char *suffix;
	int64_t factor;
};

static bool with_unit(const char *text, int64_t plain, const struct unit *units,
		      size_t count, int64_t *value_r)
{
	int64_t value;
	int64_t factor = 0;

	if (!take_digits(&text, &value))
		return false;
	if (*text == '\0')
		factor = plain;
	for (size_t i = 0; i < count; i++)
		if (strcmp(text, units[i].suffix) == 0)
			factor = units[i].factor;
	if (factor == 0 || __builtin_mul_overflow(value, factor, &value))
		return false;
	*value_r = value;
	return true;
}

bool text_to_duration(const char *text, int64_t unit_ms, int64_t *ms_r)
{
	static const struct unit units[] = {
		{ "ms", 1 },	  { "s", 1000 },     { "m", 60000 },
		{ "h", 3600000 }, { "d", 86400000 },
	};

	return with_unit(text, unit_ms, units, ARRAY_SIZE(units), ms_r);
}

bool text_to_size(const char *text, int64_t *bytes_r)
{
	static const struct unit units[] = {
		{ "K", 1 << 10 },
		{ "M", 1 << 20 },
		{ "G", 1 << 30 },
	};

	return with_unit(text, 1, units, ARRAY_SIZE(units), bytes_r);
}

/* --- time ---------------------------------------------------------------- */

/* Days since 1970-01-01 to and from the proleptic Gregorian calendar, by
 * Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms" (2013).
 * libc's gmtime_r takes a lock. */

static int64_t days_of_date(int64_t year, int month, int day)
{
	year -= month <= 2;

	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t year_of_era = year - era * 400;
	int64_t day_of_year =
		(153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 -
			     year_of_era / 100 + day_of_year;

	return era * 146097 + day_of_era - 719468;
}

static void date_of_days(int64_t days, int *year_r, int *month_r, int *day_r)
{
	days += 719468;

	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	int64_t day_of_era = days - era * 146097;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 +
			       day_of_era / 36524 - day_of_era / 146096) /
			      365;
	int64_t day_of_year =
		day_of_era -
		(365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t shifted = (5 * day_of_year + 2) / 153; /* March is 0 */

	*day_r = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
	*month_r = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
	*year_r = (int)(year_of_era + era * 400 + (*month_r <= 2));
}

/* 0000-01-01T00:00:00.000Z and 9999-12-31T23:59:59.999Z */
#define TIME_FIRST (-62167219200000)
#define TIME_LAST  253402300799999

static void put_digits(char *out, int count, int value)
{
	for (; count; value /= 10)
		out[--count] = (char)('0' + value % 10);
}

void text_of_time(int64_t realtime_ms, char out[TEXT_TIME_MAX])
{
	int64_t ms = realtime_ms;
	int year, month, day;

	/* RFC 3339 has four digits for a year. */
	if (ms < TIME_FIRST)
		ms = TIME_FIRST;
	if (ms > TIME_LAST)
		ms = TIME_LAST;

	int64_t days = (ms >= 0 ? ms : ms - 86399999) / 86400000;
	int rest = (int)(ms - days * 86400000);

	date_of_days(days, &year, &month, &day);
	memcpy(out, "0000-00-00T00:00:00.000Z", 25);
	put_digits(out, 4, year);
	put_digits(out + 5, 2, month);
	put_digits(out + 8, 2, day);
	put_digits(out + 11, 2, rest / 3600000);
	put_digits(out + 14, 2, rest / 60000 % 60);
	put_digits(out + 17, 2, rest / 1000 % 60);
	put_digits(out + 20, 3, rest % 1000);
}

/* `count` digits; moves *text. */
static bool take_fixed(const char **text, int count, int *value_r)
{
	int value = 0;

	for (int i = 0; i < count; i++, (*text)++) {
		if (!is_digit(**text))
			return false;
		value = value * 10 + (**text - '0');
	}
	*value_r = value;
	return true;
}

static bool take_char(const char **text, const char *one_of)
{
	if (**text == '\0' || !strchr(one_of, **text))
		return false;
	(*text)++;
	return true;
}

static int days_in_month(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30,
				    31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

bool text_to_time(const char *text, int64_t *realtime_ms_r)
{
	int year, month, day, hour, minute, second;
	int fraction = 0, offset_hour = 0, offset_minute = 0;
	bool east = true;

	if (!take_fixed(&text, 4, &year) || !take_char(&text, "-") ||
	    !take_fixed(&text, 2, &month) || !take_char(&text, "-") ||
	    !take_fixed(&text, 2, &day) || !take_char(&text, "Tt ") ||
	    !take_fixed(&text, 2, &hour) || !take_char(&text, ":") ||
	    !take_fixed(&text, 2, &minute) || !take_char(&text, ":") ||
	    !take_fixed(&text, 2, &second))
		return false;
	if (take_char(&text, ".")) {
		int scale = 100;

		if (!is_digit(*text))
			return false;
		/* Finer than a millisecond is cut off. */
		for (; is_digit(*text); text++, scale /= 10)
			fraction += (*text - '0') * scale;
	}
	if (!take_char(&text, "Zz")) {
		east = *text == '+';
		if (!take_char(&text, "+-") ||
		    !take_fixed(&text, 2, &offset_hour) ||
		    !take_char(&text, ":") ||
		    !take_fixed(&text, 2, &offset_minute))
			return false;
	}
	/* Second 60 is a leap second: the next minute's first. */
	if (*text != '\0' || month < 1 || month > 12 || day < 1 ||
	    day > days_in_month(year, month) || hour > 23 || minute > 59 ||
	    second > 60 || offset_hour > 23 || offset_minute > 59)
		return false;

	int64_t seconds = days_of_date(year, month, day) * 86400 + hour * 3600 +
			  minute * 60 + second;
	int64_t offset = offset_hour * 3600 + offset_minute * 60;

	seconds += east ? -offset : offset;
	*realtime_ms_r = seconds * 1000 + fraction;
	return true;
}
