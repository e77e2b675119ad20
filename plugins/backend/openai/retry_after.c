/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "openai.h"

#define DAY_MS ((int64_t)24 * 3600 * 1000)

/* Decimal digits and perhaps a fraction, the whole text; -1: it is not. */
static int64_t parse_scaled(const char *text, int64_t scale)
{
	int64_t value = 0;

	if (*text < '0' || *text > '9')
		return -1;
	for (; *text >= '0' && *text <= '9'; text++)
		if (value < DAY_MS)
			value = value * 10 + (*text - '0');
	value = value < DAY_MS ? value * scale : DAY_MS;
	if (*text == '.') {
		for (text++; *text >= '0' && *text <= '9'; text++) {
			scale /= 10;
			value += scale * (*text - '0');
		}
	}
	return *text == '\0' ? value : -1;
}

static int number(const char *at, int digits)
{
	int value = 0;

	for (int i = 0; i < digits; i++) {
		if (at[i] < '0' || at[i] > '9')
			return -1;
		value = value * 10 + (at[i] - '0');
	}
	return value;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT", the form that RFC 9110 5.6.7 lets
 * servers send; -1: it is not. */
static int64_t parse_date(const char *text)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	char month[4] = "";
	const char *found;
	struct tm tm = { 0 };

	if (strlen(text) != 29 || strcmp(text + 25, " GMT") != 0)
		return -1;
	memcpy(month, text + 8, 3);
	found = strstr(months, month);
	tm.tm_mday = number(text + 5, 2);
	tm.tm_year = number(text + 12, 4) - 1900;
	tm.tm_hour = number(text + 17, 2);
	tm.tm_min = number(text + 20, 2);
	tm.tm_sec = number(text + 23, 2);
	if (found == NULL || (found - months) % 3 != 0 || tm.tm_mday < 1 ||
	    tm.tm_year < 70 || tm.tm_hour < 0 || tm.tm_min < 0 || tm.tm_sec < 0)
		return -1;
	tm.tm_mon = (int)((found - months) / 3);
	return (int64_t)timegm(&tm) * 1000;
}

int32_t retry_after_ms(const char *field, const char *field_ms,
		       int64_t realtime_ms)
{
	int64_t after = -1;

	if (field_ms != NULL)
		after = parse_scaled(field_ms, 1);
	if (after < 0 && field != NULL)
		after = parse_scaled(field, 1000);
	if (after < 0 && field != NULL) {
		int64_t at = parse_date(field);

		after = at >= 0 ? at - realtime_ms : -1;
	}
	if (after <= 0)
		return 0;
	return (int32_t)(after < DAY_MS ? after : DAY_MS);
}
