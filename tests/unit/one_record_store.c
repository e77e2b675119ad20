/* SPDX-License-Identifier: Apache-2.0 */
#include "one_record_store.h"

#include "tap.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

char one_record_key[128];
static char stored_value[128];
static uint64_t stored_version;

static atom_status store_commit(void *self,
				struct atom_store_transaction **transactions,
				size_t count, struct atom_error *err)
{
	(void)self;
	(void)err;
	for (size_t i = 0; i < count; i++) {
		struct atom_store_write *write = transactions[i]->writes;
		bool there = write->key.length == strlen(one_record_key) &&
			     memcmp(one_record_key, write->key.bytes,
				    write->key.length) == 0;
		uint64_t version = there ? stored_version : 0;

		CHECK(strcmp(write->bucket, "plugin") == 0);
		transactions[i]->status_r = ATOM_OK;
		if (write->expected_version != ATOM_STORE_ANY_VERSION &&
		    write->expected_version != version) {
			transactions[i]->status_r = ATOM_ECONFLICT;
			continue;
		}
		(void)snprintf(one_record_key, sizeof(one_record_key), "%.*s",
			       write->remove ? 0 : (int)write->key.length,
			       write->key.bytes);
		(void)snprintf(stored_value, sizeof(stored_value), "%.*s",
			       (int)write->value.length, write->value.bytes);
		write->version_r = write->remove ? 0 : ++stored_version;
	}
	return ATOM_OK;
}

static atom_status store_get(void *self, const char *bucket,
			     const struct atom_span *key,
			     atom_store_visit visit, void *argument,
			     struct atom_error *err)
{
	struct atom_store_record record = {
		.struct_size = sizeof(record),
		.key = *key,
		.value = { stored_value, strlen(stored_value) },
		.version = stored_version,
	};

	(void)self;
	(void)bucket;
	(void)err;
	if (key->length != strlen(one_record_key) ||
	    memcmp(one_record_key, key->bytes, key->length) != 0)
		return ATOM_ENOENT;
	(void)visit(argument, &record);
	return ATOM_OK;
}

static atom_status store_scan(void *self, const char *bucket,
			      const struct atom_span *prefix,
			      const struct atom_span *after, size_t limit,
			      atom_store_visit visit, void *argument,
			      struct atom_error *err)
{
	(void)self;
	(void)bucket;
	(void)prefix;
	(void)after;
	(void)limit;
	(void)visit;
	(void)argument;
	(void)err;
	return ATOM_OK;
}

static atom_status store_append(void *self, const char *log,
				const struct atom_span *entries, size_t count,
				int64_t time_ms, uint64_t *sequence_r,
				struct atom_error *err)
{
	(void)self;
	(void)log;
	(void)entries;
	(void)time_ms;
	*sequence_r = count;
	(void)err;
	return ATOM_OK;
}

static atom_status store_read_log(void *self, const char *log,
				  uint64_t from_sequence, size_t limit,
				  atom_store_log_visit visit, void *argument,
				  struct atom_error *err)
{
	(void)self;
	(void)log;
	(void)from_sequence;
	(void)limit;
	(void)visit;
	(void)argument;
	(void)err;
	return ATOM_OK;
}

static atom_status store_trim_log(void *self, const char *log,
				  uint64_t sequence, struct atom_error *err)
{
	(void)self;
	(void)log;
	(void)sequence;
	(void)err;
	return ATOM_OK;
}

static atom_status store_check(void *self, struct atom_error *err)
{
	(void)self;
	(void)err;
	return ATOM_OK;
}

static atom_status store_backup(void *self, const char *path,
				struct atom_error *err)
{
	(void)self;
	(void)path;
	(void)err;
	return ATOM_OK;
}

static atom_status store_buckets(void *self,
				 int32_t (*visit)(void *argument,
						  const char *bucket),
				 void *argument, struct atom_error *err)
{
	(void)self;
	(void)err;
	if (one_record_key[0] != '\0')
		(void)visit(argument, "plugin");
	return ATOM_OK;
}

const struct atom_store_ops one_record_store = {
	.struct_size = sizeof(one_record_store),
	.buckets = store_buckets,
	.commit = store_commit,
	.get = store_get,
	.scan = store_scan,
	.append = store_append,
	.read_log = store_read_log,
	.trim_log = store_trim_log,
	.check = store_check,
	.backup = store_backup,
};
