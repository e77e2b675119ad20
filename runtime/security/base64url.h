/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECURITY_BASE64URL_H
#define SECURITY_BASE64URL_H

/*
 * base64url without padding (RFC 4648 section 5, RFC 7515 section 2), read
 * strictly: one text for one sequence of bytes.  White space, padding, the
 * characters of the other alphabet, a length that no bytes have, and bits
 * left over at the end that are not zero are refused; else a token could be
 * written in many ways.  [any]
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that `length` characters stand for, at most. */
#define BASE64URL_BYTES(length) ((length) / 4 * 3 + 2)

/* False when the text is not strict or stands for more than `size` bytes. */
bool base64url_decode(const char *text, size_t length, uint8_t *bytes,
		      size_t size, size_t *length_r);

#endif
