/* SPDX-License-Identifier: Apache-2.0 */

/* One look: time, counts, judge, person, strategy, then what shall be. */

#include "rollout/rollout_priv.h"

#include <string.h>

int32_t look_full(const struct look *look)
{
	int32_t wanted = look->seen->agent_wanted;

	if (wanted > ROLLOUT_INSTANCES_MAX)
		return ROLLOUT_INSTANCES_MAX;
	return wanted > 1 ? wanted : 1;
}

bool look_stands(const struct look *look)
{
	return look->rollout->at.paused_by_person != 0 ||
	       look->rollout->at.frozen != 0;
}

static bool moves(const struct rollout *rollout)
{
	return rollout->at.stage == ROLLOUT_STEPS ||
	       rollout->at.stage == ROLLOUT_FINISHING;
}

/* Not yet: what has to be found out about it is not. */
static bool gate_closed(const struct look *look)
{
	const struct rollout_seen *seen = look->seen;
	int32_t step = rollout_step_to_clear(look->rollout);

	if (!moves(look->rollout) || look->rollout->at.full)
		return false;
	return seen->gate == ROLLOUT_GATE_CLOSED ||
	       (seen->steps_gated && step >= 0 && step != seen->step_cleared);
}

/* --- time ------------------------------------------------------------------- */

/* Within one process the steady clock tells how much passed; over a restart
 * nothing but the system's clock can, and its steps back are no time. */
static int64_t elapsed(const struct rollout *rollout,
		       const struct rollout_seen *seen)
{
	int64_t ms = rollout->looked ? seen->steady_ms - rollout->steady_ms
				     : seen->wall_ms - rollout->times.wall_ms;

	return ms > 0 ? ms : 0;
}

static void pass_time(struct look *look)
{
	struct rollout *rollout = look->rollout;
	struct rollout_position *at = &rollout->at;
	struct rollout_times *times = &rollout->times;

	look->first = !rollout->looked;
	look->elapsed_ms = elapsed(rollout, look->seen);
	rollout->looked = true;
	rollout->steady_ms = look->seen->steady_ms;
	times->wall_ms = look->seen->wall_ms;
	times->now_ms += look->elapsed_ms;
	at->frozen = look->seen->frozen != NULL && moves(rollout);
	if (moves(rollout) &&
	    (look_stands(look) || at->paused != ROLLOUT_NOT_PAUSED))
		times->step_paused_ms += look->elapsed_ms;
}

/* A strategy's pause runs once what it asked before it is in force. */
static bool pause_runs(const struct look *look)
{
	const struct rollout_position *at = &look->rollout->at;

	return at->paused != ROLLOUT_NOT_PAUSED && !gate_closed(look) &&
	       at->weight == at->weight_asked &&
	       look->seen->new_ready >= at->new_asked;
}

static void run_pause(struct look *look)
{
	struct rollout_position *at = &look->rollout->at;
	int64_t *left = &look->rollout->times.pause_left_ms;

	if (!pause_runs(look) || look_stands(look) || at->pause_until_person)
		return;
	*left -= look->elapsed_ms;
	if (*left <= 0)
		rollout_unpause(look->rollout);
}

/* Waiting for capacity without any more of it coming. */
static void run_deadline(struct look *look)
{
	struct rollout *rollout = look->rollout;
	struct rollout_position *at = &rollout->at;
	int64_t *stalled = &rollout->times.stalled_ms;
	int64_t deadline = look->settings->progress_deadline_ms;
	int32_t ready = look->seen->new_ready;
	bool waits = ready < at->new_asked || at->weight != at->weight_asked ||
		     at->hold;

	if (!waits || ready > rollout->ready_most) {
		*stalled = 0;
		rollout->ready_most = ready;
		return;
	}
	/* A daemon that was down has started nothing meanwhile. */
	if (look->first) {
		*stalled = 0;
		rollout->ready_most = ready;
		return;
	}
	if (look_stands(look) || pause_runs(look) ||
	    (gate_closed(look) && ready >= at->new_asked))
		return;
	*stalled += look->elapsed_ms;
	if (deadline > 0 && *stalled > deadline)
		rollout_abort(
			rollout, "deadline",
			"no progress for %lld s: %d of %d new instances "
			"ready%s%.100s",
			(long long)*stalled / 1000, ready, at->new_asked,
			look->seen->start_error ? "; the last start: " : "",
			look->seen->start_error ? look->seen->start_error : "");
}

static void count_failures(struct look *look)
{
	struct rollout *rollout = look->rollout;
	int32_t failed = look->seen->new_failed - rollout->failed_before;

	if (failed > look->settings->failed_starts &&
	    look->seen->new_ready < rollout->at.new_asked)
		rollout_abort(rollout, "failed_starts",
			      "%d starts of the new revision failed, %d may: "
			      "%.120s",
			      failed, look->settings->failed_starts,
			      look->seen->start_error ? look->seen->start_error
						      : "no reason given");
}

/* --- people ----------------------------------------------------------------- */

