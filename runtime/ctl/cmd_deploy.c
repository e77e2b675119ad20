/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "commands.h"
#include "config/parse.h"
#include "core/memory.h"
#include "ctl.h"
#include "replay.h"
#include "revision.h"
#include "rollout.h"
#include "simulate.h"

#include <string.h>

static int post(struct ctl *ctl, const char *verb, const json_t *body,
		const char *progress, json_t **answer_r)
{
	struct text path = TEXT_INIT(ENDPOINT_TEXT_MAX);
	int code;
	if (ctl_path(&path, "/admin/v1/agents/", ctl->words[0], verb))
		code = ctl_call(ctl, "POST", text_string(&path), body, progress,
				answer_r);
	else
		code = ctl_fail(ctl, CTL_USAGE, "the agent's name is too long");
	text_fini(&path);
	return code;
}

static int print_change(struct ctl *ctl, const json_t *change)
{
	long long revision = member_integer(change, "revision");
	long long from = member_integer(change, "from");
	const char *way = member_string(change, "way");
	const char *no_swap = member_string(change, "no_swap");
	if (ctl_has(ctl, OPTION_JSON))
		return ctl_print_json(ctl, change);
	if (!member_true(change, "changed"))
		printf("%s says that already: revision %lld is in force\n",
		       ctl->words[0], revision);
	else if (way && !strcmp(way, "swap"))
		printf("%s: back to revision %lld from %lld, by one swap\n",
		       ctl->words[0], revision, from);
	else if (from > 0)
		printf("%s: revision %lld follows %lld\n", ctl->words[0],
		       revision, from);
	else
		printf("%s: revision %lld\n", ctl->words[0], revision);
	if (no_swap)
		ctl_say(ctl, "by a rollout: %s\n", no_swap);
	return CTL_DONE;
}

/* --- deploy -------------------------------------------------------------- */

static bool set_string(json_t *body, const char *member, const char *value)
{
	return !value || !json_object_set_new(body, member, json_string(value));
}

static json_t *deploy_body(struct ctl *ctl)
{
	const char *file = ctl_option(ctl, OPTION_FILE);
	bool from_stdin = !strcmp(file, "-");
	size_t length;
	char *text =
		simulate_read_file(ctl, "-f", from_stdin ? "/dev/stdin" : file,
				   PARSE_FILE_MAX, &length);
	if (!text)
		return NULL;
	json_t *config = json_stringn(text, length);
	mem_free(text);
	json_t *body = config ? json_object() : NULL;
	if (!config) {
		ctl_fail(ctl, CTL_FAILED, "-f %s: the text is not UTF-8", file);
		return NULL;
	}
	if (!body || json_object_set_new(body, "config", config) ||
	    !set_string(body, "file", from_stdin ? "stdin" : file) ||
	    !set_string(body, "reason", ctl_option(ctl, OPTION_REASON)) ||
	    (ctl_has(ctl, OPTION_SUPERSEDE) &&
	     json_object_set_new(body, "supersede", json_true()))) {
		ctl_fail(ctl, CTL_USAGE, "an option's value is not UTF-8");
		json_decref(body);
		return NULL;
	}
	return body;
}

/* The agent need not be there yet. */
static int create(struct ctl *ctl, json_t *body, json_t **answer_r)
{
	if (!set_string(body, "name", ctl->words[0]))
		return ctl_fail(ctl, CTL_USAGE, "the name is not UTF-8");
	return ctl_call(ctl, "POST", "/admin/v1/agents", body, "creating",
			answer_r);
}

static bool add_replay(struct ctl *ctl, json_t *body)
{
	const char *path = ctl_option(ctl, OPTION_REPLAY);
	json_t *inputs = path ? replay_read_inputs(ctl, path) : NULL;
	if (!path)
		return true;
	return inputs && !json_object_set_new(body, "replay", inputs);
}

/* The replay decides what is watched after it. */
static int replayed(struct ctl *ctl, json_t **answer_r)
{
	int code = replay_watch(ctl, answer_r);
	if (code == CTL_DONE && ctl_has(ctl, OPTION_WATCH))
		return rollout_watch(ctl, answer_r);
	if (*answer_r && ctl_has(ctl, OPTION_JSON))
		(void)ctl_print_json(ctl, *answer_r);
	return code;
}

int cmd_deploy(struct ctl *ctl)
{
	json_t *answer = NULL;
	if (!ctl_option(ctl, OPTION_FILE))
		return ctl_fail(ctl, CTL_USAGE,
				"which text? atomctl deploy AGENT -f FILE");
	if (ctl_option(ctl, OPTION_REPLAY) && ctl_has(ctl, OPTION_CREATE))
		return ctl_fail(ctl, CTL_USAGE,
				"--replay: a new agent has no revision to "
				"compare with");
	json_t *body = deploy_body(ctl);
	if (!body || !add_replay(ctl, body)) {
		json_decref(body);
		return CTL_FAILED;
	}
	int code = ctl_has(ctl, OPTION_CREATE) ? create(ctl, body, &answer)
					       : post(ctl, "/deployments", body,
						      "deploying", &answer);
	if (code == CTL_DONE && ctl_option(ctl, OPTION_REPLAY) &&
	    member_string(answer, "id"))
		code = replayed(ctl, &answer);
	else if (code == CTL_DONE && ctl_has(ctl, OPTION_WATCH) &&
		 member_string(answer, "id"))
		code = rollout_watch(ctl, &answer);
	else if (code == CTL_DONE)
		code = print_change(ctl, answer);
	json_decref(answer);
	json_decref(body);
	return code;
}

/* --- undo ---------------------------------------------------------------- */

int cmd_undo(struct ctl *ctl)
{
	bool has_number = ctl_has(ctl, OPTION_TO);
	long long to = has_number ? revision_number(ctl, OPTION_TO) : 0;
	json_t *answer = NULL;
	if (to < 0)
		return revision_bad_number(ctl, OPTION_TO);
	json_t *body = has_number ? json_pack("{s:I}", "to", (json_int_t)to)
				  : json_object();
	if (!body)
		return ctl_fail_memory(ctl);
	if (!set_string(body, "reason", ctl_option(ctl, OPTION_REASON))) {
		json_decref(body);
		return ctl_fail(ctl, CTL_USAGE, "--reason: it is not UTF-8");
	}
	int code = post(ctl, "/undo", body, "going back", &answer);
	if (code == CTL_DONE)
		code = print_change(ctl, answer);
	json_decref(answer);
	json_decref(body);
	return code;
}

/* --- delete -------------------------------------------------------------- */

int cmd_agents_delete(struct ctl *ctl)
{
	struct text path = TEXT_INIT(ENDPOINT_TEXT_MAX);
	json_t *answer = NULL;
	int code;
	if (ctl_path(&path, "/admin/v1/agents/", ctl->words[0], ""))
		code = ctl_call(ctl, "DELETE", text_string(&path), NULL,
				"deleting", &answer);
	else
		code = ctl_fail(ctl, CTL_USAGE, "the agent's name is too long");
	if (code == CTL_DONE && ctl_has(ctl, OPTION_JSON))
		code = ctl_print_json(ctl, answer);
	else if (code == CTL_DONE)
		printf("%s is deleted, and its revisions with it\n",
		       ctl->words[0]);
	json_decref(answer);
	text_fini(&path);
	return code;
}
