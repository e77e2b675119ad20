/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_SQLITE_PRIV_H
#define STORE_SQLITE_PRIV_H

/*
 * The room of the sqlite store: one folder, one database in it, one
 * connection that writes and checkpoints, and a few that only read.
 *
 * Locks: `writer_lock` covers the writing connection and what it counts,
 * `readers_lock` the pool of readers, `damage_lock` the note of damage.
 * They are taken in this order, and none is held while a visit runs.
 */

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/host.h>
#include <atomd/plugin.h>
#include <atomd/store.h>

#define STORE_READERS_MAX 16
#define STORE_PATH_MAX	  4096

struct store_options {
	const char *directory;
	int64_t busy_timeout;	 /* ms */
	int64_t checkpoint_size; /* bytes of write-ahead log */
	int64_t cache_size;	 /* bytes, the writer's; readers a quarter */
	int64_t max_size;	 /* bytes of the database, 0 = the disk's */
	int64_t readers;
	int64_t check_time; /* ms for the check at start, 0 = none */
};

/* Every statement, prepared once a connection when first used. */
enum statement {
	STATEMENT_BEGIN,
	STATEMENT_COMMIT,
	STATEMENT_SAVEPOINT,
	STATEMENT_ROLLBACK_TO,
	STATEMENT_RELEASE,
	STATEMENT_COUNTER_GET,
	STATEMENT_COUNTER_SET,
	STATEMENT_VERSION_OF,
	STATEMENT_PUT,
	STATEMENT_REMOVE,
	STATEMENT_GET,
	STATEMENT_SCAN_FROM,
	STATEMENT_SCAN_AFTER,
	STATEMENT_NEXT_BUCKET,
	STATEMENT_LOG_LAST,
	STATEMENT_LOG_SET_LAST,
	STATEMENT_LOG_APPEND,
	STATEMENT_LOG_READ,
	STATEMENT_LOG_TRIM,
	STATEMENT_COUNT
};

struct connection {
	sqlite3 *db; /* NULL: closed */
	const char *path;
	sqlite3_stmt *statements[STATEMENT_COUNT];
};

struct reader {
	struct connection connection;
	bool busy;
};

struct store {
	struct store_options options; /* directory: copied below */
	const struct atom_host *host;
	const struct atom_log *log; /* NULL: none */
	char directory[STORE_PATH_MAX];
	char path[STORE_PATH_MAX + 16]; /* of the database */
	int lock_fd;

	pthread_mutex_t writer_lock;
	struct connection writer;
	uint64_t last_version; /* given out, of all buckets together */
	int wal_pages; /* in the write-ahead log after the last commit */
	int64_t page_size;
	uint64_t checks; /* made by this process */

	pthread_mutex_t readers_lock;
	pthread_cond_t readers_changed;
	struct reader readers[STORE_READERS_MAX];
	size_t readers_busy;
	bool readers_draining; /* no new ones: the writer is being replaced */

	pthread_mutex_t damage_lock;
	bool damaged; /* for good, until somebody repairs it and restarts */
	struct atom_error damage;
};

/* --- directory.c: the folder and who may use it -------------------------- */

/* Make the folder (and those above it) where absent, see that no stranger
 * can write into it, lock it against a second daemon, make the database file
 * with mode 0600.  On failure nothing stays locked. */
atom_status directory_claim(struct store *s, struct atom_error *err);
void directory_release(struct store *s);

/* --- connection.c -------------------------------------------------------- */

enum connection_role {
	CONNECTION_WRITER,
	CONNECTION_READER
};

/* On failure it is closed. */
atom_status connection_open(struct connection *c, const struct store *s,
			    enum connection_role role, struct atom_error *err);
/* The writer's settings: write-ahead log, full sync, the largest size. */
atom_status connection_may_write(struct connection *c, struct store *s,
				 struct atom_error *err);
/* NULL-safe; `checkpoint`: what is in the write-ahead log may be moved into
 * the database, which must not happen after a failed sync. */
void connection_close(struct connection *c, bool checkpoint);
/* The prepared statement, ready for its bindings. */
atom_status connection_statement(struct connection *c, enum statement which,
				 sqlite3_stmt **st_r, struct atom_error *err);
/* Done with it: bound bytes are the caller's and may go away. */
void connection_reset(sqlite3_stmt *st);
/* Run a statement that takes nothing and gives nothing. */
atom_status connection_run(struct connection *c, enum statement which,
			   struct atom_error *err);
