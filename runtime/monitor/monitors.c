/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Monitors: each component of `monitors` with a queue of events that it has
 * not been told yet.  Its functions run on the pool, one at a time:
 *
 *	any thread ── event ──► queue (bounded; what is too much is counted)
 *	control ── the history has a sample ──► "metrics are due"
 *	                 └─► work on the pool: the events, then the metrics
 *
 * A monitor that is slow holds up nobody but itself.
 */

#include "monitor/monitors.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "config/setting.h"
#include "core/buffer.h"
#include "core/health.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "core/table.h"
#include "monitor/alerts.h"
#include "monitor/notes.h"
#include "monitor/silences.h"
#include "plugin/host.h"
#include "plugin/registry.h"

#define EVENTS_MAX  256
#define SETTING_MAX ((size_t)1024 * 1024)

struct told_event {
	uint64_t sequence;
	uint64_t number; /* of all events, the same for each monitor */
	int64_t time_ms;
	int32_t severity;
	char *name;
	char *agent;
	struct buffer json;
};

struct monitor {
	struct monitor *next;
	struct configured *configured; /* NULL once it is to end */
	uint64_t declared;	       /* hash of what it was made of */
	bool seen;		       /* [control] a reload wants it */
	const struct atom_host *host;
	void *self;
	const struct atom_monitor_ops *ops;
	struct message kick;
	struct work work;
	bool busy; /* [control] the work is under way */
	metric_id dropped;
	_Atomic uint64_t heard; /* the number of the last event */
	pthread_mutex_t lock;
	/* under it */
	struct told_event events[EVENTS_MAX];
	size_t first, count;
	uint64_t sequence;
	bool kicked;
	bool metrics_due;
};

/* Changed on control alone, and under the lock; any thread walks it under the
 * lock, which is never held over a call into a component. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct monitor *monitors;
/* [control] Those that a reload has ended, until nothing is under way. */
static struct monitor *retired;
static _Atomic uint64_t events_told;
static uint32_t dropped_family;

static const char *const ignored[] = { "plugin", NULL };

/* --- what monitors raise -------------------------------------------------------- */

static int32_t on_silenced(const struct atom_host *host,
			   const struct atom_alert *alert,
			   char id_r[ATOM_SILENCE_ID_MAX])
{
	(void)host;
	return alerts_silenced(alert, id_r);
}

static void on_annotate(const struct atom_host *host,
			const struct atom_annotation *annotation)
{
	notes_add(host_component_name(host), annotation);
}

static const struct atom_monitor_host monitor_host = {
	.struct_size = sizeof(monitor_host),
	.alert = alerts_take,
	.annotate = on_annotate,
	.silenced = on_silenced,
};

atom_status monitors_register(void)
{
	return host_register(ATOM_MONITOR_HOST, &monitor_host);
}

/* --- what monitors are told [pool] ------------------------------------------------- */

static void event_fini(struct told_event *event)
{
	mem_free(event->name);
	mem_free(event->agent);
	buffer_fini(&event->json);
}

static bool take_event(struct monitor *monitor, struct told_event *event)
{
	bool taken;

	(void)pthread_mutex_lock(&monitor->lock);
	taken = monitor->count > 0;
	if (taken) {
		*event = monitor->events[monitor->first];
		monitor->first = (monitor->first + 1) % EVENTS_MAX;
		monitor->count--;
	}
	(void)pthread_mutex_unlock(&monitor->lock);
	return taken;
}

static void tell_event(struct monitor *monitor, const struct told_event *event)
{
	const struct atom_monitor_event told = {
		.struct_size = sizeof(told),
		.severity = event->severity,
		.time_ms = event->time_ms,
		.sequence = event->sequence,
		.name = event->name,
		.agent = event->agent,
		.details = { event->json.bytes, event->json.length },
	};

	monitor->ops->event(monitor->self, &told);
}

struct snapshot {
	struct atom_metric_value *values;
	size_t count, capacity;
};

