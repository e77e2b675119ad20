/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/pattern.h"

#include <stdbool.h>
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

/* A group that is open, or what stands last. */
struct part {
	int nested;	   /* repetitions within each other */
	bool empty;	   /* it may match nothing; of a group: its branch */
	bool branch_empty; /* of a group: so may a branch that has ended */
};

static const struct part nothing = { .empty = true };

/* `last` becomes a piece of the group; nothing stands last then. */
static void part_add(struct part *group, struct part *last)
{
	if (last->nested > group->nested)
		group->nested = last->nested;
	group->empty = group->empty && last->empty;
	*last = nothing;
}

/* By `*`, `+` or `?`: NULL, or what is too much. */
static const char *part_repeat(struct part *last, char how)
{
	if (last->empty && how != '?')
		return "a repetition of what may be empty";
	if (++last->nested > PATTERN_NESTING)
		return "more than 3 repetitions in each other";
	last->empty = last->empty || how != '+';
	return NULL;
}

/* What GNU has for the ends of words and of the text: it matches nothing. */
static bool is_assertion(char escaped)
{
	return escaped != '\0' && strchr("bB<>`'", escaped) != NULL;
}

/* NULL: bounded.  Else what is too much. */
static const char *excess(const char *at)
{
	struct part groups[GROUPS_MAX + 1] = { nothing };
	struct part last = nothing, *group = groups;
	const char *much;

	while (*at != '\0') {
		const char c = *at++;

		if (c == '*' || c == '+' || c == '?') {
			much = part_repeat(&last, c);
			if (much != NULL)
				return much;
			continue;
		}
		part_add(group, &last);
		switch (c) {
		case '\\':
			if (*at >= '0' && *at <= '9')
				return "back references";
			last.empty = is_assertion(*at);
			at += *at != '\0';
			break;
		case '[':
			last.empty = false;
			at = skip_bracket(at - 1);
			break;
		case '{':
			return "counts in braces";
		case '(':
			if (group == &groups[GROUPS_MAX])
				return "more than 16 groups in each other";
			*++group = nothing;
			break;
		case '|':
			group->branch_empty |= group->empty;
			group->empty = true;
			break;
		case ')':
			/* It would end the group around the whole. */
			if (group == groups)
				return "a ')' that nothing has opened";
			last = *group--;
			last.empty |= last.branch_empty;
			last.branch_empty = false;
			break;
		default:
			last.empty = c == '^' || c == '$';
		}
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
