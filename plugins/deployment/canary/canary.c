/* SPDX-License-Identifier: Apache-2.0 */

/*
 * deployment/canary: steps of weight, each with the capacity for it first, a
 * time to be looked at, and a pause where one is asked for.
 *
 *	step i:  instances ─► ready ─► weight ─► [pause] ─► hold ─► step i + 1
 *
 * A person's `promote` ends the step that is on.  The words are those of Argo
 * Rollouts' canary strategy (setWeight, setMirrorRoute, pause, analysis).
 */

#include <atomd/deployment.h>

#include "plugins/deployment/plan/plan.h"

#define STEPS_MAX 50
#define DAY_MS	  86400000.0

struct step {
	double percent;
	double mirror;
	int64_t instances;
	int64_t hold;
	int64_t pause;
	int32_t manual;
	int64_t min_samples;
};

struct canary_options {
	struct atom_groups steps; /* of struct step */
	int64_t hold;
	int32_t early;
};

#define STEP	struct step
#define OPTIONS struct canary_options

static const struct atom_option step_table[] = {
	ATOM_OPTION_FLOAT_UNIT(STEP, percent, "0", 0, 100,
			       ATOM_REQUIRED | ATOM_RELOADABLE, "%",
			       "of the new calls go to the new revision"),
	ATOM_OPTION_FLOAT_UNIT(STEP, mirror, "0", 0, 100, ATOM_RELOADABLE, "%",
			       "of the calls to the old revision are repeated "
			       "by the new one, whose answers nobody is shown"),
	ATOM_OPTION_INT_UNIT(STEP, instances, "0", 0, 100000, ATOM_RELOADABLE,
			     "instances",
			     "of the new revision; 0: the same percentage of "
			     "the agent's, at least one"),
	ATOM_OPTION_DURATION(STEP, hold, "0", 0, 30 * DAY_MS, ATOM_RELOADABLE,
			     "at least so long at this weight; 0: the "
			     "strategy's `hold`, none at 100 %"),
	ATOM_OPTION_DURATION(STEP, pause, "0", 0, 30 * DAY_MS, ATOM_RELOADABLE,
			     "pause so long at this weight, before `hold`"),
	ATOM_OPTION_BOOL(STEP, manual, "false", ATOM_RELOADABLE,
			 "pause until a person promotes or resumes"),
	ATOM_OPTION_INT_UNIT(STEP, min_samples, "0", 0, 1000000000,
			     ATOM_RELOADABLE, "calls",
			     "of the new revision, in the analysis, before "
			     "the step ends"),
};

static const struct atom_option canary_table[] = {
	ATOM_OPTION_GROUPS(OPTIONS, steps, STEP, step_table, 0, STEPS_MAX,
			   ATOM_RELOADABLE,
			   "one after the other; none: 5, 25, 50 and 100 %"),
	ATOM_OPTION_DURATION(OPTIONS, hold, "5m", 0, 30 * DAY_MS,
			     ATOM_RELOADABLE,
			     "at least so long in each step below 100 %"),
	ATOM_OPTION_BOOL(OPTIONS, early, "true", ATOM_RELOADABLE,
			 "a step ends before its `hold` once the judge says "
			 "that the new revision is not worse"),
};

static const struct step usual[] = { { .percent = 5 },
				     { .percent = 25 },
				     { .percent = 50 },
				     { .percent = 100 } };
#define USUAL_COUNT ((int32_t)(sizeof(usual) / sizeof(usual[0])))

static const struct memory_kind memory_kind = { MEMORY_WORD('c', 'n', 'r', 'y'),
						1 };

static int32_t step_count(const struct canary_options *options)
{
	return options->steps.count > 0 ? (int32_t)options->steps.count
					: USUAL_COUNT;
}

static const struct step *step_at(const struct canary_options *options,
				  int32_t i)
{
	const char *items = options->steps.items;

	if (options->steps.count == 0)
		return &usual[i];
	return (const void *)(items + (size_t)i * options->steps.stride);
}

static int32_t instances(const struct step *step,
			 const struct atom_observation *seen)
{
	double percent =
		step->mirror > step->percent ? step->mirror : step->percent;

	return step->instances > 0 ? (int32_t)step->instances
				   : plan_instances(seen, percent);
}

