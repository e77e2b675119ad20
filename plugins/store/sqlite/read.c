/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading: a few connections that can only read, opened when first needed.
 * A reader sees the last commit of the moment it began and never waits for
 * the writer.
 */
#include "store_priv.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* --- the pool ------------------------------------------------------------ */

static struct timespec deadline_in(int64_t ms)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += ms / 1000;
	at.tv_nsec += ms % 1000 * 1000000;
	if (at.tv_nsec >= 1000000000) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000;
	}
	return at;
}

/* An idle one, rather one that is open; NULL while there is none. */
static struct reader *find_idle(struct store *s)
{
	struct reader *closed = NULL;

	if (s->readers_draining)
		return NULL;
	for (int64_t i = 0; i < s->options.readers; i++) {
		struct reader *reader = &s->readers[i];

		if (!reader->busy && reader->connection.db)
			return reader;
		if (!reader->busy)
			closed = reader;
	}
	return closed;
}

struct reader *reader_take(struct store *s, struct atom_error *err)
{
	struct timespec until = deadline_in(s->options.busy_timeout);
	struct reader *reader;
	atom_status status;
	int rc = 0;

	(void)pthread_mutex_lock(&s->readers_lock);
	while (!(reader = find_idle(s)) && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&s->readers_changed,
					    &s->readers_lock, &until);
	if (reader) {
		reader->busy = true;
		s->readers_busy++;
	}
	(void)pthread_mutex_unlock(&s->readers_lock);
	if (!reader) {
		(void)atom_fail(err, ATOM_EBUSY,
				"all %d readers of %s are at work",
				(int)s->options.readers, s->path);
		return NULL;
	}
	if (reader->connection.db)
		return reader;
	status =
		connection_open(&reader->connection, s, CONNECTION_READER, err);
	if (status == ATOM_OK)
		return reader;
	reader_give(s, reader, status, err);
	return NULL;
}

void reader_give(struct store *s, struct reader *reader, atom_status status,
		 const struct atom_error *err)
{
	if (status != ATOM_OK && status != ATOM_ENOENT) {
		store_note_damage(s, status, err);
		connection_close(&reader->connection, false);
	}
	(void)pthread_mutex_lock(&s->readers_lock);
	reader->busy = false;
	s->readers_busy--;
	(void)pthread_cond_broadcast(&s->readers_changed);
	(void)pthread_mutex_unlock(&s->readers_lock);
}

void readers_drain(struct store *s)
{
	(void)pthread_mutex_lock(&s->readers_lock);
	s->readers_draining = true;
	while (s->readers_busy > 0)
		(void)pthread_cond_wait(&s->readers_changed, &s->readers_lock);
	for (size_t i = 0; i < STORE_READERS_MAX; i++)
		connection_close(&s->readers[i].connection, false);
	(void)pthread_mutex_unlock(&s->readers_lock);
}

void readers_resume(struct store *s)
{
	(void)pthread_mutex_lock(&s->readers_lock);
	s->readers_draining = false;
	(void)pthread_cond_broadcast(&s->readers_changed);
	(void)pthread_mutex_unlock(&s->readers_lock);
}

/* --- records ------------------------------------------------------------- */

/* Runs a statement of three columns from its first row on.  `prefix`: stop
 * at the first key without it.  *count_r: how many were visited. */
static atom_status visit_rows(struct connection *c, sqlite3_stmt *st,
			      const struct atom_span *prefix, size_t limit,
			      atom_store_visit visit, void *argument,
			      size_t *count_r, struct atom_error *err)
{
	atom_status status;
	int rc = SQLITE_DONE;

	*count_r = 0;
	while ((limit == 0 || *count_r < limit) &&
	       (rc = sqlite3_step(st)) == SQLITE_ROW) {
		const struct atom_store_record record = {
			.struct_size = sizeof(record),
			.key = column_span(st, 0),
			.value = column_span(st, 1),
			.version = (uint64_t)sqlite3_column_int64(st, 2),
		};

		if (record.key.length < prefix->length ||
		    (prefix->length > 0 &&
		     memcmp(record.key.bytes, prefix->bytes, prefix->length)))
			break;
		++*count_r;
		if (visit(argument, &record) != 0)
			break;
	}
	status = connection_fail(c, rc, "read a record", err);
	connection_reset(st);
	return status;
}

