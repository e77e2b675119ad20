/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading, on the thread that asks.
 */
#include "state/state_priv.h"

#include "core/log.h"
#include "core/memory.h"

/* One allocation: the record, its key, a NUL, room for its value, a NUL. */
static struct state_record *record_with_room(struct atom_span key,
					     size_t value_length,
					     uint64_t version)
{
	struct state_record *record =
		mem_alloc(sizeof(*record) + key.length + 1 + value_length + 1);
	char *bytes = (char *)(record + 1);

	if (!record)
		return NULL;
	memcpy(bytes, key.bytes, key.length);
	bytes[key.length] = '\0';
	record->key = (struct atom_span){ bytes, key.length };
	bytes += key.length + 1;
	record->value = (struct atom_span){ bytes, value_length };
	record->version = version;
	record->status = ATOM_OK;
	return record;
}

static struct state_record *record_new(struct atom_span key,
				       struct atom_span value, uint64_t version)
{
	struct state_record *record =
		record_with_room(key, value.length, version);
	char *bytes = record ? (char *)(uintptr_t)record->value.bytes : NULL;

	if (!record)
		return NULL;
	if (value.length > 0)
		memcpy(bytes, value.bytes, value.length);
	bytes[value.length] = '\0';
	return record;
}

/* From what is stored; one that does not open has no value and the status. */
static struct state_record *record_open(const char *bucket,
					const struct atom_store_record *stored,
					struct atom_error *err)
{
	struct state_record *record = record_with_room(
		stored->key, stored->value.length, stored->version);
	char *bytes = record ? (char *)(uintptr_t)record->value.bytes : NULL;
	size_t length = 0;

	if (!record) {
		(void)atom_fail(err, ATOM_ENOMEM, "no memory for a record");
		return NULL;
	}
	record->status = seal_open(bucket, stored->key, stored->value, bytes,
				   &length, err);
	if (record->status != ATOM_OK)
		length = 0;
	record->value.length = length;
	bytes[length] = '\0';
	return record;
}

/* --- get ----------------------------------------------------------------- */

struct get {
	const char *bucket;
	struct state_record *record;
	bool no_memory;
	struct atom_error error;
};

static int32_t keep_one(void *argument, const struct atom_store_record *record)
{
	struct get *get = argument;

	get->record = record_open(get->bucket, record, &get->error);
	get->no_memory = !get->record;
	return 1;
}

/* What is written behind is newer than what is stored. True: it is known
 * here whether there is a record. */
static atom_status get_behind(const char *bucket, struct atom_span key,
			      struct get *get, bool *known_r,
			      struct atom_error *err)
{
	const struct atom_store_write *write;
	atom_status status;

	(void)pthread_mutex_lock(&state.lock);
	status = state_usable(err);
	write = status == ATOM_OK ? behind_find(bucket, key) : NULL;
	*known_r = write != NULL;
	if (write && write->remove) {
		status = ATOM_ENOENT;
	} else if (write) {
		get->record = record_new(write->key, write->value, STATE_ANY);
		get->no_memory = !get->record;
	}
	(void)pthread_mutex_unlock(&state.lock);
	return status;
}

static void watch_for_damage(atom_status status)
{
	if (status == ATOM_EDATALOSS)
		writer_suspect();
}

atom_status read_record(const char *bucket, struct atom_span key,
			struct state_record **record_r, struct atom_error *err)
{
	struct get get = { .bucket = bucket, .error = ATOM_ERROR_INIT };
	atom_status status;
	bool known;

	status = get_behind(bucket, key, &get, &known, err);
	if (status == ATOM_OK && !known) {
		status = state.ops->get(state.self, bucket, &key, keep_one,
					&get, err);
		watch_for_damage(status);
	}
	if (get.no_memory)
		status = atom_fail(err, ATOM_ENOMEM, "no memory for a record");
	if (status == ATOM_OK && !get.record)
		status = ATOM_ENOENT;
	if (status == ATOM_OK && get.record->status != ATOM_OK)
		status = atom_fail(err, get.record->status, "%s",
				   get.error.message);
	if (status != ATOM_OK)
		mem_free(TAKE(get.record));
	*record_r = get.record;
	return status;
}

atom_status read_begin(struct atom_error *err)
{
	atom_status status;

	(void)pthread_mutex_lock(&state.lock);
	status = state_usable(err);
	if (status == ATOM_OK && state.reads >= STATE_READS_MAX)
		status = atom_fail(err, ATOM_EBUSY,
				   "%zu reads of the state store are under "
				   "way already",
				   state.reads);
	if (status == ATOM_OK)
		state.reads++;
	(void)pthread_mutex_unlock(&state.lock);
	return status;
}

void read_end(void)
{
	(void)pthread_mutex_lock(&state.lock);
	state.reads--;
	(void)pthread_cond_broadcast(&state.ended);
	(void)pthread_mutex_unlock(&state.lock);
}

