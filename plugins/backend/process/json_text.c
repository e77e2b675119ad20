/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "json_priv.h"

/* What values of a sound text mean. */

/* --- escapes -------------------------------------------------------------- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int32_t json_escape_unit(const char *at, const char *end)
{
	int32_t number = 0;

	if (end - at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(at[i]);

		if (digit < 0)
			return -1;
		number = number * 16 + digit;
	}
	return number;
}

bool json_is_high(int32_t unit)
{
	return unit >= 0xd800 && unit <= 0xdbff;
}

bool json_is_low(int32_t unit)
{
	return unit >= 0xdc00 && unit <= 0xdfff;
}

bool json_pair_follows(const char *at, const char *end)
{
	return end - at >= 10 && at[4] == '\\' && at[5] == 'u' &&
	       json_is_low(json_escape_unit(at + 6, end));
}

void json_replace_lone_surrogates(char *text, size_t length)
{
	char *end = text + length;

	for (char *at = text; end - at >= 6; at++) {
		int32_t unit;

		if (*at != '\\')
			continue;
		at++;
		if (*at != 'u')
			continue;
		unit = json_escape_unit(at + 1, end);
		if (json_is_high(unit) && json_pair_follows(at + 1, end))
			at += 10;
		else if (json_is_high(unit) || json_is_low(unit))
			memcpy(at + 1, "FFFD", 4);
	}
}

/* --- values --------------------------------------------------------------- */

struct json_value json_member(const struct json_object *object,
			      const char *name)
{
	for (size_t i = 0; i < object->count; i++)
		if (json_equals(&object->members[i].name, name))
			return object->members[i].value;
	return (struct json_value){ .kind = JSON_NONE };
}

static size_t encode_utf8(uint32_t code, char *out)
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (char)(0xe0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3f));
		out[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3f));
	out[2] = (char)(0x80 | (code >> 6 & 0x3f));
	out[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

size_t json_decode(const struct json_value *string, char *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at = string->at + 1;
	const char *end = string->at + string->length - 1;
	size_t n = 0;

	while (at < end) {
		int32_t unit;

		if (*at != '\\') {
			out[n++] = *at++;
			continue;
		}
		if (at[1] != 'u') {
			const char *found = strchr(from, at[1]);

			out[n++] = to[found != NULL ? found - from : 0];
			at += 2;
			continue;
		}
		unit = json_escape_unit(at + 2, end);
		if (json_is_high(unit) && json_pair_follows(at + 2, end)) {
			n += encode_utf8(
				0x10000 + ((uint32_t)(unit - 0xd800) << 10) +
					(uint32_t)(json_escape_unit(at + 8,
								    end) -
						   0xdc00),
				out + n);
			at += 12;
			continue;
		}
		if (json_is_high(unit) || json_is_low(unit))
			unit = 0xfffd;
		n += encode_utf8((uint32_t)unit, out + n);
		at += 6;
	}
	return n;
}

bool json_equals(const struct json_value *value, const char *text)
{
	size_t length = strlen(text);
	char decoded[256];

	if (value->kind != JSON_STRING)
		return false;
	if (!value->escaped)
		return value->length == length + 2 &&
		       memcmp(value->at + 1, text, length) == 0;
	return value->length <= sizeof(decoded) &&
	       json_decode(value, decoded) == length &&
	       memcmp(decoded, text, length) == 0;
}

bool json_to_integer(const struct json_value *value, int64_t *number_r)
{
	bool negative = value->kind == JSON_NUMBER && value->at[0] == '-';
	int64_t number = 0;

	if (value->kind != JSON_NUMBER)
		return false;
	for (size_t i = negative; i < value->length; i++) {
		if (value->at[i] < '0' || value->at[i] > '9' ||
		    __builtin_mul_overflow(number, 10, &number) ||
		    __builtin_sub_overflow(number, value->at[i] - '0', &number))
			return false;
	}
	/* Counted downwards, where there is one more. */
	if (!negative && number == INT64_MIN)
		return false;
	*number_r = negative ? number : -number;
	return true;
}
