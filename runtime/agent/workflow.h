/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_WORKFLOW_H
#define AGENT_WORKFLOW_H

/*
 * What is found out about a new revision before it gets its first weight, in
 * five steps, each by trying and not by reading a setting back:
 *
 *	system_initialization	its record is kept, its plugin is there, an
 *				instance has started
 *	security_setup		its secrets cannot be read in what is shown of
 *				it; how its upstream is verified; who may call
 *	monitoring_activation	its series are in the registry, the history
 *				takes samples, an event has reached every
 *				monitor
 *	health_verification	the agent's `probe`, a real call through the
 *				new revision, within the agent's `bad_events`;
 *				without a probe: all asked instances are ready
 *	production_readiness	room for the full size, certificates, a record
 *				that the required audit sink has made durable,
 *				compliance as far as it is demanded
 *
 * Steps run one after the other, beside the controller's looks; capacity comes
 * meanwhile, weight does not (the gate of rollout.h).  A step that fails, or
 * takes longer than `step_timeout_ms`, ends the workflow, `partial`, and the
 * rollout goes back.  Steps change nothing that a second run would not change
 * again: after a restart the workflow of a rollout that has not passed begins
 * with the first.  A rollout whose steps are skipped (`reload --now`,
 * `promote --full`, the same content, a swap) has a workflow that is skipped.
 *
 *	workflow_look -> seen.gate -> rollout_advance -> workflow_follow -> store
 *
 * All of it [control].
 */

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include <atomd/plugin.h>

struct config;
struct live;
struct rollout_seen;
struct workflow;

/* --- what others find out for it ----------------------------------------------- */

struct workflow_preview {
	const char *agent; /* these live during the call */
	const char *revision;
	const char *input;
	int64_t timeout_ms;
};

struct workflow_previewed {
	atom_status status;
	const char *message; /* of a failure, else "" */
	int64_t duration_ms;
	int64_t tokens; /* of input and answer */
	int64_t output_bytes;
};

/* `done` runs once each, within the call or later, on control. */
struct workflow_outside {
	/* One call of that revision, whatever its weight.  What it returns
	 * stands for the call until `done`; NULL: that has run. */
	void *(*preview)(const struct workflow_preview *preview,
			 void (*done)(void *argument,
				      const struct workflow_previewed *result),
			 void *argument);
	/* Nobody waits for it any more; `done` comes all the same. */
	void (*cancel)(void *preview);
	/* The daemon's configuration; no reference is taken. */
	struct config *(*config)(void);
	/* The compliance report; lives during `done`. */
	void (*comply)(void (*done)(void *argument, atom_status status,
				    json_t *report,
				    const struct atom_error *err),
		       void *argument);
};

/* At start, copied; without it a probe, and a demand for compliance, fail. */
void workflow_set_outside(const struct workflow_outside *outside);

/* --- a rollout's ------------------------------------------------------------------ */

/* A new one for the rollout, in place of the one it has.  ATOM_ENOMEM: it has
 * none, and its gate stays closed. */
atom_status workflow_new(struct live *live);
/* As it was kept (NULL: nothing was); one that had not ended begins again. */
atom_status workflow_recall(struct live *live, const json_t *kept);
/* Answers that are still to come are nobody's. */
void workflow_end(struct live *live);
void workflow_free(struct live *live);

/* Before a look: goes on as far as it can, and says what the gate is. */
void workflow_look(struct live *live, struct rollout_seen *seen);
/* After it: a rollout that has ended, or skips its steps, ends its workflow. */
void workflow_follow(struct live *live);
bool workflow_runs(const struct live *live);

/* {"status": "running" | "success" | "partial" | "skipped",
 * "successful_steps", "total_steps", "steps": [{"name", "status": "pending" |
 * "running" | "success" | "failed" | "skipped", "result", "evidence": [...],
 * "duration_ms"}]}; also what is kept.  New; NULL: there is none. */
json_t *workflow_describe(const struct live *live);

#endif
