/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_EVENT_H
#define AUDIT_EVENT_H

/*
 * What may be recorded: each type of event with its category, severity, the
 * class of OCSF 1.8 that it maps to, and the names of the details that it may
 * have.  What is not in the list of an event never gets into the log: so
 * prompts, answers and secrets stay out however careless the caller.
 *
 * Another event is another row in event.c.  Pure. [any]
 */

#include <stddef.h>

enum audit_event {
	AUDIT_NONE, /* nothing is recorded */
	/* --- the daemon itself: recorded, never gated --- */
	AUDIT_DAEMON_START,
	AUDIT_DAEMON_STOP,
	AUDIT_CONFIG_APPLIED,
	AUDIT_CONFIG_REFUSED,
	AUDIT_PLUGIN_LOADED,
	AUDIT_PLUGIN_REFUSED,
	AUDIT_INSTANCE_LOST,
	AUDIT_SCALED,
	AUDIT_ANNOTATION,
	AUDIT_ROLLOUT,
	AUDIT_GAP,
	AUDIT_SINK_FAILED,
	AUDIT_SINK_RECOVERED,
	AUDIT_SINK_GAP,
	/* --- who was not let in --- */
	AUDIT_LOGIN_FAILED,
	AUDIT_ACCESS_DENIED,
	AUDIT_ADDRESS_LOCKED,
	/* --- calls of agents --- */
	AUDIT_CALL,
	AUDIT_CALL_FAILED,
	AUDIT_SESSION_DELETE,
	AUDIT_FEEDBACK,
	/* --- control actions --- */
	AUDIT_KEY_CREATE,
	AUDIT_KEY_ROTATE,
	AUDIT_KEY_REVOKE,
	AUDIT_AGENT_CREATE,
	AUDIT_AGENT_DEPLOY,
	AUDIT_AGENT_UNDO,
	AUDIT_AGENT_DELETE,
	AUDIT_ROLLOUT_PROMOTE,
	AUDIT_ROLLOUT_ABORT,
	AUDIT_ROLLOUT_PAUSE,
	AUDIT_ROLLOUT_RESUME,
	AUDIT_ROLLOUT_RETRY,
	AUDIT_ROLLOUT_FREEZE,
	AUDIT_ROLLOUT_THAW,
	AUDIT_SILENCE_CREATE,
	AUDIT_SILENCE_END,
	AUDIT_AGENT_SCALE,
	AUDIT_AGENT_RESTART,
	AUDIT_CONFIG_RELOAD,
	AUDIT_COMPLIANCE_PROBE,
	AUDIT_COMPLIANCE_RUN,
	AUDIT_COMPLIANCE_ACCEPT,
	AUDIT_KEYRING_ROTATE,
	AUDIT_KEYRING_REWRAP,
	AUDIT_LOG_PRUNE,
	AUDIT_EVENT_COUNT
};

enum audit_category {
	AUDIT_AGENT_LIFECYCLE,
	AUDIT_CONFIGURATION_CHANGES,
	AUDIT_SECURITY_EVENTS,
	AUDIT_PERFORMANCE_EVENTS,
	AUDIT_ERROR_EVENTS
};

struct audit_event_row {
	const char *name; /* "key.create" */
	enum audit_category category;
	int severity; /* ATOM_LOG_* */
	/* Of the record, as it stands there: "event_type":...,"ocsf":{...} */
	const char *text;
	const char *const *details; /* allowed, sorted, NULL-ended */
};

/* NULL for AUDIT_NONE and for what is no event. */
const struct audit_event_row *audit_event_row(enum audit_event event);
/* "agent_lifecycle" ... */
const char *audit_category_name(enum audit_category category);
/* "error" "warn" "info" */
const char *audit_severity_name(int severity);

#endif
