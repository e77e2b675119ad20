/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "age.h"
#include "commands.h"
#include "ctl.h"
#include "revision.h"

#include <stdlib.h>
#include <string.h>

/* --- the list ------------------------------------------------------------ */

static void add_words(struct table *table, const json_t *list)
{
	struct text words = TEXT_INIT(4096);
	size_t index;
	json_t *word;
	bool whole = true;
	json_array_foreach(list, index, word) whole =
		whole && text_append_format(&words, "%s%s", index ? "," : "",
					    json_is_string(word)
						    ? json_string_value(word)
						    : "?");
	table_add(table, text_string(&words));
	text_fini(&words);
}

static void add_row(struct table *table, const json_t *row, int64_t now_ms)
{
	const char *time = member_string(row, "time");
	const char *origin = member_string(row, "origin");
	long long undone = member_integer(row, "undone_to");
	char number[32], from[48], age[AGE_TEXT_MAX] = "";
	int64_t time_ms;
	snprintf(number, sizeof(number), "%lld%s",
		 member_integer(row, "revision"),
		 member_true(row, "in_force") ? "*" : "");
	table_add_coloured(table, number,
			   member_true(row, "in_force") ? TABLE_GREEN
							: TABLE_PLAIN);
	if (time && age_parse_time(time, &time_ms))
		age_format(age, time_ms, now_ms);
	table_add(table, age);
	snprintf(from, sizeof(from), undone > 0 ? "%.20s to %lld" : "%.20s",
		 origin ? origin : "", undone);
	table_add(table, from);
	table_add(table, member_string(row, "who"));
	if (member_string(row, "error")) {
		table_add_coloured(table, "damaged", TABLE_RED);
		table_add(table, member_string(row, "error"));
		return;
	}
	add_words(table, json_object_get(row, "changes"));
	table_add(table, member_string(row, "why"));
}

static int print_list(struct ctl *ctl, const json_t *rows)
{
	static const char *const titles[] = { "REVISION", "AGE", "FROM", "WHO",
					      "CHANGED",  "WHY", NULL };
	int64_t now_ms = age_now_ms();
	struct table table;
	size_t index;
	json_t *row;
	table_init(&table, titles);
	json_array_foreach(rows, index, row) add_row(&table, row, now_ms);
	return ctl_print_table(ctl, &table);
}

/* --- the difference ------------------------------------------------------ */

static bool print_side(struct ctl *ctl, const char *sign, const char *key,
		       const json_t *row, const char *side)
{
	struct text value = TEXT_INIT(CLIENT_BODY_MAX);
	const char *colour = *sign == '-' ? "\033[31m" : "\033[32m";
	bool whole = true;
	if (json_object_get(row, side)) {
		whole = member_text(row, side, &value);
		printf("%s%s ", ctl->terminal.colour ? colour : "", sign);
		terminal_write(stdout, key, strlen(key), !ctl->terminal.out);
		fputs(" = ", stdout);
		terminal_write(stdout, text_string(&value), value.length,
			       !ctl->terminal.out);
		puts(ctl->terminal.colour ? "\033[0m" : "");
	}
	text_fini(&value);
	return whole;
}

static int print_difference(struct ctl *ctl, const json_t *revision)
{
	const json_t *rows = json_object_get(revision, "difference");
	const char *error = member_string(revision, "error");
	size_t index;
	json_t *row;
	if (error)
		return ctl_fail(ctl, CTL_FAILED, "%s", error);
	if (!rows)
		return ctl_fail(ctl, CTL_NOT_PERMITTED,
				"what a revision has changed needs the "
				"permission view_all; 'atomctl revisions %s' "
				"names the keys",
				ctl->words[0]);
	if (json_array_size(rows) == 0)
		fputs("Nothing: it is the first one kept of this agent, or "
		      "says the same.\n",
		      stderr);
	json_array_foreach(rows, index, row)
	{
		const char *key = member_string(row, "key");
		if (!json_object_get(row, "from") &&
		    !json_object_get(row, "to"))
			ctl_say(ctl, "~ %s\n", key ? key : "?");
		else if (!print_side(ctl, "-", key ? key : "?", row, "from") ||
			 !print_side(ctl, "+", key ? key : "?", row, "to"))
			return ctl_fail_memory(ctl);
	}
	return CTL_DONE;
}

long long revision_number(struct ctl *ctl, enum option_id option)
{
	const char *word = ctl_option(ctl, option);
	size_t length = word ? strlen(word) : 0;
	if (length == 0 || length > 10 || word[strspn(word, "0123456789")])
		return -1;
	long long number = strtoll(word, NULL, 10);
	return number > 0 ? number : -1;
}

int revision_bad_number(struct ctl *ctl, enum option_id option)
{
	return ctl_fail(ctl, CTL_USAGE,
			"--%s: expected the number of a revision, found "
			"'%.60s'",
			option_rows[option].name, ctl_option(ctl, option));
}

static int print(struct ctl *ctl, bool one, const json_t *rows)
{
	if (ctl_has(ctl, OPTION_JSON))
		return ctl_print_json(ctl,
				      one ? json_array_get(rows, 0) : rows);
	return one ? print_difference(ctl, json_array_get(rows, 0))
		   : print_list(ctl, rows);
}

int cmd_revisions(struct ctl *ctl)
{
	bool one = ctl_has(ctl, OPTION_DIFF);
	long long number = one ? revision_number(ctl, OPTION_DIFF) : 0;
	struct text path = TEXT_INIT(ENDPOINT_TEXT_MAX);
	json_t *rows = NULL;
	int code = CTL_DONE;
	if (number < 0)
		return revision_bad_number(ctl, OPTION_DIFF);
	bool ok = ctl_path(&path, "/admin/v1/agents/", ctl->words[0],
			   "/revisions");
	if (ok && one)
		ok = text_append_format(&path, "?revision=%lld", number);
	if (!ok)
		code = ctl_fail(ctl, CTL_USAGE, "the agent's name is too long");
	if (code == CTL_DONE)
		code = ctl_get_list(ctl, text_string(&path), "revisions",
				    &rows);
	if (code == CTL_DONE)
		code = print(ctl, one, rows);
	json_decref(rows);
	text_fini(&path);
	return code;
}
