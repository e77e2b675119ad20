/* SPDX-License-Identifier: Apache-2.0 */

/*
 * monitor/otlp: calls as traces, events as logs and metrics to an OTLP/HTTP
 * collector.
 *
 *	[pool]     event(): a record more in the queue of logs
 *	           metrics(): when it is time, a batch of metrics
 *	[control]  a timer, each quarter of a second and when a request has been
 *	           delivered: calls that have ended are counted, and queued as
 *	           spans; of each queue a batch that is due is posted, if
 *	           none is on its way
 *
 * A collector that is gone or slow holds up nothing: the queues are bounded,
 * what they lose is counted, and told once until they are empty again.  Calls
 * that the queue of spans has no room for stay with the host, which keeps the
 * last 4,096.
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/monitor/otlp/encode.h"
#include "plugins/monitor/otlp/exporter.h"
#include "plugins/monitor/otlp/genai.h"
#include "plugins/monitor/otlp/metrics.h"
#include "plugins/monitor/otlp/queue.h"

#define TICK_MS	      250
#define SNAPSHOT_MS   15000 /* between two, at most */
#define SPANS_MOST    3	    /* of a call */
#define CALLS_COUNTED 4096  /* at once: as many as the host keeps */

struct otlp_options {
	const char *endpoint;
	const char *authorization;
	const char *ca_file;
	const char *service;
	double sample;
	int32_t traces;
	int32_t logs;
	int32_t metrics;
	int32_t conventions;
	int64_t metrics_interval;
	int64_t timeout;
	int64_t expires;
	int64_t max_queue_size;
	int64_t max_export_batch_size;
	int64_t schedule_delay;
};

static const char *const conventions[] = { "1.41", "none", NULL };

static const struct atom_option otlp_options[] = {
	ATOM_OPTION_STRING(
		struct otlp_options, endpoint, "http://127.0.0.1:4318", 0,
		"the collector; /v1/traces, /v1/logs and /v1/metrics "
		"are put behind it"),
	ATOM_OPTION_SECRET(struct otlp_options, authorization, 0,
			   "value of the header Authorization"),
	ATOM_OPTION_STRING(struct otlp_options, ca_file, "", 0,
			   "certificates to trust instead of the system's"),
	ATOM_OPTION_STRING(struct otlp_options, service, "atomd", 0,
			   "service.name"),
	ATOM_OPTION_FLOAT(struct otlp_options, sample, "1", 0, 1, 0,
			  "share of the traces that is sent, by trace id"),
	ATOM_OPTION_BOOL(struct otlp_options, traces, "true", 0,
			 "send calls as spans"),
	ATOM_OPTION_BOOL(struct otlp_options, logs, "true", 0,
			 "send events as log records"),
	ATOM_OPTION_BOOL(struct otlp_options, metrics, "true", 0,
			 "send metrics"),
	ATOM_OPTION_DURATION(struct otlp_options, metrics_interval, "60s", 1000,
			     3600000, 0,
			     "how often, in whole samples of the history"),
	ATOM_OPTION_CHOICE(struct otlp_options, conventions, "1.41",
			   conventions, 0,
			   "names of generative AI in OpenTelemetry's semantic "
			   "conventions, or none of them"),
	ATOM_OPTION_DURATION(struct otlp_options, timeout, "10s", 100, 120000,
			     0, "longest wait for one answer"),
	ATOM_OPTION_DURATION(struct otlp_options, expires, "5m", 1000, 3600000,
			     0, "a request that is older is given up"),
	ATOM_OPTION_INT(struct otlp_options, max_queue_size, "2048", 16, 65536,
			0,
			"spans, and log records, that wait; more are "
			"dropped"),
	ATOM_OPTION_INT(struct otlp_options, max_export_batch_size, "512", 1,
			65536, 0,
			"spans or log records of one request; so many are "
			"sent at once"),
	ATOM_OPTION_DURATION(struct otlp_options, schedule_delay, "1s", TICK_MS,
			     60000, 0,
			     "longest wait of a span or log record for a "
			     "request to be filled"),
};

