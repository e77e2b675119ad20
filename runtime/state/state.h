/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STATE_STATE_H
#define STATE_STATE_H

/*
 * What the daemon remembers: sessions, keys, revisions, the records of
 * plugins.  This is the daemon's one way to its store component
 * (atomd/store.h); nobody else calls that.
 *
 * Records live in buckets ([a-z0-9_.-]{1,64}) under keys of 1 to
 * ATOM_STORE_KEY_MAX bytes, any bytes, in byte order.  Each has a version
 * that rises with every change and is never used twice for one key, also
 * when the record was deleted in between.
 *
 * Three ways to write.  A transaction (state_commit) is durable when its
 * callback says ATOM_OK.  state_commit_now is the same for those who may
 * wait.  state_write_behind is for what may be lost by a power cut within a
 * second: the latest value of a key wins and is stored soon.  All of them
 * keep their order for one key, and state_get sees what was written behind
 * at once.
 *
 * One thread of its own writes, so that neither a slow disk nor a busy pool
 * holds up the other: it takes all that waits and makes it durable by one
 * sync (group commit).  Reads run on the pool, several at once.
 *
 * Life-cycle: state_attach() once the store component exists, before
 * loops_start(); state_detach() after loops_run_control() has returned and
 * before loops_fini() and the component's destroy.  Before and after, every
 * call fails with ATOM_EUNAVAILABLE.
 *
 * When the store fails (disk full, damaged, gone), the health is `degraded`:
 * commits are refused at once with the store's own words, what is written
 * behind is kept up to its bound, the store is asked again (`check`) after
 * 250 ms, doubling to 10 s, and what waits is written when it recovers.
 *
 * core/health.h has it as the component `state`.
 *
 * Metrics: atomd_state_up, atomd_state_commits_total{result},
 * atomd_state_commit_seconds, atomd_state_queue_depth,
 * atomd_state_write_behind_bytes, atomd_state_write_behind_refused_total,
 * atomd_state_damaged_records_total, atomd_state_rewrap_left.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <atomd/host.h>
#include <atomd/store.h>

/* Bounds.  Beyond them calls fail with ATOM_EBUSY. */
#define STATE_QUEUE_MAX	       4096		  /* transactions that wait */
#define STATE_QUEUE_BYTES_MAX  (64 * 1024 * 1024) /* of their writes */
#define STATE_BEHIND_BYTES_MAX (64 * 1024 * 1024) /* written behind */
#define STATE_READS_MAX	       1024		  /* reads under way */
/* Beyond these with ATOM_ELIMIT. */
#define STATE_VALUE_MAX	     (ATOM_STORE_VALUE_MAX - 64) /* room to seal */
#define STATE_WRITES_MAX     1024		/* writes of one transaction */
#define STATE_SCAN_MAX	     10000		/* records of one state_scan */
#define STATE_SCAN_BYTES_MAX (32 * 1024 * 1024) /* of their keys and values */

/* As an expected version: must not exist; whatever. */
#define STATE_NEW 0
#define STATE_ANY ATOM_STORE_ANY_VERSION

/* The bytes of a text, without its NUL. */
static inline struct atom_span state_text(const char *text)
{
	return (struct atom_span){ text, strlen(text) };
}

/* --- life-cycle ---------------------------------------------------------- */

struct keyring;

/* The one bucket whose values are stored as they are: what must be known
 * before a keyring is open. */
#define STATE_PLAIN_BUCKET "keyring"

/* [control, between state_attach() and the first other call] From now on every
 * value, whatever its bucket, is sealed by this keyring (keyring/keyring.h)
 * when it is stored; buckets, keys and versions stay readable.  The keyring
 * outlives state_detach().  Values that an older atomd has stored plain are
 * read until keyring_state_sealed(), and refused from then on.  Without a
 * keyring all is plain. */
void state_use_keyring(struct keyring *used);

/* [control, before loops_start] Use this store; both live until
 * state_detach().  Starts the writer.  A store whose `check` fails is attached
 * all the same, degraded: what can be read may be read.  ATOM_ESTATE when one
 * is attached, ATOM_EINVAL when a required function is missing. */
atom_status state_attach(const struct atom_store_ops *ops, void *self,
			 struct atom_error *err);
