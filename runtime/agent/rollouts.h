/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_ROLLOUTS_H
#define AGENT_ROLLOUTS_H

/*
 * Rollouts that run: what the controller (rollout/rollout.h) orders, done to
 * pools and to the routing snapshot.
 *
 * An agent has at most one.  It moves the agent from its stable revision to
 * its candidate (agents_priv.h), by the strategy and the judge that the
 * agent's `deployment` names.  Each step is stored before it is done, in the
 * store's bucket "rollouts" under the agent's name; what takes weight away from
 * a bad revision is done first and stored at once after.  At start, an agent
 * whose rollout was under way has both revisions made again, from their
 * records, and goes on.
 *
 *	candidate set ─► rollouts_begin ─► look ─► store ─► orders ─► look ...
 *	                                     │                └ weights: one swap
 *	                                     └ urgent: orders, then store
 *
 * All of it [control].
 */

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include <atomd/plugin.h>

#include "config/config.h"
#include "core/buffer.h"

struct agent;

/* Metrics, timers. */
atom_status rollouts_init(struct atom_error *err);
/* No more looks; what is stored is resumed by the next start. */
void rollouts_stop(void);
void rollouts_fini(void);

/* Are the strategy, the judge and the host's own keys of the agent's
 * `deployment` right?  Faults are added to `errors`. */
void rollouts_check(const struct config_agent *settings, struct buffer *errors);

/* --- beginning ---------------------------------------------------------------- */

struct rollout_start {
	const char *who; /* a principal's name; "" = the file's */
	const char *why; /* "" = not said */
	bool full;	 /* steps and judge are skipped */
	/* Another rollout that is under way: refuse this one (ATOM_ESTATE,
	 * with its id), or take its place. */
	bool refuse_second;
};

/* The agent has a candidate beside its stable revision, and it shall come in.
 * The settings in force say how (scaler->settings).  Where a rollout to
 * another candidate is under way, that one is over and the weight back on the
 * stable revision when this returns.  ATOM_EINVAL: the strategy cannot be
 * made. */
atom_status rollouts_begin(struct agent *agent,
			   const struct rollout_start *start,
			   struct atom_error *err);
/* At start, when every agent has its candidate and none is stable yet: takes up
 * what was under way. */
void rollouts_resume(const struct config *defaults);
/* Begins no second one, but says whether rollouts_begin() would refuse. */
bool rollouts_busy(const struct agent *agent);
/* The agent goes, or its candidate is given up or put in force by others: its
 * rollout is over. */
void rollouts_forget(struct agent *agent);

/* Why no rollout of the agent may go forward now (a freeze), or NULL; asked
 * at each look. */
void rollouts_on_freeze(const char *(*frozen)(const char *agent));
/* Its answer is another one now: all look at once. */
void rollouts_look(void);
/* Brings atomd_rollout_weight of the agent up to date. */
void rollouts_measure(const struct agent *agent);

/* --- looking, and a person's word ------------------------------------------------ */

/* CONTRACT 7's `rollout status` of an agent's running or last rollout, by the
 * agent's name or the rollout's id; NULL: there is none.
 * "waits_for", while it is paused: "person", "time", "thaw", "webhook".  New. */
json_t *rollouts_status(const char *agent_or_id);

enum rollout_order {
	ROLLOUT_ORDER_PROMOTE,	    /* the pause is over */
	ROLLOUT_ORDER_PROMOTE_FULL, /* so are all steps and the judge */
	ROLLOUT_ORDER_ABORT,	    /* back, at once; promoted: the undo */
	ROLLOUT_ORDER_PAUSE,
	ROLLOUT_ORDER_RESUME,
	ROLLOUT_ORDER_RETRY /* of an aborted one: from its first step */
};

/* How it went, once, within the call or later: after the order is stored, and
 * an abort is in force before.  ATOM_OK: `result` is the status, the
 * receiver's.  ATOM_ENOENT: no such rollout; ATOM_ESTATE: not possible where
 * it is; others: the store's. */
typedef void (*rollouts_done)(void *argument, atom_status status,
			      json_t *result, const char *message);
void rollouts_order(const char *agent_or_id, enum rollout_order order,
		    rollouts_done done, void *argument);

/* Is a revision kept warm, so that going back to it is one swap of the
 * snapshot?  Its number, else 0. */
int64_t rollouts_warm(const struct agent *agent);

/* The one that is kept warm serves, and the one that served is kept warm from
 * now on, as long as the other was to be: a rollout of its own, promoted when
 * this returns; stored at once after, and then `done` comes, with its status.
 * Its "abort" says how fast it was.  ATOM_ESTATE, and nothing is done and
 * nothing called: none is warm, or none of its instances is ready; others:
 * no memory. */
atom_status rollouts_swap(struct agent *agent,
			  const struct rollout_start *start, rollouts_done done,
			  void *argument, struct atom_error *err);

#endif