static void value_fini(struct atom_metric_value *value)
{
	mem_free((char *)(uintptr_t)value->labels);
	mem_free((uint64_t *)(uintptr_t)value->counts);
}

/* Names, help and bounds live as long as the registry; labels are copied
 * without braces, buckets as whole numbers. */
static bool fill_value(struct atom_metric_value *value,
		       const struct metric_view *view)
{
	size_t length = strlen(view->labels);
	size_t buckets = view->bound_count > 0 ? view->bound_count + 1 : 0;
	char *bare = mem_strdup(length > 2 ? view->labels + 1 : "");
	uint64_t *counts =
		buckets > 0 ? mem_array(buckets, sizeof(*counts)) : NULL;

	*value = (struct atom_metric_value){
		.struct_size = sizeof(*value),
		.type = view->type,
		.name = view->name,
		.labels = bare,
		.value = view->value,
		.help = view->help,
		.since_ms =
			view->type == ATOM_METRIC_GAUGE ? 0 : view->since_ms,
		.bound_count = view->bound_count,
		.bounds = view->bounds,
		.counts = counts,
	};
	if (bare == NULL || (buckets > 0 && counts == NULL)) {
		value_fini(value);
		return false;
	}
	if (length > 2)
		bare[length - 2] = '\0';
	for (size_t i = 0; i < buckets; i++) {
		counts[i] = (uint64_t)view->counts[i];
		value->count += counts[i];
	}
	return true;
}

static void add_value(void *argument, const struct metric_view *view)
{
	struct snapshot *s = argument;

	if (s->count == s->capacity) {
		size_t capacity = s->capacity == 0 ? 256 : 2 * s->capacity;
		struct atom_metric_value *values =
			mem_realloc(s->values, capacity * sizeof(*s->values));

		if (values == NULL)
			return;
		s->values = values;
		s->capacity = capacity;
	}
	if (fill_value(&s->values[s->count], view))
		s->count++;
}

static void tell_metrics(struct monitor *monitor)
{
	struct snapshot s = { 0 };
	struct atom_metric_snapshot snapshot = {
		.struct_size = sizeof(snapshot),
		.value_stride = sizeof(struct atom_metric_value),
		.time_ms = os.realtime_ms(),
	};

	metric_visit(add_value, &s);
	snapshot.values = s.values;
	snapshot.value_count = s.count;
	monitor->ops->metrics(monitor->self, &snapshot);
	for (size_t i = 0; i < s.count; i++)
		value_fini(&s.values[i]);
	mem_free(s.values);
}

static void run(struct work *work)
{
	struct monitor *monitor = CONTAINER_OF(work, struct monitor, work);
	struct told_event event;
	bool due;

	while (take_event(monitor, &event)) {
		tell_event(monitor, &event);
		atomic_store(&monitor->heard, event.number);
		event_fini(&event);
	}
	(void)pthread_mutex_lock(&monitor->lock);
	due = monitor->metrics_due;
	monitor->metrics_due = false;
	(void)pthread_mutex_unlock(&monitor->lock);
	if (due)
		tell_metrics(monitor);
}

/* --- one piece of work at a time [control] ------------------------------------------ */

static void begin_work(struct monitor *monitor);

static void monitor_free(struct monitor *monitor)
{
	struct told_event event;

	configured_free(&monitor->configured);
	while (take_event(monitor, &event))
		event_fini(&event);
	(void)pthread_mutex_destroy(&monitor->lock);
	mem_free(monitor);
}

/* One that has ended, when neither its work nor its message is under way. */
static void reap(struct monitor *monitor)
{
	struct monitor **place = &retired;
	bool kicked;

	(void)pthread_mutex_lock(&monitor->lock);
	kicked = monitor->kicked;
	(void)pthread_mutex_unlock(&monitor->lock);
	while (*place != NULL && *place != monitor)
		place = &(*place)->next;
	if (*place == NULL || monitor->busy || kicked)
		return;
	*place = monitor->next;
	monitor_free(monitor);
}

