/* SPDX-License-Identifier: Apache-2.0 */
#include "core/health.h"

#include "agent/agents.h"
#include "core/metric.h"
#include "gateway/accept.h"
#include "gateway/control.h"
#include "gateway/handlers.h"
#include "gateway/reply.h"

/* What load balancers and Prometheus ask. */

void handle_alive(struct http_request *request,
		  const struct admission *admission)
{
	(void)admission;
	reply_text(request, 200, "application/json", "{\"status\":\"ok\"}");
}

void handle_ready(struct http_request *request,
		  const struct admission *admission)
{
	struct api_error e;
	char why[256] = "";

	(void)admission;
	if (health_ready(why, sizeof(why))) {
		reply_text(request, 200, "application/json",
			   "{\"status\":\"ready\"}");
		return;
	}
	api_error_set(&e, "not_ready", NULL, "not ready: %s", why);
	reply_error(request, &e);
}

/* [control] */
static void render_text(struct control_call *call)
{
	agents_measure();
	(void)metric_render(&call->answer, METRIC_TEXT);
	control_answer_text(call, "text/plain; version=0.0.4; charset=utf-8");
}

/* [control] */
static void render_openmetrics(struct control_call *call)
{
	agents_measure();
	(void)metric_render(&call->answer, METRIC_OPENMETRICS);
	control_answer_text(call, "application/openmetrics-text; "
				  "version=1.0.0; charset=utf-8");
}

void handle_metrics(struct http_request *request,
		    const struct admission *admission)
{
	const char *accept = http_field(request, "accept");

	control_call(request, admission, NULL,
		     accept_openmetrics(accept) ? render_openmetrics
						: render_text);
}
