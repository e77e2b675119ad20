/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/log_filter.h"

#include <string.h>

#include "core/json_scan.h"
#include "core/memory.h"

#define FIELDS_MAX 64

/* What anybody may see who may see a log at all.  Closed by default: a field
 * that is not here may hold a user, an address or somebody's text, as every
 * message may. */
static const char *const public_fields[] = {
	"time",		"level",      "event",	       "agent",	 "revision",
	"request",	"request_id", "instance",      "status", "code",
	"component",	"plugin",     "kind",	       "step",	 "duration_ms",
	"input_tokens", "loops",      "output_tokens", "agents", "instances",
	"exit_status"
};

static bool is_public(const struct json_span *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(public_fields); i++)
		if (json_span_equals(name, public_fields[i]))
			return true;
	return false;
}

static bool has(const struct json_member *fields, size_t count,
		const char *name, const char *value)
{
	const struct json_member *field =
		json_members_find(fields, count, name);

	return field != NULL && field->value.kind == JSON_SPAN_STRING &&
	       json_span_equals(&field->value, value);
}

static bool fits(const struct log_filter *filter,
		 const struct json_member *fields, size_t count)
{
	if (filter->agent[0] != '\0' &&
	    !has(fields, count, "agent", filter->agent))
		return false;
	return filter->request[0] == '\0' ||
	       has(fields, count, "request", filter->request) ||
	       has(fields, count, "request_id", filter->request);
}

static void append_public(const struct json_member *fields, size_t count,
			  struct buffer *out)
{
	char before = '{';

	for (size_t i = 0; i < count; i++) {
		if (!is_public(&fields[i].name))
			continue;
		buffer_append_char(out, before);
		buffer_append(out, fields[i].name.at, fields[i].name.length);
		buffer_append_char(out, ':');
		buffer_append(out, fields[i].value.at, fields[i].value.length);
		before = ',';
	}
	if (before == '{')
		buffer_append_char(out, '{');
	buffer_append_text(out, "}\n");
}

bool log_filter_append(const struct log_filter *filter, const char *line,
		       size_t length, struct buffer *out)
{
	struct json_member fields[FIELDS_MAX];
	struct json_scan_error error;
	bool all = filter->agent[0] == '\0' && filter->request[0] == '\0';
	size_t count;

	if (all && !filter->only_public) {
		buffer_append(out, line, length);
		buffer_append_char(out, '\n');
		return true;
	}
	if (json_scan_object(line, length, JSON_SCAN_DEPTH_MAX, fields,
			     FIELDS_MAX, &count, &error) != ATOM_OK ||
	    !fits(filter, fields, count))
		return false;
	if (filter->only_public) {
		append_public(fields, count, out);
		return true;
	}
	buffer_append(out, line, length);
	buffer_append_char(out, '\n');
	return true;
}
