/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_REMOTE_TEXT_H
#define AUDIT_REMOTE_TEXT_H

/*
 * The texts that every remote sink makes.
 */

#include <stddef.h>
#include <stdint.h>

#include <atomd/host.h>

/* Of 32 bytes, with the NUL. */
#define HEX32_SIZE 65

/* RFC 3339 in UTC with milliseconds, with the NUL. */
#define TIME_SIZE 48

void hex32(char hex[HEX32_SIZE], const uint8_t bytes[32]);

/* Years outside 1 to 9999, which RFC 3339 cannot say, become the nearest
 * one that it can. */
void time_text(char text[TIME_SIZE], int64_t time_ms);

/* Bytes that json_ascii() needs at most for `length` bytes. */
#define JSON_STRING_MAX(length) ((length)*6 + 2)

/* `text` as a JSON string in plain ASCII: what is beyond ASCII is escaped as
 * \uXXXX, bytes that are no UTF-8 as \ufffd.  No NUL at the end; returns the
 * length, which is at most JSON_STRING_MAX(text->length). */
size_t json_ascii(char *out, const struct atom_span *text);

/* Length in bytes of the UTF-8 character at `at`, of which `length` bytes
 * are there; *point_r is set.  0: there is none (overlong forms, surrogates
 * and what is beyond U+10FFFF are none). */
size_t utf8_character(const char *at, size_t length, uint32_t *point_r);

#endif
