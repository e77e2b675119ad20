/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/control.h"

#include <stdio.h>
#include <string.h>

#include "core/json.h"
#include "core/memory.h"
#include "gateway/control_audit.h"
#include "gateway/parameter.h"
#include "gateway/reply.h"

#define ANSWER_MAX ((size_t)256 * 1024 * 1024)
/* An operator's request; a call of an agent may be larger. */
/* An agent's text, and what is replayed with it. */
#define BODY_MAX       ((size_t)4 * 1024 * 1024)
#define QUERY_NAME_MAX 32

static void call_free(struct control_call *call)
{
	control_audit_free(&call->audit);
	mem_free(call->body);
	buffer_fini(&call->answer);
	mem_free(call);
}

/* [loop] */
static void control_free(struct control_call *call)
{
	desk_leave(call->desk);
	call_free(call);
}

static void on_gone(struct http_request *request)
{
	struct control_call *call = http_user(request);

	call->request = NULL;
	http_request_release(request);
}

/* [control] */
static void on_control(struct loop *loop, struct message *message)
{
	struct control_call *call =
		CONTAINER_OF(message, struct control_call, message);

	(void)loop;
	call->json_failures = json_failures();
	control_audit_begin(call);
}

static bool take_body(struct control_call *call, struct api_error *e)
{
	(void)http_body(call->request, &call->body_length);
	if (call->body_length > BODY_MAX) {
		api_error_set(e, "too_large", NULL,
			      "a request to the admin API has at most %zu KiB",
			      BODY_MAX / 1024);
		return false;
	}
	if (call->body_length == 0)
		return true;
	call->body = http_body_take(call->request, &call->body_length);
	if (call->body == NULL)
		api_error_set(e, "internal_error", NULL, "no memory");
	return call->body != NULL;
}

/* `name` holds what *e names. */
static bool read_queries(struct control_call *call, const char *names,
			 char name[QUERY_NAME_MAX], struct api_error *e)
{
	const char *at = names != NULL ? names : "";

	call->query_names = at;
	for (size_t i = 0; i < CONTROL_QUERIES_MAX && *at != '\0'; i++) {
		size_t length = strcspn(at, ",");

		(void)snprintf(name, QUERY_NAME_MAX, "%.*s", (int)length, at);
		if (!parameter_read(call->request, name, call->query[i],
				    sizeof(call->query[i]), e))
			return false;
		at += length;
		at += *at == ',';
	}
	return true;
}

const char *control_query(const struct control_call *call, const char *name)
{
	const char *at = call->query_names;
	size_t length = strlen(name);

	for (size_t i = 0; i < CONTROL_QUERIES_MAX && *at != '\0'; i++) {
		if (strncmp(at, name, length) == 0 &&
		    (at[length] == ',' || at[length] == '\0'))
			return call->query[i];
		at += strcspn(at, ",");
		at += *at == ',';
	}
	return "";
}

void control_call(struct http_request *request,
		  const struct admission *admission, const char *query,
		  void (*run)(struct control_call *call))
{
	const struct route_params *params = &admission->params;
	struct control_call *call = mem_zalloc(sizeof(*call));
	char name[QUERY_NAME_MAX];
	struct api_error e;

	if (call == NULL) {
		api_error_set(&e, "internal_error", NULL, "no memory");
		reply_error(request, &e);
		return;
	}
	call->loop = http_loop(request);
	call->desk = desk_of(call->loop);
	call->request = request;
	call->run = run;
	call->route = admission->route;
	call->principal = admission->principal;
	call->principal.agents = NULL;
	(void)snprintf(call->address, sizeof(call->address), "%s",
		       http_client_address(request));
	(void)snprintf(call->request_id, sizeof(call->request_id), "%s",
		       http_request_id(request));
	buffer_init(&call->answer, ANSWER_MAX);
	desk_enter(call->desk);
	for (size_t i = 0; i < ROUTE_PARAMS_MAX; i++)
		(void)snprintf(call->params[i], sizeof(call->params[i]), "%.*s",
			       (int)params->length[i],
			       params->at[i] != NULL ? params->at[i] : "");
	if (!read_queries(call, query, name, &e) || !take_body(call, &e)) {
		reply_error(request, &e);
		control_free(call);
		return;
	}
	http_set_user(request, call);
	http_on_gone(request, on_gone);
	call->message.deliver = on_control;
	loop_post(loop_control(), &call->message);
}

