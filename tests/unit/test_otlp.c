/* SPDX-License-Identifier: Apache-2.0 */

/* Metrics as monitor/otlp encodes them, calls as it counts them, and what waits
 * to be sent. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "plugins/monitor/otlp/genai.h"
#include "plugins/monitor/otlp/metrics.h"
#include "plugins/monitor/otlp/queue.h"

#define NOW_MS	 INT64_C(1700000000000)
#define SINCE_MS INT64_C(1600000000000)

static const struct otlp_resource resource = { "here", "1.2.3", "an-id" };

static struct otlp_batch batch;
static struct genai genai;

static void set_up(void)
{
	otlp_batch_init(&batch, &resource, NOW_MS);
	genai = (struct genai){ .since_ms = SINCE_MS };
}

static void tear_down(void)
{
	otlp_batch_fini(&batch);
}

TestSuite(otlp, .init = set_up, .fini = tear_down);

/* The metrics of a request; *root_r holds them. */
static json_t *metrics_of(size_t request, json_t **root_r)
{
	json_t *scopes;

	cr_assert_lt(request, batch.request_count);
	*root_r = json_loads(batch.requests[request].body, 0, NULL);
	cr_assert_not_null(*root_r);
	scopes = json_object_get(
		json_array_get(json_object_get(*root_r, "resourceMetrics"), 0),
		"scopeMetrics");
	return json_object_get(json_array_get(scopes, 0), "metrics");
}

static void expect(const json_t *value, const char *text)
{
	char *found = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY |
						JSON_SORT_KEYS);

	cr_assert_not_null(found);
	cr_assert_str_eq(found, text);
	free(found);
}

static struct atom_metric_value value_of(int32_t type, const char *name,
					 double value)
{
	return (struct atom_metric_value){
		.struct_size = sizeof(struct atom_metric_value),
		.type = type,
		.name = name,
		.labels = "",
		.value = value,
		.help = "h",
		.since_ms = type == ATOM_METRIC_GAUGE ? 0 : SINCE_MS,
	};
}

static void add(const struct atom_metric_value *value)
{
	otlp_batch_add(&batch, value, NULL, otlp_labels(value->labels));
}

Test(otlp, labels_are_attributes_without_their_escapes)
{
	json_t *attributes =
		otlp_labels("a=\"b,c\",d=\"say \\\"x\\\" \\\\ \\n\",e=\"\"");

	expect(attributes,
	       "[{\"key\":\"a\",\"value\":{\"stringValue\":\"b,c\"}},"
	       "{\"key\":\"d\",\"value\":{\"stringValue\":"
	       "\"say \\\"x\\\" \\\\ \\n\"}}]");
	json_decref(attributes);
	attributes = otlp_labels("");
	expect(attributes, "[]");
	json_decref(attributes);
	/* What is none ends it. */
	attributes = otlp_labels("a=\"b\\");
	expect(attributes, "[{\"key\":\"a\",\"value\":{\"stringValue\":"
			   "\"b\\\\\"}}]");
	json_decref(attributes);
}

Test(otlp, a_counter_is_a_cumulative_sum)
{
	struct atom_metric_value value =
		value_of(ATOM_METRIC_COUNTER, "t_seconds_total", 1.5);
	json_t *root;

	add(&value);
	value.value = 2;
	value.labels = "a=\"b\"";
	add(&value);
	otlp_batch_finish(&batch);
	cr_assert_eq(batch.request_count, 1);
	cr_assert_eq(batch.requests[0].points, 2);
	expect(metrics_of(0, &root),
	       "[{\"description\":\"h\",\"metadata\":[{\"key\":"
	       "\"prometheus.type\",\"value\":{\"stringValue\":\"counter\"}}],"
	       "\"name\":\"t_seconds_total\",\"sum\":{"
	       "\"aggregationTemporality\":2,\"dataPoints\":[{\"asDouble\":1.5,"
	       "\"attributes\":[],\"startTimeUnixNano\":"
	       "\"1600000000000000000\",\"timeUnixNano\":"
	       "\"1700000000000000000\"},{\"asDouble\":2.0,\"attributes\":["
	       "{\"key\":\"a\",\"value\":{\"stringValue\":\"b\"}}],"
	       "\"startTimeUnixNano\":\"1600000000000000000\","
	       "\"timeUnixNano\":\"1700000000000000000\"}],"
	       "\"isMonotonic\":true},\"unit\":\"s\"}]");
	json_decref(root);
}

