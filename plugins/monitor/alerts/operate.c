/* SPDX-License-Identifier: Apache-2.0 */

/* Binary operators: on numbers, and how the elements of two vectors find each
 * other. */

#include <math.h>
#include <string.h>

#include "plugins/monitor/alerts/evaluate_priv.h"

static bool is_comparison(enum expr_operator op)
{
	return op >= OP_EQUAL && op <= OP_LESS_EQUAL;
}

static double calculate(enum expr_operator op, double a, double b)
{
	switch (op) {
	case OP_ADD:
		return a + b;
	case OP_SUBTRACT:
		return a - b;
	case OP_MULTIPLY:
		return a * b;
	case OP_DIVIDE:
		return a / b;
	case OP_MODULO:
		return fmod(a, b);
	case OP_POWER:
		return pow(a, b);
	case OP_EQUAL:
		return a == b;
	case OP_NOT_EQUAL:
		return a != b;
	case OP_GREATER:
		return a > b;
	case OP_LESS:
		return a < b;
	case OP_GREATER_EQUAL:
		return a >= b;
	case OP_LESS_EQUAL:
		return a <= b;
	case OP_OR:
	case OP_AND:
	case OP_UNLESS:
		break;
	}
	return NAN;
}

/* A comparison without bool lets `value` pass, or drops the element. */
static bool combine(const struct expr *expr, double a, double b, double value,
		    double *value_r)
{
	double result = calculate(expr->op, a, b);

	if (!is_comparison(expr->op) || expr->to_bool) {
		*value_r = result;
		return true;
	}
	*value_r = value;
	return result != 0;
}

static bool drops_name(const struct expr *expr)
{
	return !is_comparison(expr->op) || expr->to_bool;
}

static atom_status with_scalar(const struct evaluation *e,
			       const struct expr *expr,
			       const struct expr_value *vector, double scalar,
			       bool scalar_first, struct expr_value *value_r)
{
	struct expr_element *items = evaluate_room(e, vector->count, value_r);

	if (items == NULL)
		return evaluate_full(e);
	for (size_t i = 0; i < vector->count; i++) {
		const struct expr_element *from = &vector->items[i];
		struct expr_element *to = &items[value_r->count];
		double a = scalar_first ? scalar : from->value;
		double b = scalar_first ? from->value : scalar;

		if (!combine(expr, a, b, from->value, &to->value))
			continue;
		if (!labels_pick(e->arena, &from->labels, NULL, 0, false,
				 drops_name(expr), &to->labels))
			return evaluate_full(e);
		value_r->count++;
	}
	return evaluate_unique(e, value_r);
}

/* --- vectors ----------------------------------------------------------------------- */

/* What elements are matched by. */
static struct labels *keys_of(const struct evaluation *e,
			      const struct expr *expr,
			      const struct expr_value *vector)
{
	struct labels *keys =
		arena_array(e->arena, vector->count + 1, sizeof(*keys));

	for (size_t i = 0; keys != NULL && i < vector->count; i++)
		if (!labels_pick(e->arena, &vector->items[i].labels,
				 expr->names.items, expr->names.count,
				 expr->names.listed, !expr->names.listed,
				 &keys[i]))
			return NULL;
	return keys;
}

static atom_status ambiguous(const struct evaluation *e, const char *side)
{
	return atom_fail(e->err, ATOM_EINVAL,
			 "several elements of the %s side have the labels that "
			 "are matched by; on() or ignoring() must name labels "
			 "that tell them apart",
			 side);
}

static atom_status one_to_one(const struct evaluation *e,
			      const struct expr *expr,
			      const struct expr_value *left,
			      const struct expr_value *right,
			      const struct labels *left_keys,
			      const struct labels *right_keys,
			      struct expr_value *value_r)
{
	struct expr_element *items = evaluate_room(e, left->count, value_r);
	struct label_table table;
	bool *used = arena_array(e->arena, right->count + 1, sizeof(*used));
	size_t number;

	if (items == NULL || used == NULL ||
	    !label_table_init(&table, e->arena, right->count))
		return evaluate_full(e);
	/* Prometheus looks for doubles only where something can match. */
	if (left->count == 0)
		return ATOM_OK;
	for (size_t i = 0; i < right->count; i++)
		if (!label_table_add(&table, &right_keys[i], &number))
			return ambiguous(e, "right");
	for (size_t i = 0; i < left->count; i++) {
		const struct expr_element *from = &left->items[i];
		struct expr_element *to = &items[value_r->count];
		size_t partner = label_table_find(&table, &left_keys[i]);

		if (partner == SIZE_MAX ||
		    !combine(expr, from->value, right->items[partner].value,
			     from->value, &to->value))
			continue;
		if (used[partner])
			return ambiguous(e, "left");
		used[partner] = true;
		if (!labels_pick(e->arena, &from->labels, expr->names.items,
				 expr->names.count, expr->names.listed,
				 drops_name(expr), &to->labels))
			return evaluate_full(e);
		value_r->count++;
	}
	return evaluate_unique(e, value_r);
}

static atom_status set_operation(const struct evaluation *e,
				 enum expr_operator op,
				 const struct expr_value *left,
				 const struct expr_value *right,
				 const struct labels *left_keys,
				 const struct labels *right_keys,
				 struct expr_value *value_r)
{
	struct expr_element *items =
		evaluate_room(e, left->count + right->count, value_r);
	const struct labels *keys = op == OP_OR ? left_keys : right_keys;
	size_t count = op == OP_OR ? left->count : right->count, number;
	struct label_table table;

	if (items == NULL || !label_table_init(&table, e->arena, count))
		return evaluate_full(e);
	for (size_t i = 0; i < count; i++)
		(void)label_table_add(&table, &keys[i], &number);
	for (size_t i = 0; i < left->count; i++)
		if (op == OP_OR || (label_table_find(&table, &left_keys[i]) !=
				    SIZE_MAX) == (op == OP_AND))
			items[value_r->count++] = left->items[i];
	for (size_t i = 0; op == OP_OR && i < right->count; i++)
		if (label_table_find(&table, &right_keys[i]) == SIZE_MAX)
			items[value_r->count++] = right->items[i];
	return evaluate_unique(e, value_r);
}

atom_status operate(const struct evaluation *e, const struct expr *expr,
		    const struct expr_value *left,
		    const struct expr_value *right, struct expr_value *value_r)
{
	const struct labels *left_keys, *right_keys;

	if (left->type == EXPR_SCALAR && right->type == EXPR_SCALAR) {
		*value_r = (struct expr_value){
			.type = EXPR_SCALAR,
			.scalar = calculate(expr->op, left->scalar,
					    right->scalar),
		};
		return ATOM_OK;
	}
	if (left->type == EXPR_SCALAR)
		return with_scalar(e, expr, right, left->scalar, true, value_r);
	if (right->type == EXPR_SCALAR)
		return with_scalar(e, expr, left, right->scalar, false,
				   value_r);
	left_keys = keys_of(e, expr, left);
	right_keys = keys_of(e, expr, right);
	if (left_keys == NULL || right_keys == NULL)
		return evaluate_full(e);
	if (expr->op <= OP_UNLESS)
		return set_operation(e, expr->op, left, right, left_keys,
				     right_keys, value_r);
	return one_to_one(e, expr, left, right, left_keys, right_keys, value_r);
}