static int64_t hold_ms(const struct canary_options *options,
		       const struct step *step)
{
	if (step->hold > 0)
		return step->hold;
	return step->percent < 100 ? options->hold : 0;
}

/* Does the step keep the rollout, and why? */
static int stays(const struct canary_options *options, const struct step *step,
		 const struct atom_observation *seen,
		 const struct plan_since *since, struct atom_plan *plan)
{
	int64_t held = plan_held_ms(since, seen), hold = hold_ms(options, step);
	int successful = seen->analysis == ATOM_ANALYSIS_SUCCESSFUL;

	if (held < hold && !(options->early && successful)) {
		plan_reason(plan, "%g %% of the calls, %lld of %lld s",
			    step->percent, (long long)held / 1000,
			    (long long)hold / 1000);
		return 1;
	}
	if (seen->judged && seen->samples < step->min_samples) {
		plan_reason(plan,
			    "%g %% of the calls, %lld of %lld of them judged",
			    step->percent, (long long)seen->samples,
			    (long long)step->min_samples);
		return 1;
	}
	return 0;
}

static void go_on(const struct canary_options *options, int32_t i,
		  const struct atom_observation *seen, struct atom_plan *plan)
{
	const struct step *step;

	if (i + 1 >= step_count(options)) {
		plan_act(plan, ATOM_ACT_PROMOTE, 0);
		plan_reason(plan, "all %d steps are done", step_count(options));
		return;
	}
	step = step_at(options, i + 1);
	plan_act(plan, ATOM_ACT_STEP, i + 1);
	plan_act(plan, ATOM_ACT_SET_NEW, instances(step, seen));
	plan_reason(plan, "on to %g %% with %d instances", step->percent,
		    (int)instances(step, seen));
}

static void in_step(const struct canary_options *options, int32_t i,
		    const struct atom_observation *seen,
		    struct plan_since *since, struct atom_plan *plan)
{
	const struct step *step = step_at(options, i);
	int32_t wanted = instances(step, seen);
	int32_t weight = plan_weight(step->percent);

	plan_act(plan, ATOM_ACT_SET_NEW, wanted);
	if (seen->new_ready < wanted) {
		plan_reason(plan, "%d of %d instances ready for %g %%",
			    seen->new_ready, (int)wanted, step->percent);
		return;
	}
	if (seen->person == ATOM_PERSON_PROMOTE) {
		go_on(options, i, seen, plan);
		return;
	}
	plan_act(plan, ATOM_ACT_SET_WEIGHT, weight);
	if (seen->weight != weight) {
		plan_reason(plan, "%d instances ready: %g %% of the calls",
			    seen->new_ready, step->percent);
		return;
	}
	if (seen->mirror != plan_weight(step->mirror))
		plan_act(plan, ATOM_ACT_SET_MIRROR, plan_weight(step->mirror));
	plan_hold(since, seen);
	if ((step->pause > 0 || step->manual) && seen->pauses == 0) {
		plan_act(plan, ATOM_ACT_PAUSE, step->manual ? 0 : step->pause);
		plan_reason(plan, "paused at %g %%%s", step->percent,
			    step->manual ? " until a person promotes" : "");
		return;
	}
	if (!stays(options, step, seen, since, plan))
		go_on(options, i, seen, plan);
}

static atom_status advance(void *self, const struct atom_observation *seen,
			   void *state, size_t *state_size,
			   struct atom_plan *plan, struct atom_error *err)
{
	const struct canary_options *options = component_options(self);
	struct plan_since since = { 0 };
	int32_t i = seen->step;

	(void)err;
	if (!memory_read(&memory_kind, state, *state_size, &since,
			 sizeof(since)))
		since = (struct plan_since){ 0 };
	plan->steps = step_count(options);
	/* A reload may have left fewer of them. */
	if (i >= plan->steps)
		i = plan->steps - 1;
	in_step(options, i < 0 ? 0 : i, seen, &since, plan);
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

ATOM_PLUGIN("canary", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_DEPLOYMENT, "canary",
			   "a small share of the calls first, then more", &ops,
			   canary_table, struct canary_options));
