/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "commands.h"
#include "ctl.h"

#include <stdlib.h>
#include <string.h>

#define INSTANCES_MAX 1000000

/* N, or -1: what is written is no number of instances. */
static long parse_instances(const char *word)
{
	size_t length = strlen(word);
	if (length == 0 || length > 7 || word[strspn(word, "0123456789")])
		return -1;
	long count = strtol(word, NULL, 10);
	return count <= INSTANCES_MAX ? count : -1;
}

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

int cmd_scale(struct ctl *ctl)
{
	bool automatic = ctl_has(ctl, OPTION_AUTO);
	bool has_count = ctl->word_count > 1;
	long count = has_count ? parse_instances(ctl->words[1]) : 0;
	json_t *answer = NULL;
	if (automatic == has_count)
		return ctl_fail(ctl, CTL_USAGE,
				"expected either a number of instances or "
				"--auto: atomctl scale AGENT N|--auto");
	if (count < 0)
		return ctl_fail(ctl, CTL_USAGE,
				"expected a number of instances from 0 to %d, "
				"found '%.60s'",
				INSTANCES_MAX, ctl->words[1]);
	json_t *body = automatic ? json_pack("{s:b}", "auto", 1)
				 : json_pack("{s:i}", "instances", (int)count);
	if (!body)
		return ctl_fail_memory(ctl);
	int code = post(ctl, "/scale", body, "scaling", &answer);
	if (code == CTL_DONE && ctl_has(ctl, OPTION_JSON))
		code = ctl_print_json(ctl, answer);
	else if (code == CTL_DONE && automatic)
		printf("%s is scaled by its strategy again\n", ctl->words[0]);
	else if (code == CTL_DONE)
		printf("%s is scaled to %ld instance%s\n", ctl->words[0], count,
		       count == 1 ? "" : "s");
	json_decref(answer);
	json_decref(body);
	return code;
}

int cmd_restart(struct ctl *ctl)
{
	json_t *answer = NULL;
	json_t *body = json_object();
	if (!body)
		return ctl_fail_memory(ctl);
	int code = post(ctl, "/restart", body, "restarting", &answer);
	if (code == CTL_DONE && ctl_has(ctl, OPTION_JSON))
		code = ctl_print_json(ctl, answer);
	else if (code == CTL_DONE)
		printf("%s is being restarted\n", ctl->words[0]);
	json_decref(answer);
	json_decref(body);
	return code;
}