/* [control, no other thread uses state any more] Stores all that waits and
 * what was written behind, ends the writer, and runs on this thread the
 * callbacks that loops did not live to run because the disk hung.  ATOM_OK: everything is durable.
 * Else what could not be stored is lost, and said in a log line
 * (`state_lost`) with how much. */
atom_status state_detach(struct atom_error *err);
/* [any] ATOM_OK: there is a store, well or degraded.  ATOM_EUNAVAILABLE: it
 * failed at the start, or the daemon is stopping; what was stored cannot be
 * told from what never was. */
atom_status state_attached(struct atom_error *err);

/* --- transactions -------------------------------------------------------- */

/* Changes that become durable together or not at all.  Owned by one thread
 * while it is built. */
struct state_transaction;

struct state_transaction *state_transaction_new(void); /* NULL: no memory */
void state_transaction_free(struct state_transaction **transaction);
/* Add a write; bucket, key and value are copied.  `expected_version`:
 * STATE_NEW, STATE_ANY, or the version it must have.  ATOM_EINVAL (bucket or
 * key), ATOM_ELIMIT (STATE_VALUE_MAX, or the number of writes), ATOM_ENOMEM:
 * nothing was added. */
atom_status state_transaction_put(struct state_transaction *transaction,
				  const char *bucket, struct atom_span key,
				  struct atom_span value,
				  uint64_t expected_version,
				  struct atom_error *err);
/* The same for a deletion.  Deleting what is not there under STATE_ANY is
 * fine. */
atom_status state_transaction_remove(struct state_transaction *transaction,
				     const char *bucket, struct atom_span key,
				     uint64_t expected_version,
				     struct atom_error *err);
/* Writes and bytes that it holds so far. */
size_t state_transaction_count(const struct state_transaction *transaction);
size_t state_transaction_bytes(const struct state_transaction *transaction);
/* After ATOM_OK: the new version of the index-th write (0 = removed). */
uint64_t state_transaction_version(const struct state_transaction *transaction,
				   size_t index);
/* After ATOM_ECONFLICT: the index of the write that lost. */
size_t state_transaction_conflict(const struct state_transaction *transaction);

/* The end of a transaction, once, on the loop that asked.  `transaction`
 * and `error` (NULL with ATOM_OK) live during the call.
 * ATOM_OK: durable.  ATOM_ECONFLICT: an expected version differed, nothing
 * was kept.  ATOM_EIO ATOM_EBUSY ATOM_EDATALOSS ...: the store failed;
 * nothing is known to be kept. */
typedef void (*state_committed)(void *argument, atom_status status,
				const struct state_transaction *transaction,
				const struct atom_error *error);

/* [loop*] [control] Queue the transaction.  ATOM_OK takes it (*transaction
 * is NULL after) and owes one `done`, never before this has returned.
 * Otherwise it stays the caller's and `done` does not run: ATOM_EBUSY (the
 * queue is full), ATOM_EUNAVAILABLE (not attached, or this loop is ending), or
 * the store's own status while it is degraded (with retry_after_ms), for
 * which ATOM_EUNAVAILABLE stands where it was ATOM_ENOMEM. */
atom_status state_commit(struct state_transaction **transaction,
			 state_committed done, void *argument,
			 struct atom_error *err);
/* [control at start, pool] Wait for its end; versions and conflict are in
 * `transaction`, which stays the caller's. */
atom_status state_commit_now(struct state_transaction *transaction,
			     struct atom_error *err);

/* [any] Store `value` within a second, without an answer; a later call for
 * the same key replaces it.  value.bytes NULL deletes.  Copied.  ATOM_EBUSY:
 * STATE_BEHIND_BYTES_MAX bytes wait already, this one is not taken (counted);
 * ATOM_EINVAL, ATOM_ELIMIT, ATOM_ENOMEM, ATOM_EUNAVAILABLE. */
atom_status state_write_behind(const char *bucket, struct atom_span key,
			       struct atom_span value, struct atom_error *err);
/* [any] The same for all that a transaction holds, whatever their expected
 * versions, the last first and each by itself: of one that the store has not
 * taken, for who is in force all the same.  Ends with the first error. */
atom_status state_write_behind_all(const struct state_transaction *transaction,
				   struct atom_error *err);

