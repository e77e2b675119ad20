/* SPDX-License-Identifier: Apache-2.0 */

/* The controller: what it does of a strategy's plans, of the judge, of
 * people, of time, and what it never does whatever they say. */

#include <criterion/criterion.h>

#include <math.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/os.h"
#include "effort.h"
#include "rollout_fixture.h"

static struct host host;

/* --- a strategy that says what the test wants ------------------------------- */

static struct atom_plan plan;
static atom_status status;
static size_t state_bytes;
static struct atom_observation observed;

static atom_status say_plan(void *self, const struct atom_observation *seen,
			    void *state, size_t *state_size,
			    struct atom_plan *plan_r, struct atom_error *err)
{
	(void)self;
	observed = *seen;
	if (status != ATOM_OK)
		return atom_fail(err, status, "it is\tbroken");
	if (state_bytes <= ATOM_DEPLOYMENT_STATE_MAX)
		memset(state, 7, state_bytes);
	*state_size = state_bytes;
	*plan_r = plan;
	if (!plan_r->reason[0])
		(void)snprintf(plan_r->reason, sizeof(plan_r->reason), "so");
	return ATOM_OK;
}

static const struct atom_deployment_ops own = {
	.struct_size = sizeof(own),
	.advance = say_plan,
};

static void plan_none(void)
{
	memset(&plan, 0, sizeof(plan));
	plan.struct_size = sizeof(plan);
	status = ATOM_OK;
	state_bytes = 0;
}

static void want(int32_t what, int64_t value)
{
	plan.actions[plan.action_count++] =
		(struct atom_action){ what, 0, value };
}

static void begin(const char *judge)
{
	plan_none();
	host_begin_with(&host, &own, judge);
}

/* To the given weight, with the instances for it. */
static void to_weight(int32_t weight)
{
	plan_none();
	want(ATOM_ACT_SET_NEW, 2);
	want(ATOM_ACT_SET_WEIGHT, weight);
	host_wait(&host, 5);
	cr_assert_eq(host.orders.weight, weight);
	plan_none();
}

static void aborted(const char *cause)
{
	cr_assert_eq(host.orders.outcome, ROLLOUT_ABORTED, "%s",
		     host.rollout->at.reason);
	cr_assert_str_eq(host.rollout->at.cause, cause);
	cr_assert_eq(host.orders.weight, 0);
	cr_assert_eq(host.orders.old_instances == ROLLOUT_SCALED ||
			     host.orders.old_instances >= 4,
		     true);
}

/* Calls of the new one in the analysis. */
static int64_t samples(void)
{
	return rollout_samples(host.rollout);
}

/* --- plans ------------------------------------------------------------------ */

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
	plan.action_count = ATOM_ACTIONS_MAX + 1;
	host_look(&host);
	aborted("strategy_nonsense");
	host_end(&host);
	begin(NULL);
	state_bytes = ATOM_DEPLOYMENT_STATE_MAX + 1;
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
	status = ATOM_EINTERNAL;
	for (int i = 0; i < 4; i++) {
		host_look(&host);
		cr_assert_eq(host.orders.weight, 500);
	}
	status = ATOM_OK;
	host_look(&host);
	cr_assert_eq(host.rollout->at.strategy_errors, 0);
	status = ATOM_EINTERNAL;
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

/* --- time ------------------------------------------------------------------- */

Test(rollout, the_deadline_stands_still_while_paused)
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

Test(rollout, a_pause_of_the_strategy_begins_with_what_it_asked)
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
	cr_assert_eq(observed.pauses, 1);
	cr_assert(observed.paused_ms >= 60000 && observed.paused_ms <= 70000);
	host_end(&host);
}

Test(rollout, a_pause_lasts_over_a_restart_by_the_systems_clock)
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

Test(rollout, a_step_of_the_systems_clock_moves_nothing)
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

Test(rollout, paused_it_neither_rises_nor_is_asked_but_grows_with_the_agent)
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

