/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CONTROL_H
#define GATEWAY_CONTROL_H

/*
 * Requests that are control's business: posted to the control thread with
 * all they need, and their answers posted back to the loop of the request.
 * The client may leave meanwhile; then the answer is thrown away.
 *
 *	[loop] control_call -> [control] the intent is recorded, run ...
 *	       control_answer*() once, the outcome is recorded
 *	       -> [loop] the request is answered and released
 *
 * What is recorded stands in the route's row; see control_audit.h.
 */

#include <stdbool.h>

#include <jansson.h>

#include "core/id.h"
#include "core/loop.h"
#include "gateway/admission.h"
#include "gateway/desk.h"

#define CONTROL_QUERIES_MAX 3
#define CONTROL_QUERY_MAX   256
struct control_audit;

struct control_call {
	struct message message;
	struct loop *loop;
	struct desk *desk;
	struct http_request *request; /* the loop's own; NULL once gone */
	void (*run)(struct control_call *call);

	/* --- for run --- */
	const struct route *route;
	struct principal principal;	/* `key` must not be used */
	char address[ADDRESS_TEXT_MAX]; /* of the client */
	char request_id[ID_MAX];
	char params[ROUTE_PARAMS_MAX][ROUTE_PARAM_MAX + 1];
	/* Values of the parameters that control_call() was told of. */
	const char *query_names;
	char query[CONTROL_QUERIES_MAX][CONTROL_QUERY_MAX];
	char *body;
	size_t body_length;

	/* --- the answer --- */
	int status;
	const char *content_type;
	unsigned int json_failures; /* when it came to control */
	struct buffer answer;
	struct api_error error;
	struct control_audit *audit; /* NULL: nothing is recorded */
	bool unrecorded;	     /* its outcome is not durable yet */
};

/* [loop] `query` (may be NULL) names the query parameters that run needs: a
 * literal, with commas between, at most CONTROL_QUERIES_MAX. */
void control_call(struct http_request *request,
		  const struct admission *admission, const char *query,
		  void (*run)(struct control_call *call));

/* [control] The value of one of them; "" when it is absent or too long. */
const char *control_query(const struct control_call *call, const char *name);

/* [control] The body as a JSON object, {} when there is none.  False: the
 * call has been answered with what is wrong. */
bool control_body(struct control_call *call, json_t **object_r);

/* [control] The outcome's record has these details, too: what came of it.
 * `name` is a literal. */
void control_note_text(struct control_call *call, const char *name,
		       const char *text);
void control_note_number(struct control_call *call, const char *name,
			 int64_t number);

/* [control] Exactly one of these, at once or later; the call is gone then. */
void control_answer(struct control_call *call, int status, json_t *value);
/* What was appended to call->answer. */
void control_answer_text(struct control_call *call, const char *content_type);
/* What was set in call->error. */
void control_answer_error(struct control_call *call);
/* By the status: ENOENT is `missing`, EINVAL 400, EPERM 403, ECONFLICT 409, ELIMIT 429,
 * the store's failures 503. */
void control_answer_status(struct control_call *call, atom_status status,
			   const char *missing, const struct atom_error *err);

#endif
