/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECURITY_SECRET_H
#define SECURITY_SECRET_H

/*
 * The text of API keys and the keyed hash under which they are kept.
 *
 *	atm_<id>_<secret><check>
 *
 * id: 12 characters; secret: 43, that is 256 random bits; check: 6, the
 * CRC-32 (ISO 3309, as in zlib) of everything before it.  All base62.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

#define SECRET_ID_LENGTH 12
#define SECRET_RANDOM	 43
#define SECRET_CHECK	 6
#define SECRET_PREFIX	 "atm_"
#define SECRET_TEXT_LENGTH \
	(4 + SECRET_ID_LENGTH + 1 + SECRET_RANDOM + SECRET_CHECK)
#define SECRET_HASH_LENGTH  32
#define SECRET_PEPPER_BYTES 32

/* A new key: its text (SECRET_TEXT_LENGTH + 1 bytes) and its id. */
atom_status secret_make(char *text, char id[SECRET_ID_LENGTH + 1],
			struct atom_error *err);
/* Another key for the id: its text. */
atom_status secret_renew(const char id[SECRET_ID_LENGTH + 1], char *text,
			 struct atom_error *err);
/* The check of `length` bytes: their CRC-32, six base62 digits, the most
 * significant first; not ended by a NUL.  A secret scanner does the same. */
void secret_check(const char *text, size_t length, char out[SECRET_CHECK]);
uint32_t secret_crc32(const void *bytes, size_t length);
/* Is the form right, check included?  Sets the id. [any] */
bool secret_parse(const char *text, char id[SECRET_ID_LENGTH + 1]);

/* [control] Before loops serve: the pepper that keys the hash. */
atom_status secret_set_pepper(const uint8_t pepper[SECRET_PEPPER_BYTES],
			      struct atom_error *err);
/* HMAC-SHA256 of the text under the pepper. [any] */
atom_status secret_hash(const char *text, size_t length,
			uint8_t hash_r[SECRET_HASH_LENGTH]);
/* The hash of "owner/name" as 32 hexadecimal digits: tells in records one
 * session from another, and nothing more.  "" when it cannot be made.
 * [loop] [control] */
#define SECRET_TRACE_MAX 33
void secret_trace(const char *owner, const char *name,
		  char trace_r[SECRET_TRACE_MAX]);
void secret_fini(void);

#endif
