/* SPDX-License-Identifier: Apache-2.0 */

/*
 * deployment/shadow: the new revision answers copies of calls, nobody is
 * shown its answers.
 *
 *	0 prepare   instances for the mirrored share
 *	1 mirror    both answer; what they answered is judged and compared
 *	2 decide    promote, or wait for a person to
 *
 * Nothing of it reaches a caller, so it suits changes whose answers are to be
 * looked at first: another model, another prompt.
 */

#include <atomd/deployment.h>

#include "plugins/deployment/plan/plan.h"

#define DAY_MS 86400000.0

enum {
	STEP_PREPARE,
	STEP_MIRROR,
	STEP_DECIDE,
	STEPS
};

struct shadow_options {
	double percent;
	int64_t hold;
	int64_t min_calls;
	int64_t tokens_per_hour;
	double max_status_differs_percent;
	double max_json_differs_percent;
	double min_similarity;
	double max_slower_percent;
	double max_tokens_percent;
	int32_t manual;
};

#define OPTIONS struct shadow_options

static const struct atom_option shadow_table[] = {
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, percent, "10", 0.01, 100,
			       ATOM_RELOADABLE, "%", "of the calls mirrored"),
	ATOM_OPTION_DURATION(OPTIONS, hold, "30m", 0, 30 * DAY_MS,
			     ATOM_RELOADABLE, "mirror at least so long"),
	ATOM_OPTION_INT_UNIT(OPTIONS, min_calls, "100", 1, 1000000000,
			     ATOM_RELOADABLE, "calls",
			     "compared at least before anything is decided"),
	ATOM_OPTION_INT_UNIT(OPTIONS, tokens_per_hour, "0", 0, 1e15,
			     ATOM_RELOADABLE, "tokens",
			     "that mirrored calls may use; 0 = any"),
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, max_status_differs_percent, "100", 0,
			       100, ATOM_RELOADABLE, "%",
			       "of calls may fail with one revision alone"),
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, max_json_differs_percent, "100", 0, 100,
			       ATOM_RELOADABLE, "%",
			       "of calls may give JSON of another shape"),
	ATOM_OPTION_FLOAT(OPTIONS, min_similarity, "0", 0, 1, ATOM_RELOADABLE,
			  "mean likeness of the two texts, 0 to 1"),
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, max_slower_percent, "0", 0, 10000,
			       ATOM_RELOADABLE, "%",
			       "that the new one may be slower in the mean; "
			       "0 = any"),
	ATOM_OPTION_FLOAT_UNIT(OPTIONS, max_tokens_percent, "0", 0, 10000,
			       ATOM_RELOADABLE, "%",
			       "that it may use more tokens; 0 = any"),
	ATOM_OPTION_BOOL(OPTIONS, manual, "true", ATOM_RELOADABLE,
			 "a person promotes; false: it is promoted when "
			 "nothing speaks against it"),
};

static const struct memory_kind memory_kind = { MEMORY_WORD('s', 'h', 'd', 'w'),
						1 };

static double share(uint64_t part, uint64_t all)
{
	return all > 0 ? 100 * (double)part / (double)all : 0;
}

/* In percent; 0: not known. */
static double more(double new_sum, double old_sum)
{
	return old_sum > 0 ? 100 * (new_sum / old_sum - 1) : 0;
}

/* Does a comparison speak against it?  Then the plan is to abort. */
static int speaks_against(const struct shadow_options *options,
			  const struct atom_comparison *c,
			  struct atom_plan *plan)
{
	double status = share(c->status_differs, c->calls);
	double json = share(c->json_differs, c->calls);
	double slower = more(c->new_s_sum, c->old_s_sum);
	double tokens = more((double)c->new_tokens, (double)c->old_tokens);
	double similar = c->similar_calls > 0
				 ? c->similarity_sum / (double)c->similar_calls
				 : 1;
	const struct {
		int against;
		double found, limit;
		const char *what;
	} rows[] = {
		{ status > options->max_status_differs_percent, status,
		  options->max_status_differs_percent,
		  "% of calls failed with one alone" },
		{ json > options->max_json_differs_percent, json,
		  options->max_json_differs_percent,
		  "% of calls gave JSON of another shape" },
		{ similar < options->min_similarity, similar,
		  options->min_similarity, "is the likeness of the texts" },
		{ options->max_slower_percent > 0 &&
			  slower > options->max_slower_percent,
		  slower, options->max_slower_percent, "% slower" },
		{ options->max_tokens_percent > 0 &&
			  tokens > options->max_tokens_percent,
		  tokens, options->max_tokens_percent, "% more tokens" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!rows[i].against)
			continue;
		plan_act(plan, ATOM_ACT_ABORT, 0);
		plan_reason(plan,
			    "of %llu calls compared, %.3g %s; %.3g is "
			    "the limit",
			    (unsigned long long)c->calls, rows[i].found,
			    rows[i].what, rows[i].limit);
		return 1;
	}
	return 0;
}

