/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "commands.h"
#include "ctl.h"

#include <string.h>

static int print_events(struct ctl *ctl, const json_t *events)
{
	static const char *const titles[] = { "TIME",	"AGENT",  "ACTION",
					      ">FROM",	">TO",	  "REASON",
					      "BOUND",	"METRIC", "STRATEGY",
					      "DETAIL", NULL };
	static const char *const names[] = { "reason", "bound", "metric",
					     "strategy", "detail" };
	struct table table;
	size_t index;
	json_t *event;
	if (json_array_size(events) == 0) {
		fputs("No scaling events.\n", stderr);
		return CTL_DONE;
	}
	table_init(&table, titles);
	json_array_foreach(events, index, event)
	{
		table_add(&table, member_string(event, "time"));
		table_add(&table, member_string(event, "agent"));
		table_add_coloured(&table, member_string(event, "action"),
				   member_true(event, "dry_run") ? TABLE_DIM
								 : TABLE_PLAIN);
		table_add_number(&table, member_integer(event, "from"));
		table_add_number(&table, member_integer(event, "to"));
		for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
			table_add(&table, member_string(event, names[i]));
	}
	return ctl_print_table(ctl, &table);
}

int cmd_scaling_events(struct ctl *ctl)
{
	const char *limit = ctl_option(ctl, OPTION_LIMIT);
	struct text path = TEXT_INIT(ENDPOINT_TEXT_MAX);
	json_t *events = NULL;
	int code = CTL_DONE;
	bool ok =
		text_append_format(&path, "/admin/v1/scaling/events?limit=") &&
		endpoint_escape(&path, limit ? limit : "100");
	if (ok && ctl->word_count > 0)
		ok = text_append_format(&path, "&agent=") &&
		     endpoint_escape(&path, ctl->words[0]);
	if (!ok)
		code = ctl_fail(ctl, CTL_USAGE, "the agent's name is too long");
	if (code == CTL_DONE)
		code = ctl_get_list(ctl, text_string(&path), "events", &events);
	if (code == CTL_DONE)
		code = ctl_has(ctl, OPTION_JSON) ? ctl_print_json(ctl, events)
						 : print_events(ctl, events);
	json_decref(events);
	text_fini(&path);
	return code;
}
