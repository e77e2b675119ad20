/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/gateway.h"

#include "core/memory.h"
#include "gateway/admission.h"
#include "gateway/dashboard.h"
#include "gateway/description.h"
#include "gateway/desk.h"
#include "gateway/feed.h"
#include "gateway/replay.h"
#include "gateway/gateway_priv.h"
#include "gateway/overview.h"
#include "gateway/probes.h"
#include "gateway/refusal.h"
#include "gateway/route.h"

/* A body that takes longer is judged again at its end: what was revoked
 * meanwhile must not go on (within 1 s). */
#define ADMITTED_MS 500

static struct gateway_hooks given;

/* Who may come in is decided when the head is there.  A short body is there
 * too, and the request comes back at once: what was decided waits on the desk
 * for it. */
static void on_head(struct http_request *request, void *argument)
{
	struct desk *desk = desk_of(http_loop(request));
	struct api_error e;

	(void)argument;
	if (admission_decide(request, &desk->admission, &e)) {
		desk->admitted = request;
		desk->admitted_ms = loop_now_ms(http_loop(request));
		return;
	}
	desk->admitted = NULL;
	refusal_answer(request, &desk->admission, NULL, &e);
}

static bool is_stale(const struct desk *desk,
		     const struct http_request *request)
{
	return desk->admitted != request ||
	       loop_now_ms(http_loop(request)) - desk->admitted_ms >
		       ADMITTED_MS;
}

static void on_request(struct http_request *request, void *argument)
{
	struct desk *desk = desk_of(http_loop(request));
	struct admission admission;
	struct api_error e;

	(void)argument;
	if (refusal_is_pending(request))
		return;
	/* Another head came in between, or the key's list of agents has to be
	 * looked at, which is known within one iteration only. */
	if (is_stale(desk, request) || desk->admission.principal.limited) {
		desk->admitted = NULL;
		if (!admission_decide(request, &desk->admission, &e)) {
			refusal_answer(request, &desk->admission, NULL, &e);
			return;
		}
	}
	desk->admitted = NULL;
	/* A copy: answering may let the connection's next head in. */
	admission = desk->admission;
	admission.route->handle(request, &admission);
}

static const struct http_handler handler = {
	.on_head = on_head,
	.on_request = on_request,
};

const struct http_handler *gateway_handler(void)
{
	return &handler;
}

const struct gateway_hooks *gateway_hooks(void)
{
	return &given;
}

atom_status gateway_init(const struct gateway_hooks *hooks,
			 struct atom_error *err)
{
	const struct workflow_outside outside = {
		.preview = gateway_preview,
		.cancel = gateway_preview_cancel,
		.config = hooks->config,
		.comply = gateway_comply,
	};
	atom_status status;

	given = *hooks;
	workflow_set_outside(&outside);
	status = route_check(routes, route_count, err);
	if (status == ATOM_OK)
		status = api_error_init(err);
	if (status == ATOM_OK)
		status = description_init(err);
	if (status == ATOM_OK)
		status = dashboard_init(err);
	if (status == ATOM_OK)
		status = feed_init(err);
	if (status == ATOM_OK)
		status = probes_init(err);
	return status;
}

void gateway_tick(void)
{
	refusals_tick();
	overview_tick();
	probes_tick();
}

void gateway_stopping(void)
{
	feed_end();
}

void gateway_event(const char *name, const char *agent,
		   const struct atom_span *json)
{
	feed_event(name, agent, json);
}

uint64_t gateway_active(void)
{
	return desks_active();
}

void gateway_fini(void)
{
	probes_fini();
	desks_fini();
	feed_fini();
	dashboard_fini();
	replays_fini();
	description_fini();
}
