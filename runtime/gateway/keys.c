/* SPDX-License-Identifier: Apache-2.0 */
#include "security/keys.h"

#include <string.h>

#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"
#include "gateway/control.h"
#include "gateway/handlers.h"
#include "gateway/refusal.h"
#include "security/principal.h"

/* API keys over the API.  The `on_` functions run on control. */

#define NAME_MAX_LENGTH 64
#define AGENTS_MAX	1000
#define PAGE_DEFAULT	1000
#define PAGE_MAX	10000

static bool refuse(struct control_call *call, const char *param,
		   const char *expected)
{
	api_error_set(&call->error, "invalid_request", param, "%s: expected %s",
		      param, expected);
	return false;
}

/* --- list -------------------------------------------------------------------- */

static void on_keys(struct control_call *call)
{
	const char *after = control_query(call, "after");
	const char *limit = control_query(call, "limit");
	int64_t most = PAGE_DEFAULT;
	struct atom_error err = ATOM_ERROR_INIT;
	const char *next;
	json_t *rows;

	/* A part of them would look like all. */
	if (security_knows_keys(&err) != ATOM_OK) {
		control_answer_status(call, ATOM_EUNAVAILABLE, "not_found",
				      &err);
		return;
	}
	if (limit[0] != '\0' &&
	    (!text_to_int(limit, &most) || most < 1 || most > PAGE_MAX)) {
		(void)refuse(call, "limit", "1 to 10000");
		control_answer_error(call);
		return;
	}
	rows = keys_list(after, (size_t)most, &next);
	if (rows == NULL) {
		(void)refuse(call, "after",
			     "the `next` of the page before, an id of a key");
		control_answer_error(call);
		return;
	}
	control_answer(call, 200,
		       json_pack("{s:o,s:s?}", "keys", rows, "next", next));
}

void handle_keys(struct http_request *request,
		 const struct admission *admission)
{
	control_call(request, admission, "after,limit", on_keys);
}

/* --- create ---------------------------------------------------------------------- */

/* "30d" from now, or a time in the future; null or absent: never. */
static bool read_expiry(struct control_call *call, const json_t *value,
			int64_t *expires_ms_r)
{
	static const char expected[] =
		"a duration such as \"30d\", or a time in the future such as "
		"\"2030-01-02T03:04:05Z\"";
	const char *text = json_string_value(value);
	int64_t now_ms = os.realtime_ms(), ms;

	*expires_ms_r = 0;
	if (value == NULL || json_is_null(value))
		return true;
	if (text == NULL || text[0] == '\0')
		return refuse(call, "expires", expected);
	if (text_to_duration(text, 1000, &ms) && ms > 0 &&
	    !__builtin_add_overflow(now_ms, ms, expires_ms_r))
		return true;
	if (text_to_time(text, &ms) && ms > now_ms) {
		*expires_ms_r = ms;
		return true;
	}
	return refuse(call, "expires", expected);
}

/* NULL-ended names out of the list, to be freed; they point into it. */
static bool read_agents(struct control_call *call, const json_t *list,
			const char ***names_r)
{
	static const char expected[] =
		"a list of 1 to 1000 names of agents, or nothing for all";
	const char **names;
	size_t count = json_array_size(list);

	*names_r = NULL;
	if (list == NULL || json_is_null(list))
		return true;
	if (!json_is_array(list) || count == 0 || count > AGENTS_MAX)
		return refuse(call, "agents", expected);
	names = mem_array(count + 1, sizeof(*names));
	if (names == NULL) {
		api_error_set(&call->error, "internal_error", NULL,
			      "no memory");
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		names[i] = json_string_value(json_array_get(list, i));
		if (names[i] == NULL || !text_is_name(names[i])) {
			mem_free(names);
			return refuse(call, "agents", expected);
		}
	}
	*names_r = names;
	return true;
}

static bool read_texts(struct control_call *call, const json_t *body,
		       struct key_request *request)
{
	const json_t *role = json_object_get(body, "role");
	const json_t *name = json_object_get(body, "name");

	request->role = json_string_value(role);
	if (request->role == NULL || request->role[0] == '\0')
		return refuse(call, "role",
			      "admin, operator, read_only, caller, or one of "
			      "security.roles");
	request->name = "";
	if (name == NULL || json_is_null(name))
		return true;
	if (!json_is_string(name) || json_string_length(name) > NAME_MAX_LENGTH)
		return refuse(call, "name", "at most 64 bytes of text");
	request->name = json_string_value(name);
	return true;
}

static bool read_limits(struct control_call *call, const json_t *body,
			struct key_request *request)
{
	const char *wrong;

