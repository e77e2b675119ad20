/* SPDX-License-Identifier: Apache-2.0 */

/* Selectors, and the durations behind them. */

#include <string.h>

#include "plugins/monitor/alerts/parse_priv.h"

#define MATCHERS_MAX 16

/* --- durations -------------------------------------------------------------------- */

bool expr_duration(const char *text, size_t length, int64_t *ms_r)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {
		{ "y", 365ll * 86400000 },
		{ "w", 7ll * 86400000 },
		{ "d", 86400000 },
		{ "h", 3600000 },
		{ "m", 60000 },
		{ "s", 1000 },
		{ "ms", 1 },
	};
	size_t unit = 0, at = 0;
	int64_t total = 0;

	while (at < length) {
		int64_t number = 0;
		size_t digits = at, end;

		for (; at < length && at - digits < 9 && text[at] >= '0' &&
		       text[at] <= '9';
		     at++)
			number = number * 10 + (text[at] - '0');
		/* A tenth digit is no unit. */
		if (at == digits)
			return false;
		for (end = at;
		     end < length && text[end] >= 'a' && text[end] <= 'z';
		     end++)
			;
		/* Each unit once, the larger ones first. */
		while (unit < 7 &&
		       !(strlen(units[unit].unit) == end - at &&
			 memcmp(units[unit].unit, text + at, end - at) == 0))
			unit++;
		if (unit == 7 || number > INT64_MAX / 4 / units[unit].ms)
			return false;
		total += number * units[unit++].ms;
		at = end;
	}
	*ms_r = total;
	return length > 0;
}

static atom_status take_duration(struct parser *p, int64_t *ms_r)
{
	if (p->token.kind != TOKEN_DURATION ||
	    !expr_duration(p->token.at, p->token.length, ms_r))
		return parse_fail(p, "a duration like 5m or 1h30m");
	return parse_next(p);
}

/* --- selectors ---------------------------------------------------------------------- */

bool parse_is_label_name(const struct token *token)
{
	return token->kind == TOKEN_WORD &&
	       memchr(token->at, ':', token->length) == NULL;
}

static atom_status take_text(struct parser *p, const char **text_r)
{
	char *text;

	if (p->token.kind != TOKEN_TEXT)
		return parse_fail(p, "a text in quotes");
	text = arena_take(p->arena, p->token.length);
	if (text == NULL)
		return parse_no_memory(p);
	if (!token_unquote(&p->token, text))
		return parse_fail(p, "a text without unknown escapes");
	*text_r = text;
	return parse_next(p);
}

static atom_status take_matcher(struct parser *p, struct matcher *matcher)
{
	static const char *const signs[] = { "=", "!=", "=~", "!~" };
	const char *name, *value = NULL;
	unsigned kind;
	atom_status status;

	if (!parse_is_label_name(&p->token))
		return parse_fail(p, "the name of a label");
	name = arena_text(p->arena, p->token.at, p->token.length);
	if (name == NULL)
		return parse_no_memory(p);
	status = parse_next(p);
	if (status != ATOM_OK)
		return status;
	for (kind = 0; kind < 4 && !token_is(&p->token, signs[kind]); kind++)
		;
	if (kind == 4)
		return parse_fail(p, "one of = != =~ !~");
	status = parse_next(p);
	if (status == ATOM_OK)
		status = take_text(p, &value);
	if (status == ATOM_OK)
		status = matcher_make(p->arena, (enum match_kind)kind, name,
				      value, matcher, p->err);
	return status;
}

static atom_status take_matchers(struct parser *p, struct matcher *matchers,
				 size_t *count)
{
	atom_status status = parse_sign(p, "{");

	while (status == ATOM_OK && !token_is(&p->token, "}")) {
		if (*count == MATCHERS_MAX)
			return parse_fail(p, "at most 16 matchers");
		status = take_matcher(p, &matchers[*count]);
		if (status != ATOM_OK)
			break;
		++*count;
		if (token_is(&p->token, ","))
			status = parse_next(p);
		else if (!token_is(&p->token, "}"))
			return parse_fail(p, "`,` or `}`");
	}
	return status == ATOM_OK ? parse_sign(p, "}") : status;
}

static bool selects_something(const struct matcher *matchers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!matcher_matches(&matchers[i], ""))
			return true;
	return false;
}

static atom_status parse_range(struct parser *p, struct expr *expr)
{
	atom_status status = parse_next(p);

	if (status == ATOM_OK)
		status = take_duration(p, &expr->range_ms);
	if (status != ATOM_OK)
		return status;
	if (token_is(&p->token, ":"))
		return parse_fail(p, "`]` (there are no subqueries here)");
	if (expr->range_ms <= 0)
		return parse_fail(p, "a range above zero before it");
	expr->type = EXPR_RANGE;
	return parse_sign(p, "]");
}

static atom_status parse_offset(struct parser *p, struct expr *expr)
{
	atom_status status = parse_next(p);
	bool back = status == ATOM_OK && token_is(&p->token, "-");

	if (back)
		status = parse_next(p);
	if (status == ATOM_OK)
		status = take_duration(p, &expr->offset_ms);
	if (back)
		expr->offset_ms = -expr->offset_ms;
	return status;
}

/* What may stand behind a selector, and behind nothing else. */
atom_status parse_suffix(struct parser *p, struct expr *expr)
{
	bool selects = expr->kind == EXPR_SELECTOR && !expr->parenthesized;
	atom_status status = ATOM_OK;

	if (token_is(&p->token, "[")) {
		if (!selects)
			return parse_fail(p, "no range behind anything but a "
					     "selector");
		status = parse_range(p, expr);
	}
	if (status == ATOM_OK && token_is_word(&p->token, "offset")) {
		if (!selects)
			return parse_fail(p, "no offset behind anything but a "
					     "selector");
		status = parse_offset(p, expr);
	}
	if (status == ATOM_OK && token_is(&p->token, "@"))
		return parse_fail(p, "an operator (there is no @ here)");
	return status;
}

atom_status parse_selector(struct parser *p, const struct token *word,
			   struct expr **expr_r)
{
	struct expr *expr = parse_new(p, EXPR_SELECTOR, EXPR_VECTOR);
	struct matcher *matchers =
		arena_array(p->arena, MATCHERS_MAX + 1, sizeof(*matchers));
	const char *at = p->token.at;
	atom_status status = ATOM_OK;
	size_t count = 0;

	if (expr == NULL || matchers == NULL)
		return parse_no_memory(p);
	if (token_is(&p->token, "{"))
		status = take_matchers(p, matchers, &count);
	if (status != ATOM_OK)
		return status;
	if (word != NULL) {
		for (size_t i = 0; i < count; i++)
			if (strcmp(matchers[i].name, LABEL_NAME) == 0)
				return parse_fail_at(p, at,
						     "the metric's name once");
		matchers[count] = (struct matcher){
			.kind = MATCH_EQUAL,
			.name = LABEL_NAME,
			.value = arena_text(p->arena, word->at, word->length),
		};
		if (matchers[count++].value == NULL)
			return parse_no_memory(p);
	}
	if (!selects_something(matchers, count))
		return parse_fail_at(
			p, at,
			"at least one matcher that an empty value does "
			"not match");
	expr->matchers = matchers;
	expr->matcher_count = count;
	*expr_r = expr;
	return ATOM_OK;
}