static void heed_person(struct look *look)
{
	struct rollout *rollout = look->rollout;
	struct rollout_position *at = &rollout->at;
	int32_t person = at->person;

	at->person = ATOM_PERSON_NOTHING;
	if (person == ATOM_PERSON_ABORT) {
		bool undo = at->stage == ROLLOUT_WARM;

		/* It goes on serving until the old one can. */
		if (undo)
			at->new_asked = look_full(look);
		rollout_abort(rollout, undo ? "undo" : "person",
			      undo ? "a person went back to revision %lld"
				   : "a person aborted; revision %lld serves",
			      (long long)rollout->from);
		return;
	}
	if (!moves(rollout))
		return;
	switch (person) {
	case ATOM_PERSON_PROMOTE:
		at->paused_by_person = 0;
		if (at->paused != ROLLOUT_NOT_PAUSED)
			rollout_unpause(rollout);
		else
			look->promoting = true;
		break;
	case ATOM_PERSON_PROMOTE_FULL:
		at->paused_by_person = 0;
		at->full = 1;
		rollout_finish(rollout);
		rollout_say(rollout, "full", "a person skipped all steps");
		break;
	case ATOM_PERSON_PAUSE:
		at->paused_by_person = 1;
		break;
	case ATOM_PERSON_RESUME:
		at->paused_by_person = 0;
		rollout_unpause(rollout);
		break;
	default:
		break;
	}
}

/* --- what is in force ------------------------------------------------------- */

/* Full capacity is asked for while the new one takes over. */
static void ask_for_all(struct look *look)
{
	struct rollout_position *at = &look->rollout->at;

	at->weight_asked = ATOM_WEIGHT_ALL;
	at->full_asked = look_full(look);
	if (at->weight_reached < ATOM_WEIGHT_ALL || look->seen->new_ready < 1)
		at->new_asked = look_full(look);
}

static int32_t weight_of(const struct look *look)
{
	const struct rollout_position *at = &look->rollout->at;
	const struct rollout_seen *seen = look->seen;
	int32_t asked = at->weight_asked;

	switch (at->stage) {
	case ROLLOUT_WARM:
		return ATOM_WEIGHT_ALL;
	case ROLLOUT_RETURNING:
		/* Nobody would answer where nothing is ready. */
		return seen->old_ready > 0 || seen->new_ready == 0 ? 0
								   : at->weight;
	case ROLLOUT_OVER:
		return at->outcome == ROLLOUT_PROMOTED ? ATOM_WEIGHT_ALL : 0;
	default:
		break;
	}
	if (at->hold)
		return ATOM_WEIGHT_ALL;
	if (seen->new_ready < 1)
		return 0;
	/* Standing still keeps what was reached and raises nothing. */
	if ((look_stands(look) || gate_closed(look)) &&
	    asked > at->weight_reached)
		return at->weight_reached;
	/* Capacity first: all of it for all of the weight. */
	if (at->stage == ROLLOUT_FINISHING &&
	    at->weight_reached < ATOM_WEIGHT_ALL &&
	    seen->new_ready < at->new_asked)
		return at->weight_reached;
	return asked;
}

static int32_t old_of(const struct rollout_position *at)
{
	int32_t asked = at->old_asked, before = at->old_in_force;

	if (at->stage == ROLLOUT_OVER)
		return at->outcome == ROLLOUT_PROMOTED ? 0 : ROLLOUT_SCALED;
	if (at->stage == ROLLOUT_WARM || asked == ROLLOUT_SCALED)
		return asked;
	if (at->stage == ROLLOUT_RETURNING)
		return ROLLOUT_SCALED;
	/* Fewer only once the weight that goes with it is in force. */
	if (at->weight != at->weight_asked &&
	    (before == ROLLOUT_SCALED || asked < before))
		return before;
	return asked < 1 && at->weight < ATOM_WEIGHT_ALL && !at->hold ? 1
								      : asked;
}

static void promote(struct look *look)
{
	struct rollout *rollout = look->rollout;
	struct rollout_position *at = &rollout->at;

	at->stage = ROLLOUT_WARM;
	at->outcome = ROLLOUT_PROMOTED;
	at->hold = 0;
	rollout->times.ended_ms = rollout->times.now_ms;
	rollout->times.warm_left_ms = look->settings->rollback_window_ms;
	/* Scaling looks after the new one from now on. */
	if (at->old_asked == ROLLOUT_SCALED)
		at->old_asked = look_full(look);
}

static void put_in_force(struct look *look)
{
	struct rollout *rollout = look->rollout;
	struct rollout_position *at = &rollout->at;

	if (at->stage == ROLLOUT_FINISHING)
		ask_for_all(look);
	at->weight = weight_of(look);
	if (moves(rollout) && (at->weight == at->weight_asked ||
			       at->weight_asked < at->weight_reached))
		at->weight_reached = at->weight_asked;
	if (at->stage == ROLLOUT_FINISHING && at->weight == ATOM_WEIGHT_ALL &&
	    look->seen->new_ready > 0 && !look_stands(look) &&
	    !gate_closed(look))
		promote(look);
	/* A swap has not asked yet for what it keeps warm. */
	if (at->stage == ROLLOUT_WARM && at->old_asked == ROLLOUT_SCALED)
		at->old_asked = look_full(look);
	if (at->stage == ROLLOUT_WARM && rollout->times.warm_left_ms <= 0)
		at->stage = ROLLOUT_OVER;
	if (at->stage == ROLLOUT_RETURNING && at->weight == 0)
		at->stage = ROLLOUT_OVER;
	at->old_in_force = old_of(at);
}

