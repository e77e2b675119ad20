/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ALERTS_LEX_H
#define ALERTS_LEX_H

/*
 * Words of an expression.  A token is a piece of the text; words and operators
 * are told apart by the parser, for `sum` is a name of a metric, too.
 */

#include <stdbool.h>
#include <stddef.h>

#include <atomd/plugin.h>

enum token_kind {
	TOKEN_END,
	TOKEN_NUMBER,
	TOKEN_DURATION,
	TOKEN_WORD, /* names may hold colons */
	TOKEN_TEXT, /* in its quotes */
	TOKEN_SIGN  /* + - * / % ^ == != > < >= <= =~ !~ = ( ) { } [ ] , : @ */
};

struct token {
	enum token_kind kind;
	const char *at;
	size_t length;
	double number;
};

struct lexer {
	const char *text;
	const char *at;
};

/* ATOM_EINVAL: no token begins here; the message says where. */
atom_status lex_next(struct lexer *lexer, struct token *token_r,
		     struct atom_error *err);
bool token_is(const struct token *token, const char *sign);
/* The same for words, in any case of letters. */
bool token_is_word(const struct token *token, const char *word);
/* The text between the quotes, unescaped, into `out` (room for token->length
 * bytes).  False: an unknown escape, or a NUL. */
bool token_unquote(const struct token *token, char *out);

#endif
