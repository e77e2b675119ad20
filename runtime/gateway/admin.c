/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "agent/agents.h"
#include "audit/audit.h"
#include "core/health.h"
#include "core/memory.h"
#include "gateway/control.h"
#include "gateway/gateway_priv.h"
#include "gateway/handlers.h"
#include "gateway/sizing.h"
#include "plugin/registry.h"

/* What operators ask and order.  The `on_` functions run on control. */

/* --- status --------------------------------------------------------------------- */

static void on_status(struct control_call *call)
{
	const struct config *config = gateway_hooks()->config();

	control_answer(
		call, 200,
		json_pack("{s:s,s:o,s:o,s:o,s:{s:s,s:I,s:b}}", "system_status",
			  health_system_status(), "audit", audit_describe(),
			  "initialization_results", health_initialization(),
			  "components", health_components(), "configuration",
			  "environment", config->environment, "max_agents",
			  (json_int_t)config->max_agents, "monitoring_enabled",
			  (int)config->monitoring_enabled));
}

void handle_status(struct http_request *request,
		   const struct admission *admission)
{
	control_call(request, admission, NULL, on_status);
}

/* --- agents --------------------------------------------------------------------- */

static void on_agents(struct control_call *call)
{
	agents_measure();
	control_answer(call, 200, json_pack("{s:o}", "agents", agents_list()));
}

void handle_agents(struct http_request *request,
		   const struct admission *admission)
{
	control_call(request, admission, NULL, on_agents);
}

static void no_such_agent(struct control_call *call)
{
	api_error_set(&call->error, "agent_not_found", NULL,
		      "there is no agent named '%s'", call->params[0]);
	control_answer_error(call);
}

static void export_agent(struct control_call *call)
{
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status =
		agents_export(call->params[0], &call->answer, &err);

	if (status == ATOM_OK) {
		control_answer_text(call, "text/plain; charset=utf-8");
		return;
	}
	buffer_clear(&call->answer);
	control_answer_status(call, status, "agent_not_found", &err);
}

static void answer_agent(struct control_call *call,
			 const struct agents_past *past)
{
	json_t *agent = agents_describe(call->params[0]);

	if (agent == NULL) {
		no_such_agent(call);
		return;
	}
	if (!principal_has(&call->principal, PERMISSION_VIEW_ALL))
		(void)json_object_del(agent, "settings");
	if (past != NULL)
		json_object_set_new(agent, "sizing",
				    agents_sizing(call->params[0], past));
	control_answer(call, 200, agent);
}

static void on_agent(struct control_call *call)
{
	bool sees_all = principal_has(&call->principal, PERMISSION_VIEW_ALL);
	bool text = strcmp(control_query(call, "format"), "libconfig") == 0;

	if (text && !sees_all) {
		api_error_set(&call->error, "permission_denied", NULL,
			      "the role %s lacks the permission view_all, "
			      "which an agent's settings need",
			      call->principal.role);
		control_answer_error(call);
		return;
	}
	if (text) {
		export_agent(call);
		return;
	}
	if (control_query(call, "sizing")[0] != '\0')
		sizing_read(call, answer_agent);
	else
		answer_agent(call, NULL);
}

void handle_agent(struct http_request *request,
		  const struct admission *admission)
{
	control_call(request, admission, "format,sizing", on_agent);
}

static void on_scale(struct control_call *call)
{
	struct atom_error err = ATOM_ERROR_INIT;
	const char *name = call->params[0];
	json_t *body, *instances;
	atom_status status = ATOM_EINVAL;

	if (!control_body(call, &body))
		return;
	instances = json_object_get(body, "instances");
	if (json_is_true(json_object_get(body, "auto")) && instances == NULL)
		status = agents_scale_auto(name, &err);
	else if (json_is_integer(instances) &&
		 !json_is_true(json_object_get(body, "auto")))
		status =
			agents_scale(name, json_integer_value(instances), &err);
	else
		atom_fail(&err, status,
			  "expected either {\"instances\": N} or "
			  "{\"auto\": true}");
	json_decref(body);
	if (status != ATOM_OK) {
		control_answer_status(call, status, "agent_not_found", &err);
		return;
	}
	body = agents_describe(name);
	(void)json_object_del(body, "settings");
	control_answer(call, 200, body);
}

