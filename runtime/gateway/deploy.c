/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "agent/agents.h"
#include "agent/changes.h"
#include "agent/rollouts.h"
#include "config/parse.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/text.h"
#include "gateway/control.h"
#include "gateway/gateway_priv.h"
#include "gateway/handlers.h"
#include "gateway/replay.h"

/*
 * Changes of agents, and their revisions.  A request carries an agent's body
 * as libconfig text or as JSON:
 *
 *	{"config": "backend: { plugin = \"echo\"; };" | {"backend":{...}},
 *	 "file"?: a name for messages, "reason"?,
 *	 "replay"?: inputs of a deployment, see replay.h}
 *
 * or, without `config`, is the body itself: {"name"?, "backend":{...}, ...}.
 *
 * All on control.
 */

/* --- the end of a change ----------------------------------------------------- */

static void note_result(struct control_call *call, const json_t *result)
{
	static const char *const numbers[] = { "revision", "from" };

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		const json_t *number = json_object_get(result, numbers[i]);

		if (json_is_integer(number))
			control_note_number(call, numbers[i],
					    json_integer_value(number));
	}
	control_note_text(call, "hash", json_text(result, "hash", NULL));
}

/* What brings the new revision in, where there is such. */
static void add_rollout(json_t *result)
{
	json_t *rollout = rollouts_status(json_text(result, "agent", ""));

	if (json_equal(json_object_get(rollout, "to"),
		       json_object_get(result, "revision")))
		(void)json_object_update_missing(result, rollout);
	json_decref(rollout);
}

/* `status`: of one that changed something. */
static void answer(struct control_call *call, int status_ok, atom_status status,
		   json_t *result, const char *message)
{
	struct atom_error err = ATOM_ERROR_INIT;

	if (status == ATOM_OK) {
		note_result(call, result);
		if (json_is_true(json_object_get(result, "changed")))
			add_rollout(result);
		if (json_is_false(json_object_get(result, "changed")))
			status_ok = 200;
		control_answer(call, status_ok, result);
	} else if (status == ATOM_EINVAL) {
		/* All of the messages go out instead of this one. */
		(void)buffer_append_text(&call->answer, message);
		api_error_set(&call->error, "invalid_request", "config",
			      "the agent's text is not right; nothing has "
			      "changed");
		control_answer_error(call);
	} else {
		(void)atom_fail(&err, status, "%s", message);
		control_answer_status(call, status,
				      agents_know(call->params[0])
					      ? "not_found"
					      : "agent_not_found",
				      &err);
	}
}

static void on_created(void *argument, atom_status status, json_t *result,
		       const char *message)
{
	answer(argument, 201, status, result, message);
}

static void on_changed(void *argument, atom_status status, json_t *result,
		       const char *message)
{
	answer(argument, 202, status, result, message);
}

/* A deployment with what is to be replayed before its first weight. */
struct deployment {
	struct control_call *call;
	json_t *inputs; /* a reference, or NULL */
};

static void on_deployed(void *argument, atom_status status, json_t *result,
			const char *message)
{
	struct deployment *deployment = argument;
	struct control_call *call = deployment->call;
	json_t *inputs = deployment->inputs, *rollout;

	mem_free(deployment);
	if (status == ATOM_OK && inputs != NULL &&
	    json_is_true(json_object_get(result, "changed"))) {
		rollout = rollouts_status(json_text(result, "agent", ""));
		if (rollout != NULL)
			replay_begin(json_text(rollout, "id", ""), inputs);
		json_decref(rollout);
	}
	json_decref(inputs);
	on_changed(call, status, result, message);
}

static void on_done(void *argument, atom_status status, json_t *result,
		    const char *message)
{
	answer(argument, 200, status, result, message);
}

/* --- a request --------------------------------------------------------------- */

static void refuse(struct control_call *call, const char *param,
		   const char *message)
{
	api_error_set(&call->error, "invalid_request", param, "%s", message);
	control_answer_error(call);
}

/* A member that is a text or absent (then ""). */
static bool take_text(struct control_call *call, const json_t *body,
		      const char *name, const char **text_r)
{
	const json_t *value = json_object_get(body, name);
	char message[80];

	*text_r = json_is_string(value) ? json_string_value(value) : "";
	if (value == NULL || json_is_string(value))
		return true;
	(void)snprintf(message, sizeof(message), "%s: expected a string", name);
	refuse(call, name, message);
	return false;
}

