/* SPDX-License-Identifier: Apache-2.0 */

/* monitor/alerts as the daemon loads it, between a history, a clock and an
 * HTTP client that are played here. */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <atomd/history.h>
#include <atomd/monitor.h>

#include "plugins/monitor/alerts/receiver.h"

#define KEY	 "s3cret"
#define STEP_MS	 15000
#define TEXT_MAX 65536

/* As in alerts_priv.h, which a plugin's user does not see. */
struct options {
	struct atom_strings rules;
	int64_t interval;
	int64_t repeat;
	struct atom_groups receivers;
};

static struct {
	int64_t now_ms;
	double load; /* of the one series */
	char log[TEXT_MAX];
	char told[TEXT_MAX];  /* alerts, as the daemon hears them */
	char pairs[TEXT_MAX]; /* labels, annotations and age of the last */
	const char *silenced; /* severity of those that are, or NULL */
	void (*fire)(void *argument);
	void *fire_argument;
	char *stored;
	atom_status put_status; /* what the store says to a put */
	/* the HTTP client */
	char url[256];
	char ca_file[256];
	char body[TEXT_MAX];
	char headers[TEXT_MAX];
	int requests;
	const struct atom_http_events *events;
	void *events_argument;
	bool cancelled;
} host_state;

static void append(char *text, const char *more)
{
	size_t length = strlen(text);

	(void)snprintf(text + length, TEXT_MAX - length, "%s\n", more);
}

/* --- services ----------------------------------------------------------------- */

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
	(void)id_r;
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

/* --- one monitor ------------------------------------------------------------------ */