/* A UUID for the process, so that a reload goes on with its series; [control] */
static char instance_id[37];

/* Of which a batch is made when it is due, with those that wait for it. */
struct signal {
	struct exporter exporter;
	struct queue queue; /* logs: under the lock */
	char *(*encode)(const struct otlp_resource *resource, json_t *items);
	bool dropping; /* since the queue was empty */
};

struct otlp {
	const struct atom_host *host;
	const struct otlp_options *options;
	const struct atom_calls *calls;
	const struct atom_timer *timers;
	const struct atom_clock *clock;
	const struct atom_metric *metric;
	const struct atom_log *log;
	char instance[sizeof(instance_id)];
	struct otlp_resource resource;
	struct exporter_options to;
	struct signal traces, logs;
	struct exporter metrics;
	struct atom_timer_handle *timer;
	bool watching, tracing;
	uint64_t traced, counted; /* calls, as atom.calls/1 has it */
	json_t *spans;		  /* being gathered; [control] */
	size_t visited;		  /* calls, meanwhile */
	int64_t sent_ms;	  /* metrics, monotonic; 0 = never; [pool] */
	int64_t heard_ms;	  /* the same of the last snapshot */

	pthread_mutex_t lock;
	struct genai *genai;	  /* NULL: nothing is counted */
	struct otlp_batch *batch; /* made and not yet taken, or NULL */
	size_t lost;		  /* points, before they came into one */
};

/* --- [pool] --------------------------------------------------------------------------- */

static int64_t now_ms(const struct otlp *o)
{
	return o->clock->monotonic_ns(o->host) / 1000000;
}

static void on_event(void *self, const struct atom_monitor_event *event)
{
	struct otlp *o = self;
	json_t *records;
	bool lost;

	if (!o->options->logs)
		return;
	records = json_array();
	lost = json_array_append_new(records, otlp_log(event)) != 0;
	(void)pthread_mutex_lock(&o->lock);
	queue_add(&o->logs.queue, records, now_ms(o));
	queue_lose(&o->logs.queue, lost ? 1 : 0);
	(void)pthread_mutex_unlock(&o->lock);
}

static bool due(struct otlp *o)
{
	const int64_t now = now_ms(o);
	int64_t between_ms = now - o->heard_ms;

	/* Snapshots come a little sooner or later: the nearest one is it. */
	if (between_ms > SNAPSHOT_MS)
		between_ms = SNAPSHOT_MS;
	o->heard_ms = now;
	if (o->sent_ms != 0 &&
	    now - o->sent_ms + between_ms / 2 < o->options->metrics_interval)
		return false;
	o->sent_ms = now;
	return true;
}

static struct genai *copy_genai(struct otlp *o)
{
	struct genai *copy = malloc(sizeof(*copy));

	(void)pthread_mutex_lock(&o->lock);
	if (copy != NULL)
		*copy = *o->genai;
	else
		o->lost += o->genai->series_count;
	(void)pthread_mutex_unlock(&o->lock);
	return copy;
}

static void batch_free(struct otlp_batch *batch)
{
	if (batch != NULL)
		otlp_batch_fini(batch);
	free(batch);
}

static void on_metrics(void *self, const struct atom_metric_snapshot *snapshot)
{
	struct otlp *o = self;
	struct otlp_batch *batch, *before;
	struct genai *genai = NULL;

	if (!o->options->metrics || !due(o))
		return;
	batch = malloc(sizeof(*batch));
	if (batch == NULL) {
		(void)pthread_mutex_lock(&o->lock);
		o->lost += snapshot->value_count;
		(void)pthread_mutex_unlock(&o->lock);
		return;
	}
	otlp_batch_init(batch, &o->resource, snapshot->time_ms);
	otlp_batch_add_all(batch, snapshot);
	if (o->genai != NULL)
		genai = copy_genai(o);
	if (genai != NULL)
		genai_add_to(genai, batch);
	free(genai);
	otlp_batch_finish(batch);
	(void)pthread_mutex_lock(&o->lock);
	before = o->batch;
	o->batch = batch;
	(void)pthread_mutex_unlock(&o->lock);
	batch_free(before);
}