/* The name of the client's file without its folder, which means nothing
 * here. */
static const char *file_of(const char *given)
{
	const char *slash = strrchr(given, '/');

	if (slash != NULL)
		given = slash + 1;
	return *given != '\0' ? given : "config";
}

/* A request that is the agent's body itself, without what is ours. */
static atom_status read_bare(const json_t *body, struct setting **setting_r,
			     struct atom_error *err)
{
	static const char *const ours[] = { "file", "reason", "supersede",
					    "replay" };
	json_t *bare = json_deep_copy(body);
	atom_status status;

	if (bare == NULL)
		return atom_fail(err, ATOM_ENOMEM, "no memory");
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		(void)json_object_del(bare, ours[i]);
	status = setting_of_json(bare, NULL, setting_r, err);
	json_decref(bare);
	return status;
}

static bool take_config(struct control_call *call, const json_t *body,
			struct setting **setting_r)
{
	struct buffer errors = BUFFER_INIT((size_t)64 * 1024);
	struct atom_error err = ATOM_ERROR_INIT;
	const json_t *value = json_object_get(body, "config");
	const char *file;
	atom_status status;

	if (!take_text(call, body, "file", &file))
		return false;
	if (json_is_string(value)) {
		status = parse_text(json_string_value(value),
				    json_string_length(value), file_of(file),
				    setting_r, &errors);
	} else if (json_is_object(value)) {
		status = setting_of_json(value, NULL, setting_r, &err);
	} else if (value == NULL && json_object_get(body, "backend") != NULL) {
		status = read_bare(body, setting_r, &err);
	} else {
		refuse(call, "config",
		       "config: expected an agent's body, as libconfig text "
		       "or as an object");
		return false;
	}
	if (status != ATOM_OK && errors.length == 0)
		(void)buffer_append_text(&errors, err.message[0] != '\0'
							  ? err.message
							  : "no memory");
	if (status != ATOM_OK)
		answer(call, 0, ATOM_EINVAL, NULL,
		       errors.length > 0 ? errors.bytes : "no memory");
	buffer_fini(&errors);
	return status == ATOM_OK;
}

static struct record_change change_of(const struct control_call *call,
				      enum record_origin origin,
				      const char *reason)
{
	return (struct record_change){ .origin = origin,
				       .who = call->principal.name,
				       .why = reason };
}

/* --- create, change, delete -------------------------------------------------- */

/* In `name` of the request, else of the agent itself. */
static bool take_name(struct control_call *call, const json_t *body,
		      const struct setting *setting)
{
	const struct setting *own = setting_member(setting, "name");
	const char *name;

	if (call->principal.limited) {
		api_error_set(&call->error, "permission_denied", NULL,
			      "a key that is for some agents makes no others");
		control_answer_error(call);
		return false;
	}
	if (!take_text(call, body, "name", &name))
		return false;
	if (*name == '\0' && own != NULL && own->type == SETTING_STRING)
		name = own->raw;
	if (!text_is_name(name)) {
		refuse(call, "name",
		       "name: expected 1 to 63 of a-z 0-9 _ . - that begin "
		       "with a letter or digit");
		return false;
	}
	(void)snprintf(call->params[0], sizeof(call->params[0]), "%s", name);
	control_note_text(call, "agent", name);
	return true;
}

/* False: it is answered already, and `done` does not come. */
static bool change(struct control_call *call, const json_t *body,
		   enum change_kind kind, bool replay, change_done done,
		   void *argument)
{
	const json_t *supersede;
	struct setting *setting = NULL;
	struct record_change why;
	const char *reason;

	supersede = json_object_get(body, "supersede");
	if (supersede != NULL && !json_is_boolean(supersede)) {
		refuse(call, "supersede", "supersede: expected true or false");
		return false;
	}
	if (kind == CHANGE_DEPLOY && json_is_true(supersede))
		kind = CHANGE_SUPERSEDE;
	if (!take_text(call, body, "reason", &reason) ||
	    !take_config(call, body, &setting))
		return false;
	if (kind == CHANGE_CREATE && !take_name(call, body, setting)) {
		setting_free(&setting);
		return false;
	}
	why = change_of(call, RECORD_API, reason);
	why.replay = replay;
	change_agent(kind, call->params[0], setting, &why,
		     gateway_hooks()->config(), done, argument);
	return true;
}

