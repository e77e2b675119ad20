/* SPDX-License-Identifier: Apache-2.0 */

/*
 * libconfig's grammar (its grammar.y) as a machine of one state and a stack
 * of open brackets:
 *
 *	group	{ NAME = VALUE [; or ,] ... }	the text itself is one
 *	list	( VALUE, ... )
 *	array	[ SCALAR, ... ]
 *	VALUE	scalar, string, string string ..., group, list, array
 *
 *	         name          =           value
 *	KEY ---------> EQUALS ----> VALUE --------> AFTER
 *	 ^ ^----------------------------------------/ | ;
 *	 \--------------------------------------------/
 *
 *	         value             ,
 *	FIRST ---------> AFTER ---------> VALUE ----> AFTER
 */

#include "config/scan_priv.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "config/setting_priv.h"
#include "config/source_priv.h"
#include "config/token_priv.h"
#include "config/value.h"

enum state {
	STATE_KEY,    /* group: a name or the end */
	STATE_EQUALS, /* group: = */
	STATE_VALUE,  /* a value */
	STATE_FIRST,  /* list: a value or the end */
	STATE_AFTER   /* behind a value */
};

struct open_bracket {
	char closer; /* '\0' for the text itself */
	int line;
	size_t members;
};

struct scan {
	struct lexer lexer;
	enum state state;
	bool after_string; /* another string may follow, they join */
	size_t settings;
	int depth;
	struct open_bracket open[SETTING_DEPTH_MAX + 1];
};

static struct open_bracket *innermost(struct scan *scan)
{
	return &scan->open[scan->depth];
}

static bool in_group(struct scan *scan)
{
	return innermost(scan)->closer == '}' ||
	       innermost(scan)->closer == '\0';
}

static void show(const struct token *token, char out[48])
{
	char text[64];
	size_t length = token->length;

	if (token->type == TOKEN_END) {
		(void)snprintf(out, 48, "the end");
		return;
	}
	if (length >= sizeof(text))
		length = sizeof(text) - 1;
	(void)snprintf(text, sizeof(text), "%.*s", (int)length, token->at);
	value_quote(text, out, 48);
}

static atom_status refuse_token(struct scan *scan, const struct token *token)
{
	static const char *const wanted[] = {
		[STATE_KEY] = "a key (NAME = VALUE;) or a closing bracket",
		[STATE_EQUALS] = "`=`",
		[STATE_VALUE] = "a value",
		[STATE_FIRST] = "a value or a closing bracket",
		[STATE_AFTER] = "`,` or a closing bracket",
	};
	const char *want = wanted[scan->state];
	const char *hint = "";
	char shown[48];

	if (scan->state == STATE_AFTER && in_group(scan))
		want = "`;`";
	if (token->type == TOKEN_NAME && scan->state != STATE_AFTER &&
	    scan->state != STATE_EQUALS)
		hint = " (strings stand in double quotes)";
	show(token, shown);
	return token_refuse(&scan->lexer, token->line,
			    "syntax error: %s was expected, found %s%s", want,
			    shown, hint);
}

/* One more member of what is open, whose VALUE begins. */
static atom_status count_member(struct scan *scan, const struct token *token)
{
	size_t members = ++innermost(scan)->members;

	if (++scan->settings > SETTING_COUNT_MAX)
		return token_refuse(&scan->lexer, token->line,
				    "more than %d settings in one file",
				    SETTING_COUNT_MAX);
	if (in_group(scan) && members > SETTING_MEMBERS_MAX)
		return token_refuse(&scan->lexer, token->line,
				    "more than %d settings in one group",
				    SETTING_MEMBERS_MAX);
	return ATOM_OK;
}

static atom_status take_open(struct scan *scan, const struct token *token)
{
	char bracket = *token->at;

	if (innermost(scan)->closer == ']')
		return token_refuse(
			&scan->lexer, token->line,
			"[ ] holds scalars only; groups and lists stand in ( )");
	if (scan->depth == SETTING_DEPTH_MAX)
		return token_refuse(&scan->lexer, token->line,
				    "nested deeper than %d brackets",
				    SETTING_DEPTH_MAX);
	scan->depth++;
	*innermost(scan) = (struct open_bracket){
		.closer = bracket == '{'   ? '}'
			  : bracket == '[' ? ']'
					   : ')',
		.line = token->line,
	};
	scan->state = bracket == '{' ? STATE_KEY : STATE_FIRST;
	return ATOM_OK;
}

