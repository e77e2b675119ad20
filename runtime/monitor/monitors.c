/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Monitors: the components of `monitors`, what they may ask of the host, and
 * what a reload makes of them.  What they are told, and where, is in
 * monitor_work.c.
 */

#include "monitor/monitors.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "config/setting.h"
#include "core/buffer.h"
#include "core/health.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/table.h"
#include "monitor/alerts.h"
#include "monitor/monitors_priv.h"
#include "monitor/notes.h"
#include "monitor/silences.h"
#include "plugin/host.h"
#include "plugin/registry.h"

#define SETTING_MAX ((size_t)1024 * 1024)

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

/* --- events [any] --------------------------------------------------------------------- */

void monitors_event(const char *name, const char *agent,
		    const struct atom_span *json)
{
	uint64_t number;

	(void)pthread_mutex_lock(&list_lock);
	/* Here: queues hold events in the order of their numbers. */
	number = atomic_fetch_add(&events_told, 1) + 1;
	for (struct monitor *monitor = monitors; monitor != NULL;
	     monitor = monitor->next)
		if (monitor->ops->event != NULL)
			monitor_queue(monitor, number, name, agent, json);
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
		monitor_begin_work(monitor);
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
		.ended = alerts_forget,
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
	monitor->kick.deliver = monitor_on_kick;
	monitor->dropped = metric_series(dropped_family, labels);
	monitor->declared = hash_of(declared);
	monitor->seen = true;
	(void)pthread_mutex_lock(&list_lock);
	atomic_store(&monitor->heard, monitors_told());
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

/* One that has ended, when neither its work nor its message is under way. */
void monitors_reap(struct monitor *monitor)
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

/* It is told nothing more; it ends when what is under way has. */
static void retire(struct monitor **place)
{
	struct monitor *monitor = *place;

	(void)pthread_mutex_lock(&list_lock);
	*place = monitor->next;
	(void)pthread_mutex_unlock(&list_lock);
	log_line(ATOM_LOG_INFO, "monitor_ended", "a reload has ended a monitor",
		 LOG_TEXT("component", host_component_name(monitor->host)));
	/* What it raises before its end is forgotten then. */
	alerts_forget(monitor->host);
	configured_free(&monitor->configured);
	monitor->next = retired;
	retired = monitor;
	monitors_reap(monitor);
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
	     monitor = monitor->next)
		configured_free(&monitor->configured);
}

void monitors_fini(void)
{
	struct monitor **lists[] = { &monitors, &retired };

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		while (*lists[i] != NULL) {
			struct monitor *monitor = *lists[i];

			*lists[i] = monitor->next;
			/* The pool has not given it back. */
			if (!monitor->busy)
				monitor_free(monitor);
		}
	alerts_fini();
	silences_fini();
	notes_fini();
}