atom_status state_get_now(const char *bucket, struct atom_span key,
			  struct state_record **record_r,
			  struct atom_error *err)
{
	atom_status status = transaction_check_key(bucket, key, err);

	*record_r = NULL;
	if (status == ATOM_OK)
		status = read_begin(err);
	if (status != ATOM_OK)
		return status;
	status = read_record(bucket, key, record_r, err);
	read_end();
	return status;
}

/* --- scan ---------------------------------------------------------------- */

/* Of a scan nobody else can say what became of one record. */
static void log_damaged(const struct state_record *record,
			const struct atom_error *error)
{
	if (record->status != ATOM_OK)
		log_line(ATOM_LOG_ERROR, "record_damaged", error->message);
}

static bool scan_make_room(struct scan *scan)
{
	size_t capacity = scan->capacity ? scan->capacity * 2 : 16;
	void *records;

	if (scan->count < scan->capacity)
		return true;
	records = mem_realloc(scan->records,
			      capacity * sizeof(struct state_record *));
	if (!records)
		return false;
	scan->records = records;
	scan->capacity = capacity;
	return true;
}

static int32_t keep_many(void *argument, const struct atom_store_record *record)
{
	size_t bytes = record->key.length + record->value.length;
	struct atom_error error = ATOM_ERROR_INIT;
	struct scan *scan = argument;
	struct state_record *kept = NULL;

	if (scan->count > 0 && scan->bytes + bytes > STATE_SCAN_BYTES_MAX) {
		scan->more = true;
		return 1;
	}
	if (scan_make_room(scan))
		kept = record_open(scan->bucket, record, &error);
	if (!kept) {
		scan->no_memory = true;
		return 1;
	}
	log_damaged(kept, &error);
	scan->records[scan->count++] = kept;
	scan->bytes += bytes;
	return 0;
}

atom_status read_many(struct scan *scan, const char *bucket,
		      struct atom_span prefix, struct atom_span after,
		      struct atom_error *err)
{
	atom_status status = writer_flush(err);

	if (status != ATOM_OK)
		return status;
	scan->bucket = bucket;
	status = state.ops->scan(state.self, bucket, &prefix, &after,
				 scan->limit, keep_many, scan, err);
	watch_for_damage(status);
	if (status == ATOM_OK && scan->no_memory)
		status = atom_fail(err, ATOM_ENOMEM, "no memory for a scan");
	if (scan->count == scan->limit)
		scan->more = true;
	return status;
}

void scan_fini(struct scan *scan)
{
	for (size_t i = 0; i < scan->count; i++)
		mem_free(scan->records[i]);
	mem_free(scan->records);
}

struct visit_now {
	const char *bucket;
	int32_t (*visit)(void *argument, const struct state_record *record);
	void *argument;
	bool no_memory;
};

static int32_t pass_on(void *argument, const struct atom_store_record *record)
{
	struct atom_error error = ATOM_ERROR_INIT;
	struct visit_now *now = argument;
	struct state_record *opened = record_open(now->bucket, record, &error);
	int32_t result;

	if (!opened) {
		now->no_memory = true;
		return 1;
	}
	log_damaged(opened, &error);
	result = now->visit(now->argument, opened);
	mem_free(opened);
	return result;
}

atom_status read_check_prefix(const char *bucket, struct atom_span prefix,
			      struct atom_error *err)
{
	static const struct atom_span some_key = { "-", 1 };

	return transaction_check_key(bucket, prefix.length ? prefix : some_key,
				     err);
}

atom_status state_scan_now(const char *bucket, struct atom_span prefix,
			   int32_t (*visit)(void *argument,
					    const struct state_record *record),
			   void *argument, struct atom_error *err)
{
	const struct atom_span from_first = { "", 0 };
	struct visit_now now = { bucket, visit, argument, false };
	atom_status status = read_check_prefix(bucket, prefix, err);

	if (status == ATOM_OK)
		status = read_begin(err);
	if (status != ATOM_OK)
		return status;
	status = writer_flush(err);
	if (status == ATOM_OK) {
		status = state.ops->scan(state.self, bucket, &prefix,
					 &from_first, 0, pass_on, &now, err);
		watch_for_damage(status);
		if (status == ATOM_OK && now.no_memory)
			status = atom_fail(err, ATOM_ENOMEM,
					   "no memory for a scan");
	}
	read_end();
	return status;
}

static int32_t note_bucket(void *argument, const char *bucket)
{
	bool *empty = argument;

	*empty = seal_is_plain(bucket);
	return !*empty;
}

atom_status state_is_empty(bool *empty_r, struct atom_error *err)
{
	atom_status status = read_begin(err);

	*empty_r = true;
	if (status != ATOM_OK)
		return status;
	status = state.ops->buckets(state.self, note_bucket, empty_r, err);
	watch_for_damage(status);
	read_end();
	return status;
}