/* --- [control] -------------------------------------------------------------------------- */

static void on_call(void *argument, const struct atom_ended_call *call)
{
	struct otlp *o = argument;

	o->visited++;
	if (otlp_sampled(call->trace_id, o->options->sample))
		queue_lose(&o->traces.queue,
			   otlp_add_spans(o->spans, call,
					  o->options->conventions == 0));
}

static void drop(struct otlp *o, const struct exporter *e, uint64_t items)
{
	if (items > 0 && o->metric != NULL)
		o->metric->update(o->host, e->dropped, (double)items);
}

/* As drop(), and told when it is the first since the queue was empty. */
static void overflow(struct otlp *o, struct signal *is, uint64_t items)
{
	const struct atom_log_field fields[] = {
		{ "url", is->exporter.url, 0 },
		{ "max_queue_size", NULL, o->options->max_queue_size },
	};

	drop(o, &is->exporter, items);
	if (items == 0 || is->dropping)
		return;
	is->dropping = true;
	if (o->log != NULL)
		o->log->write(o->host, ATOM_LOG_WARN, "otlp_queue_full",
			      "the collector takes less than there is and what "
			      "finds the queue full is dropped: raise "
			      "max_queue_size, lower sample or look at the "
			      "collector",
			      fields, 2);
}

/* As many calls as the queue has room for, each as its spans. */
static void gather_spans(struct otlp *o)
{
	struct queue *queue = &o->traces.queue;
	size_t most;

	do {
		uint64_t missed = 0;

		most = queue_room(queue) / SPANS_MOST;
		o->spans = json_array();
		o->visited = 0;
		if (most > 0)
			o->calls->read(o->host, &o->traced, most, on_call, o,
				       &missed);
		queue_add(queue, o->spans, now_ms(o));
		overflow(o, &o->traces, missed);
	} while (o->visited > 0 && o->visited == most);
}

/* A batch that is due on its way, unless one is.  `lock`: the queue's, or
 * NULL. */
static void send_due(struct otlp *o, struct signal *is, pthread_mutex_t *lock)
{
	const int64_t now = now_ms(o);
	json_t *batch = NULL;
	size_t items, dropped, lost;
	bool empty;
	char *body;

	if (lock != NULL)
		(void)pthread_mutex_lock(lock);
	if (exporter_idle(&is->exporter) && queue_due(&is->queue, now))
		batch = queue_take(&is->queue, now);
	empty = is->queue.count == 0;
	dropped = queue_take_dropped(&is->queue);
	lost = queue_take_lost(&is->queue);
	if (lock != NULL)
		(void)pthread_mutex_unlock(lock);
	overflow(o, is, dropped);
	if (batch == NULL) {
		if (lost > 0)
			exporter_lose(&is->exporter, lost);
		if (empty && exporter_idle(&is->exporter))
			is->dropping = false;
		return;
	}
	items = json_array_size(batch);
	body = is->encode(&o->resource, batch);
	if (body != NULL)
		exporter_add(&is->exporter, body, items);
	else
		lost += items;
	exporter_lose(&is->exporter, lost);
}

static void on_counted(void *argument, const struct atom_ended_call *call)
{
	const struct otlp *o = argument;

	genai_count(o->genai, call);
}

/* Every call, whatever is sampled and however many are sent as spans. */
static void count_calls(struct otlp *o)
{
	uint64_t missed = 0;

	(void)pthread_mutex_lock(&o->lock);
	o->calls->read(o->host, &o->counted, CALLS_COUNTED, on_counted, o,
		       &missed);
	(void)pthread_mutex_unlock(&o->lock);
	drop(o, &o->metrics, missed);
}

