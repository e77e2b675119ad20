/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/event.h"

#include <atomd/host.h>

/* Names in rising order of their bytes: records have them so. */
#define DETAILS(name, ...) \
	static const char *const name##_details[] = { __VA_ARGS__, NULL }

DETAILS(daemon, "abi", "agents", "environment", "version");
DETAILS(reason, "cause", "reason");
DETAILS(config, "changed", "code", "error", "needs_restart", "now", "object",
	"outcome", "phase", "result", "status");
DETAILS(plugin, "error", "kind", "name", "path", "version");
DETAILS(instance, "agent", "code", "instance", "revision");
DETAILS(scaled, "action", "agent", "from", "metric", "reason", "strategy",
	"to");
DETAILS(annotation, "agent", "alert", "monitor", "output_bytes", "prompt_hash");
DETAILS(sink, "count", "error", "from", "sink", "to");
DETAILS(denied, "agent", "code", "count", "method", "reason", "role", "route",
	"status");
DETAILS(locked, "count", "reason", "seconds");
DETAILS(call, "agent", "code", "duration_ms", "input_bytes", "input_tokens",
	"output_bytes", "output_tokens", "revision", "session", "status",
	"stream");
DETAILS(session, "agent", "result", "session");
DETAILS(rollout, "action", "agent", "cause", "from", "id", "reason", "strategy",
	"to", "weight", "who");
DETAILS(feedback, "agent", "call", "revision", "score_percent");
DETAILS(report, "accepted", "error", "fail", "not_applicable", "not_checked",
	"pass");
DETAILS(accept, "code", "expires", "id", "object", "phase", "reason", "result",
	"status");
DETAILS(key, "agents", "code", "expires", "grace", "id", "name", "object",
	"phase", "result", "role", "status");
DETAILS(agent, "auto", "code", "instances", "object", "phase", "result",
	"status");
DETAILS(deploy, "agent", "code", "from", "hash", "name", "object", "phase",
	"reason", "replayed", "result", "revision", "status", "to");
DETAILS(order, "agent", "code", "full", "object", "phase", "phase_now",
	"result", "status");
DETAILS(freeze, "code", "object", "phase", "reason", "result", "status");
DETAILS(silence, "code", "comment", "ends_at", "id", "matchers", "object",
	"phase", "result", "status");
DETAILS(keyring, "code", "object", "phase", "result", "retire", "status");
DETAILS(prune, "before", "code", "phase", "removed", "result", "sequence",
	"status");

/* Classes of OCSF 1.8 and activities of theirs. */
#define API_ACTIVITY   "API Activity", "6003"
#define AUTHENTICATION "Authentication", "3002"
#define ACCOUNT_CHANGE "Account Change", "3001"
#define APP_LIFECYCLE  "Application Lifecycle", "6002"
#define EVENT_LOG      "Event Log Activity", "1008"
#define CONFIG_CHANGE  "Entity Management", "3004"

#define TEXT(name, activity, class_name, class_uid)                      \
	"\"event_type\":\"" name "\",\"ocsf\":{\"activity\":\"" activity \
	"\",\"class_name\":\"" class_name "\",\"class_uid\":" class_uid "}"
