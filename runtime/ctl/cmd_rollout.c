/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "commands.h"
#include "ctl.h"
#include "rollout.h"

#include <string.h>

static bool path_of(struct text *path, const char *name, const char *verb)
{
	return ctl_path(path, "/admin/v1/deployments/", name, verb);
}

int rollout_get(struct ctl *ctl, const char *name, json_t **status_r)
{
	struct text path = TEXT_INIT(ENDPOINT_TEXT_MAX);
	int code;
	if (path_of(&path, name, ""))
		code = ctl_get(ctl, text_string(&path), status_r);
	else
		code = ctl_fail(ctl, CTL_USAGE, "the name is too long");
	text_fini(&path);
	return code;
}

/* --- printing ------------------------------------------------------------ */

static void print_line(struct ctl *ctl, const char *title, const char *value)
{
	if (!value || !*value)
		return;
	printf("%-10s", title);
	terminal_write(stdout, value, strlen(value), !ctl->terminal.out);
	putchar('\n');
}

static void print_judged(struct ctl *ctl, const json_t *status)
{
	static const char *const titles[] = { "EVENT", "VERDICT", ">NEW",
					      ">BAD",  ">OLD",	  ">BAD",
					      NULL };
	const json_t *analysis = json_object_get(status, "analysis");
	struct table table;
	size_t index;
	json_t *row;
	if (json_array_size(analysis) == 0)
		return;
	putchar('\n');
	table_init(&table, titles);
	json_array_foreach(analysis, index, row)
	{
		const json_t *seen = json_object_get(row, "evidence");
		table_add(&table, member_string(row, "name"));
		table_add(&table, member_string(row, "verdict"));
		table_add_number(&table, member_integer(seen, "new_calls"));
		table_add_number(&table, member_integer(seen, "new_bad"));
		table_add_number(&table, member_integer(seen, "old_calls"));
		table_add_number(&table, member_integer(seen, "old_bad"));
	}
	(void)ctl_print_table(ctl, &table);
}

/* What was found out about the new revision before its first weight. */
static void print_workflow(struct ctl *ctl, const json_t *status)
{
	static const char *const titles[] = { "STEP", "STATUS", "RESULT",
					      NULL };
	const json_t *workflow = json_object_get(status, "workflow");
	struct table table;
	size_t index;
	json_t *row;
	if (json_array_size(json_object_get(workflow, "steps")) == 0)
		return;
	putchar('\n');
	table_init(&table, titles);
	json_array_foreach(json_object_get(workflow, "steps"), index, row)
	{
		table_add(&table, member_string(row, "name"));
		table_add(&table, member_string(row, "status"));
		table_add(&table, member_string(row, "result"));
	}
	(void)ctl_print_table(ctl, &table);
	ctl_say(ctl, "%s: %lld of %lld steps\n",
		member_string(workflow, "status"),
		member_integer(workflow, "successful_steps"),
		member_integer(workflow, "total_steps"));
}

int rollout_print(struct ctl *ctl, const json_t *status)
{
	const json_t *judge = json_object_get(status, "judge");
	char words[160];
	if (ctl_has(ctl, OPTION_JSON))
		return ctl_print_json(ctl, status);
	print_line(ctl, "rollout", member_string(status, "id"));
	print_line(ctl, "agent", member_string(status, "agent"));
	print_line(ctl, "phase", member_string(status, "phase"));
	print_line(ctl, "outcome", member_string(status, "outcome"));
	snprintf(words, sizeof(words), "%lld to %lld",
		 member_integer(status, "from"), member_integer(status, "to"));
	print_line(ctl, "revisions", words);
	rollout_share(status, words, sizeof(words));
	print_line(ctl, "weight", words);
	print_line(ctl, "strategy", member_string(status, "strategy"));
	print_line(ctl, "judge", member_string(judge, "name"));
	print_line(ctl, "reason", member_string(status, "reason"));
	print_workflow(ctl, status);
	print_judged(ctl, status);
	return CTL_DONE;
}