Test(otlp, a_gauge_may_be_no_number)
{
	struct atom_metric_value value =
		value_of(ATOM_METRIC_GAUGE, "t_bytes", NAN);
	static const char *const texts[] = { "\"NaN\"", "\"Infinity\"",
					     "\"-Infinity\"" };
	json_t *root, *gauge, *points;

	add(&value);
	value.value = INFINITY;
	add(&value);
	value.value = -INFINITY;
	add(&value);
	otlp_batch_finish(&batch);
	gauge = json_array_get(metrics_of(0, &root), 0);
	expect(json_object_get(gauge, "unit"), "\"By\"");
	points = json_object_get(json_object_get(gauge, "gauge"), "dataPoints");
	cr_assert_eq(json_array_size(points), 3);
	for (size_t i = 0; i < 3; i++) {
		json_t *point = json_array_get(points, i);

		expect(json_object_get(point, "asDouble"), texts[i]);
		cr_assert_null(json_object_get(point, "startTimeUnixNano"));
	}
	json_decref(root);
}

Test(otlp, a_histogram_has_one_bucket_more_than_bounds)
{
	static const double bounds[] = { 0.5, 1 };
	static const uint64_t counts[] = { 3, 0, UINT64_C(5000000000) };
	struct atom_metric_value value =
		value_of(ATOM_METRIC_HISTOGRAM, "t_ratio", 7);
	json_t *root, *points;

	value.count = UINT64_C(5000000003);
	value.bound_count = 2;
	value.bounds = bounds;
	value.counts = counts;
	/* A clock that was set back. */
	value.since_ms = NOW_MS + 5;
	add(&value);
	otlp_batch_finish(&batch);
	points = json_object_get(
		json_object_get(json_array_get(metrics_of(0, &root), 0),
				"histogram"),
		"dataPoints");
	expect(points, "[{\"attributes\":[],\"bucketCounts\":[\"3\",\"0\","
		       "\"5000000000\"],\"count\":\"5000000003\","
		       "\"explicitBounds\":[0.5,1.0],\"startTimeUnixNano\":"
		       "\"1700000000000000000\",\"sum\":7.0,\"timeUnixNano\":"
		       "\"1700000000000000000\"}]");
	json_decref(root);
}

Test(otlp, a_host_of_before_has_no_buckets)
{
	struct atom_metric_value value =
		value_of(ATOM_METRIC_HISTOGRAM, "t", 7);
	json_t *root, *metric, *points;

	value.struct_size = (uint32_t)offsetof(struct atom_metric_value, help);
	value.count = 3;
	add(&value);
	otlp_batch_finish(&batch);
	metric = json_array_get(metrics_of(0, &root), 0);
	cr_assert_null(json_object_get(metric, "description"));
	points = json_object_get(json_object_get(metric, "histogram"),
				 "dataPoints");
	expect(points, "[{\"attributes\":[],\"count\":\"3\",\"sum\":7.0,"
		       "\"timeUnixNano\":\"1700000000000000000\"}]");
	json_decref(root);
}

Test(otlp, requests_are_bounded_and_so_is_a_batch)
{
	struct atom_metric_value value =
		value_of(ATOM_METRIC_COUNTER, "t_total", 1);
	json_t *root;

	for (size_t i = 0; i < OTLP_POINTS_MAX + 1; i++)
		add(&value);
	otlp_batch_finish(&batch);
	cr_assert_eq(batch.request_count, 2);
	cr_assert_eq(batch.requests[0].points, OTLP_POINTS_MAX);
	cr_assert_eq(batch.requests[1].points, 1);
	/* The metric is named in both. */
	expect(json_object_get(json_array_get(metrics_of(1, &root), 0), "name"),
	       "\"t_total\"");
	json_decref(root);
	for (size_t i = 0; i < (size_t)OTLP_POINTS_MAX * OTLP_REQUESTS_MAX; i++)
		add(&value);
	otlp_batch_finish(&batch);
	cr_assert_eq(batch.request_count, OTLP_REQUESTS_MAX);
	cr_assert_eq(batch.lost, 2 * OTLP_POINTS_MAX);
}

Test(otlp, nothing_makes_no_request)
{
	otlp_batch_finish(&batch);
	cr_assert_eq(batch.request_count, 0);
	cr_assert_eq(batch.lost, 0);
}

/* --- calls ------------------------------------------------------------------------ */

