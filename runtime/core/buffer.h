/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_BUFFER_H
#define CORE_BUFFER_H

/*
 * A byte buffer that grows up to a stated maximum.
 *
 * Invariants: length <= capacity <= max; bytes is NULL while capacity is 0;
 * after any append that succeeded bytes[length] is NUL (not counted).  A
 * failed append changes nothing but sets `failed`, so that a run of appends
 * may be checked once at its end.  Owned by one thread at a time.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <atomd/plugin.h>

struct buffer {
	char *bytes;
	size_t length;
	size_t capacity;
	size_t max;
	bool failed;
};

#define BUFFER_INIT(max_bytes)                 \
	{                                      \
		NULL, 0, 0, (max_bytes), false \
	}

void buffer_init(struct buffer *b, size_t max_bytes);
void buffer_fini(struct buffer *b);
/* length = 0, failed = false; keeps the memory. */
void buffer_clear(struct buffer *b);
/* Room for `more` bytes behind length.  ATOM_ELIMIT or ATOM_ENOMEM. */
atom_status buffer_reserve(struct buffer *b, size_t more);
atom_status buffer_append(struct buffer *b, const void *bytes, size_t length);
atom_status buffer_append_text(struct buffer *b, const char *text);
atom_status buffer_append_char(struct buffer *b, char c);
ATOM_PRINTF(2, 3)
atom_status buffer_printf(struct buffer *b, const char *format, ...);
atom_status buffer_append_u64(struct buffer *b, unsigned long long value);
/* How many bytes at the front of `text` stand in a JSON string as they are. */
size_t buffer_json_plain(const char *text, size_t length);
/* `text` as the inside of a JSON string (no quotes): control bytes, quote
 * and backslash escaped, broken UTF-8 replaced by U+FFFD. */
atom_status buffer_append_json(struct buffer *b, const char *text,
			       size_t length);
/* The same with quotes around. */
atom_status buffer_append_json_string(struct buffer *b, const char *text);
/* Drop `length` bytes from the front. */
void buffer_consume(struct buffer *b, size_t length);
/* Moves the memory out (NUL-ended, caller mem_free()s; "" is allocated);
 * the buffer is empty after.  NULL without memory. */
char *buffer_take(struct buffer *b, size_t *length_r);

#endif
