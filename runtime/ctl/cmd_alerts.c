/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "age.h"
#include "commands.h"
#include "ctl.h"

#include <string.h>

#define SILENCES "/admin/v1/alerts/silences"

/* --- alerts -------------------------------------------------------------- */

static bool is(const char *word, const char *known)
{
	return word && !strcmp(word, known);
}

static void add_age(struct table *table, const json_t *row, const char *name)
{
	const char *time = member_string(row, name);
	char age[AGE_TEXT_MAX] = "";
	int64_t time_ms;
	if (time && age_parse_time(time, &time_ms))
		age_format(age, time_ms, age_now_ms());
	table_add(table, age);
}

static int print_alerts(struct ctl *ctl, const json_t *alerts)
{
	static const char *const titles[] = { "NAME",  "SEVERITY", "STATE",
					      "SINCE", "AGENT",	   "VALUE",
					      "BOUND", "SILENCE",  "MESSAGE",
					      NULL };
	static const char *const numbers[] = { "value", "threshold" };
	struct table table;
	size_t index;
	json_t *alert;
	if (json_array_size(alerts) == 0) {
		fputs("No alerts.\n", stderr);
		return CTL_DONE;
	}
	table_init(&table, titles);
	json_array_foreach(alerts, index, alert)
	{
		const char *severity = member_string(alert, "severity");
		table_add(&table, member_string(alert, "name"));
		table_add_coloured(&table, severity,
				   is(severity, "critical")  ? TABLE_RED
				   : is(severity, "warning") ? TABLE_YELLOW
							     : TABLE_PLAIN);
		table_add(&table, member_string(alert, "state"));
		add_age(&table, alert, "since");
		table_add(&table, member_string(alert, "agent"));
		for (size_t i = 0; i < 2; i++) {
			char number[32] = "";
			if (json_is_number(json_object_get(alert, numbers[i])))
				snprintf(number, sizeof(number), "%.4g",
					 member_real(alert, numbers[i], 0));
			table_add(&table, number);
		}
		table_add(&table, member_string(alert, "silence"));
		table_add(&table, member_string(alert, "message"));
	}
	return ctl_print_table(ctl, &table);
}

/* Appends `?name=value`, or with `&` behind the first. */
static bool add_query(struct text *path, const char *name, const char *value,
		      bool *first)
{
	bool ok = text_append_format(path, "%c%s=", *first ? '?' : '&', name) &&
		  endpoint_escape(path, value);
	*first = false;
	return ok;
}

int cmd_alerts(struct ctl *ctl)
{
	const char *state = ctl_option(ctl, OPTION_STATE);
	struct text path = TEXT_INIT(ENDPOINT_TEXT_MAX);
	json_t *alerts = NULL;
	bool first = true;
	int code = CTL_DONE;
	bool ok = text_append_format(&path, "/admin/v1/alerts");
	if (ok && ctl->word_count > 0)
		ok = add_query(&path, "agent", ctl->words[0], &first);
	if (ok && state)
		ok = add_query(&path, "state", state, &first);
	if (!ok)
		code = ctl_fail(ctl, CTL_USAGE,
				"the agent's name or the state is too long");
	if (code == CTL_DONE)
		code = ctl_get(ctl, text_string(&path), &alerts);
	if (code == CTL_DONE)
		code = ctl_has(ctl, OPTION_JSON) ? ctl_print_json(ctl, alerts)
						 : print_alerts(ctl, alerts);
	json_decref(alerts);
	text_fini(&path);
	return code;
}

/* --- silences ------------------------------------------------------------ */

/* The matchers of one as a person would type them. */
static bool matchers_text(const json_t *silence, struct text *out)
{
	size_t index;
	json_t *matcher;
	json_array_foreach(json_object_get(silence, "matchers"), index, matcher)
	{
		bool regex = member_true(matcher, "regex");
		const char *op = member_true(matcher, "equal")
					 ? regex ? "=~" : "="
				 : regex ? "!~"
					 : "!=";
		if (!text_append_format(out, "%s%s%s%s", index > 0 ? " " : "",
					member_string(matcher, "name"), op,
					member_string(matcher, "value")))
			return false;
	}
	return true;
}

