/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A monitor's work: a queue of events that it has not been told yet.  Its
 * functions run on the pool, one at a time:
 *
 *	any thread ── event ──► queue (bounded; what is too much is counted)
 *	control ── the history has a sample ──► "metrics are due"
 *	                 └─► work on the pool: the events, then the metrics
 *
 * A monitor that is slow holds up nobody but itself.
 */

#include <string.h>

#include "core/memory.h"
#include "core/os.h"
#include "monitor/monitors_priv.h"
#include "plugin/host.h"

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
		monitor->first = (monitor->first + 1) % MONITOR_EVENTS_MAX;
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

void monitor_free(struct monitor *monitor)
{
	struct told_event event;

	configured_free(&monitor->configured);
	while (take_event(monitor, &event))
		event_fini(&event);
	(void)pthread_mutex_destroy(&monitor->lock);
	mem_free(monitor);
}

static void done(struct work *work, atom_status status)
{
	struct monitor *monitor = CONTAINER_OF(work, struct monitor, work);

	monitor->busy = false;
	host_release(monitor->host);
	if (status == ATOM_OK)
		monitor_begin_work(monitor);
	if (monitor->configured == NULL)
		monitors_reap(monitor);
}

void monitor_begin_work(struct monitor *monitor)
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

void monitor_on_kick(struct loop *loop, struct message *message)
{
	struct monitor *monitor = CONTAINER_OF(message, struct monitor, kick);

	(void)loop;
	(void)pthread_mutex_lock(&monitor->lock);
	monitor->kicked = false;
	(void)pthread_mutex_unlock(&monitor->lock);
	monitor_begin_work(monitor);
	if (monitor->configured == NULL)
		monitors_reap(monitor);
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

void monitor_queue(struct monitor *monitor, uint64_t number, const char *name,
		   const char *agent, const struct atom_span *json)
{
	struct told_event event;
	bool made = make_event(&event, name, agent, json);
	bool kick = false, taken = false;

	(void)pthread_mutex_lock(&monitor->lock);
	event.sequence = ++monitor->sequence;
	event.number = number;
	if (made && monitor->count < MONITOR_EVENTS_MAX) {
		monitor->events[(monitor->first + monitor->count++) %
				MONITOR_EVENTS_MAX] = event;
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
