/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/directory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "agent/directory_priv.h"
#include "agent/pool.h"
#include "core/memory.h"
#include "core/qsbr.h"
#include "core/table.h"

struct snapshot {
	struct table by_name;
	struct revision **sorted; /* each with a reference */
	size_t count;
};

static struct snapshot *_Atomic current;

static void snapshot_free(void *object)
{
	struct snapshot *s = object;

	if (s == NULL)
		return;
	for (size_t i = 0; i < s->count; i++)
		revision_unref(s->sorted[i]);
	table_fini(&s->by_name);
	mem_free(s->sorted);
	mem_free(s);
}

static int by_name(const void *a, const void *b)
{
	const struct revision *const *x = a;
	const struct revision *const *y = b;

	return strcmp((*x)->agent->name, (*y)->agent->name);
}

atom_status directory_publish(struct revision *const *revisions, size_t count)
{
	struct snapshot *next = mem_zalloc(sizeof(*next));
	struct snapshot *old;
	atom_status status = ATOM_ENOMEM;

	if (next == NULL)
		return ATOM_ENOMEM;
	next->sorted = mem_array(count + 1, sizeof(struct revision *));
	if (next->sorted == NULL)
		goto fail;
	for (size_t i = 0; i < count; i++) {
		const char *name = revisions[i]->agent->name;

		status = table_set(&next->by_name, name, strlen(name),
				   revisions[i], NULL);
		if (status != ATOM_OK)
			goto fail;
	}
	for (size_t i = 0; i < count; i++) {
		revision_ref(revisions[i]);
		next->sorted[i] = revisions[i];
	}
	next->count = count;
	qsort(next->sorted, count, sizeof(next->sorted[0]), by_name);
	old = atomic_exchange_explicit(&current, next, memory_order_acq_rel);
	if (old != NULL)
		qsbr_retire(snapshot_free, old);
	return ATOM_OK;
fail:
	snapshot_free(next);
	return status;
}

struct revision *directory_route(const char *name, size_t length)
{
	struct snapshot *s =
		atomic_load_explicit(&current, memory_order_acquire);
	struct revision *revision;

	if (s == NULL)
		return NULL;
	revision = table_get(&s->by_name, name, length);
	if (revision != NULL)
		revision_ref(revision);
	return revision;
}

void directory_visit(void (*visit)(void *argument, struct revision *revision),
		     void *argument)
{
	struct snapshot *s =
		atomic_load_explicit(&current, memory_order_acquire);

	for (size_t i = 0; s != NULL && i < s->count; i++)
		visit(argument, s->sorted[i]);
}
