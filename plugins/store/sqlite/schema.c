/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema, as steps: step n brings a database of user_version n to n + 1,
 * in one transaction with its number.  A step that was released is never
 * changed.
 *
 *	record    what buckets hold; `version` rises over all buckets
 *	counter   numbers that outlive the records: the last version given out
 *	log       entries of the append-only logs
 *	log_head  the last sequence of each log, also when all was trimmed
 */
#include "store_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#define APPLICATION_ID 0x41544f4d /* "ATOM" */

static const char *const steps[] = {
	"CREATE TABLE record ("
	" bucket TEXT NOT NULL, key BLOB NOT NULL, version INTEGER NOT NULL,"
	" value BLOB NOT NULL, PRIMARY KEY (bucket, key)) STRICT;"
	"CREATE TABLE counter ("
	" name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) STRICT;",

	"CREATE TABLE log ("
	" name TEXT NOT NULL, sequence INTEGER NOT NULL,"
	" time_ms INTEGER NOT NULL, bytes BLOB NOT NULL,"
	" PRIMARY KEY (name, sequence)) STRICT;"
	"CREATE TABLE log_head ("
	" name TEXT NOT NULL PRIMARY KEY, last INTEGER NOT NULL) STRICT;",
};

#define SCHEMA_VERSION ((int64_t)(sizeof(steps) / sizeof(steps[0])))

atom_status schema_identify(struct connection *c, struct atom_error *err)
{
	int64_t application, version, tables;
	atom_status status;

	status = connection_integer(c, "PRAGMA application_id", &application,
				    err);
	if (status == ATOM_OK)
		status = connection_integer(c, "PRAGMA user_version", &version,
					    err);
	if (status == ATOM_OK)
		status = connection_integer(
			c, "SELECT count(*) FROM sqlite_schema", &tables, err);
	if (status != ATOM_OK)
		return status;
	if (application == 0 && version == 0 && tables == 0)
		return ATOM_OK;
	if (application != APPLICATION_ID)
		return atom_fail(err, ATOM_ENOTSUP,
				 "%s is another program's database "
				 "(application_id %" PRId64
				 "); give atomd a state.directory of its own",
				 c->path, application);
	if (version > SCHEMA_VERSION)
		return atom_fail(err, ATOM_ENOTSUP,
				 "%s was written by a newer atomd (schema "
				 "%" PRId64 ", this one knows %" PRId64
				 "); start that one, or restore a backup of "
				 "before",
				 c->path, version, SCHEMA_VERSION);
	return ATOM_OK;
}

static atom_status apply_step(struct connection *c, int64_t version,
			      struct atom_error *err)
{
	char number[96];
	atom_status status;

	(void)snprintf(number, sizeof(number),
		       "PRAGMA application_id = %d; PRAGMA user_version = "
		       "%" PRId64 "; COMMIT",
		       APPLICATION_ID, version + 1);
	status = connection_script(c, "BEGIN IMMEDIATE", err);
	if (status == ATOM_OK)
		status = connection_script(c, steps[version], err);
	if (status == ATOM_OK)
		status = connection_script(c, number, err);
	return status;
}

atom_status schema_migrate(struct store *s, struct connection *c,
			   struct atom_error *err)
{
	char message[96];
	int64_t version, from;
	atom_status status;

	status = connection_integer(c, "PRAGMA user_version", &version, err);
	if (status != ATOM_OK)
		return status;
	from = version;
	for (; status == ATOM_OK && version < SCHEMA_VERSION; version++)
		status = apply_step(c, version, err);
	if (status == ATOM_OK && from > 0 && from < SCHEMA_VERSION) {
		(void)snprintf(message, sizeof(message),
			       "brought state.db from schema %" PRId64
			       " to %" PRId64,
			       from, SCHEMA_VERSION);
		store_log(s, ATOM_LOG_INFO, "store_migrated", message);
	}
	return status;
}

/* --- the check, and the thread that ends it when its time is over -------- */

struct watch {
	pthread_mutex_t lock;
	pthread_cond_t over;
	bool done;
	sqlite3 *db;
	struct timespec until;
};

static void *watch_run(void *argument)
{
	struct watch *w = argument;
	int rc = 0;

	(void)pthread_mutex_lock(&w->lock);
	while (!w->done && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&w->over, &w->lock, &w->until);
	if (!w->done)
		sqlite3_interrupt(w->db);
	(void)pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void watch_init(struct watch *w, sqlite3 *db, int64_t ms)
{
	pthread_condattr_t monotonic;

	memset(w, 0, sizeof(*w));
	w->db = db;
	(void)clock_gettime(CLOCK_MONOTONIC, &w->until);
	w->until.tv_sec += ms / 1000;
	w->until.tv_nsec += ms % 1000 * 1000000;
	if (w->until.tv_nsec >= 1000000000) {
		w->until.tv_sec++;
		w->until.tv_nsec -= 1000000000;
	}
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&w->over, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
}

static atom_status quick_check(struct store *s, struct connection *c,
			       struct atom_error *err)
{
	atom_status status = ATOM_OK;
	sqlite3_stmt *st = NULL;
	const char *finding;
	int rc;

	rc = sqlite3_prepare_v2(c->db, "PRAGMA quick_check(1)", -1, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		finding = (const char *)sqlite3_column_text(st, 0);
		if (!finding || strcmp(finding, "ok") != 0)
			status = atom_fail(err, ATOM_EDATALOSS,
					   "%s is damaged (%s); restore it "
					   "from a backup",
					   c->path,
					   finding ? finding : "no verdict");
	} else if (rc == SQLITE_INTERRUPT) {
		store_log(s, ATOM_LOG_WARN, "store_check_unfinished",
			  "the check of state.db was ended by check_time; "
			  "what was read is sound");
	} else {
		status = connection_fail(c, rc, "check", err);
	}
	(void)sqlite3_finalize(st);
	return status;
}

/* SQLite 3.40 asks no progress handler during a check, but heeds an
 * interrupt. */
atom_status schema_check(struct store *s, struct connection *c,
			 struct atom_error *err)
{
	struct watch w;
	pthread_t thread;
	atom_status status;
	bool watched;

	if (s->options.check_time == 0)
		return ATOM_OK;
	watch_init(&w, c->db, s->options.check_time);
	watched = pthread_create(&thread, NULL, watch_run, &w) == 0;
	status = watched ? quick_check(s, c, err)
			 : atom_fail(err, ATOM_ENOMEM,
				     "cannot start the thread that bounds "
				     "the check of %s",
				     c->path);
	if (watched) {
		(void)pthread_mutex_lock(&w.lock);
		w.done = true;
		(void)pthread_cond_signal(&w.over);
		(void)pthread_mutex_unlock(&w.lock);
		(void)pthread_join(thread, NULL);
	}
	(void)pthread_cond_destroy(&w.over);
	(void)pthread_mutex_destroy(&w.lock);
	return status;
}
