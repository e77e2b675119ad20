/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "age.h"
#include "commands.h"
#include "ctl.h"

#include <string.h>

static enum table_colour colour_of(const char *word)
{
	static const struct {
		const char *word;
		enum table_colour colour;
	} known[] = {
		{ "operational", TABLE_GREEN },
		{ "success", TABLE_GREEN },
		{ "ok", TABLE_GREEN },
		{ "degraded", TABLE_YELLOW },
		{ "initializing", TABLE_YELLOW },
		{ "skipped", TABLE_DIM },
		{ "failed", TABLE_RED },
	};
	for (size_t i = 0; word && i < sizeof(known) / sizeof(*known); i++)
		if (!strcmp(known[i].word, word))
			return known[i].colour;
	return TABLE_PLAIN;
}

static int print_start(struct ctl *ctl, const json_t *results)
{
	static const char *const titles[] = { "START", "RESULT", "DETAILS",
					      NULL };
	struct table table;
	struct text details = TEXT_INIT(65536);
	const char *name;
	json_t *result;
	table_init(&table, titles);
	json_object_foreach((json_t *)results, name, result)
	{
		const char *status = member_string(result, "status");
		table_add(&table, name);
		table_add_coloured(&table, status, colour_of(status));
		member_text(result, "details", &details);
		table_add(&table, text_string(&details));
	}
	text_fini(&details);
	putchar('\n');
	return ctl_print_table(ctl, &table);
}

static int print_components(struct ctl *ctl, const json_t *components)
{
	static const char *const titles[] = { "COMPONENT", "STATUS", "SINCE",
					      "LAST ERROR", NULL };
	struct table table;
	struct text error = TEXT_INIT(65536);
	int64_t now_ms = age_now_ms();
	size_t index;
	json_t *component;
	table_init(&table, titles);
	json_array_foreach(components, index, component)
	{
		const char *status = member_string(component, "status");
		const char *since = member_string(component, "since");
		char age[AGE_TEXT_MAX];
		int64_t since_ms;
		if (since && age_parse_time(since, &since_ms)) {
			age_format(age, since_ms, now_ms);
			since = age;
		}
		table_add(&table, member_string(component, "name"));
		table_add_coloured(&table, status, colour_of(status));
		table_add(&table, since);
		member_text(component, "last_error", &error);
		table_add_coloured(&table, text_string(&error),
				   error.length ? TABLE_RED : TABLE_PLAIN);
	}
	text_fini(&error);
	putchar('\n');
	return ctl_print_table(ctl, &table);
}

static int print_status(struct ctl *ctl, const json_t *status)
{
	static const char *const titles[] = { "SYSTEM", "ENVIRONMENT",
					      ">MAX AGENTS", "MONITORING",
					      NULL };
	const json_t *configuration = json_object_get(status, "configuration");
	const json_t *results =
		json_object_get(status, "initialization_results");
	const json_t *components = json_object_get(status, "components");
	const char *word = member_string(status, "system_status");
	struct table table;
	table_init(&table, titles);
	table_add_coloured(&table, word, colour_of(word));
	table_add(&table, member_string(configuration, "environment"));
	table_add_number(&table, member_integer(configuration, "max_agents"));
	table_add(&table, member_true(configuration, "monitoring_enabled")
				  ? "on"
				  : "off");
	int code = ctl_print_table(ctl, &table);
	if (code == CTL_DONE && json_object_size(results))
		code = print_start(ctl, results);
	if (code == CTL_DONE && json_array_size(components))
		code = print_components(ctl, components);
	return code;
}

int cmd_status(struct ctl *ctl)
{
	json_t *status = NULL;
	int code = ctl_get(ctl, "/admin/v1/status", &status);
	if (code == CTL_DONE)
		code = ctl_has(ctl, OPTION_JSON) ? ctl_print_json(ctl, status)
						 : print_status(ctl, status);
	json_decref(status);
	return code;
}
