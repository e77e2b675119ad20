/* SPDX-License-Identifier: Apache-2.0 */

/*
 * monitor/otlp: calls as traces, events as logs and metrics to an OTLP/HTTP
 * collector.
 *
 *	[pool]     event(): a record more in the batch of logs
 *	           metrics(): when it is time, a batch of metrics
 *	[control]  a timer, each quarter of a second: calls that have ended are
 *	           counted and what waits is posted; once a second they are read
 *	           as spans, and what has gathered is queued
 *
 * A collector that is gone or slow holds up nothing: the queues are bounded,
 * what they lose is counted.
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/monitor/otlp/encode.h"
#include "plugins/monitor/otlp/exporter.h"
#include "plugins/monitor/otlp/genai.h"
#include "plugins/monitor/otlp/metrics.h"

#define TICK_MS	      250
#define TICKS	      4	    /* a second */
#define SNAPSHOT_MS   15000 /* between two, at most */
#define CALLS_MOST    512   /* of one request */
#define CALLS_COUNTED 4096  /* at once: as many as the host keeps */
#define LOGS_MOST     512

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
};

/* A UUID for the process, so that a reload goes on with its series; [control] */
static char instance_id[37];

struct otlp {
	const struct atom_host *host;
	const struct otlp_options *options;
	const struct atom_calls *calls;
	const struct atom_timer *timers;
	const struct atom_clock *clock;
	const struct atom_metric *metric;
	char instance[sizeof(instance_id)];
	struct otlp_resource resource;
	struct exporter_options to;
	struct exporter traces, logs, metrics;
	struct atom_timer_handle *timer;
	unsigned int ticks;
	bool watching, tracing;
	uint64_t traced, counted; /* calls, as atom.calls/1 has it */
	json_t *spans;		  /* being gathered; [control] */
	int64_t sent_ms;	  /* metrics, monotonic; 0 = never; [pool] */
	int64_t heard_ms;	  /* the same of the last snapshot */

	pthread_mutex_t lock;
	json_t *records;	  /* being gathered */
	size_t lost;		  /* records that found no room */
	struct genai *genai;	  /* NULL: nothing is counted */
	struct otlp_batch *batch; /* made and not yet taken, or NULL */
};

/* --- [pool] --------------------------------------------------------------------------- */

static void on_event(void *self, const struct atom_monitor_event *event)
{
	struct otlp *o = self;

	if (!o->options->logs)
		return;
	(void)pthread_mutex_lock(&o->lock);
	if (o->records == NULL)
		o->records = json_array();
	if (json_array_size(o->records) < LOGS_MOST)
		otlp_add_log(o->records, event);
	else
		o->lost++;
	(void)pthread_mutex_unlock(&o->lock);
}

static bool due(struct otlp *o)
{
	int64_t now_ms = o->clock->monotonic_ns(o->host) / 1000000;

	int64_t between_ms = now_ms - o->heard_ms;

	/* Snapshots come a little sooner or later: the nearest one is it. */
	if (between_ms > SNAPSHOT_MS)
		between_ms = SNAPSHOT_MS;
	o->heard_ms = now_ms;
	if (o->sent_ms != 0 &&
	    now_ms - o->sent_ms + between_ms / 2 < o->options->metrics_interval)
		return false;
	o->sent_ms = now_ms;
	return true;
}

static struct genai *copy_genai(struct otlp *o)
{
	struct genai *copy = malloc(sizeof(*copy));

	if (copy == NULL)
		return NULL;
	(void)pthread_mutex_lock(&o->lock);
	*copy = *o->genai;
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
	if (batch == NULL)
		return;
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

	if (otlp_sampled(call->trace_id, o->options->sample))
		otlp_add_spans(o->spans, call, o->options->conventions == 0);
}

static void drop(struct otlp *o, const struct exporter *e, uint64_t items)
{
	if (items > 0 && o->metric != NULL)
		o->metric->update(o->host, e->dropped, (double)items);
}

static void gather_spans(struct otlp *o)
{
	uint64_t missed = 0;
	size_t count;
	char *body;

	o->spans = json_array();
	o->calls->read(o->host, &o->traced, CALLS_MOST, on_call, o, &missed);
	drop(o, &o->traces, missed);
	count = json_array_size(o->spans);
	if (count == 0) {
		json_decref(o->spans);
		return;
	}
	body = otlp_traces(&o->resource, o->spans);
	if (body != NULL)
		exporter_add(&o->traces, body, count);
	else
		drop(o, &o->traces, count);
}

static void gather_logs(struct otlp *o)
{
	json_t *records;
	size_t lost, count;
	char *body;

	(void)pthread_mutex_lock(&o->lock);
	records = o->records;
	lost = o->lost;
	o->records = NULL;
	o->lost = 0;
	(void)pthread_mutex_unlock(&o->lock);
	drop(o, &o->logs, lost);
	if (records == NULL)
		return;
	count = json_array_size(records);
	body = otlp_logs(&o->resource, records);
	if (body != NULL)
		exporter_add(&o->logs, body, count);
	else
		drop(o, &o->logs, count);
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

	(void)pthread_mutex_lock(&o->lock);
	batch = o->batch;
	o->batch = NULL;
	(void)pthread_mutex_unlock(&o->lock);
	if (batch == NULL)
		return;
	exporter_replace(&o->metrics);
	for (size_t i = 0; i < batch->request_count; i++) {
		exporter_add(&o->metrics, batch->requests[i].body,
			     batch->requests[i].points);
		batch->requests[i].body = NULL;
	}
	drop(o, &o->metrics, batch->lost);
	batch_free(batch);
}

static void on_timer(void *argument)
{
	struct otlp *o = argument;

	if (o->genai != NULL)
		count_calls(o);
	if (o->ticks++ % TICKS == 0) {
		if (o->tracing)
			gather_spans(o);
		gather_logs(o);
		gather_metrics(o);
	}
	exporter_pump(&o->traces);
	exporter_pump(&o->logs);
	exporter_pump(&o->metrics);
}

static void destroy(void *self)
{
	struct otlp *o = self;
	struct atom_error error = ATOM_ERROR_INIT;

	if (o->watching)
		(void)o->calls->watch(o->host, 0, &error);
	if (o->timer != NULL)
		o->timers->free(&o->timer);
	exporter_fini(&o->traces);
	exporter_fini(&o->logs);
	exporter_fini(&o->metrics);
	json_decref(o->records);
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
		status = exporter_init(&o->traces, o->host, &o->to,
				       "/v1/traces", "traces", family, err);
	if (status == ATOM_OK)
		status = exporter_init(&o->logs, o->host, &o->to, "/v1/logs",
				       "logs", family, err);
	if (status == ATOM_OK)
		status = exporter_init(&o->metrics, o->host, &o->to,
				       "/v1/metrics", "metrics", family, err);
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
