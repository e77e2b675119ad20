/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "commands.h"
#include "ctl.h"

#include <string.h>

static enum table_colour colour_of(const char *status)
{
	static const struct {
		const char *word;
		enum table_colour colour;
	} known[] = {
		{ "pass", TABLE_GREEN },      { "fail", TABLE_RED },
		{ "error", TABLE_RED },	      { "accepted", TABLE_YELLOW },
		{ "not_checked", TABLE_DIM }, { "not_applicable", TABLE_DIM },
	};
	for (size_t i = 0; status && i < sizeof(known) / sizeof(*known); i++)
		if (!strcmp(known[i].word, status))
			return known[i].colour;
	return TABLE_PLAIN;
}

/* A failure that may pass shows as what it is. */
static const char *status_of(const json_t *check)
{
	return json_object_get(check, "accepted")
		       ? "accepted"
		       : member_string(check, "status");
}

static int print_checks(struct ctl *ctl, const json_t *checks)
{
	static const char *const titles[] = { "CHECK", "STATUS", "SEVERITY",
					      "FOUND", NULL };
	struct table table;
	size_t index;
	json_t *check;
	table_init(&table, titles);
	json_array_foreach(checks, index, check)
	{
		const char *status = status_of(check);
		table_add(&table, member_string(check, "id"));
		table_add_coloured(&table, status, colour_of(status));
		table_add(&table, member_string(check, "severity"));
		table_add(&table, member_string(check, "actual"));
	}
	return ctl_print_table(ctl, &table);
}

/* What failed, in full: the table cuts long lines on a terminal. */
static void print_failures(const struct ctl *ctl, const json_t *checks)
{
	size_t index, line;
	json_t *check, *evidence;
	json_array_foreach(checks, index, check)
	{
		const char *status = status_of(check);
		if (!status || (strcmp(status, "fail") != 0 &&
				strcmp(status, "error") != 0))
			continue;
		ctl_say(ctl, "\n%s: %s\n  expected: %s\n  found:    %s\n",
			member_string(check, "id"),
			member_string(check, "title"),
			member_string(check, "expected"),
			member_string(check, "actual"));
		json_array_foreach(json_object_get(check, "evidence"), line,
				   evidence)
		{
			if (json_is_string(evidence))
				ctl_say(ctl, "  - %s\n",
					json_string_value(evidence));
		}
	}
}

static int print_report(struct ctl *ctl, const json_t *report)
{
	const json_t *checks = json_object_get(report, "checks");
	bool good = member_true(report, "overall_compliance");
	const char *level = member_string(report, "compliance_level");
	int code = print_checks(ctl, checks);
	if (code != CTL_DONE)
		return code;
	print_failures(ctl, checks);
	ctl_say(ctl, "\noverall compliance: %s (%s), environment %s\n",
		good ? "yes" : "no", level ? level : "?",
		member_string(report, "environment"));
	return CTL_DONE;
}

static int accept(struct ctl *ctl)
{
	json_t *answer = NULL;
	const char *reason = ctl_option(ctl, OPTION_REASON);
	const char *expires = ctl_option(ctl, OPTION_EXPIRES);
	if (!reason || !*reason)
		return ctl_fail(ctl, CTL_USAGE,
				"why may it pass? --reason TEXT is recorded "
				"with your name");
	json_t *body = json_pack("{s:s,s:s,s:s*}", "id",
				 ctl_option(ctl, OPTION_ACCEPT), "reason",
				 reason, "expires", expires);
	if (!body)
		return ctl_fail(ctl, CTL_USAGE,
				"an option's value is not UTF-8");
	int code = ctl_call(ctl, "POST", "/admin/v1/compliance/acceptances",
			    body, NULL, &answer);
	json_decref(body);
	json_decref(answer);
	return code;
}

int cmd_compliance(struct ctl *ctl)
{
	json_t *report = NULL;
	int code = CTL_DONE;
	if (!ctl_has(ctl, OPTION_ACCEPT) &&
	    (ctl_has(ctl, OPTION_REASON) || ctl_has(ctl, OPTION_EXPIRES)))
		return ctl_fail(ctl, CTL_USAGE,
				"--reason and --expires go with --accept ID");
	if (ctl_has(ctl, OPTION_ACCEPT))
		code = accept(ctl);
	if (code == CTL_DONE)
		code = ctl_call(ctl, "GET", "/admin/v1/compliance", NULL,
				"checking", &report);
	if (code == CTL_DONE)
		code = ctl_has(ctl, OPTION_JSON) ? ctl_print_json(ctl, report)
						 : print_report(ctl, report);
	if (code == CTL_DONE && !member_true(report, "overall_compliance"))
		code = ctl_fail(
			ctl, CTL_FAILED,
			"not compliant: %lld checks failed, %lld could "
			"not be made",
			member_integer(json_object_get(report, "summary"),
				       "fail"),
			member_integer(json_object_get(report, "summary"),
				       "error"));
	json_decref(report);
	return code;
}
