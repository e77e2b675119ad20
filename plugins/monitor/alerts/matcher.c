/* SPDX-License-Identifier: Apache-2.0 */

/* Label matchers, and which regular expressions mean the same in POSIX and in
 * RE2. */

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/monitor/alerts/labels.h"

#define PATTERN_MAX 1024
/* RE2 refuses more than 1,000 repetitions, the nested ones multiplied. */
#define REPEATS_MAX 1000
/* What regcomp() takes in a blink: groups and repetitions within each other,
 * and characters once `+` and counts are written out as it does. */
#define GROUPS_MAX  16
#define NESTED_MAX  3
#define WRITTEN_MAX 4000

/* --- what both languages understand alike ------------------------------------ */

static const char *skip_bracket(const char *at, const char **why_r)
{
	at++;
	if (*at == '^')
		at++;
	if (*at == ']')
		at++;
	for (; *at != '\0' && *at != ']'; at++) {
		if (*at == '\\')
			*why_r = "an escape within brackets";
		if (*at == '[' && (at[1] == '.' || at[1] == '='))
			*why_r = "a collating element";
		if (*at == '[' && at[1] == ':') {
			const char *end = strstr(at, ":]");

			if (end != NULL)
				at = end + 1;
		}
	}
	return at;
}

/* At `{`: the larger of the two numbers, 0 when it is no repetition. */
static unsigned repeats(const char *at)
{
	unsigned low = 0, high = 0;
	char close = '\0';

	if (sscanf(at, "{%4u%c", &low, &close) == 2 && close == '}')
		return low;
	if (sscanf(at, "{%4u,%c", &low, &close) == 2 && close == '}')
		return low > 0 ? low : 1;
	if (sscanf(at, "{%4u,%4u%c", &low, &high, &close) == 3 && close == '}')
		return high;
	return 0;
}

/* What in `pattern` means something else in POSIX, or nothing; else NULL. */
static const char *foreign_part(const char *pattern)
{
	const char *why = NULL;
	char before = '\0';

	for (const char *at = pattern; *at != '\0' && why == NULL; at++) {
		bool repeat = *at != '\0' && strchr("*+?", *at) != NULL;

		if (*at == '\\') {
			if (!ispunct((unsigned char)at[1]))
				why = "an escaped letter or digit";
			else if (strchr("<>`'", at[1]) != NULL)
				why = "an escape of GNU";
			else
				at++;
			before = 'x';
		} else if (*at == '[') {
			at = skip_bracket(at, &why);
			before = 'x';
			if (*at == '\0')
				return "a bracket without end";
		} else if (*at == '{') {
			unsigned times = repeats(at);

			if (times == 0 || times > REPEATS_MAX)
				why = "a brace that is no repetition of 1 to "
				      "1,000";
			else if (before == '*' || before == '\0')
				why = "a repetition of nothing";
			at = strchr(at, '}') != NULL ? strchr(at, '}') : at;
			before = '*';
		} else if (repeat) {
			if (before == '*')
				why = "a repetition of a repetition";
			else if (before == '\0' || before == '(' ||
				 before == '|')
				why = *at == '?' && before == '('
					      ? "a group with (?...)"
					      : "a repetition of nothing";
			before = '*';
		} else {
			before = *at;
		}
	}
	return why;
}

/* --- what costs too much ----------------------------------------------------- */

/* A part of a pattern: what stands last, or a group that is still open. */
struct part {
	unsigned long written; /* characters, once written out */
	unsigned long counted; /* product of the counts within each other */
	unsigned nested;       /* repetitions within each other */
	bool empty;	   /* it may match nothing; of a group: its branch */
	bool branch_empty; /* of a group: so may one that has ended */
};

static const struct part nothing = { .counted = 1, .empty = true };

/* `last` becomes a piece of the group; nothing stands last then. */
static void part_add(struct part *group, struct part *last)
{
	group->written += last->written;
	if (last->counted > group->counted)
		group->counted = last->counted;
	if (last->nested > group->nested)
		group->nested = last->nested;
	group->empty = group->empty && last->empty;
	*last = nothing;
}

/* At `*`, `+`, `?` or a count: NULL, or what is too much.  regcomp() copies
 * what is repeated, and searches exponentially where a loop may run without
 * reading a character. */
static const char *part_repeat(struct part *last, const char *at)
{
	unsigned long times = *at == '+' ? 2 : 1;
	bool none = *at == '*' || *at == '?';

	if (*at == '{') {
		times = repeats(at) + (strstr(at, ",}") == strchr(at, ','));
		none = strtoul(at + 1, NULL, 10) == 0;
		last->counted *= repeats(at);
	}
	if (last->counted > REPEATS_MAX)
		return "more than 1,000 repetitions";
	if (++last->nested > NESTED_MAX)
		return "more than 3 repetitions in each other";
	if (last->empty && *at != '?')
		return "a repetition of what may be empty";
	last->written *= times;
	last->empty = last->empty || none;
	return last->written > WRITTEN_MAX ? "too many repetitions" : NULL;
}

