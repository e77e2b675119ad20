/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/qsbr.h"
#include "core/table.h"
#include "security/keys_priv.h"

#define SHARDS 256

static struct table *_Atomic shards[SHARDS];
static struct key *all; /* newest first */
static size_t key_count;
static int64_t last_number;

/* --- look-up ------------------------------------------------------------------- */

static size_t shard_of(const char *id)
{
	return table_hash(id, strlen(id)) % SHARDS;
}

struct key *key_find(const char *id)
{
	const struct table *t = atomic_load_explicit(&shards[shard_of(id)],
						     memory_order_acquire);

	return t != NULL ? table_get_text(t, id) : NULL;
}

struct key *keys_first(void)
{
	return all;
}

size_t keys_count(void)
{
	return key_count;
}

bool key_matches(const struct key *key, const uint8_t hash[SECRET_HASH_LENGTH],
		 int64_t now_ms)
{
	static struct key_secrets nobody;
	struct key_secrets *s = &nobody;
	bool newest, before;

	if (key != NULL)
		s = atomic_load_explicit(&key->secrets, memory_order_acquire);
	newest = CRYPTO_memcmp(hash, s->hash, SECRET_HASH_LENGTH) == 0;
	before = CRYPTO_memcmp(hash, s->old_hash, SECRET_HASH_LENGTH) == 0;
	if (key == NULL || (!newest && (!before || now_ms >= s->old_ends_ms)))
		return false;
	if (before)
		atomic_store_explicit(&s->old_used_ms, now_ms,
				      memory_order_relaxed);
	return true;
}

bool key_in_force(const struct key *key, int64_t now_ms)
{
	return !atomic_load_explicit(&key->revoked, memory_order_relaxed) &&
	       (key->expires_ms == 0 || now_ms < key->expires_ms);
}

static void table_release(void *object)
{
	table_fini(object);
	mem_free(object);
}

/* A copy of `old` (may be NULL) with the key in it; NULL without memory. */
static struct table *table_with(const struct table *old, struct key *key)
{
	struct table *next = mem_zalloc(sizeof(*next));
	struct key *k;

	if (next == NULL)
		return NULL;
	for (size_t at = 0; old != NULL && (k = table_next(old, &at)) != NULL;)
		if (table_set(next, k->id, strlen(k->id), k, NULL) != ATOM_OK)
			goto fail;
	if (table_set(next, key->id, strlen(key->id), key, NULL) == ATOM_OK)
		return next;
fail:
	table_release(next);
	return NULL;
}

int64_t keys_next_number(void)
{
	return last_number < KEY_NUMBER_MAX ? ++last_number : KEY_NUMBER_MAX;
}

static void list(struct key *key)
{
	key->next = all;
	all = key;
	key_count++;
	if (key->number > last_number)
		last_number = key->number;
}

atom_status key_publish(struct key *key)
{
	size_t at_shard = shard_of(key->id);
	struct table *old = atomic_load(&shards[at_shard]);
	struct table *next = table_with(old, key);

	if (next == NULL)
		return ATOM_ENOMEM;
	atomic_store_explicit(&shards[at_shard], next, memory_order_release);
	if (old != NULL)
		qsbr_retire(table_release, old);
	list(key);
	return ATOM_OK;
}

atom_status key_publish_early(struct key *key)
{
	size_t at_shard = shard_of(key->id);
	struct table *t = atomic_load(&shards[at_shard]);
	atom_status status;

	if (t == NULL) {
		t = mem_zalloc(sizeof(*t));
		if (t == NULL)
			return ATOM_ENOMEM;
		atomic_store(&shards[at_shard], t);
	}
	status = table_set(t, key->id, strlen(key->id), key, NULL);
	if (status == ATOM_OK)
		list(key);
	return status;
}

static int newer_first(const void *a, const void *b)
{
	const struct key *x = *(const struct key *const *)a;
	const struct key *y = *(const struct key *const *)b;

	if (x->number != y->number)
		return x->number > y->number ? -1 : 1;
	if (x->created_ms != y->created_ms)
		return x->created_ms > y->created_ms ? -1 : 1;
	return strcmp(x->id, y->id);
}

atom_status keys_sort(void)
{
	struct key **order, **link = &all;
	size_t n = 0;

	if (key_count == 0)
		return ATOM_OK;
	order = mem_array(key_count, sizeof(struct key *));
	if (order == NULL)
		return ATOM_ENOMEM;
	for (struct key *k = all; k != NULL; k = k->next)
		order[n++] = k;
	qsort(order, n, sizeof(struct key *), newer_first);
	for (size_t i = 0; i < n; i++) {
		*link = order[i];
		link = &order[i]->next;
	}
	*link = NULL;
	mem_free(order);
	return ATOM_OK;
}

void keys_free(void)
{
	for (size_t i = 0; i < SHARDS; i++) {
		struct table *t = atomic_exchange(&shards[i], NULL);

		if (t != NULL)
			table_release(t);
	}
	while (all != NULL) {
		struct key *next = all->next;

		key_free(all);
		all = next;
	}
	key_count = 0;
	last_number = 0;
}
