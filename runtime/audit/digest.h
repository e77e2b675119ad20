/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_DIGEST_H
#define AUDIT_DIGEST_H

/*
 * SHA-256 for the audit log, by OpenSSL's SHA256_* and not by EVP: each record
 * is hashed twice, and an EVP digest of OpenSSL 3.0 allocates and frees a
 * context every time, which costs a third of hashing a record.  [any]
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES 32

/* The hash of `first` with `second` behind it; either may be empty.  False:
 * OpenSSL refuses, then `hash_r` is unchanged. */
bool digest_of(const void *first, size_t first_length, const void *second,
	       size_t second_length, uint8_t hash_r[DIGEST_BYTES]);

#define DIGEST_TWO_BLOCKS 128
#define DIGEST_TWO_MIN	  56
#define DIGEST_TWO_MAX	  119

/* The same for a message that with its padding fills two blocks: `length`,
 * DIGEST_TWO_MIN to DIGEST_TWO_MAX, bytes at the front of `blocks`, which are
 * written over behind it.  It saves the fifth of such a digest's time that
 * goes into taking a message piece by piece. */
bool digest_of_two(uint8_t blocks[DIGEST_TWO_BLOCKS], size_t length,
		   uint8_t hash_r[DIGEST_BYTES]);

#endif
