/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The parser: recursive descent, operators by precedence climbing.
 *
 *	expression  unary (OPERATOR [bool] [on|ignoring (names)] expression)*
 *	unary       ("-" | "+") what binds like ^  |  primary
 *	primary     NUMBER | "(" expression ")" | aggregate | call | selector
 *	selector    [NAME] ["{" matchers "}"] ["[" DURATION "]"] [offset D]
 */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plugins/monitor/alerts/parse_priv.h"

#define DEPTH_MAX    64
#define NAMES_MAX    16
#define ARGUMENT_MAX 2

static const struct {
	const char *sign;
	enum expr_operator op;
	int binds; /* higher binds tighter */
} operators[] = {
	{ "or", OP_OR, 1 },	    { "and", OP_AND, 2 },
	{ "unless", OP_UNLESS, 2 }, { "==", OP_EQUAL, 3 },
	{ "!=", OP_NOT_EQUAL, 3 },  { ">", OP_GREATER, 3 },
	{ "<", OP_LESS, 3 },	    { ">=", OP_GREATER_EQUAL, 3 },
	{ "<=", OP_LESS_EQUAL, 3 }, { "+", OP_ADD, 4 },
	{ "-", OP_SUBTRACT, 4 },    { "*", OP_MULTIPLY, 5 },
	{ "/", OP_DIVIDE, 5 },	    { "%", OP_MODULO, 5 },
	{ "^", OP_POWER, 6 },
};

#define BINDS_POWER 6

static atom_status parse_binary(struct parser *p, int least,
				const struct expr **expr_r);

/* --- tokens --------------------------------------------------------------------- */

atom_status parse_fail_at(struct parser *p, const char *at,
			  const char *expected)
{
	const char *text = p->lexer.text;
	size_t left = strlen(at);

	if (left == 0)
		return atom_fail(p->err, ATOM_EINVAL,
				 "character %zu: expected %s, found the end",
				 (size_t)(at - text) + 1, expected);
	return atom_fail(p->err, ATOM_EINVAL,
			 "character %zu: expected %s, found \"%.*s\"",
			 (size_t)(at - text) + 1, expected,
			 (int)(left < 24 ? left : 24), at);
}

atom_status parse_fail(struct parser *p, const char *expected)
{
	return parse_fail_at(p, p->token.at, expected);
}

atom_status parse_no_memory(struct parser *p)
{
	return atom_fail(p->err, ATOM_ENOMEM,
			 "out of memory, or an expression too large");
}

atom_status parse_next(struct parser *p)
{
	return lex_next(&p->lexer, &p->token, p->err);
}

atom_status parse_sign(struct parser *p, const char *sign)
{
	char expected[8];

	if (token_is(&p->token, sign))
		return parse_next(p);
	(void)snprintf(expected, sizeof(expected), "`%s`", sign);
	return parse_fail(p, expected);
}

struct expr *parse_new(struct parser *p, enum expr_kind kind,
		       enum expr_type type)
{
	struct expr *expr = arena_take(p->arena, sizeof(*expr));

	if (expr != NULL) {
		expr->kind = kind;
		expr->type = type;
	}
	return expr;
}

static const char *type_name(enum expr_type type)
{
	return type == EXPR_SCALAR   ? "a scalar"
	       : type == EXPR_VECTOR ? "an instant vector"
				     : "a range";
}

/* --- aggregates and calls ---------------------------------------------------------------- */

static atom_status take_names(struct parser *p, struct expr_names *names)
{
	const char **items = arena_array(p->arena, NAMES_MAX, sizeof(*items));
	atom_status status = parse_sign(p, "(");

	if (items == NULL)
		return parse_no_memory(p);
	names->items = items;
	while (status == ATOM_OK && !token_is(&p->token, ")")) {
		if (!parse_is_label_name(&p->token))
			return parse_fail(p, "the name of a label");
		if (names->count == NAMES_MAX)
			return parse_fail(p, "at most 16 labels");
		items[names->count] =
			arena_text(p->arena, p->token.at, p->token.length);
		if (items[names->count++] == NULL)
			return parse_no_memory(p);
		status = parse_next(p);
		if (status == ATOM_OK && token_is(&p->token, ","))
			status = parse_next(p);
		else if (status == ATOM_OK && !token_is(&p->token, ")"))
			return parse_fail(p, "`,` or `)`");
	}
	return status == ATOM_OK ? parse_sign(p, ")") : status;
}

