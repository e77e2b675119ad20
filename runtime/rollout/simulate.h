/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATOMD_ROLLOUT_SIMULATE_H
#define ATOMD_ROLLOUT_SIMULATE_H

/*
 * Rollouts on synthetic calls: what a judge would have said of them.
 *
 * A run draws `calls` calls one after the other.  Each goes to the new
 * revision with probability weight / 10,000 and goes badly with its
 * revision's rate, or with the outage's rate, the same for both, while that
 * lasts.  The judge looks every `look_ms` of virtual time and the run ends
 * with its first verdict.  Pure: the same seed gives the same numbers on
 * every machine, and any thread may run it.  Whole rollouts, with a strategy,
 * are rehearse.h's.
 */

#include <stdbool.h>

#include <atomd/draft/judge.h>

struct rollout_setup {
	uint64_t calls; /* of one run, at least 1 */
	uint32_t runs;	/* at least 1 */
	int32_t weight; /* of the new revision, 1 to 9,999 of ten thousand */
	uint64_t seed;
	double old_rate; /* of bad answers, 0 to 1 */
	double new_rate;
	/* Both fail at `outage_rate` between these fractions of the calls;
	 * equal: no outage. */
	double outage_from;
	double outage_to;
	double outage_rate;
	double calls_per_s; /* above 0 */
	int64_t look_ms;    /* above 0 */
};

struct rollout_result {
	double alarm_share;  /* of the runs that ended with `worse` */
	double accept_share; /* with `not worse` */
	/* Calls, of both revisions, until half of all runs had alarmed;
	 * negative when fewer than half did. */
	double median_calls_to_alarm;
	/* Bad answers of the new revision until the run ended: what users
	 * were shown because of it. */
	double bad_answers_mean;
	double calls_mean; /* until the run ended */
};

/* One look.  `state` as in atom.judge/1. */
typedef atom_status (*simulate_judge)(void *arg, const struct atom_trial *trial,
				      void *state, size_t *state_size,
				      struct atom_verdict *verdict,
				      struct atom_error *err);

/* Told after each run, for a progress line; may be NULL. */
typedef void (*rollout_progress)(void *arg, uint32_t done, uint32_t runs);

/* Runs them all.  `ends`, when not NULL, has room for `runs` and is given
 * the call with which each run alarmed, in ascending order, UINT64_MAX for
 * those that did not.  Fails as the judge fails, with ATOM_EINVAL for a setup
 * that cannot be, or ATOM_ENOMEM. */
atom_status rollout_simulate(const struct rollout_setup *setup,
			     simulate_judge judge, void *arg,
			     rollout_progress progress, void *progress_arg,
			     struct rollout_result *result_r, uint64_t *ends,
			     struct atom_error *err);

#endif
