/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_TOKEN_PRIV_H
#define CONFIG_TOKEN_PRIV_H

/*
 * A text in libconfig's syntax as a run of tokens.
 */

#include <stddef.h>

#include "core/buffer.h"

#define TOKEN_NAME_MAX	 255
#define TOKEN_STRING_MAX ((size_t)1024 * 1024)

enum token_type {
	TOKEN_END,
	TOKEN_NAME,
	TOKEN_SCALAR, /* a boolean or a number */
	TOKEN_STRING,
	TOKEN_EQUALS, /* = or : */
	TOKEN_COMMA,
	TOKEN_SEMICOLON,
	TOKEN_OPEN, /* { [ ( */
	TOKEN_CLOSE /* } ] ) */
};

struct token {
	enum token_type type;
	int line;
	const char *at;
	size_t length;
};

struct lexer {
	const char *at;
	const char *end; /* *end is NUL */
	int line;	 /* from 1 */
	const char *file;
	struct buffer *errors;
	const char *name; /* the last one read, for messages; not NUL-ended */
	int name_length;
};

/* The next token.  ATOM_EINVAL, with a message, when there is none that
 * libconfig would read as what it seems. */
atom_status token_next(struct lexer *lexer, struct token *token_r);
/* Adds "FILE:LINE: ..." and returns ATOM_EINVAL. */
ATOM_PRINTF(3, 4)
atom_status token_refuse(struct lexer *lexer, int line, const char *format,
			 ...);

#endif
