/* SPDX-License-Identifier: Apache-2.0 */

/*
 * monitor/otlp: calls as traces and events as logs to an OTLP/HTTP collector.
 *
 *	[pool]     event(): a record more in the batch of logs
 *	[control]  a timer, once a second: calls that have ended are read, and
 *	           what has gathered is queued and posted
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

#define TICK_MS	   1000
#define CALLS_MOST 512 /* of one request */
#define LOGS_MOST  512

struct otlp_options {
	const char *endpoint;
	const char *authorization;
	const char *ca_file;
	const char *service;
	double sample;
	int32_t traces;
	int32_t logs;
	int32_t conventions;
	int64_t timeout;
	int64_t expires;
};

static const char *const conventions[] = { "1.41", "none", NULL };

static const struct atom_option otlp_options[] = {
	ATOM_OPTION_STRING(struct otlp_options, endpoint,
			   "http://127.0.0.1:4318", 0,
			   "the collector; /v1/traces and /v1/logs are put "
			   "behind it"),
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
	ATOM_OPTION_CHOICE(struct otlp_options, conventions, "1.41",
			   conventions, 0,
			   "names of generative AI in OpenTelemetry's semantic "
			   "conventions, or none of them"),
	ATOM_OPTION_DURATION(struct otlp_options, timeout, "10s", 100, 120000,
			     0, "longest wait for one answer"),
	ATOM_OPTION_DURATION(struct otlp_options, expires, "5m", 1000, 3600000,
			     0, "a request that is older is given up"),
};

struct otlp {
	const struct atom_host *host;
	const struct otlp_options *options;
	const struct atom_calls *calls;
	const struct atom_timer *timers;
	const struct atom_metric *metric;
	struct exporter_options to;
	struct exporter traces, logs;
	struct atom_timer_handle *timer;
	uint64_t cursor;
	bool watching;
	json_t *spans; /* being gathered; [control] */

	pthread_mutex_t lock;
	json_t *records; /* being gathered */
	size_t lost;	 /* records that found no room */
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
	o->calls->read(o->host, &o->cursor, CALLS_MOST, on_call, o, &missed);
	drop(o, &o->traces, missed);
	count = json_array_size(o->spans);
	if (count == 0) {
		json_decref(o->spans);
		return;
	}
	body = otlp_traces(o->options->service, o->host->version, o->spans);
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
	body = otlp_logs(o->options->service, o->host->version, records);
	if (body != NULL)
		exporter_add(&o->logs, body, count);
	else
		drop(o, &o->logs, count);
}

static void on_timer(void *argument)
{
	struct otlp *o = argument;

	if (o->watching)
		gather_spans(o);
	gather_logs(o);
	exporter_pump(&o->traces);
	exporter_pump(&o->logs);
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
	json_decref(o->records);
	(void)pthread_mutex_destroy(&o->lock);
	free(o);
}

static atom_status start(struct otlp *o, struct atom_error *err)
{
	static const char *const labels[] = { "signal", "result", NULL };
	const struct atom_metric_spec items = {
		.struct_size = sizeof(items),
		.type = ATOM_METRIC_COUNTER,
		.name = "atomd_otlp_items_total",
		.help = "Spans and log records for the collector by what "
			"became of them: sent, failed (a try), dropped.",
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
		status =
			o->timers->create(o->host, on_timer, o, &o->timer, err);
	if (status != ATOM_OK)
		return status;
	if (o->options->traces && o->options->sample > 0) {
		status = o->calls->watch(o->host, 1, err);
		o->watching = status == ATOM_OK;
	}
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
	o->metric = atom_service(host, ATOM_METRIC);
	(void)pthread_mutex_init(&o->lock, NULL);
	if (o->calls == NULL || o->timers == NULL)
		status = atom_fail(err, ATOM_ENOTSUP,
				   "the host lacks one of " ATOM_CALLS
				   ", " ATOM_TIMER);
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
};

ATOM_PLUGIN("otlp", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT(ATOM_KIND_MONITOR, "otlp",
			   "calls and events to an OpenTelemetry collector",
			   &ops, otlp_options, struct otlp_options));
