/* SPDX-License-Identifier: Apache-2.0 */

/* What the strategy wants: asked for, checked whole, taken over. */

#include "rollout/rollout_priv.h"

#include <string.h>

#include "core/text.h"

/* A pause longer than this is a mistake in its unit. */
#define PAUSE_MAX_MS INT64_C(31536000000)
#define STEPS_MAX    100000

static struct atom_observation observe(const struct look *look)
{
	const struct rollout *rollout = look->rollout;
	const struct rollout_position *at = &rollout->at;
	const struct rollout_times *times = &rollout->times;
	const struct rollout_seen *seen = look->seen;
	int32_t full = look_full(look);

	return (struct atom_observation){
		.struct_size = sizeof(struct atom_observation),
		.phase = rollout_phase(rollout),
		.now_ms = times->now_ms,
		.began_ms = times->began_ms,
		.step_began_ms = times->step_began_ms,
		.paused_ms = times->step_paused_ms,
		.step = at->step,
		.weight = at->weight,
		.mirror = at->mirror_asked,
		.analysis = at->analysis,
		.old_wanted = at->old_in_force == ROLLOUT_SCALED
				      ? full
				      : at->old_in_force,
		.old_ready = seen->old_ready,
		.new_wanted = at->new_asked,
		.new_ready = seen->new_ready,
		.new_failed = seen->new_failed - rollout->failed_before,
		.person = look->promoting ? ATOM_PERSON_PROMOTE
					  : ATOM_PERSON_NOTHING,
		.cell_stride = sizeof(rollout->counted.cells[0]),
		.old_in_flight = seen->old_in_flight,
		.cells = rollout->counted.cells,
		.cell_count = rollout->counted.count,
		.agent_wanted = full,
		.judged = look_judged(look) && !at->full,
		.pauses = at->pauses,
		.samples = rollout_samples(rollout),
		.mirror_tokens = seen->mirror_tokens,
		.comparison =
			rollout->compared.calls > 0 ? &rollout->compared : NULL,
	};
}

/* --- sense ------------------------------------------------------------------ */

/* The plan's values as they will stand when it is taken over. */
struct outlook {
	int64_t new_asked;
	int64_t weight;
	bool hold;
	bool ends; /* promoted or aborted: nothing may come after */
};

static const char *look_at(const struct atom_action *action,
			   const struct look *look, struct outlook *o)
{
	int64_t value = action->value;

	if (o->ends)
		return "an action after the end";
	switch (action->what) {
	case ATOM_ACT_WAIT:
	case ATOM_ACT_ANALYSE:
		return NULL;
	case ATOM_ACT_SET_NEW:
		o->new_asked = value;
		return value < 0 || value > ROLLOUT_INSTANCES_MAX
			       ? "so many new instances"
			       : NULL;
	case ATOM_ACT_SET_OLD:
		return value < ROLLOUT_SCALED || value > ROLLOUT_INSTANCES_MAX
			       ? "so many old instances"
			       : NULL;
	case ATOM_ACT_SET_WEIGHT:
		o->weight = value;
		return value < 0 || value > ATOM_WEIGHT_ALL
			       ? "a weight that is none of ten thousand"
			       : NULL;
	case ATOM_ACT_SET_MIRROR:
		return value < 0 || value > ATOM_WEIGHT_ALL
			       ? "a mirrored share that is none of ten thousand"
			       : NULL;
	case ATOM_ACT_PAUSE:
		return value < 0 || value > PAUSE_MAX_MS ? "so long a pause"
							 : NULL;
	case ATOM_ACT_STEP:
		return value < 0 || value > STEPS_MAX ? "such a step" : NULL;
	case ATOM_ACT_HOLD:
		o->hold = value != 0;
		return NULL;
	case ATOM_ACT_SET_MIRROR_BUDGET:
		return value < 0 ? "a budget below zero" : NULL;
	case ATOM_ACT_PROMOTE:
		o->ends = true;
		return look->seen->new_ready < 1
			       ? "a promotion with nothing ready"
			       : NULL;
	case ATOM_ACT_ABORT:
		o->ends = true;
		return NULL;
	default:
		return "an action that is not known";
	}
}

/* NULL: the plan makes sense; else what does not, and with which value. */
static const char *nonsense(const struct look *look,
			    const struct atom_plan *plan, size_t state_size,
			    int64_t *value_r)
{
	const struct rollout_position *at = &look->rollout->at;
	struct outlook o = {
		.new_asked = at->new_asked,
		.weight = at->weight_asked,
		.hold = at->hold != 0,
	};

	*value_r = (int64_t)state_size;
	if (state_size > ATOM_DEPLOYMENT_STATE_MAX)
		return "so many bytes of state";
	*value_r = plan->action_count;
	if (plan->action_count > ATOM_ACTIONS_MAX)
		return "so many actions";
	*value_r = plan->steps;
	if (plan->steps < 0 || plan->steps > STEPS_MAX)
		return "so many steps";
	for (uint32_t i = 0; i < plan->action_count; i++) {
		const char *what = look_at(&plan->actions[i], look, &o);

		*value_r = plan->actions[i].value;
		if (what != NULL)
			return what;
	}
	*value_r = o.weight;
	if (o.weight > 0 && o.new_asked < 1 && !o.hold && !o.ends)
		return "weight without instances";
	return NULL;
}

