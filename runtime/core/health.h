/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_HEALTH_H
#define CORE_HEALTH_H

/*
 * How the daemon is: the ordered start, each part with its result, and the
 * components with their state, since when, and their last error.  What
 * `atomctl status`, /readyz and the log tell comes from here.
 *
 * Parts report [any]; texts are copied.
 */

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

enum health_state {
	HEALTH_INITIALIZING,
	HEALTH_OK,
	HEALTH_DEGRADED, /* works, but not as it should */
	HEALTH_FAILED
};

/* A step of the start, in the order of calls: "core_orchestrator", ... */
void health_step(const char *name, bool success, const char *details);
/* A component's state now; `required`: while it has failed the daemon is not
 * ready.  `error` NULL keeps the last one. */
void health_report(const char *component, enum health_state state,
		   bool required, const char *error);
/* The component is no more: nothing is said of it until it reports again. */
void health_forget(const char *component);
/* The start is over. */
void health_started(void);
bool health_is_started(void);
/* [control] The control thread goes round, and what it begins now may be
 * somebody's who does not come back: so that it can be said who.  NULL: that
 * is over.  Held up for 10 s it is not ready. */
void health_control_begins(const char *what);
/* Stopping: not ready any more. */
void health_stopping(void);
bool health_is_stopping(void);

/* "operational" "degraded" "initializing" */
const char *health_system_status(void);
/* May callers be sent here?  `why` (may be NULL) gets the first reason not. */
bool health_ready(char *why, size_t why_size);

/* "components": [{"name","status","since","last_error"}] and
 * "initialization_results": {NAME:{"status","details"}} */
json_t *health_components(void);
json_t *health_initialization(void);
void health_fini(void);

#endif
