/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/gateway.h"

#include "core/memory.h"
#include "gateway/admission.h"
#include "gateway/description.h"
#include "gateway/desk.h"
#include "gateway/gateway_priv.h"
#include "gateway/reply.h"

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
		return;
	}
	desk->admitted = NULL;
	reply_error(request, &e);
}

static void on_request(struct http_request *request, void *argument)
{
	struct desk *desk = desk_of(http_loop(request));
	struct admission admission;
	struct api_error e;

	(void)argument;
	/* Another head came in between, or the key's list of agents has to be
	 * looked at, which is known within one iteration only. */
	if (desk->admitted != request || desk->admission.principal.limited) {
		desk->admitted = NULL;
		if (!admission_decide(request, &desk->admission, &e)) {
			reply_error(request, &e);
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
	atom_status status;

	given = *hooks;
	status = route_check(err);
	if (status == ATOM_OK)
		status = api_error_init(err);
	if (status == ATOM_OK)
		status = description_init(err);
	return status;
}

uint64_t gateway_active(void)
{
	return desks_active();
}

void gateway_fini(void)
{
	desks_fini();
	description_fini();
}