void handle_scale(struct http_request *request,
		  const struct admission *admission)
{
	control_call(request, admission, NULL, on_scale);
}

static void on_restart(struct control_call *call)
{
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status = agents_restart(call->params[0], &err);

	if (status == ATOM_OK)
		control_answer(call, 202,
			       json_pack("{s:s,s:b}", "agent", call->params[0],
					 "restarting", 1));
	else
		control_answer_status(call, status, "agent_not_found", &err);
}

void handle_restart(struct http_request *request,
		    const struct admission *admission)
{
	control_call(request, admission, NULL, on_restart);
}

/* --- plugins --------------------------------------------------------------------- */

static void on_plugins(struct control_call *call)
{
	control_answer(call, 200,
		       json_pack("{s:o}", "plugins", registry_list()));
}

void handle_plugins(struct http_request *request,
		    const struct admission *admission)
{
	control_call(request, admission, NULL, on_plugins);
}

static void on_plugin(struct control_call *call)
{
	json_t *plugin = registry_describe(call->params[0], call->params[1]);

	if (plugin != NULL) {
		control_answer(call, 200, plugin);
		return;
	}
	api_error_set(&call->error, "not_found", NULL,
		      "there is no component %s/%s", call->params[0],
		      call->params[1]);
	control_answer_error(call);
}

void handle_plugin(struct http_request *request,
		   const struct admission *admission)
{
	control_call(request, admission, NULL, on_plugin);
}

/* --- reload ---------------------------------------------------------------------- */

struct reload_call {
	struct reload_order order;
	struct control_call *call;
};

static void on_reloaded(struct reload_order *order, atom_status status,
			json_t *result, const char *errors)
{
	struct reload_call *reload =
		CONTAINER_OF(order, struct reload_call, order);
	struct control_call *call = reload->call;

	mem_free(reload);
	if (status == ATOM_OK) {
		control_answer(call, 200,
			       result != NULL ? result : json_object());
		return;
	}
	json_decref(result);
	if (status == ATOM_EBUSY) {
		api_error_set(&call->error, "reload_busy", NULL,
			      "other reloads are under way and wait; try again "
			      "when they have ended");
	} else if (status == ATOM_EUNAVAILABLE) {
		api_error_set(&call->error, "shutting_down", NULL,
			      "atomd is stopping");
	} else {
		/* All of the messages go out instead of this one. */
		(void)buffer_append_text(&call->answer, errors);
		api_error_set(&call->error, "invalid_request", NULL,
			      "the configuration was not read; the running "
			      "one stays");
	}
	control_answer_error(call);
}

static void on_reload(struct control_call *call)
{
	struct reload_call *reload;
	json_t *body, *now;
	bool at_once;

	if (!control_body(call, &body))
		return;
	now = json_object_get(body, "now");
	at_once = json_is_true(now);
	if (now != NULL && !json_is_boolean(now)) {
		json_decref(body);
		api_error_set(&call->error, "invalid_request", "now",
			      "now: expected true or false");
		control_answer_error(call);
		return;
	}
	json_decref(body);
	reload = mem_zalloc(sizeof(*reload));
	if (reload == NULL) {
		api_error_set(&call->error, "internal_error", NULL,
			      "no memory for a reload");
		control_answer_error(call);
		return;
	}
	reload->order.now = at_once;
	reload->order.done = on_reloaded;
	reload->call = call;
	gateway_hooks()->reload(&reload->order);
}

void handle_reload(struct http_request *request,
		   const struct admission *admission)
{
	control_call(request, admission, NULL, on_reload);
}