/* Of a pattern without foreign parts: what regcomp() or regexec() would take
 * seconds or gigabytes for; else NULL. */
static const char *costly_part(const char *pattern)
{
	struct part groups[GROUPS_MAX + 1] = { nothing };
	struct part last = nothing, *group = groups;
	const char *why = NULL;

	for (const char *at = pattern; *at != '\0' && why == NULL; at++) {
		if (strchr("*+?{", *at) != NULL) {
			why = part_repeat(&last, at);
			at = *at == '{' ? strchr(at, '}') : at;
			continue;
		}
		part_add(group, &last);
		if (*at == '(') {
			if (group == &groups[GROUPS_MAX])
				return "more than 16 groups in each other";
			*++group = nothing;
		} else if (*at == '|') {
			group->branch_empty |= group->empty;
			group->empty = true;
		} else if (*at == ')') {
			if (group == groups)
				return "a `)` that nothing has opened";
			last = *group--;
			last.empty |= last.branch_empty;
			last.branch_empty = false;
		} else {
			last = (struct part){
				.written = 1,
				.counted = 1,
				.empty = *at == '^' || *at == '$',
			};
			if (*at == '\\')
				at++;
			else if (*at == '[')
				at = skip_bracket(at, &why);
		}
		if (group->written > WRITTEN_MAX)
			return "too many repetitions";
	}
	part_add(group, &last);
	return why == NULL && group->written > WRITTEN_MAX
		       ? "too many repetitions"
		       : why;
}

static void free_regex(void *argument)
{
	regfree(argument);
}

static atom_status compile(struct arena *arena, const char *pattern,
			   const regex_t **regex_r, struct atom_error *err)
{
	const char *why = foreign_part(pattern);
	regex_t *regex = arena_take(arena, sizeof(*regex));
	char anchored[PATTERN_MAX + 8], reason[128];
	int code;

	if (strlen(pattern) > PATTERN_MAX)
		return atom_fail(err, ATOM_ELIMIT,
				 "a regular expression of %zu bytes; at most "
				 "%d",
				 strlen(pattern), PATTERN_MAX);
	if (why != NULL)
		return atom_fail(err, ATOM_EINVAL,
				 "the regular expression \"%.80s\" holds %s; "
				 "expected a POSIX extended one",
				 pattern, why);
	why = costly_part(pattern);
	if (why != NULL)
		return atom_fail(err, ATOM_EINVAL,
				 "the regular expression \"%.80s\" holds %s; "
				 "expected one that is matched fast",
				 pattern, why);
	if (regex == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	/* "()" matches nothing in RE2 and is undefined in POSIX. */
	(void)snprintf(anchored, sizeof(anchored),
		       *pattern == '\0' ? "^$" : "^(%s)$", pattern);
	code = regcomp(regex, anchored, REG_EXTENDED | REG_NOSUB);
	if (code != 0) {
		(void)regerror(code, regex, reason, sizeof(reason));
		return atom_fail(err, ATOM_EINVAL,
				 "the regular expression \"%.80s\": %s",
				 pattern, reason);
	}
	if (!arena_at_end(arena, free_regex, regex)) {
		regfree(regex);
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	}
	*regex_r = regex;
	return ATOM_OK;
}

atom_status matcher_make(struct arena *arena, enum match_kind kind,
			 const char *name, const char *value,
			 struct matcher *matcher_r, struct atom_error *err)
{
	*matcher_r = (struct matcher){
		.kind = kind,
		.name = name,
		.value = value,
	};
	if (kind == MATCH_EQUAL || kind == MATCH_NOT_EQUAL)
		return ATOM_OK;
	return compile(arena, value, &matcher_r->regex, err);
}

bool matcher_matches(const struct matcher *matcher, const char *value)
{
	switch (matcher->kind) {
	case MATCH_EQUAL:
		return strcmp(matcher->value, value) == 0;
	case MATCH_NOT_EQUAL:
		return strcmp(matcher->value, value) != 0;
	case MATCH_REGEX:
		return regexec(matcher->regex, value, 0, NULL, 0) == 0;
	case MATCH_NOT_REGEX:
		return regexec(matcher->regex, value, 0, NULL, 0) != 0;
	}
	return false;
}

bool matchers_match(const struct matcher *matchers, size_t count,
		    const struct labels *labels)
{
	for (size_t i = 0; i < count; i++)
		if (!matcher_matches(&matchers[i],
				     labels_get(labels, matchers[i].name)))
			return false;
	return true;
}
