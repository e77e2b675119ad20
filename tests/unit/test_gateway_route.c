/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The route table: what fits a pattern, what a path's methods are, and that
 * no row is open by accident; and the description that is made of it.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "gateway/description.h"
#include "gateway/route.h"
#include "security/principal.h"

static const struct route *find(const char *method, const char *path)
{
	const struct route *route = NULL;
	struct route_params params;
	char allow[ROUTE_ALLOW_MAX];

	return route_match(method, path, &route, &params, allow) == ATOM_OK
		       ? route
		       : NULL;
}

Test(gateway_route, names_stand_for_one_segment_that_is_not_empty)
{
	static const struct {
		const char *pattern;
		const char *path;
		bool fits;
	} cases[] = {
		{ "/", "/", true },
		{ "/", "//", false },
		{ "/healthz", "/healthz", true },
		{ "/healthz", "/healthz/", false },
		{ "/healthz", "/health", false },
		{ "/v1/models/{name}", "/v1/models/a", true },
		{ "/v1/models/{name}", "/v1/models/", false },
		{ "/v1/models/{name}", "/v1/models", false },
		{ "/v1/models/{name}", "/v1/models/a/b", false },
		{ "/a/{x}/b/{y}", "/a/1/b/2", true },
		{ "/a/{x}/b/{y}", "/a//b/2", false },
		{ "/a/{x}/b/{y}", "/a/1/b/2/", false },
	};
	struct route_params params;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_assert_eq(
			route_fits(cases[i].pattern, cases[i].path, &params),
			cases[i].fits, "%s against %s", cases[i].path,
			cases[i].pattern);
}

Test(gateway_route, params_are_where_they_stand_in_the_path)
{
	static const char path[] = "/v1/agents/echo/sessions/s-1";
	struct route_params params;

	cr_assert(route_fits("/v1/agents/{name}/sessions/{id}", path, &params));
	cr_assert_eq(params.length[0], 4);
	cr_assert_eq(memcmp(params.at[0], "echo", 4), 0);
	cr_assert_eq(params.length[1], 3);
	cr_assert_eq(memcmp(params.at[1], "s-1", 3), 0);
}

Test(gateway_route, a_segment_that_is_too_long_matches_nothing)
{
	char path[512] = "/v1/models/";
	struct route_params params;
	size_t start = strlen(path);

	memset(path + start, 'a', ROUTE_PARAM_MAX);
	cr_assert(route_fits("/v1/models/{name}", path, &params));
	path[start + ROUTE_PARAM_MAX] = 'a';
	cr_assert_not(route_fits("/v1/models/{name}", path, &params));
}

Test(gateway_route, the_methods_of_a_path_are_told)
{
	static const struct {
		const char *method;
		const char *path;
		const char *allow;
	} cases[] = {
		{ "GET", "/v1/chat/completions", "POST" },
		{ "OPTIONS", "/v1/chat/completions", "POST" },
		{ "POST", "/healthz", "GET, HEAD" },
		{ "POST", "/v1/agents/a/sessions/s", "GET, HEAD, DELETE" },
		{ "PATCH", "/admin/v1/keys", "GET, HEAD, POST" },
	};
	const struct route *route;
	struct route_params params;
	char allow[ROUTE_ALLOW_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_assert_eq(route_match(cases[i].method, cases[i].path, &route,
					 &params, allow),
			     ATOM_ENOTSUP, "%s %s", cases[i].method,
			     cases[i].path);
		cr_assert_str_eq(allow, cases[i].allow);
	}
}

Test(gateway_route, head_goes_where_get_goes)
{
	cr_assert_eq(find("HEAD", "/openapi.json"),
		     find("GET", "/openapi.json"));
	cr_assert_not_null(find("HEAD", "/openapi.json"));
	cr_assert_null(find("HEAD", "/v1/chat/completions"));
}

Test(gateway_route, later_routes_are_known_but_offer_no_method)
{
	const struct route *route = find("POST", "/v1/topics/t");
	struct route_params params;
	char allow[ROUTE_ALLOW_MAX];

	cr_assert_not_null(route);
	cr_assert(route->flags & ROUTE_LATER);
	cr_assert_neq(route->permissions, 0);
	cr_assert_eq(route_match("GET", "/v1/topics/t", &route, &params, allow),
		     ATOM_ENOENT);
}

