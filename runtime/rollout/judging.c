/* SPDX-License-Identifier: Apache-2.0 */

/* What was counted, and what the judge says of it. */

#include "rollout/rollout_priv.h"

#include <math.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"

#define BAD_MAX ARRAY_SIZE(((struct atom_cell *)NULL)->bad)

/* --- counts ----------------------------------------------------------------- */

static struct atom_cell *cell_of(struct rollout_cells *cells, int32_t weight,
				 int32_t is_new)
{
	struct atom_cell *cell;

	for (size_t i = 0; i < cells->count; i++)
		if (cells->cells[i].weight == weight &&
		    cells->cells[i].is_new == is_new)
			return &cells->cells[i];
	if (cells->count == ROLLOUT_CELLS_MAX)
		return NULL;
	cell = &cells->cells[cells->count++];
	*cell = (struct atom_cell){
		.struct_size = sizeof(*cell),
		.weight = weight,
		.is_new = is_new,
		.bad_kinds = ATOM_BAD_COUNT,
	};
	return cell;
}

/* More bad events than calls would be a fault of whoever counts; the call
 * itself may still run, though, when its first bad event is known. */
static void add(struct atom_cell *sum, const struct atom_cell *cell)
{
	sum->calls += cell->calls;
	for (size_t kind = 0; kind < ATOM_BAD_COUNT; kind++) {
		if ((int32_t)kind < cell->bad_kinds)
			sum->bad[kind] += cell->bad[kind];
		if (sum->bad[kind] > sum->calls)
			sum->bad[kind] = sum->calls;
	}
}

static bool sound(const struct atom_cell *cell)
{
	return cell->weight >= 0 && cell->weight <= ATOM_WEIGHT_ALL &&
	       (cell->is_new == 0 || cell->is_new == 1) &&
	       cell->bad_kinds >= 0 && cell->bad_kinds <= (int32_t)BAD_MAX;
}

/* What both revisions answered, here and in earlier processes. */
static void compare(struct rollout *rollout, const struct rollout_seen *seen)
{
	const struct atom_comparison *here = seen->comparison;
	struct atom_comparison *sum = &rollout->compared;

	*sum = rollout->compared_before;
	sum->struct_size = sizeof(*sum);
	rollout->mirror_tokens = seen->mirror_tokens;
	if (here == NULL)
		return;
	sum->calls += here->calls;
	sum->status_differs += here->status_differs;
	sum->json_differs += here->json_differs;
	sum->similar_calls += here->similar_calls;
	sum->similarity_sum += here->similarity_sum;
	sum->old_s_sum += here->old_s_sum;
	sum->new_s_sum += here->new_s_sum;
	sum->old_tokens += here->old_tokens;
	sum->new_tokens += here->new_tokens;
}

void look_count(struct look *look)
{
	struct rollout *rollout = look->rollout;
	struct rollout_cells *counted = &rollout->counted;

	compare(rollout, look->seen);
	*counted = rollout->before;
	for (size_t i = 0; i < look->seen->cell_count; i++) {
		const struct atom_cell *cell = &look->seen->cells[i];
		struct atom_cell *sum;

		if (cell->calls == 0 || !sound(cell))
			continue;
		sum = cell_of(counted, cell->weight, cell->is_new);
		if (sum == NULL) {
			rollout_abort(rollout, "too_many_weights",
				      "calls at more than %d different "
				      "weights cannot be judged",
				      ROLLOUT_CELLS_MAX / 2);
			return;
		}
		add(sum, cell);
	}
}

/* What the analysis looks at: counted, less what was there as it began. */
static void in_analysis(const struct rollout *rollout,
			struct rollout_cells *cells_r)
{
	*cells_r = rollout->counted;
	for (size_t i = 0; i < rollout->analysed.count; i++) {
		const struct atom_cell *less = &rollout->analysed.cells[i];
		struct atom_cell *cell =
			cell_of(cells_r, less->weight, less->is_new);

		if (cell == NULL)
			continue;
		cell->calls -=
			less->calls < cell->calls ? less->calls : cell->calls;
		for (size_t kind = 0; kind < ATOM_BAD_COUNT; kind++) {
			uint64_t *bad = &cell->bad[kind];

			*bad -= less->bad[kind] < *bad ? less->bad[kind] : *bad;
			if (*bad > cell->calls)
				*bad = cell->calls;
		}
	}
}

