/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/otlp/encode.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* opentelemetry/proto/trace/v1/trace.proto, logs/v1/logs.proto */
enum {
	SPAN_KIND_INTERNAL = 1,
	SPAN_KIND_SERVER = 2,
	SPAN_KIND_CLIENT = 3,
	STATUS_CODE_ERROR = 2,
	SEVERITY_DEBUG = 5,
	SEVERITY_INFO = 9,
	SEVERITY_WARN = 13,
	SEVERITY_ERROR = 17
};

/* --- whole or none ----------------------------------------------------------- */

void otlp_add(json_t **list, json_t *item)
{
	if (json_array_append_new(*list, item) == 0)
		return;
	json_decref(*list);
	*list = NULL;
}

void otlp_set(json_t **object, const char *key, json_t *value)
{
	if (json_object_set_new(*object, key, value) == 0)
		return;
	json_decref(*object);
	*object = NULL;
}

/* --- attributes: names of the semantic conventions, 1.41 --------------------- */

void otlp_add_text(json_t **attributes, const char *key, const char *text)
{
	if (*text != '\0')
		otlp_add(attributes, json_pack("{s:s,s:{s:s}}", "key", key,
					       "value", "stringValue", text));
}

json_t *otlp_whole(int64_t number)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRId64, number);
	return json_string(text);
}

static void add_number(json_t **attributes, const char *key, int64_t number)
{
	otlp_add(attributes, json_pack("{s:s,s:{s:o}}", "key", key, "value",
				       "intValue", otlp_whole(number)));
}

static json_t *attributes_of(const struct atom_ended_call *call, bool genai)
{
	json_t *attributes = json_array();

	otlp_add_text(&attributes, "atomd.agent.revision", call->revision);
	otlp_add_text(&attributes, "atomd.request.id", call->request_id);
	if (!genai) {
		otlp_add_text(&attributes, "atomd.agent.name", call->agent);
		return attributes;
	}
	otlp_add_text(&attributes, "gen_ai.operation.name", "chat");
	otlp_add_text(&attributes, "gen_ai.agent.name", call->agent);
	otlp_add_text(&attributes, "gen_ai.provider.name", call->backend);
	if (call->granted_ns >= 0) {
		add_number(&attributes, "gen_ai.usage.input_tokens",
			   call->input_tokens);
		add_number(&attributes, "gen_ai.usage.output_tokens",
			   call->output_tokens);
	}
	return attributes;
}

/* --- spans --------------------------------------------------------------------- */

static json_t *span_of(const struct atom_ended_call *call, const char *id,
		       const char *parent, const char *name, int kind,
		       int64_t from_ns, int64_t to_ns, json_t *attributes)
{
	int64_t base_ns = call->began_ms * 1000000;
	json_t *span = json_pack(
		"{s:s,s:s,s:s,s:i,s:o,s:o,s:o}", "traceId", call->trace_id,
		"spanId", id, "name", name, "kind", kind, "startTimeUnixNano",
		otlp_whole(base_ns + from_ns), "endTimeUnixNano",
		otlp_whole(base_ns + to_ns), "attributes", attributes);

	if (*parent != '\0')
		otlp_set(&span, "parentSpanId", json_string(parent));
	if (call->http_status >= 500)
		otlp_set(&span, "status",
			 json_pack("{s:i}", "code", STATUS_CODE_ERROR));
	return span;
}

/* An id of its own for the wait: the attempt's with its bits turned, which
 * is neither that one nor zero. */
static void wait_id(const char *attempt, char out[17])
{
	uint64_t id = ~strtoull(attempt, NULL, 16);

	(void)snprintf(out, 17, "%016" PRIx64, id != 0 ? id : 1);
}

