/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ROLLOUT_REHEARSE_H
#define ROLLOUT_REHEARSE_H

/*
 * Whole rollouts on synthetic calls: what a strategy and a judge would do
 * together, through the daemon's own controller.
 *
 * Calls are drawn as in simulate.h, but to the new revision with the weight
 * in force, and mirrored ones to both, compared by whether one failed alone;
 * instances are ready `cold_start_ms` after they were ordered, none
 * fails to start, and no person does anything: what waits for one stays open.
 * A rollout ends when the new revision is promoted or aborted, or with the
 * run's last call.  Pure.
 */

#include "rollout/rollout.h"
#include "rollout/simulate.h"

/* Shares of a run's calls at which the weight is told. */
#define REHEARSE_POINTS 300

struct rehearse_setup {
	struct rollout_setup calls; /* its weight is not looked at */
	struct rollout_settings settings;
	struct rollout_strategy strategy;
	struct rollout_judge judge;
	int32_t instances; /* of the agent, at least 1 */
	int64_t cold_start_ms;
};

struct rehearse_result {
	double promoted_share;
	double aborted_share;
	double open_share;
	/* Calls, of both revisions, until half of all runs had aborted;
	 * negative when fewer than half did. */
	double median_calls_to_abort;
	/* Bad answers of the new revision that callers were shown, in all of
	 * a run's calls: also those after it was promoted. */
	double bad_answers_mean;
	double calls_mean; /* until the rollout ended */
	double seconds_mean;
	/* The new revision's mean share of the calls, over all runs; after
	 * its end a run counts as 1 (promoted) or 0. */
	double weight[REHEARSE_POINTS];
	char reason[ATOM_DEPLOYMENT_REASON_MAX]; /* of the last run */
};

/* `ends` as in rollout_simulate: the call with which each run aborted. */
atom_status rollout_rehearse(const struct rehearse_setup *setup,
			     rollout_progress progress, void *progress_arg,
			     struct rehearse_result *result_r, uint64_t *ends,
			     struct atom_error *err);

#endif