static int64_t new_calls(const struct rollout_cells *cells)
{
	int64_t calls = 0;

	for (size_t i = 0; i < cells->count; i++)
		if (cells->cells[i].is_new)
			calls += (int64_t)cells->cells[i].calls;
	return calls;
}

int64_t rollout_samples(const struct rollout *rollout)
{
	int64_t before = new_calls(&rollout->analysed);
	int64_t now = new_calls(&rollout->counted);

	return now > before ? now - before : 0;
}

/* --- the judge -------------------------------------------------------------- */

bool look_judged(const struct look *look)
{
	return look->judge != NULL && look->judge->ops != NULL &&
	       look->seen->bad_kinds != 0;
}

static double number(double value)
{
	return isfinite(value) ? value : 0;
}

/* Numbers for people and for JSON, whatever the judge left there. */
static void clean(struct atom_verdict *verdict)
{
	text_make_printable(verdict->metric, sizeof(verdict->metric));
	text_make_printable(verdict->reason, sizeof(verdict->reason));
	verdict->value = number(verdict->value);
	verdict->threshold = number(verdict->threshold);
	for (uint32_t i = 0; i < verdict->evidence_count; i++) {
		struct atom_evidence *row = &verdict->evidence[i];

		row->ratio = number(row->ratio);
		row->worse = number(row->worse);
		row->not_worse = number(row->not_worse);
	}
}

static bool sensible(const struct atom_verdict *verdict, size_t state_size)
{
	return verdict->verdict >= ATOM_VERDICT_UNDECIDED &&
	       verdict->verdict <= ATOM_VERDICT_NOT_WORSE &&
	       verdict->evidence_count <= ARRAY_SIZE(verdict->evidence) &&
	       state_size <= ATOM_JUDGE_STATE_MAX;
}

static void failed(struct look *look, const char *why)
{
	struct rollout_position *at = &look->rollout->at;

	at->analysis = ATOM_ANALYSIS_ERROR;
	if (++at->judge_errors > ROLLOUT_ERRORS_MAX)
		rollout_abort(look->rollout, "judge_failed",
			      "judge %s failed %d times in a row: %.120s",
			      look->rollout->judge, at->judge_errors, why);
}

/* One look of the judge; true: it said something. */
static bool ask(struct look *look, bool last)
{
	struct rollout *rollout = look->rollout;
	struct rollout_cells cells;
	struct atom_verdict verdict = { .struct_size = sizeof(verdict) };
	struct atom_error err = ATOM_ERROR_INIT;
	struct rollout_bytes *state = &rollout->scratch;
	struct atom_trial trial = {
		.struct_size = sizeof(trial),
		.cell_stride = sizeof(cells.cells[0]),
		.now_ms = rollout->times.now_ms,
		.began_ms = rollout->times.analysis_began_ms,
		.cells = cells.cells,
		.bad_kinds = look->seen->bad_kinds,
		.last = last,
	};
	atom_status status;

	in_analysis(rollout, &cells);
	trial.cell_count = cells.count;
	state->size = rollout->judge_state.size;
	memcpy(state->bytes, rollout->judge_state.bytes, state->size);
	status =
		look->judge->ops->judge(look->judge->self, &trial, state->bytes,
					&state->size, &verdict, &err);
	if (status != ATOM_OK || !sensible(&verdict, state->size)) {
		text_make_printable(err.message, sizeof(err.message));
		failed(look, status != ATOM_OK ? err.message
					       : "a verdict that is none");
		return false;
	}
	rollout->at.judge_errors = 0;
	if (rollout->at.analysis == ATOM_ANALYSIS_ERROR)
		rollout->at.analysis = ATOM_ANALYSIS_NONE;
	if (state->size != rollout->judge_state.size ||
	    memcmp(state->bytes, rollout->judge_state.bytes, state->size) != 0)
		look->moved = true;
	rollout->judge_state.size = state->size;
	memcpy(rollout->judge_state.bytes, state->bytes, state->size);
	verdict.struct_size = sizeof(verdict);
	clean(&verdict);
	rollout->judged = verdict;
	return true;
}

