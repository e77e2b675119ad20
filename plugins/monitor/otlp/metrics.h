/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OTLP_METRICS_H
#define OTLP_METRICS_H

/*
 * Metrics as OTLP (opentelemetry/proto/metrics/v1/metrics.proto), all of them
 * cumulative: counters as monotonic sums, gauges, histograms with explicit
 * bounds.  Pure. [any]
 *
 * A Prometheus metric is told as OpenTelemetry's "Prometheus and OpenMetrics
 * Compatibility" says: its name is not altered (`_total` and the unit stay),
 * help is the description, the unit is that of the name in UCUM's words, its
 * type is in the metadata as `prometheus.type`.
 */

#include <stdint.h>

#include <jansson.h>

#include <atomd/monitor.h>

#include "plugins/monitor/otlp/encode.h"

/* Points of one request: with histograms of 20 buckets about 1 MB. */
#define OTLP_POINTS_MAX 2000
/* Requests of one batch; points beyond are lost. */
#define OTLP_REQUESTS_MAX 31

/* Points of one time on their way to be requests. */
struct otlp_batch {
	const struct otlp_resource *resource;
	int64_t time_ms;
	struct {
		char *body; /* malloc()ed */
		size_t points;
	} requests[OTLP_REQUESTS_MAX];
	size_t request_count;
	size_t lost; /* points: no room, no memory */
	/* the request that is being filled */
	json_t *metrics;
	json_t *points; /* of its last metric, which has it */
	size_t point_count;
	const char *name; /* of its last metric; "" */
};

/* The resource must live until it is finished. */
void otlp_batch_init(struct otlp_batch *batch,
		     const struct otlp_resource *resource, int64_t time_ms);
/* With the bodies that nobody took. */
void otlp_batch_fini(struct otlp_batch *batch);
/* Points of one metric come one after the other; `value->name` lives until the
 * next one.  Takes `attributes`.  `unit`: UCUM; NULL: a Prometheus metric.
 * Labels are not looked at. */
void otlp_batch_add(struct otlp_batch *batch,
		    const struct atom_metric_value *value, const char *unit,
		    json_t *attributes);
/* A whole snapshot of the registry. */
void otlp_batch_add_all(struct otlp_batch *batch,
			const struct atom_metric_snapshot *snapshot);
/* The last request is done. */
void otlp_batch_finish(struct otlp_batch *batch);

/* `a="b",c="d"` with Prometheus' escapes as attributes. */
json_t *otlp_labels(const char *labels);

#endif
