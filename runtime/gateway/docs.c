/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/description.h"

#include <string.h>

#include "core/memory.h"
#include "gateway/route.h"

/* /docs: the route table as one page of HTML without anything from
 * elsewhere. */

static const char head[] =
	"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width, "
	"initial-scale=1\">\n<title>atomd: the API</title>\n<style>\n"
	":root { color-scheme: light dark; --line: #8884; --dim: #777; "
	"--mark: #0a6; }\n"
	"body { font: 1rem/1.55 system-ui, sans-serif; max-width: 56rem; "
	"margin: 0 auto; padding: 1rem; }\n"
	"h1 { margin: .5rem 0; } h2 { margin: 2.5rem 0 .5rem; "
	"text-transform: capitalize; }\n"
	"nav a { margin-right: 1rem; text-transform: capitalize; }\n"
	"article { border-top: 1px solid var(--line); padding: .8rem 0; }\n"
	"h3 { font: 600 1rem/1.4 ui-monospace, monospace; margin: 0; "
	"overflow-wrap: anywhere; }\n"
	"h3 b { color: var(--mark); margin-right: .6rem; }\n"
	"p { margin: .3rem 0; } small { color: var(--dim); }\n"
	"pre { background: #8881; border-radius: .4rem; padding: .6rem .8rem; "
	"overflow-x: auto; font: .875rem/1.5 ui-monospace, monospace; }\n"
	"table { border-collapse: collapse; width: 100%; } "
	"td, th { text-align: left; padding: .25rem .8rem .25rem 0; "
	"border-top: 1px solid var(--line); vertical-align: top; }\n"
	".later { opacity: .6; }\n"
	"</style></head><body>\n<header>\n<h1>atomd: the API</h1>\n"
	"<p>Errors have OpenAI's shape, <code>{\"error\":{\"message\",\"type\","
	"\"code\",\"param\"}}</code>; <code>code</code> is a stable word. "
	"Every answer carries <code>x-request-id</code>. A key is sent as "
	"<code>Authorization: Bearer atm_...</code>. "
	"<a href=\"/openapi.json\">openapi.json</a> is the same for "
	"programs.</p>\n<nav>";

static const struct {
	const char *tag;
	const char *about;
} tags[] = {
	{ "calls", "Any OpenAI client works: its base URL is this server's "
		   "address followed by /v1, and the model is the agent." },
	{ "health", "For load balancers and Prometheus." },
	{ "descriptions", "This page and its sisters." },
	{ "operators", "What atomctl uses. The daemon's own unix socket needs "
		       "no key." },
};

static const struct {
	const char *code;
	const char *meaning;
} codes[] = {
	{ "400 invalid_request", "the request is wrong; the message says "
				 "where" },
	{ "401 invalid_api_key", "no key, or one that is not valid" },
	{ "403 permission_denied", "the key's role or agents do not allow "
				   "it" },
	{ "404 agent_not_found", "no agent has this name" },
	{ "409 session_busy", "another call of the session has not ended" },
	{ "413 too_large", "the body is too long" },
	{ "429 queue_full", "the agent is busy; Retry-After says when" },
	{ "429 backend_rate_limited", "its provider's limit is reached" },
	{ "502 backend_error", "the agent failed" },
	{ "502 backend_auth", "its provider refused the agent's own key" },
	{ "503 no_instances", "no instance is ready" },
	{ "503 shutting_down", "the daemon is stopping" },
	{ "504 timeout", "a deadline passed; not worth a retry" },
};

static void append_escaped(struct buffer *out, const char *text)
{
	for (; *text != '\0'; text++) {
		switch (*text) {
		case '<':
			buffer_append_text(out, "&lt;");
			break;
		case '>':
			buffer_append_text(out, "&gt;");
			break;
		case '&':
			buffer_append_text(out, "&amp;");
			break;
		case '"':
			buffer_append_text(out, "&quot;");
			break;
		default:
			buffer_append_char(out, *text);
		}
	}
}

