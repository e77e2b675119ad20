/* SPDX-License-Identifier: Apache-2.0 */

/* What has to be found out before a weight: a closed gate holds the weight,
 * the mirroring and the pauses, and nothing else. */

#include <criterion/criterion.h>

#include "rollout_fixture.h"

static struct host host;
static struct atom_plan plan;

static atom_status say_plan(void *self, const struct atom_observation *seen,
			    void *state, size_t *state_size,
			    struct atom_plan *plan_r, struct atom_error *err)
{
	(void)self;
	(void)seen;
	(void)state;
	(void)err;
	*state_size = 0;
	*plan_r = plan;
	return ATOM_OK;
}

static const struct atom_deployment_ops own = {
	.struct_size = sizeof(own),
	.advance = say_plan,
};

static void begin(void)
{
	plan = (struct atom_plan){ .struct_size = sizeof(plan),
				   .reason = "so" };
	host_begin_with(&host, &own, NULL);
	host.settings.progress_deadline_ms = 30000;
}

static void want(int32_t what, int64_t value)
{
	plan.actions[plan.action_count++] =
		(struct atom_action){ what, 0, value };
}

Test(rollout_gate, capacity_comes_and_weight_waits_without_being_late)
{
	begin();
	want(ATOM_ACT_SET_NEW, 2);
	want(ATOM_ACT_SET_WEIGHT, 500);
	want(ATOM_ACT_SET_MIRROR, 1000);
	host.seen.gate = ROLLOUT_GATE_CLOSED;
	host_wait(&host, 100);
	cr_assert_eq(host.orders.new_instances, 2);
	cr_assert_eq(host.orders.weight, 0);
	cr_assert_eq(host.orders.mirror, 0);
	cr_assert_eq(host.orders.outcome, ROLLOUT_OPEN, "%s",
		     host.rollout->at.reason);
	host.seen.gate = ROLLOUT_GATE_OPEN;
	host_look(&host);
	cr_assert_eq(host.orders.weight, 500);
	cr_assert_eq(host.orders.mirror, 1000);
	host_end(&host);
}

Test(rollout_gate, a_pause_does_not_run_behind_a_closed_one)
{
	begin();
	want(ATOM_ACT_SET_NEW, 1);
	want(ATOM_ACT_PAUSE, 5000);
	host.seen.gate = ROLLOUT_GATE_CLOSED;
	host_wait(&host, 20);
	cr_assert_eq(host.rollout->at.pauses, 0);
	cr_assert_eq(host.rollout->times.pause_left_ms, 5000);
	host.seen.gate = ROLLOUT_GATE_OPEN;
	plan.action_count = 0;
	host_wait(&host, 10);
	cr_assert_eq(host.rollout->at.pauses, 1);
	host_end(&host);
}

Test(rollout_gate, a_failed_one_goes_back_also_while_it_is_paused)
{
	begin();
	want(ATOM_ACT_SET_NEW, 1);
	want(ATOM_ACT_SET_WEIGHT, 500);
	host.seen.gate = ROLLOUT_GATE_CLOSED;
	host.seen.frozen = "stand";
	host_wait(&host, 3);
	host.seen.gate = ROLLOUT_GATE_FAILED;
	host.seen.gate_cause = "workflow";
	host.seen.gate_reason = "the probe said 500";
	host_look(&host);
	cr_assert_eq(host.orders.outcome, ROLLOUT_ABORTED);
	cr_assert(host.orders.urgent);
	cr_assert_eq(host.orders.weight, 0);
	cr_assert_str_eq(host.rollout->at.cause, "workflow");
	cr_assert_str_eq(host.rollout->at.reason, "the probe said 500");
	host_end(&host);
}

Test(rollout_gate, who_skips_the_steps_passes)
{
	struct atom_error err = ATOM_ERROR_INIT;

	begin();
	want(ATOM_ACT_SET_NEW, 1);
	want(ATOM_ACT_SET_WEIGHT, 500);
	host.seen.gate = ROLLOUT_GATE_CLOSED;
	host_wait(&host, 3);
	cr_assert_eq(host.orders.weight, 0);
	cr_assert_eq(rollout_ask(host.rollout, ATOM_PERSON_PROMOTE_FULL, &err),
		     ATOM_OK);
	host_wait(&host, 10);
	cr_assert_eq(host.orders.weight, ATOM_WEIGHT_ALL);
	cr_assert_eq(host.orders.outcome, ROLLOUT_PROMOTED);
	host_end(&host);
}

Test(rollout_gate, each_step_is_one_and_so_is_the_last)
{
	begin();
	want(ATOM_ACT_SET_NEW, 1);
	want(ATOM_ACT_STEP, 1);
	want(ATOM_ACT_SET_WEIGHT, 500);
	host.seen.steps_gated = true;
	host.seen.step_cleared = -1;
	host_wait(&host, 5);
	cr_assert_eq(host.orders.weight, 0);
	cr_assert_eq(rollout_step_to_clear(host.rollout), 1);
	host.seen.step_cleared = 1;
	host_look(&host);
	cr_assert_eq(host.orders.weight, 500);
	/* The next one keeps what the one before had. */
	plan.action_count = 0;
	want(ATOM_ACT_STEP, 2);
	want(ATOM_ACT_SET_WEIGHT, 2500);
	host_wait(&host, 3);
	cr_assert_eq(host.orders.weight, 500);
	host.seen.step_cleared = 2;
	host_look(&host);
	cr_assert_eq(host.orders.weight, 2500);
	plan.action_count = 0;
	want(ATOM_ACT_PROMOTE, 0);
	host_wait(&host, 10);
	cr_assert_eq(host.orders.weight, 2500);
	cr_assert_eq(rollout_step_to_clear(host.rollout), ROLLOUT_STEP_LAST);
	host.seen.step_cleared = ROLLOUT_STEP_LAST;
	host_wait(&host, 2);
	cr_assert_eq(host.orders.weight, ATOM_WEIGHT_ALL);
	cr_assert_eq(rollout_step_to_clear(host.rollout), -1);
	host_end(&host);
}

Test(rollout_gate, calls_that_are_held_do_not_end_it)
{
	begin();
	want(ATOM_ACT_SET_OLD, 0);
	want(ATOM_ACT_HOLD, 1);
	want(ATOM_ACT_SET_NEW, 2);
	host.seen.gate = ROLLOUT_GATE_CLOSED;
	host_wait(&host, 20);
	plan.action_count = 0;
	want(ATOM_ACT_PROMOTE, 0);
	host_wait(&host, 60);
	cr_assert_eq(host.orders.weight, ATOM_WEIGHT_ALL);
	cr_assert_eq(host.orders.outcome, ROLLOUT_OPEN);
	host.seen.gate = ROLLOUT_GATE_OPEN;
	host_wait(&host, 10);
	cr_assert_eq(host.orders.outcome, ROLLOUT_PROMOTED);
	host_end(&host);
}