static void gather_metrics(struct otlp *o)
{
	struct otlp_batch *batch;
	size_t lost;

	(void)pthread_mutex_lock(&o->lock);
	batch = o->batch;
	o->batch = NULL;
	lost = o->lost;
	o->lost = 0;
	(void)pthread_mutex_unlock(&o->lock);
	if (batch != NULL)
		lost += batch->lost;
	if (batch != NULL || lost > 0)
		exporter_lose(&o->metrics, lost);
	if (batch == NULL)
		return;
	if (batch->request_count > 0)
		exporter_replace(&o->metrics);
	for (size_t i = 0; i < batch->request_count; i++) {
		exporter_add(&o->metrics, batch->requests[i].body,
			     batch->requests[i].points);
		batch->requests[i].body = NULL;
	}
	batch_free(batch);
}

static void on_timer(void *argument)
{
	struct otlp *o = argument;

	if (o->genai != NULL)
		count_calls(o);
	if (o->tracing)
		gather_spans(o);
	send_due(o, &o->traces, NULL);
	send_due(o, &o->logs, &o->lock);
	gather_metrics(o);
	exporter_pump(&o->traces.exporter);
	exporter_pump(&o->logs.exporter);
	exporter_pump(&o->metrics);
}

/* What waits behind it goes in the next turn of the loop. */
static void on_delivered(void *argument)
{
	struct otlp *o = argument;

	o->timers->set(o->timer, 0, TICK_MS);
}

static void signal_fini(struct signal *is)
{
	exporter_fini(&is->exporter);
	queue_fini(&is->queue);
}

static void destroy(void *self)
{
	struct otlp *o = self;
	struct atom_error error = ATOM_ERROR_INIT;

	if (o->watching)
		(void)o->calls->watch(o->host, 0, &error);
	if (o->timer != NULL)
		o->timers->free(&o->timer);
	signal_fini(&o->traces);
	signal_fini(&o->logs);
	exporter_fini(&o->metrics);
	batch_free(o->batch);
	free(o->genai);
	(void)pthread_mutex_destroy(&o->lock);
	free(o);
}

static void on_past(void *argument, const struct atom_ended_call *call)
{
	(void)argument;
	(void)call;
}

/* Calls from here on. */
static atom_status watch(struct otlp *o, struct atom_error *err)
{
	uint64_t missed;
	atom_status status = o->calls->watch(o->host, 1, err);

	o->watching = status == ATOM_OK;
	if (!o->watching)
		return status;
	o->traced = UINT64_MAX;
	o->calls->read(o->host, &o->traced, 1, on_past, NULL, &missed);
	o->counted = o->traced;
	return status;
}

static atom_status begin(struct otlp *o, struct atom_error *err)
{
	bool counting = o->options->metrics && o->options->conventions == 0;

	o->tracing = o->options->traces && o->options->sample > 0;
	if (counting) {
		o->genai = calloc(1, sizeof(*o->genai));
		if (o->genai == NULL)
			return atom_fail(err, ATOM_ENOMEM, "out of memory");
		o->genai->since_ms = o->clock->realtime_ms(o->host);
	}
	return counting || o->tracing ? watch(o, err) : ATOM_OK;
}

/* A random UUID (RFC 9562, version 4).  Without randomness there is none. */
static void make_instance_id(const struct atom_host *host)
{
	const struct atom_secret *secret = atom_service(host, ATOM_SECRET);
	unsigned char b[16];

	if (*instance_id != '\0' || secret == NULL ||
	    secret->random(b, sizeof(b), NULL) != ATOM_OK)
		return;
	(void)snprintf(instance_id, sizeof(instance_id),
		       "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
		       "%02x%02x%02x%02x%02x%02x",
		       b[0], b[1], b[2], b[3], b[4], b[5], (b[6] & 0x0f) | 0x40,
		       b[7], (b[8] & 0x3f) | 0x80, b[9], b[10], b[11], b[12],
		       b[13], b[14], b[15]);
}

static atom_status exporter_start(struct otlp *o, struct exporter *e,
				  const char *path, const char *name,
				  uint32_t family, struct atom_error *err)
{
	atom_status status =
		exporter_init(e, o->host, &o->to, path, name, family, err);

	e->delivered = on_delivered;
	e->argument = o;
	return status;
}

