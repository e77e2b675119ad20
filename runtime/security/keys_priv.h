/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECURITY_KEYS_PRIV_H
#define SECURITY_KEYS_PRIV_H

/*
 * The keys in memory: 256 shards of immutable tables, so that a look-up is
 * one hash without a lock and a change copies one shard, however many keys
 * there are.  Records live to the end of the process once made; what changes
 * in them is atomic, or a new `secrets` behind an atomic pointer.
 *
 *	keys_table.c   look-up
 *	keys.c         rows, records of the store, making one
 *	keys_change.c  rotating and revoking
 *	keys_load.c    from the store at start; last use back into it
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/buffer.h"
#include "security/keys.h"
#include "security/secret.h"
#include "state/state.h"

#define KEYS_BUCKET "keys"

/*
 * What opens a key: one secret, or for some time after a rotation two.
 * Immutable once published (but for the time of use); one that was replaced
 * is freed when no loop can see it any more (qsbr.h).
 */
struct key_secrets {
	uint8_t hash[SECRET_HASH_LENGTH];
	uint8_t old_hash[SECRET_HASH_LENGTH]; /* of the one before */
	int64_t old_ends_ms;		      /* until then it is good */
	int64_t rotated_ms;		      /* 0 = never */
	_Atomic int64_t old_used_ms;
};

/* What a JSON number holds exactly. */
#define KEY_NUMBER_MAX	((int64_t)1 << 53)
#define KEY_NUMBER_NONE (-1) /* of a record: none, or what can be none */

struct key {
	char id[SECRET_ID_LENGTH + 1];
	struct key_secrets *_Atomic secrets;
	char role[64];
	char *name;
	char *created_by;
	const char **agents; /* NULL-ended; NULL = every agent */
	int64_t number; /* they are counted as they are made; 0 = it was not
			 * counted, or that was lost */
	int64_t created_ms;
	int64_t expires_ms; /* 0 = never */
	int64_t revoked_ms; /* [control] 0 = it is not */
	_Atomic bool revoked;
	_Atomic int64_t last_used_ms;
	int64_t last_stored_ms;
	struct key_limits limits;
	bool changing;	  /* [control] new secrets are on their way to the
			     store: nothing else may be written of it */
	struct key *next; /* all of them, newest first; control's */
};

/* [loop] [control] */
struct key *key_find(const char *id);
/* Is it the hash of a secret of this key that is good now?  `key` NULL: the
 * same work, and false. */
bool key_matches(const struct key *key, const uint8_t hash[SECRET_HASH_LENGTH],
		 int64_t now_ms);
/* Is it good now, neither revoked nor expired? */
bool key_in_force(const struct key *key, int64_t now_ms);

/* --- all of them [control] ------------------------------------------------ */

struct key *keys_first(void); /* newest first, by `next` */
size_t keys_count(void);
/* For the next one made: one more than all, up to KEY_NUMBER_MAX. */
int64_t keys_next_number(void);
/* Takes the key. */
atom_status key_publish(struct key *key);
/* The same before loops read: without a copy of the shard.  keys_sort() puts
 * what came in whatever order into the order of making. */
atom_status key_publish_early(struct key *key);
atom_status keys_sort(void);
void keys_free(void);

/* --- one of them [control] ------------------------------------------------ */

void key_free(struct key *key);
void key_secrets_free(void *object); /* a struct key_secrets */
json_t *key_row(const struct key *key);
/* What the store keeps: the row's facts and the hashes of `secrets`. */
atom_status key_encode(const struct key *key, const struct key_secrets *secrets,
		       struct buffer *out);
struct key *key_decode(const char *id, const json_t *record);
/* The transaction that stores it so. */
atom_status key_write(const struct key *key, const struct key_secrets *secrets,
		      struct state_transaction **transaction_r,
		      struct atom_error *err);
/* Its record as it is now, written behind; false when that is not taken. */
bool key_store_soon(struct key *key);

/* --- for principal.c [control] -------------------------------------------- */

/* Reads pepper and keys from the store. */
atom_status keys_load(struct atom_error *err);
/* [any] Are all keys of the store here?  ATOM_EUNAVAILABLE: they could not be
 * read at the start, so that one that is not found may be good all the same;
 * `err` (may be NULL) says why, and when to come back. */
atom_status keys_known(struct atom_error *err);
/* Tells of keys whose role the configuration does not have. */
void keys_check_roles(void);
/* Is there a key that may do everything, other than this one (or NULL)? */
bool keys_have_admin(const struct key *but);
/* Times of last use into the store, all of them, before it is closed. */
void keys_flush(void);
void keys_fini(void);

#endif
