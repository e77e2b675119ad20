/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_FILE_TEXT_H
#define AUDIT_FILE_TEXT_H

/*
 * Text that grows, and the strict readings of numbers, hexadecimal and times
 * that a segment is written in: each value has one way to be written, and
 * nothing else is read.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <atomd/host.h>
#include <atomd/plugin.h>

/* `failed` stays set once memory was short or a maximum passed, so that a run
 * of appends is checked once at its end. */
struct text {
	char *bytes;
	size_t length;
	size_t capacity;
	bool failed;
};

#define TEXT_MAX      ((size_t)256 * 1024 * 1024)
#define TEXT_TIME_MAX 32

void text_fini(struct text *text);
void text_clear(struct text *text);
void text_add(struct text *text, const void *bytes, size_t length);
ATOM_PRINTF(2, 3)
void text_printf(struct text *text, const char *format, ...);
/* Of hashes: a multiple of four bytes. */
void text_add_hex(struct text *text, const uint8_t *bytes, size_t length);
/* Line ends and backslashes as "\n" and "\\". */
void text_add_escaped(struct text *text, const char *bytes, size_t length);
void text_add_base64(struct text *text, const char *bytes, size_t length);
/* Room for `length` bytes behind the end, to be filled by the caller, who
 * then adds to `length`; NULL and failed without memory. */
char *text_room(struct text *text, size_t length);

/* Into room that was asked for. */
static inline void text_put(struct text *text, const void *bytes, size_t length)
{
	memcpy(text->bytes + text->length, bytes, length);
	text->length += length;
}

/* Decimal, at most 20 digits. */
void text_put_number(struct text *text, uint64_t number);
/* Of hashes: a multiple of four bytes. */
void text_put_hex(struct text *text, const uint8_t *bytes, size_t length);

/* RFC 3339 in UTC with milliseconds, and back. */
void text_of_time(int64_t time_ms, char out[TEXT_TIME_MAX]);
bool text_to_time(const struct atom_span *text, int64_t *time_ms_r);

/* Whole spans only. */
bool text_to_number(const struct atom_span *text, uint64_t *number_r);
/* False: what is in *bytes_r means nothing. */
bool text_to_hex(const struct atom_span *text, uint8_t *bytes_r, size_t length);
bool text_unescape(const struct atom_span *text, char *out, size_t size,
		   size_t *length_r);
/* `out` has room for text->length * 3 / 4 bytes. */
bool text_from_base64(const struct atom_span *text, char *out,
		      size_t *length_r);

/* Takes the word before the next space off the front of `text`; the whole
 * rest when there is none.  False: nothing is left, or it is empty. */
bool text_word(struct atom_span *text, struct atom_span *word_r);
bool text_is(const struct atom_span *text, const char *word);

#endif