static void done(struct work *work, atom_status status)
{
	struct monitor *monitor = CONTAINER_OF(work, struct monitor, work);

	monitor->busy = false;
	if (monitor->configured == NULL)
		alerts_forget(monitor->host);
	host_release(monitor->host);
	if (status == ATOM_OK)
		begin_work(monitor);
	if (monitor->configured == NULL)
		reap(monitor);
}

static void begin_work(struct monitor *monitor)
{
	bool needed;

	(void)pthread_mutex_lock(&monitor->lock);
	needed = monitor->count > 0 || monitor->metrics_due;
	(void)pthread_mutex_unlock(&monitor->lock);
	if (!needed || monitor->busy || monitor->configured == NULL)
		return;
	memset(&monitor->work, 0, sizeof(monitor->work));
	monitor->work.run = run;
	monitor->work.done = done;
	monitor->busy = true;
	host_hold(monitor->host);
	if (work_submit(loop_control(), &monitor->work) != ATOM_OK) {
		monitor->busy = false;
		host_release(monitor->host);
	}
}

static void on_kick(struct loop *loop, struct message *message)
{
	struct monitor *monitor = CONTAINER_OF(message, struct monitor, kick);

	(void)loop;
	(void)pthread_mutex_lock(&monitor->lock);
	monitor->kicked = false;
	(void)pthread_mutex_unlock(&monitor->lock);
	begin_work(monitor);
	if (monitor->configured == NULL)
		reap(monitor);
}

/* --- events [any] --------------------------------------------------------------------- */

/* False: out of memory. */
static bool make_event(struct told_event *event, const char *name,
		       const char *agent, const struct atom_span *json)
{
	*event = (struct told_event){
		.time_ms = os.realtime_ms(),
		.severity = ATOM_LOG_INFO,
		.name = mem_strdup(name),
		.agent = mem_strdup(agent),
		.json = BUFFER_INIT(json->length + 1),
	};
	if (event->name != NULL && event->agent != NULL &&
	    buffer_append(&event->json, json->bytes, json->length) == ATOM_OK)
		return true;
	event_fini(event);
	return false;
}

static void queue_event(struct monitor *monitor, uint64_t number,
			const char *name, const char *agent,
			const struct atom_span *json)
{
	struct told_event event;
	bool made = make_event(&event, name, agent, json);
	bool kick = false, taken = false;

	(void)pthread_mutex_lock(&monitor->lock);
	event.sequence = ++monitor->sequence;
	event.number = number;
	if (made && monitor->count < EVENTS_MAX) {
		monitor->events[(monitor->first + monitor->count++) %
				EVENTS_MAX] = event;
		taken = true;
		kick = !monitor->kicked;
		monitor->kicked = true;
	}
	(void)pthread_mutex_unlock(&monitor->lock);
	if (kick)
		loop_post(loop_control(), &monitor->kick);
	if (taken)
		return;
	metric_inc(monitor->dropped);
	if (made)
		event_fini(&event);
}

void monitors_event(const char *name, const char *agent,
		    const struct atom_span *json)
{
	uint64_t number = atomic_fetch_add(&events_told, 1) + 1;

	(void)pthread_mutex_lock(&list_lock);
	for (struct monitor *monitor = monitors; monitor != NULL;
	     monitor = monitor->next)
		if (monitor->ops->event != NULL)
			queue_event(monitor, number, name, agent, json);
	(void)pthread_mutex_unlock(&list_lock);
}

uint64_t monitors_told(void)
{
	return atomic_load(&events_told);
}

unsigned int monitors_behind(uint64_t number, unsigned int *taking_r)
{
	unsigned int behind = 0;

	*taking_r = 0;
	(void)pthread_mutex_lock(&list_lock);
	for (struct monitor *monitor = monitors; monitor != NULL;
	     monitor = monitor->next) {
		if (monitor->ops->event == NULL || monitor->configured == NULL)
			continue;
		++*taking_r;
		behind += atomic_load(&monitor->heard) < number;
	}
	(void)pthread_mutex_unlock(&list_lock);
	return behind;
}

