/* SPDX-License-Identifier: Apache-2.0 */
#include "compliance/compliance.h"

#include <stdio.h>
#include <string.h>

#include "audit/audit.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"
#include "gateway/control.h"
#include "gateway/gateway_priv.h"
#include "gateway/handlers.h"
#include "security/role.h"

/* The compliance report over the API.  The `on_` functions run on control. */

#define LISTENERS_MAX	  64
#define REASON_MAX	  1000
#define ACCEPTED_DAYS	  90
#define ACCEPTED_DAYS_MAX 366
#define DAY_MS		  ((int64_t)24 * 3600 * 1000)
/* Stands for every {name}: nothing of that name is ever there. */
#define NOBODY "compliance-probe"

/* A pattern's path, with a name that does not exist. */
static void fill_path(const char *pattern, char path[COMPLIANCE_PATH_MAX])
{
	size_t length = 0;

	while (*pattern != '\0' &&
	       length + sizeof(NOBODY) < COMPLIANCE_PATH_MAX) {
		if (*pattern != '{') {
			path[length++] = *pattern++;
			continue;
		}
		memcpy(path + length, NOBODY, sizeof(NOBODY) - 1);
		length += sizeof(NOBODY) - 1;
		pattern += strcspn(pattern, "}");
		pattern += *pattern == '}';
	}
	path[length] = '\0';
}

/* Who asked, and what came of it. */
static void record_run(const struct control_call *call, const json_t *report)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_COMPLIANCE_RUN);
	json_t *counts = json_object_get(report, "summary"), *count;
	const char *name;

	record.user = call->principal.name;
	json_object_foreach(counts, name, count)
	{
		audit_number(&record, name, json_integer_value(count));
	}
	(void)audit_post(&record, AUDIT_SOON, NULL);
}

static void on_report(void *argument, atom_status status, json_t *report,
		      const struct atom_error *err)
{
	struct control_call *call = argument;

	if (status != ATOM_OK) {
		control_answer_status(call, status, "not_found", err);
		return;
	}
	record_run(call, report);
	control_answer(call, 200, json_incref(report));
}

/* False: no memory, and nothing is told. */
static bool run(compliance_done done, void *argument)
{
	const uint32_t caller = role_permissions("caller");
	const char *addresses[LISTENERS_MAX + 1] = { NULL };
	struct compliance_route *asked = mem_array(route_count, sizeof(*asked));
	struct compliance_subject subject = {
		.config = gateway_hooks()->config(),
		.addresses = addresses,
		.routes = asked,
		.route_count = route_count,
	};

	if (asked == NULL)
		return false;
	for (size_t i = 0; i < route_count; i++) {
		asked[i].method = routes[i].method;
		fill_path(routes[i].pattern, asked[i].path);
		asked[i].is_public = (routes[i].flags & ROUTE_PUBLIC) != 0;
		asked[i].caller_may = (routes[i].permissions & caller) != 0;
	}
	for (size_t i = 0; i < LISTENERS_MAX; i++) {
		addresses[i] = gateway_hooks()->address(i);
		if (addresses[i] == NULL)
			break;
	}
	compliance_run(&subject, done, argument);
	mem_free(asked);
	return true;
}

static void on_compliance(struct control_call *call)
{
	if (run(on_report, call))
		return;
	api_error_set(&call->error, "internal_error", NULL, "no memory");
	control_answer_error(call);
}

void gateway_comply(compliance_done done, void *argument)
{
	struct atom_error err = ATOM_ERROR_INIT;

	if (run(done, argument))
		return;
	(void)atom_fail(&err, ATOM_ENOMEM, "no memory");
	done(argument, ATOM_ENOMEM, NULL, &err);
}

void handle_compliance(struct http_request *request,
		       const struct admission *admission)
{
	control_call(request, admission, NULL, on_compliance);
}

/* --- what may pass --------------------------------------------------------------- */

struct acceptance_call {
	struct control_call *call;
	json_t *body;
};

static void on_accepted(void *argument, atom_status status,
			const struct atom_error *err)
{
	struct acceptance_call *a = argument;

	if (status == ATOM_OK)
		control_answer(a->call, 201, TAKE(a->body));
	else
		control_answer_status(a->call, status, "not_found", err);
	json_decref(a->body);
	mem_free(a);
}

static bool refuse(struct control_call *call, const char *param,
		   const char *expected)
{
	api_error_set(&call->error, "invalid_request", param, "%s: expected %s",
		      param, expected);
	return false;
}

static bool read_acceptance(struct control_call *call, const json_t *body,
			    struct compliance_acceptance *a)
{
	const json_t *expires = json_object_get(body, "expires");
	int64_t ms = ACCEPTED_DAYS * DAY_MS;

	a->id = json_string_value(json_object_get(body, "id"));
	a->reason = json_string_value(json_object_get(body, "reason"));
	a->user = call->principal.name;
	if (a->id == NULL || a->id[0] == '\0')
		return refuse(call, "id", "the id of a check");
	if (a->reason == NULL || a->reason[0] == '\0' ||
	    strlen(a->reason) > REASON_MAX)
		return refuse(call, "reason",
			      "why it may pass, at most 1000 bytes of text");
	if (expires != NULL && !json_is_null(expires) &&
	    (!json_is_string(expires) ||
	     !text_to_duration(json_string_value(expires), 1000, &ms) ||
	     ms <= 0 || ms > ACCEPTED_DAYS_MAX * DAY_MS))
		return refuse(call, "expires",
			      "a duration of at most 366 days such as \"30d\"");
	a->expires_ms = os.realtime_ms() + ms;
	return true;
}

static void on_accept(struct control_call *call)
{
	struct acceptance_call *a = mem_zalloc(sizeof(*a));
	struct compliance_acceptance acceptance;

	if (a == NULL) {
		api_error_set(&call->error, "internal_error", NULL,
			      "no memory");
		control_answer_error(call);
		return;
	}
	a->call = call;
	if (!control_body(call, &a->body)) {
		mem_free(a);
		return;
	}
	if (read_acceptance(call, a->body, &acceptance)) {
		compliance_accept(&acceptance, on_accepted, a);
		return;
	}
	control_answer_error(call);
	json_decref(a->body);
	mem_free(a);
}

void handle_compliance_accept(struct http_request *request,
			      const struct admission *admission)
{
	control_call(request, admission, NULL, on_accept);
}
