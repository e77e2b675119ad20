/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECURITY_KEYS_PRIV_H
#define SECURITY_KEYS_PRIV_H

/*
 * The keys in memory: 256 shards of immutable tables, so that a look-up is
 * one hash without a lock and a change copies one shard, however many keys
 * there are.  Records live to the end of the process once made; what changes
 * in them is atomic.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "security/keys.h"
#include "security/secret.h"

struct key {
	char id[SECRET_ID_LENGTH + 1];
	uint8_t hash[SECRET_HASH_LENGTH];
	char role[64];
	char *name;
	char *created_by;
	const char **agents; /* NULL-ended; NULL = every agent */
	int64_t created_ms;
	int64_t expires_ms; /* 0 = never */
	_Atomic bool revoked;
	_Atomic int64_t last_used_ms;
	int64_t last_stored_ms;
	struct key_limits limits;
	struct key *next; /* all of them, newest first; control's */
};

/* [loop] [control] */
struct key *key_find(const char *id);
/* Is it good now? */
bool key_in_force(const struct key *key, int64_t now_ms);
/* [control] Reads pepper and keys from the store. */
atom_status keys_load(struct atom_error *err);
void keys_fini(void);

#endif
