/* SPDX-License-Identifier: Apache-2.0 */

/* An agent's group `deployment`: the host's own keys; the options of strategy
 * and judge stay settings. */

#include <string.h>

#include "config/agent_priv.h"
#include "config/config_priv.h"
#include "core/text.h"

/* Less than one question to it may take (gateway/grade.c) would never be
 * asked. */
#define GRADER_TOKENS_MIN 20000

static void check_grader(const struct setting *group,
			 const struct config_grader *grader,
			 struct keys_reading *r)
{
	if (grader->agent[0] != '\0' && !text_is_name(grader->agent))
		config_complain(r->errors, setting_member(group, "grader"),
				"`grader` must be the name of an agent");
	if (!(grader->percent >= 0 && grader->percent <= 100))
		config_complain(
			r->errors, setting_member(group, "grader_percent"),
			"`grader_percent` must be between 0 and 100, found %g",
			grader->percent);
	if (strlen(grader->criteria) > CONFIG_CRITERIA_MAX)
		config_complain(r->errors,
				setting_member(group, "grader_criteria"),
				"`grader_criteria` has %zu bytes, more than %d",
				strlen(grader->criteria), CONFIG_CRITERIA_MAX);
	if (grader->tokens_per_hour > 0 &&
	    grader->tokens_per_hour < GRADER_TOKENS_MIN)
		config_complain(
			r->errors,
			setting_member(group, "grader_tokens_per_hour"),
			"`grader_tokens_per_hour` must be 0 or at least %d, "
			"which is what one grading may take, found %lld",
			GRADER_TOKENS_MIN, (long long)grader->tokens_per_hour);
}

void config_read_deployment(const struct setting *group,
			    struct config_deployment *deployment_r,
			    struct keys_reading *r)
{
	struct rollout_settings *settings = &deployment_r->settings;
	struct deployment_reading reading;

	keys_read(&deployment_keys, group, &reading, r);
	*deployment_r = (struct config_deployment){
		.plugin = reading.plugin,
		.options = group,
		.judge =
			strcmp(reading.judge, "none") != 0 ? reading.judge : "",
		.judge_options = reading.judge_options,
		.grader = reading.grader,
	};
	deployment_r->step_timeout_ms = reading.step_timeout_ms;
	deployment_r->compliance = reading.compliance;
	config_read_windows(reading.freeze_windows,
			    &deployment_r->freeze_windows, r);
	config_read_webhooks(reading.webhooks, &deployment_r->webhooks, r);
	rollout_settings_default(settings);
	settings->progress_deadline_ms = reading.progress_deadline_ms;
	settings->rollback_window_ms = reading.rollback_window_ms;
	settings->failed_starts = (int32_t)reading.failed_starts;
	settings->on_undecided = reading.on_undecided;
	settings->on_no_data = reading.on_no_data;
	settings->min_samples = reading.min_samples;
	if (group == NULL) {
		/* Who asked for none pays for no second set of instances. */
		settings->rollback_window_ms = 0;
		return;
	}
	if (setting_member(group, "plugin") != NULL)
		deployment_r->plugin = config_read_plugin(group, "", r);
	check_grader(group, &reading.grader, r);
	if (!text_is_name(reading.judge))
		config_complain(r->errors, setting_member(group, "judge"),
				"`judge` must be the name of a component, or "
				"\"none\"");
}