static atom_status take_grouping(struct parser *p, struct expr_names *names,
				 bool *given)
{
	bool by = token_is_word(&p->token, "by");
	atom_status status;

	if (*given || (!by && !token_is_word(&p->token, "without")))
		return ATOM_OK;
	*given = true;
	names->listed = by;
	status = parse_next(p);
	return status == ATOM_OK ? take_names(p, names) : status;
}

/* The arguments between parentheses. */
static atom_status take_arguments(struct parser *p, const struct expr **items,
				  int *count)
{
	atom_status status = parse_sign(p, "(");

	while (status == ATOM_OK && !token_is(&p->token, ")")) {
		if (*count == ARGUMENT_MAX)
			return parse_fail(p, "`)`");
		status = parse_binary(p, 1, &items[*count]);
		++*count;
		if (status == ATOM_OK && token_is(&p->token, ",")) {
			status = parse_next(p);
			if (status == ATOM_OK && token_is(&p->token, ")"))
				return parse_fail(p, "one more argument");
		} else if (status == ATOM_OK && !token_is(&p->token, ")")) {
			return parse_fail(p, "`,` or `)`");
		}
	}
	return status == ATOM_OK ? parse_sign(p, ")") : status;
}

static atom_status wrong_type(struct parser *p, const char *at,
			      const char *whose, enum expr_type expected,
			      enum expr_type found)
{
	return atom_fail(p->err, ATOM_EINVAL,
			 "character %zu: expected %s for %s, found %s",
			 (size_t)(at - p->lexer.text) + 1, type_name(expected),
			 whose, type_name(found));
}

static atom_status parse_aggregate(struct parser *p, enum expr_aggregate what,
				   struct expr **expr_r)
{
	struct expr *expr = parse_new(p, EXPR_AGGREGATE, EXPR_VECTOR);
	const struct expr *arguments[ARGUMENT_MAX] = { NULL };
	const char *at = p->token.at;
	bool given = false;
	int count = 0;
	atom_status status;

	if (expr == NULL)
		return parse_no_memory(p);
	expr->aggregate = what;
	expr->names.listed = true;
	status = take_grouping(p, &expr->names, &given);
	if (status == ATOM_OK)
		status = take_arguments(p, arguments, &count);
	if (status == ATOM_OK)
		status = take_grouping(p, &expr->names, &given);
	if (status != ATOM_OK)
		return status;
	if (count != 1)
		return parse_fail_at(p, at, "one argument of an aggregate");
	if (arguments[0]->type != EXPR_VECTOR)
		return wrong_type(p, at, "an aggregate", EXPR_VECTOR,
				  arguments[0]->type);
	expr->left = arguments[0];
	*expr_r = expr;
	return ATOM_OK;
}

static atom_status parse_call(struct parser *p, const struct token *word,
			      struct expr **expr_r)
{
	const struct expr_function *function =
		expr_function_find(word->at, word->length);
	struct expr *expr = parse_new(p, EXPR_CALL, EXPR_VECTOR);
	const struct expr *arguments[ARGUMENT_MAX] = { NULL };
	int count = 0;
	atom_status status;

	if (function == NULL)
		return parse_fail_at(
			p, word->at,
			"a function that atomd knows (docs/alerts.md "
			"lists them)");
	if (expr == NULL)
		return parse_no_memory(p);
	status = take_arguments(p, arguments, &count);
	if (status != ATOM_OK)
		return status;
	if (count != function->argument_count)
		return atom_fail(p->err, ATOM_EINVAL,
				 "character %zu: expected %d arguments for "
				 "%s(), found %d",
				 (size_t)(word->at - p->lexer.text) + 1,
				 function->argument_count, function->name,
				 count);
	for (int i = 0; i < count; i++)
		if (arguments[i]->type != function->arguments[i])
			return wrong_type(p, word->at, function->name,
					  function->arguments[i],
					  arguments[i]->type);
	if (function->form == FUNCTION_SCALAR)
		expr->type = EXPR_SCALAR;
	expr->function = function;
	expr->left = arguments[0];
	expr->right = arguments[1];
	*expr_r = expr;
	return ATOM_OK;
}

/* --- primaries ---------------------------------------------------------------------------- */

static atom_status make_number(struct parser *p, double number,
			       struct expr **expr_r)
{
	struct expr *expr = parse_new(p, EXPR_NUMBER, EXPR_SCALAR);

	if (expr == NULL)
		return parse_no_memory(p);
	expr->number = number;
	*expr_r = expr;
	return ATOM_OK;
}

static bool is_aggregate(const struct token *word, enum expr_aggregate *what)
{
	static const char *const names[] = { "sum", "avg", "min", "max",
					     "count" };

	for (unsigned i = 0; i < 5; i++)
		if (token_is_word(word, names[i])) {
			*what = (enum expr_aggregate)i;
			return true;
		}
	return false;
}

