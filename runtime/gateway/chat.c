/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/chat.h"

#include <stdio.h>
#include <string.h>

#include "gateway/handlers.h"

/* POST /v1/chat/completions: reading the request. */

#define MODEL_MAX 256 /* as a stranger may write it */

static const struct json_span *find(const struct chat_body *body,
				    const char *name)
{
	const struct json_member *member =
		json_members_find(body->members, body->count, name);

	/* OpenAI's clients send null for what is not set. */
	return member != NULL && member->value.kind != JSON_SPAN_NULL
		       ? &member->value
		       : NULL;
}

bool chat_scan(const char *bytes, size_t length, struct chat_body *body,
	       struct api_error *e)
{
	struct json_scan_error error = { 0, "" };

	if (json_scan_object(bytes, length, JSON_SCAN_DEPTH_MAX, body->members,
			     CHAT_MEMBERS_MAX, &body->count, &error) == ATOM_OK)
		return true;
	api_error_set(e, "invalid_request", NULL,
		      "the body is no JSON object as expected: %s at byte %zu",
		      error.what, error.offset);
	return false;
}

bool chat_model(const struct chat_body *body, char *name, size_t name_size,
		struct api_error *e)
{
	const struct json_span *model = find(body, "model");

	if (model == NULL || model->kind != JSON_SPAN_STRING) {
		api_error_set(e, "invalid_request", "model",
			      "model: expected the name of an agent, a string");
		return false;
	}
	if (json_span_to_text(model, name, name_size))
		return true;
	api_error_set(e, "agent_not_found", "model",
		      "no agent has a name as long as this");
	return false;
}

/* --- parameters ------------------------------------------------------------ */

static bool read_bool(const struct json_span *value, const char *name,
		      bool *value_r, struct api_error *e)
{
	if (value == NULL || json_span_to_bool(value, value_r))
		return true;
	api_error_set(e, "invalid_request", name, "%s: expected true or false",
		      name);
	return false;
}

static bool read_count(const struct json_span *value, const char *name,
		       int64_t *value_r, struct api_error *e)
{
	if (value == NULL ||
	    (json_span_to_int(value, value_r) && *value_r >= 1))
		return true;
	api_error_set(e, "invalid_request", name,
		      "%s: expected an integer of at least 1", name);
	return false;
}

/* Two readers would choose different ones. */
static bool is_named_twice(const struct json_span *object, const char *name)
{
	struct json_iterator members = json_iterate(object);
	struct json_member member;
	size_t count = 0;

	while (json_next_member(&members, &member))
		count += json_span_equals(&member.name, name);
	return count > 1;
}

static bool read_stream_options(const struct json_span *options,
				struct chat_request *r, struct api_error *e)
{
	struct json_span usage;

	if (options == NULL)
		return true;
	if (options->kind != JSON_SPAN_OBJECT || !r->stream) {
		api_error_set(e, "invalid_request", "stream_options",
			      "stream_options: expected an object, and only "
			      "with `stream`");
		return false;
	}
	if (is_named_twice(options, "include_usage")) {
		api_error_set(e, "invalid_request", "stream_options",
			      "stream_options names include_usage twice");
		return false;
	}
	usage = json_span_member(options, "include_usage");
	return usage.kind == JSON_SPAN_NONE || usage.kind == JSON_SPAN_NULL ||
	       read_bool(&usage, "stream_options.include_usage",
			 &r->include_usage, e);
}

static bool read_limits(const struct chat_body *body, struct chat_request *r,
			struct api_error *e)
{
	int64_t choices = 1, older = 0;

	if (!read_count(find(body, "n"), "n", &choices, e) ||
	    !read_count(find(body, "max_tokens"), "max_tokens", &older, e) ||
	    !read_count(find(body, "max_completion_tokens"),
			"max_completion_tokens", &r->max_tokens, e))
		return false;
	if (r->max_tokens == 0)
		r->max_tokens = older;
	if (choices == 1)
		return true;
	api_error_set(e, "invalid_request", "n",
		      "n: an agent gives one answer a call, so n can only "
		      "be 1");
	return false;
}

/* The backend judges what it says; here it only matters whether the answer
 * should be JSON. */