/* --- life [control] --------------------------------------------------------------------- */

void monitors_sampled(void)
{
	for (struct monitor *monitor = monitors; monitor != NULL;
	     monitor = monitor->next) {
		if (monitor->ops->metrics == NULL)
			continue;
		(void)pthread_mutex_lock(&monitor->lock);
		monitor->metrics_due = true;
		(void)pthread_mutex_unlock(&monitor->lock);
		begin_work(monitor);
	}
}

static atom_status declare(struct atom_error *err)
{
	static const char *const monitor_labels[] = { "monitor", NULL };
	const struct atom_metric_spec dropped = {
		.struct_size = sizeof(dropped),
		.type = ATOM_METRIC_COUNTER,
		.name = "atomd_monitor_events_dropped_total",
		.help = "Events that a monitor was too slow for.",
		.unit = "",
		.label_names = monitor_labels,
	};
	atom_status status = alerts_init(err);

	return status == ATOM_OK
		       ? metric_declare(&dropped, &dropped_family, err)
		       : status;
}

/* What its options say, with what references stand for: a secret's file may
 * have changed.  SipHash, of this process alone. */
static uint64_t hash_of(const struct config_component *declared)
{
	struct buffer text = BUFFER_INIT(SETTING_MAX);
	uint64_t hash = 0;

	if (setting_canonical_resolved(declared->options, &text) == ATOM_OK)
		hash = table_hash(text.bytes, text.length);
	buffer_fini(&text);
	return hash;
}

static atom_status open_monitor(const struct config *config,
				const struct config_component *declared,
				struct atom_error *err)
{
	struct buffer errors = BUFFER_INIT(65536);
	struct monitor *monitor = mem_zalloc(sizeof(*monitor));
	const char *const labels[] = { declared->plugin };
	struct configured_spec spec = {
		.group = declared->options,
		.ignored = ignored,
		.agent = "",
		.directory = config->directory,
	};
	atom_status status;

	if (monitor == NULL)
		return atom_fail(err, ATOM_ENOMEM, "no memory for a monitor");
	(void)pthread_mutex_init(&monitor->lock, NULL);
	status = registry_component("monitor", declared->plugin,
				    &spec.component, err);
	if (status == ATOM_OK)
		status = configured_new(&spec, &monitor->configured, &errors,
					err);
	if (status != ATOM_OK && errors.length > 0)
		(void)atom_fail(err, status, "%.*s", (int)errors.length,
				errors.bytes);
	buffer_fini(&errors);
	if (status != ATOM_OK) {
		(void)pthread_mutex_destroy(&monitor->lock);
		mem_free(monitor);
		return status;
	}
	monitor->host = configured_host(monitor->configured);
	monitor->self = configured_self(monitor->configured);
	monitor->ops = (const struct atom_monitor_ops *)(const void *)
			       spec.component->ops;
	monitor->kick.deliver = on_kick;
	monitor->dropped = metric_series(dropped_family, labels);
	monitor->declared = hash_of(declared);
	monitor->seen = true;
	atomic_store(&monitor->heard, monitors_told());
	(void)pthread_mutex_lock(&list_lock);
	monitor->next = monitors;
	monitors = monitor;
	(void)pthread_mutex_unlock(&list_lock);
	return ATOM_OK;
}

/* Opens it, or says why not. */
static bool open_or_complain(const struct config *config,
			     const struct config_component *declared)
{
	struct atom_error why = ATOM_ERROR_INIT;

	if (open_monitor(config, declared, &why) == ATOM_OK)
		return true;
	log_line(ATOM_LOG_ERROR, "monitor_failed", why.message,
		 LOG_TEXT("monitor", declared->plugin));
	health_report("monitors", HEALTH_DEGRADED, false, why.message);
	return false;
}

