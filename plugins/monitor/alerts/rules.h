/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ALERTS_RULES_H
#define ALERTS_RULES_H

/*
 * Rule files in Prometheus' form
 * (https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/):
 *
 *	groups:
 *	  - name: calls
 *	    interval: 30s
 *	    rules:
 *	      - alert: error_rate_high
 *	        expr: ... > 0.05
 *	        for: 2m
 *	        keep_firing_for: 5m
 *	        labels: { severity: warning }
 *	        annotations: { summary: "{{ $value | humanizePercentage }}" }
 *
 * A key that is not known, a wrong type, an expression or template that does
 * not parse is an error that names file and line.  Recording rules are refused:
 * nothing keeps what they would record.  Reading is pure but for the memory.
 */

#include "plugins/monitor/alerts/expr.h"

#define RULES_FILE_MAX (1024 * 1024)
#define RULES_MAX      1000

struct rule {
	const char *group;
	const char *name;  /* becomes the label `alertname` */
	const char *place; /* "file:line" */
	const char *nth;   /* of its name in its group: "1", "2" ... */
	const struct expr *expr;
	int64_t interval_ms; /* of its group; 0: the monitor's */
	int64_t for_ms;
	int64_t keep_ms;	    /* keep_firing_for */
	const struct label *labels; /* values are templates */
	size_t label_count;
	const struct label *annotations;
	size_t annotation_count;
};

struct rules {
	struct arena arena;
	struct rule *items; /* in the order of the files */
	size_t count;
};

#define RULES_INIT                                    \
	{                                             \
		.arena = ARENA_INIT(16 * 1024 * 1024) \
	}

/* Adds those of `text`, which is the file `path`.  On failure `rules` is of no
 * use but to rules_fini(). */
atom_status rules_add(struct rules *rules, const char *path, const char *text,
		      size_t length, struct atom_error *err);
void rules_fini(struct rules *rules);

/* The number that the expression compares with; 0 when there is none. */
double rule_threshold(const struct rule *rule);

/* --- template.c ----------------------------------------------------------------- */

/* Of Go's templates: `{{ $value }}`, `{{ $labels.NAME }}`, and `| humanize`,
 * `| humanizePercentage`, `| humanizeDuration` behind $value.  ATOM_EINVAL:
 * something else stands between braces. */
atom_status template_check(const char *text, struct atom_error *err);
/* NULL: out of memory. */
const char *template_expand(struct arena *arena, const char *text,
			    const struct labels *labels, double value);

#endif
