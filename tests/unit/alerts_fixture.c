/* SPDX-License-Identifier: Apache-2.0 */
#include "alerts_fixture.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include <atomd/history.h>
#include <atomd/monitor.h>

struct alerts_host host_state;

static void append(char *text, const char *more)
{
	size_t length = strlen(text);

	(void)snprintf(text + length, TEXT_MAX - length, "%s\n", more);
}

/* --- services ------------------------------------------------------------- */

static void log_write(const struct atom_host *host, int32_t level,
		      const char *event, const char *message,
		      const struct atom_log_field *fields, size_t field_count)
{
	char line[1024];

	(void)host;
	(void)level;
	(void)fields;
	(void)field_count;
	(void)snprintf(line, sizeof(line), "%s: %s", event, message);
	append(host_state.log, line);
}

static const struct atom_log log_service = {
	.struct_size = sizeof(log_service),
	.write = log_write,
};

static int64_t monotonic_ns(const struct atom_host *host)
{
	(void)host;
	return host_state.now_ms * 1000000;
}

static int64_t realtime_ms(const struct atom_host *host)
{
	(void)host;
	return host_state.now_ms;
}

static const struct atom_clock clock_service = {
	.struct_size = sizeof(clock_service),
	.monotonic_ns = monotonic_ns,
	.realtime_ms = realtime_ms,
};

static atom_status timer_create_(const struct atom_host *host,
				 void (*fire)(void *argument), void *argument,
				 struct atom_timer_handle **timer_r,
				 struct atom_error *err)
{
	(void)host;
	(void)err;
	host_state.fire = fire;
	host_state.fire_argument = argument;
	*timer_r = (struct atom_timer_handle *)(void *)&host_state;
	return ATOM_OK;
}

static void timer_set_(struct atom_timer_handle *timer, int64_t after_ms,
		       int64_t every_ms)
{
	(void)timer;
	(void)after_ms;
	(void)every_ms;
}

static void timer_free_(struct atom_timer_handle **timer)
{
	*timer = NULL;
}

static const struct atom_timer timer_service = {
	.struct_size = sizeof(timer_service),
	.create = timer_create_,
	.set = timer_set_,
	.free = timer_free_,
};

static atom_status state_get(const struct atom_host *host, const char *key,
			     void (*done)(void *argument, atom_status status,
					  const struct atom_span *value,
					  uint64_t version),
			     void *argument, struct atom_error *err)
{
	const struct atom_span value = { host_state.stored,
					 host_state.stored != NULL
						 ? strlen(host_state.stored)
						 : 0 };

	(void)host;
	(void)err;
	cr_assert(strcmp(key, "states") == 0);
	done(argument, value.bytes != NULL ? ATOM_OK : ATOM_ENOENT, &value, 1);
	return ATOM_OK;
}

static atom_status state_put(const struct atom_host *host, const char *key,
			     const struct atom_span *value,
			     uint64_t expected_version,
			     void (*done)(void *argument, atom_status status,
					  uint64_t version),
			     void *argument, struct atom_error *err)
{
	(void)host;
	cr_assert(strcmp(key, "states") == 0 && expected_version == UINT64_MAX);
	if (host_state.put_status == ATOM_EBUSY) /* not even taken */
		return atom_fail(err, ATOM_EBUSY, "the disk is full");
	if (host_state.put_status == ATOM_OK) {
		free(host_state.stored);
		host_state.stored = strndup(value->bytes, value->length);
	}
	done(argument, host_state.put_status, 1);
	return ATOM_OK;
}

static const struct atom_state state_service = {
	.struct_size = sizeof(state_service),
	.get = state_get,
	.put = state_put,
};

/* One gauge, `load{agent="a"}`, with one sample now. */
static atom_status history_read(const struct atom_host *host,
				const struct atom_history_query *query,
				atom_history_visit visit, void *argument,
				struct atom_error *err)
{
	static const struct atom_history_label labels[] = { { "agent", "a" } };
	const struct atom_history_series series = {
		.struct_size = sizeof(series),
		.type = ATOM_METRIC_GAUGE,
		.name = "load",
		.labels = labels,
		.label_count = 1,
	};
	const struct atom_history_sample sample = {
		.time_ms = query->to_ms,
		.value = host_state.load,
	};

