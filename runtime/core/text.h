/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

/*
 * Text: numbers with units, times, names, base64 and hexadecimal, and the
 * nearest word for error messages.  Pure functions. [any]
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

/* The whole text as a decimal integer; no spaces, no wrap. */
bool text_to_int(const char *text, int64_t *value_r);
/* The whole text as a finite decimal number. */
bool text_to_float(const char *text, double *value_r);
/* "250ms" "30s" "5m" "2h" "30d", or a plain number in `unit_ms`
 * milliseconds. */
bool text_to_duration(const char *text, int64_t unit_ms, int64_t *ms_r);
/* "64K" "2M" "1G" (powers of 1,024), or plain bytes. */
bool text_to_size(const char *text, int64_t *bytes_r);

#define TEXT_TIME_MAX 32
/* RFC 3339 in UTC with milliseconds: 2026-01-02T03:04:05.678Z */
void text_of_time(int64_t realtime_ms, char out[TEXT_TIME_MAX]);
bool text_to_time(const char *text, int64_t *realtime_ms_r);

/* [a-z0-9][a-z0-9_.-]{0,62}: agents, components and the like. */
bool text_is_name(const char *text);
/* Of `words` (NULL-ended) the one nearest to `wrong` by edit distance with
 * transpositions, when near enough to suggest, else one that is `wrong` and a
 * unit (`_ms`); else NULL. */
const char *text_nearest(const char *wrong, const char *const *words);

/* Length of the well-formed UTF-8 sequence that `text` begins with, or 0.
 * `left` >= 1 bytes may be looked at. */
size_t text_utf8_length(const char *text, size_t left);

/* Ends a text that a stranger wrote into `size` bytes, and puts `?` in place
 * of all that is no printable UTF-8. */
void text_make_printable(char *text, size_t size);
/* The same of what is no UTF-8, half a character at the end, too; control
 * characters stay. */
void text_make_utf8(char *text, size_t size);

void text_to_hex(const void *bytes, size_t length, char *out); /* 2n + 1 */
size_t text_base64(
	const void *bytes, size_t length, char *out,
	size_t out_size); /* standard alphabet, padded; 0 = no room */
bool text_equal_constant_time(const void *a, const void *b, size_t length);

/* IP address in CIDR list: "10.0.0.0/8", "::1". */
bool text_in_cidr(const char *address, const char *cidr);
/* Does "http://[USER@]HOST[:PORT][/...]" lead to this machine: localhost, ::1
 * or 127.0.0.0/8, each as it is written?  No name is resolved. */
bool text_is_loopback_url(const char *url);

#endif
