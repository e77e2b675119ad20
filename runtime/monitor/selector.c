/* SPDX-License-Identifier: Apache-2.0 */

#include "monitor/selector.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* A name is ended in place, once what follows has been looked at. */

static bool is_name_byte(char c, bool first)
{
	return c == '_' || c == ':' || isalpha((unsigned char)c) ||
	       (!first && isdigit((unsigned char)c));
}

static size_t name_length(const char *at)
{
	size_t length = 0;

	while (is_name_byte(at[length], length == 0))
		length++;
	return length;
}

static char *skip_space(char *at)
{
	while (*at == ' ')
		at++;
	return at;
}

/* Behind the operator, or NULL. */
static char *take_operator(char *at, int32_t *type_r)
{
	static const struct {
		const char *word;
		int32_t type;
	} operators[] = {
		{ "=~", ATOM_HISTORY_MATCHES },
		{ "!~", ATOM_HISTORY_NOT_MATCHES },
		{ "!=", ATOM_HISTORY_NOT_EQUAL },
		{ "=", ATOM_HISTORY_EQUAL },
	};

	for (size_t i = 0; i < sizeof(operators) / sizeof(*operators); i++) {
		size_t length = strlen(operators[i].word);

		if (strncmp(at, operators[i].word, length) == 0) {
			*type_r = operators[i].type;
			return at + length;
		}
	}
	return NULL;
}

/* Unescapes in place; behind the closing quote, or NULL. */
static char *take_value(char *at, const char **value_r)
{
	char *to = at + 1;

	if (*at != '"')
		return NULL;
	*value_r = to;
	for (at++; *at != '"'; at++) {
		bool escaped = *at == '\\';

		at += escaped;
		if (*at == '\0')
			return NULL;
		*to++ = escaped && *at == 'n' ? '\n' : *at;
	}
	*to = '\0';
	return at + 1;
}

static char *take_matcher(char *at, struct selector *s)
{
	struct atom_history_matcher *m;
	char *end = at + name_length(at);
	char *after;

	if (end == at || s->count == ATOM_HISTORY_MATCHERS_MAX)
		return NULL;
	m = &s->matchers[s->count];
	m->struct_size = sizeof(*m);
	m->label = at;
	after = take_operator(skip_space(end), &m->type);
	if (after == NULL)
		return NULL;
	*end = '\0';
	s->count++;
	return take_value(skip_space(after), &m->value);
}

static char *take_matchers(char *at, struct selector *s)
{
	at = skip_space(at);
	while (*at != '}') {
		at = take_matcher(at, s);
		if (at == NULL)
			return NULL;
		at = skip_space(at);
		if (*at == ',')
			at = skip_space(at + 1);
		else if (*at != '}')
			return NULL;
	}
	return at + 1;
}

atom_status selector_parse(const char *text, struct selector *selector_r,
			   struct atom_error *err)
{
	struct selector *s = selector_r;
	size_t length = strlen(text);
	char *at = s->text;
	bool braces;

	s->name = NULL;
	s->count = 0;
	if (length == 0 || length >= SELECTOR_MAX)
		return atom_fail(err, ATOM_EINVAL,
				 "expected a metric's name, as in "
				 "atomd_requests_total{agent=\"a\"}, of at "
				 "most %d bytes",
				 SELECTOR_MAX - 1);
	memcpy(s->text, text, length + 1);
	length = name_length(at);
	braces = *skip_space(at + length) == '{';
	if (length > 0)
		s->name = at;
	at = skip_space(at + length);
	if (braces)
		at = take_matchers(at + 1, s);
	if (at == NULL || *skip_space(at) != '\0' || (!braces && length == 0))
		return atom_fail(err, ATOM_EINVAL,
				 "expected NAME or NAME{label=\"value\",...} "
				 "with = != =~ !~, found %s",
				 text);
	s->text[length] = length > 0 ? '\0' : s->text[length];
	return ATOM_OK;
}
