/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/alerts/lex.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool starts_word(char c)
{
	return isalpha((unsigned char)c) || c == '_' || c == ':';
}

static bool goes_on(char c)
{
	return starts_word(c) || isdigit((unsigned char)c);
}

static atom_status complain(const struct lexer *lexer, const char *what,
			    struct atom_error *err)
{
	return atom_fail(err, ATOM_EINVAL, "character %zu: %s",
			 (size_t)(lexer->at - lexer->text) + 1, what);
}

static atom_status take_text(struct lexer *lexer, struct token *token,
			     struct atom_error *err)
{
	char quote = *lexer->at;
	const char *at = lexer->at + 1;

	for (; *at != quote; at++) {
		if (*at == '\0' || (*at == '\n' && quote != '`'))
			return complain(lexer, "a text without its end", err);
		if (*at == '\\' && quote != '`' && at[1] != '\0')
			at++;
	}
	token->kind = TOKEN_TEXT;
	token->length = (size_t)(at - token->at) + 1;
	return ATOM_OK;
}

/* A number, or a duration when a unit follows its digits.  strtod() would take
 * "0x1p3", too, which Prometheus does not. */
static atom_status take_number(struct lexer *lexer, struct token *token,
			       struct atom_error *err)
{
	const char *at = lexer->at, *digits = at;
	char *end;

	if (at[0] == '0' && (at[1] == 'x' || at[1] == 'X')) {
		unsigned long long whole;

		for (digits = at += 2; isxdigit((unsigned char)*at); at++)
			;
		if (at == digits || at - digits > 16 || goes_on(*at) ||
		    *at == '.')
			return complain(lexer, "a number that is none", err);
		whole = strtoull(digits, NULL, 16);
		token->number = (double)whole;
		token->kind = TOKEN_NUMBER;
		token->length = (size_t)(at - token->at);
		return ATOM_OK;
	}
	while (isdigit((unsigned char)*at))
		at++;
	if (at > digits && *at != '\0' && strchr("smhdwy", *at) != NULL) {
		while (isalnum((unsigned char)*at))
			at++;
		token->kind = TOKEN_DURATION;
		token->length = (size_t)(at - token->at);
		return ATOM_OK;
	}
	if (*at == '.')
		for (at++; isdigit((unsigned char)*at); at++)
			;
	if (*at == 'e' || *at == 'E') {
		at++;
		if (*at == '+' || *at == '-')
			at++;
		while (isdigit((unsigned char)*at))
			at++;
	}
	token->number = strtod(token->at, &end);
	if (end != at || goes_on(*at) || *at == '.')
		return complain(lexer, "a number that is none", err);
	token->kind = TOKEN_NUMBER;
	token->length = (size_t)(at - token->at);
	return ATOM_OK;
}

static size_t sign_length(const char *at)
{
	static const char *const twos[] = { "==", "!=", ">=", "<=",
					    "=~", "!~", NULL };

	for (const char *const *two = twos; *two != NULL; two++)
		if (strncmp(at, *two, 2) == 0)
			return 2;
	return strchr("+-*/%^=<>(){}[],:@", *at) != NULL ? 1 : 0;
}

static void skip_blank(struct lexer *lexer)
{
	for (;; lexer->at++) {
		if (*lexer->at == '#')
			lexer->at += strcspn(lexer->at, "\n");
		if (*lexer->at == '\0' || strchr(" \t\r\n", *lexer->at) == NULL)
			return;
	}
}

atom_status lex_next(struct lexer *lexer, struct token *token_r,
		     struct atom_error *err)
{
	struct token token = { .kind = TOKEN_END };
	atom_status status = ATOM_OK;
	const char *at;

	skip_blank(lexer);
	at = token.at = lexer->at;
	if (*at == '"' || *at == '\'' || *at == '`') {
		status = take_text(lexer, &token, err);
	} else if (isdigit((unsigned char)*at) ||
		   (*at == '.' && isdigit((unsigned char)at[1]))) {
		status = take_number(lexer, &token, err);
	} else if (*at != '\0' && sign_length(at) > 0 &&
		   !(*at == ':' && starts_word(at[1]))) {
		token.kind = TOKEN_SIGN;
		token.length = sign_length(at);
	} else if (starts_word(*at)) {
		token.kind = TOKEN_WORD;
		while (goes_on(at[token.length]))
			token.length++;
	} else if (*at != '\0') {
		status = complain(lexer, "no word of an expression begins here",
				  err);
	}
	if (status != ATOM_OK)
		return status;
	lexer->at += token.length;
	*token_r = token;
	return ATOM_OK;
}

bool token_is(const struct token *token, const char *sign)
{
	return token->kind == TOKEN_SIGN && token->length == strlen(sign) &&
	       memcmp(token->at, sign, token->length) == 0;
}

bool token_is_word(const struct token *token, const char *word)
{
	return token->kind == TOKEN_WORD && token->length == strlen(word) &&
	       strncasecmp(token->at, word, token->length) == 0;
}

static char *put_utf8(char *out, uint32_t rune)
{
	if (rune < 0x80) {
		*out++ = (char)rune;
	} else if (rune < 0x800) {
		*out++ = (char)(0xc0 | rune >> 6);
		*out++ = (char)(0x80 | (rune & 63));
	} else if (rune < 0x10000) {
		*out++ = (char)(0xe0 | rune >> 12);
		*out++ = (char)(0x80 | (rune >> 6 & 63));
		*out++ = (char)(0x80 | (rune & 63));
	} else {
		*out++ = (char)(0xf0 | rune >> 18);
		*out++ = (char)(0x80 | (rune >> 12 & 63));
		*out++ = (char)(0x80 | (rune >> 6 & 63));
		*out++ = (char)(0x80 | (rune & 63));
	}
	return out;
}

/* \xHH, \OOO, \uHHHH and \UHHHHHHHH of Go; `at` is behind the backslash. */
static const char *unescape_number(const char *at, const char *end, char **out)
{
	int digits = *at == 'x' ? 2 : *at == 'u' ? 4 : *at == 'U' ? 8 : 3;
	int base = digits == 3 ? 8 : 16;
	char copy[9] = "";
	char *stop;
	unsigned long rune;

	if (base == 16)
		at++;
	if (end - at < digits)
		return NULL;
	memcpy(copy, at, (size_t)digits);
	if (!isxdigit((unsigned char)copy[0]))
		return NULL;
	rune = strtoul(copy, &stop, base);
	if (*stop != '\0' || rune == 0 || rune > 0x10ffff ||
	    (digits <= 3 && rune > 255) || (rune >= 0xd800 && rune < 0xe000))
		return NULL;
	if (digits <= 3)
		*(*out)++ = (char)rune;
	else
		*out = put_utf8(*out, (uint32_t)rune);
	return at + digits;
}

bool token_unquote(const struct token *token, char *out)
{
	static const char names[] = "abfnrtv\\'\"";
	static const char bytes[] = "\a\b\f\n\r\t\v\\'\"";
	const char *at = token->at + 1;
	const char *end = token->at + token->length - 1;
	char quote = *token->at;

	while (at < end) {
		const char *name;

		if (*at != '\\' || quote == '`') {
			*out++ = *at++;
			continue;
		}
		at++;
		name = strchr(names, *at);
		/* Go: the quote of the other kind is not escaped. */
		if (name != NULL && (*at == '"' || *at == '\'') && *at != quote)
			return false;
		if (name != NULL) {
			*out++ = bytes[name - names];
			at++;
			continue;
		}
		at = unescape_number(at, end, &out);
		if (at == NULL)
			return false;
	}
	*out = '\0';
	return true;
}
