/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_SEQUENCER_PRIV_H
#define AUDIT_SEQUENCER_PRIV_H

/*
 * What the two halves of the sequencer share: sequencer.c waits, lingers and
 * decides what is next; commit.c numbers a batch, makes it durable and signs
 * heads.  All of it is the one thread's own.
 */

#include "audit/audit_priv.h"

#define BATCH_RECORDS 512
/* While nobody waits for it: calls, thousands of which share one sync. */
#define BATCH_RECORDS_CALLS BATCH_SPARE_RECORDS
#define HEAD_EVERY_NS	    ((int64_t)1000000000)
#define DELAY_FIRST_NS	    ((int64_t)100 * 1000000)

struct sequencer {
	/* Taken from the mailbox, in order. */
	struct message *first, *last;
	size_t queued;	/* how many those are */
	size_t waiting; /* and how many of them somebody waits for */
	/* Entries that have ended, not taken off the counters that posters
	 * change, too. */
	size_t ended, ended_bytes;
	struct message *job_first, *job_last;
	/* The batch that is being made durable, and those who wait. */
	struct audit_batch *batch;
	struct audit_waiter *waiters[BATCH_RECORDS];
	size_t waiter_count;
	size_t expected; /* waiters of the batch before */
	int64_t head_ns; /* when the next head is due */
	int64_t retry_ns;
	int64_t delay_ns;
	unsigned int tries;
	bool head_failed;
};

extern struct sequencer seq;

bool sequencer_is_failing(void);
/* Records that no signed head covers yet. */
bool sequencer_has_unsigned(void);
/* Takes what waits into seq.batch; false when that was nothing. */
bool commit_make_batch(void);
/* Makes seq.batch durable and tells those who wait; false: it stays for the
 * next try. */
bool commit_batch(void);
/* The head as it is now, signed; NULL: `err` says why. */
struct audit_head *commit_make_head(struct atom_error *err);
/* Signs the head when records came since the last one. */
void commit_head(void);
/* Nobody shall wait for what may take for ever; the records stay. */
void commit_release_waiting(void);
/* The entry is written, or thrown away. */
void commit_entry_done(struct audit_entry *entry);
/* What has ended makes room. */
void commit_settle(void);

#endif
