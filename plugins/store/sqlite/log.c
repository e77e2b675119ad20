/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Append-only logs.  A sequence is never used twice, also when everything
 * before it was trimmed: log_head keeps the last one.
 */
#include "store_priv.h"

#include <inttypes.h>
#include <string.h>

static atom_status check_entries(const struct atom_span *entries, size_t count,
				 struct atom_error *err)
{
	for (size_t i = 0; i < count; i++)
		if (entries[i].length > ATOM_STORE_VALUE_MAX)
			return atom_fail(err, ATOM_ELIMIT,
					 "a log entry of %zu bytes: at most %d "
					 "are possible",
					 entries[i].length,
					 ATOM_STORE_VALUE_MAX);
	return ATOM_OK;
}

static atom_status last_sequence(struct connection *c, const char *log,
				 int64_t *last_r, struct atom_error *err)
{
	sqlite3_stmt *st = NULL;
	atom_status status;
	int rc;

	status = connection_statement(c, STATEMENT_LOG_LAST, &st, err);
	if (status != ATOM_OK)
		return status;
	(void)sqlite3_bind_text(st, 1, log, -1, SQLITE_STATIC);
	rc = sqlite3_step(st);
	*last_r = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
	status = connection_fail(c, rc, "read a log", err);
	connection_reset(st);
	return status;
}

static atom_status set_last(struct connection *c, const char *log, int64_t last,
			    struct atom_error *err)
{
	sqlite3_stmt *st = NULL;
	atom_status status;

	status = connection_statement(c, STATEMENT_LOG_SET_LAST, &st, err);
	if (status != ATOM_OK)
		return status;
	(void)sqlite3_bind_text(st, 1, log, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 2, last);
	return connection_finish(c, st, "append to a log", err);
}

static atom_status append_all(struct connection *c, const char *log,
			      const struct atom_span *entries, size_t count,
			      int64_t time_ms, int64_t *last_r,
			      struct atom_error *err)
{
	atom_status status = last_sequence(c, log, last_r, err);
	sqlite3_stmt *st = NULL;

	if (status == ATOM_OK)
		status =
			connection_statement(c, STATEMENT_LOG_APPEND, &st, err);
	for (size_t i = 0; status == ATOM_OK && i < count; i++) {
		(void)sqlite3_bind_text(st, 1, log, -1, SQLITE_STATIC);
		(void)sqlite3_bind_int64(st, 2, ++*last_r);
		(void)sqlite3_bind_int64(st, 3, time_ms);
		(void)bind_span(st, 4, &entries[i]);
		status = connection_finish(c, st, "append to a log", err);
	}
	if (status == ATOM_OK)
		status = set_last(c, log, *last_r, err);
	return status;
}

atom_status store_append(void *self, const char *log,
			 const struct atom_span *entries, size_t count,
			 int64_t time_ms, uint64_t *sequence_r,
			 struct atom_error *err)
{
	struct atom_error why = ATOM_ERROR_INIT;
	struct store *s = self;
	atom_status status;
	int64_t last = 0;

	status = store_name_check("log", log, err);
	if (status == ATOM_OK)
		status = check_entries(entries, count, err);
	if (status != ATOM_OK)
		return status;
	status = writer_take(s, &why);
	if (status != ATOM_OK)
		goto out;
	status = connection_run(&s->writer, STATEMENT_BEGIN, &why);
	if (status == ATOM_OK)
		status = append_all(&s->writer, log, entries, count, time_ms,
				    &last, &why);
	if (status == ATOM_OK)
		status = connection_run(&s->writer, STATEMENT_COMMIT, &why);
	writer_give(s, status, &why);
out:
	if (status != ATOM_OK)
		return atom_fail(err, status, "%s", why.message);
	*sequence_r = (uint64_t)last;
	return ATOM_OK;
}

/* Sequences are int64_t inside; what lies above is after the end. */
static int64_t bounded(uint64_t sequence)
{
	return sequence > INT64_MAX ? INT64_MAX : (int64_t)sequence;
}

atom_status store_trim_log(void *self, const char *log, uint64_t sequence,
			   struct atom_error *err)
{
	struct atom_error why = ATOM_ERROR_INIT;
	struct store *s = self;
	sqlite3_stmt *st = NULL;
	atom_status status;

	status = store_name_check("log", log, err);
	if (status != ATOM_OK)
		return status;
	status = writer_take(s, &why);
	if (status != ATOM_OK)
		goto out;
	status =
		connection_statement(&s->writer, STATEMENT_LOG_TRIM, &st, &why);
	if (status == ATOM_OK) {
		(void)sqlite3_bind_text(st, 1, log, -1, SQLITE_STATIC);
		(void)sqlite3_bind_int64(st, 2, bounded(sequence));
		/* Alone, a statement is a transaction. */
		status = connection_finish(&s->writer, st, "trim a log", &why);
	}
	writer_give(s, status, &why);
out:
	return status == ATOM_OK ? ATOM_OK
				 : atom_fail(err, status, "%s", why.message);
}

atom_status store_read_log(void *self, const char *log, uint64_t from_sequence,
			   size_t limit, atom_store_log_visit visit,
			   void *argument, struct atom_error *err)
{
	struct atom_error why = ATOM_ERROR_INIT;
	struct store *s = self;
	struct reader *reader;
	struct connection *c;
	sqlite3_stmt *st = NULL;
	atom_status status;
	int rc = SQLITE_DONE;

	status = store_name_check("log", log, err);
	if (status != ATOM_OK)
		return status;
	reader = reader_take(s, &why);
	if (!reader) {
		status = why.status;
		goto out;
	}
	c = &reader->connection;
	status = connection_statement(c, STATEMENT_LOG_READ, &st, &why);
	if (status != ATOM_OK)
		goto give;
	(void)sqlite3_bind_text(st, 1, log, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 2, bounded(from_sequence));
	(void)sqlite3_bind_int64(st, 3, limit ? (int64_t)bounded(limit) : -1);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		const struct atom_store_log_entry entry = {
			.struct_size = sizeof(entry),
			.sequence = (uint64_t)sqlite3_column_int64(st, 0),
			.time_ms = sqlite3_column_int64(st, 1),
			.bytes = column_span(st, 2),
		};

		if (visit(argument, &entry) != 0)
			break;
	}
	status = connection_fail(c, rc, "read a log", &why);
	connection_reset(st);
give:
	reader_give(s, reader, status, &why);
out:
	return status == ATOM_OK ? ATOM_OK
				 : atom_fail(err, status, "%s", why.message);
}
