/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOLD_STRATEGY_H
#define TOLD_STRATEGY_H

/*
 * A strategy that says what the test wants, and the rollout that asks it.
 */

#include "rollout_fixture.h"

/* What it says, in each look until it is told otherwise. */
struct saying {
	struct atom_plan plan; /* without a reason: "so" */
	atom_status status;
	size_t state_bytes;		  /* that it keeps */
	struct atom_observation observed; /* what it was asked with */
};

extern struct saying says;
extern struct host host;
extern const struct atom_deployment_ops told_strategy;

/* A plan without actions. */
void plan_none(void);
/* One more action. */
void want(int32_t what, int64_t value);

/* A rollout by it; `judge` NULL: none. */
void begin(const char *judge);
/* To the given weight, with the instances for it. */
void to_weight(int32_t weight);
/* It is aborted with that cause, and the old one serves. */
void aborted(const char *cause);

#endif
