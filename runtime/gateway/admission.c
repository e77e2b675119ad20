/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/admission.h"

#include <string.h>

#include "agent/directory.h"
#include "gateway/description.h"

static bool find_route(struct http_request *request, struct admission *a,
		       struct api_error *e)
{
	char allow[ROUTE_ALLOW_MAX];

	switch (route_match(http_method(request), http_path(request), &a->route,
			    &a->params, allow)) {
	case ATOM_OK:
		return true;
	case ATOM_ENOTSUP:
		(void)http_add_field(request, "Allow", allow);
		api_error_set(e, "method_not_allowed", NULL,
			      "%s is not for %.200s; it takes %s",
			      http_method(request), http_path(request), allow);
		return false;
	default:
		api_error_set(e, "not_found", NULL,
			      "there is nothing at %.200s; /docs lists what "
			      "there is",
			      http_path(request));
		return false;
	}
}

static bool lacks_pidfd(const struct http_request *request)
{
	const struct http_peer *peer = http_peer(request);

	return peer->known && peer->pidfd < 0;
}

static bool find_principal(struct http_request *request, struct admission *a,
			   struct api_error *e)
{
	struct atom_error err = ATOM_ERROR_INIT;

	switch (principal_of(request, &a->principal, &err)) {
	case ATOM_OK:
		return true;
	case ATOM_ENOENT:
		api_error_set(e, "invalid_api_key", NULL,
			      "no API key was sent; send the header "
			      "`Authorization: Bearer atm_...`");
		return false;
	case ATOM_EPERM:
		api_error_set(e, "invalid_api_key", NULL, "%s", err.message);
		e->retry_after_ms = err.retry_after_ms;
		/* Locked out: another guess costs it another connection. */
		if (err.retry_after_ms > 0)
			http_close_after(request);
		return false;
	case ATOM_EINVAL:
		api_error_set(e, "permission_denied", NULL, "%s",
			      err.message[0] != '\0'
				      ? err.message
				      : "a request of a foreign Origin or Host "
					"needs an API key");
		return false;
	case ATOM_EUNAVAILABLE:
		api_error_set(e, "state_unavailable", NULL, "%s", err.message);
		e->retry_after_ms = err.retry_after_ms;
		/* Who is there is found out once a connection. */
		if (lacks_pidfd(request))
			http_close_after(request);
		return false;
	default:
		api_error_set(e, "internal_error", NULL, "%s", err.message);
		return false;
	}
}

/* What is done to one agent is only for keys that are for it; so by the path
 * alone, that no row can forget it.  (Calls name their agent elsewhere, and
 * ask admission_agent().) */
static bool check_agent(const struct admission *a, struct api_error *e)
{
	static const char prefix[] = "/admin/v1/agents/{name}";
	const struct route_params *params = &a->params;

	if (strncmp(a->route->pattern, prefix, sizeof(prefix) - 1) != 0 ||
	    principal_is_for(&a->principal, params->at[0], params->length[0]))
		return true;
	api_error_set(e, "permission_denied", NULL,
		      "this key is not for agent %.*s",
		      params->length[0] < 64 ? (int)params->length[0] : 64,
		      params->at[0]);
	return false;
}

bool admission_decide(struct http_request *request, struct admission *a,
		      struct api_error *e)
{
	const struct route *route;
	char names[PERMISSION_TEXT_MAX];

	a->principal.name[0] = '\0';
	a->route = NULL;
	if (!find_route(request, a, e))
		return false;
	route = a->route;
	if ((route->flags & ROUTE_PUBLIC) != 0)
		return true;
	if (!find_principal(request, a, e))
		return false;
	if ((a->principal.permissions & route->permissions) == 0) {
		bool keyless = strcmp(a->principal.name, "anonymous") == 0;

		description_permissions(route->permissions, names);
		api_error_set(e, "permission_denied", NULL,
			      "the role %s%s lacks the permission %s",
			      a->principal.role,
			      keyless ? ", as of all who give no API key," : "",
			      names);
		return false;
	}
	if (!check_agent(a, e))
		return false;
	if ((route->flags & ROUTE_LATER) != 0) {
		api_error_set(e, "not_found", NULL,
			      "%s %s belongs to a later version of atomd",
			      route->method, route->pattern);
		return false;
	}
	return true;
}

bool admission_agent(const struct principal *principal,
		     const struct revision *revision, struct api_error *e)
{
	const char *agent = revision_agent(revision);

	if (principal_may_invoke(principal, agent))
		return true;
	if (strcmp(principal->name, "anonymous") == 0) {
		api_error_set(e, "invalid_api_key", NULL,
			      "agent %s is not for callers without a key; send "
			      "the header `Authorization: Bearer atm_...`",
			      agent);
	} else {
		api_error_set(e, "permission_denied", NULL,
			      "this key is not for agent %s", agent);
	}
	return false;
}
