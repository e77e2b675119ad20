/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROCESS_JSON_H
#define PROCESS_JSON_H

/*
 * JSON as the protocol needs it: a strict check of one line (RFC 8259, UTF-8)
 * that tells where the members of its object lie.  Values are passed on as
 * they stand in the line, byte for byte, so no number is rounded and no tree
 * is built.  Values point into the caller's text.  Pure functions.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Deepest nesting; the line's object is level 1.  A worker may answer with
 * what a caller sent, which nests 64 deep at most. */
#define JSON_DEPTH_MAX	 80
#define JSON_MEMBERS_MAX 64

enum json_kind {
	JSON_NONE, /* there is no such value */
	JSON_OBJECT,
	JSON_ARRAY,
	JSON_STRING,
	JSON_NUMBER,
	JSON_TRUE,
	JSON_FALSE,
	JSON_NULL
};

/* As it stands in the text: a string with its quotes. */
struct json_value {
	const char *at;
	size_t length;
	enum json_kind kind;
	bool escaped; /* a string with a backslash in it */
};

struct json_member {
	struct json_value name;
	struct json_value value;
};

struct json_object {
	struct json_member members[JSON_MEMBERS_MAX];
	size_t count;
	/* Somewhere is an escape of half a surrogate pair. */
	bool lone_surrogate;
};

/* Is the whole text one object?  NULL when it is, and *object_r is filled;
 * else what is wrong with it, a phrase. */
const char *json_read_object(const char *text, size_t length,
			     struct json_object *object_r);
/* Overwrites halves of surrogate pairs by U+FFFD, of the same length: a
 * worker that cuts its text by UTF-16 units writes them. */
void json_replace_lone_surrogates(char *text, size_t length);

/* The first member of this name; its kind is JSON_NONE when there is none. */
struct json_value json_member(const struct json_object *object,
			      const char *name);
/* The elements of a sound array, from *at = 0 on; false at the end. */
bool json_next_element(const struct json_value *array, size_t *at,
		       struct json_value *element_r);

/* Decodes a string of a sound text to `out`, which has room for as many bytes
 * as the string has in the text; returns how many it has become. */
size_t json_decode(const struct json_value *string, char *out);
/* Is it a string, and this one? */
bool json_equals(const struct json_value *value, const char *text);
/* Is it a whole number that fits? */
bool json_to_integer(const struct json_value *value, int64_t *number_r);

#endif
