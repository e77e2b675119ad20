/* SPDX-License-Identifier: Apache-2.0 */

/* The controller and time: deadlines, pauses, and the window in which the
 * other one stays warm. */

#include <criterion/criterion.h>

#include "core/buffer.h"
#include "core/memory.h"
#include "told_strategy.h"

Test(rollout_time, the_deadline_stands_still_while_paused)
{
	begin(NULL);
	host.settings.progress_deadline_ms = 60000;
	host.room = 0;
	want(ATOM_ACT_SET_NEW, 1);
	host_wait(&host, 50);
	host_ask(&host, ATOM_PERSON_PAUSE);
	host_wait(&host, 3600);
	cr_assert_eq(rollout_phase(host.rollout), ATOM_PHASE_PAUSED);
	host_ask(&host, ATOM_PERSON_RESUME);
	host_wait(&host, 5);
	cr_assert_eq(host.orders.outcome, ROLLOUT_OPEN);
	host.seen.frozen = "no deployments on Friday";
	host_wait(&host, 3600);
	cr_assert_eq(rollout_phase(host.rollout), ATOM_PHASE_PAUSED);
	host.seen.frozen = NULL;
	host_wait(&host, 15);
	aborted("deadline");
	host_end(&host);
}

Test(rollout_time, a_pause_of_the_strategy_begins_with_what_it_asked)
{
	begin(NULL);
	want(ATOM_ACT_SET_NEW, 1);
	want(ATOM_ACT_SET_WEIGHT, 500);
	want(ATOM_ACT_PAUSE, 60000);
	host_look(&host);
	plan_none();
	host_wait(&host, 40);
	cr_assert_eq(host.orders.weight, 500);
	cr_assert_eq(host.rollout->at.paused, ROLLOUT_PAUSED);
	host_wait(&host, 30);
	cr_assert_eq(host.rollout->at.paused, ROLLOUT_NOT_PAUSED);
	cr_assert_eq(says.observed.pauses, 1);
	cr_assert(says.observed.paused_ms >= 60000 &&
		  says.observed.paused_ms <= 70000);
	host_end(&host);
}

Test(rollout_time, a_pause_lasts_over_a_restart_by_the_systems_clock)
{
	begin(NULL);
	want(ATOM_ACT_PAUSE, 3600000);
	host_look(&host);
	plan_none();
	host_kill(&host);
	host.seen.wall_ms += 3500000;
	host_wait(&host, 60);
	cr_assert_eq(host.rollout->at.paused, ROLLOUT_PAUSED);
	host_wait(&host, 60);
	cr_assert_eq(host.rollout->at.paused, ROLLOUT_NOT_PAUSED);
	host_end(&host);
}

Test(rollout_time, a_step_of_the_systems_clock_moves_nothing)
{
	int64_t before;

	begin(NULL);
	want(ATOM_ACT_PAUSE, 60000);
	host_look(&host);
	plan_none();
	before = host.rollout->times.now_ms;
	host.kept_wrong = true; /* a restart has only that clock */
	host.seen.wall_ms += 86400000;
	host_look(&host);
	cr_assert_eq(host.rollout->times.now_ms, before + 1000);
	cr_assert_eq(host.rollout->at.paused, ROLLOUT_PAUSED);
	host.seen.wall_ms -= 2 * 86400000;
	host_look(&host);
	cr_assert_eq(host.rollout->times.now_ms, before + 2000);
	host_end(&host);
}

Test(rollout_time,
     paused_it_neither_rises_nor_is_asked_but_grows_with_the_agent)
{
	begin(NULL);
	to_weight(500);
	want(ATOM_ACT_SET_NEW, 4);
	want(ATOM_ACT_SET_WEIGHT, 5000);
	host_ask(&host, ATOM_PERSON_PAUSE);
	host_wait(&host, 10);
	cr_assert_eq(host.orders.weight, 500);
	cr_assert_eq(host.orders.new_instances, 2);
	host.agent_wanted = 8;
	host_wait(&host, 10);
	cr_assert_eq(host.orders.new_instances, 4);
	cr_assert_eq(host.orders.weight, 500);
	host_end(&host);
}

