/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/alerts.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/buffer.h"
#include "core/json.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "core/table.h"
#include "core/text.h"
#include "monitor/monitors.h"
#include "monitor/notes.h"
#include "monitor/silences.h"
#include "plugin/host.h"

struct raised {
	char *key; /* of the table: component, name and labels */
	const struct atom_host *host;
	char monitor[64]; /* its component's name */
	char name[ATOM_ALERT_NAME_MAX];
	char severity[16];
	char *agent;
	char *message;
	json_t *labels;	     /* an object of texts */
	json_t *annotations; /* the same */
	int32_t state;	     /* ATOM_ALERT_* */
	int64_t since_ms;
	double value, threshold;
};

static uint32_t firing_family;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct table raised = TABLE_INIT;
static bool full; /* and has said so */

static void raised_free(struct raised **one)
{
	struct raised *r = *one;

	*one = NULL;
	if (r == NULL)
		return;
	mem_free(r->key);
	mem_free(r->agent);
	mem_free(r->message);
	json_decref(r->labels);
	json_decref(r->annotations);
	mem_free(r);
}

/* JSON has no words for what is not finite. */
static json_t *number(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

/* "monitor/alerts" is `alerts`. */
static const char *monitor_of(const struct atom_host *host)
{
	const char *name = host_component_name(host);
	const char *slash = strchr(name, '/');

	return slash != NULL ? slash + 1 : name;
}

/* --- what a plugin says ------------------------------------------------------ */

static bool is_alert_name(const char *name)
{
	size_t length = strlen(name), bytes;

	if (length == 0 || length >= ATOM_ALERT_NAME_MAX)
		return false;
	for (size_t at = 0; at < length; at += bytes) {
		bytes = text_utf8_length(name + at, length - at);
		if (bytes == 0 || (unsigned char)name[at] < 32 ||
		    name[at] == 127)
			return false;
	}
	return true;
}

static const char *fault_of(const struct atom_alert *alert)
{
	static const char *const severities[] = { "critical", "warning",
						  "info" };

	if (alert->name == NULL || alert->agent == NULL ||
	    alert->message == NULL || alert->severity == NULL)
		return "a text is missing";
	if (!is_alert_name(alert->name))
		return "its name is 1 to 127 bytes of printable UTF-8";
	if (alert->state < ATOM_ALERT_RESOLVED ||
	    alert->state > ATOM_ALERT_PENDING)
		return "its state is one of ATOM_ALERT_*";
	for (size_t i = 0; i < ARRAY_SIZE(severities); i++)
		if (strcmp(alert->severity, severities[i]) == 0)
			return NULL;
	return "its severity is critical, warning or info";
}

/* Pairs as an object.  False: too many of them, no UTF-8, or no memory. */
static bool take_pairs(json_t *object, const char *const *pairs, size_t most)
{
	size_t bytes = 0;

	for (; pairs != NULL && pairs[0] != NULL; pairs += 2) {
		if (pairs[1] == NULL)
			return false;
		bytes += strlen(pairs[0]) + strlen(pairs[1]) + 6;
		if (bytes > most ||
		    json_object_set_new(object, pairs[0],
					json_string(pairs[1])) < 0)
			return false;
	}
	return object != NULL;
}

/* The name and what else has a member of its own can be matched, too. */
static json_t *labels_of(const struct atom_alert *alert)
{
	json_t *labels = json_object();
	bool whole = take_pairs(labels, alert->labels, ALERT_LABELS_MAX) &&
		     json_object_set_new(labels, "alertname",
					 json_string(alert->name)) == 0 &&
		     json_object_set_new(labels, "severity",
					 json_string(alert->severity)) == 0;

	if (whole && *alert->agent != '\0')
		whole = json_object_set_new(labels, "agent",
					    json_string(alert->agent)) == 0;
	if (whole)
		return labels;
	json_decref(labels);
	return NULL;
}

/* An alert as the plugin knew it, with what it knew not as 0. */
static struct atom_alert whole(const struct atom_alert *alert)
{
	struct atom_alert a = { 0 };

	memcpy(&a, alert,
	       alert->struct_size < sizeof(a) ? alert->struct_size : sizeof(a));
	return a;
}

bool alerts_silenced(const struct atom_alert *given,
		     char id_r[ATOM_SILENCE_ID_MAX])
{
	const struct atom_alert alert = whole(given);
	json_t *labels = fault_of(&alert) == NULL ? labels_of(&alert) : NULL;
	bool found = labels != NULL && silences_find(labels, id_r);

	json_decref(labels);
	return found;
}

/* --- the table ----------------------------------------------------------------- */

/* Of that name and severity; with the lock. */
static void show_firing(const char *name, const char *severity)
{
	const char *const values[] = { name, severity };
	const struct raised *one;
	double count = 0;

	for (size_t at = 0; (one = table_next(&raised, &at)) != NULL;)
		count += one->state == ATOM_ALERT_FIRING &&
			 strcmp(one->name, name) == 0 &&
			 strcmp(one->severity, severity) == 0;
	metric_set(metric_series(firing_family, values), count);
}

static bool has_label(const struct atom_alert *alert, const char *name)
{
	const char *const *pair = alert->labels;

	while (pair != NULL && pair[0] != NULL && strcmp(pair[0], name) != 0)
		pair += 2;
	return pair != NULL && pair[0] != NULL;
}

/* What makes it one alert: a severity that changes leaves it the same, unless
 * it is one of the labels. */
static char *key_of(const struct atom_host *host,
		    const struct atom_alert *alert, const json_t *labels)
{
	struct buffer key = BUFFER_INIT(2 * ALERT_LABELS_MAX + 1024);
	json_t *own = json_copy((json_t *)(uintptr_t)labels);
	char *text = NULL, *made = NULL;
	size_t length;

	if (own != NULL && !has_label(alert, "severity"))
		(void)json_object_del(own, "severity");
	if (own != NULL)
		text = json_write(own, JSON_COMPACT | JSON_SORT_KEYS);
	if (text != NULL &&
	    buffer_printf(&key, "%p %s", (const void *)host, text) == ATOM_OK)
		made = buffer_take(&key, &length);
	buffer_fini(&key);
	mem_free(text);
	json_decref(own);
	return made;
}

static bool replace_text(char **place, const char *text)
{
	char *copy;

	if (*place != NULL && strcmp(*place, text) == 0)
		return true;
	copy = mem_strdup(text);
	if (copy == NULL)
		return false;
	mem_free(*place);
	*place = copy;
	return true;
}

/* A new one in the table; takes `key` in any case. */
static struct raised *add(const struct atom_host *host, char *key)
{
	struct raised *one = NULL;

	if (raised.count < ALERTS_RAISED_MAX)
		one = mem_zalloc(sizeof(*one));
	if (one == NULL) {
		mem_free(key);
		return NULL;
	}
	one->key = key;
	one->host = host;
	(void)snprintf(one->monitor, sizeof(one->monitor), "%s",
		       monitor_of(host));
	if (table_set(&raised, one->key, strlen(one->key), one, NULL) !=
	    ATOM_OK)
		raised_free(&one);
	return one;
}

static bool fill(struct raised *one, const struct atom_alert *alert,
		 json_t *labels)
{
	json_t *annotations = json_object();

	if (!take_pairs(annotations, alert->annotations,
			ALERT_ANNOTATIONS_MAX) ||
	    !replace_text(&one->agent, alert->agent) ||
	    !replace_text(&one->message, alert->message)) {
		json_decref(annotations);
		return false;
	}
	(void)snprintf(one->name, sizeof(one->name), "%s", alert->name);
	(void)snprintf(one->severity, sizeof(one->severity), "%s",
		       alert->severity);
	json_decref(one->labels);
	one->labels = json_incref(labels);
	json_decref(one->annotations);
	one->annotations = annotations;
	one->value = alert->value;
	one->threshold = alert->threshold;
	if (alert->since_ms > 0)
		one->since_ms = alert->since_ms;
	else if (one->since_ms == 0 || one->state != alert->state)
		one->since_ms = os.realtime_ms();
	one->state = alert->state;
	return true;
}

static void drop(struct raised *one)
{
	(void)table_remove(&raised, one->key, strlen(one->key));
	raised_free(&one);
	full = false;
}

/* With the lock.  What fired before is in fired_r; false: it has no room. */
static bool change(const struct atom_host *host, const struct atom_alert *alert,
		   json_t *labels, char *key, bool *fired_r)
{
	struct raised *one = table_get_text(&raised, key);
	char before[16] = "";

	*fired_r = one != NULL && one->state == ATOM_ALERT_FIRING;
	if (*fired_r)
		(void)snprintf(before, sizeof(before), "%s", one->severity);
	if (one == NULL && alert->state == ATOM_ALERT_RESOLVED) {
		mem_free(key);
		return true;
	}
	if (one == NULL)
		one = add(host, key);
	else
		mem_free(key);
	if (one == NULL)
		return false;
	if (alert->state == ATOM_ALERT_RESOLVED) {
		drop(one);
	} else if (!fill(one, alert, labels)) {
		drop(one);
		if (*fired_r)
			show_firing(alert->name, before);
		return false;
	}
	if (*before != '\0' && strcmp(before, alert->severity) != 0)
		show_firing(alert->name, before);
	if (*fired_r || alert->state == ATOM_ALERT_FIRING)
		show_firing(alert->name, alert->severity);
	return true;
}

static void publish(const struct atom_host *host,
		    const struct atom_alert *alert, const json_t *labels)
{
	struct buffer json = BUFFER_INIT(65536);
	bool fires = alert->state == ATOM_ALERT_FIRING;
	json_t *event = json_pack(
		"{s:s,s:s,s:s,s:s,s:s,s:s,s:O,s:o,s:o}", "name", alert->name,
		"severity", alert->severity, "state",
		fires ? "firing" : "resolved", "agent", alert->agent, "message",
		alert->message, "monitor", monitor_of(host), "labels", labels,
		"value", number(alert->value), "threshold",
		number(alert->threshold));

	if (event != NULL && json_encode(event, &json) == ATOM_OK) {
		const struct atom_span span = { json.bytes, json.length };

		monitors_event(fires ? "alert.firing" : "alert.resolved",
			       alert->agent, &span);
	}
	json_decref(event);
	buffer_fini(&json);
}

static void refuse(const struct atom_host *host, const char *why)
{
	log_line(ATOM_LOG_WARN, "plugin_fault",
		 "an alert of a plugin was dropped",
		 LOG_TEXT("component", host_component_name(host)),
		 LOG_TEXT("why", why));
}

void alerts_take(const struct atom_host *host, const struct atom_alert *given)
{
	const struct atom_alert alert = whole(given);
	const char *fault = fault_of(&alert);
	json_t *labels = fault == NULL ? labels_of(&alert) : NULL;
	char *key = labels != NULL ? key_of(host, &alert, labels) : NULL;
	bool fired, taken, said;

	if (key == NULL) {
		refuse(host, fault != NULL ? fault : "its labels are too long");
		json_decref(labels);
		return;
	}
	(void)pthread_mutex_lock(&lock);
	taken = change(host, &alert, labels, key, &fired);
	said = full;
	full = full || !taken;
	(void)pthread_mutex_unlock(&lock);
	if (!taken && !said)
		refuse(host, "more alerts, or longer ones, than are kept");
	else if (taken && fired != (alert.state == ATOM_ALERT_FIRING))
		publish(host, &alert, labels);
	json_decref(labels);
}

void alerts_forget(const struct atom_host *host)
{
	struct raised *one;

	(void)pthread_mutex_lock(&lock);
	for (size_t at = 0; (one = table_next(&raised, &at)) != NULL;) {
		char name[sizeof(one->name)], severity[sizeof(one->severity)];

		if (one->host != host)
			continue;
		(void)snprintf(name, sizeof(name), "%s", one->name);
		(void)snprintf(severity, sizeof(severity), "%s", one->severity);
		drop(one);
		show_firing(name, severity);
	}
	(void)pthread_mutex_unlock(&lock);
}

/* --- what is shown -------------------------------------------------------------- */

/* What an analyst noted beside it last; not of another time that it fired. */
static void add_analysis(json_t *annotations, const struct raised *one)
{
	json_t *note = notes_newest(one->name, one->agent, one->since_ms);
	json_t *text = json_object_get(note, "text");

	if (text != NULL)
		(void)json_object_set(annotations, "analysis", text);
	json_decref(note);
}

static json_t *describe(const struct raised *one)
{
	char since[TEXT_TIME_MAX], silence[ID_MAX];
	bool silenced = silences_find(one->labels, silence);
	json_t *annotations = json_deep_copy(one->annotations);
	json_t *made;

	text_of_time(one->since_ms, since);
	add_analysis(annotations, one);
	made = json_pack(
		"{s:s,s:s,s:s,s:o,s:o,s:s,s:s,s:s,s:o,s:o,s:s,s:b}", "name",
		one->name, "severity", one->severity, "state",
		one->state == ATOM_ALERT_FIRING ? "firing" : "pending", "value",
		number(one->value), "threshold", number(one->threshold),
		"message", one->message, "since", since, "agent", one->agent,
		"labels", json_deep_copy(one->labels), "annotations",
		annotations, "monitor", one->monitor, "silenced", silenced);
	if (made != NULL && silenced &&
	    json_object_set_new(made, "silence", json_string(silence)) < 0) {
		json_decref(made);
		return NULL;
	}
	return made;
}

/* Where it goes among the others: the newest first. */
static size_t place_of(const json_t *list, const json_t *made)
{
	const char *since = json_text(made, "since", "");
	size_t low = 0, high = json_array_size(list);

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(json_text(json_array_get(list, middle), "since", ""),
			   since) > 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

json_t *alerts_list(const char *agent, const char *state)
{
	json_t *list = json_array();
	const struct raised *one;
	bool whole_list = list != NULL;

	(void)pthread_mutex_lock(&lock);
	for (size_t at = 0;
	     whole_list && (one = table_next(&raised, &at)) != NULL;) {
		json_t *made;

		if ((*agent != '\0' && strcmp(one->agent, agent) != 0) ||
		    (*state != '\0' &&
		     (strcmp(state, "firing") == 0) !=
			     (one->state == ATOM_ALERT_FIRING)))
			continue;
		made = describe(one);
		whole_list = made != NULL &&
			     json_array_insert_new(list, place_of(list, made),
						   made) == 0;
	}
	(void)pthread_mutex_unlock(&lock);
	if (whole_list)
		return list;
	json_decref(list);
	return NULL;
}

/* --- life ------------------------------------------------------------------------ */

atom_status alerts_init(struct atom_error *err)
{
	static const char *const labels[] = { "alert", "severity", NULL };
	const struct atom_metric_spec firing = {
		.struct_size = sizeof(firing),
		.type = ATOM_METRIC_GAUGE,
		.name = "atomd_alerts_firing",
		.help = "Alerts that fire, by name and severity.",
		.unit = "",
		.label_names = labels,
	};

	return metric_declare(&firing, &firing_family, err);
}

void alerts_fini(void)
{
	struct raised *one;

	for (size_t at = 0; (one = table_next(&raised, &at)) != NULL;)
		raised_free(&one);
	table_fini(&raised);
	full = false;
}
