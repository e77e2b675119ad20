/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the host makes of a strategy's advice.  The policies' and the
 * stabilisation's cases are those that the Kubernetes documentation
 * ("Horizontal Pod Autoscaling", Configurable scaling behavior) and the
 * enhancement proposal behind it (KEP-853, its user stories) work out by hand.
 */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "scaling/control.h"

#define MINUTE 60000

static struct scaling_control control;
static struct scaling_settings settings;
static struct scaling_situation now;
static struct scaling_decision decided;
static struct atom_scaling_advice advice;

static void set_up(void)
{
	scaling_control_init(&control);
	scaling_settings_default(&settings);
	settings.down.stabilization_ms = 0;
	now = (struct scaling_situation){
		.now_ms = 1000000,
		.wall_ms = 1700000000000,
		.max = 100000,
		.desired = 1,
		.room = 100000,
		.room_limit = "max_agents",
		.measured = true,
	};
	scaling_advice_init(&advice);
}

static void pass(int64_t ms)
{
	now.now_ms += ms;
	now.wall_ms += ms;
}

static int32_t decide(int32_t wanted)
{
	advice.wanted = wanted;
	scaling_decide(&control, &settings, &now, &advice, ATOM_OK, 0,
		       &decided);
	now.desired = decided.wanted;
	return decided.wanted;
}

/* Ticks of 2 s with the same advice; what is in force then. */
static int32_t decide_for(int64_t ms, int32_t wanted)
{
	for (int64_t end = now.now_ms + ms; now.now_ms < end; pass(2000))
		(void)decide(wanted);
	return now.desired;
}

static void expect(int32_t wanted, int32_t is, const char *bound)
{
	int32_t got = decide(wanted);

	cr_assert_eq(got, is, "advice %d: expected %d, found %d (%s)", wanted,
		     is, got, decided.bound ? decided.bound : "as advised");
	if (bound == NULL)
		cr_assert_null(decided.bound, "%s", decided.bound);
	else
		cr_assert_str_eq(decided.bound ? decided.bound : "", bound);
}

static void policy(struct scaling_rules *rules, int type, int32_t value,
		   int64_t period_ms)
{
	rules->policies[rules->policy_count++] =
		(struct scaling_policy){ type, value, period_ms };
}

/* --- bounds --------------------------------------------------------------------- */

Test(control, advice_is_followed_at_once, .init = set_up)
{
	expect(40, 40, NULL);
	pass(100);
	expect(3, 3, NULL);
}

Test(control, min_and_max_hold, .init = set_up)
{
	now.min = 2;
	now.max = 10;
	now.desired = 5;
	expect(40, 10, "max");
	pass(2000);
	expect(0, 2, "min");
	/* They hold when nothing is advised, too: a reload raised `min`. */
	now.min = 4;
	pass(2000);
	scaling_decide(&control, &settings, &now, NULL, ATOM_OK, 0, &decided);
	cr_assert_eq(decided.wanted, 4);
	cr_assert_str_eq(decided.bound, "min");
}

Test(control, limits_over_all_agents_stop_growth_and_remove_nothing,
     .init = set_up)
{
	now.desired = 3;
	now.room = 2;
	expect(9, 5, "max_agents");
	now.room = -4;
	now.room_limit = "memory_limit";
	pass(2000);
	expect(9, 5, "memory_limit");
	pass(2000);
	expect(5, 5, NULL);
}

Test(control, to_zero_only_from_one_and_never_while_a_call_waits,
     .init = set_up)
{
	now.desired = 5;
	expect(0, 1, "from_one");
	now.waiting = 1;
	pass(2000);
	expect(0, 1, "call_waiting");
	now.waiting = 0;
	pass(2000);
	expect(0, 0, NULL);
	now.waiting = 1;
	pass(2000);
	expect(0, 1, "call_waiting");
}

Test(control, a_call_that_waits_gets_one_in_spite_of_every_rule, .init = set_up)
{
	now.desired = 0;
	now.waiting = 1;
	settings.up.select = SCALING_SELECT_DISABLED;
	settings.up.cooldown_ms = MINUTE;
	settings.up.stabilization_ms = MINUTE;
	expect(0, 1, "call_waiting");
}

Test(control, percent_of_nothing_starts_one, .init = set_up)
{
	now.desired = 0;
	policy(&settings.up, SCALING_POLICY_PERCENT, 100, 15000);
	expect(8, 1, "policy");
}

Test(control, tolerance_keeps_small_changes_away, .init = set_up)
{
	settings.up.tolerance = settings.down.tolerance = 0.1;
	now.desired = 20;
	expect(22, 20, "tolerance");
	pass(2000);
	expect(18, 20, "tolerance");
	pass(2000);
	expect(23, 23, NULL);
	/* The last one goes, however tolerant. */
	settings.down.tolerance = 1;
	now.desired = 1;
	pass(2000);
	expect(0, 0, NULL);
}

