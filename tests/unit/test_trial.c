/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two revisions side by side: who goes where, and what counts.
 */
#include <criterion/criterion.h>

#include <stdio.h>

#include "agent/directory.h"
#include "agent/trial.h"
#include "core/memory.h"
#include "failing_memory.h"

#define SESSIONS 20000
#define MS	 INT64_C(1000000)

static const struct config_bad_events all_bad = {
	.error = true,
	.invalid_json = true,
	.slower_than_ms = 100,
	.first_token_slower_than_ms = 20,
	.tokens_above = 50,
	.rated_below = 0.5,
};

static struct trial *trial_of(uint64_t salt)
{
	struct trial *trial = trial_new(salt, &all_bad);

	cr_assert_not_null(trial);
	return trial;
}

static uint64_t session_of(const struct trial *trial, int i)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "session-%d", i);
	return trial_session(trial, "key:alice", name);
}

static struct assignment assign(struct trial *trial, int32_t weight,
				bool is_new, uint64_t session)
{
	return (struct assignment){ .trial = trial,
				    .session = session,
				    .weight = weight,
				    .cell = trial_weight(trial, weight),
				    .is_new = is_new };
}

static struct revision_outcome well(void)
{
	return (struct revision_outcome){ .http_status = 200,
					  .called = true,
					  .began_ns = 1000 * MS,
					  .granted_ns = 1000 * MS,
					  .first_emit_ns = 1010 * MS,
					  .ended_ns = 1050 * MS,
					  .input_tokens = 20,
					  .output_tokens = 30 };
}

/* The cell of this weight and revision; all zero when nothing counted. */
static struct atom_cell cell_of(const struct trial *trial, int32_t weight,
				int32_t is_new)
{
	struct atom_cell cells[2 * TRIAL_WEIGHTS_MAX];
	size_t count = trial_cells(trial, cells, ARRAY_SIZE(cells));

	for (size_t i = 0; i < count; i++)
		if (cells[i].weight == weight && cells[i].is_new == is_new)
			return cells[i];
	return (struct atom_cell){ .weight = weight };
}

Test(trial, a_session_moves_once_and_never_back_while_the_weight_grows)
{
	static const int32_t steps[] = { 0, 1, 500, 2500, 5000, 9999, 10000 };
	struct trial *trial = trial_of(42);
	int moved[ARRAY_SIZE(steps)] = { 0 };

	for (int i = 0; i < SESSIONS; i++) {
		uint64_t session = session_of(trial, i);
		bool was_new = false;

		cr_assert_neq(session, 0);
		for (size_t s = 0; s < ARRAY_SIZE(steps); s++) {
			bool is_new = trial_session_is_new(session, steps[s]);

			cr_assert(is_new || !was_new);
			was_new = is_new;
			moved[s] += is_new;
		}
	}
	cr_assert_eq(moved[0], 0);
	cr_assert_eq(moved[ARRAY_SIZE(steps) - 1], SESSIONS);
	/* Five standard deviations of a binomial at most. */
	for (size_t s = 0; s < ARRAY_SIZE(steps); s++) {
		double p = steps[s] / 10000.0;
		double off = moved[s] - SESSIONS * p;

		cr_assert_leq(off * off, 25 * SESSIONS * p * (1 - p) + 0.5);
	}
	trial_unref(trial);
}

Test(trial, another_salt_draws_the_sessions_anew_and_the_same_one_does_not)
{
	struct trial *a = trial_of(1), *again = trial_of(1), *b = trial_of(2);
	int differ = 0;

	for (int i = 0; i < SESSIONS; i++) {
		cr_assert_eq(session_of(a, i), session_of(again, i));
		differ += trial_session_is_new(session_of(a, i), 5000) !=
			  trial_session_is_new(session_of(b, i), 5000);
	}
	cr_assert(differ > SESSIONS * 48 / 100 && differ < SESSIONS * 52 / 100);
	/* A session is its principal's. */
	cr_assert_neq(trial_session(a, "ab", "c"), trial_session(a, "a", "bc"));
	trial_unref(a);
	trial_unref(again);
	trial_unref(b);
}