static void on_create(struct control_call *call)
{
	json_t *body;

	if (!control_body(call, &body))
		return;
	if (json_object_get(body, "replay") != NULL)
		refuse(call, "replay",
		       "replay: a new agent has no revision to compare with");
	else
		(void)change(call, body, CHANGE_CREATE, false, on_created,
			     call);
	json_decref(body);
}

void handle_agent_create(struct http_request *request,
			 const struct admission *admission)
{
	control_call(request, admission, NULL, on_create);
}

static bool take_replay(struct control_call *call, const json_t *body,
			json_t **inputs_r)
{
	json_t *inputs = json_object_get(body, "replay");
	char why[200];

	*inputs_r = inputs;
	if (inputs == NULL || replay_inputs_valid(inputs, why, sizeof(why)))
		return true;
	refuse(call, "replay", why);
	return false;
}

static void on_deploy(struct control_call *call)
{
	struct deployment *deployment;
	json_t *body, *inputs;

	if (!control_body(call, &body))
		return;
	deployment = mem_zalloc(sizeof(*deployment));
	if (deployment == NULL) {
		api_error_set(&call->error, "internal_error", NULL,
			      "no memory");
		control_answer_error(call);
	} else if (!take_replay(call, body, &inputs)) {
		mem_free(deployment);
	} else {
		deployment->call = call;
		deployment->inputs = json_incref(inputs);
		if (inputs != NULL)
			control_note_number(call, "replayed",
					    (int64_t)json_array_size(inputs));
		if (!change(call, body, CHANGE_DEPLOY, inputs != NULL,
			    on_deployed, deployment)) {
			json_decref(deployment->inputs);
			mem_free(deployment);
		}
	}
	json_decref(body);
}

void handle_deploy(struct http_request *request,
		   const struct admission *admission)
{
	control_call(request, admission, NULL, on_deploy);
}

/* What is done already, and what is under way. */
static void on_undone(void *argument, atom_status status, json_t *result,
		      const char *message)
{
	bool done = strcmp(json_text(result, "way", ""), "swap") == 0;

	answer(argument, done ? 200 : 202, status, result, message);
}

static void on_undo(struct control_call *call)
{
	const json_t *to;
	struct record_change why;
	const char *reason;
	json_t *body;

	if (!control_body(call, &body))
		return;
	to = json_object_get(body, "to");
	if (to != NULL && (!json_is_integer(to) || json_integer_value(to) < 1))
		refuse(call, "to", "to: expected the number of a revision");
	else if (take_text(call, body, "reason", &reason)) {
		why = change_of(call, RECORD_UNDO, reason);
		change_undo(call->params[0], json_integer_value(to), &why,
			    gateway_hooks()->config(), on_undone, call);
	}
	json_decref(body);
}

void handle_undo(struct http_request *request,
		 const struct admission *admission)
{
	control_call(request, admission, NULL, on_undo);
}

static void on_delete(struct control_call *call)
{
	struct record_change why = change_of(call, RECORD_API, "");

	change_delete(call->params[0], &why, on_done, call);
}

void handle_agent_delete(struct http_request *request,
			 const struct admission *admission)
{
	control_call(request, admission, NULL, on_delete);
}

/* --- revisions --------------------------------------------------------------- */

static void on_revisions(struct control_call *call)
{
	const char *text = control_query(call, "revision");
	int64_t number = 0;

	if (*text != '\0' && (!text_to_int(text, &number) || number < 1)) {
		refuse(call, "revision",
		       "revision: expected the number of a revision");
		return;
	}
	change_list(call->params[0], number,
		    principal_has(&call->principal, PERMISSION_VIEW_ALL),
		    on_done, call);
}

void handle_revisions(struct http_request *request,
		      const struct admission *admission)
{
	control_call(request, admission, "revision", on_revisions);
}
