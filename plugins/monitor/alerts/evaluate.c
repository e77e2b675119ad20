/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/alerts/evaluate_priv.h"

#include <math.h>
#include <string.h>

/* value.StaleNaN of Prometheus' storage format. */
#define STALE_BITS 0x7ff0000000000002ull

bool expr_is_stale(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits == STALE_BITS;
}

atom_status evaluate_full(const struct evaluation *e)
{
	return atom_fail(e->err, ATOM_ENOMEM,
			 "out of memory, or more than %zu bytes of values",
			 e->arena->max);
}

struct expr_element *evaluate_room(const struct evaluation *e, size_t most,
				   struct expr_value *value_r)
{
	struct expr_element *items =
		arena_array(e->arena, most + 1, sizeof(*items));

	*value_r = (struct expr_value){ .type = EXPR_VECTOR, .items = items };
	return items;
}

atom_status evaluate_unique(const struct evaluation *e,
			    const struct expr_value *value)
{
	struct label_table table;
	size_t number;

	if (!label_table_init(&table, e->arena, value->count))
		return evaluate_full(e);
	for (size_t i = 0; i < value->count; i++)
		if (!label_table_add(&table, &value->items[i].labels, &number))
			return atom_fail(e->err, ATOM_EINVAL,
					 "two results have the same labels");
	return ATOM_OK;
}

static atom_status evaluate(const struct evaluation *e, const struct expr *expr,
			    struct expr_value *value_r);

/* --- selectors -------------------------------------------------------------------- */

static atom_status select_series(const struct evaluation *e,
				 const struct expr *expr, int64_t reach_ms,
				 const struct expr_series **series_r,
				 size_t *count_r)
{
	int64_t to_ms = e->time_ms - expr->offset_ms;

	return e->source->select(e->source->self, e->arena, expr->matchers,
				 expr->matcher_count, to_ms - reach_ms, to_ms,
				 series_r, count_r, e->err);
}

static atom_status evaluate_selector(const struct evaluation *e,
				     const struct expr *expr,
				     struct expr_value *value_r)
{
	const struct expr_series *series = NULL;
	struct expr_element *items;
	size_t count = 0;
	atom_status status =
		select_series(e, expr, EXPR_LOOKBACK_MS, &series, &count);

	if (status != ATOM_OK)
		return status;
	items = evaluate_room(e, count, value_r);
	if (items == NULL)
		return evaluate_full(e);
	for (size_t i = 0; i < count; i++) {
		size_t samples = series[i].sample_count;
		double value;

		if (samples == 0)
			continue;
		value = series[i].samples[samples - 1].value;
		if (!expr_is_stale(value))
			items[value_r->count++] =
				(struct expr_element){ series[i].labels,
						       value };
	}
	return ATOM_OK;
}

/* Without staleness markers; they are rare, so mostly nothing is copied. */
static const struct expr_sample *fresh(const struct evaluation *e,
				       const struct expr_series *series,
				       size_t *count_r)
{
	struct expr_sample *kept;
	size_t stale = 0;

	for (size_t i = 0; i < series->sample_count; i++)
		stale += expr_is_stale(series->samples[i].value);
	*count_r = series->sample_count - stale;
	if (stale == 0)
		return series->samples;
	kept = arena_array(e->arena, *count_r + 1, sizeof(*kept));
	for (size_t i = 0, at = 0; kept != NULL && i < series->sample_count;
	     i++)
		if (!expr_is_stale(series->samples[i].value))
			kept[at++] = series->samples[i];
	return kept;
}

static bool without_name(const struct evaluation *e,
			 const struct labels *labels, struct labels *labels_r)
{
	return labels_pick(e->arena, labels, NULL, 0, false, true, labels_r);
}

static atom_status evaluate_over_time(const struct evaluation *e,
				      const struct expr *expr,
				      struct expr_value *value_r)
{
	const struct expr *range = expr->left;
	int64_t to_ms = e->time_ms - range->offset_ms;
	const struct expr_series *series = NULL;
	struct expr_element *items;
	size_t count = 0;
	atom_status status =
		select_series(e, range, range->range_ms, &series, &count);

	if (status != ATOM_OK)
		return status;
	items = evaluate_room(e, count, value_r);
	if (items == NULL)
		return evaluate_full(e);
	for (size_t i = 0; i < count; i++) {
		struct expr_element *item = &items[value_r->count];
		size_t samples;
		const struct expr_sample *kept = fresh(e, &series[i], &samples);

		if (kept == NULL && samples > 0)
			return evaluate_full(e);
		if (samples == 0 ||
		    !expr->function->over_time(kept, samples,
					       to_ms - range->range_ms, to_ms,
					       &item->value))
			continue;
		item->labels = series[i].labels;
		if (!expr->function->keeps_name &&
		    !without_name(e, &series[i].labels, &item->labels))
			return evaluate_full(e);
		value_r->count++;
	}
	return evaluate_unique(e, value_r);
}

/* --- calls ------------------------------------------------------------------------- */

static atom_status each_element(const struct evaluation *e,
				double (*change)(double value,
						 double parameter),
				double parameter, const struct expr_value *of,
				struct expr_value *value_r)
{
	struct expr_element *items = evaluate_room(e, of->count, value_r);

	if (items == NULL)
		return evaluate_full(e);
	for (size_t i = 0; i < of->count; i++) {
		items[i].value = change(of->items[i].value, parameter);
		if (!without_name(e, &of->items[i].labels, &items[i].labels))
			return evaluate_full(e);
	}
	value_r->count = of->count;
	return evaluate_unique(e, value_r);
}

