/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OTLP_ENCODE_H
#define OTLP_ENCODE_H

/*
 * OTLP as JSON (opentelemetry.io/docs/specs/otlp, "JSON Protobuf Encoding"):
 * members in lowerCamelCase, 64-bit integers as strings, enums as integers,
 * trace and span ids as hexadecimal.  Names of attributes are those of
 * OpenTelemetry's semantic conventions 1.41.  Pure. [any]
 */

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include <atomd/calls.h>
#include <atomd/monitor.h>

/* Who tells: attributes of every request. */
struct otlp_resource {
	const char *service; /* service.name */
	const char *version; /* service.version */
	/* service.instance.id: tells the series of several daemons apart, of
	 * which each must have one writer; "" = none. */
	const char *instance;
};

/* Adds to a list, or sets a member: whole or none.  Without memory the whole is
 * freed and NULL, and so is all that is made of it.  Takes what is added. */
void otlp_add(json_t **list, json_t *item);
void otlp_set(json_t **object, const char *key, json_t *value);
/* Adds {"key":...,"value":{"stringValue":...}}, unless the text is "". */
void otlp_add_text(json_t **attributes, const char *key, const char *text);
/* A 64-bit integer. */
json_t *otlp_whole(int64_t number);

/* The spans of a call, added to the array: the call itself, its wait for an
 * instance, and its attempt, if it got that far.  `genai`: with the attributes
 * of generative AI.  How many there was no memory for. */
size_t otlp_add_spans(json_t *spans, const struct atom_ended_call *call,
		      bool genai);
/* An event as a log record; NULL: no memory. */
json_t *otlp_log(const struct atom_monitor_event *event);

/* The whole request, malloc()ed: {"resourceSpans":[...]},
 * {"resourceLogs":[...]} or {"resourceMetrics":[...]}; takes `items`.  NULL: no
 * memory. */
char *otlp_traces(const struct otlp_resource *resource, json_t *items);
char *otlp_logs(const struct otlp_resource *resource, json_t *items);
char *otlp_metrics(const struct otlp_resource *resource, json_t *items);

/* Is this trace one of the share (0..1)?  By the last 56 bits of its id, as
 * the sampler TraceIdRatioBased, so that others say the same. */
bool otlp_sampled(const char *trace_id, double share);

#endif