Test(trial, calls_count_where_they_were_assigned)
{
	struct trial *trial = trial_of(1);
	struct revision_outcome outcome = well();
	struct assignment early = assign(trial, 500, true, 0);
	struct assignment late = assign(trial, 2500, true, 0);
	struct assignment old = assign(trial, 500, false, 0);
	struct atom_cell cell;

	cr_assert(trial_count(&late, &outcome));
	outcome.http_status = 502;
	/* Ends after the weight has changed. */
	cr_assert(trial_count(&early, &outcome));
	cr_assert(trial_count(&old, &outcome));
	outcome.http_status = 200;
	cr_assert(trial_count(&old, &outcome));
	cell = cell_of(trial, 500, 1);
	cr_assert_eq(cell.calls, 1);
	cr_assert_eq(cell.bad[ATOM_BAD_ERROR], 1);
	cell = cell_of(trial, 2500, 1);
	cr_assert_eq(cell.calls, 1);
	cr_assert_eq(cell.bad[ATOM_BAD_ERROR], 0);
	cell = cell_of(trial, 500, 0);
	cr_assert_eq(cell.calls, 2);
	cr_assert_eq(cell.bad[ATOM_BAD_ERROR], 1);
	cr_assert_eq(cell_of(trial, 2500, 0).calls, 0);
	trial_unref(trial);
}

Test(trial, each_kind_of_bad_event_counts_alone)
{
	struct trial *trial = trial_of(1);
	struct assignment to = assign(trial, 5000, true, 0);
	struct revision_outcome outcome = well();
	struct atom_cell cell;

	cr_assert_eq(trial_kinds(trial), (1u << ATOM_BAD_COUNT) - 1);
	/* On the bound is not beyond it. */
	outcome.ended_ns = 1100 * MS;
	outcome.first_emit_ns = 1020 * MS;
	outcome.stream = true;
	cr_assert(trial_count(&to, &outcome));
	cell = cell_of(trial, 5000, 1);
	for (int kind = 0; kind < ATOM_BAD_COUNT; kind++)
		cr_assert_eq(cell.bad[kind], 0, "kind %d", kind);
	outcome.ended_ns++;
	cr_assert(trial_count(&to, &outcome));
	cr_assert_eq(cell_of(trial, 5000, 1).bad[ATOM_BAD_SLOW], 1);
	outcome = well();
	outcome.first_emit_ns = 1021 * MS;
	cr_assert(trial_count(&to, &outcome));
	cr_assert_eq(cell_of(trial, 5000, 1).bad[ATOM_BAD_SLOW_FIRST_TOKEN], 0,
		     "only a stream has a first piece");
	outcome.stream = true;
	cr_assert(trial_count(&to, &outcome));
	cr_assert_eq(cell_of(trial, 5000, 1).bad[ATOM_BAD_SLOW_FIRST_TOKEN], 1);
	outcome = well();
	outcome.output_tokens++;
	cr_assert(trial_count(&to, &outcome));
	cr_assert_eq(cell_of(trial, 5000, 1).bad[ATOM_BAD_TOKENS], 1);
	outcome = well();
	outcome.invalid_json = true;
	cr_assert(trial_count(&to, &outcome));
	cr_assert_eq(cell_of(trial, 5000, 1).bad[ATOM_BAD_INVALID_JSON], 1);
	trial_rate(&to, 1);
	cell = cell_of(trial, 5000, 1);
	cr_assert_eq(cell.bad[ATOM_BAD_RATED], 1);
	cr_assert_eq(cell.bad[ATOM_BAD_ERROR], 0);
	cr_assert_eq(cell.calls, 6);
	trial_rate(&to, -1);
	cr_assert_eq(cell_of(trial, 5000, 1).bad[ATOM_BAD_RATED], 0);
	trial_unref(trial);
}

