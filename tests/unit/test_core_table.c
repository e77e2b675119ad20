/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash table: against a plain array as the model, with removals, and with
 * keys that collide in its first slots.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "core/table.h"
#include "failing_memory.h"

#define ENTRIES 500

struct entry {
	char key[16];
	bool in;
};

static struct entry entries[ENTRIES];

static unsigned int next(unsigned int *state)
{
	*state = *state * 1103515245u + 12345u;
	return *state >> 16;
}

static void check_all(const struct table *t)
{
	size_t count = 0, visited = 0, at = 0;
	void *value;

	for (int i = 0; i < ENTRIES; i++) {
		cr_assert_eq(table_get_text(t, entries[i].key),
			     entries[i].in ? &entries[i] : NULL, "%s",
			     entries[i].key);
		count += entries[i].in;
	}
	while ((value = table_next(t, &at)) != NULL) {
		cr_assert(((struct entry *)value)->in);
		visited++;
	}
	cr_assert_eq(t->count, count);
	cr_assert_eq(visited, count);
}

Test(core_table, it_agrees_with_a_plain_array)
{
	struct table t = TABLE_INIT;
	unsigned int state = 7;

	cr_assert_null(table_get_text(&t, "nothing"));
	cr_assert_null(table_remove(&t, "nothing", 7));
	for (int i = 0; i < ENTRIES; i++)
		(void)snprintf(entries[i].key, sizeof(entries[i].key), "key-%d",
			       i);
	for (int step = 0; step < 20000; step++) {
		struct entry *e = &entries[next(&state) % ENTRIES];
		size_t length = strlen(e->key);

		if (next(&state) % 2) {
			void *old = &t;

			cr_assert_eq(table_set(&t, e->key, length, e, &old),
				     ATOM_OK);
			cr_assert_eq(old, e->in ? e : NULL);
			e->in = true;
		} else {
			cr_assert_eq(table_remove(&t, e->key, length),
				     e->in ? e : NULL);
			e->in = false;
		}
		if (step % 1000 == 0)
			check_all(&t);
	}
	check_all(&t);
	/* Tombstones do not make it grow for ever. */
	cr_assert_leq(t.capacity, 2048);
	table_fini(&t);
	cr_assert_null(table_get_text(&t, "key-1"));
}

/* Keys whose searches begin in the same slot of a table of 16. */
static void make_colliding(char (*keys)[24], int count)
{
	unsigned int candidate = 0;

	for (int i = 0; i < count; candidate++) {
		(void)snprintf(keys[i], 24, "c%u", candidate);
		if ((table_hash(keys[i], strlen(keys[i])) & 15) == 14)
			i++;
	}
}

Test(core_table, colliding_keys_are_found_after_removals)
{
	static char keys[8][24];
	struct table t = TABLE_INIT;

	make_colliding(keys, 8);
	/* Every subset of eight is removed from a run that wraps round. */
	for (unsigned int removed = 0; removed < 256; removed++) {
		for (int i = 0; i < 8; i++)
			cr_assert_eq(table_set(&t, keys[i], strlen(keys[i]),
					       keys[i], NULL),
				     ATOM_OK);
		cr_assert_eq(t.capacity, 16);
		for (int i = 0; i < 8; i++)
			if (removed >> i & 1)
				cr_assert_eq(table_remove(&t, keys[i],
							  strlen(keys[i])),
					     keys[i]);
		for (int i = 0; i < 8; i++)
			cr_assert_eq(table_get_text(&t, keys[i]),
				     removed >> i & 1 ? NULL : keys[i]);
	}
	table_fini(&t);
}

Test(core_table, a_replaced_value_brings_its_own_key)
{
	char first[] = "same", second[] = "same";
	struct table t = TABLE_INIT;
	void *old;

	cr_assert_eq(table_set(&t, first, 4, first, NULL), ATOM_OK);
	cr_assert_eq(table_set(&t, second, 4, second, &old), ATOM_OK);
	cr_assert_eq(old, first);
	/* As when the old value, and the key in it, has been freed. */
	memset(first, 'x', 4);
	cr_assert_eq(table_get_text(&t, "same"), second);
	cr_assert_eq(t.count, 1);
	table_fini(&t);
}

Test(core_table, keys_are_bytes)
{
	struct table t = TABLE_INIT;
	int a, b, c;

	cr_assert_eq(table_set(&t, "x\0y", 3, &a, NULL), ATOM_OK);
	cr_assert_eq(table_set(&t, "x\0z", 3, &b, NULL), ATOM_OK);
	cr_assert_eq(table_set(&t, "", 0, &c, NULL), ATOM_OK);
	cr_assert_eq(table_get(&t, "x\0y", 3), &a);
	cr_assert_eq(table_get(&t, "x\0z", 3), &b);
	cr_assert_eq(table_get(&t, "", 0), &c);
	cr_assert_null(table_get(&t, "x", 1));
	table_fini(&t);
}

Test(core_table, removing_during_a_walk_visits_each_once)
{
	struct table t = TABLE_INIT;
	size_t at = 0, visited = 0;
	struct entry *e;

	for (int i = 0; i < ENTRIES; i++) {
		(void)snprintf(entries[i].key, sizeof(entries[i].key), "w%d",
			       i);
		entries[i].in = false;
		cr_assert_eq(table_set(&t, entries[i].key,
				       strlen(entries[i].key), &entries[i],
				       NULL),
			     ATOM_OK);
	}
	while ((e = table_next(&t, &at)) != NULL) {
		cr_assert_not(e->in);
		e->in = true;
		visited++;
		cr_assert_eq(table_remove(&t, e->key, strlen(e->key)), e);
	}
	cr_assert_eq(visited, ENTRIES);
	cr_assert_eq(t.count, 0);
	table_fini(&t);
}

Test(core_table, without_memory_nothing_changes)
{
	for (unsigned int n = 1;; n++) {
		struct table t = TABLE_INIT;
		unsigned int in = 0;

		failing_memory_begin(n);
		for (int i = 0; i < ENTRIES; i++) {
			atom_status status = table_set(
				&t, entries[i].key,
				(size_t)snprintf(entries[i].key, 16, "m%d", i),
				&entries[i], NULL);

			entries[i].in = status == ATOM_OK;
			in += entries[i].in;
			cr_assert(status == ATOM_OK || status == ATOM_ENOMEM);
		}

		bool failed = failing_memory_end();

		check_all(&t);
		cr_assert_eq(in == ENTRIES, !failed);
		table_fini(&t);
		if (!failed)
			break;
	}
}
