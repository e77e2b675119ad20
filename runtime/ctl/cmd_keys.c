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

/* A time of the answer as an age; what is no time as it is, null as `none`. */
static void add_time(struct table *table, const json_t *key, const char *member,
		     const char *none, int64_t now_ms)
{
	const char *time = member_string(key, member);
	char age[AGE_TEXT_MAX];
	int64_t time_ms;
	if (time && age_parse_time(time, &time_ms)) {
		age_format(age, time_ms, now_ms);
		time = age;
	}
	table_add(table, time ? time : none);
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

/* A key that is shown, whole, for the first and last time. */
static int print_secret(struct ctl *ctl, const json_t *key)
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
	ctl_say(ctl, "%-9s%s\n", "expires", expires ? expires : "never");
	const char *old_ends = member_string(key, "old_secret_ends");
	if (old_ends) {
		fputs("The secret before it is good until ", stderr);
		terminal_write(stderr, old_ends, strlen(old_ends),
			       !ctl->terminal.error);
		fputs(".\n", stderr);
	}
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
						 : print_secret(ctl, key);
	json_decref(key);
	json_decref(body);
	return code;
}

static int print_keys(struct ctl *ctl, const json_t *keys)
{
	static const char *const titles[] = {
		"ID",	     "NAME",	"ROLE",	      "AGENTS",	 "LIMITS",
		"STATE",     "CREATED", "CREATED BY", "ROTATED", "OLD SECRET",
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
		add_time(&table, key, "created", "never", now_ms);
		table_add(&table, member_string(key, "created_by"));
		add_time(&table, key, "rotated", "never", now_ms);
		add_time(&table, key, "old_secret_ends", "none", now_ms);
		add_time(&table, key, "last_used", "never", now_ms);
		add_time(&table, key, "expires", "never", now_ms);
	}
	text_fini(&limits);
	text_fini(&agents);
	return ctl_print_table(ctl, &table);
}

/* One page behind the key `after` (NULL: the first), added to `keys`; the
 * answer is in `*page_r`, for it holds where the next begins. */
static int add_page(struct ctl *ctl, const char *after, json_t *keys,
		    json_t **page_r)
{
	struct text path = TEXT_INIT(ENDPOINT_TEXT_MAX);
	int code = CTL_FAILED;
	bool whole = after ? ctl_path(&path, "/admin/v1/keys?after=", after, "")
			   : text_append_string(&path, "/admin/v1/keys");
	if (whole)
		code = ctl_get(ctl, text_string(&path), page_r);
	else
		ctl_fail_memory(ctl);
	text_fini(&path);
	if (code != CTL_DONE)
		return code;
	json_t *rows = json_object_get(*page_r, "keys");
	if (!json_is_array(rows))
		return ctl_fail(ctl, CTL_FAILED,
				"%s answered /admin/v1/keys without a list "
				"\"keys\"; is it atomd's address?",
				client_endpoint(ctl->client));
	return json_array_extend(keys, rows) ? ctl_fail_memory(ctl) : CTL_DONE;
}

/* All pages.  An empty one ends it, whatever it says. */
static int get_keys(struct ctl *ctl, json_t *keys)
{
	json_t *page = NULL;
	const char *after = NULL;
	size_t before;
	int code;
	do {
		json_t *last = page;
		page = NULL;
		before = json_array_size(keys);
		code = add_page(ctl, after, keys, &page);
		json_decref(last);
		after = member_string(page, "next");
	} while (code == CTL_DONE && after && json_array_size(keys) > before);
	json_decref(page);
	return code;
}

int cmd_keys_list(struct ctl *ctl)
{
	json_t *keys = json_array();
	int code = keys ? get_keys(ctl, keys) : ctl_fail_memory(ctl);
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

int cmd_keys_rotate(struct ctl *ctl)
{
	const char *grace = ctl_option(ctl, OPTION_GRACE);
	struct text path = TEXT_INIT(ENDPOINT_TEXT_MAX);
	struct text id = TEXT_INIT(256);
	json_t *body = json_object();
	json_t *key = NULL;
	int code = CTL_USAGE;
	if (!body)
		code = ctl_fail_memory(ctl);
	else if (!set_string(body, "grace", grace))
		ctl_fail(ctl, CTL_USAGE, "--grace is not UTF-8");
	else if (!id_of_key(ctl->words[0], &id) ||
		 !ctl_path(&path, "/admin/v1/keys/", text_string(&id),
			   "/rotate"))
		ctl_fail(ctl, CTL_USAGE, "the id is too long");
	else
		code = ctl_call(ctl, "POST", text_string(&path), body, NULL,
				&key);
	if (code == CTL_DONE)
		code = ctl_has(ctl, OPTION_JSON) ? ctl_print_json(ctl, key)
						 : print_secret(ctl, key);
	json_decref(key);
	json_decref(body);
	text_fini(&id);
	text_fini(&path);
	return code;
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
