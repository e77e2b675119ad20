/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "commands.h"
#include "ctl.h"

/* `changed: a, b`; nothing for an empty list. */
static void print_names(struct ctl *ctl, const json_t *answer,
			const char *member)
{
	const json_t *names = json_object_get(answer, member);
	size_t index;
	json_t *name;
	if (json_array_size(names) == 0)
		return;
	printf("%-9s", member);
	json_array_foreach(names, index, name)
	{
		const char *text = json_string_value(name);
		fputs(index ? ", " : " ", stdout);
		if (text)
			terminal_write(stdout, text, json_string_length(name),
				       !ctl->terminal.out);
	}
	putchar('\n');
}

int cmd_reload(struct ctl *ctl)
{
	static const char *const members[] = { "changed", "added", "removed" };
	json_t *answer = NULL;
	json_t *body = json_pack("{s:b}", "now", ctl_has(ctl, OPTION_NOW));
	if (!body)
		return ctl_fail_memory(ctl);
	int code = ctl_call(ctl, "POST", "/admin/v1/reload", body, "reloading",
			    &answer);
	if (code == CTL_DONE && ctl_has(ctl, OPTION_JSON)) {
		code = ctl_print_json(ctl, answer);
	} else if (code == CTL_DONE) {
		for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
			print_names(ctl, answer, members[i]);
		printf("reloaded, %lld unchanged\n",
		       member_integer(answer, "unchanged"));
	}
	json_decref(answer);
	json_decref(body);
	return code;
}
