/* SPDX-License-Identifier: Apache-2.0 */

/* The controller: what it does of a strategy's plans and of people, and what
 * it never does whatever they say. */

#include <criterion/criterion.h>

#include <string.h>

#include "core/memory.h"
#include "effort.h"
#include "told_strategy.h"

/* --- plans ---------------------------------------------------------------- */

Test(rollout, weight_waits_for_an_instance_and_old_ones_for_the_weight)
{
	begin(NULL);
	want(ATOM_ACT_SET_NEW, 1);
	want(ATOM_ACT_SET_WEIGHT, 5000);
	want(ATOM_ACT_SET_OLD, 2);
	host_look(&host);
	cr_assert_eq(host.orders.weight, 0);
	cr_assert_eq(host.orders.new_instances, 1);
	cr_assert_eq(host.orders.old_instances, ROLLOUT_SCALED);
	host_wait(&host, 5);
	cr_assert_eq(host.orders.weight, 5000);
	cr_assert_eq(host.orders.old_instances, 2);
	/* The only one crashes: its calls are the old one's until it is back. */
	host.seen.new_ready = 0;
	host_look(&host);
	cr_assert_eq(host.orders.weight, 0);
	host_wait(&host, 5);
	cr_assert_eq(host.orders.weight, 5000);
	host_end(&host);
}

Test(rollout, the_old_one_keeps_an_instance_as_long_as_it_has_calls)
{
	begin(NULL);
	want(ATOM_ACT_SET_NEW, 2);
	want(ATOM_ACT_SET_WEIGHT, 9999);
	want(ATOM_ACT_SET_OLD, 0);
	host_wait(&host, 6);
	cr_assert_eq(host.orders.weight, 9999);
	cr_assert_eq(host.orders.old_instances, 1);
	host_end(&host);
}

Test(rollout, nonsense_degrades_it_and_the_old_one_serves)
{
	static const struct {
		int32_t what;
		int64_t value;
	} rows[] = {
		{ ATOM_ACT_SET_WEIGHT, 10001 },
		{ ATOM_ACT_SET_WEIGHT, -1 },
		{ ATOM_ACT_SET_NEW, -1 },
		{ ATOM_ACT_SET_NEW, 100001 },
		{ ATOM_ACT_SET_OLD, -2 },
		{ ATOM_ACT_SET_OLD, INT64_MAX },
		{ ATOM_ACT_SET_MIRROR, 10001 },
		{ ATOM_ACT_PAUSE, -1 },
		{ ATOM_ACT_PAUSE, INT64_MAX },
		{ ATOM_ACT_STEP, -1 },
		{ ATOM_ACT_SET_NEW, INT64_MIN },
		{ -1, 0 },
		{ 12, 0 },
		{ ATOM_ACT_SET_WEIGHT, 1 },
		{ ATOM_ACT_PROMOTE, 0 },
		{ ATOM_ACT_SET_MIRROR_BUDGET, -1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		begin(NULL);
		want(rows[i].what, rows[i].value);
		host_look(&host);
		aborted("strategy_nonsense");
		cr_assert(host.orders.over);
		host_end(&host);
	}
	begin(NULL);
	says.plan.action_count = ATOM_ACTIONS_MAX + 1;
	host_look(&host);
	aborted("strategy_nonsense");
	host_end(&host);
	begin(NULL);
	says.state_bytes = ATOM_DEPLOYMENT_STATE_MAX + 1;
	host_look(&host);
	aborted("strategy_nonsense");
	host_end(&host);
	begin(NULL);
	to_weight(500);
	want(ATOM_ACT_PROMOTE, 0);
	want(ATOM_ACT_SET_WEIGHT, 0);
	host_look(&host);
	aborted("strategy_nonsense");
	host_end(&host);
}

Test(rollout, a_strategy_that_fails_has_four_more_chances)
{
	begin(NULL);
	to_weight(500);
	says.status = ATOM_EINTERNAL;
	for (int i = 0; i < 4; i++) {
		host_look(&host);
		cr_assert_eq(host.orders.weight, 500);
	}
	says.status = ATOM_OK;
	host_look(&host);
	cr_assert_eq(host.rollout->at.strategy_errors, 0);
	says.status = ATOM_EINTERNAL;
	for (int i = 0; i < 5; i++)
		host_look(&host);
	aborted("strategy_failed");
	cr_assert(strstr(host.rollout->at.reason, "it is?broken"));
	host_end(&host);
}

Test(rollout, promoted_below_full_weight_it_gets_full_capacity_first)
{
	begin(NULL);
	to_weight(500);
	host.seen.new_ready = 1;
	want(ATOM_ACT_PROMOTE, 0);
	host_look(&host);
	cr_assert_eq(host.orders.weight, 500);
	cr_assert_eq(host.orders.new_instances, 4);
	cr_assert_eq(host.orders.outcome, ROLLOUT_OPEN);
	host_run(&host, 10);
	cr_assert_eq(host.seen.new_ready, 4);
	cr_assert_eq(host.orders.weight, ATOM_WEIGHT_ALL);
	cr_assert_eq(host.orders.outcome, ROLLOUT_PROMOTED);
	host_end(&host);
}

/* --- life ----------------------------------------------------------------- */

static struct rollout_new made(void)
{
	return (struct rollout_new){ .id = "r",
				     .agent = "a",
				     .from = 1,
				     .to = 2,
				     .from_hash = "h1",
				     .to_hash = "h2",
				     .strategy = "own" };
}

Test(rollout, the_same_content_jumps_to_the_end)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct rollout_new again = made();

	begin("sequential");
	again.to_hash = "h1";
	cr_assert_eq(rollout_begin(host.rollout, &again, &err), ATOM_OK);
	want(ATOM_ACT_ABORT, 0);
	cr_assert_leq(host_run(&host, 20), 6);
	cr_assert_eq(host.orders.outcome, ROLLOUT_PROMOTED);
	cr_assert_eq(host.seen.new_ready, 4);
	cr_assert_str_eq(host.rollout->at.cause, "same_content");
	host_end(&host);
}

