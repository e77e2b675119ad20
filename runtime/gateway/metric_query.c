/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core/loop.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "core/text.h"
#include "gateway/control.h"
#include "gateway/handlers.h"
#include "monitor/history.h"
#include "monitor/selector.h"

/*
 * GET /admin/v1/metrics/query: what a metric was.  Asked on control, read on
 * the pool.  Each series is told on one grid, a value or null for each step,
 * so that a chart needs nothing else.
 */

#define RANGE_DEFAULT_MS (3600 * 1000ll)
#define RANGE_MAX_MS	 (31 * 24 * 3600 * 1000ll)
#define STEPS_MAX	 2000
#define STEPS_WANTED	 240
#define ANSWER_MAX	 ((size_t)16 * 1024 * 1024)

struct query {
	struct work work;
	struct control_call *call;
	struct selector selector;
	struct atom_history_query history;
	struct buffer out;
	size_t series;
	size_t steps;
	int64_t last_ms; /* the newest sample */
	atom_status status;
	struct atom_error error;
};

/* --- what is asked ------------------------------------------------------- */

static bool refuse(struct control_call *call, const char *name,
		   const char *expected)
{
	api_error_set(&call->error, "invalid_request", name,
		      "%s: expected %s, found \"%s\"", name, expected,
		      control_query(call, name));
	return false;
}

/* Whole multiples of what is kept, so that each has its samples. */
static int64_t whole_step(int64_t step_ms, int64_t range_ms)
{
	const int64_t every_ms = range_ms > 6 * 3600 * 1000ll
					 ? HISTORY_ROLLED_MS
					 : HISTORY_RAW_MS;

	if (step_ms == 0)
		step_ms = range_ms / STEPS_WANTED;
	return (step_ms + every_ms - 1) / every_ms * every_ms;
}

static bool read_request(struct query *q)
{
	struct control_call *call = q->call;
	struct atom_error err = ATOM_ERROR_INIT;
	const char *range = control_query(call, "range");
	const char *step = control_query(call, "step");
	int64_t range_ms = RANGE_DEFAULT_MS, step_ms = 0, now_ms;

	if (selector_parse(control_query(call, "metric"), &q->selector, &err) !=
	    ATOM_OK) {
		api_error_set(&call->error, "invalid_request", "metric",
			      "metric: %s", err.message);
		return false;
	}
	if (range[0] != '\0' &&
	    (!text_to_duration(range, 1000, &range_ms) ||
	     range_ms < HISTORY_RAW_MS || range_ms > RANGE_MAX_MS))
		return refuse(call, "range", "a duration of 15s to 31d");
	if (step[0] != '\0' &&
	    (!text_to_duration(step, 1000, &step_ms) ||
	     step_ms < HISTORY_RAW_MS || range_ms / step_ms > STEPS_MAX))
		return refuse(call, "step",
			      "a duration of 15s or more, and at most 2,000 "
			      "of them in the range");
	step_ms = whole_step(step_ms, range_ms);
	now_ms = os.realtime_ms();
	q->steps = (size_t)(range_ms / step_ms) + 1;
	q->history = (struct atom_history_query){
		.struct_size = sizeof(q->history),
		.resolution = range_ms > 6 * 3600 * 1000ll ? ATOM_HISTORY_ROLLED
							   : ATOM_HISTORY_RAW,
		.name = q->selector.name,
		.matchers = q->selector.matchers,
		.matcher_stride = sizeof(q->selector.matchers[0]),
		.matcher_count = (uint32_t)q->selector.count,
		.to_ms = now_ms,
		.step_ms = step_ms,
	};
	/* The first step is whole. */
	q->history.from_ms =
		((now_ms + step_ms - 1) / step_ms - (int64_t)q->steps) *
			step_ms +
		1;
	return true;
}

/* --- what is answered ---------------------------------------------------- */

static void append_value(struct buffer *out, double value)
{
	char text[METRIC_NUMBER_MAX];

	metric_format_number(value, text);
	buffer_append_text(out, isfinite(value) ? text : "null");
}

enum column {
	COLUMN_VALUE,
	COLUMN_LOWEST,
	COLUMN_HIGHEST,
	COLUMN_MEAN,
	COLUMN_PER_SECOND
};

static double column_of(const struct atom_history_sample *s, enum column column)
{
	switch (column) {
	case COLUMN_LOWEST:
		return s->lowest;
	case COLUMN_HIGHEST:
		return s->highest;
	case COLUMN_MEAN:
		return s->mean;
	default:
		return s->value;
	}
}

/* Of what the step that ends then has so far: the last one is under way. */
static double seconds_of(const struct query *q, int64_t time_ms)
{
	const int64_t step_ms = q->history.step_ms;
	const int64_t begin_ms = time_ms - step_ms;

	return (double)(q->last_ms > begin_ms && q->last_ms < time_ms
				? q->last_ms - begin_ms
				: step_ms) /
	       1000;
}

/* One value a step.  A counter's growth is told where the step before has a
 * sample, too. */