atom_status monitors_check(const struct config *config, struct buffer *errors)
{
	atom_status worst = ATOM_OK;

	for (size_t i = 0; i < config->monitor_count; i++) {
		const struct config_component *one = &config->monitors[i];
		const struct component *component;
		struct options *options = NULL;
		struct atom_error err = ATOM_ERROR_INIT;
		atom_status status = registry_component("monitor", one->plugin,
							&component, &err);

		if (status == ATOM_OK)
			status = options_fill(component->declared, one->options,
					      ignored, &options, errors);
		else
			config_complain(errors, one->options, "%s",
					err.message);
		options_free(&options);
		if (status != ATOM_OK)
			worst = status;
	}
	return worst;
}

atom_status monitors_start(const struct config *config, struct atom_error *err)
{
	atom_status status = declare(err);

	silences_recall();
	notes_recall();
	if (status != ATOM_OK || !config->monitoring_enabled ||
	    config->monitor_count == 0)
		return status;
	for (size_t i = 0; i < config->monitor_count; i++)
		(void)open_or_complain(config, &config->monitors[i]);
	return ATOM_OK;
}

/* --- reload [control] ------------------------------------------------------------------- */

/* It is told nothing more; it ends when what is under way has. */
static void retire(struct monitor **place)
{
	struct monitor *monitor = *place;

	(void)pthread_mutex_lock(&list_lock);
	*place = monitor->next;
	(void)pthread_mutex_unlock(&list_lock);
	log_line(ATOM_LOG_INFO, "monitor_ended", "a reload has ended a monitor",
		 LOG_TEXT("component", host_component_name(monitor->host)));
	if (!monitor->busy)
		alerts_forget(monitor->host);
	configured_free(&monitor->configured);
	monitor->next = retired;
	retired = monitor;
	reap(monitor);
}

/* One that runs as declared and is not taken yet. */
static struct monitor *running(const struct config_component *declared)
{
	struct monitor *monitor = monitors;
	uint64_t hash = hash_of(declared);

	while (monitor != NULL &&
	       (monitor->seen || hash == 0 || monitor->declared != hash))
		monitor = monitor->next;
	return monitor;
}

/* One of that plugin whose successor did not come up. */
static void keep_old(const struct config_component *declared)
{
	for (struct monitor *monitor = monitors; monitor != NULL;
	     monitor = monitor->next)
		if (!monitor->seen &&
		    strcmp(configured_component(monitor->configured)->name,
			   declared->plugin) == 0) {
			monitor->seen = true;
			return;
		}
}

void monitors_apply(const struct config *config)
{
	bool whole = true;

	for (struct monitor *monitor = monitors; monitor != NULL;
	     monitor = monitor->next)
		monitor->seen = false;
	/* First those that stay: a new one must not be taken for them. */
	for (size_t i = 0; i < config->monitor_count; i++) {
		struct monitor *same = running(&config->monitors[i]);

		if (same != NULL)
			same->seen = true;
		else if (!open_or_complain(config, &config->monitors[i])) {
			keep_old(&config->monitors[i]);
			whole = false;
		}
	}
	for (struct monitor **place = &monitors; *place != NULL;)
		if ((*place)->seen)
			place = &(*place)->next;
		else
			retire(place);
	if (whole)
		health_report("monitors", HEALTH_OK, false, NULL);
}

void monitors_stop(void)
{
	for (struct monitor *monitor = monitors; monitor != NULL;
	     monitor = monitor->next) {
		if (monitor->configured != NULL)
			alerts_forget(monitor->host);
		configured_free(&monitor->configured);
	}
}

void monitors_fini(void)
{
	struct monitor **lists[] = { &monitors, &retired };

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		while (*lists[i] != NULL) {
			struct monitor *monitor = *lists[i];

			*lists[i] = monitor->next;
			monitor_free(monitor);
		}
	alerts_fini();
	silences_fini();
	notes_fini();
}