	if (key_limits_read(json_object_get(body, "limits"), &request->limits,
			    &wrong))
		return true;
	api_error_set(&call->error, "invalid_request", "limits",
		      "limits%s%.40s: expected an object of "
		      "requests_per_minute and tokens_per_minute (at most %d) "
		      "and concurrent (at most %d), each an integer, 0 for no "
		      "limit, or absent for the configuration's",
		      wrong != NULL ? "." : "", wrong != NULL ? wrong : "",
		      CONFIG_RATE_MAX, CONFIG_CONCURRENT_MAX);
	return false;
}

static void on_created(void *argument, atom_status status, json_t *row,
		       const struct atom_error *err)
{
	struct control_call *call = argument;

	if (status == ATOM_OK) {
		control_note_text(
			call, "id",
			json_string_value(json_object_get(row, "id")));
		control_answer(call, 201, json_incref(row));
	} else {
		control_answer_status(call, status, "not_found", err);
	}
}

static void on_create(struct control_call *call)
{
	struct key_request request = {
		.created_by = call->principal.name,
		.allowed = call->principal.permissions,
	};
	const char **names = NULL;
	json_t *body;

	if (!control_body(call, &body))
		return;
	if (read_texts(call, body, &request) &&
	    read_expiry(call, json_object_get(body, "expires"),
			&request.expires_ms) &&
	    read_limits(call, body, &request) &&
	    read_agents(call, json_object_get(body, "agents"), &names)) {
		request.agents = names;
		keys_create(&request, on_created, call);
	} else {
		control_answer_error(call);
	}
	mem_free(names);
	json_decref(body);
}

/* What it would be shown opens more than it does itself. */
static bool may_be_shown_secrets(struct http_request *request,
				 const struct admission *admission)
{
	struct api_error e;

	if (!admission->principal.limited)
		return true;
	api_error_set(&e, "permission_denied", NULL,
		      "a key that is limited to some agents makes no keys");
	refusal_answer(request, admission, NULL, &e);
	return false;
}

void handle_key_create(struct http_request *request,
		       const struct admission *admission)
{
	if (may_be_shown_secrets(request, admission))
		control_call(request, admission, NULL, on_create);
}

/* --- rotate ---------------------------------------------------------------------- */

/* "24h"; 0 or "0s": none; absent or null: a day. */
static bool read_grace(struct control_call *call, const json_t *value,
		       int64_t *grace_ms_r)
{
	const char *text = json_string_value(value);

	*grace_ms_r = KEY_GRACE_MS;
	if (value == NULL || json_is_null(value))
		return true;
	*grace_ms_r = 0;
	if (json_is_integer(value) && json_integer_value(value) == 0)
		return true;
	if (text != NULL && text[0] != '\0' &&
	    text_to_duration(text, 1000, grace_ms_r) && *grace_ms_r >= 0 &&
	    *grace_ms_r <= KEY_GRACE_MAX_MS)
		return true;
	return refuse(call, "grace",
		      "a duration such as \"24h\", at most \"90d\"; 0: the old "
		      "secret ends at once");
}

static void on_rotated(void *argument, atom_status status, json_t *row,
		       const struct atom_error *err)
{
	struct control_call *call = argument;

	if (status == ATOM_OK)
		control_answer(call, 200, json_incref(row));
	else
		control_answer_status(call, status, "not_found", err);
}

static void on_rotate(struct control_call *call)
{
	struct key_rotation request = {
		.allowed = call->principal.permissions,
	};
	json_t *body;

	if (!control_body(call, &body))
		return;
	if (read_grace(call, json_object_get(body, "grace"), &request.grace_ms))
		keys_rotate(call->params[0], &request, on_rotated, call);
	else
		control_answer_error(call);
	json_decref(body);
}

void handle_key_rotate(struct http_request *request,
		       const struct admission *admission)
{
	if (may_be_shown_secrets(request, admission))
		control_call(request, admission, NULL, on_rotate);
}

/* --- revoke ---------------------------------------------------------------------- */

static void on_revoked(void *argument, atom_status status,
		       const struct atom_error *err)
{
	struct control_call *call = argument;

	if (status == ATOM_OK)
		control_answer(call, 200,
			       json_pack("{s:s,s:s}", "id", call->params[0],
					 "state", "revoked"));
	else
		control_answer_status(call, status, "not_found", err);
}

static void on_revoke(struct control_call *call)
{
	keys_revoke(call->params[0], on_revoked, call);
}

void handle_key_revoke(struct http_request *request,
		       const struct admission *admission)
{
	control_call(request, admission, NULL, on_revoke);
}
