/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_JSON_SCAN_H
#define CORE_JSON_SCAN_H

/*
 * JSON on the call path: a strict validator (RFC 8259) that tells where the
 * members of the top-level object lie, without allocating.  A request body is
 * read this way once, and a changed body is spliced from the spans, so that
 * what nobody changed reaches the backend byte for byte.
 *
 * Refused: broken UTF-8 (overlong, surrogates, beyond U+10FFFF), escapes of
 * lone surrogates, control bytes in strings, nesting beyond the bound,
 * anything behind the value, and two members of one name in the top-level
 * object (compared as decoded: two readers would choose different ones).
 *
 * Spans point into the caller's text and live as long as it does.  Functions
 * that take a span trust it: give them only spans that a successful scan, or
 * an iteration over such a span, has given.  Pure functions. [any]
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

#include "core/buffer.h"

enum json_span_kind {
	JSON_SPAN_NONE, /* no value; also what a failed search gives */
	JSON_SPAN_OBJECT,
	JSON_SPAN_ARRAY,
	JSON_SPAN_STRING,
	JSON_SPAN_NUMBER,
	JSON_SPAN_TRUE,
	JSON_SPAN_FALSE,
	JSON_SPAN_NULL,
};

/* One value as it stands in the text: a string with its quotes, an object
 * with its braces. */
struct json_span {
	const char *at;
	size_t length;
	enum json_span_kind kind;
	bool escaped; /* a string with a backslash in it */
};

struct json_member {
	struct json_span name; /* a string */
	struct json_span value;
};

/* Where and why a scan failed; `what` is a static phrase. */
struct json_scan_error {
	size_t offset;
	const char *what;
};

/* Deepest nesting that may be asked for; the outermost value is level 1. */
#define JSON_SCAN_DEPTH_MAX 64

/* The whole text is one object.  Fills members[] in order of appearance.
 * ATOM_EINVAL, or ATOM_ELIMIT when it is sound so far but too deep or has
 * more than member_max members; *error is then set and nothing else is. */
atom_status json_scan_object(const char *text, size_t length,
			     unsigned int depth_max,
			     struct json_member *members, size_t member_max,
			     size_t *member_count_r,
			     struct json_scan_error *error);

/* The whole text is one value of any kind.  Names within it may repeat. */
atom_status json_scan_value(const char *text, size_t length,
			    unsigned int depth_max, struct json_span *value_r,
			    struct json_scan_error *error);

/* The same for a piece of a text that comes in pieces, each of them a value,
 * where a pair of surrogates may be cut in two: escapes of lone surrogates
 * pass.  Decoded each of them is U+FFFD; put together as they stand, the two
 * halves are the pair again. */
atom_status json_scan_piece(const char *text, size_t length,
			    unsigned int depth_max, struct json_span *value_r,
			    struct json_scan_error *error);

/* Overwrites the escapes of lone surrogates by that of U+FFFD, which is as
 * long, in a sound text or in what stands inside of a sound string. */
void json_mend_surrogates(char *text, size_t length);

/* The member of this name (NUL-ended UTF-8), or NULL. */
const struct json_member *json_members_find(const struct json_member *members,
					    size_t count, const char *name);

/* --- one span ------------------------------------------------------------ */

/* Is it a string that reads, decoded, as this NUL-ended text? */
bool json_span_equals(const struct json_span *string, const char *text);

/* A string, decoded to NUL-ended text.  False when it is no string, holds a
 * NUL, or does not fit into `size` bytes with its end; out is "" then. */
bool json_span_to_text(const struct json_span *string, char *out, size_t size);

/* A string, decoded and appended; a NUL is kept.  ATOM_EINVAL when it is no
 * string, else what buffer_append() says. */
atom_status json_span_append(const struct json_span *string,
			     struct buffer *out);

/* A number without fraction or exponent that fits into 64 bits. */
bool json_span_to_int(const struct json_span *number, int64_t *value_r);

/* true or false. */
bool json_span_to_bool(const struct json_span *value, bool *value_r);

/* --- what an object or an array holds ------------------------------------ */

struct json_iterator {
	const char *at; /* the next element; NULL when there is none */
};

/* Begins at the first element or member; empty for every other kind. */
struct json_iterator json_iterate(const struct json_span *container);
/* The next element of an array; false at the end. */
bool json_next_element(struct json_iterator *iterator,
		       struct json_span *element_r);
/* The next member of an object; false at the end. */
bool json_next_member(struct json_iterator *iterator,
		      struct json_member *member_r);
/* The first member of this name of an object, its value's kind being
 * JSON_SPAN_NONE when there is none or it is no object. */
struct json_span json_span_member(const struct json_span *object,
				  const char *name);

#endif
