/* SPDX-License-Identifier: Apache-2.0 */
#include "scaling/control.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

/* Ticks further apart than this, or a wall clock that steps by more than
 * that against the steady one: times are not trusted. */
#define GAP_MS	15000
#define STEP_MS 5000

#define NEVER INT64_MIN

void scaling_settings_default(struct scaling_settings *settings_r)
{
	memset(settings_r, 0, sizeof(*settings_r));
	settings_r->up.stabilization_ms = 0;
	settings_r->down.stabilization_ms = -1;
}

void scaling_control_init(struct scaling_control *control)
{
	memset(control, 0, sizeof(*control));
	control->last_good = -1;
	control->hold_ms = -1;
	control->last_up_ms = NEVER;
	control->last_down_ms = NEVER;
	scaling_extremes_init(&control->lowest, true);
	scaling_extremes_init(&control->highest, false);
}

/* --- advice ------------------------------------------------------------------- */

void scaling_advice_init(struct atom_scaling_advice *advice_r)
{
	memset(advice_r, 0, sizeof(*advice_r));
	advice_r->struct_size = sizeof(*advice_r);
	advice_r->wanted = -1;
	advice_r->hold_ms = -1;
}

void scaling_advice_clean(struct atom_scaling_advice *advice)
{
	text_make_printable(advice->metric, sizeof(advice->metric));
	text_make_printable(advice->reason_code, sizeof(advice->reason_code));
	text_make_printable(advice->reason, sizeof(advice->reason));
	if (advice->action < ATOM_SCALE_NONE ||
	    advice->action > ATOM_SCALE_ADD_MEMORY)
		advice->action = ATOM_SCALE_NONE;
	if (!isfinite(advice->value))
		advice->value = 0;
}

static const char *fault_of(const struct atom_scaling_advice *advice,
			    atom_status status, int64_t took_ms)
{
	if (status != ATOM_OK)
		return "failed";
	if (took_ms > SCALING_TOO_LONG_MS)
		return "too_long";
	if (!isfinite(advice->value))
		return "not_a_number";
	if (advice->wanted < -1 || advice->wanted > SCALING_WANTED_MAX)
		return "out_of_range";
	return NULL;
}

/* --- one decision --------------------------------------------------------------- */

struct deciding {
	struct scaling_control *control;
	const struct scaling_settings *settings;
	const struct scaling_situation *now;
	struct scaling_decision *decision;
};

static int32_t between(int32_t value, int32_t low, int32_t high)
{
	return value > high ? high : value < low ? low : value;
}

/* `to` in place of `from`, and which rule it was that said so. */
static int32_t bound(struct deciding *d, int32_t from, int32_t to,
		     const char *rule)
{
	if (from != to)
		d->decision->bound = rule;
	return to;
}

/* Have times leapt since the last decision? */
static bool jumped(struct deciding *d)
{
	struct scaling_control *control = d->control;
	int64_t offset = d->now->wall_ms - d->now->now_ms;
	int64_t stepped = offset - control->wall_offset_ms;
	bool jump =
		control->begun && (d->now->now_ms - control->last_ms > GAP_MS ||
				   d->now->now_ms < control->last_ms ||
				   stepped > STEP_MS || stepped < -STEP_MS);

	control->begun = true;
	control->last_ms = d->now->now_ms;
	control->wall_offset_ms = offset;
	return jump;
}

/* What the strategy wants, or wanted when it was last in its senses. */
static int32_t advised(struct deciding *d,
		       const struct atom_scaling_advice *advice,
		       atom_status status, int64_t took_ms)
{
	struct scaling_control *control = d->control;
	int32_t desired = d->now->desired;

	d->decision->fault = fault_of(advice, status, took_ms);
	if (d->decision->fault != NULL) {
		control->faults++;
		/* The last good advice, but a fault scales nothing down. */
		if (control->last_good > desired)
			desired = control->last_good;
		return bound(d, -1, desired, "advice");
	}
	d->decision->advised = advice->wanted;
	if (advice->wanted < 0)
		return desired;
	control->last_good = advice->wanted;
	control->hold_ms = advice->hold_ms;
	return advice->wanted;
}

