/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <string.h>

#define DEPTH_MAX 64

/* --- skipping, which is checking --------------------------------------------- */

static const char *skip_blank(const char *at, const char *end)
{
	while (at < end &&
	       (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
		at++;
	return at;
}

/* Length of the well-formed UTF-8 sequence at `at`, or 0 (Unicode 15, table
 * 3-7). */
static size_t utf8_length(const char *at, size_t left)
{
	const unsigned char *b = (const unsigned char *)at;
	unsigned char low = 0x80, high = 0xbf;
	size_t length;

	if (b[0] < 0x80)
		return 1;
	if (b[0] < 0xc2 || b[0] > 0xf4)
		return 0;
	length = b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
	if (left < length)
		return 0;
	if (b[0] == 0xe0)
		low = 0xa0;
	else if (b[0] == 0xed)
		high = 0x9f;
	else if (b[0] == 0xf0)
		low = 0x90;
	else if (b[0] == 0xf4)
		high = 0x8f;
	if (b[1] < low || b[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((b[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

/* Behind the escape that begins at the backslash. */
static const char *skip_escape(const char *at, const char *end)
{
	static const char simple[] = "\"\\/bfnrt";

	if (end - at < 2)
		return NULL;
	if (at[1] == 'u')
		return json_hex4(at + 2, end) >= 0 ? at + 6 : NULL;
	return memchr(simple, at[1], sizeof(simple) - 1) != NULL ? at + 2
								 : NULL;
}

/* Is some byte of the word zero?  (S. E. Anderson, Bit Twiddling Hacks:
 * "Determine if a word has a zero byte".) */
static uint64_t has_zero(uint64_t word)
{
	return (word - ONES) & ~word & HIGHS;
}

/* Behind what needs no look at each byte: printable ASCII without quote and
 * backslash, eight bytes at a time.  Most of every text is that. */
static const char *skip_plain(const char *at, const char *end)
{
	while (end - at >= 8) {
		uint64_t word;

		memcpy(&word, at, sizeof(word));
		if (((word & HIGHS) | ((word - ONES * 0x20) & ~word & HIGHS) |
		     has_zero(word ^ ONES * '"') |
		     has_zero(word ^ ONES * '\\')) != 0)
			break;
		at += sizeof(word);
	}
	return at;
}

/* `at` is on the opening quote. */
static const char *skip_string(const char *at, const char *end)
{
	for (at++; at != NULL && (at = skip_plain(at, end)) < end;) {
		unsigned char c = (unsigned char)*at;
		size_t length;

		if (c == '"')
			return at + 1;
		if (c == '\\') {
			at = skip_escape(at, end);
		} else if (c < 0x20) {
			return NULL;
		} else {
			length = utf8_length(at, (size_t)(end - at));
			at = length > 0 ? at + length : NULL;
		}
	}
	return NULL;
}

static const char *skip_digits(const char *at, const char *end)
{
	const char *first = at;

	while (at < end && *at >= '0' && *at <= '9')
		at++;
	return at > first ? at : NULL;
}

static const char *skip_number(const char *at, const char *end)
{
	if (*at == '-')
		at++;
	if (at < end && *at == '0')
		at++;
	else
		at = skip_digits(at, end);
	if (at != NULL && at < end && *at == '.')
		at = skip_digits(at + 1, end);
	if (at != NULL && at < end && (*at == 'e' || *at == 'E')) {
		at++;
		if (at < end && (*at == '+' || *at == '-'))
			at++;
		at = skip_digits(at, end);
	}
	return at;
}

static const char *skip_word(const char *at, const char *end, const char *word)
{
	size_t length = strlen(word);

	return (size_t)(end - at) >= length && memcmp(at, word, length) == 0
		       ? at + length
		       : NULL;
}

static const char *skip_scalar(const char *at, const char *end)
{
	switch (*at) {
	case '"':
		return skip_string(at, end);
	case 't':
		return skip_word(at, end, "true");
	case 'f':
		return skip_word(at, end, "false");
	case 'n':
		return skip_word(at, end, "null");
	default:
		return skip_number(at, end);
	}
}

/* A member's name and its colon. */
static const char *skip_name(const char *at, const char *end)
{
	at = skip_blank(at, end);
	if (at == end || *at != '"')
		return NULL;
	at = skip_string(at, end);
	if (at == NULL)
		return NULL;
	at = skip_blank(at, end);
	return at < end && *at == ':' ? at + 1 : NULL;
}

/* Behind the value that begins at `at`, or NULL when it is broken.  Levels
 * are bits of one number: 1 = an object. */
static const char *skip_value(const char *at, const char *end)
{
	uint64_t objects = 0;
	unsigned int depth = 0;

	for (;;) {
		at = skip_blank(at, end);
		if (at == end)
			return NULL;
		if (*at == '{' || *at == '[') {
			uint64_t object = *at == '{';
			const char *inside = skip_blank(at + 1, end);

			if (depth == DEPTH_MAX || inside == end)
				return NULL;
			objects = objects << 1 | object;
			depth++;
			at = inside;
			if (*inside != (object ? '}' : ']')) {
				at = object ? skip_name(at, end) : at;
				if (at == NULL)
					return NULL;
				continue;
			}
		} else {
			at = skip_scalar(at, end);
			if (at == NULL)
				return NULL;
		}
		/* A value has ended; so may what it stands in. */
		for (; depth > 0; depth--, objects >>= 1) {
			at = skip_blank(at, end);
			if (at == end || *at == ',')
				break;
			if (*at++ != ((objects & 1) ? '}' : ']'))
				return NULL;
		}
		if (depth == 0)
			return at;
		if (at == end)
			return NULL;
		at = (objects & 1) ? skip_name(at + 1, end) : at + 1;
		if (at == NULL)
			return NULL;
	}
}

int json_whole(const char *text, size_t length, struct json *value_r)
{
	const char *end, *first, *last;

	if (text == NULL)
		return 0;
	end = text + length;
	first = skip_blank(text, end);
	last = skip_value(first, end);
	if (last == NULL || skip_blank(last, end) != end)
		return 0;
	*value_r = (struct json){ first, (size_t)(last - first) };
	return 1;
}

/* --- what is in it --------------------------------------------------------------- */

int json_is_object(struct json value)
{
	return value.at != NULL && *value.at == '{';
}

int json_is_array(struct json value)
{
	return value.at != NULL && *value.at == '[';
}

int json_is_string(struct json value)
{
	return value.at != NULL && *value.at == '"';
}

int json_is_null(struct json value)
{
	return value.at == NULL || *value.at == 'n';
}

struct json_walk json_walk(struct json object)
{
	if (!json_is_object(object))
		return (struct json_walk){ NULL, NULL, 0 };
	return (struct json_walk){ object.at + 1, object.at + object.length,
				   0 };
}

int json_next(struct json_walk *walk, struct json *name_r, struct json *value_r)
{
	const char *at, *name_end, *value;

	if (walk->at == NULL)
		return 0;
	at = skip_blank(walk->at, walk->end);
	walk->at = NULL;
	if (walk->begun && at < walk->end && *at == ',')
		at = skip_blank(at + 1, walk->end);
	else if (walk->begun)
		return 0;
	if (at == walk->end || *at != '"')
		return 0;
	name_end = skip_string(at, walk->end);
	if (name_end == NULL)
		return 0;
	*name_r = (struct json){ at, (size_t)(name_end - at) };
	value = skip_blank(name_end, walk->end);
	if (value == walk->end || *value != ':')
		return 0;
	value = skip_blank(value + 1, walk->end);
	at = skip_value(value, walk->end);
	if (at == NULL)
		return 0;
	*value_r = (struct json){ value, (size_t)(at - value) };
	walk->at = at;
	walk->begun = 1;
	return 1;
}

struct json json_member(struct json object, const char *name)
{
	struct json_walk walk = json_walk(object);
	struct json found, value;

	while (json_next(&walk, &found, &value))
		if (json_reads(found, name))
			return value;
	return (struct json){ NULL, 0 };
}

struct json json_first(struct json array)
{
	const char *at, *end, *behind;

	if (!json_is_array(array))
		return (struct json){ NULL, 0 };
	end = array.at + array.length;
	at = skip_blank(array.at + 1, end);
	behind = at < end && *at != ']' ? skip_value(at, end) : NULL;
	if (behind == NULL)
		return (struct json){ NULL, 0 };
	return (struct json){ at, (size_t)(behind - at) };
}
