/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/otlp/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* opentelemetry/proto/metrics/v1/metrics.proto */
enum {
	AGGREGATION_TEMPORALITY_CUMULATIVE = 2
};

/* --- a metric ------------------------------------------------------------------ */

static const char *type_name(int32_t type)
{
	return type == ATOM_METRIC_COUNTER     ? "counter"
	       : type == ATOM_METRIC_HISTOGRAM ? "histogram"
					       : "gauge";
}

/* The unit is the name's last word before `_total`. */
static const char *unit_of(const char *name)
{
	static const char *const units[][2] = {
		{ "_seconds", "s" },
		{ "_bytes", "By" },
		{ "_ratio", "1" },
		{ "_celsius", "Cel" },
	};
	size_t length = strlen(name);

	if (length > 6 && strcmp(name + length - 6, "_total") == 0)
		length -= 6;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t end = strlen(units[i][0]);

		if (length > end &&
		    memcmp(name + length - end, units[i][0], end) == 0)
			return units[i][1];
	}
	return "";
}

static void set_text(json_t **object, const char *key, const char *text)
{
	if (text != NULL && *text != '\0')
		otlp_set(object, key, json_string(text));
}

/* {"name":...,"sum":{...,"dataPoints":[]}}; *points_r is that array, when there
 * is memory for all. */
static json_t *metric_of(const struct atom_metric_value *value,
			 const char *unit, json_t **points_r)
{
	json_t *metric = json_pack("{s:s}", "name", value->name);
	json_t *of_type = json_object();
	const char *member = "gauge";

	*points_r = json_array();
	if (value->type == ATOM_METRIC_COUNTER)
		member = "sum";
	else if (value->type == ATOM_METRIC_HISTOGRAM)
		member = "histogram";
	if (value->type != ATOM_METRIC_GAUGE)
		otlp_set(&of_type, "aggregationTemporality",
			 json_integer(AGGREGATION_TEMPORALITY_CUMULATIVE));
	if (value->type == ATOM_METRIC_COUNTER)
		otlp_set(&of_type, "isMonotonic", json_true());
	set_text(&metric, "description",
		 ATOM_HAS(value, help) ? value->help : NULL);
	set_text(&metric, "unit", unit != NULL ? unit : unit_of(value->name));
	if (unit == NULL) {
		json_t *metadata = json_array();

		otlp_add_text(&metadata, "prometheus.type",
			      type_name(value->type));
		otlp_set(&metric, "metadata", metadata);
	}
	otlp_set(&of_type, "dataPoints", *points_r);
	otlp_set(&metric, member, of_type);
	return metric;
}

/* --- a point ---------------------------------------------------------------------- */

/* What JSON has no number for is a string, as protobuf's mapping has it. */
static json_t *number(double value)
{
	if (isnan(value))
		return json_string("NaN");
	if (isinf(value))
		return json_string(value > 0 ? "Infinity" : "-Infinity");
	return json_real(value);
}

static void set_buckets(json_t **point, const struct atom_metric_value *value)
{
	json_t *counts, *bounds;

	if (!ATOM_HAS(value, counts) || value->counts == NULL)
		return;
	counts = json_array();
	bounds = json_array();
	for (size_t i = 0; i < value->bound_count; i++)
		otlp_add(&bounds, number(value->bounds[i]));
	for (size_t i = 0; i <= value->bound_count; i++)
		otlp_add(&counts, otlp_whole((int64_t)value->counts[i]));
	otlp_set(point, "bucketCounts", counts);
	otlp_set(point, "explicitBounds", bounds);
}

