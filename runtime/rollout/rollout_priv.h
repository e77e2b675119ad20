/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ROLLOUT_ROLLOUT_PRIV_H
#define ROLLOUT_ROLLOUT_PRIV_H

/* What the parts of the controller share: one look. */

#include "rollout/rollout.h"

struct look {
	struct rollout *rollout;
	const struct rollout_settings *settings;
	const struct rollout_seen *seen;
	const struct rollout_strategy *strategy;
	const struct rollout_judge *judge;
	struct rollout_orders *orders;
	int64_t elapsed_ms;
	bool first;	/* since it began or was decoded */
	bool moved;	/* state bytes of a plugin changed */
	bool promoting; /* a person's `promote`, for the strategy */
};

/* Instances that the agent needs, at least one. */
int32_t look_full(const struct look *look);
/* Nobody may go forward: a person, a freeze. */
bool look_stands(const struct look *look);

/* Says why, in a word and a sentence. */
ATOM_PRINTF(3, 4)
void rollout_say(struct rollout *rollout, const char *cause, const char *format,
		 ...);
/* The old one is to have everything again.  Nothing when it is over. */
ATOM_PRINTF(3, 4)
void rollout_abort(struct rollout *rollout, const char *cause,
		   const char *format, ...);
/* All weight to the new one, as soon as it has the capacity. */
void rollout_finish(struct rollout *rollout);
/* The pause that holds is over; one at the end goes on to finish. */
void rollout_unpause(struct rollout *rollout);
/* As at its first step. */
void rollout_reset(struct rollout *rollout, int64_t wall_ms);

/* --- judging.c --- */

/* Adds what is seen to what earlier processes counted. */
void look_count(struct look *look);
/* Asks the judge while calls go to the new one; may abort. */
void look_judge(struct look *look);
/* The strategy says promote: true when the judge, or what is set for want of
 * a verdict, lets it; else it is aborted or paused. */
bool look_judge_end(struct look *look);
/* Is there a judge, and something to judge by? */
bool look_judged(const struct look *look);

/* --- plan.c --- */

/* Asks the strategy and takes its plan over, or ends the rollout. */
void look_plan(struct look *look);

#endif
