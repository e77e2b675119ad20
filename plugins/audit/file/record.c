/* SPDX-License-Identifier: Apache-2.0 */

/* What a record says of itself, from its canonical JSON: members sorted, no
 * white space.  What a record of another shape does not say stays empty. */

#include "sink_priv.h"

#include <string.h>

/* Behind the string that begins at `at`, a quote; `end` when it has no end. */
static const char *skip_string(const char *at, const char *end)
{
	for (at++; at < end && *at != '"'; at++)
		if (*at == '\\' && at + 1 < end)
			at++;
	return at < end ? at + 1 : end;
}

static const char *skip_value(const char *at, const char *end)
{
	int depth = 0;

	while (at < end) {
		if (*at == '"') {
			at = skip_string(at, end);
			continue;
		}
		if (*at == '{' || *at == '[')
			depth++;
		else if (*at == '}' || *at == ']')
			depth--;
		if (depth < 0 || (depth == 0 && *at == ','))
			return at;
		at++;
	}
	return end;
}

static void copy(char *out, size_t size, const struct atom_span *text)
{
	size_t length = text->length < size ? text->length : size - 1;

	memcpy(out, text->bytes, length);
	out[length] = '\0';
}

static int32_t severity_of(const struct atom_span *word)
{
	static const struct {
		const char *word;
		int32_t severity;
	} rows[] = {
		{ "error", ATOM_LOG_ERROR }, { "critical", ATOM_LOG_ERROR },
		{ "fatal", ATOM_LOG_ERROR }, { "high", ATOM_LOG_ERROR },
		{ "warn", ATOM_LOG_WARN },   { "warning", ATOM_LOG_WARN },
		{ "medium", ATOM_LOG_WARN }, { "debug", ATOM_LOG_DEBUG },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (text_is(word, rows[i].word))
			return rows[i].severity;
	return ATOM_LOG_INFO;
}

static void take(struct record_members *members, const struct atom_span *name,
		 const struct atom_span *text)
{
	if (text_is(name, "category"))
		copy(members->category, sizeof(members->category), text);
	else if (text_is(name, "event_type"))
		copy(members->event_type, sizeof(members->event_type), text);
	else if (text_is(name, "severity"))
		members->severity = severity_of(text);
	else if (text_is(name, "time"))
		(void)text_to_time(text, &members->time_ms);
}

void record_members(const struct atom_span *json,
		    struct record_members *members_r)
{
	const char *at = json->bytes, *end = at + json->length;

	*members_r = (struct record_members){ .severity = ATOM_LOG_INFO };
	while (at < end && (*at == '{' || *at == ',') && at + 1 < end &&
	       at[1] == '"') {
		struct atom_span name = { at + 2, 0 }, text;
		const char *value = skip_string(at + 1, end);

		if (value >= end || *value != ':')
			return;
		name.length = (size_t)(value - 1 - name.bytes);
		value++;
		at = skip_value(value, end);
		if (at - value < 2 || *value != '"')
			continue;
		text = (struct atom_span){ value + 1,
					   (size_t)(at - value - 2) };
		take(members_r, &name, &text);
	}
}
