/* SPDX-License-Identifier: Apache-2.0 */

/* Who hears of an alert, and how. */

#include <stdlib.h>
#include <string.h>

#include "plugins/monitor/alerts/alerts_priv.h"

/* Alertmanager believes what it is told for a while only, and wants to hear
 * all of it again before that (Prometheus: each minute, for four times as
 * long). */
#define ALERTMANAGER_REPEAT_MS (60 * 1000)
#define ALERTMANAGER_VALID_MS  (4 * ALERTMANAGER_REPEAT_MS)

static const char *summary_of(const struct alert *alert)
{
	for (size_t i = 0; i < alert->annotation_count; i++)
		if (strcmp(alert->annotations[i].name, "summary") == 0)
			return alert->annotations[i].value;
	return "";
}

static void log_alert(const struct monitor *monitor, const struct alert *alert)
{
	bool fires = alert->state == ALERT_FIRING;
	const struct atom_log_field fields[] = {
		{ "alert", labels_get(&alert->labels, "alertname"), 0 },
		{ "severity", labels_get(&alert->labels, "severity"), 0 },
		{ "of_agent", labels_get(&alert->labels, "agent"), 0 },
	};

	monitor->log->write(monitor->host,
			    fires ? ATOM_LOG_WARN : ATOM_LOG_INFO,
			    fires ? "alert_firing" : "alert_resolved",
			    summary_of(alert), fields, 3);
}

static int rank(const struct alert *alert)
{
	const char *severity = labels_get(&alert->labels, "severity");

	return strcmp(severity, "critical") == 0  ? 3
	       : strcmp(severity, "warning") == 0 ? 2
						  : 1;
}

/* For the daemon the name and the agent are one alert: the gravest of those
 * that fire, or `alert` itself when none does any more. */
static const struct alert *gravest(const struct monitor *monitor,
				   const struct alert *alert)
{
	const struct alert *found = NULL;

	for (const struct alert *other = monitor->alerts.first; other != NULL;
	     other = other->next)
		if (other->state == ALERT_FIRING &&
		    strcmp(labels_get(&other->labels, "alertname"),
			   labels_get(&alert->labels, "alertname")) == 0 &&
		    strcmp(labels_get(&other->labels, "agent"),
			   labels_get(&alert->labels, "agent")) == 0 &&
		    (found == NULL || rank(other) > rank(found)))
			found = other;
	return found != NULL ? found : alert;
}

static void tell_daemon(const struct monitor *monitor,
			const struct alert *changed)
{
	static const char *const severities[] = { "info", "info", "warning",
						  "critical" };
	const struct alert *alert = gravest(monitor, changed);
	const struct atom_alert told = {
		.struct_size = sizeof(told),
		.firing = alert->state == ALERT_FIRING,
		.name = labels_get(&alert->labels, "alertname"),
		.severity = severities[rank(alert)],
		.agent = labels_get(&alert->labels, "agent"),
		.message = summary_of(alert),
		.value = alert->value,
		.threshold = alert->threshold,
	};

	monitor->monitors->alert(monitor->host, &told);
}

static void tell_receiver(struct monitor *monitor, struct receiver *receiver,
			  int64_t time_ms, bool all)
{
	enum message_format format =
		(enum message_format)receiver->options->format;
	size_t count = 0;
	char *body;

	if (format == MESSAGE_ALERTMANAGER && !all)
		return;
	body = message_make(&monitor->alerts, format, time_ms,
			    format == MESSAGE_WEBHOOK, monitor->options->repeat,
			    ALERTMANAGER_VALID_MS, &count);
	if (body != NULL && count > 0)
		receiver_add(receiver, body);
	else
		free(body);
}

void tell(struct monitor *monitor, int64_t time_ms)
{
	bool all = time_ms - monitor->sent_all_ms >= ALERTMANAGER_REPEAT_MS;

	for (const struct alert *alert = monitor->alerts.first; alert != NULL;
	     alert = alert->next) {
		if (!alert->changed || alert->fired_ms == 0)
			continue;
		all = true;
		log_alert(monitor, alert);
		if (monitor->monitors != NULL)
			tell_daemon(monitor, alert);
	}
	for (size_t i = 0; i < monitor->receiver_count; i++)
		tell_receiver(monitor, &monitor->receivers[i], time_ms, all);
	if (all)
		monitor->sent_all_ms = time_ms;
	for (struct alert *alert = monitor->alerts.first; alert != NULL;
	     alert = alert->next) {
		if (message_is_due(alert, time_ms, monitor->options->repeat))
			alert->told_ms = time_ms;
		alert->changed = false;
	}
}