/* The labels that the selector's equality matchers say: of several matchers of
 * one label the last, if it is the only one for equality. */
static bool labels_of_absent(const struct evaluation *e,
			     const struct expr *expr, struct labels *labels_r)
{
	struct label *items =
		arena_array(e->arena, expr->matcher_count + 1, sizeof(*items));
	size_t count = 0;

	*labels_r = (struct labels){ items, 0 };
	if (items == NULL)
		return false;
	if (expr->kind != EXPR_SELECTOR)
		return true;
	for (size_t i = 0; i < expr->matcher_count; i++) {
		const struct matcher *matcher = &expr->matchers[i];
		bool twice = false;

		for (size_t k = 0; k < expr->matcher_count; k++)
			if (strcmp(expr->matchers[k].name, matcher->name) == 0)
				twice = twice || k > i ||
					(k < i &&
					 expr->matchers[k].kind == MATCH_EQUAL);
		if (matcher->kind == MATCH_EQUAL && !twice &&
		    strcmp(matcher->name, LABEL_NAME) != 0)
			items[count++] =
				(struct label){ matcher->name, matcher->value };
	}
	return labels_sort(items, count, labels_r);
}

static atom_status evaluate_absent(const struct evaluation *e,
				   const struct expr *expr,
				   const struct expr_value *of,
				   struct expr_value *value_r)
{
	struct expr_element *items = evaluate_room(e, 1, value_r);

	if (items == NULL || !labels_of_absent(e, expr->left, &items[0].labels))
		return evaluate_full(e);
	items[0].value = 1;
	value_r->count = of->count == 0;
	return ATOM_OK;
}

static atom_status evaluate_call(const struct evaluation *e,
				 const struct expr *expr,
				 struct expr_value *value_r)
{
	const struct expr_function *function = expr->function;
	struct expr_value left = { 0 }, right = { 0 };
	struct expr_element *items;
	atom_status status = ATOM_OK;

	if (function->form == FUNCTION_OVER_TIME)
		return evaluate_over_time(e, expr, value_r);
	if (expr->left != NULL)
		status = evaluate(e, expr->left, &left);
	if (status == ATOM_OK && expr->right != NULL)
		status = evaluate(e, expr->right, &right);
	if (status != ATOM_OK)
		return status;
	switch (function->form) {
	case FUNCTION_SCALAR:
		*value_r = (struct expr_value){ .type = EXPR_SCALAR };
		if (expr->left == NULL)
			value_r->scalar = (double)e->time_ms / 1000;
		else
			value_r->scalar =
				left.count == 1 ? left.items[0].value : NAN;
		return ATOM_OK;
	case FUNCTION_VECTOR:
		items = evaluate_room(e, 1, value_r);
		if (items == NULL)
			return evaluate_full(e);
		items[0].value = left.scalar;
		value_r->count = 1;
		return ATOM_OK;
	case FUNCTION_ELEMENT:
		return each_element(e, function->element, right.scalar, &left,
				    value_r);
	case FUNCTION_ABSENT:
		return evaluate_absent(e, expr, &left, value_r);
	case FUNCTION_QUANTILE:
		return quantiles(e, left.scalar, &right, value_r);
	case FUNCTION_OVER_TIME:
		break;
	}
	return atom_fail(e->err, ATOM_EINTERNAL, "a function without a form");
}

/* --- the descent -------------------------------------------------------------------- */

static double negated(double value, double parameter)
{
	(void)parameter;
	return -value;
}

static atom_status evaluate(const struct evaluation *e, const struct expr *expr,
			    struct expr_value *value_r)
{
	struct expr_value left, right;
	atom_status status;

	switch (expr->kind) {
	case EXPR_NUMBER:
		*value_r = (struct expr_value){ .type = EXPR_SCALAR,
						.scalar = expr->number };
		return ATOM_OK;
	case EXPR_SELECTOR:
		return evaluate_selector(e, expr, value_r);
	case EXPR_CALL:
		return evaluate_call(e, expr, value_r);
	case EXPR_NEGATE:
		status = evaluate(e, expr->left, &left);
		if (status != ATOM_OK || left.type == EXPR_VECTOR)
			return status != ATOM_OK ? status
						 : each_element(e, negated, 0,
								&left, value_r);
		*value_r = (struct expr_value){ .type = EXPR_SCALAR,
						.scalar = -left.scalar };
		return ATOM_OK;
	case EXPR_AGGREGATE:
		status = evaluate(e, expr->left, &left);
		return status != ATOM_OK ? status
					 : aggregate(e, expr, &left, value_r);
	case EXPR_BINARY:
		status = evaluate(e, expr->left, &left);
		if (status == ATOM_OK)
			status = evaluate(e, expr->right, &right);
		return status != ATOM_OK
			       ? status
			       : operate(e, expr, &left, &right, value_r);
	}
	return atom_fail(e->err, ATOM_EINTERNAL, "an expression of no kind");
}

atom_status expr_evaluate(const struct expr *expr,
			  const struct expr_source *source, int64_t time_ms,
			  struct arena *arena, struct expr_value *value_r,
			  struct atom_error *err)
{
	const struct evaluation e = {
		.source = source,
		.time_ms = time_ms,
		.arena = arena,
		.err = err,
	};

	return evaluate(&e, expr, value_r);
}
