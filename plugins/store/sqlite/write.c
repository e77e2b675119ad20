/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commit: one BEGIN IMMEDIATE, a savepoint for each transaction, one COMMIT
 * and with it one sync for all of them.
 */
#include "store_priv.h"

#include <inttypes.h>
#include <string.h>
#include <sys/statvfs.h>

/* Less free space than this is no room to write. */
#define ROOM_BYTES ((int64_t)1024 * 1024)

static struct atom_store_write *write_at(const struct atom_store_transaction *t,
					 size_t index)
{
	return (void *)((char *)t->writes + index * t->write_stride);
}

/* Is it well formed?  Judged before anything is stored. */
static atom_status check_write(const struct atom_store_write *w,
			       struct atom_error *err)
{
	atom_status status = store_name_check("bucket", w->bucket, err);

	if (status != ATOM_OK)
		return status;
	if (w->key.length == 0 || w->key.length > ATOM_STORE_KEY_MAX)
		return atom_fail(err, ATOM_EINVAL,
				 "a key of %zu bytes in bucket %s: 1 to %d are "
				 "possible",
				 w->key.length, w->bucket, ATOM_STORE_KEY_MAX);
	if (!w->remove && w->value.length > ATOM_STORE_VALUE_MAX)
		return atom_fail(err, ATOM_ELIMIT,
				 "a value of %zu bytes in bucket %s: at most "
				 "%d are possible",
				 w->value.length, w->bucket,
				 ATOM_STORE_VALUE_MAX);
	return ATOM_OK;
}

static atom_status check_transaction(const struct atom_store_transaction *t,
				     struct atom_error *err)
{
	atom_status status = ATOM_OK;

	if (t->write_stride < sizeof(struct atom_store_write))
		return atom_fail(err, ATOM_EINVAL,
				 "writes of %" PRIu32
				 " bytes each, expected at least %zu",
				 t->write_stride,
				 sizeof(struct atom_store_write));
	for (size_t i = 0; status == ATOM_OK && i < t->write_count; i++)
		status = check_write(write_at(t, i), err);
	return status;
}

/* 0 when there is none. */
static atom_status version_of(struct connection *c,
			      const struct atom_store_write *w,
			      uint64_t *version_r, struct atom_error *err)
{
	sqlite3_stmt *st = NULL;
	atom_status status;
	int rc;

	status = connection_statement(c, STATEMENT_VERSION_OF, &st, err);
	if (status != ATOM_OK)
		return status;
	(void)sqlite3_bind_text(st, 1, w->bucket, -1, SQLITE_STATIC);
	(void)bind_span(st, 2, &w->key);
	rc = sqlite3_step(st);
	*version_r =
		rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
	status = connection_fail(c, rc, "store a record", err);
	connection_reset(st);
	return status;
}

static atom_status apply_write(struct store *s, struct atom_store_write *w,
			       struct atom_error *err)
{
	struct connection *c = &s->writer;
	sqlite3_stmt *st = NULL;
	atom_status status;

	status = connection_statement(
		c, w->remove ? STATEMENT_REMOVE : STATEMENT_PUT, &st, err);
	if (status != ATOM_OK)
		return status;
	(void)sqlite3_bind_text(st, 1, w->bucket, -1, SQLITE_STATIC);
	(void)bind_span(st, 2, &w->key);
	w->version_r = 0;
	if (!w->remove) {
		w->version_r = ++s->last_version;
		(void)sqlite3_bind_int64(st, 3, (int64_t)w->version_r);
		(void)bind_span(st, 4, &w->value);
	}
	return connection_finish(c, st, "store a record", err);
}

/* status_r is what became of this one; the result is not ATOM_OK when the
 * store itself failed. */
static atom_status apply(struct store *s, struct atom_store_transaction *t,
			 struct atom_error *err)
{
	struct connection *c = &s->writer;
	atom_status status;
	uint64_t version;

