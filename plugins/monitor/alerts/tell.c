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

/* Name and value by turns, NULL-ended; freed by the caller. */
static const char **pairs_of(const struct label *items, size_t count)
{
	const char **pairs = calloc(2 * count + 1, sizeof(*pairs));

	for (size_t i = 0; pairs != NULL && i < count; i++) {
		pairs[2 * i] = items[i].name;
		pairs[2 * i + 1] = items[i].value;
	}
	return pairs;
}

/* The daemon keeps what is pending and what fires, with the value of now, and
 * knows what people have silenced. */
static void tell_daemon(const struct monitor *monitor, struct alert *alert)
{
	static const char *const severities[] = { "info", "info", "warning",
						  "critical" };
	static const int32_t states[] = {
		[ALERT_PENDING] = ATOM_ALERT_PENDING,
		[ALERT_FIRING] = ATOM_ALERT_FIRING,
		[ALERT_RESOLVED] = ATOM_ALERT_RESOLVED,
	};
	const struct atom_monitor_host *monitors = monitor->monitors;
	const char **labels =
		pairs_of(alert->labels.items, alert->labels.count);
	const char **annotations =
		pairs_of(alert->annotations, alert->annotation_count);
	const struct atom_alert told = {
		.struct_size = sizeof(told),
		.state = states[alert->state],
		.name = labels_get(&alert->labels, "alertname"),
		.severity = severities[rank(alert)],
		.agent = labels_get(&alert->labels, "agent"),
		.message = summary_of(alert),
		.value = alert->value,
		.threshold = alert->threshold,
		.since_ms = alert->state == ALERT_PENDING ? alert->active_ms
							  : alert->fired_ms,
		.labels = labels,
		.annotations = annotations,
	};
	char silence[ATOM_SILENCE_ID_MAX];

	if (labels != NULL && annotations != NULL) {
		if (alert->state != ALERT_RESOLVED || alert->changed)
			monitors->alert(monitor->host, &told);
		alert->silenced =
			ATOM_HAS(monitors, silenced) &&
			monitors->silenced(monitor->host, &told, silence) == 1;
	}
	free(labels);
	free(annotations);
}

/* False: there was no memory for the message. */
static bool tell_receiver(struct monitor *monitor, struct receiver *receiver,
			  int64_t time_ms, bool all)
{
	enum message_format format =
		(enum message_format)receiver->options->format;
	size_t count = 0, firing = 0;
	char *body;

	if (format == MESSAGE_ALERTMANAGER && !all)
		return true;
	body = message_make(&monitor->alerts, format, time_ms,
			    format == MESSAGE_WEBHOOK, monitor->options->repeat,
			    ALERTMANAGER_VALID_MS, &count, &firing);
	if (body != NULL && count > 0)
		receiver_add(receiver, body, count, firing);
	else
		free(body);
	return body != NULL;
}

/* Told once, until all could be told again. */
static void note_made(struct monitor *monitor, bool made)
{
	if (!made && !monitor->not_made)
		monitor->log->write(monitor->host, ATOM_LOG_ERROR,
				    "alert_not_made",
				    "no memory for a message to receivers; "
				    "each evaluation tries again",
				    NULL, 0);
	if (!made && monitor->metric != NULL)
		monitor->metric->update(monitor->host, monitor->failures, 1);
	monitor->not_made = !made;
}

void tell(struct monitor *monitor, int64_t time_ms)
{
	const int64_t repeat_ms = monitor->options->repeat;
	bool all = time_ms - monitor->sent_all_ms >= ALERTMANAGER_REPEAT_MS;
	bool made = true;

	for (struct alert *alert = monitor->alerts.first; alert != NULL;
	     alert = alert->next) {
		if (alert->changed && alert->fired_ms != 0)
			log_alert(monitor, alert);
		if (monitor->monitors != NULL)
			tell_daemon(monitor, alert);
		all = all || message_is_due(alert, time_ms, repeat_ms);
	}
	for (size_t i = 0; i < monitor->receiver_count; i++)
		made &= tell_receiver(monitor, &monitor->receivers[i], time_ms,
				      all);
	note_made(monitor, made);
	if (all && made)
		monitor->sent_all_ms = time_ms;
	for (struct alert *alert = monitor->alerts.first; alert != NULL;
	     alert = alert->next) {
		/* Rather twice to some than to one never. */
		if (made && message_is_due(alert, time_ms, repeat_ms)) {
			alert->told_ms = time_ms;
			alert->told_firing = alert->state == ALERT_FIRING;
		}
		alert->changed = false;
	}
}
