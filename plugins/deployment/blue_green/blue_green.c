/* SPDX-License-Identifier: Apache-2.0 */

/*
 * deployment/blue_green: the new revision at full size beside the old one,
 * then one switch.
 *
 *	0 prepare   as many new instances as the agent has
 *	1 preview   reachable by the header x-atomd-revision; calls may be
 *	            mirrored and judged; then the switch, or a person
 *	2 switched  all calls but those held back to compare with; judged
 *
 * The old revision keeps its instances throughout, and for the host's
 * rollback window after: going back is one switch.
 */

#include <atomd/deployment.h>

#include "plugins/deployment/plan/plan.h"

#define DAY_MS 86400000.0

enum {
	STEP_PREPARE,
	STEP_PREVIEW,
	STEP_SWITCHED,
	STEPS
};

struct blue_green_options {
	int64_t pre_switch;
	double mirror_percent;
	int32_t auto_switch;
	int64_t post_switch;
	double hold_back_percent;
};

#define OPTIONS struct blue_green_options

static const struct atom_option blue_green_table[] = {
	ATOM_OPTION_DURATION(OPTIONS, pre_switch, "0", 0, 30 * DAY_MS,
			     ATOM_RELOADABLE,
			     "preview so long before the switch, or until the "
			     "judge says that the new one is not worse"),
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, mirror_percent, "0", 0, 100,
			       ATOM_RELOADABLE, "%",
			       "of the calls are mirrored during the preview, "
			       "so that there is something to judge"),
	ATOM_OPTION_BOOL(OPTIONS, auto_switch, "true", ATOM_RELOADABLE,
			 "switch when the preview is over; false: a person "
			 "promotes"),
	ATOM_OPTION_DURATION(OPTIONS, post_switch, "5m", 0, 30 * DAY_MS,
			     ATOM_RELOADABLE,
			     "judge so long after the switch, or until the "
			     "judge says that the new one is not worse"),
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, hold_back_percent, "5", 0, 50,
			       ATOM_RELOADABLE, "%",
			       "of the calls stay with the old one meanwhile, "
			       "to compare with; 0: only a judge that does not "
			       "compare can say anything"),
};

static const struct memory_kind memory_kind = { MEMORY_WORD('b', 'l', 'g', 'r'),
						1 };

/* Is the time of this step over? */
static int is_over(const struct atom_observation *seen,
		   struct plan_since *since, int64_t ms)
{
	plan_hold(since, seen);
	return plan_held_ms(since, seen) >= ms ||
	       seen->analysis == ATOM_ANALYSIS_SUCCESSFUL ||
	       seen->person == ATOM_PERSON_PROMOTE;
}

static void switch_over(const struct blue_green_options *options,
			const struct atom_observation *seen,
			struct atom_plan *plan)
{
	double back = options->post_switch > 0 ? options->hold_back_percent : 0;

	plan_act(plan, ATOM_ACT_STEP, STEP_SWITCHED);
	if (seen->mirror > 0) {
		plan_act(plan, ATOM_ACT_SET_MIRROR, 0);
		plan_act(plan, ATOM_ACT_ANALYSE, 1);
	}
	plan_act(plan, ATOM_ACT_SET_WEIGHT, plan_weight(100 - back));
	plan_reason(plan, "switching %g %% of the calls", 100 - back);
}

static void prepare(const struct blue_green_options *options,
		    const struct atom_observation *seen, struct atom_plan *plan)
{
	int32_t wanted = plan_agent_wanted(seen);

	plan_reason(plan, "%d of %d instances ready", seen->new_ready,
		    (int)wanted);
	if (seen->new_ready < wanted)
		return;
	plan_act(plan, ATOM_ACT_STEP, STEP_PREVIEW);
	if (options->mirror_percent > 0 && options->pre_switch > 0)
		plan_act(plan, ATOM_ACT_SET_MIRROR,
			 plan_weight(options->mirror_percent));
	plan_reason(plan, "all %d instances are ready: preview",
		    seen->new_ready);
}

static void preview(const struct blue_green_options *options,
		    const struct atom_observation *seen,
		    struct plan_since *since, struct atom_plan *plan)
{
	int64_t held;

	if (!is_over(seen, since, options->pre_switch)) {
		held = plan_held_ms(since, seen);
		plan_act(plan, ATOM_ACT_WAIT, 0);
		plan_reason(plan, "preview, %lld of %lld s",
			    (long long)held / 1000,
			    (long long)options->pre_switch / 1000);
	} else if (!options->auto_switch && seen->pauses == 0 &&
		   seen->person != ATOM_PERSON_PROMOTE) {
		plan_act(plan, ATOM_ACT_PAUSE, 0);
		plan_reason(plan,
			    "ready_for_switch: %d instances are ready, "
			    "promote switches",
			    seen->new_ready);
	} else {
		switch_over(options, seen, plan);
	}
}

static void switched(const struct blue_green_options *options,
		     const struct atom_observation *seen,
		     struct plan_since *since, struct atom_plan *plan)
{
	int64_t held;

	if (seen->weight == 0) {
		plan_reason(plan, "nothing is ready to switch to");
		return;
	}
	if (is_over(seen, since, options->post_switch)) {
		plan_act(plan, ATOM_ACT_PROMOTE, 0);
		plan_reason(plan, "switched, and nothing speaks against it");
		return;
	}
	held = plan_held_ms(since, seen);
	plan_reason(plan, "switched, judged for %lld of %lld s",
		    (long long)held / 1000,
		    (long long)options->post_switch / 1000);
}

static atom_status advance(void *self, const struct atom_observation *seen,
			   void *state, size_t *state_size,
			   struct atom_plan *plan, struct atom_error *err)
{
	const struct blue_green_options *options = component_options(self);
	struct plan_since since = { 0 };

	(void)err;
	if (!memory_read(&memory_kind, state, *state_size, &since,
			 sizeof(since)))
		since = (struct plan_since){ 0 };
	plan->steps = STEPS;
	plan_act(plan, ATOM_ACT_SET_NEW, plan_agent_wanted(seen));
	if (seen->step <= STEP_PREPARE)
		prepare(options, seen, plan);
	else if (seen->step == STEP_PREVIEW)
		preview(options, seen, &since, plan);
	else
		switched(options, seen, &since, plan);
	memory_write(&memory_kind, &since, sizeof(since), state, state_size);
	return ATOM_OK;
}

static const struct atom_deployment_ops ops = {
	.struct_size = sizeof(ops),
	.create = component_create,
	.destroy = component_destroy,
	.reconfigure = component_reconfigure,
	.advance = advance,
};

ATOM_PLUGIN("blue_green", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_DEPLOYMENT, "blue_green",
			   "full size beside, a preview, then one switch", &ops,
			   blue_green_table, struct blue_green_options));
