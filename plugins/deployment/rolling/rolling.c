/* SPDX-License-Identifier: Apache-2.0 */

/*
 * deployment/rolling: instance by instance, within a surplus and a shortage.
 *
 * The algorithm is that of Kubernetes' Deployment controller.  With N
 * instances wanted, never more than N + surge of both revisions and never
 * fewer than N - unavailable of them ready: as many new ones as the first
 * lets, as few old ones as the second lets.  Percentages of the surge are
 * rounded up, those of the shortage down, and both at zero is a shortage of
 * one.  Calls follow the instances: the new revision's weight is its part of
 * those that serve.
 */

#include <math.h>

#include <atomd/deployment.h>

#include "plugins/deployment/plan/plan.h"

/* Weights are multiples of this, so that a large agent's rollout does not
 * have a cell of counts for each of its instances. */
#define WEIGHT_STEP 250

struct rolling_options {
	double max_surge_percent;
	double max_unavailable_percent;
	int64_t hold;
};

#define OPTIONS struct rolling_options

static const struct atom_option rolling_table[] = {
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, max_surge_percent, "25", 0, 100,
			       ATOM_RELOADABLE, "%",
			       "of the agent's instances may be there beside "
			       "them, rounded up"),
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, max_unavailable_percent, "25", 0, 100,
			       ATOM_RELOADABLE, "%",
			       "of them may be missing, rounded down"),
	ATOM_OPTION_DURATION(OPTIONS, hold, "0", 0, 86400000, ATOM_RELOADABLE,
			     "the newest instances serve so long before the "
			     "next ones are replaced"),
};

static const struct memory_kind memory_kind = { MEMORY_WORD('r', 'o', 'l', 'l'),
						1 };

struct memory {
	int32_t weight;
	int32_t reserved;
	struct plan_since since; /* that weight */
};

struct aim {
	int32_t wanted; /* of the agent */
	int32_t new_ones;
	int32_t old_ones;
	int32_t weight;
};

static int32_t least(int32_t a, int32_t b)
{
	return a < b ? a : b;
}

static int32_t most(int32_t a, int32_t b)
{
	return a > b ? a : b;
}

static int32_t weight_of(int32_t ready, int32_t old_ones)
{
	int64_t weight;

	if (ready <= 0)
		return 0;
	if (old_ones <= 0)
		return ATOM_WEIGHT_ALL;
	weight = (int64_t)ATOM_WEIGHT_ALL * ready / (ready + old_ones);
	weight -= weight % WEIGHT_STEP;
	return most((int32_t)weight, WEIGHT_STEP);
}

static struct aim aim_at(const struct rolling_options *options,
			 const struct atom_observation *seen)
{
	int32_t wanted = plan_agent_wanted(seen);
	double surge = ceil(wanted * options->max_surge_percent / 100 - 1e-9);
	double missing =
		floor(wanted * options->max_unavailable_percent / 100 + 1e-9);
	struct aim aim = { .wanted = wanted };

	if (surge < 1 && missing < 1)
		missing = 1;
	aim.old_ones =
		least(seen->old_wanted,
		      most(0, wanted - (int32_t)missing - seen->new_ready));
	aim.weight = weight_of(least(seen->new_ready, wanted), aim.old_ones);
	aim.new_ones = least(wanted, wanted + (int32_t)surge - aim.old_ones);
	/* What is there already stays: fewer are wanted only by scaling. */
	aim.new_ones = least(wanted, most(aim.new_ones, seen->new_wanted));
	aim.new_ones = most(aim.new_ones, aim.weight > 0);
	return aim;
}

static void say(const struct aim *aim, const struct atom_observation *seen,
		struct atom_plan *plan)
{
	plan_reason(plan, "%d of %d new instances ready, %d old ones stay",
		    seen->new_ready, (int)aim->wanted, (int)aim->old_ones);
}

static void look(const struct rolling_options *options,
		 const struct atom_observation *seen, struct memory *memory,
		 struct atom_plan *plan)
{
	struct aim aim = aim_at(options, seen);
	int64_t held;

	if (memory->weight != seen->weight)
		memory->since = (struct plan_since){ 0 };
	memory->weight = seen->weight;
	memory->since.step = seen->step;
	plan_hold(&memory->since, seen);
	held = plan_held_ms(&memory->since, seen);
	plan->steps = aim.wanted;
	if (seen->weight > 0 && held < options->hold &&
	    seen->person != ATOM_PERSON_PROMOTE) {
		plan_act(plan, ATOM_ACT_WAIT, 0);
		plan_reason(plan, "%d new instances serve, %lld of %lld s",
			    seen->new_ready, (long long)held / 1000,
			    (long long)options->hold / 1000);
		return;
	}
	plan_act(plan, ATOM_ACT_SET_NEW, aim.new_ones);
	plan_act(plan, ATOM_ACT_SET_WEIGHT, aim.weight);
	plan_act(plan, ATOM_ACT_SET_OLD, aim.old_ones);
	if (seen->new_ready > seen->step)
		plan_act(plan, ATOM_ACT_STEP,
			 least(seen->new_ready, aim.wanted));
	say(&aim, seen, plan);
	if (seen->new_ready >= aim.wanted && seen->weight == ATOM_WEIGHT_ALL) {
		plan_act(plan, ATOM_ACT_PROMOTE, 0);
		plan_reason(plan, "all %d instances are new", seen->new_ready);
	}
}

static atom_status advance(void *self, const struct atom_observation *seen,
			   void *state, size_t *state_size,
			   struct atom_plan *plan, struct atom_error *err)
{
	struct memory memory = { 0 };

	(void)err;
	if (!memory_read(&memory_kind, state, *state_size, &memory,
			 sizeof(memory)))
		memory = (struct memory){ 0 };
	look(component_options(self), seen, &memory, plan);
	memory_write(&memory_kind, &memory, sizeof(memory), state, state_size);
	return ATOM_OK;
}

static const struct atom_deployment_ops ops = {
	.struct_size = sizeof(ops),
	.create = component_create,
	.destroy = component_destroy,
	.reconfigure = component_reconfigure,
	.advance = advance,
};

ATOM_PLUGIN("rolling", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_DEPLOYMENT, "rolling",
			   "instance by instance, within a surplus and a "
			   "shortage",
			   &ops, rolling_table, struct rolling_options));