#define ROW(event, name, category, severity, activity, class, details)   \
	[AUDIT_##event] = { name, AUDIT_##category, ATOM_LOG_##severity, \
			    TEXT_(name, activity, class), details##_details }
#define TEXT_(...) TEXT(__VA_ARGS__)
/* Of calls the class's number alone: each byte of theirs is hashed and written
 * thousands of times a second. */
#define CALL_ROW(event, name, category, severity)                        \
	[AUDIT_##event] = { name, AUDIT_##category, ATOM_LOG_##severity, \
			    "\"event_type\":\"" name                     \
			    "\",\"ocsf\":{\"class_uid\":6003}",          \
			    call_details }

/* clang-format off */
static const struct audit_event_row rows[AUDIT_EVENT_COUNT] = {
	ROW(DAEMON_START, "daemon.start", SECURITY_EVENTS, INFO,
	    "Start", APP_LIFECYCLE, daemon),
	ROW(DAEMON_STOP, "daemon.stop", SECURITY_EVENTS, INFO,
	    "Stop", APP_LIFECYCLE, reason),
	ROW(CONFIG_APPLIED, "config.applied", CONFIGURATION_CHANGES, INFO,
	    "Update", CONFIG_CHANGE, config),
	ROW(CONFIG_REFUSED, "config.refused", CONFIGURATION_CHANGES, WARN,
	    "Update", CONFIG_CHANGE, config),
	ROW(PLUGIN_LOADED, "plugin.loaded", CONFIGURATION_CHANGES, INFO,
	    "Enable", APP_LIFECYCLE, plugin),
	ROW(PLUGIN_REFUSED, "plugin.refused", SECURITY_EVENTS, WARN,
	    "Disable", APP_LIFECYCLE, plugin),
	ROW(INSTANCE_LOST, "instance.lost", ERROR_EVENTS, WARN,
	    "Stop", APP_LIFECYCLE, instance),
	ROW(SCALED, "scaling", PERFORMANCE_EVENTS, INFO,
	    "Update", APP_LIFECYCLE, scaled),
	ROW(ANNOTATION, "annotation", PERFORMANCE_EVENTS, INFO,
	    "Create", API_ACTIVITY, annotation),
	ROW(ROLLOUT, "rollout", AGENT_LIFECYCLE, INFO,
	    "Update", APP_LIFECYCLE, rollout),
	ROW(GAP, "audit.gap", SECURITY_EVENTS, ERROR,
	    "Other", EVENT_LOG, sink),
	ROW(SINK_FAILED, "audit.sink_failed", ERROR_EVENTS, ERROR,
	    "Disable", EVENT_LOG, sink),
	ROW(SINK_RECOVERED, "audit.sink_recovered", ERROR_EVENTS, INFO,
	    "Enable", EVENT_LOG, sink),
	ROW(SINK_GAP, "audit.sink_gap", SECURITY_EVENTS, WARN,
	    "Other", EVENT_LOG, sink),

	ROW(LOGIN_FAILED, "login.failed", SECURITY_EVENTS, WARN,
	    "Logon", AUTHENTICATION, denied),
	ROW(ACCESS_DENIED, "access.denied", SECURITY_EVENTS, WARN,
	    "Other", API_ACTIVITY, denied),
	ROW(ADDRESS_LOCKED, "address.locked", SECURITY_EVENTS, WARN,
	    "Other", AUTHENTICATION, locked),

	CALL_ROW(CALL, "call", PERFORMANCE_EVENTS, INFO),
	CALL_ROW(CALL_FAILED, "call.failed", ERROR_EVENTS, WARN),
	ROW(SESSION_DELETE, "session.delete", SECURITY_EVENTS, INFO,
	    "Delete", API_ACTIVITY, session),
	ROW(FEEDBACK, "feedback", PERFORMANCE_EVENTS, INFO,
	    "Create", API_ACTIVITY, feedback),

	ROW(KEY_CREATE, "key.create", SECURITY_EVENTS, INFO,
	    "Create", ACCOUNT_CHANGE, key),
	ROW(KEY_ROTATE, "key.rotate", SECURITY_EVENTS, INFO,
	    "Password Change", ACCOUNT_CHANGE, key),
	ROW(KEY_REVOKE, "key.revoke", SECURITY_EVENTS, INFO,
	    "Disable", ACCOUNT_CHANGE, key),
	ROW(AGENT_CREATE, "agent.create", AGENT_LIFECYCLE, INFO,
	    "Install", APP_LIFECYCLE, deploy),
	ROW(AGENT_DEPLOY, "agent.deploy", AGENT_LIFECYCLE, INFO,
	    "Update", APP_LIFECYCLE, deploy),
	ROW(AGENT_UNDO, "agent.undo", AGENT_LIFECYCLE, INFO,
	    "Update", APP_LIFECYCLE, deploy),
	ROW(AGENT_DELETE, "agent.delete", AGENT_LIFECYCLE, WARN,
	    "Remove", APP_LIFECYCLE, deploy),
	ROW(ROLLOUT_PROMOTE, "rollout.promote", AGENT_LIFECYCLE, INFO,
	    "Update", APP_LIFECYCLE, order),
	ROW(ROLLOUT_ABORT, "rollout.abort", AGENT_LIFECYCLE, INFO,
	    "Update", APP_LIFECYCLE, order),
	ROW(ROLLOUT_PAUSE, "rollout.pause", AGENT_LIFECYCLE, INFO,
	    "Update", APP_LIFECYCLE, order),
	ROW(ROLLOUT_RESUME, "rollout.resume", AGENT_LIFECYCLE, INFO,
	    "Update", APP_LIFECYCLE, order),
	ROW(ROLLOUT_RETRY, "rollout.retry", AGENT_LIFECYCLE, INFO,
	    "Update", APP_LIFECYCLE, order),
	ROW(ROLLOUT_FREEZE, "rollout.freeze", AGENT_LIFECYCLE, WARN,
	    "Update", APP_LIFECYCLE, freeze),
	ROW(ROLLOUT_THAW, "rollout.thaw", AGENT_LIFECYCLE, INFO,
	    "Update", APP_LIFECYCLE, order),
	ROW(SILENCE_CREATE, "silence.create", CONFIGURATION_CHANGES, WARN,
	    "Create", API_ACTIVITY, silence),
	ROW(SILENCE_END, "silence.end", CONFIGURATION_CHANGES, INFO,
	    "Update", API_ACTIVITY, silence),
	ROW(AGENT_SCALE, "agent.scale", AGENT_LIFECYCLE, INFO,
	    "Update", APP_LIFECYCLE, agent),
	ROW(AGENT_RESTART, "agent.restart", AGENT_LIFECYCLE, INFO,
	    "Restart", APP_LIFECYCLE, agent),
	ROW(CONFIG_RELOAD, "config.reload", CONFIGURATION_CHANGES, INFO,
	    "Update", API_ACTIVITY, config),
	ROW(KEYRING_ROTATE, "keyring.rotate", SECURITY_EVENTS, INFO,
	    "Update", API_ACTIVITY, keyring),
	ROW(KEYRING_REWRAP, "keyring.rewrap", SECURITY_EVENTS, INFO,
	    "Update", API_ACTIVITY, keyring),
	ROW(COMPLIANCE_PROBE, "compliance.probe", SECURITY_EVENTS, INFO,
	    "Other", API_ACTIVITY, accept),
	ROW(COMPLIANCE_RUN, "compliance.run", SECURITY_EVENTS, INFO,
	    "Read", API_ACTIVITY, report),
	ROW(COMPLIANCE_ACCEPT, "compliance.accept", SECURITY_EVENTS, WARN,
	    "Update", API_ACTIVITY, accept),
	ROW(LOG_PRUNE, "audit.prune", SECURITY_EVENTS, WARN,
	    "Delete", EVENT_LOG, prune),
};
/* clang-format on */

const struct audit_event_row *audit_event_row(enum audit_event event)
{
	return event > AUDIT_NONE && event < AUDIT_EVENT_COUNT ? &rows[event]
							       : NULL;
}

const char *audit_category_name(enum audit_category category)
{
	static const char *const names[] = {
		"agent_lifecycle", "configuration_changes",
		"security_events", "performance_events",
		"error_events",
	};

	return names[category];
}

const char *audit_severity_name(int severity)
{
	return severity == ATOM_LOG_ERROR  ? "error"
	       : severity == ATOM_LOG_WARN ? "warn"
					   : "info";
}