Test(control, missing_measurements_never_scale_down, .init = set_up)
{
	now.desired = 6;
	now.measured = false;
	expect(2, 6, "not_measured");
	pass(2000);
	expect(8, 8, NULL);
}

Test(control, no_opinion_keeps_what_is, .init = set_up)
{
	now.desired = 6;
	expect(-1, 6, NULL);
	cr_assert_eq(control.faults, 0);
}

/* --- stabilisation ----------------------------------------------------------------- */

/* The highest of the last five minutes: HPA's default of going down. */
Test(stabilization, down_takes_the_highest_of_the_window, .init = set_up)
{
	static const int32_t advised[] = { 10, 9, 8, 9, 7 };

	settings.down.stabilization_ms = 5 * MINUTE;
	now.desired = 10;
	for (size_t i = 0; i < 5; i++, pass(10000))
		expect(advised[i], 10, i > 0 ? "stabilization" : NULL);
	/* t = 300 s: the 10 of t = 0 has left; the 9s have not. */
	for (; now.now_ms < 1000000 + 300000; pass(10000))
		expect(7, 10, "stabilization");
	expect(7, 9, "stabilization");
	for (; now.now_ms < 1000000 + 330000; pass(10000))
		expect(7, 9, "stabilization");
	expect(7, 7, NULL);
}

Test(stabilization, up_takes_the_lowest_of_the_window, .init = set_up)
{
	settings.up.stabilization_ms = 30000;
	now.desired = 2;
	expect(2, 2, NULL);
	for (int i = 0; i < 3; i++) {
		pass(7000);
		expect(9, 2, "stabilization");
	}
	/* A spike that ended within the window started nothing. */
	pass(7000);
	expect(5, 2, "stabilization");
	pass(3000);
	expect(6, 5, "stabilization");
}

Test(stabilization, the_strategy_says_its_window_unless_the_agent_does,
     .init = set_up)
{
	settings.down.stabilization_ms = -1;
	now.desired = 4;
	advice.hold_ms = 10000;
	expect(4, 4, NULL);
	pass(9999);
	expect(1, 4, "stabilization");
	pass(1);
	expect(1, 1, NULL);
	/* Nobody says one: the default. */
	pass(2000);
	advice.hold_ms = -1;
	expect(4, 4, NULL);
	cr_assert_eq(decide_for(SCALING_HOLD_MS - 2000, 1), 4);
	pass(2000);
	cr_assert_eq(decide(1), 1);
	/* The agent's own goes before the strategy's. */
	settings.down.stabilization_ms = 0;
	advice.hold_ms = 100000;
	pass(2000);
	expect(4, 4, NULL);
	pass(2000);
	expect(2, 2, NULL);
}

/* --- policies ----------------------------------------------------------------------- */

/* The documentation's example: 4 pods or 10 percent a minute, the larger.
 * "Assume ... 80 replicas ... the autoscaler ... 8 ... 72 ... 10% is 7.2 but
 * the number is rounded up to 8 ... until 40 or less", then 4 at a time. */
Test(policies, four_or_ten_percent_a_minute, .init = set_up)
{
	static const int32_t steps[] = { 72, 64, 57, 51, 45, 40, 36, 32,
					 28, 24, 20, 16, 12, 10, 10 };

	policy(&settings.down, SCALING_POLICY_COUNT, 4, MINUTE);
	policy(&settings.down, SCALING_POLICY_PERCENT, 10, MINUTE);
	now.desired = 80;
	for (size_t i = 0; i < 15; i++) {
		int32_t found = decide_for(MINUTE, 10);

		cr_assert_eq(found, steps[i], "minute %zu: %d, not %d", i,
			     found, steps[i]);
	}
}

/* The same with selectPolicy Min: the smaller of the two. */
Test(policies, min_takes_the_policy_that_allows_least, .init = set_up)
{
	policy(&settings.down, SCALING_POLICY_COUNT, 4, MINUTE);
	policy(&settings.down, SCALING_POLICY_PERCENT, 10, MINUTE);
	settings.down.select = SCALING_SELECT_MIN;
	now.desired = 80;
	cr_assert_eq(decide_for(MINUTE, 10), 76);
	cr_assert_eq(decide_for(MINUTE, 10), 72);
	now.desired = 30;
	pass(2000);
	cr_assert_eq(decide_for(MINUTE, 10), 27);
}

Test(policies, disabled_forbids_the_direction, .init = set_up)
{
	settings.down.select = SCALING_SELECT_DISABLED;
	now.desired = 8;
	expect(1, 8, "disabled");
	pass(2000);
	expect(9, 9, NULL);
}

