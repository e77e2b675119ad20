/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transaction while it is built: an array of the store's own writes, each
 * with one allocation that holds "bucket\0key value".
 */
#include "state/state_priv.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/memory.h"

struct state_transaction *state_transaction_new(void)
{
	struct state_transaction *t = mem_zalloc(sizeof(*t));

	if (!t)
		return NULL;
	t->store.struct_size = sizeof(t->store);
	t->store.write_stride = sizeof(struct atom_store_write);
	t->bytes = sizeof(*t);
	return t;
}

void state_transaction_free(struct state_transaction **transaction)
{
	struct state_transaction *t = TAKE(*transaction);

	if (!t)
		return;
	for (size_t i = 0; i < t->store.write_count; i++)
		mem_free((void *)transaction_write(t, i)->bucket);
	mem_free(t->store.writes);
	mem_free(t);
}

size_t state_transaction_count(const struct state_transaction *transaction)
{
	return transaction->store.write_count;
}

size_t state_transaction_bytes(const struct state_transaction *transaction)
{
	return transaction->bytes;
}

struct atom_store_write *transaction_write(
	const struct state_transaction *transaction, size_t index)
{
	return (struct atom_store_write *)transaction->store.writes + index;
}

const char *transaction_key(const struct atom_store_write *write,
			    size_t *length_r)
{
	*length_r = strlen(write->bucket) + 1 + write->key.length;
	return write->bucket;
}

atom_status transaction_check_key(const char *bucket, struct atom_span key,
				  struct atom_error *err)
{
	size_t length = strnlen(bucket, ATOM_STORE_BUCKET_MAX + 1);

	if (length < 1 || length > ATOM_STORE_BUCKET_MAX ||
	    strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789_.-") < length)
		return atom_fail(err, ATOM_EINVAL,
				 "\"%.*s\" is no name of a bucket: expected 1 "
				 "to %d of a-z 0-9 _ . -",
				 ATOM_STORE_BUCKET_MAX, bucket,
				 ATOM_STORE_BUCKET_MAX);
	if (key.length == 0 || key.length > ATOM_STORE_KEY_MAX)
		return atom_fail(err, ATOM_EINVAL,
				 "a key of %zu bytes for bucket %s: expected "
				 "1 to %d",
				 key.length, bucket, ATOM_STORE_KEY_MAX);
	return ATOM_OK;
}

static atom_status make_room(struct state_transaction *t,
			     struct atom_error *err)
{
	size_t capacity = t->capacity ? t->capacity * 4 : 1;
	void *writes;

	if (t->store.write_count == STATE_WRITES_MAX)
		return atom_fail(err, ATOM_ELIMIT,
				 "a transaction holds at most %d writes",
				 STATE_WRITES_MAX);
	if (t->store.write_count < t->capacity)
		return ATOM_OK;
	writes = mem_realloc(t->store.writes,
			     capacity * sizeof(struct atom_store_write));
	if (!writes)
		return atom_fail(err, ATOM_ENOMEM,
				 "no memory for a transaction");
	t->store.writes = writes;
	t->bytes += (capacity - t->capacity) * sizeof(struct atom_store_write);
	t->capacity = capacity;
	return ATOM_OK;
}

static atom_status add(struct state_transaction *t, bool remove,
		       const char *bucket, struct atom_span key,
		       struct atom_span value, uint64_t expected_version,
		       struct atom_error *err)
{
	atom_status status = transaction_check_key(bucket, key, err);
	size_t bucket_size = status == ATOM_OK ? strlen(bucket) + 1 : 0;
	struct atom_store_write *write;
	char *bytes;

	if (status != ATOM_OK)
		return status;
	if (value.length > STATE_VALUE_MAX)
		return atom_fail(err, ATOM_ELIMIT,
				 "a value of %zu bytes for bucket %s: at most "
				 "%d are possible",
				 value.length, bucket, STATE_VALUE_MAX);
	status = make_room(t, err);
	if (status != ATOM_OK)
		return status;
	bytes = mem_alloc(bucket_size + key.length + value.length);
	if (!bytes)
		return atom_fail(err, ATOM_ENOMEM,
				 "no memory for a value of %zu bytes",
				 value.length);
	memcpy(bytes, bucket, bucket_size);
	memcpy(bytes + bucket_size, key.bytes, key.length);
	if (value.length > 0)
		memcpy(bytes + bucket_size + key.length, value.bytes,
		       value.length);
	write = transaction_write(t, t->store.write_count++);
	*write = (struct atom_store_write){
		.struct_size = sizeof(*write),
		.remove = remove,
		.bucket = bytes,
		.key = { bytes + bucket_size, key.length },
		.value = { bytes + bucket_size + key.length, value.length },
		.expected_version = expected_version,
	};
	t->bytes += bucket_size + key.length + value.length;
	return ATOM_OK;
}

atom_status state_transaction_put(struct state_transaction *transaction,
				  const char *bucket, struct atom_span key,
				  struct atom_span value,
				  uint64_t expected_version,
				  struct atom_error *err)
{
	return add(transaction, false, bucket, key, value, expected_version,
		   err);
}

atom_status state_transaction_remove(struct state_transaction *transaction,
				     const char *bucket, struct atom_span key,
				     uint64_t expected_version,
				     struct atom_error *err)
{
	return add(transaction, true, bucket, key, (struct atom_span){ "", 0 },
		   expected_version, err);
}

uint64_t state_transaction_version(const struct state_transaction *transaction,
				   size_t index)
{
	return index < transaction->store.write_count
		       ? transaction_write(transaction, index)->version_r
		       : 0;
}

size_t state_transaction_conflict(const struct state_transaction *transaction)
{
	return transaction->store.conflict_r;
}
