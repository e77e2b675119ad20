/* SPDX-License-Identifier: Apache-2.0 */

#include "rollout/simulate_priv.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

/* splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
 * generators", 2014): the same everywhere, and any seed will do. */
static uint64_t draw(uint64_t *seed)
{
	uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

double simulate_uniform(uint64_t *seed)
{
	return (double)(draw(seed) >> 11) * 0x1p-53;
}

uint64_t simulate_seed(const struct rollout_setup *setup, uint32_t number)
{
	uint64_t seed = setup->seed + number * UINT64_C(0xd1342543de82ef95);

	return draw(&seed);
}

bool simulate_is_bad(const struct rollout_setup *setup, uint64_t call,
		     bool is_new, uint64_t *seed)
{
	double at = (double)call / (double)setup->calls;
	double rate = is_new ? setup->new_rate : setup->old_rate;

	if (at >= setup->outage_from && at < setup->outage_to)
		rate = setup->outage_rate;
	return simulate_uniform(seed) < rate;
}

/* What one run is made of. */
struct run {
	const struct rollout_setup *setup;
	struct atom_cell cells[2]; /* old, new */
	struct atom_trial trial;
	struct atom_verdict verdict;
	uint64_t seed;
	uint64_t calls;
	size_t state_size;
	uint8_t *state; /* ATOM_JUDGE_STATE_MAX */
};

static void begin(struct run *run, uint32_t number)
{
	const struct rollout_setup *setup = run->setup;

	run->seed = simulate_seed(setup, number);
	run->calls = 0;
	run->state_size = 0;
	memset(run->cells, 0, sizeof(run->cells));
	for (int i = 0; i < 2; i++) {
		run->cells[i].struct_size = sizeof(run->cells[i]);
		run->cells[i].weight = setup->weight;
		run->cells[i].is_new = i;
		run->cells[i].bad_kinds = ATOM_BAD_ERROR + 1;
	}
	memset(&run->trial, 0, sizeof(run->trial));
	run->trial.struct_size = sizeof(run->trial);
	run->trial.cell_stride = sizeof(run->cells[0]);
	run->trial.cells = run->cells;
	run->trial.cell_count = 2;
	run->trial.bad_kinds = 1U << ATOM_BAD_ERROR;
}

static void one_call(struct run *run)
{
	const struct rollout_setup *setup = run->setup;
	int is_new =
		simulate_uniform(&run->seed) * ATOM_WEIGHT_ALL < setup->weight;
	struct atom_cell *cell = &run->cells[is_new];

	cell->calls++;
	if (simulate_is_bad(setup, run->calls, is_new, &run->seed))
		cell->bad[ATOM_BAD_ERROR]++;
	run->calls++;
}

static atom_status look(struct run *run, simulate_judge judge, void *arg,
			struct atom_error *err)
{
	memset(&run->verdict, 0, sizeof(run->verdict));
	run->verdict.struct_size = sizeof(run->verdict);
	run->trial.last = run->calls == run->setup->calls;
	return judge(arg, &run->trial, run->state, &run->state_size,
		     &run->verdict, err);
}

/* Calls and looks until a verdict or the last call. */
static atom_status one_run(struct run *run, uint32_t number,
			   simulate_judge judge, void *arg,
			   struct atom_error *err)
{
	const struct rollout_setup *setup = run->setup;
	int64_t next_ms = setup->look_ms;

	begin(run, number);
	while (run->calls < setup->calls) {
		atom_status status;
		int64_t now_ms;

		one_call(run);
		now_ms = (int64_t)((double)run->calls * 1000 /
				   setup->calls_per_s);
		if (now_ms < next_ms && run->calls < setup->calls)
			continue;
		next_ms = now_ms - now_ms % setup->look_ms + setup->look_ms;
		run->trial.now_ms = now_ms;
		status = look(run, judge, arg, err);
		if (status != ATOM_OK)
			return status;
		if (run->verdict.verdict != ATOM_VERDICT_UNDECIDED)
			break;
	}
	return ATOM_OK;
}

static int by_size(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

static bool share(double value)
{
	return value >= 0 && value <= 1;
}

double simulate_median(uint64_t *ends, uint32_t runs)
{
	uint64_t median;

	qsort(ends, runs, sizeof(*ends), by_size);
	median = ends[(runs - 1) / 2];
	return median == UINT64_MAX ? -1 : (double)median;
}

atom_status simulate_check(const struct rollout_setup *setup,
			   struct atom_error *err)
{
	if (setup->calls == 0 || setup->runs == 0)
		return atom_fail(err, ATOM_EINVAL,
				 "a run needs a call, a simulation a run");
	if (setup->weight <= 0 || setup->weight >= ATOM_WEIGHT_ALL)
		return atom_fail(err, ATOM_EINVAL,
				 "the new revision's weight is %d of %d: both "
				 "revisions need calls",
				 setup->weight, ATOM_WEIGHT_ALL);
	if (!share(setup->old_rate) || !share(setup->new_rate) ||
	    !share(setup->outage_rate) || !share(setup->outage_from) ||
	    !share(setup->outage_to) || setup->outage_from > setup->outage_to)
		return atom_fail(err, ATOM_EINVAL,
				 "rates and the outage's begin and end are "
				 "shares, 0 to 1, and it begins first");
	if (!(setup->calls_per_s > 0) || setup->look_ms <= 0)
		return atom_fail(err, ATOM_EINVAL,
				 "calls a second and the time between two "
				 "looks have to be above 0");
	return ATOM_OK;
}

static void count(const struct run *run, struct rollout_result *sum,
		  uint64_t *end)
{
	*end = UINT64_MAX;
	if (run->verdict.verdict == ATOM_VERDICT_WORSE) {
		*end = run->calls;
		sum->alarm_share += 1;
	}
	if (run->verdict.verdict == ATOM_VERDICT_NOT_WORSE)
		sum->accept_share += 1;
	sum->bad_answers_mean += (double)run->cells[1].bad[ATOM_BAD_ERROR];
	sum->calls_mean += (double)run->calls;
}

static void divide(struct rollout_result *sum, uint32_t runs, uint64_t *ends)
{
	sum->alarm_share /= runs;
	sum->accept_share /= runs;
	sum->bad_answers_mean /= runs;
	sum->calls_mean /= runs;
	sum->median_calls_to_alarm = simulate_median(ends, runs);
}

atom_status rollout_simulate(const struct rollout_setup *setup,
			     simulate_judge judge, void *arg,
			     rollout_progress progress, void *progress_arg,
			     struct rollout_result *result, uint64_t *ends,
			     struct atom_error *err)
{
	struct run run = { .setup = setup };
	uint64_t *own = NULL;
	atom_status status = simulate_check(setup, err);

	memset(result, 0, sizeof(*result));
	if (status != ATOM_OK)
		return status;
	run.state = mem_zalloc(ATOM_JUDGE_STATE_MAX);
	if (ends == NULL)
		ends = own = mem_array(setup->runs, sizeof(*own));
	if (run.state == NULL || ends == NULL) {
		status = atom_fail(err, ATOM_ENOMEM, "no memory for %u runs",
				   setup->runs);
		goto out;
	}
	for (uint32_t i = 0; i < setup->runs; i++) {
		status = one_run(&run, i, judge, arg, err);
		if (status != ATOM_OK)
			goto out;
		count(&run, result, &ends[i]);
		if (progress)
			progress(progress_arg, i + 1, setup->runs);
	}
	divide(result, setup->runs, ends);
out:
	mem_free(run.state);
	mem_free(own);
	return status;
}