/* Words that are no metric's name where an operand is expected. */
static bool is_reserved(const struct token *word)
{
	static const char *const words[] = {
		"and",	  "or",		"unless",     "bool",
		"on",	  "ignoring",	"by",	      "without",
		"offset", "group_left", "group_right"
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (token_is_word(word, words[i]))
			return true;
	return false;
}

static atom_status parse_word(struct parser *p, struct expr **expr_r)
{
	struct token word = p->token;
	enum expr_aggregate what;
	atom_status status = parse_next(p);

	if (status != ATOM_OK)
		return status;
	if (is_aggregate(&word, &what) &&
	    (token_is(&p->token, "(") || token_is_word(&p->token, "by") ||
	     token_is_word(&p->token, "without")))
		return parse_aggregate(p, what, expr_r);
	if (token_is_word(&word, "inf"))
		return make_number(p, INFINITY, expr_r);
	if (token_is_word(&word, "nan"))
		return make_number(p, NAN, expr_r);
	if (token_is(&p->token, "("))
		return parse_call(p, &word, expr_r);
	if (is_reserved(&word))
		return parse_fail_at(p, word.at,
				     "a selector, number or function");
	return parse_selector(p, &word, expr_r);
}

static atom_status parse_primary(struct parser *p, const struct expr **expr_r)
{
	const struct expr *inner = NULL;
	struct expr *expr = NULL;
	atom_status status;

	if (p->token.kind == TOKEN_NUMBER) {
		status = make_number(p, p->token.number, &expr);
		if (status == ATOM_OK)
			status = parse_next(p);
	} else if (p->token.kind == TOKEN_WORD) {
		status = parse_word(p, &expr);
	} else if (token_is(&p->token, "{")) {
		status = parse_selector(p, NULL, &expr);
	} else if (token_is(&p->token, "(")) {
		status = parse_next(p);
		if (status == ATOM_OK)
			status = parse_binary(p, 1, &inner);
		if (status == ATOM_OK)
			status = parse_sign(p, ")");
		expr = status == ATOM_OK
			       ? parse_new(p, inner->kind, inner->type)
			       : NULL;
		if (status == ATOM_OK && expr == NULL)
			return parse_no_memory(p);
		if (status == ATOM_OK) {
			*expr = *inner;
			expr->parenthesized = true;
		}
	} else {
		return parse_fail(p, "a selector, number or function");
	}
	if (status == ATOM_OK)
		status = parse_suffix(p, expr);
	*expr_r = expr;
	return status;
}

static atom_status parse_unary(struct parser *p, const struct expr **expr_r)
{
	bool minus = token_is(&p->token, "-");
	const char *at = p->token.at;
	const struct expr *operand;
	struct expr *expr;
	atom_status status;

	if (!minus && !token_is(&p->token, "+"))
		return parse_primary(p, expr_r);
	status = parse_next(p);
	if (status == ATOM_OK)
		status = parse_binary(p, BINDS_POWER, &operand);
	if (status != ATOM_OK)
		return status;
	if (operand->type == EXPR_RANGE)
		return wrong_type(p, at, "a sign", EXPR_VECTOR, operand->type);
	if (!minus) {
		*expr_r = operand;
		return ATOM_OK;
	}
	expr = parse_new(p, EXPR_NEGATE, operand->type);
	if (expr == NULL)
		return parse_no_memory(p);
	expr->left = operand;
	*expr_r = expr;
	return ATOM_OK;
}

/* --- operators ------------------------------------------------------------------------------ */

static int find_operator(const struct token *token)
{
	for (int i = 0; i < (int)(sizeof(operators) / sizeof(operators[0]));
	     i++)
		if (token_is(token, operators[i].sign) ||
		    token_is_word(token, operators[i].sign))
			return i;
	return -1;
}

static atom_status take_modifiers(struct parser *p, struct expr *expr,
				  bool *matching)
{
	atom_status status = ATOM_OK;

	if (token_is_word(&p->token, "bool")) {
		if (expr->op < OP_EQUAL || expr->op > OP_LESS_EQUAL)
			return parse_fail(p, "`bool` behind a comparison only");
		expr->to_bool = true;
		status = parse_next(p);
	}
	*matching = status == ATOM_OK && (token_is_word(&p->token, "on") ||
					  token_is_word(&p->token, "ignoring"));
	if (*matching) {
		expr->names.listed = token_is_word(&p->token, "on");
		status = parse_next(p);
		if (status == ATOM_OK)
			status = take_names(p, &expr->names);
		if (status == ATOM_OK &&
		    (token_is_word(&p->token, "group_left") ||
		     token_is_word(&p->token, "group_right")))
			return parse_fail(p,
					  "an operand (sides match one to one "
					  "here)");
	}
	return status;
}

static atom_status check_operands(struct parser *p, const char *at,
				  const struct expr *expr, bool matching)
{
	enum expr_type left = expr->left->type, right = expr->right->type;
	bool scalar = left == EXPR_SCALAR || right == EXPR_SCALAR;
	bool compares = expr->op >= OP_EQUAL && expr->op <= OP_LESS_EQUAL;

	if (left == EXPR_RANGE || right == EXPR_RANGE)
		return wrong_type(p, at, "an operator", EXPR_VECTOR,
				  EXPR_RANGE);
	if (scalar && expr->op <= OP_UNLESS)
		return wrong_type(p, at, "a set operator", EXPR_VECTOR,
				  EXPR_SCALAR);
	if (left == EXPR_SCALAR && right == EXPR_SCALAR && compares &&
	    !expr->to_bool)
		return parse_fail_at(p, at,
				     "`bool` where scalars are compared");
	if (scalar && matching)
		return parse_fail_at(
			p, at, "vectors on both sides of on() or ignoring()");
	return ATOM_OK;
}

static atom_status parse_operator(struct parser *p, int found,
				  const struct expr *left,
				  const struct expr **expr_r)
{
	struct expr *expr = parse_new(p, EXPR_BINARY, EXPR_VECTOR);
	const char *at = p->token.at;
	int binds = operators[found].binds;
	bool matching = false;
	atom_status status;

	if (expr == NULL)
		return parse_no_memory(p);
	expr->op = operators[found].op;
	expr->left = left;
	status = parse_next(p);
	if (status == ATOM_OK)
		status = take_modifiers(p, expr, &matching);
	if (status == ATOM_OK)
		status = parse_binary(p,
				      binds == BINDS_POWER ? binds : binds + 1,
				      &expr->right);
	if (status == ATOM_OK)
		status = check_operands(p, at, expr, matching);
	if (status != ATOM_OK)
		return status;
	if (left->type == EXPR_SCALAR && expr->right->type == EXPR_SCALAR)
		expr->type = EXPR_SCALAR;
	*expr_r = expr;
	return ATOM_OK;
}

/* A chain of n operators nests n deep on the left, which the evaluation
 * descends: so each counts. */
static atom_status parse_binary(struct parser *p, int least,
				const struct expr **expr_r)
{
	const struct expr *left = NULL;
	int before = p->depth;
	atom_status status;
	int found;

	if (++p->depth > DEPTH_MAX)
		return parse_fail(p,
				  "fewer than 64 operators within each other");
	status = parse_unary(p, &left);
	while (status == ATOM_OK && (found = find_operator(&p->token)) >= 0 &&
	       operators[found].binds >= least) {
		if (++p->depth > DEPTH_MAX)
			return parse_fail(p,
					  "fewer than 64 operators in a row");
		status = parse_operator(p, found, left, &left);
	}
	p->depth = before;
	*expr_r = left;
	return status;
}

atom_status expr_parse(struct arena *arena, const char *text,
		       const struct expr **expr_r, struct atom_error *err)
{
	struct parser p = {
		.lexer = { text, text },
		.arena = arena,
		.err = err,
	};
	const struct expr *expr = NULL;
	atom_status status;

	if (strlen(text) > EXPR_TEXT_MAX)
		return atom_fail(err, ATOM_ELIMIT,
				 "an expression of %zu bytes; at most %d",
				 strlen(text), EXPR_TEXT_MAX);
	status = parse_next(&p);
	if (status == ATOM_OK)
		status = parse_binary(&p, 1, &expr);
	if (status == ATOM_OK && p.token.kind != TOKEN_END)
		return parse_fail(&p, "an operator or the end");
	if (status == ATOM_OK && expr->type == EXPR_RANGE)
		return atom_fail(err, ATOM_EINVAL,
				 "expected a value at one time, found a range; "
				 "a function like rate() makes one of it");
	if (status == ATOM_OK)
		*expr_r = expr;
	return status;
}

int64_t expr_reach_ms(const struct expr *expr)
{
	int64_t left, right;

	if (expr == NULL)
		return 0;
	if (expr->kind == EXPR_SELECTOR)
		return expr->offset_ms + (expr->type == EXPR_RANGE
						  ? expr->range_ms
						  : EXPR_LOOKBACK_MS);
	left = expr_reach_ms(expr->left);
	right = expr_reach_ms(expr->right);
	return left > right ? left : right;
}
