/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_DIGEST_H
#define AUDIT_DIGEST_H

/*
 * SHA-256 for the audit log, by OpenSSL.  The algorithm is fetched once and
 * each thread keeps one context, because both cost more than the hash of a
 * record.  [any]
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES 32

/* The hash of `first` with `second` behind it; either may be empty.  False
 * when OpenSSL has no memory, then `hash_r` is unchanged. */
bool digest_of(const void *first, size_t first_length, const void *second,
	       size_t second_length, uint8_t hash_r[DIGEST_BYTES]);

#endif
