/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OPENAI_JSON_H
#define OPENAI_JSON_H

/*
 * JSON as it stands in the text: where values lie, without allocating, so
 * that bodies are spliced and chunks relayed byte for byte.  Strict (RFC
 * 8259, well-formed UTF-8, at most 64 levels).  A value is a span of the
 * caller's text; `at` NULL: there is none.  Pure functions.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct json {
	const char *at;
	size_t length;
};

struct json_walk {
	const char *object;
	const char *at;	    /* NULL: there is no more */
	const char *behind; /* NULL: not at its end, or broken */
	const char *end;
	int begun;
};

/* The whole text is one value (blanks around it are fine): 1, else 0. */
int json_whole(const char *text, size_t length, struct json *value_r);

/* Members of an object, in order:
 *	struct json_walk walk = json_walk(object);
 *	while (json_next(&walk, &name, &value)) ...
 * Nothing for what is no object, and an end where the text is broken. */
struct json_walk json_walk(struct json object);
/* The same of a whole text, which is checked on the way: behind the last
 * member json_walked() says whether it was one sound object, blanks around it
 * or not, and where that lies: 1, else 0. */
struct json_walk json_walk_text(const char *text, size_t length);
int json_next(struct json_walk *walk, struct json *name_r,
	      struct json *value_r);
int json_walked(const struct json_walk *walk, struct json *object_r);
/* The first member of that name, or none. */
struct json json_member(struct json object, const char *name);
/* The first item of an array, or none. */
struct json json_first(struct json array);

int json_is_object(struct json value);
int json_is_array(struct json value);
int json_is_string(struct json value);
int json_is_null(struct json value); /* also when there is none */
/* A string with escapes that reads, decoded, as `text`. */
int json_reads_escaped(struct json string, const char *text);
/* A string that reads, decoded, as `text`, which has no backslash.  Inline,
 * so that the length of a literal is known. */
static inline int json_reads(struct json string, const char *text)
{
	const size_t length = strlen(text);

	/* An escape is longer than what it stands for. */
	if (string.length <= length + 2)
		return string.length == length + 2 && *string.at == '"' &&
		       memcmp(string.at + 1, text, length) == 0;
	return json_reads_escaped(string, text);
}
/* A whole number that is not negative, or -1. */
int64_t json_count(struct json number);
/* Decodes a string to UTF-8.  `out` has room for string.length bytes, and may
 * be where the string itself stands.  Lone surrogates become U+FFFD.  Returns
 * the length; no NUL is added. */
size_t json_decode(struct json string, char *out);
/* The string ends in the escape of the first half of a surrogate pair: its
 * last JSON_HALF bytes before the quote. */
#define JSON_HALF 6
int json_ends_in_half(struct json string);
/* Four hexadecimal digits that end before `end`, or -1. */
long json_hex4(const char *at, const char *end);
/* `text` as a JSON string, quotes and NUL included; malloc()ed or NULL. */
char *json_quote(const char *text);

#endif