Test(rollout, orders_out_of_place_are_refused)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct rollout_new wrong = made();

	begin(NULL);
	cr_assert_eq(rollout_ask(host.rollout, ATOM_PERSON_RESUME, &err),
		     ATOM_ESTATE);
	cr_assert(strstr(err.message, "not paused"));
	cr_assert_eq(rollout_ask(host.rollout, 9, &err), ATOM_EINVAL);
	cr_assert_eq(rollout_retry(host.rollout, 1, 0, &err), ATOM_ESTATE);
	host_ask(&host, ATOM_PERSON_ABORT);
	/* Nothing puts off the way back. */
	host_ask(&host, ATOM_PERSON_PROMOTE_FULL);
	host_look(&host);
	aborted("person");
	for (int32_t person = 1; person <= 5; person++)
		cr_assert_eq(rollout_ask(host.rollout, person, &err),
			     ATOM_ESTATE);
	wrong.to = 1;
	cr_assert_eq(rollout_begin(host.rollout, &wrong, &err), ATOM_EINVAL);
	wrong.to = 2;
	wrong.agent = "0123456789012345678901234567890123456789"
		      "0123456789012345678901234567890123456789";
	cr_assert_eq(rollout_begin(host.rollout, &wrong, &err), ATOM_ELIMIT);
	host_end(&host);
}

Test(rollout, a_retry_begins_again_with_another_salt)
{
	struct atom_error err = ATOM_ERROR_INIT;

	begin(NULL);
	to_weight(500);
	host_ask(&host, ATOM_PERSON_ABORT);
	host_look(&host);
	aborted("person");
	cr_assert_eq(rollout_retry(host.rollout, 77, host.seen.wall_ms, &err),
		     ATOM_OK);
	cr_assert_eq(host.rollout->salt, 77);
	cr_assert_eq(host.rollout->at.attempt, 2);
	host.cell_count = 0;
	to_weight(500);
	cr_assert_eq(host.rollout->at.outcome, ROLLOUT_OPEN);
	host_end(&host);
}

Test(rollout, superseded_it_is_over_and_the_old_one_is_stable)
{
	begin(NULL);
	to_weight(5000);
	rollout_supersede(host.rollout);
	host_look(&host);
	cr_assert_eq(host.orders.outcome, ROLLOUT_SUPERSEDED);
	cr_assert_eq(host.orders.weight, 0);
	cr_assert_eq(host.orders.new_instances, 0);
	cr_assert(host.orders.over);
	host_end(&host);
}

