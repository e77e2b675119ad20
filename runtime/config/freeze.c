/* SPDX-License-Identifier: Apache-2.0 */

/* Windows in which nothing is deployed: lists `freeze_windows`, of all agents
 * and of one. */

#include "config/agent_priv.h"
#include "config/config_priv.h"

static void read_window(const struct setting *group,
			struct config_freeze_window *window_r,
			struct keys_reading *r)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct window_reading reading;

	keys_read(&window_keys, group, &reading, r);
	*window_r = (struct config_freeze_window){
		.text = reading.cron,
		.duration_ms = reading.duration_ms,
		.reason = reading.reason,
	};
	if (cron_parse(reading.cron, &window_r->cron, &err) != ATOM_OK)
		config_complain(r->errors, setting_member(group, "cron"), "%s",
				err.message);
}

void config_read_windows(const struct setting *list,
			 struct config_freeze_windows *windows_r,
			 struct keys_reading *r)
{
	struct config_freeze_window *windows;

	*windows_r = (struct config_freeze_windows){ .count = 0 };
	if (list == NULL || list->member_count == 0)
		return;
	if (list->member_count > CONFIG_WINDOWS_MAX) {
		config_complain(r->errors, list,
				"`freeze_windows` has %zu members, at most %d "
				"are looked at",
				list->member_count, CONFIG_WINDOWS_MAX);
		return;
	}
	windows = config_keep(r->holder, list->member_count, sizeof(*windows));
	if (windows == NULL) {
		r->no_memory = true;
		return;
	}
	for (size_t i = 0; i < list->member_count; i++)
		read_window(list->members[i], &windows[i], r);
	windows_r->windows = windows;
	windows_r->count = list->member_count;
}
