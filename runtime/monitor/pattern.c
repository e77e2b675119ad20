/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/pattern.h"

#include <stdio.h>
#include <string.h>

#define GROUPS_MAX 16 /* within each other */

/* Behind a bracket expression that begins at `at`; a `]` that stands first is
 * a member, and classes have brackets of their own. */
static const char *skip_bracket(const char *at)
{
	at++;
	at += *at == '^';
	at += *at == ']';
	while (*at != '\0' && *at != ']') {
		if (*at == '[' &&
		    (at[1] == ':' || at[1] == '.' || at[1] == '=')) {
			const char end[] = { at[1], ']', '\0' };
			const char *found = strstr(at + 2, end);

			if (found == NULL)
				return at + strlen(at);
			at = found + 1;
		}
		at++;
	}
	return *at == ']' ? at + 1 : at;
}

/* NULL: bounded.  Else what is too much. */
static const char *excess(const char *at)
{
	/* How deep repetitions stand within each open group, and in what
	 * stands just before. */
	int highest[GROUPS_MAX + 1] = { 0 };
	int depth = 0, before = 0;

	while (*at != '\0') {
		const char c = *at++;

		switch (c) {
		case '\\':
			if (*at >= '0' && *at <= '9')
				return "back references";
			at += *at != '\0';
			before = 0;
			break;
		case '[':
			at = skip_bracket(at - 1);
			before = 0;
			break;
		case '{':
			return "counts in braces";
		case '(':
			if (++depth > GROUPS_MAX)
				return "more than 16 groups in each other";
			highest[depth] = 0;
			before = 0;
			break;
		case ')':
			/* It would end the group around the whole. */
			if (depth == 0)
				return "a ')' that nothing has opened";
			before = highest[depth--];
			break;
		case '*':
		case '+':
		case '?':
			if (++before > PATTERN_NESTING)
				return "more than 3 repetitions in each other";
			break;
		default:
			before = 0;
		}
		if (before > highest[depth])
			highest[depth] = before;
	}
	return NULL;
}

atom_status pattern_compile(const char *label, const char *value,
			    regex_t *pattern_r, struct atom_error *err)
{
	char whole[PATTERN_MAX + 8], why[128];
	const char *much;
	int failed;

	if (strlen(value) > PATTERN_MAX)
		return atom_fail(err, ATOM_EINVAL,
				 "matcher of %s: expected a regular expression "
				 "of at most %d bytes, found %zu",
				 label, PATTERN_MAX, strlen(value));
	much = excess(value);
	if (much != NULL)
		return atom_fail(err, ATOM_EINVAL,
				 "matcher of %s: expected a regular expression "
				 "without %s, found \"%s\"",
				 label, much, value);
	(void)snprintf(whole, sizeof(whole), "^(%s)$", value);
	failed = regcomp(pattern_r, whole, REG_EXTENDED | REG_NOSUB);
	if (failed == 0)
		return ATOM_OK;
	(void)regerror(failed, pattern_r, why, sizeof(why));
	return atom_fail(err, ATOM_EINVAL,
			 "matcher of %s: \"%s\" is no regular expression: %s",
			 label, value, why);
}
