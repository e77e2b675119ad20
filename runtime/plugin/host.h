/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_HOST_H
#define PLUGIN_HOST_H

/*
 * The host's side of `struct atom_host`: which services there are and which
 * component is asking.  Subsystems register the tables they offer before
 * plugins load; the basic ones (log, metric, clock, timer, work, secret, seal,
 * state, event, thread) are this folder's own.
 *
 * A plugin that calls a service on the wrong thread gets ATOM_ESTATE; built
 * with ATOMD_DEBUG_THREADS (sanitizer builds always are) it stops the process.
 */

#include <atomd/host.h>

#include "plugin/options.h"

/* [control] before any component is configured.  `service_id` and `table` are
 * static.  ATOM_EEXIST, ATOM_ELIMIT. */
atom_status host_register(const char *service_id, const void *table);
/* The basic services of this folder, and the metrics of this header. */
atom_status host_register_basic(void);

/* [any] From the host pointer that a plugin hands back. */
const struct configured *host_configured(const struct atom_host *host);
void *host_owner(const struct atom_host *host); /* configured_spec.owner */
const char *host_agent(const struct atom_host *host);	       /* "" = none */
const char *host_component_name(const struct atom_host *host); /* "backend/x" */
const char *host_plugin_name(const struct atom_host *host);

/* [any] Something is under way that will call into the component: until as
 * many releases a configured_free() of it waits with `destroy`.  Release on a
 * loop's thread. */
void host_hold(const struct atom_host *host);
void host_release(const struct atom_host *host);

/* Where atom.event/1 goes: set once by the subsystem that fans out.  Called
 * on any thread, with one whole JSON object. */
void host_set_event_sink(void (*sink)(const char *name, const char *agent,
				      const struct atom_span *json));

/* An event of the host's own, to where those of plugins go. [any] */
void host_publish(const char *name, const char *agent,
		  const struct atom_span *json);

/* A [control] or [loop] call into a plugin, timed: over 50 ms is logged and
 * counted with the plugin's name (atomd_plugin_slow_calls_total).
 *	int64_t began = host_call_begin();
 *	ops->invoke(...);
 *	host_call_end(began, component, "invoke");
 * `function` is a literal. */
int64_t host_call_begin(void);
void host_call_end(int64_t began_ns, const struct component *component,
		   const char *function);

/* A component is used by a test without any daemon around it: a host whose
 * services are those registered. */
atom_status host_for_tests(const char *name, const struct atom_host **host_r);
void host_for_tests_free(const struct atom_host **host);

#endif
