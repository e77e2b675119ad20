/* SPDX-License-Identifier: Apache-2.0 */

#include "plugins/deployment/plan/plan.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

void plan_act(struct atom_plan *plan, int32_t what, int64_t value)
{
	if (plan->action_count < ATOM_ACTIONS_MAX)
		plan->actions[plan->action_count++] =
			(struct atom_action){ what, 0, value };
}

void plan_reason(struct atom_plan *plan, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(plan->reason, sizeof(plan->reason), format, arguments);
	va_end(arguments);
}

int32_t plan_agent_wanted(const struct atom_observation *seen)
{
	int32_t wanted = ATOM_HAS(seen, agent_wanted) ? seen->agent_wanted
						      : seen->old_wanted;

	return wanted > 1 ? wanted : 1;
}

int32_t plan_instances(const struct atom_observation *seen, double percent)
{
	double part = ceil(plan_agent_wanted(seen) * percent / 100 - 1e-9);

	return part > 1 ? (int32_t)part : 1;
}

int32_t plan_weight(double percent)
{
	return (int32_t)lround(percent * ATOM_WEIGHT_ALL / 100);
}

void plan_hold(struct plan_since *since, const struct atom_observation *seen)
{
	if (since->holds && since->step == seen->step)
		return;
	*since = (struct plan_since){
		.now_ms = seen->now_ms,
		.paused_ms = seen->paused_ms,
		.step = seen->step,
		.holds = 1,
	};
}

int64_t plan_held_ms(const struct plan_since *since,
		     const struct atom_observation *seen)
{
	int64_t paused = seen->paused_ms - since->paused_ms;
	int64_t held = seen->now_ms - since->now_ms - (paused > 0 ? paused : 0);

	return since->holds && held > 0 ? held : 0;
}