static void append_column(struct query *q, const char *name, enum column column,
			  const struct atom_history_sample *samples,
			  size_t count)
{
	const int64_t step_ms = q->history.step_ms;
	const int64_t first_ms = q->history.from_ms - 1 + step_ms;
	size_t at = 0;

	buffer_printf(&q->out, ",\"%s\":[", name);
	for (size_t i = 0; i < q->steps; i++) {
		const int64_t time_ms = first_ms + (int64_t)i * step_ms;
		double value = NAN;

		if (at < count && samples[at].time_ms == time_ms) {
			if (column != COLUMN_PER_SECOND)
				value = column_of(&samples[at], column);
			else if (at > 0 &&
				 samples[at - 1].time_ms == time_ms - step_ms)
				value = (samples[at].value -
					 samples[at - 1].value) /
					seconds_of(q, time_ms);
			at++;
		}
		if (i > 0)
			buffer_append_char(&q->out, ',');
		append_value(&q->out, value);
	}
	buffer_append_char(&q->out, ']');
}

static int32_t on_series(void *argument, const struct atom_history_series *s,
			 const void *samples, size_t stride, size_t count)
{
	const bool counter = s->type == ATOM_METRIC_COUNTER;
	struct query *q = argument;
	struct buffer *out = &q->out;

	(void)stride; /* ours */
	buffer_append_text(out, q->series++ > 0 ? ",{\"name\":" : "{\"name\":");
	buffer_append_json_string(out, s->name);
	buffer_append_text(out, counter ? ",\"type\":\"counter\",\"labels\":{"
					: ",\"type\":\"gauge\",\"labels\":{");
	for (size_t i = 0; i < s->label_count; i++) {
		if (i > 0)
			buffer_append_char(out, ',');
		buffer_append_json_string(out, s->labels[i].name);
		buffer_append_char(out, ':');
		buffer_append_json_string(out, s->labels[i].value);
	}
	buffer_append_char(out, '}');
	append_column(q, "values", COLUMN_VALUE, samples, count);
	if (counter) {
		append_column(q, "per_second", COLUMN_PER_SECOND, samples,
			      count);
	} else {
		append_column(q, "lowest", COLUMN_LOWEST, samples, count);
		append_column(q, "highest", COLUMN_HIGHEST, samples, count);
		append_column(q, "mean", COLUMN_MEAN, samples, count);
	}
	buffer_append_char(out, '}');
	return out->failed;
}

/* [pool] */
static void on_pool(struct work *work)
{
	struct query *q = CONTAINER_OF(work, struct query, work);
	struct atom_history_extent extent;
	char start[TEXT_TIME_MAX];

	history_extent(&extent);
	q->last_ms = extent.last_ms;
	text_of_time(q->history.from_ms - 1 + q->history.step_ms, start);
	buffer_append_text(&q->out, "{\"metric\":");
	buffer_append_json_string(&q->out, control_query(q->call, "metric"));
	buffer_printf(&q->out,
		      ",\"resolution\":\"%s\",\"start\":\"%s\","
		      "\"step_seconds\":%" PRId64 ",\"steps\":%zu,\"series\":[",
		      q->history.resolution == ATOM_HISTORY_RAW ? "raw"
								: "rolled",
		      start, q->history.step_ms / 1000, q->steps);
	q->status = history_read(&q->history, on_series, q, &q->error);
	buffer_append_text(&q->out, "]}\n");
	if (q->status == ATOM_OK && q->out.failed)
		q->status = atom_fail(&q->error, ATOM_EINVAL,
				      "the answer is larger than 16 MiB: ask "
				      "for fewer series or a longer step");
	else if (q->status == ATOM_ELIMIT)
		q->status = ATOM_EINVAL;
}

static void query_free(struct query *q)
{
	buffer_fini(&q->out);
	mem_free(q);
}

static void on_done(struct work *work, atom_status status)
{
	struct query *q = CONTAINER_OF(work, struct query, work);
	struct control_call *call = q->call;

	if (status == ATOM_OK)
		status = q->status;
	else
		(void)atom_fail(&q->error, status, "the daemon stops");
	if (status == ATOM_OK) {
		(void)buffer_append(&call->answer, q->out.bytes, q->out.length);
		control_answer_text(call, "application/json");
	} else {
		control_answer_status(call, status, "not_found", &q->error);
	}
	query_free(q);
}

static void on_query(struct control_call *call)
{
	struct query *q = mem_zalloc(sizeof(*q));

	if (q == NULL) {
		api_error_set(&call->error, "internal_error", NULL,
			      "no memory");
		control_answer_error(call);
		return;
	}
	q->call = call;
	q->error = (struct atom_error)ATOM_ERROR_INIT;
	buffer_init(&q->out, ANSWER_MAX);
	q->work.run = on_pool;
	q->work.done = on_done;
	if (read_request(q)) {
		if (work_submit(loop_control(), &q->work) == ATOM_OK)
			return;
		api_error_set(&call->error, "internal_error", NULL,
			      "no thread to read the history on");
	}
	control_answer_error(call);
	query_free(q);
}

void handle_metric_query(struct http_request *request,
			 const struct admission *admission)
{
	control_call(request, admission, "metric,range,step", on_query);
}
