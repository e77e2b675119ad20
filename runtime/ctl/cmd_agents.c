/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "age.h"
#include "commands.h"
#include "ctl.h"

#include <string.h>

#define SETTING_NAME_MAX  512
#define SETTING_DEPTH_MAX 16

static void add_duration(struct table *table, const json_t *agent,
			 const char *name)
{
	char text[AGE_TEXT_MAX];
	double duration_ms = member_real(agent, name, -1);
	if (duration_ms >= 0)
		age_format_duration(text, duration_ms);
	table_add(table, duration_ms >= 0 ? text : NULL);
}

static const char *origin_of(const json_t *agent)
{
	if (member_true(agent, "drift"))
		return "file, drifted";
	return member_string(agent, "origin");
}

static void ready_of(const json_t *agent, char *out, size_t size)
{
	const json_t *instances = json_object_get(agent, "instances");
	snprintf(out, size, "%lld/%lld", member_integer(instances, "ready"),
		 member_integer(instances, "desired"));
}

static enum table_colour ready_colour(const json_t *agent)
{
	const json_t *instances = json_object_get(agent, "instances");
	if (member_true(agent, "unhealthy"))
		return TABLE_RED;
	return member_integer(instances, "ready") <
			       member_integer(instances, "desired")
		       ? TABLE_YELLOW
		       : TABLE_PLAIN;
}

static int print_agents(struct ctl *ctl, const json_t *agents)
{
	static const char *const titles[] = {
		"NAME",	      "BACKEND", ">REVISION", ">READY",
		">IN FLIGHT", ">QUEUED", ">CALLS",    ">ERRORS",
		">P50",	      ">P95",	 "ORIGIN",    NULL
	};
	struct table table;
	struct text revision = TEXT_INIT(256);
	size_t index;
	json_t *agent;
	if (json_array_size(agents) == 0) {
		fputs("No agents.\n", stderr);
		return CTL_DONE;
	}
	table_init(&table, titles);
	json_array_foreach(agents, index, agent)
	{
		long long errors = member_integer(agent, "errors_total");
		char number[32];
		table_add(&table, member_string(agent, "name"));
		table_add(&table, member_string(agent, "backend"));
		member_text(agent, "revision", &revision);
		table_add(&table, text_string(&revision));
		ready_of(agent, number, sizeof(number));
		table_add_coloured(&table, number, ready_colour(agent));
		table_add_number(&table, member_integer(agent, "in_flight"));
		table_add_number(&table, member_integer(agent, "queued"));
		table_add_number(&table, member_integer(agent, "calls_total"));
		snprintf(number, sizeof(number), "%lld", errors);
		table_add_coloured(&table, number,
				   errors ? TABLE_RED : TABLE_PLAIN);
		add_duration(&table, agent, "p50_ms");
		add_duration(&table, agent, "p95_ms");
		table_add_coloured(&table, origin_of(agent),
				   member_true(agent, "drift") ? TABLE_YELLOW
							       : TABLE_PLAIN);
	}
	text_fini(&revision);
	return ctl_print_table(ctl, &table);
}

/* Settings as `-D` names them: one line a scalar, `backend.plugin`. */
static void add_settings(struct table *table, const char *prefix,
			 const json_t *value, int depth)
{
	char name[SETTING_NAME_MAX];
	struct text text = TEXT_INIT(65536);
	const char *key;
	json_t *member;
	json_object_foreach((json_t *)value, key, member)
	{
		snprintf(name, sizeof(name), "%s%s%s", prefix,
			 *prefix ? "." : "", key);
		if (json_is_object(member) && depth < SETTING_DEPTH_MAX) {
			add_settings(table, name, member, depth + 1);
			continue;
		}
		member_text(value, key, &text);
		table_add(table, name);
		table_add(table, text_string(&text));
	}
	text_fini(&text);
}

static void add_pair(struct table *table, const char *name, const char *value)
{
	table_add_coloured(table, name, TABLE_DIM);
	table_add(table, value);
}

static void add_integer(struct table *table, const char *name,
			const json_t *object, const char *member)
{
	table_add_coloured(table, name, TABLE_DIM);
	table_add_number(table, member_integer(object, member));
}