Test(rollout, the_old_one_stays_warm_for_the_window)
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
	const struct rollout_strategy strategy = { &own, NULL };
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

Test(rollout, a_swap_is_in_force_with_its_first_look_and_keeps_the_other_warm)
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

Test(rollout, an_undo_without_a_warm_instance_waits_for_one)
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

/* --- the judge -------------------------------------------------------------- */

Test(rollout, without_calls_the_setting_decides)
{
	for (int32_t setting = ROLLOUT_END_PROMOTE;
	     setting <= ROLLOUT_END_ABORT; setting++) {
		begin("sequential");
		host.settings.on_no_data = setting;
		to_weight(5000);
		want(ATOM_ACT_PROMOTE, 0);
		host_wait(&host, 10);
		cr_assert_str_eq(rollout_analysis_word(host.rollout),
				 "Inconclusive");
		if (setting == ROLLOUT_END_PROMOTE)
			cr_assert_eq(host.orders.outcome, ROLLOUT_PROMOTED);
		else if (setting == ROLLOUT_END_ABORT)
			aborted("no_data");
		else {
			cr_assert_eq(rollout_phase(host.rollout),
				     ATOM_PHASE_PAUSED);
			host_ask(&host, ATOM_PERSON_PROMOTE);
			host_run(&host, 10);
			cr_assert_eq(host.orders.outcome, ROLLOUT_PROMOTED);
		}
		host_end(&host);
	}
}

Test(rollout, undecided_at_the_end_it_pauses_and_is_still_judged)
{
	begin("sequential");
	host.settings.on_undecided = ROLLOUT_END_PAUSE;
	host.calls = 20;
	host.old_rate = host.new_rate = 0.01;
	to_weight(5000);
	want(ATOM_ACT_PROMOTE, 0);
	host_wait(&host, 10);
	cr_assert_eq(host.rollout->at.paused, ROLLOUT_PAUSED_AT_END);
	cr_assert_str_eq(host.rollout->at.cause, "undecided");
	host.new_rate = 0.5;
	host_wait(&host, 60);
	aborted("worse");
	host_end(&host);
}

Test(rollout, it_is_judged_while_paused_and_while_frozen)
{
	begin("sequential");
	host.calls = 20;
	host.new_rate = 0.5;
	host.old_rate = 0.01;
	to_weight(500);
	host_ask(&host, ATOM_PERSON_PAUSE);
	host.seen.frozen = "a holiday";
	host_wait(&host, 300);
	aborted("worse");
	host_end(&host);
}

Test(rollout, too_few_samples_condemn_nobody)
{
	begin("sequential");
	host.settings.min_samples = 100000;
	host.calls = 50;
	host.new_rate = 1;
	to_weight(500);
	host_wait(&host, 100);
	cr_assert_eq(host.orders.outcome, ROLLOUT_OPEN);
	cr_assert_eq(host.rollout->judged.verdict, ATOM_VERDICT_WORSE);
	host_end(&host);
}

static atom_status no_verdict(void *self, const struct atom_trial *trial,
			      void *state, size_t *state_size,
			      struct atom_verdict *verdict_r,
			      struct atom_error *err)
{
	int *how = self;

	(void)trial;
	(void)state;
	*state_size = 0;
	if (*how == 0)
		return atom_fail(err, ATOM_EINVAL, "no");
	verdict_r->verdict = *how == 1 ? 3 : ATOM_VERDICT_UNDECIDED;
	verdict_r->evidence_count = *how == 2 ? 9 : 0;
	verdict_r->value = NAN;
	memset(verdict_r->reason, 'x', sizeof(verdict_r->reason));
	if (*how == 3)
		*state_size = ATOM_JUDGE_STATE_MAX + 1;
	return ATOM_OK;
}

