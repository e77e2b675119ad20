/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "commands.h"
#include "ctl.h"

#include <string.h>

#define NESTING_MAX 4

static enum table_colour state_colour(const char *state)
{
	if (!state)
		return TABLE_PLAIN;
	if (!strcmp(state, "refused") || !strcmp(state, "failed"))
		return TABLE_RED;
	return strcmp(state, "open") ? TABLE_PLAIN : TABLE_GREEN;
}

static int print_plugins(struct ctl *ctl, const json_t *plugins)
{
	static const char *const titles[] = { "PLUGIN",	    "VERSION", "ABI",
					      "STATE",	    ">CALLS",  "PATH",
					      "LAST ERROR", NULL };
	struct table table;
	struct text text = TEXT_INIT(65536);
	size_t index;
	json_t *plugin;
	table_init(&table, titles);
	json_array_foreach(plugins, index, plugin)
	{
		const char *kind = member_string(plugin, "kind");
		const char *name = member_string(plugin, "name");
		const char *state = member_string(plugin, "state");
		/* A refused file may say neither. */
		text_clear(&text);
		if (kind && *kind)
			text_append_format(&text, "%s/", kind);
		text_append_string(&text, name ? name : "?");
		table_add(&table, text_string(&text));
		table_add(&table, member_string(plugin, "version"));
		member_text(plugin, "abi", &text);
		table_add(&table, text_string(&text));
		table_add_coloured(&table, state, state_colour(state));
		table_add_number(&table, member_integer(plugin, "calls"));
		table_add(&table, member_string(plugin, "path"));
		member_text(plugin, "last_error", &text);
		table_add_coloured(&table, text_string(&text),
				   text.length ? TABLE_RED : TABLE_PLAIN);
	}
	text_fini(&text);
	return ctl_print_table(ctl, &table);
}

int cmd_plugins(struct ctl *ctl)
{
	json_t *plugins = NULL;
	int code = ctl_get_list(ctl, "/admin/v1/plugins", "plugins", &plugins);
	if (code == CTL_DONE)
		code = ctl_has(ctl, OPTION_JSON) ? ctl_print_json(ctl, plugins)
						 : print_plugins(ctl, plugins);
	json_decref(plugins);
	return code;
}

/* `1 to 16 s`, `at least 1`, or the words to choose from. */
static void range_of(const json_t *option, struct text *out)
{
	const json_t *choices = json_object_get(option, "choices");
	struct text low = TEXT_INIT(256);
	struct text high = TEXT_INIT(256);
	struct text unit = TEXT_INIT(256);
	text_clear(out);
	if (json_array_size(choices)) {
		size_t index;
		json_t *choice;
		json_array_foreach(choices, index, choice) text_append_format(
			out, "%s%s", index ? " | " : "",
			json_is_string(choice) ? json_string_value(choice)
					       : "?");
	} else {
		member_text(option, "min", &low);
		member_text(option, "max", &high);
		if (low.length && high.length)
			text_append_format(out, "%s to %s", text_string(&low),
					   text_string(&high));
		else if (low.length)
			text_append_format(out, "at least %s",
					   text_string(&low));
		else if (high.length)
			text_append_format(out, "at most %s",
					   text_string(&high));
		member_text(option, "unit", &unit);
		if (unit.length)
			text_append_format(out, "%s%s", out->length ? " " : "",
					   text_string(&unit));
	}
	text_fini(&low);
	text_fini(&high);
	text_fini(&unit);
}

static void flags_of(const json_t *option, struct text *out)
{
	static const char *const flags[] = { "required", "secret",
					     "reloadable" };
	text_clear(out);
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (member_true(option, flags[i]))
			text_append_format(out, "%s%s", out->length ? " " : "",
					   flags[i]);
}