static void mirror(const struct shadow_options *options,
		   const struct atom_observation *seen,
		   struct plan_since *since, struct atom_plan *plan)
{
	const struct atom_comparison none = { .struct_size = sizeof(none) };
	const struct atom_comparison *compared =
		ATOM_HAS(seen, comparison) && seen->comparison != NULL
			? seen->comparison
			: &none;
	int enough = compared->calls >= (uint64_t)options->min_calls;
	int over, spent = options->tokens_per_hour > 0 &&
			  seen->mirror_tokens >= options->tokens_per_hour;

	plan_hold(since, seen);
	over = plan_held_ms(since, seen) >= options->hold;
	if (enough && speaks_against(options, compared, plan))
		return;
	if ((enough && over) || seen->person == ATOM_PERSON_PROMOTE) {
		plan_act(plan, ATOM_ACT_SET_MIRROR, 0);
		plan_act(plan, ATOM_ACT_STEP, STEP_DECIDE);
		plan_reason(plan, "%llu calls compared",
			    (unsigned long long)compared->calls);
		return;
	}
	plan_act(plan, ATOM_ACT_SET_MIRROR_BUDGET, options->tokens_per_hour);
	plan_act(plan, ATOM_ACT_SET_MIRROR, plan_weight(options->percent));
	plan_reason(plan,
		    "%g %% of the calls mirrored: %llu compared (%lld are "
		    "enough), %lld of %lld s%s",
		    options->percent, (unsigned long long)compared->calls,
		    (long long)options->min_calls,
		    (long long)plan_held_ms(since, seen) / 1000,
		    (long long)options->hold / 1000,
		    spent ? "; this hour's tokens are used up" : "");
}

static void decide(const struct shadow_options *options,
		   const struct atom_observation *seen, struct atom_plan *plan)
{
	if (options->manual && seen->pauses == 0 &&
	    seen->person != ATOM_PERSON_PROMOTE) {
		plan_act(plan, ATOM_ACT_PAUSE, 0);
		plan_reason(plan, "nothing speaks against it; promote gives "
				  "it the calls");
		return;
	}
	plan_act(plan, ATOM_ACT_PROMOTE, 0);
	plan_reason(plan, "nothing speaks against it");
}

static atom_status advance(void *self, const struct atom_observation *seen,
			   void *state, size_t *state_size,
			   struct atom_plan *plan, struct atom_error *err)
{
	const struct shadow_options *options = component_options(self);
	int32_t wanted = plan_instances(seen, options->percent);
	struct plan_since since = { 0 };

	(void)err;
	if (!memory_read(&memory_kind, state, *state_size, &since,
			 sizeof(since)))
		since = (struct plan_since){ 0 };
	plan->steps = STEPS;
	plan_act(plan, ATOM_ACT_SET_NEW, wanted);
	plan_reason(plan, "%d of %d instances ready", seen->new_ready,
		    (int)wanted);
	if (seen->step <= STEP_PREPARE && seen->new_ready >= wanted)
		plan_act(plan, ATOM_ACT_STEP, STEP_MIRROR);
	else if (seen->step == STEP_MIRROR)
		mirror(options, seen, &since, plan);
	else if (seen->step >= STEP_DECIDE && seen->new_ready > 0)
		decide(options, seen, plan);
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

ATOM_PLUGIN("shadow", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_DEPLOYMENT, "shadow",
			   "copies of calls, nobody is shown the answers", &ops,
			   shadow_table, struct shadow_options));
