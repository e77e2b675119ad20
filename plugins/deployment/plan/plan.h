/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DEPLOYMENT_PLAN_PLAN_H
#define DEPLOYMENT_PLAN_PLAN_H

/*
 * What deployment strategies share: writing the plan, parts of an agent's
 * instances, and how long a state has held.  Compiled into each of them, with
 * the life (component.h) and the memory (memory.h) that scaling strategies
 * have.
 */

#include <stdint.h>

#include <atomd/deployment.h>

#include "plugins/scaling/formula/component.h"
#include "plugins/scaling/formula/memory.h"

/* Appends; the plan has room for all that a strategy of ours says at once. */
void plan_act(struct atom_plan *plan, int32_t what, int64_t value);

ATOM_PRINTF(2, 3)
void plan_reason(struct atom_plan *plan, const char *format, ...);

/* The agent's instances, of a host that does not tell: the old one's. */
int32_t plan_agent_wanted(const struct atom_observation *seen);
/* `percent` of them rounded up, at least 1. */
int32_t plan_instances(const struct atom_observation *seen, double percent);
/* Of ten thousand. */
int32_t plan_weight(double percent);

/* Since when something has held, without the time that was paused.  Zeroed:
 * since never. */
struct plan_since {
	int64_t now_ms;
	int64_t paused_ms;
	int32_t step;
	int32_t holds;
};

/* It holds: from now on, or still since then in the same step. */
void plan_hold(struct plan_since *since, const struct atom_observation *seen);
/* Milliseconds, never below 0. */
int64_t plan_held_ms(const struct plan_since *since,
		     const struct atom_observation *seen);

#endif
