/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "agent/agents.h"
#include "core/text.h"
#include "gateway/control.h"
#include "gateway/handlers.h"

/* What scaling did.  The `on_` functions run on control. */

#define LIMIT_DEFAULT 100
#define LIMIT_MAX     1000

static void on_events(struct control_call *call)
{
	const char *limit_text = control_query(call, "limit");
	int64_t limit = LIMIT_DEFAULT;

	if (limit_text[0] != '\0' && (!text_to_int(limit_text, &limit) ||
				      limit < 1 || limit > LIMIT_MAX)) {
		api_error_set(&call->error, "invalid_request", "limit",
			      "limit: expected 1 to %d", LIMIT_MAX);
		control_answer_error(call);
		return;
	}
	control_answer(
		call, 200,
		json_pack("{s:o}", "events",
			  agents_scaling_events(control_query(call, "agent"),
						(size_t)limit)));
}

void handle_scaling_events(struct http_request *request,
			   const struct admission *admission)
{
	control_call(request, admission, "agent,limit", on_events);
}