static int32_t tolerate(struct deciding *d, int32_t wanted)
{
	int32_t desired = d->now->desired;
	double tolerance = wanted > desired ? d->settings->up.tolerance
					    : d->settings->down.tolerance;

	/* The last one and the first one are no small change. */
	if (desired == 0 || wanted == 0 ||
	    abs(wanted - desired) > tolerance * desired + 1e-9)
		return wanted;
	return bound(d, wanted, desired, "tolerance");
}

static int32_t stabilize(struct deciding *d, int32_t wanted)
{
	struct scaling_control *control = d->control;
	int64_t now = d->now->now_ms;
	int64_t hold = d->settings->down.stabilization_ms;
	int64_t rise = d->settings->up.stabilization_ms;
	int32_t desired = d->now->desired, up, down;

	if (hold < 0)
		hold = control->hold_ms >= 0 ? control->hold_ms
					     : SCALING_HOLD_MS;
	if (rise < 0)
		rise = 0;
	up = scaling_extremes_within(&control->lowest, now, rise, wanted);
	down = scaling_extremes_within(&control->highest, now, hold, wanted);
	scaling_extremes_add(&control->lowest, now, wanted);
	scaling_extremes_add(&control->highest, now, wanted);
	if (desired < up)
		return bound(d, wanted, up, "stabilization");
	if (desired > down)
		return bound(d, wanted, down, "stabilization");
	return bound(d, wanted, desired, "stabilization");
}

/* How many there were when the policy's period began. */
static int64_t at_start(const struct deciding *d,
			const struct scaling_policy *policy)
{
	int64_t start =
		d->now->desired -
		scaling_changes_within(&d->control->added, d->now->now_ms,
				       policy->period_ms) +
		scaling_changes_within(&d->control->removed, d->now->now_ms,
				       policy->period_ms);

	return start > 0 ? start : 0;
}

/* What one policy lets `desired` become. */
static int64_t allowed(const struct deciding *d,
		       const struct scaling_policy *policy, bool up)
{
	int64_t start = at_start(d, policy), percent;

	if (policy->type == SCALING_POLICY_COUNT)
		return up ? start + policy->value : start - policy->value;
	percent = up ? 100 + (int64_t)policy->value
		     : 100 - (int64_t)policy->value;
	if (percent < 0)
		percent = 0;
	/* Rounded so that the smallest percentage moves one instance. */
	return up ? (start * percent + 99) / 100 : start * percent / 100;
}

/* The furthest that the policies let `desired` go. */
static int64_t furthest(const struct deciding *d,
			const struct scaling_rules *rules, bool up)
{
	int64_t chosen = 0;

	for (size_t i = 0; i < rules->policy_count; i++) {
		int64_t limit = allowed(d, &rules->policies[i], up);
		bool more = up ? limit > chosen : limit < chosen;

		if (i == 0 || more == (rules->select == SCALING_SELECT_MAX))
			chosen = limit;
	}
	return chosen;
}

static int32_t step(struct deciding *d, int32_t wanted)
{
	int32_t desired = d->now->desired;
	bool up = wanted > desired;
	const struct scaling_rules *rules =
		up ? &d->settings->up : &d->settings->down;
	int64_t limit;

	if (wanted == desired)
		return wanted;
	if (rules->select == SCALING_SELECT_DISABLED)
		return bound(d, wanted, desired, "disabled");
	if (rules->policy_count == 0)
		return wanted;
	limit = furthest(d, rules, up);
	/* Percent of nothing is nothing, and nothing would ever start. */
	if (up && desired == 0 && limit < 1)
		limit = 1;
	if (up ? limit < desired : limit > desired)
		limit = desired;
	if (up ? wanted > limit : wanted < limit)
		return bound(d, wanted, (int32_t)limit, "policy");
	return wanted;
}

