/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ALERTS_EXPR_H
#define ALERTS_EXPR_H

/*
 * The expression language: a subset of PromQL that means, wherever it takes an
 * expression, what Prometheus 2 means by it
 * (https://prometheus.io/docs/prometheus/latest/querying/basics/, .../operators/,
 * .../functions/).
 *
 *	selectors    name{a="b",c!="d",e=~"f",g!~"h"}, [range], offset
 *	operators    + - * / % ^, == != > < >= <= with `bool`, and or unless,
 *		     on(...) and ignoring(...), one to one
 *	aggregates   sum avg min max count, by(...) and without(...)
 *	functions    see expr_function_find()
 *
 * What Prometheus has beyond that (subqueries, @, group_left, topk, native
 * histograms ...) is refused by name.  A range has both its ends, as in
 * Prometheus 2; version 3 leaves its beginning out.
 *
 * Parsing and evaluating are pure: text and series in, values out.  Neither
 * blocks but in the source's `select`.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

#include "plugins/monitor/alerts/labels.h"

/* An instant selector takes the latest sample of the last five minutes
 * (Prometheus' query.lookback-delta). */
#define EXPR_LOOKBACK_MS (5 * 60 * 1000)
#define EXPR_TEXT_MAX	 (16 * 1024)

/* --- what is parsed ----------------------------------------------------------- */

enum expr_type {
	EXPR_SCALAR,
	EXPR_VECTOR, /* at most one sample a series */
	EXPR_RANGE   /* samples over a time */
};

enum expr_kind {
	EXPR_NUMBER,
	EXPR_SELECTOR,
	EXPR_NEGATE,
	EXPR_BINARY,
	EXPR_AGGREGATE,
	EXPR_CALL
};

enum expr_operator {
	OP_OR,
	OP_AND,
	OP_UNLESS,
	OP_EQUAL,
	OP_NOT_EQUAL,
	OP_GREATER,
	OP_LESS,
	OP_GREATER_EQUAL,
	OP_LESS_EQUAL,
	OP_ADD,
	OP_SUBTRACT,
	OP_MULTIPLY,
	OP_DIVIDE,
	OP_MODULO,
	OP_POWER
};

enum expr_aggregate {
	AGGREGATE_SUM,
	AGGREGATE_AVG,
	AGGREGATE_MIN,
	AGGREGATE_MAX,
	AGGREGATE_COUNT
};

/* Label names of by/without or on/ignoring. */
struct expr_names {
	const char *const *items;
	size_t count;
	bool listed; /* by, on: these; else all but these */
};

struct expr_function;

struct expr {
	enum expr_kind kind;
	enum expr_type type;
	bool parenthesized;
	double number;
	/* selector */
	const struct matcher *matchers;
	size_t matcher_count;
	int64_t range_ms; /* 0: an instant */
	int64_t offset_ms;
	/* binary, negate, aggregate (left), call (both) */
	enum expr_operator op;
	enum expr_aggregate aggregate;
	bool to_bool;
	struct expr_names names;
	const struct expr_function *function;
	const struct expr *left;
	const struct expr *right;
};

/* The expression's parts live in `arena`.  ATOM_EINVAL says what was expected
 * and found, and at which character. */
atom_status expr_parse(struct arena *arena, const char *text,
		       const struct expr **expr_r, struct atom_error *err);
/* A duration as Prometheus writes it, "1h30m"; false: it is none. */
bool expr_duration(const char *text, size_t length, int64_t *ms_r);

/* Which samples the expression looks at: from `before` ms before the time of
 * the evaluation. */
int64_t expr_reach_ms(const struct expr *expr);

/* --- what is evaluated ---------------------------------------------------------- */

struct expr_sample {
	int64_t time_ms;
	double value;
};

struct expr_series {
	struct labels labels;
	const struct expr_sample *samples; /* rising times */
	size_t sample_count;
};

struct expr_source {
	void *self;
	/* The series that `matchers` match, with their samples of
	 * [from_ms, to_ms], in `arena`. */
	atom_status (*select)(void *self, struct arena *arena,
			      const struct matcher *matchers, size_t count,
			      int64_t from_ms, int64_t to_ms,
			      const struct expr_series **series_r,
			      size_t *count_r, struct atom_error *err);
};

struct expr_element {
	struct labels labels;
	double value;
};

struct expr_value {
	enum expr_type type; /* scalar or vector */
	double scalar;
	const struct expr_element *items;
	size_t count;
};

/* The value at `time_ms`, in `arena`.  ATOM_EINVAL: the series do not allow it
 * (several partners on one side); ATOM_ENOMEM: `arena` is full. */
atom_status expr_evaluate(const struct expr *expr,
			  const struct expr_source *source, int64_t time_ms,
			  struct arena *arena, struct expr_value *value_r,
			  struct atom_error *err);

/* A sample with this NaN says that the series ended there (Prometheus'
 * staleness marker). */
bool expr_is_stale(double value);

#endif
