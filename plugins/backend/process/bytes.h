/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROCESS_BYTES_H
#define PROCESS_BYTES_H

/*
 * A growing run of bytes, for lines on their way.  Appending fails for want
 * of memory only; the failure is kept, so that it is asked for once, at the
 * end.  Whoever appends sees to the maximum.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
	char *at;
	size_t length;
	size_t capacity;
	bool failed;
};

void bytes_append(struct bytes *bytes, const char *more, size_t length);
void bytes_append_text(struct bytes *bytes, const char *text);
void bytes_append_number(struct bytes *bytes, int64_t number);
/* As a JSON string, with its quotes. */
void bytes_append_string(struct bytes *bytes, const char *text);
/* JSON that a caller may have written over several lines, on one. */
void bytes_append_json(struct bytes *bytes, const char *json, size_t length);
/* Drop what is in front. */
void bytes_consume(struct bytes *bytes, size_t length);
/* Empties it; a large allocation is given back. */
void bytes_clear(struct bytes *bytes);
void bytes_fini(struct bytes *bytes);

#endif
