/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STATE_STATE_PRIV_H
#define STATE_STATE_PRIV_H

/*
 * The room of state: one queue of transactions, one thread that empties it,
 * and the values written behind that are not in the queue yet.
 *
 *	state_commit ──────────────► queue ──► writer ──► store
 *	state_write_behind ► waiting ──┘ (500 ms, or something else needs
 *	                         ▲           them in front of it)
 *	                         └── again, when the store failed
 *
 * `state.lock` covers all of it and is never held during a call of the store,
 * of a callback or of the log.
 */

#include <pthread.h>

#include "core/loop.h"
#include "core/metric.h"
#include "core/table.h"
#include "state/state.h"

#define STATE_BATCH_MAX	      256 /* transactions made durable by one sync */
#define STATE_BATCH_BYTES_MAX (16 * 1024 * 1024)
#define STATE_BEHIND_MS	      500 /* from a write behind to its storing */
#define STATE_RETRY_FIRST_MS  250
#define STATE_RETRY_MAX_MS    10000
#define STATE_STOP_MS	      5000 /* that an ending loop waits for answers */

struct state_transaction {
	struct state_transaction *next;	     /* in the queue */
	struct atom_store_transaction store; /* as the store sees it */
	size_t capacity;		     /* of store.writes */
	size_t bytes;			     /* that it holds */
	int64_t queued_ns;
	bool store_failed; /* at its end: not its own fault, may be tried again */
	/* [writer, lock not held] Its end; `owner` takes it back. `error` is
	 * NULL with ATOM_OK. */
	void (*end)(struct state_transaction *transaction, atom_status status,
		    const struct atom_error *error);
	void *owner;
};

/* The latest value of one key that was written behind. */
struct behind {
	struct behind *previous; /* in the list of those that wait */
	struct behind *next;
	bool waiting; /* else `latest` is in the queue or being stored */
	int64_t since_ns;
	struct state_transaction *latest;
	size_t key_length; /* of "bucket\0key" */
	char key[];
};

/* A commit that owes its answer to a loop. */
struct ask {
	struct ask *previous; /* in state.asks */
	struct ask *next;
	struct message message;
	struct loop *loop; /* NULL: it ended before the transaction did */
	bool ended;	   /* and posted */
	struct state_transaction *transaction;
	state_committed done;
	void *argument;
	atom_status status;
	struct atom_error error;
};

struct state {
	pthread_mutex_t lock;
	pthread_cond_t wake;  /* the writer: there may be work */
	pthread_cond_t ended; /* something in the queue, or a read, has ended */
	const struct atom_store_ops *ops; /* NULL: not attached */
	void *self;
	pthread_t thread;
	bool stopping;

	struct state_transaction *first;
	struct state_transaction *last;
	size_t queued;		   /* by state_commit, not yet ended */
	size_t queued_bytes;	   /* of those */
	uint64_t enqueued;	   /* of all kinds, since attach */
	uint64_t ended_count;	   /* of those */
	struct ask *asks;	   /* answers owed */
	bool closed[LOOP_MAX + 1]; /* by loop_index(): it asks no more */

	struct table behind; /* "bucket\0key" to struct behind */
	struct behind *waiting_first;
	struct behind *waiting_last;
	size_t behind_bytes;

	struct state_health health;
	bool suspect;	    /* a read found damage: ask `check` */
	size_t batch_most;  /* transactions of the next batch */
	uint64_t failures;  /* of the store, since attach */
	int64_t delay_ms;   /* between the last two checks */
	int64_t retry_ns;   /* of the next one, while degraded */
	unsigned int tries; /* left, while stopping */

	size_t reads; /* under way */
};

extern struct state state;

/* Why nothing can be done now: not attached or stopping. [lock held] */
atom_status state_usable(struct atom_error *err);
/* The last failure, for who is refused while degraded. [lock held] */
atom_status state_refuse(struct atom_error *err);
/* [pool] Commit each of them by itself and wait for all; `statuses` says what
 * became of each. */
void state_commit_each(struct state_transaction **transactions, size_t count,
		       atom_status *statuses, struct atom_error *err);

/* --- transaction.c ------------------------------------------------------- */

/* Bucket and key as state.h says. */
atom_status transaction_check_key(const char *bucket, struct atom_span key,
				  struct atom_error *err);