Test(gateway_route, paths_that_are_nowhere_are_not_found)
{
	static const char *const paths[] = {
		"/nowhere",  "/v1",    "/v1/",
		"//healthz", "/admin", "/v1/agents/a/invoke/more"
	};
	const struct route *route;
	struct route_params params;
	char allow[ROUTE_ALLOW_MAX];

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		cr_assert_eq(
			route_match("GET", paths[i], &route, &params, allow),
			ATOM_ENOENT, "%s", paths[i]);
}

Test(gateway_route, every_row_has_a_permission_or_is_public_on_purpose)
{
	static const char *const public[] = {
		"/healthz", "/readyz", "/openapi.json",
		"/docs",    "/",       "/dashboard/{file}"
	};
	struct atom_error err = ATOM_ERROR_INIT;
	size_t found = 0;

	cr_assert_eq(route_check(routes, route_count, &err), ATOM_OK, "%s",
		     err.message);
	for (size_t i = 0; i < route_count; i++) {
		bool listed = false;

		for (size_t k = 0; k < sizeof(public) / sizeof(public[0]); k++)
			listed |= strcmp(routes[i].pattern, public[k]) == 0;
		cr_assert_eq((routes[i].flags & ROUTE_PUBLIC) != 0, listed,
			     "%s", routes[i].pattern);
		found += listed;
	}
	cr_assert_eq(found, sizeof(public) / sizeof(public[0]));
}

static void nothing(struct http_request *request,
		    const struct admission *admission)
{
	(void)request;
	(void)admission;
}

/* gateway_init() gives up with it, and the daemon with that. */
Test(gateway_route, a_row_that_is_open_by_accident_fails_the_start)
{
	static const struct {
		struct route row;
		const char *fault;
	} cases[] = {
		{ { .permissions = 0, .handle = nothing },
		  "either need a permission or be public" },
		{ { .permissions = PERMISSION_VIEW_ALL,
		    .flags = ROUTE_PUBLIC,
		    .handle = nothing },
		  "either need a permission or be public" },
		{ { .permissions = PERMISSION_VIEW_ALL },
		  "either have a handler or be of a later version" },
		{ { .permissions = PERMISSION_VIEW_ALL,
		    .flags = ROUTE_LATER,
		    .handle = nothing },
		  "either have a handler or be of a later version" },
		{ { .flags = ROUTE_LATER }, "either need a permission" },
	};
	struct route sound = { .method = "GET",
			       .pattern = "/x",
			       .permissions = PERMISSION_VIEW_ALL,
			       .handle = nothing };
	struct atom_error err = ATOM_ERROR_INIT;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct route rows[2] = { sound, cases[i].row };

		rows[1].method = "POST";
		rows[1].pattern = "/y";
		cr_assert_eq(route_check(rows, 2, &err), ATOM_EINTERNAL, "%zu",
			     i);
		cr_assert_not_null(strstr(err.message, "POST /y"));
		cr_assert_not_null(strstr(err.message, cases[i].fault), "%s",
				   err.message);
	}
	{
		struct route rows[2] = { sound, sound };

		cr_assert_eq(route_check(rows, 1, &err), ATOM_OK);
		cr_assert_eq(route_check(rows, 2, &err), ATOM_EINTERNAL);
		/* What changes something is recorded. */
		rows[1].method = "PUT";
		cr_assert_eq(route_check(rows, 2, &err), ATOM_EINTERNAL);
		cr_assert_not_null(strstr(err.message, "names no audit event"),
				   "%s", err.message);
		rows[1].audit = AUDIT_CONFIG_RELOAD;
		cr_assert_eq(route_check(rows, 2, &err), ATOM_OK);
	}
}

Test(gateway_route, keys_are_made_and_revoked_by_modify_config_alone)
{
	cr_assert_eq(find("POST", "/admin/v1/keys")->permissions,
		     PERMISSION_MODIFY_CONFIG);
	cr_assert_eq(find("DELETE", "/admin/v1/keys/x")->permissions,
		     PERMISSION_MODIFY_CONFIG);
	cr_assert_eq(find("GET", "/admin/v1/keys")->permissions,
		     PERMISSION_VIEW_ALL);
	cr_assert_eq(find("POST", "/admin/v1/agents/a/restart")->permissions,
		     PERMISSION_RESTART_AGENT);
}

/* --- the description ------------------------------------------------------- */

static json_t *description(void)
{
	struct buffer text = BUFFER_INIT(1 << 20);
	struct atom_error err = ATOM_ERROR_INIT;
	json_error_t error;
	json_t *document;

	cr_assert_eq(openapi_build(&text, &err), ATOM_OK, "%s", err.message);
	document = json_loadb(text.bytes, text.length, JSON_REJECT_DUPLICATES,
			      &error);
	cr_assert_not_null(document, "%s", error.text);
	buffer_fini(&text);
	return document;
}