size_t otlp_add_spans(json_t *spans, const struct atom_ended_call *call,
		      bool genai)
{
	json_t *attributes = attributes_of(call, genai);
	char name[128], id[17];
	size_t lost = 0;

	add_number(&attributes, "http.response.status_code", call->http_status);
	(void)snprintf(name, sizeof(name), "invoke_agent %s", call->agent);
	lost += json_array_append_new(
			spans, span_of(call, call->span_id, call->parent_id,
				       name, SPAN_KIND_SERVER, 0,
				       call->ended_ns, attributes)) != 0;
	if (call->granted_ns < 0)
		return lost;
	wait_id(call->attempt_id, id);
	lost += json_array_append_new(spans, span_of(call, id, call->span_id,
						     "wait for an instance",
						     SPAN_KIND_INTERNAL, 0,
						     call->granted_ns,
						     json_array())) != 0;
	attributes = attributes_of(call, genai);
	if (call->first_ns >= 0)
		add_number(&attributes, "atomd.first_token_ns",
			   call->first_ns - call->granted_ns);
	(void)snprintf(name, sizeof(name), "chat %s", call->backend);
	lost += json_array_append_new(
			spans, span_of(call, call->attempt_id, call->span_id,
				       name, SPAN_KIND_CLIENT, call->granted_ns,
				       call->ended_ns, attributes)) != 0;
	return lost;
}

/* --- log records ------------------------------------------------------------------ */

json_t *otlp_log(const struct atom_monitor_event *event)
{
	static const int numbers[] = { SEVERITY_ERROR, SEVERITY_WARN,
				       SEVERITY_INFO, SEVERITY_DEBUG };
	json_t *attributes = json_array();
	size_t severity = event->severity >= 0 && event->severity <= 3
				  ? (size_t)event->severity
				  : 2;
	json_t *body = event->details.length > 0
			       ? json_stringn(event->details.bytes,
					      event->details.length)
			       : json_string("");

	otlp_add_text(&attributes, "gen_ai.agent.name", event->agent);
	return json_pack("{s:o,s:o,s:i,s:s,s:{s:o},s:o}", "timeUnixNano",
			 otlp_whole(event->time_ms * 1000000),
			 "observedTimeUnixNano",
			 otlp_whole(event->time_ms * 1000000), "severityNumber",
			 numbers[severity], "eventName", event->name, "body",
			 "stringValue", body, "attributes", attributes);
}

/* --- requests ----------------------------------------------------------------------- */

static char *request(const char *outer, const char *inner, const char *list,
		     const struct otlp_resource *resource, json_t *items)
{
	json_t *attributes = json_array();
	json_t *whole_request;
	char *text;

	otlp_add_text(&attributes, "service.name", resource->service);
	otlp_add_text(&attributes, "service.version", resource->version);
	otlp_add_text(&attributes, "service.instance.id", resource->instance);
	whole_request = json_pack("{s:[{s:{s:o},s:[{s:{s:s,s:s},s:o}]}]}",
				  outer, "resource", "attributes", attributes,
				  inner, "scope", "name", "atomd", "version",
				  resource->version, list, items);
	text = whole_request != NULL ? json_dumps(whole_request, JSON_COMPACT)
				     : NULL;
	/* jansson goes on after a name that its text has no memory for. */
	if (text != NULL &&
	    json_dumpb(whole_request, NULL, 0, JSON_COMPACT) != strlen(text)) {
		free(text);
		text = NULL;
	}
	json_decref(whole_request);
	return text;
}

char *otlp_traces(const struct otlp_resource *resource, json_t *items)
{
	return request("resourceSpans", "scopeSpans", "spans", resource, items);
}

char *otlp_logs(const struct otlp_resource *resource, json_t *items)
{
	return request("resourceLogs", "scopeLogs", "logRecords", resource,
		       items);
}

char *otlp_metrics(const struct otlp_resource *resource, json_t *items)
{
	return request("resourceMetrics", "scopeMetrics", "metrics", resource,
		       items);
}

bool otlp_sampled(const char *trace_id, double share)
{
	const uint64_t most = (uint64_t)1 << 56;

	if (strlen(trace_id) != 32)
		return false;
	return (double)(strtoull(trace_id + 16, NULL, 16) & (most - 1)) <
	       share * (double)most;
}
