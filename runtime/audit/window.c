/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The last batches and heads, in order: what the sinks beside the required one
 * take their records from, each at its own pace.  A sink that falls behind the
 * window's beginning costs nothing more: it reads the rest from the required
 * one.  So no sink can make the log's memory grow.  Where there is none beside
 * the required one nothing is kept.
 */

#include <string.h>

#include "audit/audit_priv.h"
#include "core/memory.h"

#define ITEMS_MAX	1024
#define BYTES_MAX	((size_t)8 * 1024 * 1024)
#define SPARE_BYTES_MAX ((size_t)4 * 1024 * 1024)

struct item {
	struct audit_batch *batch; /* or: */
	struct audit_head *head;
};

/* A ring. [audit.lock] */
static struct item items[ITEMS_MAX];
static size_t first, count, bytes;

/* The memory of the last batch that ended: a fresh one of this size costs a
 * page fault for every ten records. */
static _Atomic(struct audit_batch *) spare;

static void destroy(struct audit_batch *batch)
{
	if (batch == NULL)
		return;
	mem_free(batch->records);
	mem_free(batch->starts);
	buffer_fini(&batch->json);
	mem_free(batch);
}

struct audit_batch *batch_new(size_t room)
{
	struct audit_batch *batch = atomic_exchange(&spare, NULL);

	if (batch != NULL && batch->room >= room) {
		batch->references = 1;
		batch->count = 0;
		buffer_clear(&batch->json);
		return batch;
	}
	destroy(batch);
	batch = mem_zalloc(sizeof(*batch));
	if (batch == NULL)
		return NULL;
	batch->references = 1;
	batch->room = room;
	batch->records = mem_array(room, sizeof(*batch->records));
	batch->starts = mem_array(room, sizeof(*batch->starts));
	buffer_init(&batch->json, (size_t)64 * 1024 * 1024);
	if (batch->records == NULL || batch->starts == NULL) {
		/* Not to be spared for the next one. */
		destroy(batch);
		return NULL;
	}
	return batch;
}

struct audit_batch *batch_ref(struct audit_batch *batch)
{
	atomic_fetch_add(&batch->references, 1);
	return batch;
}

void batch_unref(struct audit_batch **batch)
{
	struct audit_batch *b = TAKE(*batch);

	if (b == NULL || atomic_fetch_sub(&b->references, 1) > 1)
		return;
	if (b->room <= BATCH_SPARE_RECORDS &&
	    b->json.capacity <= SPARE_BYTES_MAX)
		b = atomic_exchange(&spare, b);
	destroy(b);
}

void batch_seal(struct audit_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++)
		batch->records[i].json.bytes =
			batch->json.bytes + batch->starts[i];
}

uint64_t batch_first(const struct audit_batch *batch)
{
	return batch->records[0].sequence;
}

uint64_t batch_last(const struct audit_batch *batch)
{
	return batch->records[batch->count - 1].sequence;
}

struct audit_head *head_ref(struct audit_head *head)
{
	atomic_fetch_add(&head->references, 1);
	return head;
}

void head_unref(struct audit_head **head)
{
	struct audit_head *h = TAKE(*head);

	if (h != NULL && atomic_fetch_sub(&h->references, 1) == 1)
		mem_free(h);
}

static size_t size_of(const struct item *item)
{
	return item->batch != NULL ? item->batch->json.length : 0;
}

static void drop_first(void)
{
	struct item *item = &items[first];

	bytes -= size_of(item);
	batch_unref(&item->batch);
	head_unref(&item->head);
	first = (first + 1) % ITEMS_MAX;
	count--;
}

static void add(struct item item)
{
	(void)pthread_mutex_lock(&audit.lock);
	if (atomic_load(&audit.followers) == 0) {
		while (count > 0)
			drop_first();
		(void)pthread_mutex_unlock(&audit.lock);
		batch_unref(&item.batch);
		head_unref(&item.head);
		return;
	}
	/* The newest stays, however large. */
	while (count > 0 &&
	       (count == ITEMS_MAX || bytes + size_of(&item) > BYTES_MAX))
		drop_first();
	items[(first + count++) % ITEMS_MAX] = item;
	bytes += size_of(&item);
	(void)pthread_cond_broadcast(&audit.changed);
	(void)pthread_mutex_unlock(&audit.lock);
}

void window_add_batch(struct audit_batch *batch)
{
	add((struct item){ .batch = batch_ref(batch) });
}

void window_add_head(struct audit_head *head)
{
	add((struct item){ .head = head_ref(head) });
}

void window_fini(void)
{
	(void)pthread_mutex_lock(&audit.lock);
	while (count > 0)
		drop_first();
	(void)pthread_mutex_unlock(&audit.lock);
	destroy(atomic_exchange(&spare, NULL));
}

enum window_next window_next(uint64_t cursor, uint64_t head,
			     struct audit_batch **batch_r,
			     struct audit_head **head_r, uint64_t *before_r)
{
	for (size_t i = 0; i < count; i++) {
		struct item *item = &items[(first + i) % ITEMS_MAX];

		if (item->head != NULL) {
			uint64_t at = item->head->checkpoint.sequence;

			if (at != cursor || at <= head)
				continue;
			*head_r = head_ref(item->head);
			return WINDOW_HEAD;
		}
		if (batch_last(item->batch) <= cursor)
			continue;
		*before_r = batch_first(item->batch) - 1;
		if (*before_r > cursor)
			return WINDOW_BEHIND;
		*batch_r = batch_ref(item->batch);
		return WINDOW_BATCH;
	}
	/* Nothing is left of what it lacks: so it is in no batch to come. */
	*before_r = atomic_load(&audit.sequence);
	return *before_r > cursor ? WINDOW_BEHIND : WINDOW_NOTHING;
}