static struct atom_ended_call call_of(const char *agent)
{
	return (struct atom_ended_call){
		.struct_size = sizeof(struct atom_ended_call),
		.http_status = 200,
		.granted_ns = 1000000000,
		.first_ns = 1010000000,
		.ended_ns = 3560000000,
		.input_tokens = 4,
		.output_tokens = 5,
		.agent = agent,
		.revision = "1",
		.backend = "openai",
	};
}

static const struct genai_histogram *series(int32_t metric, int32_t output,
					    int32_t error)
{
	for (size_t i = 0; i < genai.series_count; i++)
		if (genai.keys[i].metric == metric &&
		    genai.keys[i].output == output &&
		    genai.keys[i].error == error)
			return &genai.histograms[i];
	return NULL;
}

Test(otlp, a_call_is_counted_from_its_instance_on)
{
	struct atom_ended_call call = call_of("a");
	const struct genai_histogram *h;

	genai_count(&genai, &call);
	h = series(GENAI_DURATION, 0, 0);
	/* 2.56 s: a bound belongs to the bucket below it. */
	cr_assert_eq(h->counts[8], 1);
	cr_assert_float_eq(h->sum, 2.56, 1e-9);
	/* It did not stream. */
	cr_assert_null(series(GENAI_FIRST_CHUNK, 0, 0));
	cr_assert_eq(series(GENAI_TOKENS, 0, 0)->counts[1], 1); /* 4 */
	cr_assert_eq(series(GENAI_TOKENS, 1, 0)->counts[2], 1); /* 5 */
	call.flags = ATOM_ENDED_STREAM;
	call.ended_ns = INT64_C(1000000000000);
	genai_count(&genai, &call);
	cr_assert_eq(series(GENAI_FIRST_CHUNK, 0, 0)->counts[0], 1);
	cr_assert_eq(h->counts[GENAI_BOUNDS], 1);
	cr_assert_eq(h->count, 2);
	cr_assert_eq(genai.series_count, 4);
}

Test(otlp, what_failed_is_apart_and_what_got_no_instance_is_none)
{
	struct atom_ended_call call = call_of("a");

	call.http_status = 503;
	call.input_tokens = call.output_tokens = 0;
	genai_count(&genai, &call);
	call.granted_ns = -1;
	genai_count(&genai, &call);
	cr_assert_eq(genai.series_count, 1);
	cr_assert_eq(series(GENAI_DURATION, 0, 503)->count, 1);
	genai_add_to(&genai, &batch);
	otlp_batch_finish(&batch);
	cr_assert(strstr(batch.requests[0].body,
			 "{\"key\":\"error.type\",\"value\":{\"stringValue\":"
			 "\"503\"}}") != NULL);
}

Test(otlp, sets_of_attributes_are_bounded_and_no_call_is_lost)
{
	enum {
		CALLS = GENAI_SERIES_MAX
	};
	uint64_t counted = 0;
	struct atom_ended_call call;
	char name[16];

	for (int i = 0; i < 2 * CALLS; i++) {
		(void)snprintf(name, sizeof(name), "agent-%d", i % CALLS);
		call = call_of(name);
		genai_count(&genai, &call);
	}
	cr_assert_eq(genai.series_count, GENAI_SERIES_MAX);
	for (size_t i = 0; i < GENAI_SERIES_MAX; i++)
		if (genai.keys[i].metric == GENAI_DURATION)
			counted += genai.histograms[i].count;
	cr_assert_gt(genai.overflow[GENAI_DURATION].count, 0);
	cr_assert_eq(counted + genai.overflow[GENAI_DURATION].count, 2 * CALLS);
	cr_assert_gt(genai.overflow[GENAI_TOKENS].count, 0);
	cr_assert_eq(genai.overflow[GENAI_FIRST_CHUNK].count, 0);
	genai_add_to(&genai, &batch);
	otlp_batch_finish(&batch);
	cr_assert_eq(batch.requests[0].points, GENAI_SERIES_MAX + 2);
	cr_assert(strstr(batch.requests[0].body,
			 "{\"key\":\"otel.metric.overflow\",\"value\":"
			 "{\"boolValue\":true}}") != NULL);
}

/* --- what waits ------------------------------------------------------------------ */

static struct queue queue;

static void queue_of(size_t max, size_t batch_size)
{
	const struct queue_options options = { max, batch_size, 1000 };
	struct atom_error err = ATOM_ERROR_INIT;

	cr_assert_eq(queue_init(&queue, &options, &err), ATOM_OK, "%s",
		     err.message);
}

