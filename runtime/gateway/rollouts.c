/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/freeze.h"
#include "agent/rollouts.h"

#include "core/json.h"
#include "gateway/control.h"
#include "gateway/handlers.h"

/*
 * Rollouts: how one is, and a person's word to it.  `{id}` is the rollout's, or
 * its agent's name.  All on control.
 */

/* --- the status -------------------------------------------------------------- */

static void on_rollout(struct control_call *call)
{
	json_t *status = rollouts_status(call->params[0]);

	if (status != NULL) {
		control_answer(call, 200, status);
		return;
	}
	api_error_set(&call->error, "not_found", NULL,
		      "there is no rollout of '%.63s', nor one of that id",
		      call->params[0]);
	control_answer_error(call);
}

void handle_rollout(struct http_request *request,
		    const struct admission *admission)
{
	control_call(request, admission, NULL, on_rollout);
}

/* --- orders ------------------------------------------------------------------ */

static void on_ordered(void *argument, atom_status status, json_t *result,
		       const char *message)
{
	struct control_call *call = argument;
	struct atom_error err = ATOM_ERROR_INIT;

	if (status == ATOM_OK) {
		control_note_text(call, "agent",
				  json_text(result, "agent", NULL));
		control_note_text(call, "phase_now",
				  json_text(result, "phase", NULL));
		control_answer(call, 200, result);
		return;
	}
	(void)atom_fail(&err, status, "%s", message);
	/* What is not possible where the rollout is. */
	control_answer_status(call,
			      status == ATOM_ESTATE || status == ATOM_ECANCELED
				      ? ATOM_ECONFLICT
				      : status,
			      "not_found", &err);
}

static void order(struct control_call *call, enum rollout_order order)
{
	if (call->principal.limited) {
		api_error_set(&call->error, "permission_denied", NULL,
			      "a key that is for some agents does not steer "
			      "rollouts");
		control_answer_error(call);
		return;
	}
	rollouts_order(call->params[0], order, on_ordered, call);
}

static void on_promote(struct control_call *call)
{
	const json_t *full;
	json_t *body;
	bool all;

	if (!control_body(call, &body))
		return;
	full = json_object_get(body, "full");
	all = json_is_true(full);
	if (full != NULL && !json_is_boolean(full)) {
		json_decref(body);
		api_error_set(&call->error, "invalid_request", "full",
			      "full: expected true or false");
		control_answer_error(call);
		return;
	}
	json_decref(body);
	order(call, all ? ROLLOUT_ORDER_PROMOTE_FULL : ROLLOUT_ORDER_PROMOTE);
}

static void on_abort(struct control_call *call)
{
	order(call, ROLLOUT_ORDER_ABORT);
}

static void on_pause(struct control_call *call)
{
	order(call, ROLLOUT_ORDER_PAUSE);
}

static void on_resume(struct control_call *call)
{
	order(call, ROLLOUT_ORDER_RESUME);
}

static void on_retry(struct control_call *call)
{
	order(call, ROLLOUT_ORDER_RETRY);
}

void handle_rollout_promote(struct http_request *request,
			    const struct admission *admission)
{
	control_call(request, admission, NULL, on_promote);
}

void handle_rollout_abort(struct http_request *request,
			  const struct admission *admission)
{
	control_call(request, admission, NULL, on_abort);
}

void handle_rollout_pause(struct http_request *request,
			  const struct admission *admission)
{
	control_call(request, admission, NULL, on_pause);
}

void handle_rollout_resume(struct http_request *request,
			   const struct admission *admission)
{
	control_call(request, admission, NULL, on_resume);
}

void handle_rollout_retry(struct http_request *request,
			  const struct admission *admission)
{
	control_call(request, admission, NULL, on_retry);
}

/* --- freeze ------------------------------------------------------------------ */

static void on_frozen(void *argument, atom_status status, json_t *result,
		      const char *message)
{
	struct control_call *call = argument;
	struct atom_error err = ATOM_ERROR_INIT;

	if (status == ATOM_OK) {
		control_answer(call, 200, result);
		return;
	}
	(void)atom_fail(&err, status, "%s", message);
	control_answer_status(call, status, "not_found", &err);
}

static bool may_freeze(struct control_call *call)
{
	if (!call->principal.limited)
		return true;
	api_error_set(&call->error, "permission_denied", NULL,
		      "a key that is for some agents does not freeze all");
	control_answer_error(call);
	return false;
}

static void on_freeze(struct control_call *call)
{
	const json_t *reason;
	json_t *body;

	if (!may_freeze(call) || !control_body(call, &body))
		return;
	reason = json_object_get(body, "reason");
	if (reason != NULL && !json_is_string(reason)) {
		api_error_set(&call->error, "invalid_request", "reason",
			      "reason: expected a string");
		control_answer_error(call);
	} else {
		control_note_text(call, "reason", json_string_value(reason));
		freeze_begin(call->principal.name,
			     json_text(body, "reason", ""), on_frozen, call);
	}
	json_decref(body);
}

static void on_thaw(struct control_call *call)
{
	if (may_freeze(call))
		freeze_end(on_frozen, call);
}

static void on_freeze_read(struct control_call *call)
{
	control_answer(call, 200, freeze_describe());
}

void handle_freeze(struct http_request *request,
		   const struct admission *admission)
{
	control_call(request, admission, NULL, on_freeze);
}

void handle_thaw(struct http_request *request,
		 const struct admission *admission)
{
	control_call(request, admission, NULL, on_thaw);
}

void handle_freeze_read(struct http_request *request,
			const struct admission *admission)
{
	control_call(request, admission, NULL, on_freeze_read);
}
