/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The tokens of libconfig 1.5 (its scanner.l), recognised exactly as it does:
 * what is a string or a comment to one must be so to the other, or an
 * @include could hide from us in what we take for a string.
 *
 *	string	  " ... "   with \n \r \t \f \\ \" \xHH; another \ is itself
 *	comment	  # ... or // ... to the end of the line, / * ... * /
 *	name	  [A-Za-z*][-A-Za-z0-9_*]*
 *	boolean	  true, false in any case
 *	number	  [-+]?[0-9]+ (L|LL)?, 0x[0-9A-Fa-f]+ (L|LL)?, floats
 *	other	  = : , ; { } [ ] ( ) and blanks
 */

#include "config/token_priv.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/complain_priv.h"
#include "config/value.h"

atom_status token_refuse(struct lexer *lexer, int line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain_at_v(lexer->errors, lexer->file, line, format, args);
	va_end(args);
	return ATOM_EINVAL;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_name_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '*';
}

static bool is_name(char c)
{
	return is_name_start(c) || is_digit(c) || c == '-' || c == '_';
}

static atom_status read_string(struct lexer *lexer)
{
	const char *start = lexer->at++;
	int line = lexer->line;

	for (; lexer->at < lexer->end; lexer->at++) {
		const char *p = lexer->at;

		if ((size_t)(p - start) > TOKEN_STRING_MAX)
			return token_refuse(lexer, line,
					    "a string of more than %zu KiB",
					    TOKEN_STRING_MAX / 1024);
		if (*p == '\n')
			lexer->line++;
		if (*p == '"') {
			lexer->at++;
			return ATOM_OK;
		}
		if (*p != '\\')
			continue;
		if ((p[1] == 'x' || p[1] == 'X') && p[2] == '0' && p[3] == '0')
			return token_refuse(
				lexer, lexer->line,
				"\\x00 in a string: no value holds NUL");
		/* Every other escape is one byte and what follows is plain;
		 * only a quote or a backslash must not be looked at again. */
		if (p[1] == '"' || p[1] == '\\')
			lexer->at++;
	}
	return token_refuse(lexer, line,
			    "the string that begins here never ends");
}

static atom_status skip_comment(struct lexer *lexer)
{
	int line = lexer->line;

	for (lexer->at += 2; lexer->at < lexer->end; lexer->at++) {
		if (*lexer->at == '\n')
			lexer->line++;
		if (lexer->at[0] == '*' && lexer->at[1] == '/') {
			lexer->at += 2;
			return ATOM_OK;
		}
	}
	return token_refuse(lexer, line,
			    "the comment that begins here never ends");
}

static void skip_line(struct lexer *lexer)
{
	while (lexer->at < lexer->end && *lexer->at != '\n')
		lexer->at++;
}

/* Blanks and comments. */
static atom_status skip(struct lexer *lexer)
{
	atom_status status = ATOM_OK;

	while (status == ATOM_OK && lexer->at < lexer->end) {
		const char *p = lexer->at;

		if (*p == '\n')
			lexer->line++;
		if (*p == '#' || (p[0] == '/' && p[1] == '/'))
			skip_line(lexer);
		else if (p[0] == '/' && p[1] == '*')
			status = skip_comment(lexer);
		else if (*p && strchr(" \t\r\f\n", *p))
			lexer->at++;
		else
			break;
	}
	return status;
}

static atom_status read_name(struct lexer *lexer, struct token *token)
{
	size_t length;

	while (is_name(*lexer->at))
		lexer->at++;
	length = (size_t)(lexer->at - token->at);
	if (length > TOKEN_NAME_MAX)
		return token_refuse(lexer, lexer->line,
				    "a word of more than %d characters",
				    TOKEN_NAME_MAX);
	token->type = (length == 4 && strncasecmp(token->at, "true", 4) == 0) ||
				      (length == 5 &&
				       strncasecmp(token->at, "false", 5) == 0)
			      ? TOKEN_SCALAR
			      : TOKEN_NAME;
	if (token->type == TOKEN_NAME) {
		lexer->name = token->at;
		lexer->name_length = (int)length;
	}
	return ATOM_OK;
}

/* The end of the number at `p`, by flex's rule: the longest match wins. */
static const char *number_end(const char *p, bool *is_float)
{
	const char *end, *digits;

	*is_float = false;
	if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X') && is_hex(p[2])) {
		for (end = p + 2; is_hex(*end);)
			end++;
		goto suffix;
	}
	if (*p == '+' || *p == '-')
		p++;
	digits = p;
	while (is_digit(*p))
		p++;
	end = p;
	if (*p == '.') {
		for (end = p + 1; is_digit(*end);)
			end++;
		*is_float = true;
		if (end - digits == 1)
			return digits; /* "." alone: no digit */
		p = end;
	} else if (p == digits) {
		return digits;
	}
	if (*p == 'e' || *p == 'E') {
		const char *exponent = p + 1;

		if (*exponent == '+' || *exponent == '-')
			exponent++;
		if (is_digit(*exponent)) {
			*is_float = true;
			while (is_digit(*exponent))
				exponent++;
			return exponent;
		}
	}
	if (*is_float)
		return end;
