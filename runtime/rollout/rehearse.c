/* SPDX-License-Identifier: Apache-2.0 */

#include "rollout/rehearse.h"

#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "rollout/simulate_priv.h"

/* 2026-01-05 00:00 UTC, as traces without dates. */
#define BEGAN_MS INT64_C(1767571200000)
/* Starts under way: one batch an order. */
#define BATCHES 64

struct batch {
	int64_t ready_ms;
	int32_t instances;
};

struct run {
	const struct rehearse_setup *setup;
	struct rollout *rollout;
	struct rollout_seen seen;
	struct rollout_orders orders;
	struct atom_cell cells[ROLLOUT_CELLS_MAX];
	struct atom_comparison comparison;
	struct batch batches[BATCHES];
	size_t batch_count;
	int64_t now_ms; /* since the run began */
	uint64_t seed;
	uint64_t calls;
	uint64_t until; /* the call with which the rollout ended */
	uint64_t bad_answers;
	double *weight; /* REHEARSE_POINTS sums */
	size_t points;	/* of this run so far */
};

static atom_status begin(struct run *run, uint32_t number,
			 struct atom_error *err)
{
	struct rollout_new made = {
		.id = "simulated",
		.agent = "simulated",
		.from = 1,
		.to = 2,
		.from_hash = "old",
		.to_hash = "new",
		.strategy = "simulated",
		.judge = run->setup->judge.ops ? "simulated" : "",
		.wall_ms = BEGAN_MS,
	};

	memset(&run->seen, 0, sizeof(run->seen));
	memset(&run->orders, 0, sizeof(run->orders));
	run->seen.agent_wanted = run->setup->instances;
	run->seen.old_ready = run->setup->instances;
	run->seen.bad_kinds = 1U << ATOM_BAD_ERROR;
	run->seen.cells = run->cells;
	run->seen.comparison = &run->comparison;
	run->comparison = (struct atom_comparison){
		.struct_size = sizeof(run->comparison),
	};
	run->orders.old_instances = ROLLOUT_SCALED;
	run->batch_count = 0;
	run->now_ms = 0;
	run->calls = 0;
	run->bad_answers = 0;
	run->points = 0;
	run->seed = simulate_seed(&run->setup->calls, number);
	return rollout_begin(run->rollout, &made, err);
}

/* --- instances -------------------------------------------------------------- */

static int32_t starting(const struct run *run)
{
	int32_t sum = 0;

	for (size_t i = 0; i < run->batch_count; i++)
		sum += run->batches[i].instances;
	return sum;
}

static void become_ready(struct run *run)
{
	size_t kept = 0;

	for (size_t i = 0; i < run->batch_count; i++) {
		if (run->batches[i].ready_ms <= run->now_ms)
			run->seen.new_ready += run->batches[i].instances;
		else
			run->batches[kept++] = run->batches[i];
	}
	run->batch_count = kept;
}

/* New ones start, those too many end; the old ones only ever end, and start
 * in no time when they are wanted again. */
static void carry_out(struct run *run)
{
	const struct rollout_orders *orders = &run->orders;
	int32_t all = run->setup->instances;
	int32_t wanted = orders->new_instances == ROLLOUT_SCALED
				 ? all
				 : orders->new_instances;
	int32_t missing = wanted - run->seen.new_ready - starting(run);

	run->seen.old_ready = orders->old_instances == ROLLOUT_SCALED
				      ? all
				      : orders->old_instances;
	if (run->seen.new_ready > wanted)
		run->seen.new_ready = wanted;
	if (missing > 0 && run->batch_count < BATCHES)
		run->batches[run->batch_count++] = (struct batch){
			.ready_ms = run->now_ms + run->setup->cold_start_ms,
			.instances = missing,
		};
}

/* --- calls ------------------------------------------------------------------ */

static void count(struct run *run, int32_t weight, bool is_new, bool bad)
{
	size_t i = 0;

	while (i < run->seen.cell_count &&
	       (run->cells[i].weight != weight ||
		run->cells[i].is_new != (int32_t)is_new))
		i++;
	/* The controller stops a strategy long before. */
	if (i == ROLLOUT_CELLS_MAX)
		return;
	if (i == run->seen.cell_count) {
		run->seen.cell_count++;
		run->cells[i] = (struct atom_cell){
			.struct_size = sizeof(run->cells[i]),
			.weight = weight,
			.is_new = is_new,
			.bad_kinds = ATOM_BAD_ERROR + 1,
		};
	}
	run->cells[i].calls++;
	run->cells[i].bad[ATOM_BAD_ERROR] += bad;
}

static bool chance(struct run *run, int32_t weight)
{
	return simulate_uniform(&run->seed) * ATOM_WEIGHT_ALL < weight;
}

/* The same call to both: one bad outcome alone is a difference. */
static void mirror(struct run *run, bool old_bad)
{
	bool new_bad = simulate_is_bad(&run->setup->calls, run->calls, true,
				       &run->seed);

	count(run, ATOM_WEIGHT_ALL / 2, false, old_bad);
	count(run, ATOM_WEIGHT_ALL / 2, true, new_bad);
	run->comparison.calls++;
	run->comparison.status_differs += old_bad != new_bad;
}

