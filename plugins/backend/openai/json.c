/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

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

/* A byte that is itself in a string, and nothing else. */
static int is_plain(char c)
{
	return c >= ' ' && c != '"' && c != '\\' && (unsigned char)c < 0x80;
}

/* Behind printable ASCII without quote and backslash, sixteen bytes at a time
 * where the processor can: most of every text is that. */
static const char *skip_plain(const char *at, const char *end)
{
#ifdef __SSE2__
	for (; end - at >= (ptrdiff_t)sizeof(__m128i); at += sizeof(__m128i)) {
		__m128i block =
			_mm_loadu_si128((const __m128i *)(const void *)at);
		/* As signed bytes: what is not ASCII is less than a blank. */
		__m128i low = _mm_cmplt_epi8(block, _mm_set1_epi8(' '));
		__m128i quote = _mm_cmpeq_epi8(block, _mm_set1_epi8('"'));
		__m128i back = _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'));
		int marks = _mm_movemask_epi8(
			_mm_or_si128(low, _mm_or_si128(quote, back)));

		if (marks != 0)
			return at + __builtin_ctz((unsigned int)marks);
	}
#endif
	while (at < end && is_plain(*at))
		at++;
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
			continue;
		}
		/* Behind one letter of another script there is the next. */
		do {
			length = c < 0x80 ? 0
					  : utf8_length(at, (size_t)(end - at));
			if (length == 0)
				return NULL;
			at += length;
			c = at < end ? (unsigned char)*at : 0;
		} while (c >= 0x80);
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

/* Behind the value that begins at `at`, or NULL when it is broken, or has more
 * than so many levels, which are bits of one number: 1 = an object. */
static const char *skip_value(const char *at, const char *end,
			      unsigned int levels)
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

			if (depth == levels || inside == end)
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
	last = skip_value(first, end, DEPTH_MAX);
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

struct json_walk json_walk_text(const char *text, size_t length)
{
	const char *end = text != NULL ? text + length : NULL;
	const char *at = text != NULL ? skip_blank(text, end) : NULL;

	if (at == end || *at != '{')
		return (struct json_walk){ 0 };
	return (struct json_walk){ .object = at, .at = at + 1, .end = end };
}

struct json_walk json_walk(struct json object)
{
	return json_walk_text(object.at, object.length);
}

int json_next(struct json_walk *walk, struct json *name_r, struct json *value_r)
{
	const char *at = walk->at, *end = walk->end, *name_end, *value;

	if (at == NULL)
		return 0;
	walk->at = NULL;
	at = skip_blank(at, end);
	if (at < end && *at == '}') {
		walk->behind = at + 1;
		return 0;
	}
	if (walk->begun && at < end && *at == ',')
		at = skip_blank(at + 1, end);
	else if (walk->begun)
		return 0;
	if (at == end || *at != '"')
		return 0;
	name_end = skip_string(at, end);
	if (name_end == NULL)
		return 0;
	*name_r = (struct json){ at, (size_t)(name_end - at) };
	value = skip_blank(name_end, end);
	if (value == end || *value != ':')
		return 0;
	value = skip_blank(value + 1, end);
	at = skip_value(value, end, DEPTH_MAX - 1);
	if (at == NULL)
		return 0;
	*value_r = (struct json){ value, (size_t)(at - value) };
	walk->at = at;
	walk->begun = 1;
	return 1;
}

int json_walked(const struct json_walk *walk, struct json *object_r)
{
	if (walk->behind == NULL ||
	    skip_blank(walk->behind, walk->end) != walk->end)
		return 0;
	*object_r = (struct json){ walk->object,
				   (size_t)(walk->behind - walk->object) };
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
	behind = at < end && *at != ']' ? skip_value(at, end, DEPTH_MAX) : NULL;
	if (behind == NULL)
		return (struct json){ NULL, 0 };
	return (struct json){ at, (size_t)(behind - at) };
}
