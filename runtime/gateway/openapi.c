/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "gateway/description.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/json.h"
#include "core/memory.h"
#include "gateway/route.h"
#include "security/principal.h"

/*
 * /openapi.json.  jansson's setters take NULL for a value and report it, so
 * that a lack of memory anywhere shows as a missing document at the end.
 */

#define ID_LENGTH_MAX 96

static json_t *reference(const char *schema)
{
	char path[ID_LENGTH_MAX];

	(void)snprintf(path, sizeof(path), "#/components/schemas/%s", schema);
	return json_pack("{s:s}", "$ref", path);
}

/* "POST", "/v1/agents/{name}/invoke" -> "post_v1_agents_name_invoke" */
static void operation_id(const struct route *route, char out[ID_LENGTH_MAX])
{
	bool gap = false;
	size_t n = 0;

	(void)snprintf(out, ID_LENGTH_MAX, "%s%s", route->method,
		       route->pattern);
	for (const char *c = out; *c != '\0'; c++) {
		if (!isalnum((unsigned char)*c)) {
			gap = true;
			continue;
		}
		/* Never longer than what was read: no room is needed. */
		if (gap)
			out[n++] = '_';
		gap = false;
		out[n++] = (char)tolower((unsigned char)*c);
	}
	out[n] = '\0';
}

static void add_parameter(json_t *list, const char *name, size_t length,
			  const char *in)
{
	json_array_append_new(
		list, json_pack("{s:s%,s:s,s:b,s:{s:s}}", "name", name, length,
				"in", in, "required", strcmp(in, "path") == 0,
				"schema", "type", "string"));
}

static json_t *parameters_of(const struct route *route)
{
	json_t *list = json_array();
	const char *at = route->pattern;

	while ((at = strchr(at, '{')) != NULL) {
		at++;
		add_parameter(list, at, strcspn(at, "}"), "path");
	}
	for (at = route->query; at != NULL && *at != '\0';
	     at += strcspn(at, ","), at += *at == ',')
		add_parameter(list, at, strcspn(at, ","), "query");
	if (strcmp(route->pattern, "/v1/chat/completions") == 0)
		add_parameter(list, "x-atomd-session",
			      strlen("x-atomd-session"), "header");
	if ((route->flags & ROUTE_STREAMS) != 0 &&
	    (route->permissions & PERMISSION_INVOKE_AGENT) != 0)
		add_parameter(list, "x-atomd-revision",
			      strlen("x-atomd-revision"), "header");
	return list;
}

static json_t *request_body_of(const struct route *route)
{
	json_t *media =
		json_pack("{s:o}", "schema", reference(route->request_schema));

	if (route->example != NULL)
		json_object_set_new(media, "example",
				    json_loads(route->example, 0, NULL));
	return json_pack("{s:b,s:{s:o}}", "required", 1, "content",
			 "application/json", media);
}

static json_t *content_of(const struct route *route)
{
	const char *type = route->answer_type != NULL ? route->answer_type
						      : "application/json";
	json_t *schema =
		route->answer_schema != NULL
			? reference(route->answer_schema)
			: json_pack("{s:s}", "type",
				    route->answer_type != NULL ? "string"
							       : "object");
	json_t *content = json_pack("{s:{s:o}}", type, "schema", schema);

	if ((route->flags & ROUTE_STREAMS) != 0)
		json_object_set_new(
			content, "text/event-stream",
			json_pack("{s:{s:s}}", "schema", "type", "string"));
	return content;
}

/* Of calls, where there is a limit. */
static json_t *limit_headers(void)
{
	static const struct {
		const char *name;
		const char *type;
		const char *what;
	} rows[] = {
		{ "x-ratelimit-limit-requests", "integer",
		  "Requests a minute." },
		{ "x-ratelimit-remaining-requests", "integer",
		  "How many are left now." },
		{ "x-ratelimit-reset-requests", "string",
		  "Until all are there again: 17ms, 1.5s, 6m0s." },
		{ "x-ratelimit-limit-tokens", "integer", "Tokens a minute." },
		{ "x-ratelimit-remaining-tokens", "integer",
		  "How many are left now." },
		{ "x-ratelimit-reset-tokens", "string",
		  "Until all are there again." },
	};
	json_t *headers = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		json_object_set_new(headers, rows[i].name,
				    json_pack("{s:s,s:{s:s}}", "description",
					      rows[i].what, "schema", "type",
					      rows[i].type));
	return headers;
}