	t->conflict_r = 0;
	t->status_r = check_transaction(t, NULL);
	if (t->status_r != ATOM_OK)
		return ATOM_OK;
	status = connection_run(c, STATEMENT_SAVEPOINT, err);
	for (size_t i = 0; status == ATOM_OK && i < t->write_count; i++) {
		struct atom_store_write *w = write_at(t, i);

		if (w->expected_version != ATOM_STORE_ANY_VERSION) {
			status = version_of(c, w, &version, err);
			if (status == ATOM_OK &&
			    version != w->expected_version) {
				t->status_r = ATOM_ECONFLICT;
				t->conflict_r = (uint32_t)i;
				break;
			}
		}
		if (status == ATOM_OK)
			status = apply_write(s, w, err);
	}
	if (status == ATOM_OK && t->status_r != ATOM_OK)
		status = connection_run(c, STATEMENT_ROLLBACK_TO, err);
	if (status == ATOM_OK)
		status = connection_run(c, STATEMENT_RELEASE, err);
	return status;
}

static atom_status set_counter(struct store *s, const char *name,
			       uint64_t value, struct atom_error *err)
{
	struct connection *c = &s->writer;
	sqlite3_stmt *st = NULL;
	atom_status status;

	status = connection_statement(c, STATEMENT_COUNTER_SET, &st, err);
	if (status != ATOM_OK)
		return status;
	(void)sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 2, (int64_t)value);
	return connection_finish(c, st, "store a counter", err);
}

atom_status store_commit(void *self,
			 struct atom_store_transaction **transactions,
			 size_t count, struct atom_error *err)
{
	struct atom_error why = ATOM_ERROR_INIT;
	struct store *s = self;
	atom_status status;
	uint64_t before;

	status = writer_take(s, &why);
	if (status != ATOM_OK)
		goto out;
	before = s->last_version;
	status = connection_run(&s->writer, STATEMENT_BEGIN, &why);
	for (size_t i = 0; status == ATOM_OK && i < count; i++)
		status = apply(s, transactions[i], &why);
	if (status == ATOM_OK && s->last_version != before)
		status = set_counter(s, "version", s->last_version, &why);
	if (status == ATOM_OK)
		status = connection_run(&s->writer, STATEMENT_COMMIT, &why);
	writer_give(s, status, &why);
out:
	if (status == ATOM_OK)
		return ATOM_OK;
	for (size_t i = 0; i < count; i++)
		transactions[i]->status_r = status;
	return atom_fail(err, status, "%s", why.message);
}

/* Room on the disk and, by pages that are given back at once, below
 * max_size. */
static atom_status try_room(struct store *s, struct atom_error *err)
{
	struct connection *c = &s->writer;
	struct statvfs disk;
	int64_t free_bytes;
	sqlite3_stmt *st = NULL;
	atom_status status;

	if (statvfs(s->directory, &disk) == 0) {
		free_bytes = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
		if (free_bytes < ROOM_BYTES)
			return atom_fail(err, ATOM_EIO,
					 "%" PRId64 " bytes are free for %s, "
					 "at least %" PRId64 " are needed",
					 free_bytes, s->path, ROOM_BYTES);
	}
	status = connection_run(c, STATEMENT_SAVEPOINT, err);
	if (status != ATOM_OK)
		return status;
	status = connection_statement(c, STATEMENT_LOG_APPEND, &st, err);
	if (status != ATOM_OK)
		return status;
	(void)sqlite3_bind_text(st, 1, "", -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 2, 0);
	(void)sqlite3_bind_int64(st, 3, 0);
	(void)sqlite3_bind_zeroblob(st, 4, ROOM_BYTES / 8);
	status = connection_finish(c, st, "find room to write", err);
	if (status == ATOM_OK)
		status = connection_run(c, STATEMENT_ROLLBACK_TO, err);
	if (status == ATOM_OK)
		status = connection_run(c, STATEMENT_RELEASE, err);
	return status;
}

/* Only a write that was synced proves that one can be. */
atom_status store_check(void *self, struct atom_error *err)
{
	struct atom_error why = ATOM_ERROR_INIT;
	struct store *s = self;
	atom_status status;

	status = writer_take(s, &why);
	if (status != ATOM_OK)
		return atom_fail(err, status, "%s", why.message);
	status = connection_run(&s->writer, STATEMENT_BEGIN, &why);
	if (status == ATOM_OK)
		status = try_room(s, &why);
	if (status == ATOM_OK)
		status = set_counter(s, "checked", ++s->checks, &why);
	if (status == ATOM_OK)
		status = connection_run(&s->writer, STATEMENT_COMMIT, &why);
	writer_give(s, status, &why);
	return status == ATOM_OK ? ATOM_OK
				 : atom_fail(err, status, "%s", why.message);
}