static atom_status read_rows(struct store *s, enum statement which,
			     const char *bucket, const struct atom_span *from,
			     const struct atom_span *prefix, size_t limit,
			     atom_store_visit visit, void *argument,
			     size_t *count_r, struct atom_error *err)
{
	struct atom_error why = ATOM_ERROR_INIT;
	struct reader *reader;
	sqlite3_stmt *st = NULL;
	atom_status status;

	reader = reader_take(s, &why);
	if (!reader) {
		status = why.status;
		goto out;
	}
	status = connection_statement(&reader->connection, which, &st, &why);
	if (status == ATOM_OK) {
		(void)sqlite3_bind_text(st, 1, bucket, -1, SQLITE_STATIC);
		(void)bind_span(st, 2, from);
		status = visit_rows(&reader->connection, st, prefix, limit,
				    visit, argument, count_r, &why);
	}
	reader_give(s, reader, status, &why);
out:
	return status == ATOM_OK ? ATOM_OK
				 : atom_fail(err, status, "%s", why.message);
}

atom_status store_get(void *self, const char *bucket,
		      const struct atom_span *key, atom_store_visit visit,
		      void *argument, struct atom_error *err)
{
	const struct atom_span no_prefix = { "", 0 };
	atom_status status = store_name_check("bucket", bucket, err);
	size_t count = 0;

	if (status == ATOM_OK)
		status = read_rows(self, STATEMENT_GET, bucket, key, &no_prefix,
				   1, visit, argument, &count, err);
	if (status == ATOM_OK && count == 0)
		status = atom_fail(err, ATOM_ENOENT,
				   "no such record in bucket %s", bucket);
	return status;
}

static int compare(const struct atom_span *a, const struct atom_span *b)
{
	size_t shorter = a->length < b->length ? a->length : b->length;
	int order = shorter ? memcmp(a->bytes, b->bytes, shorter) : 0;

	if (order != 0)
		return order;
	return a->length < b->length ? -1 : a->length > b->length;
}

atom_status store_scan(void *self, const char *bucket,
		       const struct atom_span *prefix,
		       const struct atom_span *after, size_t limit,
		       atom_store_visit visit, void *argument,
		       struct atom_error *err)
{
	bool behind = compare(after, prefix) >= 0 && after->length > 0;
	atom_status status = store_name_check("bucket", bucket, err);
	size_t count;

	if (status != ATOM_OK)
		return status;
	return read_rows(self,
			 behind ? STATEMENT_SCAN_AFTER : STATEMENT_SCAN_FROM,
			 bucket, behind ? after : prefix, prefix, limit, visit,
			 argument, &count, err);
}

/* --- buckets ------------------------------------------------------------- */

/* The first bucket behind `bucket`, which it replaces; *found_r: there is
 * one.  One step in the index, however many records lie between. */
static atom_status next_bucket(struct connection *c,
			       char bucket[ATOM_STORE_BUCKET_MAX + 1],
			       bool *found_r, struct atom_error *err)
{
	sqlite3_stmt *st = NULL;
	atom_status status;
	int rc;

	*found_r = false;
	status = connection_statement(c, STATEMENT_NEXT_BUCKET, &st, err);
	if (status != ATOM_OK)
		return status;
	(void)sqlite3_bind_text(st, 1, bucket, -1, SQLITE_STATIC);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		(void)snprintf(bucket, ATOM_STORE_BUCKET_MAX + 1, "%s",
			       (const char *)sqlite3_column_text(st, 0));
		*found_r = true;
	}
	status = connection_fail(c, rc, "list the buckets", err);
	connection_reset(st);
	return status;
}

atom_status store_buckets(void *self,
			  int32_t (*visit)(void *argument, const char *bucket),
			  void *argument, struct atom_error *err)
{
	char bucket[ATOM_STORE_BUCKET_MAX + 1] = "";
	struct atom_error why = ATOM_ERROR_INIT;
	struct store *s = self;
	struct reader *reader = reader_take(s, &why);
	atom_status status = why.status;
	bool found = true;

	if (reader) {
		status = ATOM_OK;
		while (status == ATOM_OK && found) {
			status = next_bucket(&reader->connection, bucket,
					     &found, &why);
			if (status == ATOM_OK && found &&
			    visit(argument, bucket) != 0)
				break;
		}
		reader_give(s, reader, status, &why);
	}
	return status == ATOM_OK ? ATOM_OK
				 : atom_fail(err, status, "%s", why.message);
}