/* Step a statement that gives no row, and reset it. */
atom_status connection_finish(struct connection *c, sqlite3_stmt *st,
			      const char *doing, struct atom_error *err);
/* One integer from a PRAGMA or SELECT. */
atom_status connection_integer(struct connection *c, const char *sql,
			       int64_t *value_r, struct atom_error *err);
/* Run SQL text of ours. */
atom_status connection_script(struct connection *c, const char *sql,
			      struct atom_error *err);
/* The status that `code` means, and a sentence about it.  `doing`: "store a
 * record". */
atom_status connection_fail(struct connection *c, int code, const char *doing,
			    struct atom_error *err);
/* Bind bytes; an empty span is an empty blob, not NULL. */
int bind_span(sqlite3_stmt *st, int at, const struct atom_span *span);
/* A blob of the row, until the next step. */
struct atom_span column_span(sqlite3_stmt *st, int at);

/* --- schema.c ------------------------------------------------------------ */

/* Is it ours?  Changes nothing.  ATOM_ENOTSUP: a newer atomd made it, or
 * another program. */
atom_status schema_identify(struct connection *c, struct atom_error *err);
/* Bring the database to this version's schema. */
atom_status schema_migrate(struct store *s, struct connection *c,
			   struct atom_error *err);
/* quick_check within options.check_time; out of time is no failure. */
atom_status schema_check(struct store *s, struct connection *c,
			 struct atom_error *err);

/* --- sqlite.c ------------------------------------------------------------ */

/* [a-z0-9_.-]{1,64} */
atom_status store_name_check(const char *what, const char *name,
			     struct atom_error *err);
/* Remember damage: `status` and `err` of a failure, whatever it was. */
void store_note_damage(struct store *s, atom_status status,
		       const struct atom_error *err);
/* ATOM_EDATALOSS once damage was noted. */
atom_status store_sound(struct store *s, struct atom_error *err);
void store_log(struct store *s, int32_t level, const char *event,
	       const char *message);

/* --- writer.c: the one connection that writes and checkpoints ------------ */

/* Open it and see to schema, soundness and counters; once, at create. */
atom_status writer_open(struct store *s, struct atom_error *err);
/* Take the lock and have a sound connection, replaced where it failed
 * before.  On failure the lock is not held. */
atom_status writer_take(struct store *s, struct atom_error *err);
/* Give it back.  A failed `status` closes the connection: a sync that failed
 * once may claim success when it is asked again. */
void writer_give(struct store *s, atom_status status,
		 const struct atom_error *err);

/* --- write.c, log.c: what the writer does -------------------------------- */

atom_status store_commit(void *self,
			 struct atom_store_transaction **transactions,
			 size_t count, struct atom_error *err);
atom_status store_check(void *self, struct atom_error *err);
atom_status store_append(void *self, const char *log,
			 const struct atom_span *entries, size_t count,
			 int64_t time_ms, uint64_t *sequence_r,
			 struct atom_error *err);
atom_status store_read_log(void *self, const char *log, uint64_t from_sequence,
			   size_t limit, atom_store_log_visit visit,
			   void *argument, struct atom_error *err);
atom_status store_trim_log(void *self, const char *log, uint64_t sequence,
			   struct atom_error *err);

/* --- read.c -------------------------------------------------------------- */

/* A reading connection of one's own for a while; waits for one at most
 * options.busy_timeout.  NULL: `err` says why. */
struct reader *reader_take(struct store *s, struct atom_error *err);
/* Give it back; a failed `status` closes it. */
void reader_give(struct store *s, struct reader *reader, atom_status status,
		 const struct atom_error *err);
/* Close all readers, waiting for those at work, and let no new one begin
 * until readers_resume(). */
void readers_drain(struct store *s);
void readers_resume(struct store *s);

atom_status store_get(void *self, const char *bucket,
		      const struct atom_span *key, atom_store_visit visit,
		      void *argument, struct atom_error *err);
atom_status store_buckets(void *self,
			  int32_t (*visit)(void *argument, const char *bucket),
			  void *argument, struct atom_error *err);
atom_status store_scan(void *self, const char *bucket,
		       const struct atom_span *prefix,
		       const struct atom_span *after, size_t limit,
		       atom_store_visit visit, void *argument,
		       struct atom_error *err);

/* --- backup.c ------------------------------------------------------------ */

atom_status store_backup(void *self, const char *path, struct atom_error *err);

#endif