static int list_silences(struct ctl *ctl)
{
	static const char *const titles[] = { "ID", "STATE",	"ENDS",
					      "BY", "MATCHERS", "COMMENT",
					      NULL };
	struct table table;
	json_t *silences = NULL, *silence;
	size_t index;
	int code = ctl_get(ctl, SILENCES, &silences);
	if (code == CTL_DONE && ctl_has(ctl, OPTION_JSON))
		code = ctl_print_json(ctl, silences);
	else if (code == CTL_DONE && json_array_size(silences) == 0)
		fputs("No silences.\n", stderr);
	else if (code == CTL_DONE) {
		table_init(&table, titles);
		json_array_foreach(silences, index, silence)
		{
			struct text matchers = TEXT_INIT(65536);
			const char *state = member_string(silence, "state");
			table_add(&table, member_string(silence, "id"));
			table_add_coloured(&table, state,
					   is(state, "expired") ? TABLE_DIM
								: TABLE_PLAIN);
			add_age(&table, silence, "ends_at");
			table_add(&table, member_string(silence, "created_by"));
			table_add(&table, matchers_text(silence, &matchers)
						  ? text_string(&matchers)
						  : "?");
			table_add(&table, member_string(silence, "comment"));
			text_fini(&matchers);
		}
		code = ctl_print_table(ctl, &table);
	}
	json_decref(silences);
	return code;
}

static int print_silence(struct ctl *ctl, const json_t *silence)
{
	if (ctl_has(ctl, OPTION_JSON))
		return ctl_print_json(ctl, silence);
	ctl_say(ctl, "%s %s\n", member_string(silence, "id"),
		is(member_string(silence, "state"), "expired") ? "has ended"
							       : "is in force");
	return CTL_DONE;
}

static int end_silence(struct ctl *ctl, const char *id)
{
	struct text path = TEXT_INIT(ENDPOINT_TEXT_MAX);
	json_t *silence = NULL;
	int code = CTL_DONE;
	if (!ctl_path(&path, SILENCES "/", id, ""))
		code = ctl_fail(ctl, CTL_USAGE, "the id is too long");
	if (code == CTL_DONE)
		code = ctl_call(ctl, "DELETE", text_string(&path), NULL,
				"ending the silence", &silence);
	if (code == CTL_DONE)
		code = print_silence(ctl, silence);
	json_decref(silence);
	text_fini(&path);
	return code;
}

/* `agent=~"a|b"`; a word without an operator is an alert's name.  New; NULL: no
 * memory, no UTF-8, or an operator that there is not. */
static json_t *matcher_of(const char *word)
{
	static const struct {
		const char *text;
		int regex, equal;
	} operators[] = {
		{ "=~", 1, 1 },
		{ "!~", 1, 0 },
		{ "!=", 0, 0 },
		{ "=", 0, 1 },
	};
	size_t name = strcspn(word, "=!~");
	if (word[name] == '\0')
		return json_pack("{s:s,s:s}", "name", "alertname", "value",
				 word);
	for (size_t i = 0; i < sizeof(operators) / sizeof(*operators); i++) {
		size_t length = strlen(operators[i].text);
		const char *value = word + name + length;
		if (strncmp(word + name, operators[i].text, length) != 0)
			continue;
		length = strlen(value);
		if (length >= 2 && value[0] == '"' &&
		    value[length - 1] == '"') {
			value++;
			length -= 2;
		}
		return json_pack("{s:s%,s:s%,s:b,s:b}", "name", word, name,
				 "value", value, length, "regex",
				 operators[i].regex, "equal",
				 operators[i].equal);
	}
	return NULL;
}

static json_t *silence_body(struct ctl *ctl)
{
	const char *comment = ctl_option(ctl, OPTION_COMMENT);
	json_t *matchers = json_array();
	for (size_t i = 0; matchers && i < ctl->word_count; i++)
		if (json_array_append_new(matchers,
					  matcher_of(ctl->words[i]))) {
			json_decref(matchers);
			return NULL;
		}
	return json_pack("{s:o,s:s,s:s}", "matchers", matchers, "duration",
			 ctl_option(ctl, OPTION_DURATION), "comment", comment);
}

int cmd_alerts_silence(struct ctl *ctl)
{
	json_t *silence = NULL, *body;
	bool asks =
		ctl_has(ctl, OPTION_DURATION) || ctl_has(ctl, OPTION_COMMENT);
	if (!asks && ctl->word_count == 1 && strcmp(ctl->words[0], "list") == 0)
		return list_silences(ctl);
	if (!asks && ctl->word_count == 2 && strcmp(ctl->words[0], "end") == 0)
		return end_silence(ctl, ctl->words[1]);
	if (!ctl_has(ctl, OPTION_DURATION) || !ctl_has(ctl, OPTION_COMMENT))
		return ctl_fail(ctl, CTL_USAGE,
				"a silence needs an end and a reason: "
				"--duration 2h --comment TEXT; or say 'list', "
				"or 'end ID'");
	body = silence_body(ctl);
	if (!body)
		return ctl_fail(ctl, CTL_USAGE,
				"expected LABEL=VALUE, LABEL!=VALUE, "
				"LABEL=~EXPRESSION, LABEL!~EXPRESSION or an "
				"alert's name, in UTF-8");
	int code = ctl_call(ctl, "POST", SILENCES, body, "silencing", &silence);
	if (code == CTL_DONE)
		code = print_silence(ctl, silence);
	json_decref(silence);
	json_decref(body);
	return code;
}
