/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/route.h"

#include <stdio.h>
#include <string.h>

bool route_fits(const char *pattern, const char *path,
		struct route_params *params_r)
{
	size_t n = 0;

	while (*pattern != '\0') {
		size_t length;

		if (*pattern != '{') {
			if (*pattern++ != *path++)
				return false;
			continue;
		}
		length = strcspn(path, "/");
		if (length == 0 || length > ROUTE_PARAM_MAX ||
		    n == ROUTE_PARAMS_MAX)
			return false;
		params_r->at[n] = path;
		params_r->length[n++] = length;
		path += length;
		pattern += strcspn(pattern, "}") + 1;
	}
	return *path == '\0';
}

static bool method_fits(const struct route *route, const char *method)
{
	return strcmp(route->method, method) == 0 ||
	       (strcmp(route->method, "GET") == 0 &&
		strcmp(method, "HEAD") == 0);
}

/* "GET" is "GET, HEAD" to the world. */
static void add_method(char allow[ROUTE_ALLOW_MAX], const char *method)
{
	size_t used = strlen(allow);

	(void)snprintf(allow + used, ROUTE_ALLOW_MAX - used, "%s%s%s",
		       used > 0 ? ", " : "", method,
		       strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

atom_status route_match(const char *method, const char *path,
			const struct route **route_r,
			struct route_params *params_r,
			char allow[ROUTE_ALLOW_MAX])
{
	struct route_params params = { { NULL, NULL }, { 0, 0 } };

	allow[0] = '\0';
	for (size_t i = 0; i < route_count; i++) {
		const struct route *route = &routes[i];

		if (!route_fits(route->pattern, path, &params))
			continue;
		if (method_fits(route, method)) {
			*route_r = route;
			*params_r = params;
			return ATOM_OK;
		}
		if ((route->flags & ROUTE_LATER) == 0)
			add_method(allow, route->method);
	}
	return allow[0] != '\0' ? ATOM_ENOTSUP : ATOM_ENOENT;
}

static bool is_twice(const struct route *rows, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (strcmp(rows[i].method, rows[at].method) == 0 &&
		    strcmp(rows[i].pattern, rows[at].pattern) == 0)
			return true;
	return false;
}

static const char *fault_of(const struct route *rows, size_t at)
{
	const struct route *route = &rows[at];
	bool public = (route->flags & ROUTE_PUBLIC) != 0;
	bool later = (route->flags & ROUTE_LATER) != 0;

	if (public == (route->permissions != 0))
		return "it must either need a permission or be public";
	if (later == (route->handle != NULL))
		return "it must either have a handler or be of a later "
		       "version";
	if (!later && strcmp(route->method, "GET") != 0 &&
	    (route->flags & ROUTE_STREAMS) == 0 &&
	    audit_event_row(route->audit) == NULL)
		return "it changes something and names no audit event";
	return is_twice(rows, at) ? "it is in the table twice" : NULL;
}

atom_status route_check(const struct route *rows, size_t count,
			struct atom_error *err)
{
	for (size_t i = 0; i < count; i++) {
		const char *fault = fault_of(rows, i);

		if (fault != NULL)
			return atom_fail(err, ATOM_EINTERNAL, "route %s %s: %s",
					 rows[i].method, rows[i].pattern,
					 fault);
	}
	return ATOM_OK;
}
