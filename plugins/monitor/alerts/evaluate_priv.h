/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ALERTS_EVALUATE_PRIV_H
#define ALERTS_EVALUATE_PRIV_H

/*
 * The room of the evaluation: evaluate.c descends, operate.c knows binary
 * operators, group.c aggregates and histograms.
 */

#include "plugins/monitor/alerts/function.h"

struct evaluation {
	const struct expr_source *source;
	int64_t time_ms;
	struct arena *arena;
	struct atom_error *err;
};

atom_status evaluate_full(const struct evaluation *e);
/* ATOM_EINVAL when two elements have one label set. */
atom_status evaluate_unique(const struct evaluation *e,
			    const struct expr_value *value);
/* A vector with room for `most` elements, its count 0; NULL: full. */
struct expr_element *evaluate_room(const struct evaluation *e, size_t most,
				   struct expr_value *value_r);

/* operate.c; the operands are values already. */
atom_status operate(const struct evaluation *e, const struct expr *expr,
		    const struct expr_value *left,
		    const struct expr_value *right, struct expr_value *value_r);

/* group.c */
atom_status aggregate(const struct evaluation *e, const struct expr *expr,
		      const struct expr_value *of, struct expr_value *value_r);
atom_status quantiles(const struct evaluation *e, double q,
		      const struct expr_value *of, struct expr_value *value_r);

#endif
