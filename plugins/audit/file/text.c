/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- growing ------------------------------------------------------------- */

void text_fini(struct text *text)
{
	free(text->bytes);
	*text = (struct text){ 0 };
}

void text_clear(struct text *text)
{
	text->length = 0;
	text->failed = false;
}

char *text_room(struct text *text, size_t length)
{
	size_t capacity = text->capacity ? text->capacity : 1024;
	char *bytes;

	if (text->failed || length > TEXT_MAX - text->length) {
		text->failed = true;
		return NULL;
	}
	if (text->capacity - text->length >= length && text->bytes)
		return text->bytes + text->length;
	while (capacity - text->length < length)
		capacity *= 2;
	bytes = realloc(text->bytes, capacity);
	if (bytes == NULL) {
		text->failed = true;
		return NULL;
	}
	text->bytes = bytes;
	text->capacity = capacity;
	return bytes + text->length;
}

void text_add(struct text *text, const void *bytes, size_t length)
{
	char *room = text_room(text, length);

	if (room == NULL)
		return;
	memcpy(room, bytes, length);
	text->length += length;
}

void text_printf(struct text *text, const char *format, ...)
{
	va_list args, again;
	int length;
	char *room;

	va_start(args, format);
	va_copy(again, args);
	length = vsnprintf(NULL, 0, format, args);
	va_end(args);
	room = length < 0 ? NULL : text_room(text, (size_t)length + 1);
	if (room != NULL) {
		(void)vsnprintf(room, (size_t)length + 1, format, again);
		text->length += (size_t)length;
	} else {
		text->failed = true;
	}
	va_end(again);
}

void text_put_number(struct text *text, uint64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number != 0);
	text_put(text, digits + at, sizeof(digits) - at);
}

/* Four bytes at a time: each half byte to a byte of its own, and to its digit
 * by adding, for those above 9, the distance between '9' and 'a', too. */
static uint64_t eight_digits(const uint8_t bytes[4])
{
	const uint64_t ones = 0x0101010101010101;
	uint64_t x = (uint64_t)bytes[0] | (uint64_t)bytes[1] << 16 |
		     (uint64_t)bytes[2] << 32 | (uint64_t)bytes[3] << 48;
	uint64_t above;

	x = (x >> 4 & 0x000f000f000f000f) | (x & 0x000f000f000f000f) << 8;
	above = (x + 6 * ones) >> 4 & ones;
	return x + '0' * ones + above * ('a' - '0' - 10);
}

void text_put_hex(struct text *text, const uint8_t *bytes, size_t length)
{
	char *room = text->bytes + text->length;

	for (size_t i = 0; i < length; i += 4, room += 8) {
		uint64_t digits = htole64(eight_digits(bytes + i));

		memcpy(room, &digits, sizeof(digits));
	}
	text->length += 2 * length;
}

void text_add_hex(struct text *text, const uint8_t *bytes, size_t length)
{
	if (text_room(text, 2 * length) != NULL)
		text_put_hex(text, bytes, length);
}

void text_add_escaped(struct text *text, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] == '\n')
			text_add(text, "\\n", 2);
		else if (bytes[i] == '\\')
			text_add(text, "\\\\", 2);
		else
			text_add(text, &bytes[i], 1);
	}
}

