/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_AUDIT_H
#define AUDIT_AUDIT_H

/*
 * The audit log as the rest of the daemon sees it.
 *
 * Any thread posts records; one thread, the sequencer, takes what waits, gives
 * each its number, time and place in the chain, hands the batch to the
 * required sink and has it made durable by one sync, and only then tells
 * those who wait, on their loops.  The other sinks each have a thread of their
 * own and follow at their own pace.
 *
 *	post ──► mailbox ──► batch (512 records, 256 KiB, 1 ms) ──► write, sync
 *	                     (2048, 1 MiB where nobody waits)         │
 *	            other sinks ◄── window of the last batches ◄──────┤
 *	            done() on the waiter's loop ◄─────────────────────┘
 *
 * Without sinks in the configuration nothing is recorded: audit_post() says
 * ATOM_ENOENT, and whoever is gated by it goes ahead.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <atomd/plugin.h>

#include "audit/call.h"
#include "audit/record.h"
#include "config/config.h"
#include "core/buffer.h"
#include "core/loop.h"

/* --- posting ------------------------------------------------------------- */

enum audit_urgency {
	/* Within a second; the first to go when the ring fills: counted, and
	 * a record tells of the gap.  For calls. */
	AUDIT_BATCHED,
	/* With the next batch.  For what has happened already. */
	AUDIT_SOON,
	/* The same, and refused while the required sink fails: for what shall
	 * not happen unrecorded. */
	AUDIT_GATED
};

/* Embedded in the caller's object; lives until `done`. */
struct audit_waiter {
	struct message message;
	struct loop *loop; /* where `done` runs */
	/* ATOM_OK: the record is durable.  ATOM_EUNAVAILABLE: it is not, and
	 * may or may not become so later. */
	void (*done)(struct audit_waiter *waiter, atom_status status);
	atom_status status;
};

/* [any] The record is copied.  ATOM_OK: the waiter (may be NULL) is told
 * exactly once, later; any other answer: it never is.
 *
 * ATOM_ENOENT: nothing is recorded in this configuration.
 * ATOM_EUNAVAILABLE: the required sink fails, hangs or the ring is full, or
 * the waiter is control's, which ends;
 * records that are not AUDIT_GATED are kept nevertheless while there is
 * room.  ATOM_ENOMEM. */
atom_status audit_post(const struct audit_record *record,
		       enum audit_urgency urgency, struct audit_waiter *waiter);
/* [any] The same of a call of an agent. */
atom_status audit_post_call(const struct audit_call *call,
			    enum audit_urgency urgency,
			    struct audit_waiter *waiter);
/* [any] Are there sinks? */
bool audit_enabled(void);
/* [any] How calls are recorded (security.audit_calls). */
enum config_audit_calls audit_calls(void);

/* --- life ----------------------------------------------------------------- */

/* [control] `-t`: do the sinks exist, are their options right? */
atom_status audit_check(const struct config *config, struct buffer *errors);
/* [control] Declares metrics; opens the sinks of the configuration, waits for
 * the required one and takes its log up.  ATOM_OK without sinks.  Anything
 * else: the log cannot be taken up, `err` says why and what to do; the daemon
 * may serve calls, but control actions are refused. */
atom_status audit_start(struct config *config, struct atom_error *err);
/* [control] ATOM_OK: the log is taken up, or none is wanted.  ATOM_ETIMEOUT: the
 * required sink opens still, later than audit_start() waits.  Anything else:
 * the log cannot be taken up, and `err` says why. */
atom_status audit_taken_up(struct atom_error *err);
/* [control] The first half of a reload, before anything else of it counts: the
 * log goes on in the required sink of `config`, if it is another one and can be
 * read.  ATOM_OK: it does, or there was nothing to do.  Anything else: the one
 * before goes on, and `err` says why.  Waits for at most some 20 s. */
atom_status audit_hand_over(struct config *config, struct atom_error *err);
/* [control] The other half: the sinks beside it, added, removed and changed.
 * *needs_restart_r names the key when the required sink is still another
 * (there is none any more, or it cannot be read), else it is untouched. */
void audit_apply(struct config *config, const char **needs_restart_r);
/* [control] Once a second: looks after sinks that hang, that open late,
 * or that a reload has taken out. */
void audit_tick(void);
/* [control] After the loops have ended: what was posted is written, the last
 * head signed, the threads ended.  What makes no progress for 10 s is left
 * behind. */
void audit_stop(void);

/* {"log_id","verifier","sequence","state","sinks":[...]}, or null. */
json_t *audit_describe(void);

/* --- looking back ---------------------------------------------------------- */

#define AUDIT_WORD_MAX	80
#define AUDIT_LIMIT_MAX 10000

/* What to look for; "" and 0 look for anything. */
struct audit_query {
	char user[AUDIT_WORD_MAX];
	char type[AUDIT_WORD_MAX]; /* "key.create"; "key." is a prefix */
	char category[AUDIT_WORD_MAX];
	char request[AUDIT_WORD_MAX];
	int64_t since_ms; /* at or after */
	int64_t until_ms; /* before */
	uint64_t after;	  /* sequence above this one */
	uint64_t limit;	  /* the last so many */
};

/* A piece of work for the sequencer's thread, between batches. */
struct audit_job {
	struct message message;
	/* Does a piece of it; true: it has ended and told its waiter. */
	bool (*step)(struct audit_job *job);
};

struct audit_search {
	struct audit_waiter waiter; /* `done` by the caller */
	struct audit_query query;
	/* Lines in rising order, each ended by '\n'. */
	struct buffer lines;
	uint64_t count;
	uint64_t last; /* sequence of the log when it was searched */
	struct atom_error error;
	/* The search's own. */
	struct audit_job job;
	uint64_t upper; /* what is above it has been looked at */
};

/* [any] Searches the required sink, on its thread, a piece at a time between
 * batches.  Set query, waiter.loop and waiter.done; zero the rest.  `done`
 * runs exactly once, later, when ATOM_OK is answered.  ATOM_ENOENT: nothing is
 * recorded; ATOM_ENOTSUP: the sink cannot be read; ATOM_EBUSY: too many
 * searches. */
atom_status audit_search(struct audit_search *search);
void audit_search_fini(struct audit_search *search);

struct audit_prune {
	struct audit_waiter waiter;
	/* One of the two: forget records before this time, or this number. */
	int64_t before_ms;
	uint64_t before_sequence;
	uint64_t sequence; /* what it came to: up to this one */
	uint64_t removed;
	struct atom_error error;
	/* Its own: the records between which the time lies. */
	struct audit_job job;
	uint64_t low;
	uint64_t high;
};

/* [any] As audit_search(). */
atom_status audit_prune(struct audit_prune *prune);

#endif
