/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ALERTS_PARSE_PRIV_H
#define ALERTS_PARSE_PRIV_H

/*
 * The room of the parser: parse.c knows operators and calls, parse_selector.c
 * selectors and durations.  Every function takes the tokens of what it is
 * named after and leaves `token` at the next one.
 */

#include "plugins/monitor/alerts/function.h"
#include "plugins/monitor/alerts/lex.h"

struct parser {
	struct lexer lexer;
	struct token token; /* the next one, not taken yet */
	struct arena *arena;
	struct atom_error *err;
	int depth;
};

atom_status parse_next(struct parser *p);
/* ATOM_EINVAL: expected that, found what stands at the token, or at `at`. */
atom_status parse_fail(struct parser *p, const char *expected);
atom_status parse_fail_at(struct parser *p, const char *at,
			  const char *expected);
atom_status parse_no_memory(struct parser *p);
atom_status parse_sign(struct parser *p, const char *sign);
/* NULL: out of memory. */
struct expr *parse_new(struct parser *p, enum expr_kind kind,
		       enum expr_type type);

/* parse_selector.c; `word` is the metric's name, taken already, or NULL. */
atom_status parse_selector(struct parser *p, const struct token *word,
			   struct expr **expr_r);
/* [range] and offset behind `expr`. */
atom_status parse_suffix(struct parser *p, struct expr *expr);
bool parse_is_label_name(const struct token *token);

#endif