static void one_call(struct run *run)
{
	bool is_new = chance(run, run->orders.weight);
	bool bad = simulate_is_bad(&run->setup->calls, run->calls, is_new,
				   &run->seed);

	count(run, run->orders.weight, is_new, bad);
	run->bad_answers += is_new && bad;
	if (run->orders.mirror > 0 && !is_new &&
	    chance(run, run->orders.mirror))
		mirror(run, bad);
	run->calls++;
}

/* Adds the weight to each point that the calls have passed. */
static void tell_weight(struct run *run, uint64_t calls, double weight)
{
	while (run->points < REHEARSE_POINTS &&
	       (double)run->points * (double)run->setup->calls.calls <=
		       (double)calls * REHEARSE_POINTS)
		run->weight[run->points++] += weight;
}

/* --- a run ------------------------------------------------------------------ */

static bool ended(const struct run *run)
{
	return run->rollout->at.outcome != ROLLOUT_OPEN;
}

static void look(struct run *run)
{
	const struct rehearse_setup *setup = run->setup;

	run->now_ms += setup->calls.look_ms;
	run->seen.wall_ms = BEGAN_MS + run->now_ms;
	run->seen.steady_ms = run->now_ms;
	become_ready(run);
	rollout_advance(run->rollout, &setup->settings, &run->seen,
			&setup->strategy, &setup->judge, &run->orders);
	carry_out(run);
}

static atom_status one_run(struct run *run, uint32_t number,
			   struct atom_error *err)
{
	const struct rollout_setup *setup = &run->setup->calls;
	atom_status status = begin(run, number, err);

	while (status == ATOM_OK && run->calls < setup->calls && !ended(run)) {
		double due;

		look(run);
		due = (double)run->now_ms * setup->calls_per_s / 1000;
		while (run->calls < setup->calls && !ended(run) &&
		       (double)run->calls < due)
			one_call(run);
		tell_weight(run, run->calls,
			    (double)run->orders.weight / ATOM_WEIGHT_ALL);
	}
	run->until = run->calls;
	/* What was let through is shown to everybody. */
	while (run->rollout->at.outcome == ROLLOUT_PROMOTED &&
	       run->calls < setup->calls)
		one_call(run);
	tell_weight(run, setup->calls,
		    run->rollout->at.outcome == ROLLOUT_PROMOTED ? 1
		    : ended(run)
			    ? 0
			    : (double)run->orders.weight / ATOM_WEIGHT_ALL);
	return status;
}

static void add(const struct run *run, struct rehearse_result *sum,
		uint64_t *end)
{
	int32_t outcome = run->rollout->at.outcome;

	*end = outcome == ROLLOUT_ABORTED ? run->until : UINT64_MAX;
	sum->promoted_share += outcome == ROLLOUT_PROMOTED;
	sum->aborted_share += outcome == ROLLOUT_ABORTED;
	sum->open_share += outcome == ROLLOUT_OPEN;
	sum->bad_answers_mean += (double)run->bad_answers;
	sum->calls_mean += (double)run->until;
	sum->seconds_mean += (double)run->now_ms / 1000;
	(void)snprintf(sum->reason, sizeof(sum->reason), "%s",
		       run->rollout->at.reason);
}

static void divide(struct rehearse_result *sum, uint32_t runs, uint64_t *ends)
{
	sum->promoted_share /= runs;
	sum->aborted_share /= runs;
	sum->open_share /= runs;
	sum->bad_answers_mean /= runs;
	sum->calls_mean /= runs;
	sum->seconds_mean /= runs;
	for (size_t i = 0; i < REHEARSE_POINTS; i++)
		sum->weight[i] /= runs;
	sum->median_calls_to_abort = simulate_median(ends, runs);
}

static atom_status check(const struct rehearse_setup *setup,
			 struct atom_error *err)
{
	struct rollout_setup calls = setup->calls;

	calls.weight = 1;
	if (setup->instances < 1 || setup->cold_start_ms < 0)
		return atom_fail(err, ATOM_EINVAL,
				 "an agent has an instance, and it starts "
				 "after it was ordered");
	return simulate_check(&calls, err);
}

atom_status rollout_rehearse(const struct rehearse_setup *setup,
			     rollout_progress progress, void *progress_arg,
			     struct rehearse_result *result, uint64_t *ends,
			     struct atom_error *err)
{
	struct run *run = NULL;
	uint64_t *own = NULL;
	atom_status status = check(setup, err);

	memset(result, 0, sizeof(*result));
	if (status != ATOM_OK)
		return status;
	run = mem_zalloc(sizeof(*run));
	if (run != NULL)
		run->rollout = mem_alloc(sizeof(*run->rollout));
	if (ends == NULL)
		ends = own = mem_array(setup->calls.runs, sizeof(*own));
	if (run == NULL || run->rollout == NULL || ends == NULL) {
		status = atom_fail(err, ATOM_ENOMEM, "no memory for %u runs",
				   setup->calls.runs);
		goto out;
	}
	run->setup = setup;
	run->weight = result->weight;
	for (uint32_t i = 0; i < setup->calls.runs; i++) {
		status = one_run(run, i, err);
		if (status != ATOM_OK)
			goto out;
		add(run, result, &ends[i]);
		if (progress)
			progress(progress_arg, i + 1, setup->calls.runs);
	}
	divide(result, setup->calls.runs, ends);
out:
	if (run != NULL)
		mem_free(run->rollout);
	mem_free(run);
	mem_free(own);
	return status;
}
