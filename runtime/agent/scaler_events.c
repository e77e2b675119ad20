/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "agent/agents.h"
#include "agent/scaler.h"
#include "audit/audit.h"
#include "core/json.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "core/text.h"
#include "plugin/host.h"

/* The last events, oldest first: JSON as it is answered.  [control] */

#define EVENTS_MAX 1000

/* Reasons are words of plugins: so many series in all. */
#define SERIES_MAX 20000

static json_t *kept;
static uint32_t events_family;
static uint32_t faults_family;

atom_status scaling_events_init(struct atom_error *err)
{
	static const char *const labels[] = { "agent", "action", "reason",
					      NULL };
	static const char *const fault_labels[] = { "agent", "strategy",
						    "reason", NULL };
	static const struct metric_declaration rows[] = {
		{ .type = ATOM_METRIC_COUNTER,
		  .name = "atomd_scaling_events_total",
		  .help = "What scaling did, or could not do.",
		  .labels = labels,
		  .family_r = &events_family,
		  .series_max = SERIES_MAX },
		{ .type = ATOM_METRIC_COUNTER,
		  .name = "atomd_scaling_advice_ignored_total",
		  .help = "Advice of strategies that was not followed: they "
			  "failed, took too long, or talked nonsense.",
		  .labels = fault_labels,
		  .family_r = &faults_family },
	};

	kept = json_array();
	if (kept == NULL)
		return atom_fail(err, ATOM_ENOMEM,
				 "no memory for events of scaling");
	return metric_declare_all(rows, ARRAY_SIZE(rows), err);
}

void scaling_events_fini(void)
{
	json_decref(TAKE(kept));
}

void scaling_fault(const char *agent, const char *strategy, const char *fault)
{
	const char *const values[] = { agent, strategy, fault };

	metric_inc(metric_series(faults_family, values));
}

static json_t *json_of(const struct scaling_event *event)
{
	char time[TEXT_TIME_MAX];

	text_of_time(os.realtime_ms(), time);
	return json_pack(
		"{s:s,s:s,s:s,s:s,s:s,s:f,s:i,s:i,s:s,s:s,s:s,s:s?,s:b}",
		"time", time, "agent", event->agent, "action", event->action,
		"reason", event->reason, "metric", event->metric, "value",
		event->value, "from", (int)event->from, "to", (int)event->to,
		"strategy", event->strategy, "recommended_action",
		event->recommended_action, "detail", event->detail, "bound",
		event->bound, "dry_run", (int)event->dry_run);
}

static void publish(const struct scaling_event *event, const json_t *json)
{
	char *text = json_write(json, JSON_COMPACT);
	struct atom_span span = { .bytes = text };

	if (text == NULL)
		return;
	span.length = strlen(text);
	host_publish("scaling", event->agent, &span);
	free(text);
}

static void record(const struct scaling_event *event)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_SCALED);

	audit_text(&record, "action", event->action);
	audit_text(&record, "agent", event->agent);
	audit_number(&record, "from", event->from);
	audit_text(&record, "metric", event->metric);
	audit_text(&record, "reason", event->reason);
	audit_text(&record, "strategy", event->strategy);
	audit_number(&record, "to", event->to);
	(void)audit_post(&record, AUDIT_SOON, NULL);
}

void scaling_event(const struct scaling_event *event)
{
	const char *const values[] = { event->agent, event->action,
				       event->reason };
	json_t *json = json_of(event);
	bool moved = event->from != event->to;

	if (json != NULL)
		publish(event, json);
	if (json_array_append_new(kept, json) == 0 &&
	    json_array_size(kept) > EVENTS_MAX)
		(void)json_array_remove(kept, 0);
	log_line(moved ? ATOM_LOG_INFO : ATOM_LOG_WARN,
		 event->dry_run ? "scaling_proposed"
		 : moved	? "scaled"
				: "scaling_held",
		 event->detail[0] != '\0' ? event->detail : event->reason,
		 LOG_TEXT("agent", event->agent),
		 LOG_TEXT("reason", event->reason),
		 LOG_TEXT("bound", event->bound != NULL ? event->bound : ""),
		 LOG_NUMBER("from", event->from), LOG_NUMBER("to", event->to));
	if (event->dry_run)
		return;
	metric_inc(metric_series(events_family, values));
	record(event);
}

json_t *agents_scaling_events(const char *agent, size_t limit)
{
	json_t *list = json_array(), *event;
	size_t i, n = 0;

	/* The newest `limit`, oldest first. */
	for (i = json_array_size(kept); i > 0 && n < limit; i--) {
		event = json_array_get(kept, i - 1);
		if (agent[0] != '\0' &&
		    strcmp(json_string_value(json_object_get(event, "agent")),
			   agent) != 0)
			continue;
		(void)json_array_insert(list, 0, event);
		n++;
	}
	return list;
}
