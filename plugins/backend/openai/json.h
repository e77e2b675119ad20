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

struct json {
	const char *at;
	size_t length;
};

struct json_walk {
	const char *at;
	const char *end;
	int begun;
};

/* The whole text is one value (blanks around it are fine): 1, else 0. */
int json_whole(const char *text, size_t length, struct json *value_r);

/* Members of an object, in order:
 *	struct json_walk walk = json_walk(object);
 *	while (json_next(&walk, &name, &value)) ...
 * Nothing for what is no object, and an end where the text is broken; use it
 * on what json_whole() has accepted. */
struct json_walk json_walk(struct json object);
int json_next(struct json_walk *walk, struct json *name_r,
	      struct json *value_r);
/* The first member of that name, or none. */
struct json json_member(struct json object, const char *name);
/* The first item of an array, or none. */
struct json json_first(struct json array);

int json_is_object(struct json value);
int json_is_array(struct json value);
int json_is_string(struct json value);
int json_is_null(struct json value); /* also when there is none */
/* A string that reads, decoded, as `text`. */
int json_reads(struct json string, const char *text);
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