/* KEP-853, story 1: 900 percent a minute: 1, 10, 100, 1000. */
Test(policies, story_1_up_as_fast_as_possible, .init = set_up)
{
	policy(&settings.up, SCALING_POLICY_PERCENT, 900, MINUTE);
	cr_assert_eq(decide_for(MINUTE, 1000), 10);
	cr_assert_eq(decide_for(MINUTE, 1000), 100);
	cr_assert_eq(decide_for(MINUTE, 1000), 1000);
}

/* Story 2: up as above, down one pod every ten minutes. */
Test(policies, story_2_up_fast_and_down_gradually, .init = set_up)
{
	policy(&settings.down, SCALING_POLICY_COUNT, 1, 10 * MINUTE);
	now.desired = 1000;
	cr_assert_eq(decide_for(10 * MINUTE, 1), 999);
	cr_assert_eq(decide_for(10 * MINUTE, 1), 998);
	cr_assert_eq(decide_for(10 * MINUTE, 1), 997);
}

/* Story 3: one more pod each period. */
Test(policies, story_3_up_very_gradually, .init = set_up)
{
	policy(&settings.up, SCALING_POLICY_COUNT, 1, 5 * MINUTE);
	cr_assert_eq(decide_for(5 * MINUTE, 100), 2);
	cr_assert_eq(decide_for(5 * MINUTE, 100), 3);
}

/* The default of HPA: 100 percent or 4 pods each 15 s, the larger. */
Test(policies, hpa_default_up, .init = set_up)
{
	static const int32_t steps[] = { 5, 10, 20, 40 };

	policy(&settings.up, SCALING_POLICY_PERCENT, 100, 15000);
	policy(&settings.up, SCALING_POLICY_COUNT, 4, 15000);
	for (size_t i = 0; i < 4; i++) {
		expect(40, steps[i], i < 3 ? "policy" : NULL);
		pass(7000);
		if (i < 3)
			expect(40, steps[i], "policy");
		pass(8000);
	}
}

/* What went down within the period counts back: the start of the period is
 * where the percentage is taken. */
Test(policies, the_period_starts_where_it_started, .init = set_up)
{
	policy(&settings.up, SCALING_POLICY_PERCENT, 50, MINUTE);
	now.desired = 10;
	expect(4, 4, NULL);
	pass(2000);
	expect(100, 15, "policy");
}

Test(policies, many_changes_are_counted_in_bounded_memory, .init = set_up)
{
	policy(&settings.up, SCALING_POLICY_COUNT, 300, 10 * MINUTE);
	for (int i = 0; i < 1000; i++, pass(500))
		(void)decide(now.desired + 1);
	cr_assert_eq(now.desired, 301);
	cr_assert_leq(control.added.count, SCALING_HISTORY_MAX);
}

/* --- cooldowns ---------------------------------------------------------------------- */

Test(cooldown, each_direction_has_its_own, .init = set_up)
{
	settings.up.cooldown_ms = 10000;
	settings.down.cooldown_ms = 30000;
	expect(2, 2, NULL);
	pass(9999);
	expect(3, 2, "cooldown");
	pass(1);
	expect(3, 3, NULL);
	for (int i = 0; i < 4; i++) {
		pass(6000);
		expect(1, 3, "cooldown");
	}
	pass(6000);
	expect(1, 1, NULL);
	/* Down does not hinder up. */
	pass(2000);
	expect(4, 4, NULL);
}

/* --- nonsense ------------------------------------------------------------------------ */

static void expect_fault(const char *fault, atom_status status, int64_t took_ms)
{
	int32_t before = now.desired;
	uint64_t faults = control.faults;

	scaling_decide(&control, &settings, &now, &advice, status, took_ms,
		       &decided);
	cr_assert_str_eq(decided.fault ? decided.fault : "", fault);
	cr_assert_eq(decided.wanted, before);
	cr_assert_eq(control.faults, faults + 1);
	pass(2000);
}

Test(nonsense, is_ignored_and_counted, .init = set_up)
{
	expect(5, 5, NULL);
	pass(2000);
	advice.wanted = INT32_MIN;
	expect_fault("out_of_range", ATOM_OK, 0);
	advice.wanted = -2;
	expect_fault("out_of_range", ATOM_OK, 0);
	advice.wanted = 1000000;
	expect_fault("out_of_range", ATOM_OK, 0);
	advice.wanted = 1;
	advice.value = NAN;
	expect_fault("not_a_number", ATOM_OK, 0);
	advice.value = INFINITY;
	expect_fault("not_a_number", ATOM_OK, 0);
	advice.value = 0;
	expect_fault("failed", ATOM_EIO, 0);
	expect_fault("too_long", ATOM_OK, SCALING_TOO_LONG_MS + 1);
	expect(1, 1, NULL);
}