Test(rollout_time, the_old_one_stays_warm_for_the_window)
{
	begin(NULL);
	host.settings.rollback_window_ms = 60000;
	to_weight(10000);
	want(ATOM_ACT_PROMOTE, 0);
	host_run(&host, 10);
	host_wait(&host, 50);
	cr_assert_eq(host.orders.old_instances, 4);
	cr_assert_not(host.orders.over);
	host_wait(&host, 20);
	cr_assert_eq(host.orders.old_instances, 0);
	cr_assert(host.orders.over);
	cr_assert_eq(host.orders.weight, ATOM_WEIGHT_ALL);
	host_end(&host);
}

/* One look of a process of its own at the bytes of `from`. */
static void look_anew(const struct rollout *from,
		      const struct rollout_seen *seen, struct rollout *to_r,
		      struct rollout_orders *orders_r)
{
	const struct rollout_strategy strategy = { &told_strategy, NULL };
	const struct rollout_judge judge = { NULL, NULL };
	struct buffer bytes = BUFFER_INIT(4 << 20);
	struct rollout_settings settings;
	struct atom_error err = ATOM_ERROR_INIT;

	rollout_settings_default(&settings);
	cr_assert_eq(rollout_encode(from, &bytes), ATOM_OK);
	cr_assert_eq(rollout_decode(to_r, bytes.bytes, bytes.length, &err),
		     ATOM_OK, "%s", err.message);
	rollout_advance(to_r, &settings, seen, &strategy, &judge, orders_r);
	buffer_fini(&bytes);
}

Test(rollout_time,
     a_swap_is_in_force_with_its_first_look_and_keeps_the_other_warm)
{
	const struct rollout_new new = { .id = "roll_1",
					 .agent = "echo",
					 .from = 2,
					 .to = 1,
					 .from_hash = "bb",
					 .to_hash = "aa",
					 .strategy = "own",
					 .wall_ms = 1000000,
					 .swap = true,
					 .warm_ms = 60000 };
	struct rollout_seen seen = { .wall_ms = 1000000,
				     .steady_ms = 5,
				     .agent_wanted = 4,
				     .old_ready = 3,
				     .new_ready = 1 };
	struct rollout *swap = mem_zalloc(sizeof(*swap));
	struct rollout *later = mem_zalloc(sizeof(*later));
	struct atom_error err = ATOM_ERROR_INIT;
	struct rollout_orders orders;

	plan_none();
	cr_assert_eq(rollout_begin(swap, &new, &err), ATOM_OK);
	look_anew(swap, &seen, later, &orders);
	cr_assert(orders.urgent && orders.store && !orders.over);
	cr_assert_eq(orders.outcome, ROLLOUT_PROMOTED);
	cr_assert_eq(orders.weight, ATOM_WEIGHT_ALL);
	cr_assert_eq(orders.new_instances, ROLLOUT_SCALED);
	cr_assert_eq(orders.old_instances, 4, "those that it keeps");
	cr_assert_str_eq(later->at.cause, "undo");
	cr_assert_eq(rollout_phase(later), ATOM_PHASE_HEALTHY);
	/* A daemon that is down does not stop the window. */
	seen.wall_ms += 59000;
	look_anew(later, &seen, swap, &orders);
	cr_assert_not(orders.over);
	/* Back is forth: the one that was left serves again. */
	cr_assert_eq(rollout_ask(swap, ATOM_PERSON_ABORT, &err), ATOM_OK);
	look_anew(swap, &seen, later, &orders);
	cr_assert(orders.urgent);
	cr_assert_eq(orders.weight, 0);
	cr_assert_eq(orders.outcome, ROLLOUT_ABORTED);
	cr_assert_eq(rollout_begin(swap, &new, &err), ATOM_OK);
	seen.wall_ms += 2000;
	look_anew(swap, &seen, later, &orders);
	cr_assert(orders.over, "the window is over");
	cr_assert_eq(orders.old_instances, 0);
	mem_free(swap);
	mem_free(later);
}

Test(rollout_time, an_undo_without_a_warm_instance_waits_for_one)
{
	begin(NULL);
	to_weight(10000);
	want(ATOM_ACT_SET_OLD, 0);
	want(ATOM_ACT_PROMOTE, 0);
	host_run(&host, 10);
	host_wait(&host, 3);
	cr_assert_eq(host.seen.old_ready, 0);
	host_ask(&host, ATOM_PERSON_ABORT);
	host_look(&host);
	cr_assert_eq(host.orders.weight, ATOM_WEIGHT_ALL);
	cr_assert_eq(host.orders.old_instances, 4);
	host_wait(&host, 4);
	cr_assert_eq(host.orders.weight, 0);
	cr_assert(host.orders.over);
	host_end(&host);
}
