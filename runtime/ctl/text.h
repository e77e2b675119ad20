/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing string with a maximum.
 *
 * `bytes` is NUL-terminated whenever something was appended; `length` does
 * not count the NUL. Nothing is appended when it would pass `max` or when
 * memory is short, and the text then stays as it was.
 */
#ifndef CTL_TEXT_H
#define CTL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
	char *bytes;
	size_t length;
	size_t capacity;
	size_t max;
};

#define TEXT_INIT(max_bytes)       \
	{                          \
		.max = (max_bytes) \
	}

/* Appends `length` bytes. False: over the maximum, or no memory. */
bool text_append(struct text *text, const char *bytes, size_t length);

/* Appends a NUL-terminated string. */
bool text_append_string(struct text *text, const char *string);

/* Appends as printf would. */
bool text_append_format(struct text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Empties the text and keeps its memory. */
void text_clear(struct text *text);

/* The text as a string: never NULL. Owned by the text. */
const char *text_string(const struct text *text);

/* Frees the memory; the text may be used again. */
void text_fini(struct text *text);

#endif
