/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_TRIAL_H
#define AGENT_TRIAL_H

/*
 * Two revisions of an agent side by side: which one a call goes to, and what
 * the calls of each came to.
 *
 * A trial is one rollout's.  The routing snapshot names it beside the weight;
 * a call that is assigned takes a reference, remembers the weight it was
 * assigned by, and is counted there at its one end, whatever the weight is by
 * then.  A judge needs exactly this: counts by (weight at assignment,
 * revision), each call given to the new revision with the probability of its
 * cell, independently of all that came before.
 *
 * Sessions are split by a hash with the trial's own salt: the new revision
 * has those below its weight, so that, as the weight grows, a session moves
 * at most once, and never back.  A session counts once in a trial, with the
 * first of its calls that counts: its revision was drawn with the weight of
 * that moment.  Later calls of it are no draws of their own; and what happens
 * before a session moves would be held against the revision that keeps its
 * sessions longer.
 *
 * Counted on the loops by relaxed atomics, read by control.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/deployment.h>

#include "agent/grading.h"
#include "agent/mirroring.h"
#include "config/config.h"

struct revision_outcome;
struct trial;

/* Weights that a trial can tell apart; calls at further ones do not count. */
#define TRIAL_WEIGHTS_MAX 64

/* How a call came to its revision. */
struct assignment {
	struct trial *trial; /* a reference, or NULL: there is nothing to count
			      */
	uint64_t session;    /* its hash, 0 = none */
	int32_t cell;	     /* trial_weight()'s */
	int32_t weight;	     /* of the new revision at that time */
	bool is_new;
	bool mirrored; /* chosen to be repeated by the new revision */
	bool graded;   /* chosen to have its answer scored */
};

/* [control] A reference for the caller, or NULL without memory.  The salt is
 * kept with the rollout, so that a restart moves no session. */
struct trial *trial_new(uint64_t salt, const struct config_bad_events *bad);
/* Answers are graded from now on, where feedback counts at all.  Before the
 * trial is in a snapshot.  ATOM_ENOMEM. [control] */
atom_status trial_grade(struct trial *trial, const struct config_grader *with);
/* The number of this weight's cells, new ones if need be; -1: there is no
 * room.  [control] */
int32_t trial_weight(struct trial *trial, int32_t weight);
/* The cells that hold a call, the old revision's first, in the order in which
 * the weights came; at most `max`.  [control] */
size_t trial_cells(const struct trial *trial, struct atom_cell *cells,
		   size_t max);
/* Bits 1 << ATOM_BAD_* of what counts as bad. */
uint32_t trial_kinds(const struct trial *trial);

/* --- any thread holding a reference --- */
void trial_ref(struct trial *trial);
void trial_unref(struct trial *trial); /* NULL: nothing */
/* The hash of a session of this principal, never 0. */
uint64_t trial_session(const struct trial *trial, const char *principal,
		       const char *session);
/* Does a session with this hash go to the new revision? */
bool trial_session_is_new(uint64_t session, int32_t weight);
/* No call goes to the new revision any more, in whatever snapshot: faster than
 * any snapshot can be made.  For good. [control] */
void trial_close(struct trial *trial);
bool trial_is_closed(const struct trial *trial);
/* A call has been given to the new revision: when the last one was. */
void trial_note_new(struct trial *trial);
int64_t trial_last_new_ns(const struct trial *trial);

/* Of its graded answers. */
struct grading *trial_grading(struct trial *trial);
/* Of its mirrored calls. */
struct mirroring *trial_mirroring(struct trial *trial);
/* A mirrored call: what the stable revision's and the new one's came to, in
 * `cell`, trial_weight()'s of one half.  Each pair counts, whatever its
 * session: which of the two has a bad event is as good as drawn each time. */
void trial_count_pair(struct trial *trial, int32_t cell,
		      const struct revision_outcome *old_outcome,
		      const struct revision_outcome *new_outcome);

/* The one end of a call.  True: it counted, and trial_rate() may be told. */
bool trial_count(const struct assignment *assignment,
		 const struct revision_outcome *outcome);
/* Feedback to a call that counted: `change` of the number of those rated below
 * the bound, 1 or -1. */
void trial_rate(const struct assignment *assignment, int change);
/* Below this score feedback counts against the revision; 0 = it does not. */
double trial_rated_below(const struct trial *trial);
/* Does it matter whether an answer is JSON? */
bool trial_wants_json(const struct trial *trial);

#endif
