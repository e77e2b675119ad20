/* SPDX-License-Identifier: Apache-2.0 */

/* What makes one element of several: aggregates, and a histogram's buckets. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/monitor/alerts/evaluate_priv.h"

/* Elements by the labels that they share. */
struct grouping {
	struct label_table table;
	struct labels *keys; /* of each element */
	size_t *numbers;     /* group of each element */
	size_t *sizes;	     /* of each group */
};

static bool group_by(const struct evaluation *e, const struct expr_value *of,
		     const struct expr_names *names, struct grouping *g)
{
	size_t most = of->count + 1;

	g->keys = arena_array(e->arena, most, sizeof(*g->keys));
	g->numbers = arena_array(e->arena, most, sizeof(*g->numbers));
	g->sizes = arena_array(e->arena, most, sizeof(*g->sizes));
	if (g->keys == NULL || g->numbers == NULL || g->sizes == NULL ||
	    !label_table_init(&g->table, e->arena, of->count))
		return false;
	for (size_t i = 0; i < of->count; i++) {
		if (!labels_pick(e->arena, &of->items[i].labels, names->items,
				 names->count, names->listed, !names->listed,
				 &g->keys[i]))
			return false;
		(void)label_table_add(&g->table, &g->keys[i], &g->numbers[i]);
		g->sizes[g->numbers[i]]++;
	}
	return true;
}

/* --- aggregates ----------------------------------------------------------------------- */

/* A running mean does not overflow where a sum would; an infinite one stays
 * that unless its opposite comes. */
static double mean_with(double mean, double value, double count)
{
	if (isinf(mean) &&
	    (isinf(value) ? (mean > 0) == (value > 0) : !isnan(value)))
		return mean;
	return mean + value / count - mean / count;
}

static double with(enum expr_aggregate what, double before, double value,
		   size_t nth)
{
	switch (what) {
	case AGGREGATE_SUM:
		return nth == 1 ? value : before + value;
	case AGGREGATE_AVG:
		return nth == 1 ? value : mean_with(before, value, (double)nth);
	case AGGREGATE_MIN:
		return nth == 1 || value < before || isnan(before) ? value
								   : before;
	case AGGREGATE_MAX:
		return nth == 1 || value > before || isnan(before) ? value
								   : before;
	case AGGREGATE_COUNT:
		return (double)nth;
	}
	return NAN;
}

atom_status aggregate(const struct evaluation *e, const struct expr *expr,
		      const struct expr_value *of, struct expr_value *value_r)
{
	struct grouping g;
	struct expr_element *items;
	size_t *seen;

	if (!group_by(e, of, &expr->names, &g))
		return evaluate_full(e);
	items = evaluate_room(e, g.table.count, value_r);
	seen = arena_array(e->arena, g.table.count + 1, sizeof(*seen));
	if (items == NULL || seen == NULL)
		return evaluate_full(e);
	for (size_t i = 0; i < of->count; i++) {
		struct expr_element *item = &items[g.numbers[i]];

		item->value = with(expr->aggregate, item->value,
				   of->items[i].value, ++seen[g.numbers[i]]);
	}
	value_r->count = g.table.count;
	for (size_t i = 0; i < value_r->count; i++)
		items[i].labels = *g.table.keys[i];
	return ATOM_OK;
}

/* --- histograms -------------------------------------------------------------------------- */

/* As Go's strconv.ParseFloat, which knows "+Inf". */
static bool bound_of(const struct labels *labels, double *bound_r)
{
	const char *text = labels_get(labels, "le");
	char *end;

	*bound_r = strtod(text, &end);
	return end != text && *end == '\0';
}

atom_status quantiles(const struct evaluation *e, double q,
		      const struct expr_value *of, struct expr_value *value_r)
{
	static const char *const bound_name[] = { "le" };
	const struct expr_names all_but_bound = { bound_name, 1, false };
	struct expr_value bounded;
	struct expr_element *items = evaluate_room(e, of->count, &bounded);
	struct bucket *buckets, **of_group;
	struct grouping g;
	double bound;
	size_t at = 0;

	if (items == NULL)
		return evaluate_full(e);
	for (size_t i = 0; i < of->count; i++)
		if (bound_of(&of->items[i].labels, &bound))
			items[bounded.count++] = of->items[i];
	if (!group_by(e, &bounded, &all_but_bound, &g))
		return evaluate_full(e);
	items = evaluate_room(e, g.table.count, value_r);
	buckets = arena_array(e->arena, bounded.count + 1, sizeof(*buckets));
	of_group = arena_array(e->arena, g.table.count + 1, sizeof(*of_group));
	if (items == NULL || buckets == NULL || of_group == NULL)
		return evaluate_full(e);
	value_r->count = g.table.count;
	for (size_t i = 0; i < value_r->count; i++) {
		items[i].labels = *g.table.keys[i];
		of_group[i] = buckets + at;
		at += g.sizes[i];
		g.sizes[i] = 0;
	}
	for (size_t i = 0; i < bounded.count; i++) {
		size_t group = g.numbers[i];

		(void)bound_of(&bounded.items[i].labels, &bound);
		of_group[group][g.sizes[group]++] =
			(struct bucket){ bound, bounded.items[i].value };
	}
	for (size_t i = 0; i < value_r->count; i++)
		items[i].value = bucket_quantile(q, of_group[i], g.sizes[i]);
	return ATOM_OK;
}
