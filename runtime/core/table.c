/* SPDX-License-Identifier: Apache-2.0 */
#include "core/table.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "core/memory.h"
#include "core/os.h"

#define FIRST_CAPACITY 16

/* The key of a slot that was removed; a search goes on behind it. */
static const char tombstone[1];

/* --- SipHash-1-3 --------------------------------------------------------- */

static uint64_t process_key[2];
static pthread_once_t process_key_once = PTHREAD_ONCE_INIT;

static void make_process_key(void)
{
	if (os.random(process_key, sizeof(process_key)) == 0)
		return;
	/* Without the kernel's randomness: what differs between processes. */
	process_key[0] = (uint64_t)os.monotonic_ns();
	process_key[1] = (uint64_t)(uintptr_t)&process_key_once ^
			 (uint64_t)os.realtime_ms();
}

static inline uint64_t rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

uint64_t table_hash_keyed(const uint64_t key[2], const void *bytes,
			  size_t length)
{
	const unsigned char *at = bytes;
	uint64_t last = (uint64_t)length << 56;
	uint64_t v[4] = {
		key[0] ^ 0x736f6d6570736575ull,
		key[1] ^ 0x646f72616e646f6dull,
		key[0] ^ 0x6c7967656e657261ull,
		key[1] ^ 0x7465646279746573ull,
	};

	/* In the machine's byte order: the hash never leaves the machine. */
	for (size_t words = length / 8; words; words--, at += 8) {
		uint64_t word;

		memcpy(&word, at, 8);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	for (size_t i = 0; i < length % 8; i++)
		last |= (uint64_t)at[i] << (8 * i);
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t table_hash(const void *bytes, size_t length)
{
	pthread_once(&process_key_once, make_process_key);
	return table_hash_keyed(process_key, bytes, length);
}

/* --- the table ----------------------------------------------------------- */

void table_fini(struct table *t)
{
	mem_free(t->slots);
	*t = (struct table)TABLE_INIT;
}

static struct table_slot *find(const struct table *t, const char *key,
			       size_t length, uint64_t hash)
{
	const size_t mask = t->capacity - 1;

	if (t->count == 0)
		return NULL;
	/* There is always a free slot, or this would not end. */
	for (size_t at = hash & mask; t->slots[at].key; at = (at + 1) & mask) {
		struct table_slot *slot = &t->slots[at];

		if (slot->hash == hash && slot->key_length == length &&
		    slot->value && memcmp(slot->key, key, length) == 0)
			return slot;
	}
	return NULL;
}

void *table_get(const struct table *t, const char *key, size_t length)
{
	if (t->count == 0)
		return NULL;

	const struct table_slot *slot =
		find(t, key, length, table_hash(key, length));

	return slot ? slot->value : NULL;
}

void *table_get_text(const struct table *t, const char *key)
{
	return table_get(t, key, strlen(key));
}

static void put(struct table *t, const struct table_slot *entry)
{
	const size_t mask = t->capacity - 1;
	size_t at = entry->hash & mask;

	while (t->slots[at].key)
		at = (at + 1) & mask;
	t->slots[at] = *entry;
	t->count++;
	t->used++;
}

/* Room for one more at three quarters full; drops the tombstones. */
static atom_status make_room(struct table *t)
{
	if (t->capacity && t->used + 1 <= t->capacity / 4 * 3)
		return ATOM_OK;

	struct table bigger = {
		.capacity = t->capacity ? t->capacity : FIRST_CAPACITY,
	};

	/* Mostly tombstones: the same size will do. */
	if (t->count + 1 > bigger.capacity / 2)
		bigger.capacity *= t->capacity ? 2 : 1;
	bigger.slots = mem_array(bigger.capacity, sizeof(*bigger.slots));
	if (!bigger.slots)
		return ATOM_ENOMEM;
	for (size_t i = 0; i < t->capacity; i++)
		if (t->slots[i].value)
			put(&bigger, &t->slots[i]);
	mem_free(t->slots);
	*t = bigger;
	return ATOM_OK;
}

atom_status table_set(struct table *t, const char *key, size_t length,
		      void *value, void **old_r)
{
	const struct table_slot entry = {
		.hash = table_hash(key, length),
		.key = key,
		.key_length = length,
		.value = value,
	};
	struct table_slot *slot = find(t, key, length, entry.hash);
	void *old = slot ? slot->value : NULL;

	assert(key && value);
	if (slot) {
		/* The key too: the old one goes away with the old value. */
		*slot = entry;
	} else {
		atom_status status = make_room(t);

		if (status)
			return status;
		put(t, &entry);
	}
	if (old_r)
		*old_r = old;
	return ATOM_OK;
}

void *table_remove(struct table *t, const char *key, size_t length)
{
	if (t->count == 0)
		return NULL;

	struct table_slot *slot = find(t, key, length, table_hash(key, length));

	if (!slot)
		return NULL;

	void *value = slot->value;
	size_t next = ((size_t)(slot - t->slots) + 1) & (t->capacity - 1);

	/* At the end of a run nobody searches on: no tombstone needed. */
	if (t->slots[next].key) {
		*slot = (struct table_slot){ .key = tombstone };
	} else {
		*slot = (struct table_slot){ .key = NULL };
		t->used--;
	}
	t->count--;
	return value;
}

void *table_next(const struct table *t, size_t *at)
{
	while (*at < t->capacity) {
		void *value = t->slots[(*at)++].value;

		if (value)
			return value;
	}
	return NULL;
}
