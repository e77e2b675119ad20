/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scaling/concurrency against hand-worked cases.  Numbers from Knative's
 * documentation ("About autoscaling", "Configuring concurrency", "Configuring
 * panic mode", the defaults of config-autoscaler) are named where they stand.
 */
#include <criterion/criterion.h>

#include <string.h>

#include "scaling_fixture.h"

static void begin(void)
{
	scaling_begin("concurrency", "");
}

TestSuite(scaling_concurrency, .init = begin, .fini = scaling_end);

/* `ready` instances are there, and the strategy has been calm with them for
 * longer than a window. */
static void calm_with(int32_t ready)
{
	scaling_load.ready = ready;
	scaling_load.desired = ready;
	scaling_seconds(60, 0, 0);
	for (int i = 0; i < 40; i++)
		(void)scaling_ask_after(2000);
	scaling_forget_samples();
}

/* "Configuring concurrency": a hard limit of 10 and a utilisation of 70 %
 * give a target of 7, so that 100 calls at once are ceil(100 / 7) = 15. */
Test(scaling_concurrency, a_hundred_calls_at_ten_each_are_fifteen)
{
	scaling_load.concurrency = 10;
	calm_with(10);
	scaling_seconds(60, 100, 0);
	cr_assert_eq(scaling_ask(), 15, "%s", scaling_advice.reason);
	cr_assert_eq(scaling_advice.action, ATOM_SCALE_ADD);
	cr_assert_str_eq(scaling_advice.reason_code, "high_concurrency");
	cr_assert_str_eq(scaling_advice.metric, "concurrency");
	cr_assert_float_eq(scaling_advice.value, 100, 1e-9);
}

/* The autoscale-go sample: 50 calls at once on a target of 10 are five. */
Test(scaling_concurrency, fifty_calls_on_a_target_of_ten_are_five)
{
	scaling_reconfigure("target = 10;");
	calm_with(4);
	scaling_seconds(60, 50, 0);
	cr_assert_eq(scaling_ask(), 5);
}

/* config-autoscaler: without a concurrency of its own an instance should have
 * 70 % of 100. */
Test(scaling_concurrency, no_concurrency_stands_for_a_hundred)
{
	scaling_load.concurrency = 0;
	calm_with(3);
	scaling_seconds(60, 140, 0);
	cr_assert_eq(scaling_ask(), 2);
}

Test(scaling_concurrency, a_whole_quotient_is_not_rounded_up)
{
	scaling_load.concurrency = 4;
	calm_with(14);
	scaling_seconds(60, 42, 0);
	cr_assert_eq(scaling_ask(), 15); /* 42 / 2.8 is 15.000000000000002 */
	scaling_seconds(60, 42.01, 0);
	cr_assert_eq(scaling_ask(), 16);
}

Test(scaling_concurrency, waiting_calls_count_as_calls)
{
	scaling_reconfigure("target = 10;");
	calm_with(4);
	scaling_seconds(60, 40, 10);
	cr_assert_eq(scaling_ask(), 5);
}

/* The stable window is a mean: 30 s of 20 calls and 30 s of none are ten. */
Test(scaling_concurrency, the_stable_window_is_a_mean_of_sixty_seconds)
{
	scaling_reconfigure("target = 1;");
	calm_with(12);
	scaling_seconds(100, 999, 0); /* older than the window */
	scaling_seconds(30, 20, 0);
	scaling_seconds(30, 0, 0);
	cr_assert_eq(scaling_ask(), 10, "%s", scaling_advice.reason);
}

/* A panic window of a second and a half has the last second whole and half of
 * the one before: (30 x 1 + 0 x 0.5) / 1.5. */
Test(scaling_concurrency, a_window_takes_a_part_of_its_oldest_sample)
{
	scaling_reconfigure("target = 1; stable_window_ms = \"15s\";");
	calm_with(1);
	scaling_seconds(14, 0, 0);
	scaling_seconds(1, 30, 0);
	cr_assert_eq(scaling_ask(), 20, "%s", scaling_advice.reason);
}

/* "Configuring panic mode": the panic window is 10 % of the stable one, six
 * seconds; panic begins at 200 % of what the ready instances are for.
 * One ready, target 10: six seconds of 20 calls are two instances, twice what
 * is ready.  The stable mean is 2 and asks for one. */
Test(scaling_concurrency, panics_at_twice_the_ready_instances)
{
	scaling_reconfigure("target = 10;");
	calm_with(1);
	scaling_seconds(54, 0, 0);
	scaling_seconds(6, 20, 0);
	cr_assert_eq(scaling_ask(), 2, "%s", scaling_advice.reason);
	cr_assert_str_eq(scaling_advice.reason_code, "panic");
	cr_assert_float_eq(scaling_advice.value, 20, 1e-9);
}

/* Two ready: three instances wanted at once are 150 %, below the threshold,
 * and the stable window asks for one. */
Test(scaling_concurrency, stays_calm_below_the_threshold)
{
	scaling_reconfigure("target = 10;");
	calm_with(2);
	scaling_seconds(54, 0, 0);
	scaling_seconds(6, 30, 0);
	cr_assert_eq(scaling_ask(), 1, "%s", scaling_advice.reason);
	cr_assert_str_eq(scaling_advice.reason_code, "low_concurrency");
}

Test(scaling_concurrency, never_goes_down_in_panic)
{
	scaling_reconfigure("target = 10;");
	calm_with(1);
	scaling_seconds(54, 0, 0);
	scaling_seconds(6, 80, 0);
	cr_assert_eq(scaling_ask(), 8);
	scaling_load.desired = 8;
	scaling_load.ready = 8;

	/* Not over the threshold from here on: 60 s of panic are left. */
	scaling_seconds(6, 10, 0);
	for (int at = 2; at < 60; at += 2) {
		scaling_seconds(2, 10, 0);
		cr_assert_eq(scaling_ask_after(2000), 8, "after %d s: %s", at,
			     scaling_advice.reason);
	}
	/* Now it has passed; a window of ten calls asks for one instance, and
	 * one evaluation goes to half at most. */
	scaling_seconds(60, 10, 0);
	cr_assert_eq(scaling_ask_after(2000), 4, "%s", scaling_advice.reason);
	cr_assert_str_eq(scaling_advice.reason_code, "low_concurrency");
}

Test(scaling_concurrency, panic_grows_with_the_load_and_begins_anew)
{
	scaling_reconfigure("target = 10;");
	calm_with(2);
	scaling_seconds(6, 50, 0);
	cr_assert_eq(scaling_ask(), 5);
	scaling_load.ready = 3;
	scaling_seconds(6, 70, 0);
	cr_assert_eq(scaling_ask_after(30000), 7); /* 7 of 3: over again */
	scaling_load.ready = 7;
	scaling_seconds(60, 10, 0);
	cr_assert_eq(scaling_ask_after(20000), 7);
	cr_assert_eq(scaling_ask_after(20000), 7);
	cr_assert_eq(scaling_ask_after(18000), 7);
	cr_assert_eq(scaling_ask_after(2000), 3); /* floor(7 / 2) */
}

/* config-autoscaler: max-scale-up-rate 1000, max-scale-down-rate 2. */
Test(scaling_concurrency, one_evaluation_changes_so_much_at_most)
{
	scaling_reconfigure("target = 1;");
	calm_with(1);
	scaling_seconds(60, 5000, 0);
	cr_assert_eq(scaling_ask(), 1000);

	scaling_reconfigure("target = 1; max_scale_up_rate = 10;");
	scaling_state_size = 0;
	scaling_forget_samples();
	calm_with(3);
	scaling_seconds(60, 5000, 0);
	cr_assert_eq(scaling_ask(), 30);

	scaling_reconfigure("target = 1; max_scale_down_rate = 3;");
	scaling_state_size = 0;
	scaling_forget_samples();
	calm_with(10);
	scaling_seconds(60, 1, 0);
	cr_assert_eq(scaling_ask(), 3);
}

Test(scaling_concurrency, goes_to_zero_after_a_window_of_nothing)
{
	scaling_load.concurrency = 10;
	calm_with(1);
	scaling_seconds(1, 1, 0);
	scaling_seconds(59, 0, 0);
	cr_assert_eq(scaling_ask(), 1);
	scaling_seconds(1, 0, 0);
	cr_assert_eq(scaling_ask(), 0);
	cr_assert_eq(scaling_advice.action, ATOM_SCALE_REMOVE);
}

Test(scaling_concurrency, a_call_that_waits_wakes_an_agent)
{
	calm_with(0);
	scaling_seconds(60, 0, 0);
	cr_assert_eq(scaling_ask(), 0);
	scaling_load.waiting = 1;
	cr_assert_eq(scaling_ask(), 1);
	scaling_reconfigure("activation_scale = 3;");
	cr_assert_eq(scaling_ask(), 3);
}

/* "activation-scale": at least so many as soon as any are wanted. */
Test(scaling_concurrency, activation_counts_when_any_are_wanted)
{
	scaling_reconfigure("target = 10; activation_scale = 3;");
	calm_with(1);
	scaling_seconds(60, 4, 0);
	cr_assert_eq(scaling_ask(), 3);
	scaling_seconds(60, 0, 0);
	scaling_load.ready = 1;
	scaling_state_size = 0;
	cr_assert_eq(scaling_ask(), 0);
}

Test(scaling_concurrency, without_a_past_nothing_goes_down_for_a_window)
{
	scaling_load.ready = 6;
	scaling_load.desired = 6;
	scaling_seconds(60, 0.5, 0);
	cr_assert_eq(scaling_ask(), 6);
	for (int at = 2; at < 60; at += 2)
		cr_assert_eq(scaling_ask_after(2000), 6);
	cr_assert_eq(scaling_ask_after(2000), 3);
}

/* With its memory it is calm and halves; without, see above. */
Test(scaling_concurrency, a_damaged_memory_is_none)
{
	unsigned char sound[256];
	size_t size;

	calm_with(6);
	scaling_seconds(60, 0.5, 0);
	size = scaling_state_size;
	cr_assert(size > 0 && size <= sizeof(sound));
	memcpy(sound, scaling_state, size);
	cr_assert_eq(scaling_ask(), 3);
	for (size_t i = 0; i < size; i++) {
		memcpy(scaling_state, sound, size);
		scaling_state_size = size;
		scaling_state[i] ^= 1;
		cr_assert_eq(scaling_ask(), 6, "byte %zu", i);
	}
	for (size_t i = 0; i < size; i++) {
		memcpy(scaling_state, sound, size);
		scaling_state_size = i;
		cr_assert_eq(scaling_ask(), 6, "%zu bytes", i);
	}
	memcpy(scaling_state, sound, size);
	scaling_state_size = size;
	cr_assert_eq(scaling_ask(), 3);
}

Test(scaling_concurrency, nothing_measured_changes_nothing)
{
	cr_assert_lt(scaling_ask(), 0);
	cr_assert_str_eq(scaling_advice.reason_code, "no_measurement");
	cr_assert_eq(scaling_advice.action, ATOM_SCALE_NONE);
	scaling_seconds(60, -1, -1);
	cr_assert_lt(scaling_ask(), 0);
}

/* Before the first sample ends, what is there now counts. */
Test(scaling_concurrency, calls_before_the_first_sample_count)
{
	scaling_reconfigure("target = 10;");
	scaling_load.in_flight = 10;
	scaling_load.waiting = 30;
	cr_assert_eq(scaling_ask(), 4);
	cr_assert_str_eq(scaling_advice.reason_code, "panic");
}

Test(scaling_concurrency, seconds_without_a_number_take_no_part)
{
	scaling_reconfigure("target = 10;");
	calm_with(2);
	scaling_seconds(30, 20, -1);
	scaling_seconds(30, -1, 0);
	cr_assert_eq(scaling_ask(), 2);
	scaling_last_second()->in_flight = 0.0 / 0.0;
	cr_assert_eq(scaling_ask(), 2);
}

Test(scaling_concurrency, neither_clock_ends_a_panic_by_a_jump)
{
	scaling_reconfigure("target = 10;");
	calm_with(1);
	scaling_seconds(6, 80, 0);
	cr_assert_eq(scaling_ask(), 8);
	scaling_load.ready = 8;
	scaling_seconds(60, 10, 0);
	scaling_load.now_ms += 86400000;
	cr_assert_eq(scaling_ask(), 8);
	cr_assert_eq(scaling_ask_after(3600000), 8);
	cr_assert_eq(scaling_ask_after(-7200000), 8);
	for (int at = 4; at < 58; at += 2)
		cr_assert_eq(scaling_ask_after(2000), 8);
	cr_assert_eq(scaling_ask_after(2000), 4);
}

Test(scaling_concurrency, new_options_count_from_the_next_evaluation_on)
{
	scaling_load.concurrency = 10;
	calm_with(10);
	scaling_seconds(60, 100, 0);
	cr_assert_eq(scaling_ask(), 15);
	scaling_reconfigure("target_utilization_percent = 100;");
	cr_assert_eq(scaling_ask(), 10);
}

Test(scaling_concurrency, options_out_of_range_are_refused)
{
	scaling_refused("concurrency", "target_utilization_percent = 0;",
			"between 1 and 100");
	scaling_refused("concurrency", "stable_window_ms = \"5s\";",
			"stable_window_ms");
	scaling_refused("concurrency", "panic_threshold_percent = 100;",
			"between 110 and 1000");
	scaling_refused("concurrency", "max_scale_down_rate = 1.0;",
			"max_scale_down_rate");
}

Test(scaling_concurrency, nonsense_is_bounded)
{
	scaling_bombard(1, 3000);
	cr_assert_lt(scaling_ask(), 0);
}
