/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine of `atomctl simulate scaling` against cases worked by hand, and
 * against Erlang's C formula.
 */
#include <criterion/criterion.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scaling/simulate.h"

#define S INT64_C(1000000)

/* A strategy that wants what the test says, from a time on. */
struct wish {
	int64_t from_ms;
	int32_t wanted;
};

struct wishes {
	const struct wish *list;
	size_t count;
	int64_t began_ms;
};

static atom_status evaluate(void *self, const struct atom_load *load,
			    void *state, size_t *state_size,
			    struct atom_scaling_advice *advice,
			    struct atom_error *err)
{
	const struct wishes *wishes = self;

	(void)state;
	(void)err;
	*state_size = 0;
	for (size_t i = 0; i < wishes->count; i++)
		if (load->now_ms - wishes->began_ms >= wishes->list[i].from_ms)
			advice->wanted = wishes->list[i].wanted;
	advice->hold_ms = 0;
	return ATOM_OK;
}

static const struct atom_scaling_ops ops = {
	.struct_size = sizeof(ops),
	.evaluate = evaluate,
};

static struct simulate_result result;

static struct simulate_spec spec_of(const struct simulate_load *load,
				    struct wishes *wishes)
{
	struct simulate_spec spec = {
		.load = load,
		.min = 0,
		.max = 10,
		.concurrency = 1,
		.queue_depth = 100,
		.queue_timeout_us = 60 * S,
		.cold_start_us = 2 * S,
		.target_wait_us = S,
		.began_ms = INT64_C(1700000000000),
		.ops = &ops,
		.self = wishes,
	};

	wishes->began_ms = spec.began_ms;
	scaling_settings_default(&spec.settings);
	return spec;
}

static void run(const struct simulate_spec *spec)
{
	struct atom_error err = ATOM_ERROR_INIT;

	cr_assert_eq(simulate_run(spec, &result, &err), ATOM_OK, "%s",
		     err.message);
}

/* Three calls of 5 s come at 0, 1 and 2 s to one slot: the waits are 0, 4
 * and 8 s, in order of arrival. */
static const struct simulate_call three[] = { { 0, 5 * S },
					      { 1 * S, 5 * S },
					      { 2 * S, 5 * S } };
static const struct simulate_load three_load = { three, 3, 2 * S };

Test(scaling_simulate, the_waiting_room_is_first_in_first_out)
{
	static const struct wish one = { 0, 1 };
	struct wishes wishes = { &one, 1, 0 };
	struct simulate_spec spec = spec_of(&three_load, &wishes);

	spec.min = 1;
	run(&spec);
	cr_assert_eq(result.calls, 3);
	cr_assert_eq(result.late, 2);
	cr_assert_eq(result.wait_p50_us, 4 * S);
	cr_assert_eq(result.wait_p99_us, 8 * S);
	cr_assert_eq(result.end_us, 15 * S);
	cr_assert_float_eq(result.instance_s, 15, 1e-9);
	cr_assert_eq(result.actions, 0);
	cr_assert_eq(result.refused + result.timed_out, 0);
}

Test(scaling_simulate, who_waits_too_long_leaves_and_counts_as_late)
{
	static const struct wish one = { 0, 1 };
	struct wishes wishes = { &one, 1, 0 };
	struct simulate_spec spec = spec_of(&three_load, &wishes);

	spec.min = 1;
	spec.queue_timeout_us = 6 * S;
	spec.target_wait_us = 5 * S;
	run(&spec);
	cr_assert_eq(result.timed_out, 1);
	cr_assert_eq(result.late, 1);
	cr_assert_eq(result.wait_p99_us, 6 * S);
	cr_assert_eq(result.end_us, 10 * S);
}

Test(scaling_simulate, a_full_waiting_room_refuses)
{
	static const struct wish one = { 0, 1 };
	struct wishes wishes = { &one, 1, 0 };
	struct simulate_spec spec = spec_of(&three_load, &wishes);

	spec.min = 1;
	spec.queue_depth = 1;
	run(&spec);
	cr_assert_eq(result.refused, 1);
	cr_assert_eq(result.late, 2);
	cr_assert_eq(result.end_us, 10 * S);
}

/* Nothing is there: the call waits for the start, which begins at once and
 * not at the next tick. */
Test(scaling_simulate, a_waiting_call_brings_the_first_instance)
{
	static const struct simulate_call call[] = { { 1 * S, 3 * S } };
	static const struct simulate_load load = { call, 1, 1 * S };
	static const struct wish none = { 0, 0 };
	struct wishes wishes = { &none, 1, 0 };
	struct simulate_spec spec = spec_of(&load, &wishes);

	run(&spec);
	cr_assert_eq(result.wait_p50_us, 2 * S);
	cr_assert_eq(result.end_us, 6 * S);
	/* From 1 s on; asked to go at 4 s, it drains until 6 s. */
	cr_assert_float_eq(result.instance_s, 5, 1e-9);
	cr_assert_eq(result.refused + result.timed_out, 0);
}