bool control_body(struct control_call *call, json_t **object_r)
{
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status = ATOM_OK;
	json_t *value = NULL;

	if (call->body_length == 0)
		value = json_object();
	else
		status = json_decode(call->body, call->body_length, &value,
				     &err);
	if (status == ATOM_ENOMEM || (status == ATOM_OK && value == NULL)) {
		api_error_set(&call->error, "internal_error", NULL,
			      "no memory for the body");
		control_answer_error(call);
		return false;
	}
	if (status != ATOM_OK) {
		api_error_set(&call->error, "invalid_request", NULL,
			      "the body is no JSON: %s", err.message);
		control_answer_error(call);
		return false;
	}
	if (json_is_object(value)) {
		*object_r = value;
		return true;
	}
	json_decref(value);
	api_error_set(&call->error, "invalid_request", NULL,
		      "the body: expected a JSON object");
	control_answer_error(call);
	return false;
}

/* --- the way back ------------------------------------------------------------ */

/* [loop] */
static void on_answered(struct loop *loop, struct message *message)
{
	struct control_call *call =
		CONTAINER_OF(message, struct control_call, message);
	struct http_request *request = call->request;

	(void)loop;
	if (request != NULL && call->unrecorded)
		(void)http_add_field(request, "x-atomd-audit", "pending");
	if (request != NULL && call->error.status != 0) {
		/* What is longer than an error's message is in `answer`. */
		api_error_answer_long(
			request, &call->error,
			call->answer.length > 0 ? call->answer.bytes : NULL);
		http_request_release(request);
	} else if (request != NULL) {
		reply_buffer(request, call->status, call->content_type,
			     &call->answer);
	}
	control_free(call);
}

void control_post_back(struct control_call *call)
{
	/* All connections were closed before its loop was to end. */
	if (!loops_running()) {
		call_free(call);
		return;
	}
	call->message.deliver = on_answered;
	loop_post(call->loop, &call->message);
}

/* Its outcome is recorded first. */
static void post_back(struct control_call *call)
{
	control_audit_end(call);
}

void control_answer(struct control_call *call, int status, json_t *value)
{
	call->status = status;
	call->content_type = "application/json";
	/* A member or a row that there was no memory for is missing only. */
	if (value == NULL || json_failures() != call->json_failures ||
	    json_encode(value, &call->answer) != ATOM_OK) {
		buffer_clear(&call->answer);
		api_error_set(&call->error, "internal_error", NULL,
			      "no memory for the answer");
	}
	json_decref(value);
	post_back(call);
}

void control_answer_text(struct control_call *call, const char *content_type)
{
	call->status = 200;
	call->content_type = content_type;
	post_back(call);
}

void control_answer_error(struct control_call *call)
{
	post_back(call);
}

void control_answer_status(struct control_call *call, atom_status status,
			   const char *missing, const struct atom_error *err)
{
	const char *code = "internal_error";

	switch (status) {
	case ATOM_ENOENT:
		code = missing;
		break;
	case ATOM_EINVAL:
	case ATOM_ENOTSUP:
		code = "invalid_request";
		break;
	case ATOM_EPERM:
		code = "permission_denied";
		break;
	case ATOM_ECONFLICT:
		code = "conflict";
		break;
	case ATOM_ELIMIT:
	case ATOM_EQUOTA:
		code = "rate_limit_exceeded";
		break;
	case ATOM_EIO:
	case ATOM_EBUSY:
	case ATOM_ETIMEOUT:
	case ATOM_EDATALOSS:
	case ATOM_EUNAVAILABLE:
		code = "state_unavailable";
		break;
	default:
		break;
	}
	api_error_set(&call->error, code, NULL, "%s",
		      err != NULL && err->message[0] != '\0' ? err->message
		      : status == ATOM_ENOMEM		     ? "no memory"
							     : "it failed");
	control_answer_error(call);
}
