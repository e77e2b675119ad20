/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_CHAIN_H
#define AUDIT_CHAIN_H

/*
 * The hash chain of an audit log: each record's hash covers the hash before
 * it, so that no record can be changed, left out or moved without changing
 * all that follow.
 *
 *	hash(0) = SHA-256("atomd-audit/1 " || log id)
 *	hash(n) = SHA-256(hash(n-1) || leaf(n))
 *	leaf(n) = SHA-256(0x00 || json(n))	the tree's (tree.h)
 *
 * The leaf stands for the record, so that its bytes are hashed once.
 *
 * The log id is 16 lower-case hexadecimal digits, made at the first start: two
 * logs never share a chain.  Pure. [any]
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHAIN_HASH   32
#define CHAIN_LOG_ID 16

/* Is the text a log id? */
bool chain_is_log_id(const char *text);
/* The log id that 8 random bytes make. */
void chain_log_id(const uint8_t random[CHAIN_LOG_ID / 2],
		  char log_id_r[CHAIN_LOG_ID + 1]);
/* hash(0).  False: no log id, or no memory. */
bool chain_genesis(const char *log_id, uint8_t hash_r[CHAIN_HASH]);
/* From hash(n-1) to hash(n), in place.  False: no memory, `hash` as it was. */
bool chain_step(uint8_t hash[CHAIN_HASH], const uint8_t leaf[CHAIN_HASH]);

#endif