static atom_status take_close(struct scan *scan, const struct token *token)
{
	char closer = innermost(scan)->closer;

	if (scan->depth == 0)
		return token_refuse(&scan->lexer, token->line,
				    "`%c` closes nothing", *token->at);
	if (*token->at != closer)
		return token_refuse(
			&scan->lexer, token->line,
			"`%c` where `%c` must close what line %d opened",
			*token->at, closer, innermost(scan)->line);
	if (scan->state == STATE_EQUALS || scan->state == STATE_VALUE)
		return refuse_token(scan, token);
	scan->depth--;
	scan->state = STATE_AFTER;
	return ATOM_OK;
}

static atom_status take_value(struct scan *scan, const struct token *token)
{
	if (count_member(scan, token) != ATOM_OK)
		return ATOM_EINVAL;
	if (token->type == TOKEN_OPEN)
		return take_open(scan, token);
	scan->after_string = token->type == TOKEN_STRING;
	scan->state = STATE_AFTER;
	return ATOM_OK;
}

static bool begins_value(const struct token *token)
{
	return token->type == TOKEN_SCALAR || token->type == TOKEN_STRING ||
	       token->type == TOKEN_OPEN;
}

/* Behind a value: a group's next key needs no `;` between. */
static atom_status take_after(struct scan *scan, const struct token *token,
			      bool after_string)
{
	if (token->type == TOKEN_STRING && after_string) {
		scan->after_string = true;
		return ATOM_OK;
	}
	if (in_group(scan) &&
	    (token->type == TOKEN_SEMICOLON || token->type == TOKEN_COMMA)) {
		scan->state = STATE_KEY;
		return ATOM_OK;
	}
	if (in_group(scan) && token->type == TOKEN_NAME) {
		scan->state = STATE_EQUALS;
		return ATOM_OK;
	}
	if (!in_group(scan) && token->type == TOKEN_COMMA) {
		scan->state = STATE_VALUE;
		return ATOM_OK;
	}
	return refuse_token(scan, token);
}

static atom_status take_token(struct scan *scan, const struct token *token)
{
	bool after_string = scan->after_string;

	scan->after_string = false;
	if (token->type == TOKEN_CLOSE)
		return take_close(scan, token);
	switch (scan->state) {
	case STATE_KEY:
		if (token->type != TOKEN_NAME)
			break;
		scan->state = STATE_EQUALS;
		return ATOM_OK;
	case STATE_EQUALS:
		if (token->type != TOKEN_EQUALS)
			break;
		scan->state = STATE_VALUE;
		return ATOM_OK;
	case STATE_VALUE:
	case STATE_FIRST:
		if (!begins_value(token))
			break;
		return take_value(scan, token);
	case STATE_AFTER:
		return take_after(scan, token, after_string);
	}
	return refuse_token(scan, token);
}

static atom_status check_end(struct scan *scan, const struct token *token)
{
	if (scan->depth > 0)
		return token_refuse(
			&scan->lexer, innermost(scan)->line,
			"the bracket that begins here is never closed");
	if (scan->state == STATE_EQUALS || scan->state == STATE_VALUE)
		return refuse_token(scan, token);
	return ATOM_OK;
}

atom_status scan_check(const char *text, size_t length, const char *file,
		       struct buffer *errors)
{
	struct scan scan = {
		.lexer = {
			.at = text,
			.end = text + length,
			.line = 1,
			.file = file,
			.errors = errors,
			.name = "",
		},
		.state = STATE_KEY,
	};
	atom_status status = ATOM_OK;
	struct token token = { .line = 1 };
	int last_line = 1;
	size_t bad;

	if (!source_is_utf8(text, length, &bad)) {
		for (const char *p = text; p < text + bad; p++)
			scan.lexer.line += *p == '\n';
		return token_refuse(&scan.lexer, scan.lexer.line,
				    "byte 0x%02x is not UTF-8",
				    (unsigned char)text[bad]);
	}
	do {
		last_line = token.line;
		status = token_next(&scan.lexer, &token);
		if (status == ATOM_OK && token.type != TOKEN_END)
			status = take_token(&scan, &token);
	} while (status == ATOM_OK && token.type != TOKEN_END);
	/* Where something is missing at the end is where the text stops. */
	token.line = last_line;
	return status == ATOM_OK ? check_end(&scan, &token) : status;
}
