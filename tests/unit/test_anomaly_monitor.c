/* SPDX-License-Identifier: Apache-2.0 */

/* monitor/anomaly as the daemon loads it, between a history and a clock that
 * are played here: a counter of one agent that grows by `calls` each five
 * minutes, `rate` of before 20 days ago on. */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <atomd/history.h>
#include <atomd/monitor.h>

#define SLOT_MS	 300000
#define TEXT_MAX 16384
#define DAY	 288
#define NOW	 ((int64_t)100000) /* slot of the start */

struct options { /* as in anomaly.c */
	struct atom_groups series;
	int64_t days;
	int64_t least_days;
	double threshold;
	double ewma_threshold;
	int64_t series_max;
};

static struct {
	int64_t now;	 /* slot */
	int64_t changed; /* from this slot on calls grow `factor` as fast */
	double factor;
	int64_t lost; /* from this slot on the history has nothing */
	int days;     /* of history before NOW */
	int reads, failing;
	char events[TEXT_MAX];
	char notes[TEXT_MAX];
	double score;
	int begun;
} played;

static void append(char *text, const char *more)
{
	size_t length = strlen(text);

	(void)snprintf(text + length, TEXT_MAX - length, "%s\n", more);
}

static void log_write(const struct atom_host *host, int32_t level,
		      const char *event, const char *message,
		      const struct atom_log_field *fields, size_t field_count)
{
	(void)host;
	(void)level;
	(void)event;
	(void)message;
	(void)fields;
	(void)field_count;
}

static const struct atom_log log_service = {
	.struct_size = sizeof(log_service),
	.write = log_write,
};

static double grown(int64_t slot)
{
	double after =
		slot > played.changed ? (double)(slot - played.changed) : 0;

	/* It is not quite regular. */
	return 300 * ((double)slot - after) + 300 * played.factor * after +
	       (double)(slot % 7);
}

static atom_status history_read(const struct atom_host *host,
				const struct atom_history_query *query,
				atom_history_visit visit, void *argument,
				struct atom_error *err)
{
	static const struct atom_history_label labels[] = { { "agent", "a" },
							    { "code", "200" } };
	const struct atom_history_series series = {
		.struct_size = sizeof(series),
		.type = ATOM_METRIC_COUNTER,
		.name = "atomd_requests_total",
		.labels = labels,
		.label_count = 2,
	};
	struct atom_history_sample samples[128];
	size_t count = 0;

	(void)host;
	played.reads++;
	if (played.failing)
		return atom_fail(err, ATOM_EINVAL, "no");
	cr_assert(query->step_ms == SLOT_MS);
	if (strcmp(query->name, "atomd_requests_total") != 0)
		return ATOM_OK;
	for (int64_t slot = (query->from_ms + SLOT_MS - 1) / SLOT_MS;
	     slot <= query->to_ms / SLOT_MS; slot++) {
		if (slot < NOW - (int64_t)played.days * DAY ||
		    slot >= played.lost)
			continue;
		cr_assert(count < 128);
		samples[count] = (struct atom_history_sample){
			.time_ms = slot * SLOT_MS,
			.value = grown(slot),
		};
		count++;
	}
	if (count > 0)
		(void)visit(argument, &series, samples, sizeof(samples[0]),
			    count);
	return ATOM_OK;
}

static const struct atom_history history_service = {
	.struct_size = sizeof(history_service),
	.read = history_read,
};

static void publish(const struct atom_host *host, const char *name,
		    const char *agent, const struct atom_span *json)
{
	char line[1024];

	(void)host;
	(void)snprintf(line, sizeof(line), "%s %s %.*s", name, agent,
		       (int)json->length, json->bytes);
	append(played.events, line);
}

static const struct atom_event event_service = {
	.struct_size = sizeof(event_service),
	.publish = publish,
};