/* --- taking it over --------------------------------------------------------- */

static void begin_step(struct look *look, int32_t step)
{
	struct rollout *rollout = look->rollout;

	if (step == rollout->at.step)
		return;
	rollout->at.step = step;
	rollout->at.pauses = 0;
	rollout->times.step_began_ms = rollout->times.now_ms;
	rollout->times.step_paused_ms = 0;
	rollout->times.stalled_ms = 0;
	rollout->failed_before = look->seen->new_failed;
}

static void pause_for(struct rollout *rollout, int64_t ms)
{
	rollout->at.paused = ROLLOUT_PAUSED;
	rollout->at.pause_until_person = ms == 0;
	rollout->times.pause_left_ms = ms;
}

static void analyse(struct rollout *rollout, bool begin)
{
	if (!begin) {
		rollout->at.analysing = ROLLOUT_ANALYSED;
		return;
	}
	rollout->at.analysing = ROLLOUT_ANALYSING;
	rollout->at.analysis = ATOM_ANALYSIS_NONE;
	rollout->at.verdict = ATOM_VERDICT_UNDECIDED;
	rollout->analysed = rollout->counted;
	rollout->judge_state.size = 0;
	rollout->times.analysis_began_ms = rollout->times.now_ms;
	memset(&rollout->judged, 0, sizeof(rollout->judged));
}

static void take_over(struct look *look, const struct atom_action *action,
		      const struct atom_plan *plan)
{
	struct rollout *rollout = look->rollout;
	struct rollout_position *at = &rollout->at;
	int32_t value = (int32_t)action->value;

	switch (action->what) {
	case ATOM_ACT_SET_NEW:
		at->new_asked = value;
		at->full_asked = look_full(look);
		break;
	case ATOM_ACT_SET_OLD:
		at->old_asked = value;
		break;
	case ATOM_ACT_SET_WEIGHT:
		at->weight_asked = value;
		break;
	case ATOM_ACT_SET_MIRROR:
		at->mirror_asked = value;
		break;
	case ATOM_ACT_SET_MIRROR_BUDGET:
		at->mirror_budget = action->value;
		break;
	case ATOM_ACT_PAUSE:
		pause_for(rollout, action->value);
		break;
	case ATOM_ACT_ANALYSE:
		analyse(rollout, action->value != 0);
		break;
	case ATOM_ACT_STEP:
		begin_step(look, value);
		break;
	case ATOM_ACT_HOLD:
		at->hold = action->value != 0;
		break;
	case ATOM_ACT_PROMOTE:
		if (look_judge_end(look))
			rollout_finish(rollout);
		break;
	case ATOM_ACT_ABORT:
		rollout_abort(rollout, "strategy", "%s", plan->reason);
		break;
	default:
		break;
	}
}

static void failed(struct look *look, const char *why)
{
	struct rollout *rollout = look->rollout;

	if (++rollout->at.strategy_errors > ROLLOUT_ERRORS_MAX)
		rollout_abort(rollout, "strategy_failed",
			      "strategy %s failed %d times in a row: %.120s",
			      rollout->strategy, rollout->at.strategy_errors,
			      why);
	else
		rollout_say(rollout, "strategy_failed",
			    "strategy %s failed: %.160s", rollout->strategy,
			    why);
}

void look_plan(struct look *look)
{
	struct rollout *rollout = look->rollout;
	struct rollout_bytes *state = &rollout->scratch;
	struct atom_observation seen = observe(look);
	struct atom_plan plan = { .struct_size = sizeof(plan) };
	struct atom_error err = ATOM_ERROR_INIT;
	const char *what;
	int64_t value;
	atom_status status;

	state->size = rollout->strategy_state.size;
	memcpy(state->bytes, rollout->strategy_state.bytes, state->size);
	status = look->strategy->ops->advance(look->strategy->self, &seen,
					      state->bytes, &state->size, &plan,
					      &err);
	if (status != ATOM_OK) {
		text_make_printable(err.message, sizeof(err.message));
		failed(look, err.message);
		return;
	}
	text_make_printable(plan.reason, sizeof(plan.reason));
	what = nonsense(look, &plan, state->size, &value);
	if (what != NULL) {
		rollout_abort(rollout, "strategy_nonsense",
			      "strategy %s wants %s (%lld), which cannot be",
			      rollout->strategy, what, (long long)value);
		return;
	}
	if (state->size != rollout->strategy_state.size ||
	    memcmp(state->bytes, rollout->strategy_state.bytes, state->size) !=
		    0)
		look->moved = true;
	rollout->strategy_state.size = state->size;
	memcpy(rollout->strategy_state.bytes, state->bytes, state->size);
	rollout->at.strategy_errors = 0;
	rollout->at.steps = plan.steps;
	rollout_say(rollout, "", "%s", plan.reason);
	for (uint32_t i = 0; i < plan.action_count; i++)
		take_over(look, &plan.actions[i], &plan);
}
