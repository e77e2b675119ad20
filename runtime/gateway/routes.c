/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "core/memory.h"
#include "gateway/handlers.h"
#include "gateway/route.h"
#include "security/principal.h"

/*
 * The table.  Calls come first: it is searched in order.  Of a later version
 * are rows without a handler; they are described and answer 404.
 */

#define INVOKE	PERMISSION_INVOKE_AGENT
#define METRICS PERMISSION_VIEW_METRICS
#define MODIFY	PERMISSION_MODIFY_CONFIG
#define SEE_ALL PERMISSION_VIEW_ALL
#define LOGS	(PERMISSION_VIEW_LOGS | PERMISSION_VIEW_PUBLIC_LOGS)

#define NDJSON "application/x-ndjson"
#define HTML   "text/html; charset=utf-8"
#define PLAIN  "text/plain; version=0.0.4; charset=utf-8"

/* A row of a later version. */
#define LATER(method_, pattern_, permissions_, tag_, summary_)       \
	{                                                            \
		.method = (method_), .pattern = (pattern_),          \
		.permissions = (permissions_), .flags = ROUTE_LATER, \
		.tag = (tag_), .summary = (summary_)                 \
	}

const struct route routes[] = {
	/* --- calls --- */
	{ .method = "POST",
	  .pattern = "/v1/chat/completions",
	  .permissions = INVOKE,
	  .flags = ROUTE_STREAMS,
	  .handle = handle_chat,
	  .tag = "calls",
	  .summary = "Chat with an agent, as OpenAI's clients do. `model` is "
		     "the agent; `stream` gives server-sent events. The "
		     "header `x-atomd-session` names a conversation that the "
		     "daemon remembers.",
	  .request_schema = "ChatRequest",
	  .answer_schema = "ChatCompletion",
	  .example = "{\"model\":\"echo\",\"messages\":[{\"role\":\"user\","
		     "\"content\":\"hello\"}]}" },
	{ .method = "POST",
	  .pattern = "/v1/agents/{name}/invoke",
	  .permissions = INVOKE,
	  .flags = ROUTE_STREAMS,
	  .handle = handle_invoke,
	  .tag = "calls",
	  .summary = "Give an agent one input, a string or an object, and "
		     "take its output.",
	  .request_schema = "InvokeRequest",
	  .answer_schema = "InvokeAnswer",
	  .example = "{\"input\":\"hello\"}" },
	{ .method = "GET",
	  .pattern = "/v1/models",
	  .permissions = INVOKE,
	  .handle = handle_models,
	  .tag = "calls",
	  .summary = "The agents that this caller may invoke.",
	  .answer_schema = "ModelList" },
	{ .method = "GET",
	  .pattern = "/v1/models/{name}",
	  .permissions = INVOKE,
	  .handle = handle_model,
	  .tag = "calls",
	  .summary = "One of them.",
	  .answer_schema = "Model" },
	{ .method = "GET",
	  .pattern = "/v1/agents/{name}/sessions/{id}",
	  .permissions = INVOKE,
	  .handle = handle_session_read,
	  .tag = "calls",
	  .summary = "What is remembered of one of the caller's own "
		     "conversations.",
	  .answer_schema = "Session" },
	{ .method = "DELETE",
	  .pattern = "/v1/agents/{name}/sessions/{id}",
	  .permissions = INVOKE,
	  .handle = handle_session_delete,
	  .tag = "calls",
	  .summary = "Forget it." },
	LATER("POST", "/v1/feedback", INVOKE, "calls",
	      "Rate the answer to one of one's own calls."),
	LATER("POST", "/v1/agents/{name}/jobs", INVOKE, "calls",
	      "A call that does not wait: 202 and an id."),
	LATER("GET", "/v1/jobs/{id}", INVOKE, "calls", "How a job is."),
	LATER("DELETE", "/v1/jobs/{id}", INVOKE, "calls", "Cancel a job."),
	LATER("POST", "/v1/topics/{topic}", INVOKE, "calls",
	      "Publish to every agent that subscribes."),

	/* --- how the daemon is --- */
	{ .method = "GET",
	  .pattern = "/healthz",
	  .flags = ROUTE_PUBLIC,
	  .handle = handle_alive,
	  .tag = "health",
	  .summary = "Alive: 200 as long as the daemon runs." },
	{ .method = "GET",
	  .pattern = "/readyz",
	  .flags = ROUTE_PUBLIC,
	  .handle = handle_ready,
	  .tag = "health",
	  .summary = "Ready for calls: 200, or 503 with the reason." },
	{ .method = "GET",
	  .pattern = "/metrics",
	  .permissions = METRICS,
	  .handle = handle_metrics,
	  .tag = "health",
	  .summary = "Everything that is counted, for Prometheus.",
	  .answer_type = PLAIN },

	/* --- descriptions --- */
	{ .method = "GET",
	  .pattern = "/openapi.json",
	  .flags = ROUTE_PUBLIC,
	  .handle = handle_openapi,
	  .tag = "descriptions",
	  .summary = "This API, as OpenAPI 3.1." },
	{ .method = "GET",
	  .pattern = "/docs",
	  .flags = ROUTE_PUBLIC,
	  .handle = handle_docs,
	  .tag = "descriptions",
	  .summary = "This API, for people.",
	  .answer_type = HTML },
	{ .method = "GET",
	  .pattern = "/",
	  .flags = ROUTE_PUBLIC,
	  .handle = handle_front,
	  .tag = "descriptions",
	  .summary = "Where to go from here.",
	  .answer_type = HTML },

	/* --- operators --- */
	{ .method = "GET",
	  .pattern = "/admin/v1/status",
	  .permissions = METRICS,
	  .handle = handle_status,
	  .tag = "operators",
	  .summary = "The daemon's parts, how it started, and its bounds.",
	  .answer_schema = "Status" },
	{ .method = "GET",
	  .pattern = "/admin/v1/agents",
	  .permissions = METRICS,
	  .handle = handle_agents,
	  .tag = "operators",
	  .summary = "Every agent with its instances and load.",
	  .answer_schema = "AgentList" },
	{ .method = "GET",
	  .pattern = "/admin/v1/agents/{name}",
	  .permissions = METRICS,
	  .handle = handle_agent,
	  .tag = "operators",
	  .summary = "One agent. Its settings, and `format=libconfig`, "
		     "need view_all.",
	  .query = "format",
	  .answer_schema = "Agent" },
	{ .method = "POST",
	  .pattern = "/admin/v1/agents/{name}/scale",
	  .permissions = MODIFY,
	  .handle = handle_scale,
	  .tag = "operators",
	  .summary = "Set the number of instances by hand, or give it back "
		     "to the strategy.",
	  .request_schema = "ScaleRequest",
	  .answer_schema = "Agent",
	  .example = "{\"instances\":2}" },
	{ .method = "POST",
	  .pattern = "/admin/v1/agents/{name}/restart",
	  .permissions = PERMISSION_RESTART_AGENT,
	  .handle = handle_restart,
	  .answer_status = 202,
	  .tag = "operators",
	  .summary = "Replace every instance, one after the other, without "
		     "losing a call." },
	{ .method = "GET",
	  .pattern = "/admin/v1/plugins",
	  .permissions = METRICS,
	  .handle = handle_plugins,
	  .tag = "operators",
	  .summary = "The plugins found, with what is wrong with those that "
		     "are refused.",
	  .answer_schema = "PluginList" },
	{ .method = "GET",
	  .pattern = "/admin/v1/plugins/{kind}/{name}",
	  .permissions = METRICS,
	  .handle = handle_plugin,
	  .tag = "operators",
	  .summary = "One component with its options." },
	{ .method = "POST",
	  .pattern = "/admin/v1/reload",
	  .permissions = MODIFY,
	  .handle = handle_reload,
	  .tag = "operators",
	  .summary = "Read the configuration again. A bad one changes "
		     "nothing.",
	  .request_schema = "ReloadRequest",
	  .answer_schema = "ReloadAnswer",
	  .example = "{\"now\":false}" },
	{ .method = "GET",
	  .pattern = "/admin/v1/logs",
	  .permissions = LOGS,
	  .handle = handle_logs,
	  .tag = "operators",
	  .summary = "The last lines of the log. With view_public_logs: "
		     "without users, addresses and texts.",
	  .query = "agent,request,limit,follow",
	  .answer_type = NDJSON },
	{ .method = "GET",
	  .pattern = "/admin/v1/keys",
	  .permissions = SEE_ALL,
	  .handle = handle_keys,
	  .tag = "operators",
	  .summary = "The API keys without their secrets, newest first. "
		     "`limit` rows (1000), and `next` to give as `after` for "
		     "those behind them.",
	  .query = "after,limit",
	  .answer_schema = "KeyList" },
	{ .method = "POST",
	  .pattern = "/admin/v1/keys",
	  .permissions = MODIFY,
	  .handle = handle_key_create,
	  .answer_status = 201,
	  .tag = "operators",
	  .summary = "Make a key. It is shown this once.",
	  .request_schema = "KeyRequest",
	  .answer_schema = "KeyCreated",
	  .example = "{\"role\":\"caller\",\"agents\":[\"echo\"],"
		     "\"expires\":\"30d\"}" },
	{ .method = "POST",
	  .pattern = "/admin/v1/keys/{id}/rotate",
	  .permissions = MODIFY,
	  .handle = handle_key_rotate,
	  .tag = "operators",
	  .summary = "Give a key a new secret, shown this once. The old one "
		     "stays good for `grace` (24h; 0: not at all).",
	  .request_schema = "KeyRotateRequest",
	  .answer_schema = "KeyCreated",
	  .example = "{\"grace\":\"24h\"}" },
	{ .method = "DELETE",
	  .pattern = "/admin/v1/keys/{id}",
	  .permissions = MODIFY,
	  .handle = handle_key_revoke,
	  .tag = "operators",
	  .summary = "Revoke a key, at once and everywhere. Calls under way "
		     "end by themselves; the last admin stays (409)." },
	{ .method = "GET",
	  .pattern = "/admin/v1/compliance",
	  .permissions = SEE_ALL,
	  .handle = handle_compliance,
	  .tag = "operators",
	  .summary = "Run the compliance checks: a key is made, used and "
		     "revoked, listeners, files and processes are probed.",
	  .answer_schema = "ComplianceReport" },
	{ .method = "POST",
	  .pattern = "/admin/v1/compliance/acceptances",
	  .permissions = MODIFY,
	  .handle = handle_compliance_accept,
	  .answer_status = 201,
	  .tag = "operators",
	  .summary = "Let a failed check pass for a time, with a reason.",
	  .request_schema = "ComplianceAcceptance",
	  .answer_schema = "ComplianceAcceptance",
	  .example = "{\"id\":\"clock_sync\",\"reason\":\"the host's clock "
		     "is kept by its hypervisor\",\"expires\":\"90d\"}" },
	LATER("POST", "/admin/v1/agents", PERMISSION_CREATE_AGENT, "operators",
	      "Create an agent."),
	LATER("PUT", "/admin/v1/agents/{name}", MODIFY, "operators",
	      "Change an agent."),
	LATER("DELETE", "/admin/v1/agents/{name}", PERMISSION_DELETE_AGENT,
	      "operators", "Delete an agent."),
	LATER("GET", "/admin/v1/agents/{name}/revisions", METRICS, "operators",
	      "An agent's revisions."),
	LATER("POST", "/admin/v1/agents/{name}/deployments", MODIFY,
	      "operators", "Deploy a new revision."),
	LATER("POST", "/admin/v1/agents/{name}/undo", MODIFY, "operators",
	      "Go back to an earlier revision."),
	LATER("GET", "/admin/v1/deployments/{id}", METRICS, "operators",
	      "How a rollout is."),
	LATER("POST", "/admin/v1/deployments/{id}/promote", MODIFY, "operators",
	      "Take a rollout's next step."),
	LATER("POST", "/admin/v1/deployments/{id}/abort", MODIFY, "operators",
	      "Take a rollout back."),
	LATER("POST", "/admin/v1/deployments/{id}/pause", MODIFY, "operators",
	      "Hold a rollout."),
	LATER("POST", "/admin/v1/deployments/{id}/resume", MODIFY, "operators",
	      "Let it go on."),
	LATER("POST", "/admin/v1/deployments/{id}/retry", MODIFY, "operators",
	      "Try a failed rollout again."),
	LATER("GET", "/admin/v1/scaling/events", METRICS, "operators",
	      "What scaling did and why."),
	LATER("GET", "/admin/v1/alerts", METRICS, "operators",
	      "Alerts and their state."),
	LATER("POST", "/admin/v1/alerts/silences", MODIFY, "operators",
	      "Silence an alert."),
	LATER("GET", "/admin/v1/audit", PERMISSION_VIEW_LOGS, "operators",
	      "Search the audit log."),
	LATER("GET", "/admin/v1/queues", METRICS, "operators",
	      "Queues and their depth."),
	LATER("POST", "/admin/v1/backup", MODIFY, "operators",
	      "Back the state up."),
};

const size_t route_count = ARRAY_SIZE(routes);