	(void)host;
	(void)err;
	cr_assert(query->to_ms == host_state.now_ms);
	cr_assert(query->from_ms == query->to_ms - 300000);
	if (strcmp(query->name, "load") == 0)
		(void)visit(argument, &series, &sample, sizeof(sample), 1);
	return ATOM_OK;
}

static void history_extent(const struct atom_host *of,
			   struct atom_history_extent *extent_r)
{
	(void)of;
	extent_r->raw_every_ms = STEP_MS;
}

static const struct atom_history history_service = {
	.struct_size = sizeof(history_service),
	.extent = history_extent,
	.read = history_read,
};

static void take_pairs(const char *const *pairs)
{
	size_t length = strlen(host_state.pairs);

	for (; pairs[0] != NULL; pairs += 2)
		length += (size_t)snprintf(host_state.pairs + length,
					   TEXT_MAX - length, "%s=%s ",
					   pairs[0], pairs[1]);
	(void)snprintf(host_state.pairs + length, TEXT_MAX - length, "| ");
}

static void take_alert(const struct atom_host *host,
		       const struct atom_alert *alert)
{
	char line[512];

	(void)host;
	(void)snprintf(line, sizeof(line), "%s %s %s %s %g > %g",
		       alert->state == ATOM_ALERT_FIRING    ? "fires"
		       : alert->state == ATOM_ALERT_PENDING ? "pending"
							    : "resolved",
		       alert->name, alert->severity, alert->agent, alert->value,
		       alert->threshold);
	append(host_state.told, line);
	host_state.pairs[0] = '\0';
	take_pairs(alert->labels);
	take_pairs(alert->annotations);
	(void)snprintf(host_state.pairs + strlen(host_state.pairs),
		       TEXT_MAX - strlen(host_state.pairs), "%lld",
		       (long long)(host_state.now_ms - alert->since_ms));
}

static int32_t silenced(const struct atom_host *host,
			const struct atom_alert *alert,
			char id_r[ATOM_SILENCE_ID_MAX])
{
	(void)host;
	id_r[0] = '\0';
	return host_state.silenced != NULL &&
	       strcmp(alert->severity, host_state.silenced) == 0;
}

static const struct atom_monitor_host monitor_host = {
	.struct_size = sizeof(monitor_host),
	.alert = take_alert,
	.silenced = silenced,
};

static atom_status http_start(const struct atom_host *host,
			      const struct atom_http_request *request,
			      const struct atom_http_events *events,
			      void *argument,
			      struct atom_http_transfer **transfer_r,
			      struct atom_error *err)
{
	(void)host;
	(void)err;
	cr_assert(request->body_count == 1);
	(void)snprintf(host_state.url, sizeof(host_state.url), "%s",
		       request->url);
	(void)snprintf(host_state.ca_file, sizeof(host_state.ca_file), "%s",
		       request->ca_file != NULL ? request->ca_file : "-");
	(void)snprintf(host_state.body, sizeof(host_state.body), "%.*s",
		       (int)request->body[0].length, request->body[0].bytes);
	host_state.headers[0] = '\0';
	for (size_t i = 0; i < request->header_count; i++)
		append(host_state.headers, request->headers[i]);
	host_state.requests++;
	host_state.events = events;
	host_state.events_argument = argument;
	*transfer_r = (struct atom_http_transfer *)(void *)&host_state;
	return ATOM_OK;
}

static void http_cancel(struct atom_http_transfer *transfer)
{
	(void)transfer;
	host_state.cancelled = true;
	host_state.events->end(host_state.events_argument, ATOM_ECANCELED, 1,
			       NULL);
}

static const struct atom_http http_service = {
	.struct_size = sizeof(http_service),
	.start = http_start,
	.cancel = http_cancel,
};

