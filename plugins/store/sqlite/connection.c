/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection: its settings, its prepared statements, and what its result
 * codes mean.  A connection is used by one thread at a time, so SQLite's own
 * mutexes are left out.
 */
#include "store_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* clang-format off */
static const char *const sql_of[STATEMENT_COUNT] = {
	[STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
	[STATEMENT_COMMIT] = "COMMIT",
	[STATEMENT_SAVEPOINT] = "SAVEPOINT one",
	[STATEMENT_ROLLBACK_TO] = "ROLLBACK TO one",
	[STATEMENT_RELEASE] = "RELEASE one",
	[STATEMENT_COUNTER_GET] = "SELECT value FROM counter WHERE name = ?1",
	[STATEMENT_COUNTER_SET] =
		"INSERT INTO counter (name, value) VALUES (?1, ?2) "
		"ON CONFLICT (name) DO UPDATE SET value = excluded.value",
	[STATEMENT_VERSION_OF] =
		"SELECT version FROM record WHERE bucket = ?1 AND key = ?2",
	[STATEMENT_PUT] =
		"INSERT INTO record (bucket, key, version, value) "
		"VALUES (?1, ?2, ?3, ?4) ON CONFLICT (bucket, key) DO UPDATE "
		"SET version = excluded.version, value = excluded.value",
	[STATEMENT_REMOVE] =
		"DELETE FROM record WHERE bucket = ?1 AND key = ?2",
	[STATEMENT_GET] =
		"SELECT key, value, version FROM record "
		"WHERE bucket = ?1 AND key = ?2",
	[STATEMENT_SCAN_FROM] =
		"SELECT key, value, version FROM record "
		"WHERE bucket = ?1 AND key >= ?2 ORDER BY key",
	[STATEMENT_SCAN_AFTER] =
		"SELECT key, value, version FROM record "
		"WHERE bucket = ?1 AND key > ?2 ORDER BY key",
	[STATEMENT_NEXT_BUCKET] =
		"SELECT bucket FROM record WHERE bucket > ?1 "
		"ORDER BY bucket LIMIT 1",
	[STATEMENT_LOG_LAST] = "SELECT last FROM log_head WHERE name = ?1",
	[STATEMENT_LOG_SET_LAST] =
		"INSERT INTO log_head (name, last) VALUES (?1, ?2) "
		"ON CONFLICT (name) DO UPDATE SET last = excluded.last",
	[STATEMENT_LOG_APPEND] =
		"INSERT INTO log (name, sequence, time_ms, bytes) "
		"VALUES (?1, ?2, ?3, ?4)",
	[STATEMENT_LOG_READ] =
		"SELECT sequence, time_ms, bytes FROM log "
		"WHERE name = ?1 AND sequence >= ?2 ORDER BY sequence LIMIT ?3",
	[STATEMENT_LOG_TRIM] =
		"DELETE FROM log WHERE name = ?1 AND sequence <= ?2",
};
/* clang-format on */

atom_status connection_fail(struct connection *c, int code, const char *doing,
			    struct atom_error *err)
{
	const char *words =
		c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(code);
	int why = c->db ? sqlite3_system_errno(c->db) : 0;
	atom_status status;

	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return ATOM_OK;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return atom_fail(err, ATOM_EDATALOSS,
				 "cannot %s: %s is damaged (%s); restore it "
				 "from a backup",
				 doing, c->path, words);
	case SQLITE_FULL:
		return atom_fail(err, ATOM_EIO,
				 "cannot %s: no room left for %s (the disk is "
				 "full, or the store's max_size is reached)",
				 doing, c->path);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return atom_fail(err, ATOM_EBUSY,
				 "cannot %s: another program has locked %s",
				 doing, c->path);
	case SQLITE_NOMEM:
		status = ATOM_ENOMEM;
		break;
	case SQLITE_TOOBIG:
		status = ATOM_ELIMIT;
		break;
	case SQLITE_IOERR:
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		status = ATOM_EIO;
		break;
	default:
		status = ATOM_EINTERNAL;
		break;
	}
	/* errno is only set afresh by calls that failed: old for others. */
	if (status == ATOM_EIO && why != 0)
		return atom_fail(err, status, "cannot %s: %s: %s (%s)", doing,
				 c->path, words, strerror(why));
	return atom_fail(err, status, "cannot %s: %s: %s", doing, c->path,
			 words);
}

static int count_wal_pages(void *argument, sqlite3 *db, const char *name,
			   int pages)
{
	struct store *s = argument;

	(void)db;
	(void)name;
	s->wal_pages = pages;
	return SQLITE_OK;
}

static atom_status set_up(struct connection *c, const struct store *s,
			  enum connection_role role, struct atom_error *err)
{
	int64_t cache_kib = s->options.cache_size / 1024;
	char sql[256];

	(void)sqlite3_extended_result_codes(c->db, 1);
	(void)sqlite3_busy_timeout(c->db, (int)s->options.busy_timeout);
	(void)snprintf(sql, sizeof(sql),
		       "PRAGMA trusted_schema = OFF;"
		       "PRAGMA cell_size_check = ON;"
		       "PRAGMA mmap_size = 0;"
		       "PRAGMA temp_store = MEMORY;"
		       "PRAGMA wal_autocheckpoint = 0;"
		       "PRAGMA cache_size = -%" PRId64 ";%s",
		       role == CONNECTION_WRITER ? cache_kib : cache_kib / 4,
		       role == CONNECTION_WRITER ? ""
						 : "PRAGMA query_only = ON;");
	return connection_script(c, sql, err);
}