/* Numbers from `first` on. */
static void queue_numbers(json_int_t first, json_int_t count, int64_t now_ms)
{
	json_t *items = json_array();

	for (json_int_t i = 0; i < count; i++)
		(void)json_array_append_new(items, json_integer(first + i));
	queue_add(&queue, items, now_ms);
}

static void expect_batch(const char *text, int64_t now_ms)
{
	json_t *items = queue_take(&queue, now_ms);

	expect(items, text);
	json_decref(items);
}

Test(otlp, a_full_batch_is_due_at_once_and_another_after_the_delay)
{
	queue_of(8, 3);
	cr_expect_not(queue_due(&queue, 5000));
	queue_numbers(1, 2, 5000);
	cr_expect_not(queue_due(&queue, 5999));
	cr_expect(queue_due(&queue, 6000));
	/* What comes later does not put it off. */
	queue_numbers(3, 1, 5500);
	cr_expect(queue_due(&queue, 5500));
	queue_numbers(4, 1, 5500);
	expect_batch("[1,2,3]", 5600);
	cr_expect_not(queue_due(&queue, 6599));
	cr_expect(queue_due(&queue, 6600));
	expect_batch("[4]", 6600);
	cr_expect_null(queue_take(&queue, 6600));
	cr_expect_eq(queue_take_dropped(&queue), 0);
	queue_fini(&queue);
}

Test(otlp, only_what_finds_the_queue_full_is_dropped)
{
	queue_of(5, 2);
	for (json_int_t round = 0; round < 3; round++) {
		queue_numbers(10 * round + 1, 4, 0);
		cr_expect_eq(queue_room(&queue), 1);
		queue_numbers(10 * round + 5, 3, 0);
		cr_expect_eq(queue_room(&queue), 0);
		cr_expect_eq(queue_take_dropped(&queue), 2);
		cr_expect_eq(queue_take_dropped(&queue), 0);
		json_decref(queue_take(&queue, 0));
		cr_expect_eq(queue_room(&queue), 2);
		json_decref(queue_take(&queue, 0));
		cr_expect(queue_due(&queue, 1000));
		cr_expect_not(queue_due(&queue, 999));
		json_decref(queue_take(&queue, 0));
		cr_expect_eq(queue_room(&queue), 5);
	}
	/* With what waits. */
	queue_numbers(1, 4, 0);
	queue_fini(&queue);
}

Test(otlp, a_batch_fits_in_the_queue)
{
	const struct queue_options options = { 16, 17, 1000 };
	struct atom_error err = ATOM_ERROR_INIT;

	cr_expect_eq(queue_init(&queue, &options, &err), ATOM_EINVAL);
	cr_expect_str_eq(err.message,
			 "option `max_export_batch_size`: expected at most "
			 "`max_queue_size`, which is 16, found 17");
	queue_fini(&queue);
}

static unsigned int left; /* blocks of memory, and the next is not there */

static void *take(size_t size)
{
	return left > 0 && --left == 0 ? NULL : malloc(size);
}

/* Whatever its text has no memory for: no request is no JSON. */
Test(otlp, a_request_is_whole_or_none)
{
	unsigned int made = 0, n = 1;
	bool failed = true;

	json_set_alloc_funcs(take, free);
	for (; failed; n++) {
		json_t *items = json_pack(
			"[{s:i,s:i,s:i}]", "a name that is long, and another",
			1, "a name that is longer than the one before it", 2,
			"a name that is as long as two of the others, for the "
			"text has to grow by all that it is long already",
			3);
		char *text;

		left = n;
		text = otlp_logs(&resource, items);
		failed = left == 0;
		left = 0;
		if (text != NULL) {
			json_t *read = json_loads(text, 0, NULL);

			cr_assert_not_null(read, "%u: %s", n, text);
			json_decref(read);
			made++;
		}
		free(text);
	}
	cr_assert_gt(n, 20);
	cr_assert_gt(made, 0);
	json_set_alloc_funcs(malloc, free);
}

/* --- an item of it is whole or lost --------------------------------------------- */

static const struct atom_ended_call ended = {
	.struct_size = sizeof(ended),
	.agent = "echo",
	.revision = "a-revision",
	.backend = "openai",
	.request_id = "a-request",
	.trace_id = "0123456789abcdef0123456789abcdef",
	.span_id = "0123456789abcdef",
	.parent_id = "1123456789abcdef",
	.attempt_id = "2123456789abcdef",
	.http_status = 503,
	.first_ns = 2,
	.ended_ns = 3,
	.input_tokens = 5,
	.output_tokens = 7,
};