Test(trial, who_left_and_what_reached_no_revision_does_not_count)
{
	struct trial *trial = trial_of(1);
	struct assignment to = assign(trial, 5000, true, 7);
	struct assignment nowhere = { .cell = -1 };
	struct revision_outcome outcome = well();

	cr_assert_not(trial_count(&nowhere, &outcome));
	outcome.http_status = REVISION_CLIENT_GONE;
	cr_assert_not(trial_count(&to, &outcome));
	outcome.http_status = 409;
	outcome.called = false;
	cr_assert_not(trial_count(&to, &outcome));
	cr_assert_eq(cell_of(trial, 5000, 1).calls, 0);
	/* Nor does it use its session up. */
	outcome = well();
	cr_assert(trial_count(&to, &outcome));
	trial_unref(trial);
}

Test(trial, a_session_counts_once)
{
	struct trial *trial = trial_of(1);
	uint64_t counted = 0;

	for (int round = 0; round < 3; round++)
		for (int i = 0; i < 1000; i++) {
			int32_t weight = 1000 * (round + 1);
			uint64_t session = session_of(trial, i);
			bool is_new = trial_session_is_new(session, weight);
			struct assignment to =
				assign(trial, weight, is_new, session);
			struct revision_outcome outcome = well();

			counted += trial_count(&to, &outcome);
		}
	/* Two sessions may share a bit, and count as one. */
	cr_assert(counted <= 1000 && counted >= 990, "%llu",
		  (unsigned long long)counted);
	cr_assert_eq(cell_of(trial, 2000, 1).calls +
			     cell_of(trial, 3000, 0).calls,
		     0);
	cr_assert_eq(cell_of(trial, 1000, 0).calls +
			     cell_of(trial, 1000, 1).calls,
		     counted);
	trial_unref(trial);
}

Test(trial, too_many_weights_and_no_memory_are_survived)
{
	struct trial *trial = trial_of(1);
	struct assignment to;
	struct revision_outcome outcome = well();

	for (int32_t i = 0; i < TRIAL_WEIGHTS_MAX; i++)
		cr_assert_eq(trial_weight(trial, 100 * i), i);
	cr_assert_eq(trial_weight(trial, 9999), -1);
	cr_assert_eq(trial_weight(trial, 300), 3);
	to = assign(trial, 9999, true, 0);
	cr_assert_not(trial_count(&to, &outcome));
	to = assign(trial, 100, true, 5);
	failing_memory_begin(1);
	cr_assert_not(trial_count(&to, &outcome),
		      "without memory nobody knows whether it has counted");
	cr_assert(failing_memory_end());
	failing_memory_begin(1);
	cr_assert_null(trial_new(1, &all_bad));
	cr_assert(failing_memory_end());
	trial_unref(trial);
}

/* --- mirrored calls ----------------------------------------------------------- */

Test(trial, a_mirrored_pair_counts_once_for_each_revision)
{
	struct trial *trial = trial_of(1);
	int32_t cell = trial_weight(trial, ATOM_WEIGHT_ALL / 2);
	struct revision_outcome old = well(), new = well();
	struct atom_cell of_old, of_new;

	new.http_status = 502;
	new.ended_ns = new.began_ns + 200 * MS;
	for (int i = 0; i < 3; i++)
		trial_count_pair(trial, cell, &old, &new);
	/* No room for its cells: nothing is counted, and nothing breaks. */
	trial_count_pair(trial, -1, &old, &new);
	of_old = cell_of(trial, ATOM_WEIGHT_ALL / 2, 0);
	of_new = cell_of(trial, ATOM_WEIGHT_ALL / 2, 1);
	cr_assert_eq(of_old.calls, 3);
	cr_assert_eq(of_new.calls, 3);
	cr_assert_eq(of_old.bad[ATOM_BAD_ERROR], 0);
	cr_assert_eq(of_new.bad[ATOM_BAD_ERROR], 3);
	cr_assert_eq(of_new.bad[ATOM_BAD_SLOW], 3);
	trial_unref(trial);
}

