/* SPDX-License-Identifier: Apache-2.0 */

/* atom.event/1: what a plugin tells every monitor. */

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/json.h"
#include "core/log.h"
#include "core/text.h"
#include "plugin/host.h"
#include "plugin/host_priv.h"

#define EVENT_BYTES_MAX (64 * 1024)
#define DETAILS_LOGGED	2048

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

/* Nobody else says it; those of the host have lines of their own.  A component
 * of an agent is known with that agent. */
static void log_event(const struct atom_host *host, const char *name,
		      const char *agent, const struct atom_span *json)
{
	const char *own = host_agent(host);
	bool known = own != NULL && own[0] != '\0';
	char details[DETAILS_LOGGED];
	const struct atom_log_field fields[] = {
		LOG_TEXT("details", &details[0]), LOG_TEXT("agent", agent)
	};

	(void)snprintf(details, sizeof(details), "%.*s",
		       (int)(json->length < sizeof(details) ? json->length
							    : sizeof(details)),
		       json->bytes);
	host_log_service.write(host, ATOM_LOG_INFO, "plugin_event", name,
			       fields, known ? 1 : 2);
}

static void publish(const struct atom_host *host, const char *name,
		    const char *agent, const struct atom_span *json)
{
	const struct configured *c = host_private(host);
	const char *fault = fault_of(name, json);

	if (fault != NULL) {
		log_line(ATOM_LOG_WARN, "plugin_fault",
			 "an event of a plugin was dropped",
			 LOG_TEXT("plugin", c->plugin_name),
			 LOG_TEXT("component", c->name),
			 LOG_TEXT("why", fault));
		return;
	}
	if (agent == NULL)
		agent = host_agent(host);
	log_event(host, name, agent, json);
	host_publish(name, agent, json);
}

const struct atom_event host_event_service = {
	.struct_size = sizeof(struct atom_event),
	.publish = publish,
};
