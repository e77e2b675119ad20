/* SPDX-License-Identifier: Apache-2.0 */

/* Every strategy to its end, and every way out of it. */

#include <criterion/criterion.h>

#include <string.h>

#include "effort.h"
#include "rollout_fixture.h"

static struct host host;

static const char *cause(void)
{
	return host.rollout->at.cause;
}

static int32_t stage(void)
{
	return host.rollout->at.stage;
}

static void promoted(void)
{
	cr_assert_eq(host.orders.outcome, ROLLOUT_PROMOTED, "%s",
		     host.rollout->at.reason);
	cr_assert_eq(host.orders.weight, ATOM_WEIGHT_ALL);
	cr_assert_eq(host.orders.new_instances, ROLLOUT_SCALED);
	cr_assert_eq(rollout_phase(host.rollout), ATOM_PHASE_HEALTHY);
}

static void aborted(const char *why)
{
	cr_assert_eq(host.orders.outcome, ROLLOUT_ABORTED, "%s",
		     host.rollout->at.reason);
	cr_assert_str_eq(cause(), why, "%s", host.rollout->at.reason);
	cr_assert_eq(rollout_phase(host.rollout), ATOM_PHASE_DEGRADED);
}

/* --- canary ----------------------------------------------------------------- */

Test(rollout_strategy, canary_takes_its_four_steps_with_capacity_first)
{
	static const int32_t weights[] = { 0, 500, 2500, 5000, 10000 };
	size_t at = 0;

	host_begin(&host, "canary", "hold = \"30s\";", "sequential");
	for (int i = 0; i < 200 && stage() != ROLLOUT_WARM; i++) {
		host_look(&host);
		if (host.orders.weight == weights[at])
			continue;
		at++;
		cr_assert_lt(at, 5);
		cr_assert_eq(host.orders.weight, weights[at]);
		cr_assert_geq(host.seen.new_ready,
			      at == 1 ? 1 : (int32_t)(at - 1));
	}
	promoted();
	cr_assert_eq(at, 4);
	/* Three holds of 30 s and the starts between them. */
	cr_assert(host.looks > 90 && host.looks < 120, "%d", host.looks);
	cr_assert_eq(host.orders.old_instances, 4);
	host_end(&host);
}

Test(rollout_strategy, a_bad_canary_is_aborted_with_the_judges_numbers)
{
	host_begin(&host, "canary", "", "sequential");
	host.calls = 50;
	host.old_rate = 0.02;
	host.new_rate = 0.3;
	host_run(&host, 400);
	aborted("worse");
	cr_assert(strstr(host.rollout->at.reason, "e-value"), "%s",
		  host.rollout->at.reason);
	cr_assert_str_eq(rollout_analysis_word(host.rollout), "Failed");
	cr_assert_eq(host.orders.weight, 0);
	cr_assert_eq(host.orders.new_instances, 0);
	cr_assert(host.orders.urgent);
	cr_assert_gt(host.rollout->judged.evidence[0].new_bad, 0);
	host_end(&host);
}

Test(rollout_strategy, a_canary_may_be_mirrored_to_before_its_first_weight)
{
	static const char *const steps =
		"hold = \"10m\"; steps = ( { percent = 0.0; mirror = 20.0; }, "
		"{ percent = 5.0; } );";

	host_begin(&host, "canary", steps, "sequential");
	host.calls = 50;
	host_wait(&host, 60);
	cr_assert_eq(host.orders.mirror, 2000);
	cr_assert_eq(host.orders.weight, 0);
	cr_assert_gt(rollout_samples(host.rollout), 0);
	host_wait(&host, 600);
	cr_assert_eq(host.orders.weight, 500);
	cr_assert_eq(host.orders.mirror, 0);
	host_run(&host, 700);
	promoted();
	host_end(&host);
	/* And is stopped by what nobody was shown. */
	host_begin(&host, "canary", steps, "sequential");
	host.calls = 50;
	host.old_rate = 0.02;
	host.new_rate = 0.3;
	host_run(&host, 400);
	aborted("worse");
	cr_assert_eq(rollout_samples(host.rollout) > 0, true);
	cr_assert_eq(host.rollout->counted.cells[0].weight, 0);
	host_end(&host);
}

Test(rollout_strategy, a_better_canary_goes_on_early)
{
	host_begin(&host, "canary", "", "sequential");
	host.calls = 100;
	host.old_rate = 0.3;
	host.new_rate = 0.02;
	cr_assert_lt(host_run(&host, 1000), 200);
	promoted();
	cr_assert_str_eq(rollout_analysis_word(host.rollout), "Successful");
	host_end(&host);
}

