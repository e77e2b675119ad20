/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_AGENT_PRIV_H
#define CONFIG_AGENT_PRIV_H

/*
 * What agent_keys reads into: an agent, and what is looked at once more
 * before it is one.
 */

#include "config/config.h"
#include "config/keys_priv.h"

struct agent_reading {
	struct config_agent agent;
	int caller_system; /* 0 keep, 1 refuse */
	const struct setting *scaling;
	const struct setting *deployment;
};

/* The group `deployment`. */
struct deployment_reading {
	const char *plugin;
	const char *judge;
	const struct setting *judge_options;
	struct config_grader grader;
	int64_t rollback_window_ms;
	int64_t progress_deadline_ms;
	int64_t failed_starts;
	int64_t min_samples;
	int on_undecided; /* enum rollout_at_end */
	int on_no_data;
	int64_t step_timeout_ms;
	int compliance; /* enum config_compliance */
	const struct setting *freeze_windows;
	const struct setting *webhooks;
};

/* One of the list `webhooks`. */
struct webhook_reading {
	const char *url;
	const char *secret;
	const char *const *when;
	int64_t timeout_ms;
	bool required;
};

/* The group `scaling`; the policies are lists of groups. */
struct scaling_rules_reading {
	int64_t stabilization_ms;
	int64_t cooldown_ms;
	double tolerance;
	int select; /* enum scaling_select */
	const struct setting *policies;
};

struct scaling_reading {
	const char *plugin;
	int64_t target_wait_ms;
	bool dry_run;
	struct scaling_rules_reading up;
	struct scaling_rules_reading down;
};

/* One of the list `freeze_windows`. */
struct window_reading {
	const char *cron;
	int64_t duration_ms;
	const char *reason;
};

struct policy_reading {
	int type; /* enum scaling_policy_type */
	int64_t value;
	int64_t period_ms;
};

void config_read_webhooks(const struct setting *list,
			  struct config_webhooks *webhooks_r,
			  struct keys_reading *r);
void config_read_windows(const struct setting *list,
			 struct config_freeze_windows *windows_r,
			 struct keys_reading *r);
void config_read_deployment(const struct setting *group,
			    struct config_deployment *deployment_r,
			    struct keys_reading *r);
void config_read_scaling(const struct setting *group,
			 struct config_scaling *scaling_r,
			 struct keys_reading *r);

#endif