static const void *service(const struct atom_host *host, const char *id)
{
	static const struct {
		const char *id;
		const void *table;
	} services[] = {
		{ ATOM_LOG, &log_service },
		{ ATOM_CLOCK, &clock_service },
		{ ATOM_TIMER, &timer_service },
		{ ATOM_STATE, &state_service },
		{ ATOM_HISTORY, &history_service },
		{ ATOM_MONITOR_HOST, &monitor_host },
		{ ATOM_HTTP, &http_service },
	};

	(void)host;
	for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
		if (strcmp(services[i].id, id) == 0)
			return services[i].table;
	return NULL;
}

/* --- one monitor ---------------------------------------------------------- */

char folder[] = "/tmp/atomd-alerts-XXXXXX";
static char path[64];
static const struct atom_monitor_ops *ops;
static void *self;
static struct atom_host host = {
	.struct_size = sizeof(host),
	.directory = folder,
	.service = service,
};
const struct receiver_options receiver = {
	.name = "hook",
	.url = "http://127.0.0.1/hook",
	.format = MESSAGE_WEBHOOK,
	.signature_key = KEY,
	.authorization = "",
	.timeout = 1000,
	.ca_file = "",
};
static const char *const patterns[] = { "*.yml" };
struct options options = {
	.rules = { patterns, 1 },
	.interval = STEP_MS,
	.repeat = 60000,
	.receivers = { &receiver, 1, sizeof(receiver) },
};

static const char rules[] =
	"groups:\n- name: g\n  rules:\n"
	"  - alert: busy\n    expr: load > 3\n    for: 15s\n"
	"    labels: {severity: warning}\n"
	"    annotations: {summary: '{{ $labels.agent }}: {{ $value }}'}\n"
	"  - alert: busy\n    expr: load > 9\n"
	"    labels: {severity: critical}\n";

void write_rules(const char *text)
{
	FILE *file = fopen(path, "w");

	cr_assert(file != NULL);
	(void)fputs(text, file);
	(void)fclose(file);
}

void open_monitor(void)
{
	struct atom_error error = ATOM_ERROR_INIT;

	cr_assert(ops->create(&host, &options, &self, &error) == ATOM_OK, "%s",
		  error.message);
}

void close_monitor(void)
{
	ops->destroy(self);
}

void set_up(void)
{
	char so[4096];
	const struct atom_plugin *plugin;
	void *library;

	(void)snprintf(so, sizeof(so), "%s/monitor-alerts.so",
		       getenv("ATOMD_BUILD_PLUGINS"));
	library = dlopen(so, RTLD_NOW | RTLD_LOCAL);
	cr_assert(library != NULL, "%s", dlerror());
	plugin = dlsym(library, ATOM_PLUGIN_SYMBOL);
	cr_assert(plugin != NULL);
	ops = (const struct atom_monitor_ops *)(const void *)plugin
		      ->components[0]
		      .ops;
	cr_assert(plugin->components[0].options_size == sizeof(options));
	cr_assert(mkdtemp(folder) != NULL);
	(void)snprintf(path, sizeof(path), "%s/r.yml", folder);
	write_rules(rules);
	host_state.now_ms = 1700000025000; /* a sample's time */
	open_monitor();
}

void tear_down(void)
{
	close_monitor();
	free(host_state.stored);
	(void)unlink(path);
	(void)rmdir(folder);
}

void fire_timer(void)
{
	host_state.fire(host_state.fire_argument);
}

void step(double load)
{
	struct atom_metric_snapshot snapshot = {
		.struct_size = sizeof(snapshot),
	};

	host_state.now_ms += STEP_MS;
	host_state.load = load;
	snapshot.time_ms = host_state.now_ms + 7; /* told a little later */
	host_state.told[0] = '\0';
	ops->metrics(self, &snapshot);
	fire_timer();
}

void answer(int32_t status)
{
	const struct atom_http_events *events = host_state.events;

	cr_assert(events != NULL);
	host_state.events = NULL;
	events->head(host_state.events_argument, NULL, status);
	events->end(host_state.events_argument, ATOM_OK, 1, NULL);
}

void told_is(const char *expected)
{
	cr_assert(strcmp(host_state.told, expected) == 0, "%s",
		  host_state.told);
}
