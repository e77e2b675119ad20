/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "age.h"
#include "commands.h"
#include "ctl.h"
#include "key_limits.h"

#include <string.h>

/* `a,b` to ["a","b"]; NULL with the sentence left. */
static json_t *split_agents(struct ctl *ctl, const char *list)
{
	json_t *agents = json_array();
	for (const char *at = list; agents; at++) {
		size_t length = strcspn(at, ",");
		json_t *name = json_stringn(at, length);
		if (length == 0 || !name) {
			ctl_fail(ctl, CTL_USAGE,
				 "--agents: expected names with one comma "
				 "between them, found '%.100s'",
				 list);
			json_decref(name);
			json_decref(agents);
			return NULL;
		}
		if (json_array_append_new(agents, name)) {
			ctl_fail_memory(ctl);
			json_decref(agents);
			return NULL;
		}
		at += length;
		if (!*at)
			return agents;
	}
	ctl_fail_memory(ctl);
	return NULL;
}

static bool set_string(json_t *body, const char *member, const char *value)
{
	return !value || !json_object_set_new(body, member, json_string(value));
}

static json_t *create_body(struct ctl *ctl)
{
	const char *role = ctl_option(ctl, OPTION_ROLE);
	const char *agents = ctl_option(ctl, OPTION_AGENTS);
	if (!role || !*role) {
		ctl_fail(ctl, CTL_USAGE,
			 "which role? --role admin, operator, read_only, "
			 "caller, or one of security.roles");
		return NULL;
	}
	json_t *names = agents ? split_agents(ctl, agents) : NULL;
	if (agents && !names)
		return NULL;
	json_t *body = json_object();
	bool ok =
		body && set_string(body, "role", role) &&
		set_string(body, "expires", ctl_option(ctl, OPTION_EXPIRES)) &&
		set_string(body, "name", ctl_option(ctl, OPTION_NAME)) &&
		(!names || !json_object_set(body, "agents", names));
	json_decref(names);
	if (!ok) {
		ctl_fail(ctl, CTL_USAGE, "an option's value is not UTF-8");
		json_decref(body);
		return NULL;
	}
	if (!key_limits_add(ctl, body)) {
		json_decref(body);
		return NULL;
	}
	return body;
}

/* A time of the answer as an age; what is no time as it is, null as `never`. */
static void add_time(struct table *table, const json_t *key, const char *member,
		     int64_t now_ms)
{
	const char *time = member_string(key, member);
	char age[AGE_TEXT_MAX];
	int64_t time_ms;
	if (time && age_parse_time(time, &time_ms)) {
		age_format(age, time_ms, now_ms);
		time = age;
	}
	table_add(table, time ? time : "never");
}

static void agents_of(const json_t *key, struct text *out)
{
	const json_t *agents = json_object_get(key, "agents");
	size_t index;
	json_t *name;
	text_clear(out);
	json_array_foreach(agents, index, name) text_append_format(
		out, "%s%s", index ? "," : "",
		json_is_string(name) ? json_string_value(name) : "?");
	if (!out->length)
		text_append_string(out, "all");
}

static int print_created(struct ctl *ctl, const json_t *key)
{
	static const char *const members[] = { "key", "id", "role" };
	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
		const char *value = member_string(key, members[i]);
		printf("%-9s", members[i]);
		if (value)
			terminal_write(stdout, value, strlen(value),
				       !ctl->terminal.out);
		putchar('\n');
	}
	const char *expires = member_string(key, "expires");
	printf("%-9s%s\n", "expires", expires ? expires : "never");
	fputs("The key is shown this once. Keep it in a file for --key-file, "
	      "or in $ATOMD_KEY.\n",
	      stderr);
	return CTL_DONE;
}

int cmd_keys_create(struct ctl *ctl)
{
	json_t *key = NULL;
	json_t *body = create_body(ctl);
	if (!body)
		return CTL_USAGE;
	int code = ctl_call(ctl, "POST", "/admin/v1/keys", body, NULL, &key);
	if (code == CTL_DONE)
		code = ctl_has(ctl, OPTION_JSON) ? ctl_print_json(ctl, key)
						 : print_created(ctl, key);
	json_decref(key);
	json_decref(body);
	return code;
}

