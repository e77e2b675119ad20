/* SPDX-License-Identifier: Apache-2.0 */
#include "core/text.h"
#include "gateway/control.h"
#include "gateway/handlers.h"
#include "monitor/notes.h"

/* What monitors noted. */

#define LIMIT_DEFAULT 50

static void on_annotations(struct control_call *call)
{
	const char *text = control_query(call, "limit");
	int64_t limit = LIMIT_DEFAULT;

	if (text[0] != '\0' &&
	    (!text_to_int(text, &limit) || limit < 1 || limit > NOTES_MAX)) {
		api_error_set(&call->error, "invalid_request", "limit",
			      "limit: expected 1 to %d", NOTES_MAX);
		control_answer_error(call);
		return;
	}
	control_answer(
		call, 200,
		notes_describe(control_query(call, "agent"), (size_t)limit));
}

void handle_annotations(struct http_request *request,
			const struct admission *admission)
{
	control_call(request, admission, "agent,limit", on_annotations);
}