static void add_split(struct table *table, const json_t *agent)
{
	struct text split = TEXT_INIT(4096);
	struct text revision = TEXT_INIT(256);
	size_t index;
	json_t *share;
	json_array_foreach(json_object_get(agent, "split"), index, share)
	{
		member_text(share, "revision", &revision);
		text_append_format(&split, "%srevision %s %.4g%%",
				   index ? ", " : "", text_string(&revision),
				   member_real(share, "weight", 0) / 100);
	}
	add_pair(table, "split", text_string(&split));
	text_fini(&split);
	text_fini(&revision);
}

static void add_scaling(struct table *table, const json_t *scaling)
{
	const char *strategy = member_string(scaling, "strategy");
	const char *bound = member_string(scaling, "bound");
	char pinned[64];
	snprintf(pinned, sizeof(pinned), "pinned to %lld by hand",
		 member_integer(scaling, "pinned"));
	if (json_is_integer(json_object_get(scaling, "pinned")))
		add_pair(table, "scaling", pinned);
	else
		add_pair(table, "scaling", strategy ? strategy : "none");
	if (!strategy)
		return;
	add_pair(table, "last reason", member_string(scaling, "reason"));
	if (bound)
		add_pair(table, "held by", bound);
}

static int print_agent(struct ctl *ctl, const json_t *agent)
{
	static const char *const about_titles[] = { "AGENT", NULL, NULL };
	static const char *const setting_titles[] = { "SETTING", "VALUE",
						      NULL };
	const json_t *instances = json_object_get(agent, "instances");
	const json_t *settings = json_object_get(agent, "settings");
	const char *const titles[] = { about_titles[0],
				       member_string(agent, "name"), NULL };
	struct text revision = TEXT_INIT(256);
	struct table table;
	char counts[128];
	table_init(&table, titles);
	add_pair(&table, "backend", member_string(agent, "backend"));
	member_text(agent, "revision", &revision);
	add_pair(&table, "revision", text_string(&revision));
	add_split(&table, agent);
	snprintf(counts, sizeof(counts),
		 "%lld ready of %lld, %lld starting, %lld draining",
		 member_integer(instances, "ready"),
		 member_integer(instances, "desired"),
		 member_integer(instances, "starting"),
		 member_integer(instances, "draining"));
	add_pair(&table, "instances", counts);
	if (member_true(agent, "unhealthy"))
		add_pair(&table, "health",
			 "unhealthy: its instances fail again and again");
	add_integer(&table, "in flight", agent, "in_flight");
	add_integer(&table, "queued", agent, "queued");
	add_integer(&table, "sessions", agent, "sessions");
	add_integer(&table, "calls", agent, "calls_total");
	add_integer(&table, "errors", agent, "errors_total");
	table_add_coloured(&table, "p50", TABLE_DIM);
	add_duration(&table, agent, "p50_ms");
	table_add_coloured(&table, "p95", TABLE_DIM);
	add_duration(&table, agent, "p95_ms");
	add_pair(&table, "origin", origin_of(agent));
	add_scaling(&table, json_object_get(agent, "scaling"));
	text_fini(&revision);
	int code = ctl_print_table(ctl, &table);
	if (code != CTL_DONE || !json_is_object(settings))
		return code;
	putchar('\n');
	table_init(&table, setting_titles);
	add_settings(&table, "", settings, 0);
	return ctl_print_table(ctl, &table);
}

static int print_sizing(struct ctl *ctl, const json_t *sizing)
{
	static const char *const titles[] = { "SETTING", ">NOW", ">SUGGESTED",
					      "REASON", NULL };
	struct text text = TEXT_INIT(256);
	struct table table;
	size_t index;
	json_t *row;
	if (json_array_size(sizing) == 0) {
		fputs("Nothing was measured yet: the agent was never called.\n",
		      stderr);
		return CTL_DONE;
	}
	table_init(&table, titles);
	json_array_foreach(sizing, index, row)
	{
		table_add(&table, member_string(row, "setting"));
		member_text(row, "now", &text);
		table_add(&table, text_string(&text));
		member_text(row, "suggested", &text);
		table_add(&table, text_string(&text));
		table_add(&table, member_string(row, "reason"));
	}
	text_fini(&text);
	return ctl_print_table(ctl, &table);
}

static int print_all_sizing(struct ctl *ctl, const json_t *agents)
{
	int code = CTL_DONE;
	size_t index;
	json_t *agent;
	json_array_foreach(agents, index, agent)
	{
		ctl_say(ctl, "%s%s\n", index ? "\n" : "",
			member_string(agent, "name"));
		fflush(stdout);
		code = print_sizing(ctl, json_object_get(agent, "sizing"));
		if (code != CTL_DONE)
			break;
	}
	return code;
}

