/* SPDX-License-Identifier: Apache-2.0 */

#include "plugins/scaling/schedule/cron.h"

#include <string.h>

#include "plugins/scaling/schedule/calendar.h"

#define MINUTES_OF_DAY 1440
#define FIELDS	       5

struct field {
	const char *name;
	int32_t low;
	int32_t high;
	const char *names; /* three letters each; the first is `first` */
	int32_t first;
};

/* clang-format off */
static const struct field fields[FIELDS] = {
	{ "minute",       0, 59, "", 0 },
	{ "hour",         0, 23, "", 0 },
	{ "day of month", 1, 31, "", 0 },
	{ "month",        1, 12, "janfebmaraprmayjunjulaugsepoctnovdec", 1 },
	{ "day of week",  0, 7,  "sunmontuewedthufrisat", 0 },
};
/* clang-format on */

/* Where in a field the parser is. */
struct reader {
	const struct field *field;
	const char *at;
	const char *end;
};

static atom_status wrong(const struct reader *reader, struct atom_error *err,
			 const char *expected)
{
	return atom_fail(err, ATOM_EINVAL,
			 "cron field `%s` is %s; found `%.*s`",
			 reader->field->name, expected,
			 (int)(reader->end - reader->at), reader->at);
}

static bool take(struct reader *reader, char c)
{
	if (reader->at == reader->end || *reader->at != c)
		return false;
	reader->at++;
	return true;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool take_name(struct reader *reader, int32_t *value_r)
{
	const char *names = reader->field->names;

	if (reader->end - reader->at < 3)
		return false;
	for (int32_t i = 0; names[3 * i] != '\0'; i++) {
		if (lower(reader->at[0]) != names[3 * i] ||
		    lower(reader->at[1]) != names[3 * i + 1] ||
		    lower(reader->at[2]) != names[3 * i + 2])
			continue;
		reader->at += 3;
		*value_r = reader->field->first + i;
		return true;
	}
	return false;
}

/* Up to four digits: more are out of every range. */
static bool take_number(struct reader *reader, int32_t *value_r)
{
	int32_t value = 0;
	int digits = 0;

	while (reader->at < reader->end && is_digit(*reader->at)) {
		if (++digits > 4)
			return false;
		value = 10 * value + (*reader->at++ - '0');
	}
	*value_r = value;
	return digits > 0;
}

static bool take_value(struct reader *reader, int32_t *value_r)
{
	return take_name(reader, value_r) || (take_number(reader, value_r) &&
					      *value_r >= reader->field->low &&
					      *value_r <= reader->field->high);
}

/* One item of a list: `*`, `a`, `a-b`, with a step after the first and the
 * last. */
static atom_status parse_item(struct reader *reader, uint64_t *set,
			      struct atom_error *err)
{
	const struct field *field = reader->field;
	struct reader begin = *reader;
	int32_t from = field->low;
	int32_t to = field->high;
	int32_t step = 1;
	bool steps = true;

	if (!take(reader, '*')) {
		if (!take_value(reader, &from))
			return wrong(&begin, err,
				     field->names[0] != '\0'
					     ? "a number or name in its range, "
					       "`a-b`, or `*`"
					     : "a number in its range, `a-b`, "
					       "or `*`");
		to = from;
		steps = take(reader, '-');
		if (steps && !take_value(reader, &to))
			return wrong(&begin, err, "a range `a-b`");
		if (steps && to == 0 && from > 0 && field->high == 7)
			to = 7; /* sat-sun */
		if (to < from)
			return wrong(&begin, err,
				     "a range from the lower to the higher");
	}
	if (take(reader, '/') &&
	    (!steps || !take_number(reader, &step) || step == 0))
		return wrong(&begin, err,
			     "a step of 1 or more after `*` or `a-b`");
	for (int32_t i = from; i <= to; i += step)
		*set |= UINT64_C(1) << i;
	return ATOM_OK;
}

static atom_status parse_field(struct reader *reader, uint64_t *set_r,
			       struct atom_error *err)
{
	struct reader whole = *reader;
	atom_status status;

	*set_r = 0;
	do {
		status = parse_item(reader, set_r, err);
		if (status)
			return status;
	} while (take(reader, ','));
	if (reader->at != reader->end)
		return wrong(&whole, err, "a list by commas");
	return ATOM_OK;
}

/* Is there a month that has one of the days? */
static bool ever_true(const struct cron *cron, bool month_days_restricted)
{
	if (!month_days_restricted || cron->either_day)
		return true;
	for (int32_t month = 1; month <= 12; month++) {
		uint32_t days =
			(uint32_t)((UINT64_C(2) << longest_month(month)) - 2);

		if ((cron->months >> month & 1) && (cron->month_days & days))
			return true;
	}
	return false;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

atom_status cron_parse(const char *text, struct cron *cron,
		       struct atom_error *err)
{
	uint64_t sets[FIELDS];
	bool restricted[FIELDS];
	const char *at = text;
	int count = 0;

	for (;;) {
		while (is_blank(*at))
			at++;
		if (*at == '\0')
			break;

		size_t length = strcspn(at, " \t");

		if (count == FIELDS) {
			count++;
			break;
		}
		struct reader reader = { &fields[count], at, at + length };
		atom_status status = parse_field(&reader, &sets[count], err);

		if (status)
			return status;
		restricted[count] = *at != '*';
		at += length;
		count++;
	}
	if (count != FIELDS)
		return atom_fail(err, ATOM_EINVAL,
				 "a cron expression has five fields (minute, "
				 "hour, day of month, month, day of week); "
				 "found `%.100s`",
				 text);

	struct cron made = {
		.minutes = sets[0],
		.hours = (uint32_t)sets[1],
		.month_days = (uint32_t)sets[2],
		.months = (uint32_t)sets[3],
		/* 7 is Sunday, as 0 is. */
		.weekdays = (uint32_t)((sets[4] | sets[4] >> 7) & 0x7f),
		.either_day = restricted[2] && restricted[4],
	};

	if (!ever_true(&made, restricted[2]))
		return atom_fail(err, ATOM_EINVAL,
				 "the cron expression `%.100s` never comes "
				 "true: no month of it has such a day",
				 text);
	*cron = made;
	return ATOM_OK;
}

static bool day_matches(const struct cron *cron, int64_t day)
{
	struct date date = date_of_day(day);
	bool month_day = cron->month_days >> date.day & 1;
	bool weekday = cron->weekdays >> weekday_of_day(day) & 1;

	return (cron->months >> date.month & 1) &&
	       (cron->either_day ? month_day || weekday : month_day && weekday);
}

/* The last match of a day at or before `minute` of it; -1: none. */
static int64_t last_of_day(const struct cron *cron, int64_t minute)
{
	for (int64_t hour = minute / 60; hour >= 0; hour--) {
		if (!(cron->hours >> hour & 1))
			continue;
		for (int64_t m = hour == minute / 60 ? minute % 60 : 59; m >= 0;
		     m--)
			if (cron->minutes >> m & 1)
				return hour * 60 + m;
	}
	return -1;
}

bool cron_last(const struct cron *cron, int64_t minute, int64_t most,
	       int64_t *minute_r)
{
	int64_t of_day = minute % MINUTES_OF_DAY;
	int64_t day = minute / MINUTES_OF_DAY;

	if (of_day < 0) {
		of_day += MINUTES_OF_DAY;
		day--;
	}
	for (int64_t first = minute - most;
	     day * MINUTES_OF_DAY + of_day >= first; day--) {
		int64_t found =
			day_matches(cron, day) ? last_of_day(cron, of_day) : -1;

		if (found >= 0) {
			found += day * MINUTES_OF_DAY;
			if (found < first)
				return false;
			*minute_r = found;
			return true;
		}
		of_day = MINUTES_OF_DAY - 1;
	}
	return false;
}
