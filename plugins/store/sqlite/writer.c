/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one connection that writes and checkpoints.  (Before SQLite 3.51.3 a
 * database whose write-ahead log is reset by one connection while another
 * one checkpoints could be damaged.)
 *
 * After a failure it is closed, never asked again: Linux reports a failed
 * sync once and then calls the lost pages clean (see "Can applications
 * recover from fsync failures?", Rebello et al., USENIX ATC 2020).  Before
 * the next write all connections are closed and it is opened anew, so that
 * SQLite reads the log back by its checksums; then the whole log is moved
 * into the database and begun afresh, so that nothing new is written behind
 * frames that may never have reached the disk.
 */
#include "store_priv.h"

#include <string.h>

/* The log is moved without waiting for readers at checkpoint_size, and with
 * waiting for them at this many times that. */
#define PATIENCE 8

static atom_status load_counters(struct store *s, struct atom_error *err)
{
	struct connection *c = &s->writer;
	sqlite3_stmt *st = NULL;
	atom_status status;
	int rc;

	status = connection_statement(c, STATEMENT_COUNTER_GET, &st, err);
	if (status != ATOM_OK)
		return status;
	(void)sqlite3_bind_text(st, 1, "version", -1, SQLITE_STATIC);
	rc = sqlite3_step(st);
	s->last_version = 0;
	if (rc == SQLITE_ROW)
		s->last_version = (uint64_t)sqlite3_column_int64(st, 0);
	else if (rc != SQLITE_DONE)
		status = connection_fail(c, rc, "read the counters", err);
	connection_reset(st);
	return status;
}

atom_status writer_open(struct store *s, struct atom_error *err)
{
	struct connection *c = &s->writer;
	atom_status status;

	status = connection_open(c, s, CONNECTION_WRITER, err);
	if (status != ATOM_OK)
		return status;
	status = schema_identify(c, err);
	if (status == ATOM_OK)
		status = connection_may_write(c, s, err);
	if (status == ATOM_OK)
		status = schema_check(s, c, err);
	if (status == ATOM_OK)
		status = schema_migrate(s, c, err);
	if (status == ATOM_OK)
		status = load_counters(s, err);
	if (status != ATOM_OK)
		connection_close(c, false);
	return status;
}

/* After a failure, with no reader left. */
static atom_status open_anew(struct store *s, struct atom_error *err)
{
	struct connection *c = &s->writer;
	atom_status status;
	int rc;

	status = connection_open(c, s, CONNECTION_WRITER, err);
	if (status != ATOM_OK)
		return status;
	status = connection_may_write(c, s, err);
	if (status == ATOM_OK) {
		rc = sqlite3_wal_checkpoint_v2(
			c->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
		status = connection_fail(c, rc, "checkpoint", err);
	}
	if (status == ATOM_OK)
		status = load_counters(s, err);
	if (status != ATOM_OK)
		connection_close(c, false);
	return status;
}

atom_status writer_take(struct store *s, struct atom_error *err)
{
	atom_status status;

	(void)pthread_mutex_lock(&s->writer_lock);
	status = store_sound(s, err);
	if (status == ATOM_OK && !s->writer.db) {
		readers_drain(s);
		status = open_anew(s, err);
		readers_resume(s);
		store_note_damage(s, status, err);
	}
	if (status != ATOM_OK)
		(void)pthread_mutex_unlock(&s->writer_lock);
	return status;
}

/* What was committed is durable whatever happens here: a failure only makes
 * the next write begin with a new connection. */
static void checkpoint_when_due(struct store *s)
{
	int64_t size = (int64_t)s->wal_pages * s->page_size;
	int64_t due = s->options.checkpoint_size;
	struct atom_error why = ATOM_ERROR_INIT;
	atom_status status;
	int rc;

	if (size < due)
		return;
	rc = sqlite3_wal_checkpoint_v2(s->writer.db, NULL,
				       size < due * PATIENCE
					       ? SQLITE_CHECKPOINT_PASSIVE
					       : SQLITE_CHECKPOINT_RESTART,
				       NULL, NULL);
	status = connection_fail(&s->writer, rc, "checkpoint", &why);
	if (status == ATOM_OK || status == ATOM_EBUSY)
		return;
	store_log(s, ATOM_LOG_WARN, "store_checkpoint_failed", why.message);
	store_note_damage(s, status, &why);
	connection_close(&s->writer, false);
}

void writer_give(struct store *s, atom_status status,
		 const struct atom_error *err)
{
	if (status == ATOM_OK) {
		checkpoint_when_due(s);
	} else {
		store_note_damage(s, status, err);
		connection_close(&s->writer, false);
	}
	(void)pthread_mutex_unlock(&s->writer_lock);
}
