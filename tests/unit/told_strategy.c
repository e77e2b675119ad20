/* SPDX-License-Identifier: Apache-2.0 */
#include "told_strategy.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

struct saying says;
struct host host;

static atom_status say_plan(void *self, const struct atom_observation *seen,
			    void *state, size_t *state_size,
			    struct atom_plan *plan_r, struct atom_error *err)
{
	(void)self;
	says.observed = *seen;
	if (says.status != ATOM_OK)
		return atom_fail(err, says.status, "it is\tbroken");
	if (says.state_bytes <= ATOM_DEPLOYMENT_STATE_MAX)
		memset(state, 7, says.state_bytes);
	*state_size = says.state_bytes;
	*plan_r = says.plan;
	if (!plan_r->reason[0])
		(void)snprintf(plan_r->reason, sizeof(plan_r->reason), "so");
	return ATOM_OK;
}

const struct atom_deployment_ops told_strategy = {
	.struct_size = sizeof(told_strategy),
	.advance = say_plan,
};

void plan_none(void)
{
	memset(&says.plan, 0, sizeof(says.plan));
	says.plan.struct_size = sizeof(says.plan);
	says.status = ATOM_OK;
	says.state_bytes = 0;
}

void want(int32_t what, int64_t value)
{
	says.plan.actions[says.plan.action_count++] =
		(struct atom_action){ what, 0, value };
}

void begin(const char *judge)
{
	plan_none();
	host_begin_with(&host, &told_strategy, judge);
}

void to_weight(int32_t weight)
{
	plan_none();
	want(ATOM_ACT_SET_NEW, 2);
	want(ATOM_ACT_SET_WEIGHT, weight);
	host_wait(&host, 5);
	cr_assert_eq(host.orders.weight, weight);
	plan_none();
}

void aborted(const char *cause)
{
	cr_assert_eq(host.orders.outcome, ROLLOUT_ABORTED, "%s",
		     host.rollout->at.reason);
	cr_assert_str_eq(host.rollout->at.cause, cause);
	cr_assert_eq(host.orders.weight, 0);
	cr_assert_eq(host.orders.old_instances == ROLLOUT_SCALED ||
			     host.orders.old_instances >= 4,
		     true);
}