static const char base64[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void text_add_base64(struct text *text, const char *bytes, size_t length)
{
	const uint8_t *in = (const uint8_t *)bytes;
	char *room = text_room(text, (length + 2) / 3 * 4);

	if (room == NULL)
		return;
	for (size_t i = 0; i < length; i += 3) {
		uint32_t three = (uint32_t)in[i] << 16;

		if (i + 1 < length)
			three |= (uint32_t)in[i + 1] << 8;
		if (i + 2 < length)
			three |= in[i + 2];
		*room++ = base64[three >> 18];
		*room++ = base64[three >> 12 & 63];
		*room++ = i + 1 < length ? base64[three >> 6 & 63] : '=';
		*room++ = i + 2 < length ? base64[three & 63] : '=';
	}
	text->length += (length + 2) / 3 * 4;
}

/* --- times --------------------------------------------------------------- */

void text_of_time(int64_t time_ms, char out[TEXT_TIME_MAX])
{
	int64_t ms = time_ms % 1000;
	time_t seconds = (time_t)(time_ms / 1000);
	struct tm tm;
	size_t used;

	if (ms < 0) {
		ms += 1000;
		seconds--;
	}
	if (gmtime_r(&seconds, &tm) == NULL)
		memset(&tm, 0, sizeof(tm));
	used = strftime(out, TEXT_TIME_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(out + used, TEXT_TIME_MAX - used, ".%03dZ", (int)ms);
}

static bool digits(const char *at, size_t count, int *number_r)
{
	*number_r = 0;
	for (size_t i = 0; i < count; i++) {
		if (at[i] < '0' || at[i] > '9')
			return false;
		*number_r = *number_r * 10 + (at[i] - '0');
	}
	return true;
}

bool text_to_time(const struct atom_span *text, int64_t *time_ms_r)
{
	const char *at = text->bytes;
	struct tm tm = { 0 };
	char again[TEXT_TIME_MAX];
	int ms;

	if (text->length != 24 || !digits(at, 4, &tm.tm_year) ||
	    !digits(at + 5, 2, &tm.tm_mon) || !digits(at + 8, 2, &tm.tm_mday) ||
	    !digits(at + 11, 2, &tm.tm_hour) ||
	    !digits(at + 14, 2, &tm.tm_min) ||
	    !digits(at + 17, 2, &tm.tm_sec) || !digits(at + 20, 3, &ms))
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	*time_ms_r = (int64_t)timegm(&tm) * 1000 + ms;
	/* The one way to write it: what is no date does not come back. */
	text_of_time(*time_ms_r, again);
	return text_is(text, again);
}

/* --- strict reading ------------------------------------------------------ */

bool text_is(const struct atom_span *text, const char *word)
{
	return strlen(word) == text->length &&
	       memcmp(text->bytes, word, text->length) == 0;
}

bool text_word(struct atom_span *text, struct atom_span *word_r)
{
	const char *space;

	if (text->length == 0)
		return false;
	space = memchr(text->bytes, ' ', text->length);
	word_r->bytes = text->bytes;
	word_r->length = space ? (size_t)(space - text->bytes) : text->length;
	text->bytes += word_r->length;
	text->length -= word_r->length;
	if (space != NULL) {
		text->bytes++;
		text->length--;
	}
	return word_r->length > 0;
}

bool text_to_number(const struct atom_span *text, uint64_t *number_r)
{
	uint64_t number = 0;

	if (text->length == 0 || text->length > 19 ||
	    (text->bytes[0] == '0' && text->length > 1))
		return false;
	for (size_t i = 0; i < text->length; i++) {
		if (text->bytes[i] < '0' || text->bytes[i] > '9')
			return false;
		number = number * 10 + (uint64_t)(text->bytes[i] - '0');
	}
	*number_r = number;
	return true;
}

/* By byte: the digit's value with a mark, 0 for what is none.  A start reads
 * the hashes of a whole segment. */
#define IS_DIGIT 0x10
static const uint8_t nibbles[256] = {
	['0'] = IS_DIGIT,      ['1'] = IS_DIGIT | 1,  ['2'] = IS_DIGIT | 2,
	['3'] = IS_DIGIT | 3,  ['4'] = IS_DIGIT | 4,  ['5'] = IS_DIGIT | 5,
	['6'] = IS_DIGIT | 6,  ['7'] = IS_DIGIT | 7,  ['8'] = IS_DIGIT | 8,
	['9'] = IS_DIGIT | 9,  ['a'] = IS_DIGIT | 10, ['b'] = IS_DIGIT | 11,
	['c'] = IS_DIGIT | 12, ['d'] = IS_DIGIT | 13, ['e'] = IS_DIGIT | 14,
	['f'] = IS_DIGIT | 15,
};

bool text_to_hex(const struct atom_span *text, uint8_t *bytes_r, size_t length)
{
	const uint8_t *digits = (const uint8_t *)text->bytes;
	uint8_t all = IS_DIGIT;

	if (text->length != 2 * length)
		return false;
	for (size_t i = 0; i < length; i++) {
		uint8_t high = nibbles[digits[2 * i]];
		uint8_t low = nibbles[digits[2 * i + 1]];

		all &= high & low;
		bytes_r[i] = (uint8_t)(high << 4 | (low & 15));
	}
	return all == IS_DIGIT;
}

bool text_unescape(const struct atom_span *text, char *out, size_t size,
		   size_t *length_r)
{
	size_t used = 0;

	for (size_t i = 0; i < text->length; i++) {
		char c = text->bytes[i];

		if (c == '\\') {
			if (++i == text->length)
				return false;
			if (text->bytes[i] != 'n' && text->bytes[i] != '\\')
				return false;
			c = text->bytes[i] == 'n' ? '\n' : '\\';
		}
		if (used + 1 >= size)
			return false;
		out[used++] = c;
	}
	out[used] = '\0';
	*length_r = used;
	return true;
}

static int sextet(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool text_from_base64(const struct atom_span *text, char *out, size_t *length_r)
{
	size_t used = 0;

	if (text->length == 0 || text->length % 4 != 0)
		return false;
	for (size_t i = 0; i < text->length; i += 4) {
		const char *at = text->bytes + i;
		int pad = i + 4 < text->length ? 0
			  : at[2] == '='       ? 2
			  : at[3] == '='       ? 1
					       : 0;
		int a = sextet(at[0]), b = sextet(at[1]);
		int c = pad == 2 ? 0 : sextet(at[2]);
		int d = pad > 0 ? 0 : sextet(at[3]);

		if (a < 0 || b < 0 || c < 0 || d < 0 ||
		    (pad == 2 && (at[3] != '=' || (b & 15) != 0)) ||
		    (pad == 1 && (c & 3) != 0))
			return false;
		out[used++] = (char)(a << 2 | b >> 4);
		if (pad < 2)
			out[used++] = (char)((b & 15) << 4 | c >> 2);
		if (pad < 1)
			out[used++] = (char)((c & 3) << 6 | d);
	}
	*length_r = used;
	return true;
}
