/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ALERTS_ALERT_H
#define ALERTS_ALERT_H

/*
 * The alerts that rules raise, and how their states go:
 *
 *	          true            true for `for`
 *	(none) ---------> pending ---------------> firing
 *	   ^                 |                        |
 *	   |      false      |                        | false, and no longer
 *	   +-----------------+                        | within keep_firing_for
 *	   |                                          v
 *	   +------------------------------------- resolved
 *	             after ALERT_RESOLVED_MS, or pending when true again
 *
 * What ends as pending is `resolved` without having fired until it was told,
 * and what receivers believe to fire stays until they have heard otherwise: a
 * silence may hold that up.
 *
 * An alert is one label set of a rule's result with the rule's labels and
 * `alertname`, as in Prometheus.  A rule whose evaluation fails leaves its
 * alerts as they are.  Pure but for memory; one thread.
 */

#include "plugins/monitor/alerts/rules.h"

/* Prometheus sends a resolved alert for as long, in case a receiver was down. */
#define ALERT_RESOLVED_MS (15 * 60 * 1000)
#define ALERTS_MAX	  2000

enum alert_state {
	ALERT_PENDING,
	ALERT_FIRING,
	ALERT_RESOLVED
};

struct alert {
	struct alert *next;
	struct arena arena; /* its texts */
	struct labels labels;
	const struct label *annotations;
	size_t annotation_count;
	enum alert_state state;
	uint64_t rule; /* rule_hash() */
	double value;
	double threshold;
	int64_t active_ms;   /* pending since */
	int64_t fired_ms;    /* 0: never */
	int64_t resolved_ms; /* 0: not */
	int64_t keep_ms;     /* false since, and kept firing; 0: not */
	int64_t told_ms;     /* receivers were told last; 0: never */
	bool told_firing;    /* what they heard last: that it fires */
	bool silenced;	     /* they are not to hear of it now */
	bool changed;	     /* since the last evaluation was told */
	bool seen;	     /* in the result at hand */
};

struct alerts {
	struct alert *first;
	size_t count;
	size_t dropped; /* over ALERTS_MAX, in all */
};

/* Takes what `rule` says at `time_ms`: its expression's value.  ATOM_EINVAL:
 * the rule's labels make one alert of two results; nothing has changed. */
atom_status alerts_take(struct alerts *alerts, const struct rule *rule,
			const struct expr_value *value, int64_t time_ms,
			struct atom_error *err);
/* Forgets the alerts of rules that are not in `rules`; those that fire become
 * resolved first. */
void alerts_keep(struct alerts *alerts, const struct rules *rules,
		 int64_t time_ms);
/* What happened after `time_ms` by a clock that has been set back since has
 * happened now. */
void alerts_not_after(struct alerts *alerts, int64_t time_ms);
void alerts_fini(struct alerts *alerts);

/* --- keep.c: over a restart ---------------------------------------------------- */

/* The states as text, which alerts_restore() reads; NULL: out of memory.  The
 * caller frees it. */
char *alerts_save(const struct alerts *alerts);
/* Into an empty `alerts`.  ATOM_EDATALOSS: not such a text; what could be read
 * before is there. */
atom_status alerts_restore(struct alerts *alerts, const char *text);

/* What tells a rule from others, also after a restart or another reading. */
uint64_t rule_hash(const struct rule *rule);
/* An empty one at the end of the list; NULL: out of memory, or too many. */
struct alert *alerts_new(struct alerts *alerts);

#endif
