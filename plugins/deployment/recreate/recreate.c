/* SPDX-License-Identifier: Apache-2.0 */

/*
 * deployment/recreate: the old revision ends before the new one begins.
 *
 *	0: new calls wait, the old one finishes what it has and ends
 *	1: the new one starts; with its first instance the calls go on
 */

#include <atomd/deployment.h>

#include "plugins/deployment/plan/plan.h"

enum {
	STEP_ENDING,
	STEP_STARTING,
	STEPS
};

static void end_old(const struct atom_observation *seen, struct atom_plan *plan)
{
	plan_act(plan, ATOM_ACT_HOLD, 1);
	plan_act(plan, ATOM_ACT_SET_WEIGHT, ATOM_WEIGHT_ALL);
	plan_act(plan, ATOM_ACT_SET_OLD, 0);
	if (seen->weight == ATOM_WEIGHT_ALL && seen->old_wanted == 0 &&
	    seen->old_ready == 0 && seen->old_in_flight == 0) {
		plan_act(plan, ATOM_ACT_STEP, STEP_STARTING);
		plan_act(plan, ATOM_ACT_SET_NEW, plan_agent_wanted(seen));
		plan_reason(plan, "the old instances have ended: starting %d",
			    (int)plan_agent_wanted(seen));
		return;
	}
	plan_reason(plan,
		    "new calls wait; %d old instances with %d calls are "
		    "ending",
		    seen->old_ready, seen->old_in_flight);
}

static void start_new(const struct atom_observation *seen,
		      struct atom_plan *plan)
{
	int32_t wanted = plan_agent_wanted(seen);

	plan_act(plan, ATOM_ACT_SET_NEW, wanted);
	plan_reason(plan, "%d of %d new instances ready", seen->new_ready,
		    (int)wanted);
	if (seen->new_ready >= wanted)
		plan_act(plan, ATOM_ACT_PROMOTE, 0);
}

static atom_status advance(void *self, const struct atom_observation *seen,
			   void *state, size_t *state_size,
			   struct atom_plan *plan, struct atom_error *err)
{
	(void)self;
	(void)state;
	(void)err;
	*state_size = 0;
	plan->steps = STEPS;
	if (seen->step == STEP_ENDING)
		end_old(seen, plan);
	else
		start_new(seen, plan);
	return ATOM_OK;
}

static const struct atom_deployment_ops ops = {
	.struct_size = sizeof(ops),
	.create = component_create,
	.destroy = component_destroy,
	.advance = advance,
};

ATOM_PLUGIN("recreate", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT_PLAIN(ATOM_KIND_DEPLOYMENT, "recreate",
				 "the old revision ends before the new one "
				 "begins",
				 &ops));