/* Takes the verdict over; true: it was not `worse`. */
static bool heed(struct look *look)
{
	struct rollout *rollout = look->rollout;
	struct rollout_position *at = &rollout->at;

	if (rollout_samples(rollout) < look->settings->min_samples)
		return true;
	at->verdict = rollout->judged.verdict;
	switch (at->verdict) {
	case ATOM_VERDICT_WORSE:
		at->analysis = ATOM_ANALYSIS_FAILED;
		rollout_abort(rollout, "worse", "%s", rollout->judged.reason);
		return false;
	case ATOM_VERDICT_NOT_WORSE:
		at->analysis = ATOM_ANALYSIS_SUCCESSFUL;
		return true;
	default:
		at->analysis = ATOM_ANALYSIS_NONE;
		return true;
	}
}

void look_judge(struct look *look)
{
	struct rollout *rollout = look->rollout;
	struct rollout_position *at = &rollout->at;

	if (!look_judged(look) || at->full)
		return;
	if (at->stage != ROLLOUT_STEPS && at->stage != ROLLOUT_FINISHING)
		return;
	if (at->analysing == ROLLOUT_NOT_ANALYSED &&
	    (at->weight > 0 || at->mirror_asked > 0)) {
		at->analysing = ROLLOUT_ANALYSING;
		rollout->times.analysis_began_ms = rollout->times.now_ms;
	}
	if (at->analysing == ROLLOUT_ANALYSING && ask(look, false))
		heed(look);
}

/* What is set for want of a verdict. */
static bool without_verdict(struct look *look, int32_t setting,
			    const char *cause, const char *what)
{
	struct rollout *rollout = look->rollout;
	struct rollout_position *at = &rollout->at;

	if (setting == ROLLOUT_END_PROMOTE) {
		rollout_say(rollout, cause, "%s; `on_%s` is promote", what,
			    cause);
		return true;
	}
	if (setting == ROLLOUT_END_ABORT) {
		rollout_abort(rollout, cause, "%s; `on_%s` is abort", what,
			      cause);
		return false;
	}
	at->paused = ROLLOUT_PAUSED_AT_END;
	at->pause_until_person = 1;
	rollout_say(rollout, cause, "%s; promote or abort", what);
	return false;
}

bool look_judge_end(struct look *look)
{
	struct rollout *rollout = look->rollout;
	struct rollout_position *at = &rollout->at;
	int64_t samples = rollout_samples(rollout);
	char what[160];

	if (!look_judged(look) || at->full || at->analysing == ROLLOUT_ANALYSED)
		return true;
	if (samples < look->settings->min_samples) {
		at->analysis = ATOM_ANALYSIS_INCONCLUSIVE;
		(void)snprintf(what, sizeof(what),
			       "the new revision had %lld calls, %lld make a "
			       "judgement",
			       (long long)samples,
			       (long long)look->settings->min_samples);
		return without_verdict(look, look->settings->on_no_data,
				       "no_data", what);
	}
	if (!ask(look, true))
		return false;
	if (!heed(look))
		return false;
	if (at->verdict == ATOM_VERDICT_NOT_WORSE)
		return true;
	at->analysis = ATOM_ANALYSIS_INCONCLUSIVE;
	(void)snprintf(what, sizeof(what), "undecided after %lld calls",
		       (long long)samples);
	return without_verdict(look, look->settings->on_undecided, "undecided",
			       what);
}