/* Two are ready, one serves a call of 7 s; at 2 s only one is wanted, and the
 * idle one goes.  At 4 s none is: the busy one drains and ends its call. */
Test(scaling_simulate, idle_ones_go_first_and_busy_ones_drain)
{
	static const struct simulate_call call[] = { { 0, 7 * S } };
	static const struct simulate_load load = { call, 1, 10 * S };
	static const struct wish list[] = { { 0, 2 },
					    { 2000, 1 },
					    { 4000, 0 } };
	struct wishes wishes = { list, 3, 0 };
	struct simulate_spec spec = spec_of(&load, &wishes);

	spec.min = 0;
	spec.cold_start_us = 0;
	/* The call comes to an empty agent: started at once, no wait. */
	run(&spec);
	cr_assert_eq(result.wait_p99_us, 0);
	cr_assert_eq(result.refused + result.timed_out, 0);
	cr_assert_float_eq(result.instance_s, 7 + 2, 1e-9);
	cr_assert_eq(result.end_us, 10 * S);
	cr_assert_eq(result.actions, 3);
}

/* Two slots each, the second instance ready at 4 s.  Both calls are on the
 * same one, so that the other goes at 6 s and costs 4 s. */
Test(scaling_simulate, calls_are_packed_on_the_fullest_that_has_a_slot)
{
	static const struct simulate_call calls[] = { { 5 * S, 10 * S },
						      { 5 * S, 10 * S } };
	static const struct simulate_load load = { calls, 2, 5 * S };
	static const struct wish list[] = { { 0, 2 }, { 6000, 1 } };
	struct wishes wishes = { list, 2, 0 };
	struct simulate_spec spec = spec_of(&load, &wishes);

	spec.min = 1;
	spec.concurrency = 2;
	run(&spec);
	cr_assert_eq(result.wait_p99_us, 0);
	cr_assert_eq(result.end_us, 15 * S);
	cr_assert_float_eq(result.instance_s, 15 + 4, 1e-9);
}

/* The same with a third call on the second instance, which drains from 6 s
 * on.  The fourth call finds no slot at 7.5 s: what drains is taken back and
 * serves it at once, where a new one would take 2 s. */
Test(scaling_simulate, a_draining_one_is_taken_back_before_one_is_started)
{
	static const struct simulate_call calls[] = { { 5 * S, 10 * S },
						      { 5 * S, 10 * S },
						      { 5 * S, 10 * S },
						      { 15 * S / 2, 10 * S } };
	static const struct simulate_load load = { calls, 4, 8 * S };
	static const struct wish list[] = { { 0, 2 },
					    { 6000, 1 },
					    { 7000, 2 } };
	struct wishes wishes = { list, 3, 0 };
	struct simulate_spec spec = spec_of(&load, &wishes);

	spec.min = 1;
	spec.concurrency = 2;
	run(&spec);
	cr_assert_eq(result.wait_p99_us, 0);
	cr_assert_eq(result.end_us, 35 * S / 2);
	cr_assert_float_eq(result.instance_s, 17.5 + 15.5, 1e-9);
	cr_assert_eq(result.actions, 3);
}

/* Nonsense is the controller's to bound; the engine counts it. */
Test(scaling_simulate, nonsense_is_counted_and_bounded)
{
	static const struct wish million = { 0, 1000000 };
	struct wishes wishes = { &million, 1, 0 };
	struct simulate_spec spec = spec_of(&three_load, &wishes);

	spec.min = 1;
	run(&spec);
	cr_assert_eq(result.faults, result.evaluations);
	cr_assert_gt(result.faults, 0);
	cr_assert_eq(result.actions, 0);
}

/* Two slots each.  In service: 1 call from 0, 2 from 1, 3 from 2, 2 from 4,
 * 1 from 5, none from 6 s on; needed: 1, 1, 2, 1, 1 instances. */
Test(scaling_simulate, the_lower_bound_of_a_hand_case)
{
	static const struct simulate_call calls[] = { { 0, 4 * S },
						      { 1 * S, 4 * S },
						      { 2 * S, 4 * S } };
	static const struct simulate_load load = { calls, 3, 9 * S };
	int64_t end_us;

	cr_assert_float_eq(simulate_clairvoyant(&load, 0, 2, &end_us), 8, 1e-9);
	cr_assert_eq(end_us, 9 * S);
	cr_assert_float_eq(simulate_clairvoyant(&load, 1, 2, &end_us), 11,
			   1e-9);
	cr_assert_float_eq(simulate_clairvoyant(&load, 0, 1, &end_us), 12,
			   1e-9);
}