/* --- what is ordered -------------------------------------------------------- */

/* Whoever asked for so many did it for an agent of a certain size; while the
 * strategy is not asked (a pause, a freeze) it may have grown. */
static int32_t grown(const struct look *look, int32_t asked)
{
	int64_t then = look->rollout->at.full_asked, now = look_full(look);

	if (then < 1 || now <= then || asked < 1)
		return asked;
	return (int32_t)((asked * now + then - 1) / then);
}

static int32_t new_ordered(const struct look *look)
{
	const struct rollout_position *at = &look->rollout->at;

	if (at->outcome == ROLLOUT_PROMOTED)
		return ROLLOUT_SCALED;
	return at->stage == ROLLOUT_OVER ? 0 : grown(look, at->new_asked);
}

static int32_t old_ordered(const struct look *look)
{
	const struct rollout_position *at = &look->rollout->at;

	/* The calls that will come back need someone, also where scaling had
	 * gone down to nothing. */
	if (at->stage == ROLLOUT_RETURNING)
		return look_full(look);
	return at->stage == ROLLOUT_STEPS ? grown(look, at->old_in_force)
					  : at->old_in_force;
}

static uint64_t calls_counted(const struct rollout_cells *cells)
{
	uint64_t calls = 0;

	for (size_t i = 0; i < cells->count; i++)
		calls += cells->cells[i].calls;
	return calls;
}

/* Reasons change with every number in them and are not kept for that. */
static bool differs(const struct rollout_position *a,
		    const struct rollout_position *b)
{
	return memcmp(a, b, offsetof(struct rollout_position, cause)) != 0 ||
	       strcmp(a->cause, b->cause) != 0;
}

static void order(struct look *look, const struct rollout_position *before)
{
	struct rollout *rollout = look->rollout;
	const struct rollout_position *at = &rollout->at;
	struct rollout_orders *orders = look->orders;
	bool changed = differs(at, before) || look->moved;
	bool back = at->outcome == ROLLOUT_ABORTED &&
		    before->outcome != ROLLOUT_ABORTED;
	bool swapped = look->first && at->stage == ROLLOUT_WARM;
	uint64_t calls = calls_counted(&rollout->counted);

	*orders = (struct rollout_orders){
		.store = changed || swapped,
		.urgent = back || swapped ||
			  (at->stage != before->stage &&
			   before->stage == ROLLOUT_RETURNING),
		.outcome = at->outcome,
		.old_instances = old_ordered(look),
		.new_instances = new_ordered(look),
		.weight = at->weight,
		.mirror = look->seen->new_ready > 0 && !gate_closed(look)
				  ? at->mirror_asked
				  : 0,
		.mirror_budget = at->mirror_budget,
		.hold = at->hold != 0,
		.over = at->stage == ROLLOUT_OVER,
		.look_ms = changed ? ROLLOUT_SOON_MS : ROLLOUT_LOOK_MS,
	};
	if (calls != rollout->kept_calls &&
	    rollout->times.now_ms - rollout->kept_ms >= ROLLOUT_KEEP_MS)
		orders->store = true;
	if (orders->store) {
		rollout->kept_ms = rollout->times.now_ms;
		rollout->kept_calls = calls;
	}
}

/* --- the look --------------------------------------------------------------- */

static void go_on(struct look *look)
{
	struct rollout *rollout = look->rollout;

	if (look->seen->gate == ROLLOUT_GATE_FAILED && moves(rollout))
		rollout_abort(rollout, look->seen->gate_cause, "%s",
			      look->seen->gate_reason);
	if (look->rollout->at.person != ATOM_PERSON_NOTHING)
		heed_person(look);
	if (!moves(rollout))
		return;
	run_deadline(look);
	count_failures(look);
	run_pause(look);
	if (rollout->at.stage == ROLLOUT_STEPS && !look_stands(look) &&
	    rollout->at.paused == ROLLOUT_NOT_PAUSED)
		look_plan(look);
}

void rollout_advance(struct rollout *rollout,
		     const struct rollout_settings *settings,
		     const struct rollout_seen *seen,
		     const struct rollout_strategy *strategy,
		     const struct rollout_judge *judge,
		     struct rollout_orders *orders_r)
{
	struct look look = {
		.rollout = rollout,
		.settings = settings,
		.seen = seen,
		.strategy = strategy,
		.judge = judge,
		.orders = orders_r,
	};
	struct rollout_position before = rollout->at;

	pass_time(&look);
	if (rollout->at.stage == ROLLOUT_WARM)
		rollout->times.warm_left_ms -= look.elapsed_ms;
	if (moves(rollout)) {
		look_count(&look);
		look_judge(&look);
	}
	go_on(&look);
	put_in_force(&look);
	order(&look, &before);
}