Test(trial, mirrored_calls_have_bounds_of_their_own)
{
	struct trial *trial = trial_of(1);
	struct mirroring *m = trial_mirroring(trial);

	for (int i = 0; i < MIRRORED_CALLS_MAX; i++)
		cr_assert(mirroring_take(m, 10), "%d", i);
	cr_assert_not(mirroring_take(m, 10), "one too many");
	mirroring_give_back(m, 10);
	cr_assert(mirroring_take(m, 10), "what was refused took nothing");
	for (int i = 0; i < MIRRORED_CALLS_MAX; i++)
		mirroring_give_back(m, 10);
	cr_assert(mirroring_take(m, MIRRORED_BYTES_MAX));
	cr_assert_not(mirroring_take(m, 1), "no byte is left");
	mirroring_give_back(m, MIRRORED_BYTES_MAX);
	cr_assert_not(mirroring_take(m, MIRRORED_BYTES_MAX + 1));
	cr_assert_eq(atomic_load(&m->running), 0);
	cr_assert_eq(atomic_load(&m->bytes), 0);
	trial_unref(trial);
}

#define MINUTE INT64_C(60000)

Test(trial, the_hour_of_a_budget_slides)
{
	struct trial *trial = trial_of(1);
	struct mirroring *m = trial_mirroring(trial);
	int64_t now = 12345678;

	cr_assert_eq(token_hour_sum(&m->hour, now), 0);
	for (int i = 0; i < 10; i++)
		cr_assert(token_hour_reserve(&m->hour, 10, 100,
					     now + i * MINUTE));
	cr_assert_not(token_hour_reserve(&m->hour, 1, 100, now + 10 * MINUTE));
	cr_assert_eq(token_hour_sum(&m->hour, now + 10 * MINUTE), 100);
	/* It used less than it had reserved. */
	token_hour_settle(&m->hour, 10, 4, now + 10 * MINUTE);
	cr_assert(token_hour_reserve(&m->hour, 6, 100, now + 10 * MINUTE));
	cr_assert_not(token_hour_reserve(&m->hour, 1, 100, now + 59 * MINUTE));
	/* The first minute is an hour ago. */
	cr_assert(token_hour_reserve(&m->hour, 10, 100, now + 60 * MINUTE));
	cr_assert_not(token_hour_reserve(&m->hour, 1, 100, now + 60 * MINUTE));
	cr_assert_eq(token_hour_sum(&m->hour, now + 500 * MINUTE), 0);
	/* Without a budget nothing is refused, and all is counted. */
	cr_assert(token_hour_reserve(&m->hour, 1000000, 0, now + 500 * MINUTE));
	cr_assert_eq(token_hour_sum(&m->hour, now + 500 * MINUTE), 1000000);
	/* What an earlier process used. */
	token_hour_spend(&m->hour, 7, now + 700 * MINUTE);
	cr_assert_eq(token_hour_sum(&m->hour, now + 700 * MINUTE), 7);
	trial_unref(trial);
}

Test(trial, a_comparison_adds_up)
{
	struct trial *trial = trial_of(1);
	struct mirroring *m = trial_mirroring(trial);
	const struct mirrored_pair pair = {
		.status_differs = true,
		.json_differs = true,
		.texts = true,
		.similarity = 0.25,
		.old_ns = 500 * MS,
		.new_ns = 1500 * MS,
		.old_tokens = 3,
		.new_tokens = 5,
	};
	const struct mirrored_pair no_texts = { .similarity = 1 };
	struct atom_comparison c;

	mirroring_compared(m, &pair);
	mirroring_compared(m, &pair);
	mirroring_compared(m, &no_texts);
	mirroring_read(m, &c);
	cr_assert_eq(c.status_differs, 2);
	cr_assert_eq(c.json_differs, 2);
	cr_assert_eq(c.similar_calls, 2);
	cr_assert_float_eq(c.similarity_sum, 0.5, 1e-9);
	cr_assert_float_eq(c.old_s_sum, 1, 1e-9);
	cr_assert_float_eq(c.new_s_sum, 3, 1e-9);
	cr_assert_eq(c.old_tokens, 6);
	cr_assert_eq(c.new_tokens, 10);
	trial_unref(trial);
}