static atom_status signal_init(struct otlp *o, struct signal *is,
			       const char *path, const char *name,
			       uint32_t family, struct atom_error *err)
{
	const struct queue_options queue = {
		.max_queue_size = (size_t)o->options->max_queue_size,
		.max_export_batch_size =
			(size_t)o->options->max_export_batch_size,
		.schedule_delay_ms = o->options->schedule_delay,
	};
	atom_status status =
		exporter_start(o, &is->exporter, path, name, family, err);

	return status == ATOM_OK ? queue_init(&is->queue, &queue, err) : status;
}

static atom_status start(struct otlp *o, struct atom_error *err)
{
	static const char *const labels[] = { "signal", "result", NULL };
	const struct atom_metric_spec items = {
		.struct_size = sizeof(items),
		.type = ATOM_METRIC_COUNTER,
		.name = "atomd_otlp_items_total",
		.help = "Spans, log records and points of metrics for the "
			"collector by what became of them: sent, failed (a "
			"try), dropped.",
		.unit = "",
		.label_names = labels,
	};
	uint32_t family = 0;
	atom_status status = ATOM_OK;

	o->to = (struct exporter_options){
		.url = o->options->endpoint,
		.authorization = o->options->authorization,
		.ca_file = o->options->ca_file,
		.timeout_ms = o->options->timeout,
		.expires_ms = o->options->expires,
	};
	if (o->metric != NULL)
		status = o->metric->declare(o->host, &items, &family, err);
	if (status == ATOM_OK)
		status = signal_init(o, &o->traces, "/v1/traces", "traces",
				     family, err);
	if (status == ATOM_OK)
		status = signal_init(o, &o->logs, "/v1/logs", "logs", family,
				     err);
	if (status == ATOM_OK)
		status = exporter_start(o, &o->metrics, "/v1/metrics",
					"metrics", family, err);
	if (status == ATOM_OK)
		status =
			o->timers->create(o->host, on_timer, o, &o->timer, err);
	if (status == ATOM_OK)
		status = begin(o, err);
	if (status == ATOM_OK)
		o->timers->set(o->timer, TICK_MS, TICK_MS);
	return status;
}

static atom_status create(const struct atom_host *host, const void *options,
			  void **self_r, struct atom_error *err)
{
	struct otlp *o = calloc(1, sizeof(*o));
	atom_status status;

	if (o == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	o->host = host;
	o->options = options;
	o->calls = atom_service(host, ATOM_CALLS);
	o->timers = atom_service(host, ATOM_TIMER);
	o->clock = atom_service(host, ATOM_CLOCK);
	o->metric = atom_service(host, ATOM_METRIC);
	o->log = atom_service(host, ATOM_LOG);
	o->traces.encode = otlp_traces;
	o->logs.encode = otlp_logs;
	make_instance_id(host);
	memcpy(o->instance, instance_id, sizeof(o->instance));
	o->resource = (struct otlp_resource){
		.service = o->options->service,
		.version = host->version,
		.instance = o->instance,
	};
	(void)pthread_mutex_init(&o->lock, NULL);
	if (o->calls == NULL || o->timers == NULL || o->clock == NULL)
		status = atom_fail(err, ATOM_ENOTSUP,
				   "the host lacks one of " ATOM_CALLS
				   ", " ATOM_TIMER ", " ATOM_CLOCK);
	else
		status = start(o, err);
	if (status == ATOM_OK)
		*self_r = o;
	else
		destroy(o);
	return status;
}

static const struct atom_monitor_ops ops = {
	.struct_size = sizeof(ops),
	.create = create,
	.destroy = destroy,
	.event = on_event,
	.metrics = on_metrics,
};

ATOM_PLUGIN("otlp", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_MONITOR, "otlp",
			   "calls, events and metrics to an OpenTelemetry "
			   "collector",
			   &ops, otlp_options, struct otlp_options));
