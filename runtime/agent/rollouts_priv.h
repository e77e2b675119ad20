/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_ROLLOUTS_PRIV_H
#define AGENT_ROLLOUTS_PRIV_H

/*
 * A rollout that runs, or the last one that ran, as this folder keeps it:
 * rollouts_begin.c begins, rollouts_swap.c
 * goes back and forth between warm revisions, rollouts.c looks, rollouts_act.c carries out, rollouts_keep.c stores and
 * resumes, rollouts_view.c tells.  [control]
 */

#include "agent/agents_priv.h"
#include "agent/directory_priv.h"
#include "agent/replaying.h"
#include "agent/rollouts.h"
#include "agent/trial.h"
#include "rollout/rollout.h"

struct asked {
	struct asked *next;
	rollouts_done done;
	void *argument;
};

/* What webhooks.c keeps of a rollout. */
struct live_webhooks {
	bool began;
	int32_t attempt;
	int32_t open; /* asked, and not answered */
	bool before_done;
	int32_t step_cleared;
	bool after_sent;
	char failed[ATOM_DEPLOYMENT_REASON_MAX]; /* "": none has */
};

struct live {
	struct agent *agent; /* NULL: nobody's any more, but for the store */
	char id[ROLLOUT_ID_MAX];
	/* Large; gone once it is over and stored.  What is left of it then: its
	 * bytes, and its status. */
	struct rollout *state;
	char *kept;
	json_t *last;
	struct rollout_orders orders; /* of the last look */

	/* --- while it is not over --- */
	struct revision *from; /* references */
	struct revision *to;
	struct trial *trial;
	/* What `to` is made of, to make it again; references. */
	struct config *to_config;
	const struct config_agent *to_settings;
	struct config *config;		     /* of what follows */
	const struct config_agent *settings; /* as they were when it began */
	struct configured *strategy;
	struct configured *judge; /* NULL: none */
	struct timer timer;

	struct workflow *workflow; /* workflow.h; kept as long as `state` */
	struct live_webhooks webhooks;
	char gate_reason[ATOM_DEPLOYMENT_REASON_MAX];
	char frozen_reason[480]; /* of the last look, or "" */

	/* --- storing --- */
	bool storing;
	bool store_again; /* it has moved on meanwhile */
	struct asked *asked;
	char store_error[160]; /* why it waits, or "" */

	/* --- what is done already --- */
	struct rollout_orders done; /* in force: stored, or a way back */
	bool published;
	bool swapping; /* the two have changed places, but not in force yet */
	int32_t told_step; /* as told */
	int32_t told_weight;
	int32_t told_phase; /* -1: nothing yet */
	int32_t told_outcome;
	bool measured; /* the gauge has */
	int64_t measured_from;
	int64_t measured_to;
	int32_t measured_weight;
	int64_t last_new_ns; /* of a trial that is gone; so is */
	int64_t mirrored[MIRRORED_RESULTS];
	json_t *graded;	   /* NULL: none */
	int64_t abort_ns;  /* when it was ordered; 0 = never */
	bool undone;	   /* of one that had been promoted */
	bool retried;	   /* after an abort; the agent's row is kept with it */
	int64_t closed_ns; /* when no call could go there any more */

	struct replaying replaying;

	char *who;
	char *why;
};

/* A state from `from` to `to`, which need be no references yet; `swap`: they
 * have changed places already. */
atom_status live_begin_state(struct live *live,
			     const struct rollout_start *start, bool swap,
			     struct atom_error *err);
/* Takes what is needed to run between these two into *live_r, which is the
 * agent's then. */
atom_status live_resume(struct agent *agent, struct revision *from,
			struct revision *to, struct live **live_r,
			struct atom_error *err);
/* A look now; and again when it says so. */
void live_look(struct live *live);
void live_look_after(struct live *live, int64_t after_ms);
void live_on_timer(struct timer *timer);
/* Nothing of it runs any more; its state stays to be told, and to be tried
 * again. */
void live_end(struct live *live);
void live_free(struct live **at);

/* --- rollouts_act.c --- */
/* This revision's text is the agent's, in place of what was accepted last. */
void live_put_text(struct live *live, const struct revision *revision);
/* So is what of it is no part of a revision: scaling and limits. */
void live_follow_settings(struct agent *agent, const struct revision *revision);
/* Does what the orders say; may be repeated. */
void live_act(struct live *live);
/* How the agent's calls are split. */
void live_split(const struct live *live, struct split *split_r);
/* Instances of one of its revisions; false: it is none of them. */
bool live_size(const struct live *live, const struct revision *revision,
	       int64_t *instances_r);
struct live *live_find(const char *agent_or_id);
json_t *live_describe(const struct live *live);
/* How its answers were graded, or null; new. */
json_t *live_graded(const struct live *live);
/* From a row of the store.  NULL: no memory, or damaged, which is logged. */
struct live *live_decode(const char *agent, const char *row, size_t length);
/* Of an aborted one: its revision again, and from the first step. */
atom_status live_retry(struct live *live, struct atom_error *err);
/* A record that all but one step of its workflow are done; the waiter as
 * audit_post() has it. */
struct audit_waiter;
atom_status live_record_checked(const struct live *live,
				struct audit_waiter *waiter);
/* Logs, records and publishes an event with what changed. */
void live_tell(struct live *live);

/* --- rollouts_keep.c --- */
/* Stores the state; live_stored() comes.  Not ATOM_OK: it does not. */
atom_status live_store(struct live *live, struct atom_error *err);
void live_stored(struct live *live, atom_status status, const char *message);

#endif