atom_status connection_open(struct connection *c, const struct store *s,
			    enum connection_role role, struct atom_error *err)
{
	int flags = SQLITE_OPEN_NOMUTEX;
	atom_status status;
	int rc;

	memset(c, 0, sizeof(*c));
	c->path = s->path;
	flags |= role == CONNECTION_WRITER ? SQLITE_OPEN_READWRITE
					   : SQLITE_OPEN_READONLY;
	rc = sqlite3_open_v2(s->path, &c->db, flags, NULL);
	status = rc == SQLITE_OK ? set_up(c, s, role, err)
				 : connection_fail(c, rc, "open", err);
	if (status != ATOM_OK)
		connection_close(c, false);
	return status;
}

/* SQLite answers with the mode that it could set. */
static atom_status use_wal(struct connection *c, struct atom_error *err)
{
	atom_status status = ATOM_OK;
	sqlite3_stmt *st = NULL;
	const char *mode = "";
	int rc;

	rc = sqlite3_prepare_v2(c->db, "PRAGMA journal_mode = WAL", -1, &st,
				NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		mode = (const char *)sqlite3_column_text(st, 0);
	if (rc != SQLITE_ROW)
		status = connection_fail(c, rc, "open", err);
	else if (!mode || strcmp(mode, "wal") != 0)
		status = atom_fail(err, ATOM_ENOTSUP,
				   "%s: this file system cannot hold a "
				   "write-ahead log (shared memory and locks "
				   "are needed); use a local one",
				   c->path);
	(void)sqlite3_finalize(st);
	return status;
}

atom_status connection_may_write(struct connection *c, struct store *s,
				 struct atom_error *err)
{
	char sql[256];
	atom_status status = use_wal(c, err);

	if (status != ATOM_OK)
		return status;
	(void)snprintf(sql, sizeof(sql),
		       "PRAGMA synchronous = FULL;"
		       "PRAGMA secure_delete = ON;"
		       "PRAGMA journal_size_limit = %" PRId64,
		       s->options.checkpoint_size);
	status = connection_script(c, sql, err);
	if (status == ATOM_OK)
		status = connection_integer(c, "PRAGMA page_size",
					    &s->page_size, err);
	if (status == ATOM_OK && s->options.max_size > 0 && s->page_size > 0) {
		(void)snprintf(sql, sizeof(sql),
			       "PRAGMA max_page_count = %" PRId64,
			       s->options.max_size / s->page_size);
		status = connection_script(c, sql, err);
	}
	s->wal_pages = 0;
	(void)sqlite3_wal_hook(c->db, count_wal_pages, s);
	return status;
}

void connection_close(struct connection *c, bool checkpoint)
{
	if (!c->db)
		return;
	for (size_t i = 0; i < STATEMENT_COUNT; i++)
		(void)sqlite3_finalize(c->statements[i]);
	memset(c->statements, 0, sizeof(c->statements));
	(void)sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
				checkpoint ? 0 : 1, NULL);
	(void)sqlite3_close_v2(c->db);
	c->db = NULL;
}

atom_status connection_statement(struct connection *c, enum statement which,
				 sqlite3_stmt **st_r, struct atom_error *err)
{
	sqlite3_stmt **st = &c->statements[which];
	int rc;

	if (!*st) {
		rc = sqlite3_prepare_v3(c->db, sql_of[which], -1,
					SQLITE_PREPARE_PERSISTENT, st, NULL);
		if (rc != SQLITE_OK)
			return connection_fail(c, rc, "prepare a statement",
					       err);
	}
	*st_r = *st;
	return ATOM_OK;
}

void connection_reset(sqlite3_stmt *st)
{
	(void)sqlite3_reset(st);
	(void)sqlite3_clear_bindings(st);
}

atom_status connection_finish(struct connection *c, sqlite3_stmt *st,
			      const char *doing, struct atom_error *err)
{
	int rc = sqlite3_step(st);
	atom_status status = connection_fail(c, rc, doing, err);

	connection_reset(st);
	return status;
}

atom_status connection_run(struct connection *c, enum statement which,
			   struct atom_error *err)
{
	sqlite3_stmt *st = NULL;
	atom_status status = connection_statement(c, which, &st, err);

	if (status != ATOM_OK)
		return status;
	return connection_finish(
		c, st, which == STATEMENT_COMMIT ? "commit" : "begin", err);
}

atom_status connection_integer(struct connection *c, const char *sql,
			       int64_t *value_r, struct atom_error *err)
{
	atom_status status = ATOM_OK;
	sqlite3_stmt *st = NULL;
	int rc;

	rc = sqlite3_prepare_v2(c->db, sql, -1, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*value_r = sqlite3_column_int64(st, 0);
	else
		status = connection_fail(
			c, rc == SQLITE_DONE ? SQLITE_ERROR : rc, "read", err);
	(void)sqlite3_finalize(st);
	return status;
}

atom_status connection_script(struct connection *c, const char *sql,
			      struct atom_error *err)
{
	int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);

	return connection_fail(c, rc, "open", err);
}

int bind_span(sqlite3_stmt *st, int at, const struct atom_span *span)
{
	if (span->length == 0)
		return sqlite3_bind_zeroblob(st, at, 0);
	return sqlite3_bind_blob64(st, at, span->bytes, span->length,
				   SQLITE_STATIC);
}

struct atom_span column_span(sqlite3_stmt *st, int at)
{
	const char *bytes = sqlite3_column_blob(st, at);
	size_t length = (size_t)sqlite3_column_bytes(st, at);

	return (struct atom_span){ bytes ? bytes : "", length };
}
