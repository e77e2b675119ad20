/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "agent/directory.h"
#include "core/health.h"
#include "gateway/desk.h"
#include "gateway/handlers.h"
#include "gateway/refusal.h"
#include "gateway/reply.h"

/* GET /v1/models: the agents that this caller may invoke, as OpenAI shows
 * models. */

struct listing {
	struct buffer *out;
	const struct principal *principal;
	bool any;
};

static void append_model(struct buffer *out, const struct revision *revision)
{
	buffer_append_text(out, "{\"id\":\"");
	buffer_append_text(out, revision_agent(revision));
	buffer_append_text(out, "\",\"object\":\"model\",\"created\":");
	buffer_append_u64(out,
			  (unsigned long long)revision_created_s(revision));
	buffer_append_text(out, ",\"owned_by\":\"atomd\"}");
}

static void list_one(void *argument, struct revision *revision)
{
	struct listing *listing = argument;
	struct api_error e;

	if (!admission_agent(listing->principal, revision, &e))
		return;
	if (listing->any)
		buffer_append_char(listing->out, ',');
	listing->any = true;
	append_model(listing->out, revision);
}

void handle_models(struct http_request *request,
		   const struct admission *admission)
{
	struct listing listing = {
		.out = desk_scratch(desk_of(http_loop(request))),
		.principal = &admission->principal,
	};
	struct api_error e;

	if (health_is_stopping()) {
		/* Not that there are none: no client would look again. */
		api_error_stopping(&e);
		refusal_answer(request, admission, NULL, &e);
		return;
	}
	buffer_append_text(listing.out, "{\"object\":\"list\",\"data\":[");
	directory_visit(list_one, &listing);
	buffer_append_text(listing.out, "]}");
	reply_buffer(request, 200, "application/json", listing.out);
}

void handle_model(struct http_request *request,
		  const struct admission *admission)
{
	const struct route_params *params = &admission->params;
	struct buffer *out = desk_scratch(desk_of(http_loop(request)));
	struct revision *revision =
		directory_find(params->at[0], params->length[0]);
	struct api_error e;
	bool found = false;

	if (revision == NULL) {
		api_error_no_agent(&e, params->at[0], params->length[0]);
	} else {
		found = admission_agent(&admission->principal, revision, &e);
		append_model(out, revision);
		revision_unref(revision);
	}
	if (found)
		reply_buffer(request, 200, "application/json", out);
	else
		refusal_answer(request, admission, NULL, &e);
}