static bool within(int64_t now_ms, int64_t since_ms, int64_t cooldown_ms)
{
	return since_ms != NEVER && now_ms - since_ms < cooldown_ms;
}

static int32_t cool_down(struct deciding *d, int32_t wanted)
{
	const struct scaling_control *control = d->control;
	int64_t now = d->now->now_ms;
	int32_t desired = d->now->desired;
	bool cooling = false;

	if (wanted > desired)
		cooling = within(now, control->last_up_ms,
				 d->settings->up.cooldown_ms);
	else if (wanted < desired)
		cooling = within(now, control->last_up_ms,
				 d->settings->down.cooldown_ms) ||
			  within(now, control->last_down_ms,
				 d->settings->down.cooldown_ms);
	return cooling ? bound(d, wanted, desired, "cooldown") : wanted;
}

/* What holds whoever advises. */
static int32_t within_bounds(struct deciding *d, int32_t wanted)
{
	const struct scaling_situation *now = d->now;
	int32_t room = now->room > 0 ? now->room : 0;

	if (wanted < now->min)
		wanted = bound(d, wanted, now->min, "min");
	if (wanted > now->max)
		wanted = bound(d, wanted, now->max, "max");
	if (wanted > now->desired && wanted - now->desired > room)
		wanted = bound(d, wanted, now->desired + room, now->room_limit);
	return wanted;
}

static int32_t follow(struct deciding *d,
		      const struct atom_scaling_advice *advice,
		      atom_status status, int64_t took_ms)
{
	const struct scaling_situation *now = d->now;
	int32_t wanted = advised(d, advice, status, took_ms);
	int32_t inside = between(wanted, now->min, now->max);

	wanted = bound(d, wanted, inside, wanted < inside ? "min" : "max");
	wanted = tolerate(d, wanted);
	if (!now->measured && wanted < now->desired)
		wanted = bound(d, wanted, now->desired, "not_measured");
	wanted = stabilize(d, wanted);
	wanted = step(d, wanted);
	wanted = cool_down(d, wanted);
	if (wanted == 0 && now->desired > 1)
		wanted = bound(d, wanted, 1, "from_one");
	return wanted;
}

void scaling_decide(struct scaling_control *control,
		    const struct scaling_settings *settings,
		    const struct scaling_situation *situation,
		    const struct atom_scaling_advice *advice,
		    atom_status status, int64_t took_ms,
		    struct scaling_decision *decision_r)
{
	struct deciding d = { control, settings, situation, decision_r };
	int32_t wanted = situation->desired;
	bool jump = jumped(&d);

	memset(decision_r, 0, sizeof(*decision_r));
	decision_r->advised = -1;
	if (jump) {
		scaling_extremes_add(&control->highest, situation->now_ms,
				     wanted);
		decision_r->bound = "clock_jump";
	} else if (advice != NULL) {
		wanted = follow(&d, advice, status, took_ms);
	}
	if (advice != NULL && wanted == 0 && situation->waiting > 0)
		wanted = bound(&d, wanted, 1, "call_waiting");
	wanted = within_bounds(&d, wanted);
	decision_r->proposed = wanted;
	decision_r->wanted = wanted;
	if (settings->dry_run)
		decision_r->wanted = between(situation->desired, situation->min,
					     situation->max);
	scaling_note_change(control, situation->now_ms, situation->desired,
			    decision_r->wanted);
}

void scaling_note_change(struct scaling_control *control, int64_t now_ms,
			 int32_t from, int32_t to)
{
	if (to > from) {
		scaling_changes_add(&control->added, now_ms, to - from);
		control->last_up_ms = now_ms;
	} else if (to < from) {
		scaling_changes_add(&control->removed, now_ms, from - to);
		control->last_down_ms = now_ms;
	}
}

int64_t scaling_victim_rank(bool starting, int32_t in_flight, bool spare)
{
	if (starting)
		return 1;
	if (in_flight == 0)
		return spare ? 0 : 2;
	return 2 + (int64_t)in_flight;
}