/* Each item of the first is one of the second. */
static void expect_items_of(const json_t *some, const json_t *whole)
{
	size_t i, k, same = 0;
	const json_t *item, *other;

	json_array_foreach(some, i, item)
	{
		json_array_foreach(whole, k, other) same +=
			(size_t)json_equal(item, other);
	}
	cr_assert_eq(same, json_array_size(some));
}

Test(otlp, a_span_is_whole_or_lost)
{
	json_t *whole = json_array();
	unsigned int n = 1;
	bool failed = true;

	cr_assert_eq(otlp_add_spans(whole, &ended, true), 0);
	cr_assert_eq(json_array_size(whole), 3);
	for (json_set_alloc_funcs(take, free); failed; n++) {
		json_t *spans = json_array();
		size_t lost;

		left = n;
		lost = otlp_add_spans(spans, &ended, true);
		failed = left == 0;
		left = 0;
		cr_assert_eq(lost > 0, failed, "%u: %zu", n, lost);
		cr_assert_eq(json_array_size(spans) + lost, 3);
		expect_items_of(spans, whole);
		json_decref(spans);
	}
	cr_assert_gt(n, 50);
	json_decref(whole);
}

Test(otlp, a_log_record_is_whole_or_lost)
{
	const struct atom_monitor_event event = {
		.struct_size = sizeof(event),
		.time_ms = NOW_MS,
		.name = "scaling",
		.agent = "echo",
		.details = { "{\"from\":1}", 10 },
	};
	json_t *whole = otlp_log(&event);
	unsigned int n = 1;
	bool failed = true;

	cr_assert_not_null(whole);
	for (json_set_alloc_funcs(take, free); failed; n++) {
		json_t *record;

		left = n;
		record = otlp_log(&event);
		failed = left == 0;
		left = 0;
		cr_assert_eq(record == NULL, failed, "%u", n);
		cr_assert(failed || json_equal(record, whole));
		json_decref(record);
	}
	cr_assert_gt(n, 20);
	json_decref(whole);
}

static void add_two_metrics(void)
{
	static const double bounds[] = { 1, 2 };
	static const uint64_t counts[] = { 3, 4, 5 };
	struct atom_metric_value counter =
		value_of(ATOM_METRIC_COUNTER, "t_seconds_total", 1.5);
	struct atom_metric_value histogram =
		value_of(ATOM_METRIC_HISTOGRAM, "h_bytes", 20);

	add(&counter);
	counter.labels = "a=\"b\",c=\"d\"";
	add(&counter);
	histogram.count = 12;
	histogram.bound_count = 2;
	histogram.bounds = bounds;
	histogram.counts = counts;
	add(&histogram);
	otlp_batch_finish(&batch);
}

/* Takes the points out of the metrics; as one list. */
static json_t *take_points(json_t *metrics)
{
	static const char *const members[] = { "sum", "histogram" };
	json_t *points = json_array();
	size_t i;
	json_t *metric;

	json_array_foreach(metrics, i, metric)
	{
		for (size_t k = 0; k < 2; k++) {
			json_t *list = json_object_get(
				json_object_get(metric, members[k]),
				"dataPoints");

			(void)json_array_extend(points, list);
			(void)json_array_clear(list);
		}
	}
	return points;
}

Test(otlp, a_point_is_whole_or_lost)
{
	json_t *root, *whole, *whole_points;
	unsigned int n = 1;
	bool failed = true;

	add_two_metrics();
	cr_assert_eq(batch.lost, 0);
	cr_assert_eq(batch.requests[0].points, 3);
	whole = metrics_of(0, &root);
	whole_points = take_points(whole);
	cr_assert_eq(json_array_size(whole_points), 3);
	for (json_set_alloc_funcs(take, free); failed; n++) {
		size_t count = 0;

		otlp_batch_fini(&batch);
		otlp_batch_init(&batch, &resource, NOW_MS);
		left = n;
		add_two_metrics();
		failed = left == 0;
		left = 0;
		cr_assert_eq(batch.lost > 0, failed, "%u", n);
		if (batch.request_count > 0) {
			json_t *some_root, *some = metrics_of(0, &some_root);
			json_t *points = take_points(some);

			count = batch.requests[0].points;
			cr_assert_eq(json_array_size(points), count);
			expect_items_of(points, whole_points);
			expect_items_of(some, whole);
			json_decref(points);
			json_decref(some_root);
		}
		cr_assert_eq(count + batch.lost, 3);
	}
	cr_assert_gt(n, 100);
	json_decref(whole_points);
	json_decref(root);
}