static void annotate(const struct atom_host *host,
		     const struct atom_annotation *note)
{
	(void)host;
	append(played.notes, note->agent);
	append(played.notes, note->text);
}

static void alert(const struct atom_host *host, const struct atom_alert *one)
{
	(void)host;
	cr_assert(one == NULL, "an alert was raised");
}

static const struct atom_monitor_host monitor_host = {
	.struct_size = sizeof(monitor_host),
	.alert = alert,
	.annotate = annotate,
};

static atom_status declare(const struct atom_host *host,
			   const struct atom_metric_spec *spec,
			   uint32_t *family_r, struct atom_error *err)
{
	(void)host;
	(void)err;
	*family_r = strcmp(spec->name, "atomd_anomaly_score") == 0     ? 1
		    : strcmp(spec->name, "atomd_anomalies_total") == 0 ? 2
								       : 3;
	return ATOM_OK;
}

/* The series of requests of agent a alone have a number. */
static atom_status series_of(const struct atom_host *host, uint32_t family,
			     const char *const *values, uint32_t *series_r,
			     struct atom_error *err)
{
	(void)host;
	(void)err;
	*series_r = values != NULL && strcmp(values[0], "requests") == 0 &&
				    strcmp(values[1], "a") == 0
			    ? family
			    : 0;
	return ATOM_OK;
}

static void update(const struct atom_host *host, uint32_t series, double value)
{
	(void)host;
	if (series == 1)
		played.score = value;
	if (series == 2)
		played.begun++;
}

static const struct atom_metric metric_service = {
	.struct_size = sizeof(metric_service),
	.declare = declare,
	.series = series_of,
	.update = update,
};

static const void *service(const struct atom_host *host, const char *id)
{
	(void)host;
	if (strcmp(id, ATOM_LOG) == 0)
		return &log_service;
	if (strcmp(id, ATOM_HISTORY) == 0)
		return &history_service;
	if (strcmp(id, ATOM_EVENT) == 0)
		return &event_service;
	if (strcmp(id, ATOM_METRIC) == 0)
		return &metric_service;
	return strcmp(id, ATOM_MONITOR_HOST) == 0 ? &monitor_host : NULL;
}

static const struct atom_host host = {
	.struct_size = sizeof(host),
	.directory = "/",
	.service = service,
};
static const struct options options = {
	.days = 14,
	.least_days = 3,
	.threshold = 6,
	.ewma_threshold = 3.5,
	.series_max = 100,
};
static const struct atom_monitor_ops *ops;
static void *self;

static void open_monitor(void)
{
	struct atom_error error = ATOM_ERROR_INIT;

	memset(&played, 0, sizeof(played));
	played.now = NOW;
	played.changed = played.lost = INT64_MAX;
	played.factor = 1;
	played.days = 20;
	cr_assert(ops->create(&host, &options, &self, &error) == ATOM_OK, "%s",
		  error.message);
}

static void setup(void)
{
	const char *folder = getenv("TOP_BUILDDIR");
	char library[4096];
	void *opened;

	(void)snprintf(library, sizeof(library),
		       "%s/plugins/built/monitor-anomaly.so",
		       folder != NULL ? folder : ".");
	opened = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	cr_assert(opened != NULL, "%s", dlerror());
	ops = (const struct atom_monitor_ops
		       *)(const void *)((const struct atom_plugin *)dlsym(
						opened, ATOM_PLUGIN_SYMBOL))
		      ->components[0]
		      .ops;
	open_monitor();
}

static void teardown(void)
{
	ops->destroy(self);
}

static void tick(void)
{
	const struct atom_metric_snapshot snapshot = {
		.struct_size = sizeof(snapshot),
		.time_ms = played.now * SLOT_MS + 1000,
	};

	ops->metrics(self, &snapshot);
}

/* All of the days before are read. */
static void warm_up(void)
{
	for (int i = 0; i < 4 * 14; i++)
		tick();
}