static int print_keys(struct ctl *ctl, const json_t *keys)
{
	static const char *const titles[] = {
		"ID",	     "NAME",	"ROLE",	   "AGENTS",
		"LIMITS",    "STATE",	"CREATED", "CREATED BY",
		"LAST USED", "EXPIRES", NULL
	};
	struct table table;
	struct text agents = TEXT_INIT(65536);
	struct text limits = TEXT_INIT(256);
	int64_t now_ms = age_now_ms();
	size_t index;
	json_t *key;
	if (json_array_size(keys) == 0) {
		fputs("No keys.\n", stderr);
		return CTL_DONE;
	}
	table_init(&table, titles);
	json_array_foreach(keys, index, key)
	{
		const char *state = member_string(key, "state");
		bool active = state && !strcmp(state, "active");
		table_add(&table, member_string(key, "id"));
		table_add(&table, member_string(key, "name"));
		table_add(&table, member_string(key, "role"));
		agents_of(key, &agents);
		table_add(&table, text_string(&agents));
		key_limits_text(key, &limits);
		table_add(&table, text_string(&limits));
		table_add_coloured(&table, state,
				   active ? TABLE_GREEN : TABLE_DIM);
		add_time(&table, key, "created", now_ms);
		table_add(&table, member_string(key, "created_by"));
		add_time(&table, key, "last_used", now_ms);
		add_time(&table, key, "expires", now_ms);
	}
	text_fini(&limits);
	text_fini(&agents);
	return ctl_print_table(ctl, &table);
}

int cmd_keys_list(struct ctl *ctl)
{
	json_t *keys = NULL;
	int code = ctl_get_list(ctl, "/admin/v1/keys", "keys", &keys);
	if (code == CTL_DONE)
		code = ctl_has(ctl, OPTION_JSON) ? ctl_print_json(ctl, keys)
						 : print_keys(ctl, keys);
	json_decref(keys);
	return code;
}

/* The id inside a whole key: atm_ID_SECRET. Somebody who has only the key
 * pastes that, and its secret need not travel. */
static bool id_of_key(const char *word, struct text *id)
{
	static const char prefix[] = "atm_";
	if (!strncmp(word, prefix, sizeof(prefix) - 1)) {
		const char *start = word + sizeof(prefix) - 1;
		const char *end = strchr(start, '_');
		if (end)
			return text_append(id, start, (size_t)(end - start));
	}
	return text_append_string(id, word);
}

int cmd_keys_revoke(struct ctl *ctl)
{
	struct text path = TEXT_INIT(ENDPOINT_TEXT_MAX);
	struct text id = TEXT_INIT(256);
	struct client_answer answer = { 0 };
	int code = CTL_USAGE;
	if (!id_of_key(ctl->words[0], &id) ||
	    !ctl_path(&path, "/admin/v1/keys/", text_string(&id), "")) {
		ctl_fail(ctl, CTL_USAGE, "the id is too long");
		goto out;
	}
	const struct client_request request = {
		.method = "DELETE",
		.path = text_string(&path),
		.accept = "application/json",
		.timeout_ms = 60000,
	};
	enum client_result result = client_send(ctl->client, &request, &answer);
	code = ctl_judge(ctl, result, &answer);
	if (code != CTL_DONE)
		goto out;
	if (ctl_has(ctl, OPTION_JSON)) {
		json_t *document =
			json_pack("{s:s, s:s}", "id", text_string(&id), "state",
				  "revoked");
		code = document ? ctl_print_json(ctl, document)
				: ctl_fail_memory(ctl);
		json_decref(document);
	} else {
		printf("%s is revoked\n", text_string(&id));
	}
out:
	client_answer_fini(&answer);
	text_fini(&id);
	text_fini(&path);
	return code;
}