/* --- reading ------------------------------------------------------------- */

struct state_record {
	struct atom_span key;
	struct atom_span value; /* bytes end in a NUL that is not counted */
	uint64_t version;	/* STATE_ANY: written behind, not stored yet */
	/* Of scans: ATOM_EDATALOSS when the record is there but does not open
	 * (its value is empty then); it was logged and counted. */
	atom_status status;
};

/* The end of a read, once, on the loop that asked; what it points to lives
 * during the call.  `record` is NULL unless ATOM_OK; ATOM_ENOENT: there is
 * none; ATOM_EDATALOSS: the store is damaged, or the record does not open and
 * `error` names it.  `error` is NULL with ATOM_OK and ATOM_ENOENT. */
typedef void (*state_got)(void *argument, atom_status status,
			  const struct state_record *record,
			  const struct atom_error *error);
/* [loop*] [control] Fails at once, without `done`, with ATOM_EBUSY,
 * ATOM_EINVAL, ATOM_ENOMEM or ATOM_EUNAVAILABLE. */
atom_status state_get(const char *bucket, struct atom_span key, state_got done,
		      void *argument, struct atom_error *err);

/* `count` records in key order; `more`: there may be further ones, ask again
 * with `after` = the last key. */
typedef void (*state_scanned)(void *argument, atom_status status,
			      const struct state_record *const *records,
			      size_t count, bool more,
			      const struct atom_error *error);
/* [loop*] [control] Records whose keys begin with `prefix` and come behind
 * `after` (may be empty), at most `limit` (0 = STATE_SCAN_MAX) and
 * STATE_SCAN_BYTES_MAX bytes, but at least one.  First waits until what was
 * written behind before is stored, and fails with the store's status when it
 * cannot be.  Errors as state_get. */
atom_status state_scan(const char *bucket, struct atom_span prefix,
		       struct atom_span after, size_t limit, state_scanned done,
		       void *argument, struct atom_error *err);

/* [control at start, pool] The same on the spot.  *record_r is the caller's,
 * one allocation, mem_free() it; NULL unless ATOM_OK. */
atom_status state_get_now(const char *bucket, struct atom_span key,
			  struct state_record **record_r,
			  struct atom_error *err);
/* Visits every record below `prefix` in key order; the record lives during
 * the visit, which must not call state; non-zero ends the scan. */
atom_status state_scan_now(const char *bucket, struct atom_span prefix,
			   int32_t (*visit)(void *argument,
					    const struct state_record *record),
			   void *argument, struct atom_error *err);

/* --- moving all records to the current data key -------------------------- */

enum state_rewrap_phase {
	STATE_REWRAP_IDLE, /* never begun, or done */
	STATE_REWRAP_COUNTING,
	STATE_REWRAP_MOVING,
	STATE_REWRAP_CHECKING /* that none is left */
};

struct state_rewrap {
	enum state_rewrap_phase phase;
	uint64_t left;	  /* known to be old, or plain */
	uint64_t moved;	  /* since it began */
	uint64_t checked; /* records looked at in this phase */
	uint64_t damaged; /* that do not open: they stay as they are */
	/* Why it waits, or "". */
	char message[ATOM_ERROR_MESSAGE_MAX];
};

/* [control] Seal every record anew that is plain or under an older data key
 * than the current one, in the background and at a bounded pace: a record may
 * get a new version at any time meanwhile.  Goes over all records until none
 * is left, and tells the keyring, which then retires what nothing needs.
 * Called while one is under way: that one begins again. */
atom_status state_rewrap(struct atom_error *err);
/* [control at start] Has nothing been stored yet, STATE_PLAIN_BUCKET left
 * aside? */
atom_status state_is_empty(bool *empty_r, struct atom_error *err);
/* [any] */
void state_rewrap_status(struct state_rewrap *status_r);

/* --- health -------------------------------------------------------------- */

struct state_health {
	bool attached;
	bool degraded;
	atom_status status;		      /* why, while degraded */
	int64_t since_ms;		      /* realtime of the last change */
	char message[ATOM_ERROR_MESSAGE_MAX]; /* the last error, also later */
};

/* [any] */
void state_health(struct state_health *health_r);

#endif
