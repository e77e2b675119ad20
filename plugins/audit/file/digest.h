/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_FILE_DIGEST_H
#define AUDIT_FILE_DIGEST_H

/*
 * SHA-256 by libcrypto: the running digest of a segment, and the hash of one
 * record.  NULL: no memory; false: libcrypto refuses.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES 32

struct digest;

struct digest *digest_new(void);
void digest_free(struct digest **digest);
/* Begins anew, as for no bytes. */
bool digest_reset(struct digest *digest);
bool digest_add(struct digest *digest, const void *bytes, size_t length);
/* Of all bytes added so far; more may be added after. */
bool digest_now(const struct digest *digest, uint8_t hash_r[DIGEST_BYTES]);
/* Of those with `bytes` behind them, which are not added. */
bool digest_with(const struct digest *digest, const void *bytes, size_t length,
		 uint8_t hash_r[DIGEST_BYTES]);
/* The hash of a record, from the one before and its bytes (atomd/audit.h). */
bool digest_step(const uint8_t hash[DIGEST_BYTES], const void *bytes,
		 size_t length, uint8_t hash_r[DIGEST_BYTES]);

#endif