static bool wants_json(const struct json_span *format)
{
	struct json_span type;

	if (format == NULL || format->kind != JSON_SPAN_OBJECT)
		return false;
	type = json_span_member(format, "type");
	return json_span_equals(&type, "json_object") ||
	       json_span_equals(&type, "json_schema");
}

static bool read_messages(const struct chat_body *body, struct chat_request *r,
			  struct api_error *e)
{
	const struct json_span *messages = find(body, "messages");
	char why[160] = "messages: expected an array of messages";

	if (messages != NULL &&
	    messages_read(messages, &r->list, why, sizeof(why)) == ATOM_OK) {
		r->messages = *messages;
		return true;
	}
	api_error_set(e, "invalid_request", "messages", "%s", why);
	return false;
}

bool chat_parameters(const struct chat_body *body,
		     struct chat_request *request_r, struct api_error *e)
{
	struct chat_request r = { 0 };

	if (!read_messages(body, &r, e) ||
	    !read_bool(find(body, "stream"), "stream", &r.stream, e) ||
	    !read_stream_options(find(body, "stream_options"), &r, e) ||
	    !read_limits(body, &r, e))
		return false;
	r.wants_json = wants_json(find(body, "response_format"));
	*request_r = r;
	return true;
}

/* --- the request ------------------------------------------------------------ */

/* The last user message's content; text in parts becomes one string. */
static bool set_input(struct exchange *x, const struct message_list *list,
		      struct api_error *e)
{
	const struct json_span *content = &list->last_user;
	struct atom_span *input = &x->call.request.input;
	atom_status status = messages_flatten(content, &x->input);

	if (status == ATOM_OK)
		*input = (struct atom_span){ x->input.bytes, x->input.length };
	else if (status == ATOM_ENOTSUP && content->kind == JSON_SPAN_NONE)
		*input = (struct atom_span){ "\"\"", 2 };
	else if (status == ATOM_ENOTSUP)
		*input = (struct atom_span){ content->at, content->length };
	else
		api_error_set(e, "internal_error", NULL,
			      "no memory for the input");
	return status == ATOM_OK || status == ATOM_ENOTSUP;
}

static bool set_session(struct exchange *x, const struct principal *principal,
			struct api_error *e)
{
	const char *id = http_field(x->request, "x-atomd-session");

	if (id == NULL)
		return true;
	if (!revision_config(x->revision)->memory.present) {
		api_error_set(e, "invalid_request", "x-atomd-session",
			      "agent %s keeps no sessions; give it a `memory` "
			      "group, or leave the header x-atomd-session away",
			      revision_agent(x->revision));
		return false;
	}
	return exchange_join(x, principal, id, e);
}

static bool apply(struct exchange *x, const struct chat_request *r,
		  struct api_error *e)
{
	if (r->list.has_system &&
	    revision_config(x->revision)->refuse_caller_system) {
		api_error_set(e, "invalid_request", "messages",
			      "agent %s takes no system or developer messages "
			      "from its callers",
			      revision_agent(x->revision));
		return false;
	}
	x->asked = r->messages;
	x->stream = r->stream;
	x->include_usage = r->include_usage;
	x->max_tokens = r->max_tokens;
	x->wants_json = r->wants_json && x->assignment.trial != NULL &&
			trial_wants_json(x->assignment.trial);
	x->call.request.body = (struct atom_span){ x->body, x->body_length };
	x->call.request.body_messages =
		(struct atom_span){ r->messages.at, r->messages.length };
	return set_input(x, &r->list, e);
}

void handle_chat(struct http_request *request,
		 const struct admission *admission)
{
	struct exchange *x = exchange_new(request, &chat_surface);
	char name[MODEL_MAX];
	struct chat_request r;
	struct chat_body body;
	struct api_error e;

	if (x == NULL)
		return;
	/* The agent is looked up before the rest of the body is judged. */
	if (chat_scan(x->body, x->body_length, &body, &e) &&
	    chat_model(&body, name, sizeof(name), &e) &&
	    exchange_route(x, admission, name, strlen(name),
			   http_field(request, "x-atomd-session"), &e) &&
	    chat_parameters(&body, &r, &e) && apply(x, &r, &e) &&
	    set_session(x, &admission->principal, &e) &&
	    exchange_admit(x, &admission->principal, &e))
		exchange_begin(x);
	else
		exchange_refuse(x, admission, &e);
}
