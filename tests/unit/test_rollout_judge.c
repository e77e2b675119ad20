/* SPDX-License-Identifier: Apache-2.0 */

/* The controller and its judge: what a verdict does, and what one that fails
 * or says nothing does. */

#include <criterion/criterion.h>

#include <math.h>
#include <string.h>

#include "told_strategy.h"

Test(rollout_judge, without_calls_the_setting_decides)
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

Test(rollout_judge, undecided_at_the_end_it_pauses_and_is_still_judged)
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

Test(rollout_judge, it_is_judged_while_paused_and_while_frozen)
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

Test(rollout_judge, too_few_samples_condemn_nobody)
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

Test(rollout_judge, a_judge_that_fails_or_says_nonsense_ends_it)
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

Test(rollout_judge, a_judge_that_fails_now_and_then_goes_on)
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

Test(rollout_judge, a_new_analysis_counts_from_its_own_beginning)
{
	begin("sequential");
	host.calls = 20;
	host.old_rate = host.new_rate = 0.2;
	to_weight(5000);
	host_wait(&host, 20);
	cr_assert_gt(rollout_samples(host.rollout), 100);
	want(ATOM_ACT_ANALYSE, 1);
	host_look(&host);
	plan_none();
	cr_assert_eq(rollout_samples(host.rollout), 0);
	host_look(&host);
	cr_assert_gt(rollout_samples(host.rollout), 0);
	cr_assert_lt(host.rollout->judged.evidence[0].new_calls, 21);
	host_end(&host);
}
