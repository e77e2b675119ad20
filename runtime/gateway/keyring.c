/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/control.h"
#include "gateway/handlers.h"
#include "security/encryption.h"

/* Encryption at rest over the API.  The `on_` functions run on control. */

static void answer_status(struct control_call *call, int code)
{
	json_t *status = encryption_status();

	if (status != NULL) {
		control_answer(call, code, status);
		return;
	}
	api_error_set(&call->error, "state_unavailable", NULL,
		      "there is no keyring: the store could not be read at "
		      "the start");
	control_answer_error(call);
}

static void on_keyring(struct control_call *call)
{
	answer_status(call, 200);
}

void handle_keyring(struct http_request *request,
		    const struct admission *admission)
{
	control_call(request, admission, NULL, on_keyring);
}

static void on_rotated(void *argument, atom_status status,
		       const struct atom_error *err)
{
	struct control_call *call = argument;

	if (status == ATOM_OK)
		answer_status(call, 200);
	else
		control_answer_status(call, status, "not_found", err);
}

static void on_rotate(struct control_call *call)
{
	encryption_rotate(on_rotated, call);
}

void handle_keyring_rotate(struct http_request *request,
			   const struct admission *admission)
{
	control_call(request, admission, NULL, on_rotate);
}

static void on_rewrapping(void *argument, atom_status status,
			  const struct atom_error *err)
{
	struct control_call *call = argument;

	if (status == ATOM_OK)
		answer_status(call, 202);
	else
		control_answer_status(call, status, "not_found", err);
}

static void on_rewrap(struct control_call *call)
{
	const json_t *retire;
	json_int_t version = 0;
	json_t *body;

	if (!control_body(call, &body))
		return;
	retire = json_object_get(body, "retire");
	if (json_is_integer(retire))
		version = json_integer_value(retire);
	if ((retire == NULL || json_is_integer(retire)) &&
	    version >= (retire != NULL) && version <= UINT32_MAX) {
		encryption_rewrap((uint32_t)version, on_rewrapping, call);
	} else {
		api_error_set(&call->error, "invalid_request", "retire",
			      "retire: expected a key version, a number from "
			      "1 on");
		control_answer_error(call);
	}
	json_decref(body);
}

void handle_keyring_rewrap(struct http_request *request,
			   const struct admission *admission)
{
	control_call(request, admission, NULL, on_rewrap);
}