static json_t *point_of(const struct atom_metric_value *value, int64_t time_ms,
			json_t *attributes)
{
	json_t *point =
		json_pack("{s:o,s:o}", "attributes", attributes, "timeUnixNano",
			  otlp_whole(time_ms * 1000000));
	int64_t since_ms = ATOM_HAS(value, since_ms) ? value->since_ms : 0;

	/* A clock that was set back must not make a start after the end. */
	if (since_ms > time_ms)
		since_ms = time_ms;
	if (since_ms > 0)
		otlp_set(&point, "startTimeUnixNano",
			 otlp_whole(since_ms * 1000000));
	if (value->type == ATOM_METRIC_HISTOGRAM) {
		otlp_set(&point, "count", otlp_whole((int64_t)value->count));
		otlp_set(&point, "sum", number(value->value));
		set_buckets(&point, value);
	} else {
		otlp_set(&point, "asDouble", number(value->value));
	}
	return point;
}

/* --- labels -------------------------------------------------------------------- */

/* The value from behind its opening quote, unescaped in place; the rest of the
 * labels behind its closing one. */
static char *unescape(char *text)
{
	char *out = text;

	for (; *text != '\0' && *text != '"'; text++) {
		if (*text == '\\' && text[1] != '\0')
			*out++ = *++text == 'n' ? '\n' : *text;
		else
			*out++ = *text;
	}
	if (*text == '"')
		text++;
	*out = '\0';
	return text;
}

json_t *otlp_labels(const char *labels)
{
	json_t *attributes = json_array();
	char *copy = strdup(labels);
	char *at = copy;

	if (copy == NULL) {
		json_decref(attributes);
		return NULL;
	}
	while (*at != '\0') {
		char *name = at + strspn(at, ",");
		char *value = strstr(name, "=\"");

		if (value == NULL)
			break;
		*value = '\0';
		value += 2;
		at = unescape(value);
		otlp_add_text(&attributes, name, value);
	}
	free(copy);
	return attributes;
}

/* --- requests -------------------------------------------------------------------- */

void otlp_batch_init(struct otlp_batch *b, const struct otlp_resource *resource,
		     int64_t time_ms)
{
	*b = (struct otlp_batch){
		.resource = resource,
		.time_ms = time_ms,
		.name = "",
	};
}

void otlp_batch_fini(struct otlp_batch *b)
{
	json_decref(b->metrics);
	for (size_t i = 0; i < b->request_count; i++)
		free(b->requests[i].body);
	*b = (struct otlp_batch){ .name = "" };
}

void otlp_batch_finish(struct otlp_batch *b)
{
	char *body = NULL;

	if (b->point_count > 0)
		body = otlp_metrics(b->resource, b->metrics);
	else
		json_decref(b->metrics);
	b->metrics = NULL;
	b->points = NULL;
	b->name = "";
	if (body != NULL) {
		b->requests[b->request_count].body = body;
		b->requests[b->request_count++].points = b->point_count;
	} else {
		b->lost += b->point_count;
	}
	b->point_count = 0;
}

void otlp_batch_add(struct otlp_batch *b, const struct atom_metric_value *value,
		    const char *unit, json_t *attributes)
{
	json_t *points = NULL;
	size_t added = 0;

	if (b->point_count == OTLP_POINTS_MAX)
		otlp_batch_finish(b);
	if (b->request_count == OTLP_REQUESTS_MAX) {
		json_decref(attributes);
		b->lost++;
		return;
	}
	if (b->metrics == NULL)
		b->metrics = json_array();
	if (b->points == NULL || strcmp(b->name, value->name) != 0) {
		json_t *metric = metric_of(value, unit, &points);

		b->points = json_array_append_new(b->metrics, metric) == 0
				    ? points
				    : NULL;
		b->name = value->name;
	}
	if (b->points == NULL)
		json_decref(attributes);
	else if (json_array_append_new(b->points, point_of(value, b->time_ms,
							   attributes)) == 0)
		added = 1;
	b->point_count += added;
	b->lost += 1 - added;
}

void otlp_batch_add_all(struct otlp_batch *b,
			const struct atom_metric_snapshot *snapshot)
{
	const char *at = snapshot->values;

	for (size_t i = 0; i < snapshot->value_count; i++) {
		const struct atom_metric_value *value = (const void *)at;

		otlp_batch_add(b, value, NULL, otlp_labels(value->labels));
		at += snapshot->value_stride;
	}
}