struct atom_store_write *transaction_write(
	const struct state_transaction *transaction, size_t index);
/* "bucket\0key" of a write, and how long that is. */
const char *transaction_key(const struct atom_store_write *write,
			    size_t *length_r);

/* --- writer.c: the queue and its thread ---------------------------------- */

void writer_init(void);
atom_status writer_start(struct atom_error *err);
/* After `stopping` was set: returns when all is stored that can be. */
void writer_join(void);
/* [lock held] Append to the queue; writer_wake() follows. */
void writer_enqueue(struct state_transaction *transaction);
void writer_wake(void);
/* [pool] Wait until what was written behind before is stored. */
atom_status writer_flush(struct atom_error *err);
/* [pool] Wait until all that the writer has begun is over: what it seals from
 * then on it seals under the key that is current now. */
void writer_barrier(void);
/* The store is unwell: note it, ask again later. Logs the change. [lock not
 * held] */
void writer_degrade(atom_status status, const struct atom_error *error);
/* [pool] A read found damage. */
void writer_suspect(void);

/* --- read.c -------------------------------------------------------------- */

struct scan {
	const char *bucket;
	struct state_record **records;
	size_t count;
	size_t capacity;
	size_t bytes;
	size_t limit;
	bool more;
	bool no_memory;
};

/* Count a read in: the store does not go away before it is counted out. */
atom_status read_begin(struct atom_error *err);
void read_end(void);
/* [pool] The record with what was written behind; *record_r is NULL unless
 * ATOM_OK. */
atom_status read_record(const char *bucket, struct atom_span key,
			struct state_record **record_r, struct atom_error *err);
/* [pool] Up to scan->limit records; scan_fini() in any case. */
atom_status read_many(struct scan *scan, const char *bucket,
		      struct atom_span prefix, struct atom_span after,
		      struct atom_error *err);
void scan_fini(struct scan *scan);
/* A prefix may be empty. */
atom_status read_check_prefix(const char *bucket, struct atom_span prefix,
			      struct atom_error *err);

/* --- seal.c -------------------------------------------------------------- */

struct keyring *seal_keyring(void); /* NULL: all is plain */
bool seal_is_plain(const char *bucket);
/* [writer] The batch as the store gets it: sealed copies, or the transactions
 * themselves without a keyring.  Fails as a whole. */
atom_status seal_batch(struct state_transaction **batch, size_t count,
		       struct atom_store_transaction **stored,
		       struct atom_error *err);
/* What became of them goes into the transactions; frees the copies. */
void seal_batch_end(struct state_transaction **batch, size_t count,
		    struct atom_store_transaction **stored);
/* [any] The plain value into `out`, which has room for value.length.
 * ATOM_EDATALOSS: it does not open; counted, and in the health. */
atom_status seal_open(const char *bucket, struct atom_span key,
		      struct atom_span value, char *out, size_t *length_r,
		      struct atom_error *err);

/* --- rewrap.c ------------------------------------------------------------ */

/* [control, loops are gone] */
void rewrap_fini(void);

/* --- behind.c ------------------------------------------------------------ */

/* [lock held] Those of the keys that the transaction writes go into the queue
 * before it. */
void behind_yield(const struct state_transaction *transaction);
/* [lock held] When does the oldest have to go?  INT64_MAX: none waits. */
int64_t behind_due_ns(void);
/* [lock held] Put up to `most` waiting ones into the queue. */
void behind_enqueue(size_t most);
/* [lock held] What is written behind under the key, NULL: nothing. */
const struct atom_store_write *behind_find(const char *bucket,
					   struct atom_span key);
/* After the writer has ended: throw away what is left; how many. */
size_t behind_drop(void);

/* --- metrics.c ----------------------------------------------------------- */

enum state_result {
	STATE_RESULT_OK,
	STATE_RESULT_CONFLICT,
	STATE_RESULT_REFUSED, /* queue full or degraded */
	STATE_RESULT_FAILED,
	STATE_RESULT_COUNT
};

void metrics_declare(void);
void metrics_count(enum state_result result);
void metrics_observe(int64_t nanoseconds);
void metrics_up(bool up);
void metrics_queue(size_t depth);
void metrics_behind(size_t bytes);
void metrics_behind_refused(void);
void metrics_damaged(void);
void metrics_rewrap_left(uint64_t left);

#endif