Test(rollout, a_judge_that_fails_or_says_nonsense_ends_it)
{
	static const struct atom_judge_ops judge = {
		.struct_size = sizeof(judge),
		.judge = no_verdict,
	};

	for (int how = 0; how < 5; how++) {
		begin(NULL);
		host.judge = (struct rollout_judge){ &judge, &how };
		to_weight(500);
		host_wait(&host, 10);
		if (how < 4)
			aborted("judge_failed");
		else
			cr_assert_eq(host.orders.outcome, ROLLOUT_OPEN);
		host_end(&host);
	}
}

Test(rollout, a_judge_that_fails_now_and_then_goes_on)
{
	static const struct atom_judge_ops judge = {
		.struct_size = sizeof(judge),
		.judge = no_verdict,
	};
	int how = 0;

	begin(NULL);
	host.judge = (struct rollout_judge){ &judge, &how };
	to_weight(500);
	for (int i = 0; i < 20; i++) {
		how = i % 3 ? 0 : 4;
		host_look(&host);
		cr_assert_eq(host.rollout->at.analysis == ATOM_ANALYSIS_ERROR,
			     how == 0);
	}
	cr_assert_eq(host.orders.outcome, ROLLOUT_OPEN);
	host_end(&host);
}

Test(rollout, a_new_analysis_counts_from_its_own_beginning)
{
	begin("sequential");
	host.calls = 20;
	host.old_rate = host.new_rate = 0.2;
	to_weight(5000);
	host_wait(&host, 20);
	cr_assert_gt(samples(), 100);
	want(ATOM_ACT_ANALYSE, 1);
	host_look(&host);
	plan_none();
	cr_assert_eq(samples(), 0);
	host_look(&host);
	cr_assert_gt(samples(), 0);
	cr_assert_lt(host.rollout->judged.evidence[0].new_calls, 21);
	host_end(&host);
}

/* --- life ------------------------------------------------------------------- */

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

/* --- bytes ------------------------------------------------------------------ */

Test(rollout, damaged_bytes_are_told_and_nothing_is_believed)
{
	static struct rollout read;
	struct buffer kept = BUFFER_INIT(1 << 20);
	char *copy;

	begin("threshold");
	host.calls = 20;
	host.new_rate = 0.1;
	state_bytes = 40;
	to_weight(500);
	host_wait(&host, 5);
	cr_assert_eq(rollout_encode(host.rollout, &kept), ATOM_OK);
	copy = mem_strndup(kept.bytes, kept.length);
	for (size_t i = 0; i < kept.length; i++) {
		struct atom_error err = ATOM_ERROR_INIT;
		atom_status told = rollout_decode(&read, kept.bytes, i, &err);

		cr_assert_eq(told, ATOM_EDATALOSS, "cut at %zu: %d", i, told);
		cr_assert(strstr(err.message, "damaged"));
	}
	for (size_t i = 0; i < kept.length * 20; i++) {
		struct atom_error err = ATOM_ERROR_INIT;
		size_t at = host_draw(&host) % kept.length;

		copy[at] = (char)host_draw(&host);
		if (rollout_decode(&read, copy, kept.length, &err) == ATOM_OK) {
			cr_assert(read.at.weight >= 0 &&
				  read.at.weight <= ATOM_WEIGHT_ALL);
			cr_assert_leq(read.counted.count, ROLLOUT_CELLS_MAX);
			cr_assert(read.at.stage >= 0 &&
				  read.at.stage <= ROLLOUT_OVER);
		}
		copy[at] = kept.bytes[at];
	}
	mem_free(copy);
	buffer_fini(&kept);
	host_end(&host);
}

Test(rollout, what_was_read_writes_the_same_bytes)
{
	static struct rollout read;
	struct buffer kept = BUFFER_INIT(1 << 20), again = BUFFER_INIT(1 << 20);
	struct atom_error err = ATOM_ERROR_INIT;

	begin("sequential");
	host.calls = 20;
	host.new_rate = 0.1;
	state_bytes = 300;
	to_weight(2500);
	host_wait(&host, 30);
	cr_assert_eq(rollout_encode(host.rollout, &kept), ATOM_OK);
	cr_assert_eq(rollout_decode(&read, kept.bytes, kept.length, &err),
		     ATOM_OK, "%s", err.message);
	cr_assert_eq(rollout_encode(&read, &again), ATOM_OK);
	cr_assert_str_eq(kept.bytes, again.bytes);
	buffer_fini(&kept);
	buffer_fini(&again);
	host_end(&host);
}

