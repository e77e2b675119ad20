/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

/* One value: what a string reads, what a number counts. */

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

long json_hex4(const char *at, const char *end)
{
	long code = 0;

	if (end - at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(at[i]);

		if (digit < 0)
			return -1;
		code = code * 16 + digit;
	}
	return code;
}

int json_reads_escaped(struct json string, const char *text)
{
	size_t length = strlen(text);
	char decoded[256];

	if (!json_is_string(string) || string.length > sizeof(decoded) ||
	    memchr(string.at, '\\', string.length) == NULL)
		return 0;
	return json_decode(string, decoded) == length &&
	       memcmp(decoded, text, length) == 0;
}

int64_t json_count(struct json number)
{
	int64_t value = 0;

	if (number.at == NULL || number.length == 0 || number.length > 18)
		return -1;
	for (size_t i = 0; i < number.length; i++) {
		if (number.at[i] < '0' || number.at[i] > '9')
			return -1;
		value = value * 10 + (number.at[i] - '0');
	}
	return value;
}

static size_t encode(unsigned long code, char *out)
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

/* The character of a \u escape; *at moves behind it, and behind its second
 * half. */
static unsigned long decode_unicode(const char **at, const char *end)
{
	long high = json_hex4(*at + 2, end), low;

	*at += 6;
	if (high < 0xd800 || high > 0xdfff)
		return high < 0 ? 0xfffd : (unsigned long)high;
	if (high > 0xdbff || end - *at < 6 || (*at)[0] != '\\' ||
	    (*at)[1] != 'u')
		return 0xfffd;
	low = json_hex4(*at + 2, end);
	if (low < 0xdc00 || low > 0xdfff)
		return 0xfffd;
	*at += 6;
	return 0x10000 + (((unsigned long)high - 0xd800) << 10) +
	       ((unsigned long)low - 0xdc00);
}

int json_ends_in_half(struct json string)
{
	const char *end = string.at + string.length - 1, *escape, *at;
	long half;

	if (string.length < JSON_HALF + 2)
		return 0;
	escape = end - JSON_HALF;
	half = escape[1] == 'u' ? json_hex4(escape + 2, end) : -1;
	for (at = escape; *at == '\\'; at--)
		;
	return half >= 0xd800 && half <= 0xdbff && (escape - at) % 2 == 1;
}

size_t json_decode(struct json string, char *out)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	const char *at, *end, *plain;
	size_t n = 0;

	if (!json_is_string(string) || string.length < 2)
		return 0;
	at = string.at + 1;
	end = string.at + string.length - 1;
	while (at < end) {
		if (*at != '\\') {
			out[n++] = *at++;
		} else if (at + 1 < end && at[1] == 'u') {
			n += encode(decode_unicode(&at, end), out + n);
		} else {
			plain = memchr(from, at[1], sizeof(from) - 1);
			out[n++] = plain != NULL ? to[plain - from] : at[1];
			at += 2;
		}
	}
	return n;
}

char *json_quote(const char *text)
{
	char *out = malloc(strlen(text) * 6 + 3), *to = out;

	if (out == NULL)
		return NULL;
	*to++ = '"';
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < 0x20) {
			to += snprintf(to, 7, "\\u%04x",
				       (unsigned int)(unsigned char)*text);
			continue;
		}
		if (*text == '"' || *text == '\\')
			*to++ = '\\';
		*to++ = *text;
	}
	*to++ = '"';
	*to = '\0';
	return out;
}