/* A line to try, with "echo" for a name. */
static void append_example(struct buffer *out, const struct route *route)
{
	bool plain = strcmp(route->method, "GET") == 0;

	if (!plain && route->example == NULL)
		return;
	buffer_append_text(out, "<pre>curl ");
	if ((route->flags & ROUTE_PUBLIC) == 0)
		buffer_append_text(
			out,
			"-H &quot;Authorization: Bearer $ATOMD_KEY&quot; ");
	buffer_append_text(out, "$ATOMD_URL");
	for (const char *c = route->pattern; *c != '\0'; c++) {
		size_t length = strcspn(c, "}");

		if (*c != '{') {
			buffer_append(out, c, 1);
			continue;
		}
		if (strncmp(c, "{name", 5) == 0)
			buffer_append_text(out, "echo");
		else if (strncmp(c, "{kind", 5) == 0)
			buffer_append_text(out, "backend");
		else
			buffer_append_text(out, "ID");
		c += length;
	}
	if (route->example != NULL) {
		buffer_append_text(out, " \\\n  -d '");
		append_escaped(out, route->example);
		buffer_append_char(out, '\'');
	}
	buffer_append_text(out, "</pre>\n");
}

/* Backquotes in summaries are code. */
static void append_prose(struct buffer *out, const char *text)
{
	bool code = false;
	char one[2] = "";

	for (; *text != '\0'; text++) {
		if (*text == '`') {
			code = !code;
			buffer_append_text(out, code ? "<code>" : "</code>");
			continue;
		}
		one[0] = *text;
		append_escaped(out, one);
	}
}

static void append_route(struct buffer *out, const struct route *route)
{
	bool later = (route->flags & ROUTE_LATER) != 0;
	char permissions[PERMISSION_TEXT_MAX];

	description_permissions(route->permissions, permissions);
	buffer_append_text(out, later ? "<article class=\"later\"><h3><b>"
				      : "<article><h3><b>");
	append_escaped(out, route->method);
	buffer_append_text(out, "</b>");
	append_escaped(out, route->pattern);
	buffer_append_text(out, "</h3>\n<p>");
	append_prose(out, route->summary);
	buffer_append_text(out, "</p>\n<p><small>");
	append_escaped(out, permissions);
	if (later)
		buffer_append_text(out, "; in a later version");
	if (route->query != NULL) {
		buffer_append_text(out, "; query: ");
		append_escaped(out, route->query);
	}
	buffer_append_text(out, "</small></p>\n");
	if (!later)
		append_example(out, route);
	buffer_append_text(out, "</article>\n");
}

static void append_section(struct buffer *out, size_t at)
{
	buffer_append_text(out, "<section id=\"");
	buffer_append_text(out, tags[at].tag);
	buffer_append_text(out, "\"><h2>");
	buffer_append_text(out, tags[at].tag);
	buffer_append_text(out, "</h2>\n<p>");
	append_escaped(out, tags[at].about);
	buffer_append_text(out, "</p>\n");
	for (size_t i = 0; i < route_count; i++)
		if (strcmp(routes[i].tag, tags[at].tag) == 0)
			append_route(out, &routes[i]);
	buffer_append_text(out, "</section>\n");
}

static void append_codes(struct buffer *out)
{
	buffer_append_text(out, "<section id=\"errors\"><h2>errors</h2>\n"
				"<table><tr><th>code</th><th>meaning</th>"
				"</tr>\n");
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		buffer_append_text(out, "<tr><td><code>");
		append_escaped(out, codes[i].code);
		buffer_append_text(out, "</code></td><td>");
		append_escaped(out, codes[i].meaning);
		buffer_append_text(out, "</td></tr>\n");
	}
	buffer_append_text(out, "</table></section>\n");
}

atom_status docs_build(struct buffer *out, struct atom_error *err)
{
	buffer_append_text(out, head);
	for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
		buffer_append_text(out, "<a href=\"#");
		buffer_append_text(out, tags[i].tag);
		buffer_append_text(out, "\">");
		buffer_append_text(out, tags[i].tag);
		buffer_append_text(out, "</a>");
	}
	buffer_append_text(out, "<a href=\"#errors\">errors</a></nav>\n"
				"</header>\n<main>\n");
	for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
		append_section(out, i);
	append_codes(out);
	buffer_append_text(out, "</main></body></html>\n");
	return out->failed ? atom_fail(err, ATOM_ENOMEM,
				       "no memory for the API's page")
			   : ATOM_OK;
}