static int show_agent(struct ctl *ctl, const json_t *agent)
{
	if (ctl_has(ctl, OPTION_JSON))
		return ctl_print_json(ctl, agent);
	if (ctl_has(ctl, OPTION_SIZING))
		return print_sizing(ctl, json_object_get(agent, "sizing"));
	return print_agent(ctl, agent);
}

static int get_agent(struct ctl *ctl, const char *name, json_t **agent_r)
{
	struct text path = TEXT_INIT(ENDPOINT_TEXT_MAX);
	int code;
	if (ctl_path(&path, "/admin/v1/agents/", name,
		     ctl_has(ctl, OPTION_SIZING) ? "?sizing=1" : ""))
		code = ctl_get(ctl, text_string(&path), agent_r);
	else
		code = ctl_fail(ctl, CTL_USAGE, "the agent's name is too long");
	text_fini(&path);
	return code;
}

/* Each agent of the list in full, with its sizing, in the place of its row. */
static int add_sizing(struct ctl *ctl, json_t *agents)
{
	for (size_t i = 0; i < json_array_size(agents); i++) {
		json_t *agent = NULL;
		int code = get_agent(
			ctl, member_string(json_array_get(agents, i), "name"),
			&agent);
		if (code != CTL_DONE)
			return code;
		if (json_array_set_new(agents, i, agent))
			return ctl_fail_memory(ctl);
	}
	return CTL_DONE;
}

static int list_agents(struct ctl *ctl)
{
	bool sizing = ctl_has(ctl, OPTION_SIZING);
	json_t *agents = NULL;
	int code = ctl_get_list(ctl, "/admin/v1/agents", "agents", &agents);
	if (code == CTL_DONE && sizing)
		code = add_sizing(ctl, agents);
	if (code == CTL_DONE && ctl_has(ctl, OPTION_JSON))
		code = ctl_print_json(ctl, agents);
	else if (code == CTL_DONE)
		code = sizing ? print_all_sizing(ctl, agents)
			      : print_agents(ctl, agents);
	json_decref(agents);
	return code;
}

int cmd_agents(struct ctl *ctl)
{
	if (ctl->word_count == 0)
		return list_agents(ctl);
	json_t *agent = NULL;
	int code = get_agent(ctl, ctl->words[0], &agent);
	if (code == CTL_DONE)
		code = show_agent(ctl, agent);
	json_decref(agent);
	return code;
}

static int print_export(struct ctl *ctl, const struct text *text)
{
	if (!ctl_has(ctl, OPTION_JSON)) {
		terminal_write(stdout, text_string(text), text->length,
			       !ctl->terminal.out);
		if (text->length && text->bytes[text->length - 1] != '\n')
			putchar('\n');
		return CTL_DONE;
	}
	json_t *document = json_pack("{s:s, s:s}", "name", ctl->words[0],
				     "libconfig", text_string(text));
	if (!document)
		return ctl_fail(ctl, CTL_FAILED, "the text is not UTF-8");
	int code = ctl_print_json(ctl, document);
	json_decref(document);
	return code;
}

int cmd_agents_export(struct ctl *ctl)
{
	struct text path = TEXT_INIT(ENDPOINT_TEXT_MAX);
	if (!ctl_path(&path, "/admin/v1/agents/", ctl->words[0],
		      "?format=libconfig")) {
		text_fini(&path);
		return ctl_fail(ctl, CTL_USAGE, "the agent's name is too long");
	}
	const struct client_request request = {
		.method = "GET",
		.path = text_string(&path),
		.accept = "text/plain",
		.timeout_ms = 30000,
	};
	struct client_answer answer;
	enum client_result result = client_send(ctl->client, &request, &answer);
	int code = ctl_judge(ctl, result, &answer);
	if (code == CTL_DONE && strcmp(answer.content_type, "text/plain"))
		code = ctl_fail(ctl, CTL_FAILED,
				"%s answered with %s, expected text/plain",
				client_endpoint(ctl->client),
				answer.content_type);
	if (code == CTL_DONE)
		code = print_export(ctl, &answer.body);
	client_answer_fini(&answer);
	text_fini(&path);
	return code;
}