static char folder[] = "/tmp/atomd-alerts-XXXXXX";
static char path[64];
static const struct atom_monitor_ops *ops;
static void *self;
static struct atom_host host = {
	.struct_size = sizeof(host),
	.directory = folder,
	.service = service,
};
static const struct receiver_options receiver = {
	.name = "hook",
	.url = "http://127.0.0.1/hook",
	.format = MESSAGE_WEBHOOK,
	.signature_key = KEY,
	.authorization = "",
	.timeout = 1000,
	.ca_file = "",
};
static const char *const patterns[] = { "*.yml" };
static struct options options = {
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

static void write_rules(const char *text)
{
	FILE *file = fopen(path, "w");

	cr_assert(file != NULL);
	(void)fputs(text, file);
	(void)fclose(file);
}

static void open_monitor(void)
{
	struct atom_error error = ATOM_ERROR_INIT;

	cr_assert(ops->create(&host, &options, &self, &error) == ATOM_OK, "%s",
		  error.message);
}

static void begin(void)
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

static void end(void)
{
	ops->destroy(self);
	free(host_state.stored);
	(void)unlink(path);
	(void)rmdir(folder);
}

/* One interval later, with this load. */
static void step(double load)
{
	struct atom_metric_snapshot snapshot = {
		.struct_size = sizeof(snapshot),
	};

	host_state.now_ms += STEP_MS;
	host_state.load = load;
	snapshot.time_ms = host_state.now_ms + 7; /* told a little later */
	host_state.told[0] = '\0';
	ops->metrics(self, &snapshot);
	host_state.fire(host_state.fire_argument);
}

static void answer(int32_t status)
{
	const struct atom_http_events *events = host_state.events;

	cr_assert(events != NULL);
	host_state.events = NULL;
	events->head(host_state.events_argument, NULL, status);
	events->end(host_state.events_argument, ATOM_OK, 1, NULL);
}

static void told_is(const char *expected)
{
	cr_assert(strcmp(host_state.told, expected) == 0, "%s",
		  host_state.told);
}

#define MONITOR_TEST(name) \
	Test(alerts_monitor, name, .init = begin, .fini = end)

MONITOR_TEST(an_alert_fires_gets_graver_and_resolves)
{
	step(4);
	told_is("pending busy warning a 4 > 3\n");
	step(4.5);
	told_is("fires busy warning a 4.5 > 3\n");
	cr_assert(strstr(host_state.log, "alert_firing: a: 4.5\n") != NULL);
	step(10);
	told_is("fires busy warning a 10 > 3\nfires busy critical a 10 > 9\n");
	step(5);
	told_is("fires busy warning a 5 > 3\n"
		"resolved busy critical a 10 > 9\n");
	step(1);
	told_is("resolved busy warning a 5 > 3\n");
	cr_assert(strstr(host_state.log, "alert_resolved") != NULL);
	step(1);
	told_is("");
}

MONITOR_TEST(the_daemon_hears_of_a_pending_one_that_does_not_fire)
{
	step(4);
	step(1);
	told_is("resolved busy warning a 4 > 3\n");
	cr_assert(strstr(host_state.log, "alert_resolved") == NULL);
	step(1);
	told_is("");
	cr_assert(host_state.requests == 0);
}

MONITOR_TEST(the_daemon_hears_labels_and_annotations)
{
	step(4);
	cr_assert(strcmp(host_state.pairs,
			 "agent=a alertname=busy severity=warning | "
			 "summary=a: 4 | 0") == 0,
		  "%s", host_state.pairs);
}

MONITOR_TEST(a_clock_that_was_set_back_holds_up_nothing)
{
	const int64_t year_ms = INT64_C(31536000000);

	host_state.now_ms += year_ms;
	step(4);
	step(4);
	cr_assert(host_state.requests == 1);
	answer(200);
	host_state.now_ms -= year_ms;
	for (int64_t ms = 0; ms <= options.repeat; ms += STEP_MS) {
		step(4);
		told_is("fires busy warning a 4 > 3\n");
	}
	cr_assert(host_state.requests == 2, "what lasts is told again");
	answer(200);
	step(1);
	told_is("resolved busy warning a 4 > 3\n");
	cr_assert(host_state.requests == 3);
	answer(200);
}

MONITOR_TEST(a_receivers_certificates_lie_beside_the_configuration)
{
	struct receiver_options own = receiver;
	const struct atom_groups before = options.receivers;
	char expected[128];

	own.ca_file = "ca.pem";
	ops->destroy(self);
	options.receivers.items = &own;
	open_monitor();
	step(4);
	step(4);
	(void)snprintf(expected, sizeof(expected), "%s/ca.pem", folder);
	cr_assert(strcmp(host_state.ca_file, expected) == 0, "%s",
		  host_state.ca_file);
	answer(200);
	ops->destroy(self);
	options.receivers = before;
	open_monitor();
}

MONITOR_TEST(a_long_authorization_is_sent_whole)
{
	struct receiver_options own = receiver;
	const struct atom_groups before = options.receivers;
	static char token[9000];

	memset(token, 't', sizeof(token) - 1);
	own.authorization = token;
	ops->destroy(self);
	options.receivers.items = &own;
	open_monitor();
	step(4);
	step(4);
	cr_assert(strstr(host_state.headers, token) != NULL);
	answer(200);
	ops->destroy(self);
	options.receivers = before;
	open_monitor();
}

MONITOR_TEST(a_silence_holds_back_what_fires_until_it_ends)
{
	host_state.silenced = "warning";
	step(4);
	step(4);
	told_is("fires busy warning a 4 > 3\n");
	cr_assert(host_state.requests == 0);
	step(10); /* the other one is not silenced */
	cr_assert(host_state.requests == 1);
	cr_assert(strstr(host_state.body, "\"critical\"") != NULL);
	cr_assert(strstr(host_state.body, "\"warning\"") == NULL, "%s",
		  host_state.body);
	answer(200);
	host_state.silenced = NULL;
	step(10);
	cr_assert(host_state.requests == 2);
	cr_assert(strstr(host_state.body, "\"warning\"") != NULL);
	answer(200);
}

MONITOR_TEST(what_resolves_in_a_silence_is_told_at_its_end)
{
	step(4);
	step(4);
	cr_assert(host_state.requests == 1);
	answer(200);
	host_state.silenced = "warning";
	for (int i = 0; i < 100; i++) /* longer than resolved ones are kept */
		step(1);
	cr_assert(host_state.requests == 1);
	ops->destroy(self);
	open_monitor();
	host_state.silenced = NULL;
	step(1);
	cr_assert(host_state.requests == 2);
	cr_assert(strstr(host_state.body, "\"state\":\"resolved\"") != NULL);
	answer(200);
	step(1);
	cr_assert(host_state.requests == 2);
}

MONITOR_TEST(who_never_heard_that_it_fires_hears_no_end)
{
	host_state.silenced = "warning";
	step(4);
	step(4);
	step(1);
	host_state.silenced = NULL;
	step(1);
	cr_assert(host_state.requests == 0);
}

MONITOR_TEST(a_webhook_hears_signed_of_changes_and_of_what_lasts)
{
	char text[TEXT_MAX + 32], hex[65], line[128];
	unsigned char digest[32];
	unsigned int size = 0;

	step(4);
	cr_assert(host_state.requests == 0);
	step(4);
	cr_assert(host_state.requests == 1);
	cr_assert(strcmp(host_state.url, receiver.url) == 0);
	cr_assert(strstr(host_state.body,
			 "{\"alerts\":[{\"name\":\"busy\",\"severity\":"
			 "\"warning\",\"state\":\"firing\",\"value\":4,"
			 "\"threshold\":3,") != NULL,
		  "%s", host_state.body);
	cr_assert(strstr(host_state.body, "\"summary\":\"a: 4\"") != NULL);
	(void)snprintf(text, sizeof(text), "%lld.%s",
		       (long long)(host_state.now_ms / 1000), host_state.body);
	cr_assert(HMAC(EVP_sha256(), KEY, strlen(KEY),
		       (const unsigned char *)text, strlen(text), digest,
		       &size) != NULL);
	for (size_t i = 0; i < 32; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	(void)snprintf(line, sizeof(line), "X-Atomd-Signature: v1=%s\n", hex);
	cr_assert(strstr(host_state.headers, line) != NULL);
	answer(200);
	step(4);
	step(4);
	step(4);
	cr_assert(host_state.requests == 1);
	step(4); /* a minute after the first: `repeat` */
	cr_assert(host_state.requests == 2);
	answer(204);
	step(1);
	cr_assert(host_state.requests == 3);
	cr_assert(strstr(host_state.body, "\"state\":\"resolved\"") != NULL);
	cr_assert(strstr(host_state.body, "\"until\":\"2023-11-14T") != NULL);
	answer(200);
}

MONITOR_TEST(a_receiver_that_fails_is_asked_again_and_a_4xx_is_not)
{
	char first[TEXT_MAX];

	step(4);
	step(4);
	memcpy(first, host_state.body, sizeof(first));
	answer(503);
	cr_assert(strstr(host_state.log, "alert_not_delivered") != NULL);
	host_state.now_ms += 500;
	host_state.fire(host_state.fire_argument);
	cr_assert(host_state.requests == 1);
	host_state.now_ms += 500;
	host_state.fire(host_state.fire_argument);
	cr_assert(host_state.requests == 2);
	cr_assert(strcmp(first, host_state.body) == 0);
	answer(400);
	host_state.now_ms += 10000;
	host_state.fire(host_state.fire_argument);
	cr_assert(host_state.requests == 2);
}

MONITOR_TEST(a_receiver_that_hangs_holds_up_no_evaluation)
{
	step(4);
	for (int i = 0; i < 200; i++)
		step(i % 2 != 0 ? 10 : 1);
	cr_assert(host_state.requests == 1);
	told_is("pending busy warning a 10 > 3\n"
		"fires busy critical a 10 > 9\n");
}

MONITOR_TEST(states_are_taken_up_after_a_restart)
{
	step(4);
	ops->destroy(self);
	open_monitor();
	step(4);
	told_is("fires busy warning a 4 > 3\n");
	ops->destroy(self);
	open_monitor();
	step(4);
	/* What fired is told to the new daemon, and to no receiver. */
	told_is("fires busy warning a 4 > 3\n");
	cr_assert(host_state.requests == 1);
}

static int lines_with(const char *event)
{
	int count = 0;

	for (const char *at = host_state.log; (at = strstr(at, event)) != NULL;
	     at++)
		count++;
	return count;
}

MONITOR_TEST(a_store_that_fails_is_told_once_and_again_when_it_is_well)
{
	step(4);
	host_state.put_status = ATOM_EIO;
	step(4);
	told_is("fires busy warning a 4 > 3\n");
	host_state.put_status = ATOM_EBUSY;
	step(4);
	step(1);
	told_is("resolved busy warning a 4 > 3\n");
	cr_assert(lines_with("alert_states_not_kept") == 1);
	cr_assert(lines_with("alert_states_kept") == 0);
	host_state.put_status = ATOM_OK;
	step(4);
	step(4);
	cr_assert(lines_with("alert_states_kept") == 1);
	ops->destroy(self);
	open_monitor();
	step(4);
	told_is("fires busy warning a 4 > 3\n");
	host_state.put_status = ATOM_EIO;
	step(4);
	cr_assert(lines_with("alert_states_not_kept") == 2);
}

MONITOR_TEST(a_bad_file_is_named_and_the_old_rules_go_on)
{
	step(4);
	write_rules("groups:\n- name: g\n  rules:\n  - alert: a\n"
		    "    expr: 1 +\n");
	step(4);
	cr_assert(strstr(host_state.log, "alert_rules_refused: ") != NULL);
	cr_assert(strstr(host_state.log, "r.yml:5: character 4") != NULL, "%s",
		  host_state.log);
	told_is("fires busy warning a 4 > 3\n");
	write_rules("groups: []\n");
	step(4);
	told_is("resolved busy warning a 4 > 3\n");
}

static bool no_memory;

/* In place of the C library's; the plugin writes its texts through it. */
__attribute__((visibility("default"))) FILE *fopencookie(
	void *cookie, const char *mode, cookie_io_functions_t functions)
{
	FILE *(*real)(void *cookie, const char *mode,
		      cookie_io_functions_t functions);

	*(void **)&real = dlsym(RTLD_NEXT, "fopencookie");
	return no_memory ? NULL : real(cookie, mode, functions);
}

MONITOR_TEST(what_there_was_no_memory_for_is_told_at_the_next_evaluation)
{
	step(4);
	no_memory = true;
	step(4);
	told_is("fires busy warning a 4 > 3\n");
	step(4);
	cr_assert(host_state.requests == 0);
	cr_assert(lines_with("alert_not_made") == 1);
	cr_assert(lines_with("alert_firing") == 1);
	no_memory = false;
	step(4);
	cr_assert(host_state.requests == 1);
	cr_assert(strstr(host_state.body, "\"busy\"") != NULL);
	answer(200);
	step(4);
	cr_assert(host_state.requests == 1);
	no_memory = true;
	step(1);
	cr_assert(host_state.requests == 1);
	cr_assert(lines_with("alert_not_made") == 2);
	no_memory = false;
	step(1);
	cr_assert(host_state.requests == 2);
	cr_assert(strstr(host_state.body, "\"resolved\"") != NULL);
}

MONITOR_TEST(an_end_of_the_daemon_ends_the_transfer)
{
	step(4);
	step(4);
	ops->destroy(self);
	cr_assert(host_state.cancelled);
	open_monitor();
}
