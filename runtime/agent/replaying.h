/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_REPLAYING_H
#define AGENT_REPLAYING_H

/*
 * A rollout that waits for a replay of recorded inputs (gateway/replay.h) before
 * its first weight: its gate, and what is kept of it.
 *
 * That a revision is to be replayed is stored with the revision, in one
 * transaction; how the replay ended with the rollout, before any weight.  The
 * inputs are nobody's to keep: a daemon that ends meanwhile gives the new
 * revision up at its next start, and says so.  A person's `promote --full` goes
 * past it.
 *
 *	pending ─► passed: the gate opens; a person may be waited for
 *	   '─────► failed: the way back
 *
 * All of it [control].
 */

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include <atomd/plugin.h>

#include "config/config.h"
#include "core/buffer.h"
#include "core/json_scan.h"

struct agent;
struct live;
struct rollout_seen;

enum replay_state {
	REPLAY_NONE,
	REPLAY_PENDING,
	REPLAY_PASSED,
	REPLAY_FAILED
};

struct replaying {
	int state;	  /* enum replay_state */
	char cause[32];	  /* of a failure */
	char reason[240]; /* how it ended */
	json_t *report;	  /* what it came to; NULL: nothing yet */
};

/* --- its rollout's ------------------------------------------------------------- */

/* A rollout begins: is its new revision to be replayed? */
void replaying_begin(struct live *live);
/* What it adds to what the host sees. */
void replaying_look(const struct live *live, struct rollout_seen *seen);
/* ATOM_ESTATE: it may not begin again without its inputs. */
atom_status replaying_retry(const struct live *live, struct atom_error *err);
/* {"state","reason","report"}, or null.  New. */
json_t *replaying_describe(const struct live *live);
/* `,"replay":{...}` of the rollout's row; nothing where there is none. */
atom_status replaying_encode(const struct live *live, struct buffer *out);
/* Of a row; one that was pending has failed. */
void replaying_decode(struct live *live, const struct json_span *kept);
void replaying_fini(struct live *live);

/* --- whoever replays ------------------------------------------------------------ */

struct replay_order {
	char agent[64];
	int64_t from;
	int64_t to;
	int on_undecided;	     /* enum rollout_at_end */
	struct config_grader grader; /* copies, mem_free() each; else "" */
	char *grader_agent;
	char *grader_criteria;
};

/* ATOM_ESTATE: this rollout waits for none.  ATOM_ENOMEM. */
atom_status replaying_order(const char *id, struct replay_order *order_r);
/* Can its new revision be asked?  ATOM_EBUSY: not yet.  ATOM_ESTATE: the
 * rollout does not wait for it any more. */
atom_status replaying_ready(const char *id);
/* What is known so far; takes the report. */
void replaying_progress(const char *id, json_t *report);
/* It is over.  `cause` NULL: it passed, and where `pause` says so, a person is
 * waited for; else the rollout goes back. */
void replaying_end(const char *id, const char *cause, bool pause,
		   const char *reason);

#endif