/* Every "$ref" below leads somewhere. */
static void check_references(const json_t *document, const json_t *value)
{
	static const char prefix[] = "#/components/";
	const json_t *element;
	const char *name;
	size_t at;

	json_array_foreach(value, at, element)
		check_references(document, element);
	json_object_foreach((json_t *)value, name, element)
	{
		char kind[32] = "", leaf[64] = "";
		const json_t *target;

		if (strcmp(name, "$ref") != 0) {
			check_references(document, element);
			continue;
		}
		cr_assert_eq(strncmp(json_string_value(element), prefix,
				     strlen(prefix)),
			     0);
		cr_assert_eq(sscanf(json_string_value(element) + strlen(prefix),
				    "%31[^/]/%63s", kind, leaf),
			     2);
		target = json_object_get(
			json_object_get(json_object_get(document, "components"),
					kind),
			leaf);
		cr_assert_not_null(target, "%s", json_string_value(element));
	}
}

Test(gateway_description, it_holds_every_route_and_every_reference_leads_on)
{
	json_t *document = description();
	const json_t *paths = json_object_get(document, "paths");

	cr_assert_str_eq(
		json_string_value(json_object_get(document, "openapi")),
		"3.1.0");
	for (size_t i = 0; i < route_count; i++)
		cr_assert_not_null(json_object_get(paths, routes[i].pattern),
				   "%s", routes[i].pattern);
	check_references(document, document);
	json_decref(document);
}

Test(gateway_description, operations_have_ids_of_their_own)
{
	json_t *document = description();
	json_t *seen = json_object();
	const char *path, *method;
	json_t *operations, *operation;

	json_object_foreach(json_object_get(document, "paths"), path,
			    operations)
	{
		json_object_foreach(operations, method, operation)
		{
			const char *id = json_string_value(
				json_object_get(operation, "operationId"));

			cr_assert_not_null(id, "%s", path);
			cr_assert_null(json_object_get(seen, id), "%s twice",
				       id);
			json_object_set_new(seen, id, json_true());
		}
	}
	cr_assert_eq(json_object_size(seen), route_count);
	json_decref(seen);
	json_decref(document);
}

Test(gateway_description, the_page_shows_every_route_and_nothing_from_afar)
{
	struct buffer page = BUFFER_INIT(1 << 20);
	struct atom_error err = ATOM_ERROR_INIT;

	cr_assert_eq(docs_build(&page, &err), ATOM_OK);
	for (size_t i = 0; i < route_count; i++)
		cr_assert_not_null(strstr(page.bytes, routes[i].pattern), "%s",
				   routes[i].pattern);
	cr_assert_null(strstr(page.bytes, "src="));
	cr_assert_null(strstr(page.bytes, "http://"));
	cr_assert_null(strstr(page.bytes, "<script"));
	buffer_fini(&page);
}

static bool allows(const struct audit_event_row *row, const char *name,
		   size_t length)
{
	for (const char *const *detail = row->details; *detail != NULL;
	     detail++)
		if (strlen(*detail) == length &&
		    strncmp(*detail, name, length) == 0)
			return true;
	return false;
}

Test(gateway_route, what_changes_something_is_audited_with_all_its_details)
{
	static const char *const always[] = { "code", "phase", "result",
					      "status" };

	for (size_t i = 0; i < route_count; i++) {
		const struct route *route = &routes[i];
		const struct audit_event_row *row =
			audit_event_row(route->audit);
		const char *at = route->members != NULL ? route->members : "";

		if (row == NULL) {
			cr_assert(strcmp(route->method, "GET") == 0 ||
					  (route->flags &
					   (ROUTE_LATER | ROUTE_STREAMS)) != 0,
				  "%s %s", route->method, route->pattern);
			continue;
		}
		/* It is recorded when it is done, and has no intent. */
		if (route->audit == AUDIT_SESSION_DELETE ||
		    route->audit == AUDIT_FEEDBACK)
			continue;
		for (size_t n = 0; n < sizeof(always) / sizeof(*always); n++)
			cr_assert(allows(row, always[n], strlen(always[n])),
				  "%s lacks %s", row->name, always[n]);
		cr_assert(strchr(route->pattern, '{') == NULL ||
				  allows(row, "object", 6),
			  "%s lacks object", row->name);
		while (*at != '\0') {
			size_t length = strcspn(at, ",");

			cr_assert(allows(row, at, length), "%s lacks %.*s",
				  row->name, (int)length, at);
			at += length + (at[length] == ',');
		}
	}
}