void rollout_share(const json_t *status, char *out, size_t size)
{
	long long weight = member_integer(status, "weight");
	long long steps = member_integer(status, "steps");
	int used = snprintf(out, size, "%lld.%02lld%% of new calls",
			    weight / 100, weight % 100);
	if (steps > 0 && used > 0 && (size_t)used < size)
		snprintf(out + used, size - (size_t)used, ", step %lld of %lld",
			 member_integer(status, "step"), steps);
}

/* --- commands ------------------------------------------------------------ */

int cmd_rollout_status(struct ctl *ctl)
{
	json_t *status = NULL;
	int code = rollout_get(ctl, ctl->words[0], &status);
	if (code == CTL_DONE)
		code = ctl_has(ctl, OPTION_WATCH) ? rollout_watch(ctl, &status)
						  : rollout_print(ctl, status);
	json_decref(status);
	return code;
}

static int give_order(struct ctl *ctl, const char *verb, const json_t *body,
		      const char *progress)
{
	struct text path = TEXT_INIT(ENDPOINT_TEXT_MAX);
	json_t *status = NULL;
	int code;
	if (path_of(&path, ctl->words[0], verb))
		code = ctl_call(ctl, "POST", text_string(&path), body, progress,
				&status);
	else
		code = ctl_fail(ctl, CTL_USAGE, "the name is too long");
	if (code == CTL_DONE)
		code = rollout_print(ctl, status);
	json_decref(status);
	text_fini(&path);
	return code;
}

int cmd_rollout_promote(struct ctl *ctl)
{
	json_t *body = json_pack("{s:b}", "full", ctl_has(ctl, OPTION_FULL));
	int code = body ? give_order(ctl, "/promote", body, "promoting")
			: ctl_fail_memory(ctl);
	json_decref(body);
	return code;
}

int cmd_rollout_abort(struct ctl *ctl)
{
	return give_order(ctl, "/abort", NULL, "aborting");
}

int cmd_rollout_pause(struct ctl *ctl)
{
	return give_order(ctl, "/pause", NULL, "pausing");
}

int cmd_rollout_resume(struct ctl *ctl)
{
	return give_order(ctl, "/resume", NULL, "resuming");
}

int cmd_rollout_retry(struct ctl *ctl)
{
	return give_order(ctl, "/retry", NULL, "trying again");
}

/* --- freeze -------------------------------------------------------------- */

static json_t *freeze_body(struct ctl *ctl)
{
	const char *reason = ctl_option(ctl, OPTION_REASON);
	json_t *body = json_object();
	if (body && reason &&
	    json_object_set_new(body, "reason", json_string(reason))) {
		ctl_fail(ctl, CTL_USAGE, "--reason: it is not UTF-8");
		json_decref(body);
		return NULL;
	}
	if (!body)
		ctl_fail_memory(ctl);
	return body;
}

int cmd_freeze(struct ctl *ctl)
{
	bool off = ctl_has(ctl, OPTION_OFF);
	json_t *status = NULL, *body = NULL;
	if (off && ctl_has(ctl, OPTION_REASON))
		return ctl_fail(ctl, CTL_USAGE,
				"--off takes no reason: it is recorded who "
				"ended it");
	if (!off) {
		body = freeze_body(ctl);
		if (!body)
			return CTL_USAGE;
	}
	int code = ctl_call(ctl, off ? "DELETE" : "POST", "/admin/v1/freeze",
			    body, off ? "thawing" : "freezing", &status);
	if (code == CTL_DONE && ctl_has(ctl, OPTION_JSON))
		code = ctl_print_json(ctl, status);
	else if (code == CTL_DONE)
		puts(off ? "deployments go on"
			 : "deployments are frozen until 'atomctl freeze "
			   "--off'");
	json_decref(status);
	json_decref(body);
	return code;
}
