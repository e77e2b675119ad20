/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_METRIC_H
#define CORE_METRIC_H

/*
 * The metric registry: families of counters, gauges and histograms, with
 * labels, sharded by thread so that an update on a serving loop is a plain
 * store to memory of its own; threads that are no loop share one shard and
 * use atomic additions.  Reading sums the shards.
 *
 * Families are declared by their owner, at start or when a plugin loads;
 * label values come from configuration, never from a stranger.  At most
 * 2,048 families, 1,000 series a family unless metric_allow() says otherwise;
 * beyond that updates go to no series and atomd_metric_series_dropped_total
 * counts.
 */

#include <stddef.h>
#include <stdint.h>

#include <atomd/host.h>

#include "core/buffer.h"

/* A series.  0 is "none": updates to it are ignored. */
typedef uint32_t metric_id;

atom_status metric_init(unsigned int serving_loops);
void metric_fini(void);
/* The calling thread is serving loop (or control) `index`; the loops call it.
 */
void metric_attach(unsigned int index);

/* [control] Spec as plugins give it.  The same name and shape again gives the
 * same family; another shape is ATOM_EEXIST.  Names that `promtool check
 * metrics` would complain about are ATOM_EINVAL: a counter ends in `_total`
 * and nothing else does, nothing but a histogram's parts in `_bucket`,
 * `_count` or `_sum`, help is not empty.  A histogram without bounds gets
 * metric_duration_bounds. */
atom_status metric_declare(const struct atom_metric_spec *spec,
			   uint32_t *family_r, struct atom_error *err);
/* A family of a table, and where its number goes. */
struct metric_declaration {
	int type;
	const char *name;
	const char *help;
	const char *unit;	   /* NULL: none */
	const char *const *labels; /* NULL-ended; NULL: none */
	uint32_t *family_r;
	size_t series_max;    /* for metric_allow(); 0: 1,000 */
	const double *bounds; /* histogram; NULL: metric_duration_bounds */
	size_t bound_count;
};

/* [control] All of the table, until one cannot be declared. */
atom_status metric_declare_all(const struct metric_declaration *rows,
			       size_t count, struct atom_error *err);
/* Declared and with its one series at once, for families without labels;
 * 0, with a log line, when that fails. [control] */
metric_id metric_single(int type, const char *name, const char *help);
/* [control] Let the family have more series than 1,000, or fewer. */
void metric_allow(uint32_t family, size_t series_max);
/* [any, takes a lock: keep the result] Label values in declared order; NULL
 * only for a family without labels.  0 when there is no room. */
metric_id metric_series(uint32_t family, const char *const *label_values);
/* [control] Forget a series (its agent is gone).  Updates by an id kept too
 * long go to nobody for a quarter of an hour; after that the id may stand for
 * another series of this family. */
void metric_remove(uint32_t family, const char *const *label_values);
/* ATOM_METRIC_COUNTER, _GAUGE or _HISTOGRAM of a series; 0 for none. [any] */
int metric_type(metric_id series);

/* [any] */
void metric_add(metric_id series, double amount); /* counter, gauge: += */
static inline void metric_inc(metric_id series)
{
	metric_add(series, 1);
}
/* Gauge := value (the last writer wins, whatever its thread; an addition
 * that runs at the same moment counts as coming after). */
void metric_set(metric_id series, double value);
void metric_observe(metric_id series, double value); /* histogram */

/* The call that an observation is of.  Either may be NULL or "". */
struct metric_call {
	const char *trace_id;	/* 32 hex digits */
	const char *request_id; /* at most METRIC_REQUEST_ID_MAX bytes */
};

/* With the names of the labels no more than the 128 characters that
 * OpenMetrics 1.0 lets an exemplar have. */
#define METRIC_REQUEST_ID_MAX 71

/* The same, and the call may become the exemplar of its bucket, which only
 * OpenMetrics' text tells: the first one in each second does.  Ids that are
 * longer, or have a quote, a backslash or what is not printable ASCII, become
 * none.  Takes no lock; allocates once a series. [any] */
void metric_observe_call(metric_id series, double value,
			 const struct metric_call *call);
/* A gauge read at scrape time: `read(argument)` runs on the thread that calls
 * metric_render() or metric_visit(), with no lock held. [control] */
atom_status metric_gauge_callback(const char *name, const char *help,
				  double (*read)(void *argument),
				  void *argument);

/* Sums. For tests, status and plugins. */
double metric_value(metric_id series);
uint64_t metric_count(metric_id series); /* histogram: observations */
/* The q-quantile (0..1) of a histogram by linear interpolation, or NaN. */
double metric_quantile(metric_id series, double q);

enum metric_format {
	METRIC_TEXT,	   /* Prometheus' text format 0.0.4 */
	METRIC_OPENMETRICS /* OpenMetrics 1.0.0 */
};

/* All families, process_* included. [control] or [pool] */
atom_status metric_render(struct buffer *out, enum metric_format format);

#define METRIC_NUMBER_MAX 32
/* A number as Prometheus writes it: `0.25`, `+Inf`, `NaN`. [any] */
void metric_format_number(double value, char text[METRIC_NUMBER_MAX]);

/* A series as it is now.  Label values are as they were given. */
struct metric_view {
	int type;
	const char *name; /* of the family */
	const char *help; /* the same; both live until metric_fini() */
	int64_t since_ms; /* when it was made, Unix time; 0: not known */
	size_t label_count;
	const char *const *label_names;
	const char *const *label_values;
	const char *labels;   /* as rendered: `{a="b"}` or "" */
	double value;	      /* histograms: the sum */
	size_t bound_count;   /* histograms, else 0 */
	const double *bounds; /* live until metric_fini() */
	const double *counts; /* of each bucket, bound_count + 1 of them */
};

/* Visits every series, those of the process included; the view lives during
 * the call.  No lock is held. [control] or [pool] */
void metric_visit(void (*visit)(void *argument, const struct metric_view *view),
		  void *argument);

/* Bounds in seconds used by every duration histogram here: 1 ms to 10 min,
 * about three to a decade. */
extern const double metric_duration_bounds[];
extern const size_t metric_duration_bound_count;

#endif
