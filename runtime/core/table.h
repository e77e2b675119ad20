/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_TABLE_H
#define CORE_TABLE_H

/*
 * A hash table from byte strings to pointers: open addressing, SipHash-1-3
 * with a random key of the process (Aumasson and Bernstein 2012), so that a
 * stranger cannot choose colliding keys.  Keys are not copied: they live in
 * the values.  Owned by one thread, or read by many while nobody writes.
 */

#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

struct table_slot {
	uint64_t hash;
	const char *key;
	size_t key_length;
	void *value;
};

struct table {
	struct table_slot *slots;
	size_t capacity; /* a power of two, or 0 */
	size_t count;
	size_t used; /* with tombstones */
};

#define TABLE_INIT            \
	{                     \
		NULL, 0, 0, 0 \
	}

void table_fini(struct table *t);
void *table_get(const struct table *t, const char *key, size_t length);
void *table_get_text(const struct table *t, const char *key);
/* Adds or replaces; *old_r (may be NULL) gets the value replaced. */
atom_status table_set(struct table *t, const char *key, size_t length,
		      void *value, void **old_r);
void *table_remove(struct table *t, const char *key, size_t length);
/* for (size_t at = 0; (v = table_next(t, &at)) != NULL;) */
void *table_next(const struct table *t, size_t *at);

/* The hash itself, keyed by the process's random key. */
uint64_t table_hash(const void *bytes, size_t length);
/* The same with a key of one's own: equal over restarts on one machine. */
uint64_t table_hash_keyed(const uint64_t key[2], const void *bytes,
			  size_t length);

#endif
