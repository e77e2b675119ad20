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

#endif
