/* SPDX-License-Identifier: Apache-2.0 */

/* An agent's group `scaling`: the host's own keys; the strategy's options stay
 * settings. */

#include <string.h>

#include "config/agent_priv.h"
#include "config/config_priv.h"

static void read_policies(const struct setting *list,
			  struct scaling_rules *rules, struct keys_reading *r)
{
	if (list == NULL)
		return;
	if (list->member_count > SCALING_POLICIES_MAX)
		config_complain(r->errors, list,
				"`policies` has %zu members, at most %d count",
				list->member_count, SCALING_POLICIES_MAX);
	for (size_t i = 0; i < list->member_count && i < SCALING_POLICIES_MAX;
	     i++) {
		struct policy_reading policy;

		keys_read(&policy_keys, list->members[i], &policy, r);
		rules->policies[rules->policy_count++] =
			(struct scaling_policy){
				.type = policy.type,
				.value = (int32_t)policy.value,
				.period_ms = policy.period_ms,
			};
	}
}

static void read_rules(const struct setting *group,
		       const struct scaling_rules_reading *reading,
		       struct scaling_rules *rules_r, struct keys_reading *r)
{
	const struct setting *tolerance = setting_member(group, "tolerance");

	rules_r->stabilization_ms = reading->stabilization_ms;
	rules_r->cooldown_ms = reading->cooldown_ms;
	rules_r->tolerance = reading->tolerance;
	rules_r->select = reading->select;
	if (!(reading->tolerance >= 0 && reading->tolerance <= 1))
		config_complain(r->errors, tolerance,
				"`tolerance` must be 0 to 1, found %g",
				reading->tolerance);
	read_policies(reading->policies, rules_r, r);
}

void config_read_scaling(const struct setting *group,
			 struct config_scaling *scaling_r,
			 struct keys_reading *r)
{
	const struct setting *down = setting_member(group, "scale_down");
	struct scaling_settings *settings = &scaling_r->settings;
	struct scaling_reading reading;

	keys_read(&scaling_keys, group, &reading, r);
	memset(scaling_r, 0, sizeof(*scaling_r));
	scaling_settings_default(settings);
	scaling_r->target_wait_ms = reading.target_wait_ms;
	if (group == NULL)
		return;
	scaling_r->options = group;
	scaling_r->plugin = setting_member(group, "plugin") != NULL
				    ? config_read_plugin(group, "", r)
				    : reading.plugin;
	settings->dry_run = reading.dry_run;
	read_rules(setting_member(group, "scale_up"), &reading.up,
		   &settings->up, r);
	read_rules(down, &reading.down, &settings->down, r);
	/* Unsaid it is the strategy's. */
	if (setting_member(down, "stabilization_s") == NULL)
		settings->down.stabilization_ms = -1;
}