/* JSON's memory: the n-th block is not there, and the others are counted. */
static unsigned int left, in_use;

static void *take(size_t size)
{
	if (left > 0 && --left == 0)
		return NULL;
	in_use++;
	return malloc(size);
}

static void give_back(void *block)
{
	in_use -= block != NULL;
	free(block);
}

Test(rollout, without_memory_nothing_is_written_and_nothing_kept)
{
	struct buffer whole = BUFFER_INIT(1 << 20);
	unsigned int n;

	begin("sequential");
	host.calls = 20;
	to_weight(2500);
	host_wait(&host, 30);
	cr_assert_eq(rollout_encode(host.rollout, &whole), ATOM_OK);
	json_set_alloc_funcs(take, give_back);
	for (n = 1;; n++) {
		struct buffer kept = BUFFER_INIT(1 << 20);
		atom_status encoded;

		in_use = 0;
		left = n;
		encoded = rollout_encode(host.rollout, &kept);
		/* What jansson can do without is not in the text. */
		if (encoded == ATOM_OK)
			cr_assert_str_eq(kept.bytes, whole.bytes, "%u", n);
		else
			cr_assert_eq(encoded, ATOM_ENOMEM, "%u", n);
		buffer_fini(&kept);
		cr_assert_eq(in_use, 0, "%u: %u", n, in_use);
		if (left > 0)
			break;
	}
	buffer_fini(&whole);
	cr_assert_gt(n, 100);
	left = 0;
	host_end(&host);
}

static unsigned int growths; /* that many, and one fails */

static void *grow(void *old, size_t size)
{
	return growths > 0 && --growths == 0 ? NULL : realloc(old, size);
}

/* jansson goes on after the name of a member that had no room. */
Test(rollout, a_text_that_cannot_grow_is_not_one_that_lacks_some_of_it)
{
	static const char begun[64];

	begin("sequential");
	host.calls = 20;
	to_weight(2500);
	host_wait(&host, 30);
	os.realloc = grow;
	for (size_t length = 0; length < sizeof(begun); length++) {
		bool grew = true;

		for (unsigned int n = 2; grew; n++) {
			struct buffer kept = BUFFER_INIT(1 << 20);
			atom_status told;

			growths = n;
			cr_assert_eq(buffer_append(&kept, begun, length),
				     ATOM_OK);
			told = rollout_encode(host.rollout, &kept);
			grew = growths == 0;
			cr_assert_eq(told, grew ? ATOM_ENOMEM : ATOM_OK,
				     "%u after %zu", n, length);
			buffer_fini(&kept);
		}
	}
	os.realloc = realloc;
	host_end(&host);
}

Test(rollout, counts_go_on_after_a_restart)
{
	int64_t before;

	begin("sequential");
	host.calls = 20;
	to_weight(5000);
	host_wait(&host, 10);
	before = samples();
	cr_assert_gt(before, 50);
	host_kill(&host);
	host_look(&host);
	cr_assert_geq(samples(), before);
	host_wait(&host, 10);
	cr_assert_gt(samples(), before + 50);
	host_end(&host);
}

/* --- chance ----------------------------------------------------------------- */

static int64_t chance(int64_t below)
{
	return (int64_t)(host_draw(&host) % (uint64_t)below);
}

/* Mostly sense, so that it gets somewhere. */
static void random_plan(bool nonsense)
{
	int32_t count = (int32_t)chance(5);

	plan_none();
	state_bytes = (size_t)chance(50);
	if (chance(40) == 0)
		status = ATOM_EINTERNAL;
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
