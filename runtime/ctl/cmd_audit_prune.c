/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "commands.h"
#include "ctl.h"

#include "core/text.h"

int cmd_audit_prune(struct ctl *ctl)
{
	const char *before = ctl_option(ctl, OPTION_BEFORE);
	json_t *answer = NULL;
	int64_t sequence;
	if (!before || !*before)
		return ctl_fail(ctl, CTL_USAGE,
				"before what? --before 400d, an RFC 3339 time, "
				"or the number of the first record to keep");
	json_t *body =
		text_to_int(before, &sequence)
			? json_pack("{s:I}", "before", (json_int_t)sequence)
			: json_pack("{s:s}", "before", before);
	if (!body)
		return ctl_fail(ctl, CTL_USAGE, "--before is not UTF-8");
	int code = ctl_call(ctl, "POST", "/admin/v1/audit/prune", body,
			    "pruning", &answer);
	if (code == CTL_DONE && ctl_has(ctl, OPTION_JSON))
		code = ctl_print_json(ctl, answer);
	else if (code == CTL_DONE)
		printf("%lld records removed; whole segments go, and the one "
		       "being written stays\n",
		       member_integer(answer, "removed"));
	json_decref(answer);
	json_decref(body);
	return code;
}