Test(rollout_strategy, a_manual_step_waits_for_a_person)
{
	host_begin(&host, "canary",
		   "hold = \"1s\"; steps = ( { percent = 10.0; manual = true; "
		   "}, { percent = 50.0; pause = \"20s\"; } );",
		   NULL);
	host_wait(&host, 3600);
	cr_assert_eq(rollout_phase(host.rollout), ATOM_PHASE_PAUSED);
	cr_assert_eq(host.orders.weight, 1000);
	host_ask(&host, ATOM_PERSON_PROMOTE);
	host_wait(&host, 10);
	cr_assert_eq(host.orders.weight, 5000);
	cr_assert_eq(rollout_phase(host.rollout), ATOM_PHASE_PAUSED);
	cr_assert_geq(host_run(&host, 100), 10);
	promoted();
	host_end(&host);
}

Test(rollout_strategy, promote_ends_a_step_and_promote_full_all_of_them)
{
	host_begin(&host, "canary", "hold = \"1h\";", "sequential");
	host_wait(&host, 10);
	cr_assert_eq(host.orders.weight, 500);
	host_ask(&host, ATOM_PERSON_PROMOTE);
	host_wait(&host, 5);
	cr_assert_eq(host.orders.weight, 2500);
	host_ask(&host, ATOM_PERSON_PROMOTE_FULL);
	cr_assert_lt(host_run(&host, 20), 10);
	promoted();
	cr_assert_eq(host.most_new_ready, 4);
	host_end(&host);
}

/* --- rolling ---------------------------------------------------------------- */

Test(rollout_strategy, rolling_keeps_within_surplus_and_shortage)
{
	for (int32_t wanted = 1; wanted <= 9; wanted++) {
		int32_t surge = (wanted + 3) / 4, missing = wanted / 4;

		host_begin(&host, "rolling", "", "sequential");
		host_size(&host, wanted);
		host_run(&host, 100);
		promoted();
		cr_assert_leq(host.most, wanted + surge, "%d of %d", host.most,
			      wanted);
		cr_assert_geq(host.least, wanted - missing, "%d of %d",
			      host.least, wanted);
		cr_assert_eq(host.orders.old_instances, 0);
		host_end(&host);
	}
}

Test(rollout_strategy, rolling_without_surplus_stays_within_the_room)
{
	host_begin(&host, "rolling",
		   "max_surge_percent = 0.0; max_unavailable_percent = 0.0;",
		   NULL);
	host.room = 4;
	host_run(&host, 100);
	promoted();
	cr_assert_leq(host.most, 4);
	cr_assert_geq(host.least, 3);
	host_end(&host);
}

Test(rollout_strategy, rolling_holds_between_its_moves)
{
	host_begin(&host, "rolling", "hold = \"1m\";", NULL);
	cr_assert_geq(host_run(&host, 1000), 120);
	promoted();
	host_end(&host);
}

/* --- blue_green ------------------------------------------------------------- */

Test(rollout_strategy, blue_green_switches_when_a_person_says_so)
{
	host_begin(&host, "blue_green",
		   "auto_switch = false; post_switch = \"1m\";", "sequential");
	host_wait(&host, 600);
	cr_assert_eq(host.seen.new_ready, 4);
	cr_assert_eq(host.orders.weight, 0);
	cr_assert(strstr(host.rollout->at.reason, "ready_for_switch"));
	host_ask(&host, ATOM_PERSON_PROMOTE);
	host_wait(&host, 2);
	cr_assert_eq(host.orders.weight, 9500);
	cr_assert_eq(host.orders.old_instances, ROLLOUT_SCALED);
	cr_assert_geq(host_run(&host, 100), 50);
	promoted();
	cr_assert_eq(host.orders.old_instances, 4);
	/* Switching back is one look. */
	host_ask(&host, ATOM_PERSON_ABORT);
	host_look(&host);
	aborted("undo");
	cr_assert_eq(host.orders.weight, 0);
	cr_assert(host.orders.urgent);
	host_end(&host);
}

Test(rollout_strategy, blue_green_is_judged_after_the_switch)
{
	host_begin(&host, "blue_green", "", "sequential");
	host.calls = 50;
	host.old_rate = 0.02;
	host.new_rate = 0.3;
	host_run(&host, 400);
	aborted("worse");
	host_end(&host);
}

Test(rollout_strategy, blue_green_is_judged_before_the_switch_by_mirroring)
{
	host_begin(&host, "blue_green",
		   "pre_switch = \"10m\"; mirror_percent = 20.0;",
		   "sequential");
	host.calls = 50;
	host.old_rate = 0.02;
	host.new_rate = 0.3;
	host_run(&host, 400);
	aborted("worse");
	cr_assert_eq(host.rollout->at.weight_reached, 0);
	cr_assert_eq(host.rollout->at.step, 1);
	host_end(&host);
}

/* --- recreate --------------------------------------------------------------- */

Test(rollout_strategy, recreate_never_has_both)
{
	host_begin(&host, "recreate", "", "sequential");
	host.ends_late = true;
	host.seen.old_in_flight = 3;
	host_wait(&host, 20);
	cr_assert(host.orders.hold);
	cr_assert_eq(host.orders.weight, ATOM_WEIGHT_ALL);
	cr_assert_eq(host.orders.new_instances, 0);
	host.ends_late = false;
	host_run(&host, 20);
	promoted();
	cr_assert_not(host.orders.hold);
	cr_assert_eq(host.most, 4);
	host_end(&host);
}