static void go_on(int slots)
{
	for (int i = 0; i < slots; i++) {
		played.now++;
		tick();
	}
}

#define ANOMALY_TEST(name) \
	Test(anomaly_monitor, name, .init = setup, .fini = teardown)

ANOMALY_TEST(a_quiet_day_is_quiet)
{
	warm_up();
	go_on(DAY);
	cr_assert(played.events[0] == '\0', "%s", played.events);
	cr_assert(played.score > -3 && played.score < 3);
}

ANOMALY_TEST(a_step_is_told_once_and_its_end)
{
	warm_up();
	played.changed = NOW + 5;
	played.factor = 3;
	go_on(10);
	cr_assert(strstr(played.events,
			 "anomaly.began a {\"signal\":\"requests\",\"agent\":"
			 "\"a\",\"value\":3") == played.events,
		  "%s", played.events);
	cr_assert(strchr(played.events, '\n')[1] == '\0');
	cr_assert(strstr(played.notes, "a\nrequests is unusual") ==
		  played.notes);
	cr_assert(played.begun == 1);
	cr_assert(played.score > 6);
	/* All of it is over: the counter as it was, from here. */
	played.changed = INT64_MAX;
	go_on(30);
	cr_assert(strstr(played.events, "anomaly.ended a {") != NULL, "%s",
		  played.events);
	cr_assert(played.begun == 1);
}

ANOMALY_TEST(a_clock_that_was_set_back_far_begins_anew)
{
	const int64_t year = INT64_C(365) * DAY;

	warm_up();
	played.changed = NOW + 1;
	played.factor = 3;
	go_on(5);
	cr_assert(strstr(played.events, "anomaly.began a {") != NULL);
	played.now += year;
	tick();
	played.now -= year;
	played.changed = INT64_MAX;
	warm_up();
	cr_assert(strstr(played.events, "anomaly.ended a {") != NULL, "%s",
		  played.events);
	played.events[0] = '\0';
	played.changed = played.now + 5;
	go_on(10);
	cr_assert(strstr(played.events, "anomaly.began a {") != NULL, "%s",
		  played.events);
}

ANOMALY_TEST(a_stop_of_calls_is_unusual_but_a_missing_history_is_not)
{
	warm_up();
	played.lost = NOW + 5;
	go_on(DAY);
	cr_assert(played.events[0] == '\0', "%s", played.events);
	cr_assert(played.score == 0);
	ops->destroy(self);
	open_monitor();
	warm_up();
	played.changed = NOW + 5;
	played.factor = 0;
	go_on(8);
	cr_assert(strstr(played.events, "anomaly.began a") != NULL);
}

ANOMALY_TEST(too_few_days_say_nothing)
{
	ops->destroy(self);
	open_monitor();
	played.days = 2;
	warm_up();
	played.changed = NOW + 5;
	played.factor = 0;
	go_on(20);
	cr_assert(played.events[0] == '\0', "%s", played.events);
}

ANOMALY_TEST(readings_are_bounded)
{
	int before;

	tick();
	/* Of now and of six hours before, a signal each; a mean has two. */
	cr_assert(played.reads == 14, "%d", played.reads);
	warm_up();
	before = played.reads;
	tick();
	cr_assert(played.reads == before);
	/* The clock jumps on by a year: no more than an hour is judged. */
	played.now += (int64_t)365 * DAY;
	tick();
	cr_assert(played.reads == before + 12 * 7);
	/* Back a little it waits; back far it begins anew. */
	played.now -= 12;
	tick();
	cr_assert(played.reads == before + 12 * 7);
	played.now -= (int64_t)30 * DAY;
	tick();
	cr_assert(played.reads == before + 12 * 7 + 14, "%d", played.reads);
}

ANOMALY_TEST(a_history_that_fails_is_no_anomaly)
{
	warm_up();
	played.failing = 1;
	go_on(DAY);
	cr_assert(played.events[0] == '\0');
}