suffix:
	if (*end == 'L')
		end += end[1] == 'L' ? 2 : 1;
	return end;
}

/* Does the integer fit?  libconfig wraps: 32 bits without L, 64 with. */
static atom_status check_integer(struct lexer *lexer, const char *number,
				 const char *shown)
{
	bool hex = number[0] == '0' && (number[1] == 'x' || number[1] == 'X');
	bool wide = strchr(number, 'L') != NULL;
	long long value;

	errno = 0;
	value = strtoll(number, NULL, hex ? 16 : 10);
	if (errno == ERANGE)
		return token_refuse(
			lexer, lexer->line,
			"`%.*s`: the integer %s does not fit into 64 bits",
			lexer->name_length, lexer->name, shown);
	if (!wide && (value > INT32_MAX || value < INT32_MIN))
		return token_refuse(
			lexer, lexer->line,
			"`%.*s`: the integer %s does not fit into 32 bits: write %sL",
			lexer->name_length, lexer->name, shown, shown);
	return ATOM_OK;
}

static atom_status read_number(struct lexer *lexer)
{
	const char *start = lexer->at;
	char number[64], shown[48];
	bool is_float;
	size_t length;

	lexer->at = number_end(start, &is_float);
	length = (size_t)(lexer->at - start);
	if (length == 0 || (length == 1 && !is_digit(*start)))
		return token_refuse(lexer, lexer->line, "`%c` is no number",
				    *start);
	if (length >= sizeof(number))
		length = sizeof(number) - 1;
	memcpy(number, start, length);
	number[length] = '\0';
	value_quote(number, shown, sizeof(shown));
	if ((size_t)(lexer->at - start) >= sizeof(number))
		return token_refuse(lexer, lexer->line,
				    "the number %s is too long", shown);
	if (is_name(*lexer->at) || *lexer->at == '.')
		return token_refuse(
			lexer, lexer->line,
			"%s%c... is no number (a value with a unit stands in quotes: \"30s\")",
			shown, *lexer->at);
	if (!is_float)
		return check_integer(lexer, number, shown);
	if (!isfinite(strtod(number, NULL)))
		return token_refuse(lexer, lexer->line,
				    "the number %s is too large", shown);
	return ATOM_OK;
}

static atom_status refuse_byte(struct lexer *lexer)
{
	unsigned char c = (unsigned char)*lexer->at;

	if (strncmp(lexer->at, "@include", 8) == 0)
		return token_refuse(
			lexer, lexer->line,
			"@include is not taken: use include = [ \"FILE\" ];");
	if (c <= 0x20 || c >= 0x7f)
		return token_refuse(lexer, lexer->line,
				    "byte 0x%02x outside of a string", c);
	return token_refuse(lexer, lexer->line, "`%c` is not expected here", c);
}

static atom_status read_token(struct lexer *lexer, struct token *token)
{
	char c = *lexer->at;

	if (is_name_start(c))
		return read_name(lexer, token);
	if (is_digit(c) || c == '.' || c == '-' || c == '+') {
		token->type = TOKEN_SCALAR;
		return read_number(lexer);
	}
	switch (c) {
	case '"':
		token->type = TOKEN_STRING;
		return read_string(lexer);
	case '=':
	case ':':
		token->type = TOKEN_EQUALS;
		break;
	case ',':
		token->type = TOKEN_COMMA;
		break;
	case ';':
		token->type = TOKEN_SEMICOLON;
		break;
	case '{':
	case '[':
	case '(':
		token->type = TOKEN_OPEN;
		break;
	case '}':
	case ']':
	case ')':
		token->type = TOKEN_CLOSE;
		break;
	default:
		return refuse_byte(lexer);
	}
	lexer->at++;
	return ATOM_OK;
}

atom_status token_next(struct lexer *lexer, struct token *token_r)
{
	atom_status status = skip(lexer);

	token_r->at = lexer->at;
	token_r->line = lexer->line;
	token_r->type = TOKEN_END;
	if (status == ATOM_OK && lexer->at < lexer->end)
		status = read_token(lexer, token_r);
	token_r->length = (size_t)(lexer->at - token_r->at);
	return status;
}