static void add_options(struct table *table, const json_t *options,
			const char *prefix, int nesting)
{
	struct text name = TEXT_INIT(512);
	struct text text = TEXT_INIT(65536);
	size_t index;
	json_t *option;
	json_array_foreach(options, index, option)
	{
		const json_t *nested = json_object_get(option, "options");
		const char *own = member_string(option, "name");
		text_clear(&name);
		text_append_format(&name, "%s%s", prefix, own ? own : "?");
		table_add(table, text_string(&name));
		table_add(table, member_string(option, "type"));
		member_text(option, "default", &text);
		table_add(table, text_string(&text));
		range_of(option, &text);
		table_add(table, text_string(&text));
		flags_of(option, &text);
		table_add(table, text_string(&text));
		table_add(table, member_string(option, "help"));
		if (!json_array_size(nested) || nesting >= NESTING_MAX)
			continue;
		text_append_string(&name, ".");
		add_options(table, nested, text_string(&name), nesting + 1);
	}
	text_fini(&name);
	text_fini(&text);
}

static void print_line(struct ctl *ctl, const char *text)
{
	terminal_write(stdout, text, strlen(text), !ctl->terminal.out);
	putchar('\n');
}

static int print_plugin(struct ctl *ctl, const json_t *plugin)
{
	static const char *const titles[] = { "OPTION", "TYPE",	 "DEFAULT",
					      "RANGE",	"FLAGS", "HELP",
					      NULL };
	static const char *const about[] = { "license", "abi", "path" };
	const json_t *options = json_object_get(plugin, "options");
	const char *kind = member_string(plugin, "kind");
	const char *name = member_string(plugin, "name");
	const char *version = member_string(plugin, "version");
	const char *summary = member_string(plugin, "summary");
	struct text line = TEXT_INIT(65536);
	struct text value = TEXT_INIT(65536);
	text_append_format(&line, "%s/%s %s", kind ? kind : "?",
			   name ? name : "?", version ? version : "");
	print_line(ctl, text_string(&line));
	if (summary && *summary)
		print_line(ctl, summary);
	for (size_t i = 0; i < sizeof(about) / sizeof(*about); i++) {
		member_text(plugin, about[i], &value);
		if (!value.length)
			continue;
		text_clear(&line);
		text_append_format(&line, "%-8s %s", about[i],
				   text_string(&value));
		print_line(ctl, text_string(&line));
	}
	text_fini(&line);
	text_fini(&value);
	putchar('\n');
	if (!json_array_size(options)) {
		puts("It has no options.");
		return CTL_DONE;
	}
	struct table table;
	table_init(&table, titles);
	add_options(&table, options, "", 0);
	return ctl_print_table(ctl, &table);
}

int cmd_plugin_info(struct ctl *ctl)
{
	const char *slash = strchr(ctl->words[0], '/');
	if (!slash || slash == ctl->words[0] || !slash[1])
		return ctl_fail(ctl, CTL_USAGE,
				"expected KIND/NAME such as backend/openai, "
				"found '%.100s'; 'atomctl plugins' lists them",
				ctl->words[0]);
	struct text path = TEXT_INIT(ENDPOINT_TEXT_MAX);
	struct text kind = TEXT_INIT(ENDPOINT_TEXT_MAX);
	json_t *plugin = NULL;
	int code;
	if (text_append(&kind, ctl->words[0],
			(size_t)(slash - ctl->words[0])) &&
	    ctl_path(&path, "/admin/v1/plugins/", text_string(&kind), "/") &&
	    endpoint_escape(&path, slash + 1))
		code = ctl_get(ctl, text_string(&path), &plugin);
	else
		code = ctl_fail(ctl, CTL_USAGE, "the name is too long");
	if (code == CTL_DONE)
		code = ctl_has(ctl, OPTION_JSON) ? ctl_print_json(ctl, plugin)
						 : print_plugin(ctl, plugin);
	json_decref(plugin);
	text_fini(&path);
	text_fini(&kind);
	return code;
}