Test(rollout, superseded_while_the_old_one_is_warm_it_stays_promoted)
{
	begin(NULL);
	to_weight(10000);
	want(ATOM_ACT_PROMOTE, 0);
	host_run(&host, 10);
	rollout_supersede(host.rollout);
	cr_assert_eq(host.rollout->at.weight, ATOM_WEIGHT_ALL);
	host_look(&host);
	cr_assert_eq(host.orders.outcome, ROLLOUT_PROMOTED);
	cr_assert_eq(host.orders.weight, ATOM_WEIGHT_ALL);
	cr_assert_eq(host.orders.old_instances, 0);
	cr_assert(host.orders.over);
	host_end(&host);
}

/* --- chance --------------------------------------------------------------- */

static int64_t chance(int64_t below)
{
	return (int64_t)(host_draw(&host) % (uint64_t)below);
}

/* Mostly sense, so that it gets somewhere. */
static void random_plan(bool nonsense)
{
	int32_t count = (int32_t)chance(5);

	plan_none();
	says.state_bytes = (size_t)chance(50);
	if (chance(40) == 0)
		says.status = ATOM_EINTERNAL;
	want(ATOM_ACT_SET_NEW, 1 + chance(6));
	for (int32_t i = 0; i < count; i++) {
		int32_t what = (int32_t)chance(12);
		int64_t value = what == ATOM_ACT_SET_WEIGHT   ? chance(41) * 250
				: what == ATOM_ACT_SET_MIRROR ? chance(10001)
				: what == ATOM_ACT_PAUSE   ? 1000 * chance(20)
				: what == ATOM_ACT_SET_NEW ? 1 + chance(6)
							   : chance(5) - 1;

		if (what == ATOM_ACT_STEP || what == ATOM_ACT_SET_MIRROR_BUDGET)
			value = chance(8);
		if (nonsense && chance(100) == 0)
			value = (int64_t)host_draw(&host);
		if ((what == ATOM_ACT_ABORT || what == ATOM_ACT_PROMOTE) &&
		    chance(20) != 0)
			continue;
		want(what, value);
		if (what == ATOM_ACT_ABORT || what == ATOM_ACT_PROMOTE)
			return;
	}
}

static void random_world(void)
{
	struct atom_error err = ATOM_ERROR_INIT;

	if (chance(30) == 0)
		(void)rollout_ask(host.rollout, 1 + (int32_t)chance(5), &err);
	if (chance(50) == 0)
		host.seen.new_ready = 0;
	if (chance(80) == 0)
		host.seen.old_ready = 0;
	if (chance(60) == 0)
		host_kill(&host);
	host.seen.frozen = chance(20) == 0 ? "for now" : NULL;
	host.seen.gate =
		chance(20) == 0 ? ROLLOUT_GATE_CLOSED : ROLLOUT_GATE_OPEN;
	host.seen.steps_gated = chance(3) == 0;
	host.seen.step_cleared = chance(3) == 0
					 ? (int32_t)chance(6)
					 : rollout_step_to_clear(host.rollout);
	host.starts_fail = chance(15) == 0;
	host.agent_wanted =
		chance(10) == 0 ? (int32_t)chance(9) : host.agent_wanted;
	host.tick_ms = 1 + chance(20000);
}

Test(rollout, a_random_walk_never_breaks_what_must_hold, .timeout = 120)
{
	const uint64_t walks = (uint64_t)effort(3000);
	int outcomes[4] = { 0 };

	for (uint64_t walk = 0; walk < walks; walk++) {
		begin(walk % 3 ? "sequential" : NULL);
		host.seed = walk * 977 + 5;
		host.calls = (int32_t)chance(20);
		host.old_rate = 0.05;
		host.new_rate = walk % 2 ? 0.05 : 0.3;
		host.settings.on_undecided = (int32_t)chance(3);
		host.settings.on_no_data = (int32_t)chance(3);
		host.settings.progress_deadline_ms = 1 + chance(600000);
		host.settings.rollback_window_ms = chance(100000);
		for (int i = 0; i < 120 && !host.orders.over; i++) {
			random_plan(walk % 4 == 0);
			random_world();
			host_look(&host);
		}
		outcomes[host.rollout->at.outcome]++;
		host_end(&host);
	}
	/* It went everywhere. */
	cr_assert(outcomes[ROLLOUT_OPEN] > 0 &&
			  outcomes[ROLLOUT_PROMOTED] > (int)walks / 60 &&
			  outcomes[ROLLOUT_ABORTED] > (int)walks / 60,
		  "%d %d %d", outcomes[0], outcomes[1], outcomes[2]);
}