/* --- a queue whose answer is known -------------------------------------------- */

static double uniform(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) +
		 UINT64_C(1442695040888963407);
	return ((double)(*state >> 11) + 0.5) / 9007199254740992.0;
}

static struct simulate_call *poisson(size_t count, double rate, double mean_s)
{
	struct simulate_call *calls = calloc(count, sizeof(*calls));
	uint64_t state = 7;
	double at_s = 0;

	cr_assert(calls != NULL);
	for (size_t i = 0; i < count; i++) {
		at_s += -log(uniform(&state)) / rate;
		calls[i].arrival_us = (int64_t)(at_s * 1e6);
		calls[i].service_us =
			(int64_t)(-log(uniform(&state)) * mean_s * 1e6);
	}
	return calls;
}

/* Erlang C: the chance that a call of M/M/c waits, a = offered load. */
static double erlang_c(int servers, double a)
{
	double blocking = 1;

	for (int i = 1; i <= servers; i++)
		blocking = a * blocking / (i + a * blocking);
	return blocking / (1 - a / servers * (1 - blocking));
}

/* Ten slots, a load of eight: P(wait > t) = C exp(-(10 - 8) t). */
Test(scaling_simulate, a_fixed_size_waits_as_erlang_says)
{
	const size_t count = 300000;
	struct simulate_call *calls = poisson(count, 8, 1);
	struct simulate_load load = { calls, count,
				      calls[count - 1].arrival_us };
	static const struct wish two = { 0, 2 };
	struct wishes wishes = { &two, 1, 0 };
	struct simulate_spec spec = spec_of(&load, &wishes);
	double c = erlang_c(10, 8);

	cr_assert_float_eq(c, 0.4092, 0.0001);
	spec.min = 2;
	spec.concurrency = 5;
	spec.queue_depth = (int64_t)count;
	spec.queue_timeout_us = 1000000 * S;
	for (int64_t target_us = 0; target_us <= S; target_us += S / 2) {
		double expected = c * exp(-2 * (double)target_us / 1e6);

		spec.target_wait_us = target_us;
		run(&spec);
		cr_assert_float_eq((double)result.late / (double)count,
				   expected, 0.05 * expected,
				   "P(wait > %lld us) is %.4f, expected %.4f",
				   (long long)target_us,
				   (double)result.late / (double)count,
				   expected);
	}
	free(calls);
}

Test(scaling_simulate, the_same_input_gives_the_same_output)
{
	static struct simulate_result again;
	const size_t count = 20000;
	struct simulate_call *calls = poisson(count, 20, 0.5);
	struct simulate_load load = { calls, count,
				      calls[count - 1].arrival_us };
	static const struct wish list[] = {
		{ 0, 8 }, { 100000, 14 }, { 300000, 4 }, { 500000, 12 }
	};
	struct wishes wishes = { list, 4, 0 };
	struct simulate_spec spec = spec_of(&load, &wishes);

	run(&spec);
	again = result;
	run(&spec);
	cr_assert_eq(again.late, result.late);
	cr_assert_eq(again.wait_p95_us, result.wait_p95_us);
	cr_assert_eq(again.actions, result.actions);
	cr_assert_eq(again.evaluations, result.evaluations);
	cr_assert_eq(again.end_us, result.end_us);
	cr_assert(again.instance_s >= result.instance_s &&
		  again.instance_s <= result.instance_s);
	cr_assert_gt(result.late, 0);
	free(calls);
}

/* More seconds than the picture has points: they are merged, none is lost. */
Test(scaling_simulate, a_long_run_keeps_its_picture_whole)
{
	static const struct simulate_call calls[] = { { 0, S },
						      { 4000 * S, S } };
	static const struct simulate_load load = { calls, 2, 5000 * S };
	static const struct wish one = { 0, 1 };
	struct wishes wishes = { &one, 1, 0 };
	struct simulate_spec spec = spec_of(&load, &wishes);
	double instance_s = 0;
	int64_t arrived = 0;

	spec.min = 1;
	run(&spec);
	for (size_t i = 0; i < result.point_count; i++) {
		instance_s += result.points[i].instance_s;
		arrived += result.points[i].arrived;
	}
	cr_assert_eq(arrived, 2);
	cr_assert_float_eq(instance_s, 5000, 1e-6);
	cr_assert_float_eq(result.instance_s, 5000, 1e-6);
	cr_assert_leq(result.point_count, SIMULATE_POINTS_MAX);
}