Test(rollout_strategy, recreate_starts_the_old_one_again_when_the_new_cannot)
{
	host_begin(&host, "recreate", "", NULL);
	host.starts_fail = true;
	host_run(&host, 100);
	aborted("failed_starts");
	cr_assert(strstr(host.rollout->at.reason, "no such file"));
	cr_assert_eq(host.orders.weight, 0);
	host_wait(&host, 5);
	cr_assert_eq(host.seen.old_ready, 4);
	host_end(&host);
}

/* --- shadow ----------------------------------------------------------------- */

static struct atom_comparison comparison;

static void shadow(const char *options)
{
	host_begin(&host, "shadow", options, "sequential");
	comparison = (struct atom_comparison){
		.struct_size = sizeof(comparison),
		.calls = 500,
		.similar_calls = 500,
		.similarity_sum = 400,
		.old_tokens = 1000,
		.new_tokens = 1100,
		.old_s_sum = 100,
		.new_s_sum = 120,
	};
	host.seen.comparison = &comparison;
	host.calls = 50;
}

Test(rollout_strategy, shadow_mirrors_then_waits_for_a_person)
{
	shadow("hold = \"5m\"; tokens_per_hour = 5000;");
	host_wait(&host, 60);
	cr_assert_eq(host.orders.mirror, 1000);
	cr_assert_eq(host.orders.mirror_budget, 5000);
	cr_assert_eq(host.orders.weight, 0);
	host_wait(&host, 600);
	cr_assert_eq(host.orders.mirror, 0);
	cr_assert_eq(rollout_phase(host.rollout), ATOM_PHASE_PAUSED);
	host_ask(&host, ATOM_PERSON_PROMOTE);
	host_run(&host, 20);
	promoted();
	cr_assert_eq(host.most_new_ready, 4);
	host_end(&host);
}

Test(rollout_strategy, shadow_is_stopped_by_answers_unlike_the_old_ones)
{
	shadow("min_similarity = 0.9;");
	host_run(&host, 60);
	aborted("strategy");
	cr_assert(strstr(host.rollout->at.reason, "likeness"), "%s",
		  host.rollout->at.reason);
	host_end(&host);
	shadow("max_slower_percent = 10.0;");
	host_run(&host, 60);
	aborted("strategy");
	host_end(&host);
}

Test(rollout_strategy, shadow_is_judged_though_nobody_is_shown_its_errors)
{
	shadow("");
	host.old_rate = 0.02;
	host.new_rate = 0.3;
	host_run(&host, 600);
	aborted("worse");
	host_end(&host);
}

/* --- at_once, and all of them ----------------------------------------------- */

static const char *const names[] = { "at_once",	 "blue_green", "canary",
				     "recreate", "rolling",    "shadow",
				     NULL };

Test(rollout_strategy, every_strategy_ends_when_nothing_can_start)
{
	for (int i = 0; names[i]; i++) {
		host_begin(&host, names[i], "", "sequential");
		host.starts_fail = true;
		host_run(&host, 100);
		aborted("failed_starts");
		host_end(&host);
	}
}

Test(rollout_strategy, every_strategy_ends_at_the_deadline_without_room)
{
	for (int i = 0; names[i]; i++) {
		host_begin(&host, names[i], "", "sequential");
		host.settings.progress_deadline_ms = 120000;
		/* Recreate makes room for itself, rolling a part of it. */
		host.room = 0;
		cr_assert_leq(host_run(&host, 400), 300);
		cr_assert_eq(host.orders.outcome, ROLLOUT_ABORTED);
		aborted("deadline");
		host_end(&host);
	}
}

Test(rollout_strategy, every_strategy_can_be_aborted_in_every_look)
{
	for (int i = 0; names[i]; i++) {
		for (int looks = 0; looks < 12; looks++) {
			host_begin(&host, names[i], "", NULL);
			for (int k = 0; k < looks && !host.orders.over; k++)
				host_look(&host);
			host_ask(&host, ATOM_PERSON_ABORT);
			host_run(&host, 10);
			cr_assert_eq(host.orders.outcome, ROLLOUT_ABORTED);
			cr_assert_eq(host.orders.weight, 0);
			host_end(&host);
		}
	}
}

Test(rollout_strategy, every_strategy_goes_on_after_a_kill_in_every_look)
{
	for (int i = 0; names[i]; i++) {
		for (int looks = 0; looks < effort(40); looks++) {
			host_begin(&host, names[i],
				   strcmp(names[i], "shadow") ? ""
							      : "manual = "
								"false;",
				   "sequential");
			host.seen.comparison = &comparison;
			comparison.struct_size = sizeof(comparison);
			comparison.calls = 500;
			host.calls = 5;
			host.tick_ms = 5000;
			for (int k = 0; k < looks; k++)
				host_look(&host);
			host_kill(&host);
			host_run(&host, 1000);
			promoted();
			host_end(&host);
		}
	}
}
