/* SPDX-License-Identifier: Apache-2.0 */

/* atom.event/1: what a plugin tells every monitor. */

#include <stdatomic.h>
#include <string.h>

#include "core/json.h"
#include "core/log.h"
#include "core/text.h"
#include "plugin/host.h"
#include "plugin/host_priv.h"

#define EVENT_BYTES_MAX (64 * 1024)

typedef void (*event_sink)(const char *name, const char *agent,
			   const struct atom_span *json);

static _Atomic(event_sink) sink;

void host_set_event_sink(void (*new_sink)(const char *name, const char *agent,
					  const struct atom_span *json))
{
	atomic_store(&sink, new_sink);
}

void host_publish(const char *name, const char *agent,
		  const struct atom_span *json)
{
	event_sink to = atomic_load(&sink);

	if (to != NULL)
		to(name, agent, json);
}

static const char *fault_of(const char *name, const struct atom_span *json)
{
	json_t *value = NULL;
	const char *fault = NULL;

	if (name == NULL || !text_is_name(name))
		return "its name is [a-z0-9][a-z0-9_.-]{0,62}";
	if (json == NULL || json->bytes == NULL)
		return "it has no JSON object";
	if (json->length > EVENT_BYTES_MAX)
		return "it is larger than 64 KiB";
	if (json_decode(json->bytes, json->length, &value, NULL) != ATOM_OK)
		return "its JSON cannot be read";
	if (!json_is_object(value))
		fault = "its JSON is no object";
	json_decref(value);
	return fault;
}

static void publish(const struct atom_host *host, const char *name,
		    const char *agent, const struct atom_span *json)
{
	const struct configured *c = host_private(host);
	event_sink to = atomic_load(&sink);
	const char *fault = fault_of(name, json);

	if (fault != NULL) {
		log_line(ATOM_LOG_WARN, "plugin_fault",
			 "an event of a plugin was dropped",
			 LOG_TEXT("plugin", c->plugin_name),
			 LOG_TEXT("component", c->name),
			 LOG_TEXT("why", fault));
		return;
	}
	if (to != NULL)
		to(name, agent != NULL ? agent : host_agent(host), json);
}

const struct atom_event host_event_service = {
	.struct_size = sizeof(struct atom_event),
	.publish = publish,
};
