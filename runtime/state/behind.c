/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing behind.  Each key has at most one entry, which knows its latest
 * value; the value is a transaction of one write.  While it waits it can be
 * replaced.  Once it is in the queue a newer value waits beside it, and the
 * entry stays until the newest is stored, so that readers always find it.
 *
 *	(none) ── write ──► waiting ── due ──► in the queue ── stored ──► (none)
 *	                      ▲ │ ▲                 │
 *	               replace└─┘ └── newer, failed ┘
 */
#include "state/state_priv.h"

#include <assert.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"

static void list_append(struct behind *entry)
{
	assert(!entry->waiting);
	entry->waiting = true;
	entry->next = NULL;
	entry->previous = state.waiting_last;
	if (state.waiting_last)
		state.waiting_last->next = entry;
	else
		state.waiting_first = entry;
	state.waiting_last = entry;
}

static void list_remove(struct behind *entry)
{
	assert(entry->waiting);
	entry->waiting = false;
	if (entry->previous)
		entry->previous->next = entry->next;
	else
		state.waiting_first = entry->next;
	if (entry->next)
		entry->next->previous = entry->previous;
	else
		state.waiting_last = entry->previous;
}

static size_t cost_of(const struct behind *entry,
		      const struct state_transaction *t)
{
	return t->bytes + sizeof(*entry) + entry->key_length;
}

static void entry_free(struct behind *entry)
{
	(void)table_remove(&state.behind, entry->key, entry->key_length);
	mem_free(entry);
}

/* A value that is no longer wanted or is stored. [lock held] */
static void forget(struct behind *entry, struct state_transaction **t)
{
	state.behind_bytes -= cost_of(entry, *t);
	state_transaction_free(t);
}

static void ended(struct state_transaction *t, atom_status status,
		  const struct atom_error *error)
{
	struct behind *entry = t->owner;
	bool newest;

	/* The store works but will never take this one. */
	if (status != ATOM_OK && !t->store_failed)
		log_line(ATOM_LOG_ERROR, "state_lost", error->message,
			 LOG_TEXT("bucket", transaction_write(t, 0)->bucket),
			 LOG_NUMBER("bytes",
				    transaction_write(t, 0)->value.length));
	(void)pthread_mutex_lock(&state.lock);
	newest = entry->latest == t;
	if (newest && t->store_failed) {
		list_append(entry);
	} else {
		forget(entry, &t);
		if (newest)
			entry_free(entry);
	}
	metrics_behind(state.behind_bytes);
	(void)pthread_mutex_unlock(&state.lock);
}

static void enqueue(struct behind *entry)
{
	list_remove(entry);
	writer_enqueue(entry->latest);
}

int64_t behind_due_ns(void)
{
	if (!state.waiting_first)
		return INT64_MAX;
	if (state.behind_bytes > STATE_BEHIND_BYTES_MAX / 2)
		return 0;
	return state.waiting_first->since_ns +
	       (int64_t)STATE_BEHIND_MS * 1000000;
}

void behind_enqueue(size_t most)
{
	while (state.waiting_first && most-- > 0)
		enqueue(state.waiting_first);
}

void behind_yield(const struct state_transaction *transaction)
{
	for (size_t i = 0; i < transaction->store.write_count; i++) {
		struct behind *entry;
		const char *key;
		size_t length;

		if (!state.waiting_first)
			return;
		key = transaction_key(transaction_write(transaction, i),
				      &length);
		entry = table_get(&state.behind, key, length);
		if (entry && entry->waiting)
			enqueue(entry);
	}
}

const struct atom_store_write *behind_find(const char *bucket,
					   struct atom_span key)
{
	char name[ATOM_STORE_BUCKET_MAX + 1 + ATOM_STORE_KEY_MAX];
	size_t bucket_size = strlen(bucket) + 1;
	struct behind *entry;

	memcpy(name, bucket, bucket_size);
	memcpy(name + bucket_size, key.bytes, key.length);
	entry = table_get(&state.behind, name, bucket_size + key.length);
	return entry ? transaction_write(entry->latest, 0) : NULL;
}

size_t behind_drop(void)
{
	struct behind *entry;
	size_t count = 0;

	while ((entry = state.waiting_first)) {
		list_remove(entry);
		forget(entry, &entry->latest);
		entry_free(entry);
		count++;
	}
	table_fini(&state.behind);
	return count;
}

/* The entry of the key, made where there is none; NULL without memory. [lock
 * held] */
static struct behind *find_or_add(const struct state_transaction *t)
{
	struct behind *entry;
	const char *key;
	size_t length;

	key = transaction_key(transaction_write(t, 0), &length);
	entry = table_get(&state.behind, key, length);
	if (entry)
		return entry;
	entry = mem_zalloc(sizeof(*entry) + length);
	if (!entry)
		return NULL;
	entry->key_length = length;
	memcpy(entry->key, key, length);
	if (table_set(&state.behind, entry->key, length, entry, NULL) !=
	    ATOM_OK)
		mem_free(TAKE(entry));
	return entry;
}

/* Takes the transaction when it is ATOM_OK. [lock held] */
static atom_status keep(struct state_transaction **transaction,
			struct atom_error *err)
{
	struct state_transaction *t = *transaction;
	struct behind *entry;
	atom_status status = state_usable(err);

	if (status == ATOM_OK &&
	    state.behind_bytes + t->bytes > STATE_BEHIND_BYTES_MAX)
		status = atom_fail(err, ATOM_EBUSY,
				   "%zu bytes wait to be stored already, at "
				   "most %d may",
				   state.behind_bytes, STATE_BEHIND_BYTES_MAX);
	if (status != ATOM_OK)
		return status;
	entry = find_or_add(t);
	if (!entry)
		return atom_fail(err, ATOM_ENOMEM, "no memory to write behind");
	if (entry->waiting) {
		forget(entry, &entry->latest);
	} else {
		entry->since_ns = os.monotonic_ns();
		list_append(entry);
	}
	t->end = ended;
	t->owner = entry;
	entry->latest = TAKE(*transaction);
	state.behind_bytes += cost_of(entry, t);
	metrics_behind(state.behind_bytes);
	/* The writer sleeps until the first one is due. */
	if (state.waiting_first == entry || behind_due_ns() == 0)
		writer_wake();
	return ATOM_OK;
}

atom_status state_write_behind(const char *bucket, struct atom_span key,
			       struct atom_span value, struct atom_error *err)
{
	struct state_transaction *t = state_transaction_new();
	atom_status status;

	if (!t)
		return atom_fail(err, ATOM_ENOMEM, "no memory to write behind");
	if (value.bytes)
		status = state_transaction_put(t, bucket, key, value, STATE_ANY,
					       err);
	else
		status = state_transaction_remove(t, bucket, key, STATE_ANY,
						  err);
	if (status == ATOM_OK) {
		(void)pthread_mutex_lock(&state.lock);
		status = keep(&t, err);
		(void)pthread_mutex_unlock(&state.lock);
	}
	if (status == ATOM_EBUSY)
		metrics_behind_refused();
	state_transaction_free(&t);
	return status;
}

atom_status state_write_behind_all(const struct state_transaction *transaction,
				   struct atom_error *err)
{
	atom_status status = ATOM_OK;

	for (size_t i = transaction->store.write_count;
	     status == ATOM_OK && i-- > 0;) {
		const struct atom_store_write *write =
			transaction_write(transaction, i);
		const struct atom_span nothing = { NULL, 0 };

		status = state_write_behind(
			write->bucket, write->key,
			write->remove ? nothing : write->value, err);
	}
	return status;
}
