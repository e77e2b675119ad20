/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/audit/remote/text.h"

#include <stdio.h>
#include <time.h>

static const char digits[] = "0123456789abcdef";

void hex32(char hex[HEX32_SIZE], const uint8_t bytes[32])
{
	for (size_t i = 0; i < 32; i++) {
		hex[2 * i] = digits[bytes[i] >> 4];
		hex[2 * i + 1] = digits[bytes[i] & 15];
	}
	hex[64] = '\0';
}

#define TIME_MIN_MS (-62135596800000ll) /* 0001-01-01T00:00:00.000Z */
#define TIME_MAX_MS 253402300799999ll	/* 9999-12-31T23:59:59.999Z */

void time_text(char text[TIME_SIZE], int64_t time_ms)
{
	struct tm tm = { 0 };
	char day[24];
	int64_t ms;
	time_t seconds;

	if (time_ms < TIME_MIN_MS)
		time_ms = TIME_MIN_MS;
	if (time_ms > TIME_MAX_MS)
		time_ms = TIME_MAX_MS;
	ms = ((time_ms % 1000) + 1000) % 1000;
	seconds = (time_t)((time_ms - ms) / 1000);
	(void)gmtime_r(&seconds, &tm);
	/* Not %Y: glibc does not fill the year up to four digits. */
	(void)strftime(day, sizeof(day), "-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(text, TIME_SIZE, "%04d%s.%03dZ", tm.tm_year + 1900, day,
		       (int)ms);
}

size_t utf8_character(const char *at, size_t length, uint32_t *point_r)
{
	/* The smallest code point of each length: below it is overlong. */
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *byte = (const unsigned char *)at;
	uint32_t point;
	size_t size;

	if (length == 0)
		return 0;
	if (byte[0] < 0x80) {
		*point_r = byte[0];
		return 1;
	}
	if (byte[0] >= 0xc2 && byte[0] <= 0xdf)
		size = 2;
	else if (byte[0] >= 0xe0 && byte[0] <= 0xef)
		size = 3;
	else if (byte[0] >= 0xf0 && byte[0] <= 0xf4)
		size = 4;
	else
		return 0;
	if (length < size)
		return 0;
	point = byte[0] & (0x7fu >> size);
	for (size_t i = 1; i < size; i++) {
		if ((byte[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (byte[i] & 0x3f);
	}
	if (point < least[size] || point > 0x10ffff ||
	    (point >= 0xd800 && point <= 0xdfff))
		return 0;
	*point_r = point;
	return size;
}

static char *put_unit(char *out, uint32_t unit)
{
	*out++ = '\\';
	*out++ = 'u';
	for (int shift = 12; shift >= 0; shift -= 4)
		*out++ = digits[unit >> shift & 15];
	return out;
}

static char *put_point(char *out, uint32_t point)
{
	switch (point) {
	case '"':
	case '\\':
		*out++ = '\\';
		*out++ = (char)point;
		return out;
	case '\n':
		*out++ = '\\';
		*out++ = 'n';
		return out;
	default:
		break;
	}
	if (point >= 0x20 && point < 0x7f) {
		*out++ = (char)point;
		return out;
	}
	if (point < 0x10000)
		return put_unit(out, point);
	point -= 0x10000;
	out = put_unit(out, 0xd800 + (point >> 10));
	return put_unit(out, 0xdc00 + (point & 0x3ff));
}

size_t json_ascii(char *out, const struct atom_span *text)
{
	char *end = out;

	*end++ = '"';
	for (size_t at = 0; at < text->length;) {
		uint32_t point = 0xfffd;
		size_t size = utf8_character(text->bytes + at,
					     text->length - at, &point);

		at += size > 0 ? size : 1;
		end = put_point(end, point);
	}
	*end++ = '"';
	return (size_t)(end - out);
}