Test(nonsense, the_last_good_advice_is_kept, .init = set_up)
{
	settings.up.cooldown_ms = 5000;
	expect(2, 2, NULL);
	pass(2000);
	expect(7, 2, "cooldown");
	pass(4000);
	/* It fails now; what it wanted before is done meanwhile. */
	scaling_decide(&control, &settings, &now, &advice, ATOM_EIO, 0,
		       &decided);
	cr_assert_eq(decided.wanted, 7);
	cr_assert_str_eq(decided.fault, "failed");
}

Test(nonsense, texts_are_ended_and_made_printable)
{
	memset(&advice, 'x', sizeof(advice));
	advice.value = -INFINITY;
	advice.action = 99;
	advice.reason[3] = '\n';
	advice.reason[5] = (char)0xff;
	scaling_advice_clean(&advice);
	cr_assert_eq(strlen(advice.metric), ATOM_WORD_MAX - 1);
	cr_assert_eq(strlen(advice.reason), ATOM_REASON_MAX - 1);
	cr_assert_eq(strncmp(advice.reason, "xxx?x?x", 7), 0);
	cr_assert_eq(advice.action, ATOM_SCALE_NONE);
	cr_assert_float_eq(advice.value, 0, 0);
}

/* Whatever the strategy says, in whatever order: within bounds, and no more
 * than one step to zero. */
Test(nonsense, random_advice_never_leaves_the_bounds, .init = set_up)
{
	srand(7);
	policy(&settings.up, SCALING_POLICY_PERCENT, 50, 30000);
	policy(&settings.down, SCALING_POLICY_COUNT, 3, 10000);
	now.max = 50;
	now.min = 0;
	for (int i = 0; i < 20000; i++, pass(rand() % 4000)) {
		int32_t before = now.desired;

		now.waiting = rand() % 2;
		now.room = rand() % 60 - 5;
		settings.down.stabilization_ms = rand() % 30000;
		(void)decide((int32_t)((int64_t)rand() * 2 - RAND_MAX) %
			     (rand() % 2 ? 60 : 1000000));
		cr_assert(decided.wanted >= 0 && decided.wanted <= 50);
		cr_assert(decided.wanted <= before ||
			  decided.wanted - before <=
				  (now.room > 0 ? now.room : 0));
		cr_assert(decided.wanted > 0 ||
			  (before <= 1 && (now.waiting == 0 || now.room <= 0)));
	}
}

/* --- clocks ---------------------------------------------------------------------------- */

Test(clocks, a_step_of_the_wall_clock_does_not_scale, .init = set_up)
{
	settings.down.stabilization_ms = MINUTE;
	now.desired = 5;
	expect(5, 5, NULL);
	pass(2000);
	now.wall_ms += 3600000;
	expect(90, 5, "clock_jump");
	pass(2000);
	now.wall_ms -= 86400000;
	expect(0, 5, "clock_jump");
	/* What was advised meanwhile holds for a whole window more. */
	pass(2000);
	cr_assert_eq(decide_for(56000, 1), 5);
	pass(4000);
	cr_assert_eq(decide(1), 1);
}

Test(clocks, a_machine_that_slept_does_not_scale_down_at_once, .init = set_up)
{
	settings.down.stabilization_ms = MINUTE;
	now.desired = 5;
	expect(5, 5, NULL);
	pass(8 * 3600000);
	expect(1, 5, "clock_jump");
	pass(2000);
	expect(1, 5, "stabilization");
}

/* --- dry run, others, victims ---------------------------------------------------------- */

Test(control, a_dry_run_proposes_and_changes_nothing, .init = set_up)
{
	settings.dry_run = true;
	settings.up.cooldown_ms = MINUTE;
	for (int i = 0; i < 3; i++, pass(2000)) {
		expect(9, 1, NULL);
		cr_assert_eq(decided.proposed, 9);
	}
	now.min = 3;
	expect(9, 3, NULL);
}

Test(control, changes_by_hand_count, .init = set_up)
{
	settings.up.cooldown_ms = MINUTE;
	scaling_note_change(&control, now.now_ms, 1, 4);
	now.desired = 4;
	pass(2000);
	expect(5, 4, "cooldown");
}

Test(control, victims_are_idle_then_starting_then_least_loaded)
{
	int64_t idle = scaling_victim_rank(false, 0, true);
	int64_t starting = scaling_victim_rank(true, 0, true);
	int64_t needed = scaling_victim_rank(false, 0, false);
	int64_t busy = scaling_victim_rank(false, 1, true);
	int64_t busier = scaling_victim_rank(false, 7, true);

	cr_assert(idle < starting && starting < busy && busy < busier);
	/* No starting one stands in for one that is ready. */
	cr_assert(starting < needed && needed < busy);
}