static json_t *responses_of(const struct route *route)
{
	json_t *responses = json_object();
	json_t *done;
	char status[16];

	if ((route->flags & ROUTE_LATER) != 0) {
		json_object_set_new(responses, "404",
				    json_pack("{s:s}", "$ref",
					      "#/components/responses/Error"));
		return responses;
	}
	(void)snprintf(status, sizeof(status), "%d",
		       route->answer_status != 0 ? route->answer_status : 200);
	done = json_pack("{s:s,s:o}", "description", "Done.", "content",
			 content_of(route));
	if ((route->flags & ROUTE_STREAMS) != 0)
		json_object_set_new(done, "headers", limit_headers());
	json_object_set_new(responses, status, done);
	json_object_set_new(
		responses, "default",
		json_pack("{s:s}", "$ref", "#/components/responses/Error"));
	return responses;
}

static json_t *operation_of(const struct route *route)
{
	bool public = (route->flags & ROUTE_PUBLIC) != 0;
	bool later = (route->flags & ROUTE_LATER) != 0;
	char permissions[PERMISSION_TEXT_MAX], id[ID_LENGTH_MAX];
	char summary[512];
	json_t *operation;

	operation_id(route, id);
	description_permissions(route->permissions, permissions);
	(void)snprintf(summary, sizeof(summary), "%s%s", later ? "Later: " : "",
		       route->summary);
	operation = json_pack("{s:s,s:[s],s:s,s:s,s:o,s:o}", "operationId", id,
			      "tags", route->tag, "summary", summary,
			      "x-permission", permissions, "parameters",
			      parameters_of(route), "responses",
			      responses_of(route));
	json_object_set_new(operation, "security",
			    public ? json_array()
				   : json_pack("[{s:[]}]", "key"));
	if (later)
		json_object_set_new(operation, "x-later", json_true());
	if (route->request_schema != NULL)
		json_object_set_new(operation, "requestBody",
				    request_body_of(route));
	return operation;
}

static json_t *paths(void)
{
	json_t *all = json_object();

	for (size_t i = 0; i < route_count; i++) {
		const struct route *route = &routes[i];
		json_t *path = json_object_get(all, route->pattern);
		char method[16];
		size_t n = 0;

		if (path == NULL) {
			path = json_object();
			json_object_set_new(all, route->pattern, path);
		}
		for (; route->method[n] != '\0' && n + 1 < sizeof(method); n++)
			method[n] =
				(char)tolower((unsigned char)route->method[n]);
		method[n] = '\0';
		json_object_set_new(path, method, operation_of(route));
	}
	return all;
}

static json_t *components(struct atom_error *err)
{
	json_t *all = json_object();

	for (size_t i = 0; i < schema_count; i++) {
		json_error_t error;
		json_t *schema = json_loads(schemas[i].json, 0, &error);

		if (schema == NULL) {
			atom_fail(err, ATOM_EINTERNAL, "schema %s: %s",
				  schemas[i].name, error.text);
			json_decref(all);
			return NULL;
		}
		json_object_set_new(all, schemas[i].name, schema);
	}
	return json_pack("{s:o,s:{s:{s:s,s:{s:{s:o}}}},s:{s:{s:s,s:s,s:s}}}",
			 "schemas", all, "responses", "Error", "description",
			 "What went wrong; `code` is a stable word.", "content",
			 "application/json", "schema", reference("Error"),
			 "securitySchemes", "key", "type", "http", "scheme",
			 "bearer", "description",
			 "An API key, atm_<id>_<secret>, or a token (JWT) "
			 "of an issuer that the configuration names.");
}

atom_status openapi_build(struct buffer *out, struct atom_error *err)
{
	json_t *document = NULL;
	char *text = NULL;
	json_t *parts = components(err);
	atom_status status = ATOM_EINTERNAL;

	if (parts == NULL)
		goto out;
	status = ATOM_ENOMEM;
	document = json_pack(
		"{s:s,s:{s:s,s:s,s:s,s:{s:s,s:s}},s:[{s:s}],s:o,s:o}",
		"openapi", "3.1.0", "info", "title", "atomd", "version",
		PACKAGE_VERSION, "summary",
		"Agents declared in a file, served in production.", "license",
		"name", "Apache-2.0", "identifier", "Apache-2.0", "servers",
		"url", "/", "paths", paths(), "components", parts);
	if (document != NULL)
		text = json_write(document, JSON_INDENT(1));
	if (text != NULL)
		status = buffer_append_text(out, text);
	if (status == ATOM_OK)
		status = buffer_append_char(out, '\n');
	if (status != ATOM_OK)
		atom_fail(err, status, "no memory for the API description");
out:
	free(text);
	json_decref(document);
	return status;
}
