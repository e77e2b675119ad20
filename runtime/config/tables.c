/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Every key of the host, a table a group.  The section "Reference" of
 * docs/configuration.md is made from these tables, by the unit test that
 * also holds the two together.
 */

#include "config/agent_priv.h"
#include "config/config_priv.h"
#include "core/loop.h"
#include "core/memory.h"

#define TABLE(rows)                              \
	{                                        \
		(rows), ARRAY_SIZE(rows), false, \
	}
#define TABLE_OPEN(rows)                        \
	{                                       \
		(rows), ARRAY_SIZE(rows), true, \
	}

#define MIB	   ((int64_t)1024 * 1024)
#define DAY_MS	   ((int64_t)24 * 60 * 60 * 1000)
#define TOKENS_MAX 10000000

/* A row: name, type, field, default, help, and what else the type needs. */
#define ROW(key_name, key_type, at, value, text, ...)             \
	{                                                         \
		.name = key_name, .type = key_type, .offset = at, \
		.fallback = value, .help = text, __VA_ARGS__      \
	}
#define BOOL(name, at, value, help) ROW(name, KEY_BOOL, at, value, help, )
#define INT(name, at, low, high, value, help) \
	ROW(name, KEY_INT, at, value, help, .minimum = low, .maximum = high)
#define DURATION(name, at, low, high, one, value, help)          \
	ROW(name, KEY_DURATION, at, value, help, .minimum = low, \
	    .maximum = high, .unit = one)
#define STRING(name, at, value, help) ROW(name, KEY_STRING, at, value, help, )
#define NEEDED(name, at, help) \
	ROW(name, KEY_STRING, at, "", help, .flags = KEY_REQUIRED)
#define STRINGS(name, at, help) ROW(name, KEY_STRINGS, at, "", help, )
#define CHOICE(name, at, value, list, help) \
	ROW(name, KEY_CHOICE, at, value, help, .words = list)
#define GROUP(name, at, table, help) \
	ROW(name, KEY_GROUP, at, "", help, .members = table)
#define GROUPS(name, at, table, help) \
	ROW(name, KEY_GROUPS, at, "", help, .members = table)
#define OPTIONS(name, at, table, help) \
	ROW(name, KEY_OPTIONS, at, "", help, .members = table)
/* A key of a later version: only the default is taken. */
#define LATER(name, type, value, help) \
	ROW(name, type, KEY_NOWHERE, value, help, .flags = KEY_LATER, .unit = 1)

/* --- components ---------------------------------------------------------- */

#define COMPONENT(field) offsetof(struct config_component, field)
static const struct key component_rows[] = {
	NEEDED("plugin", COMPONENT(plugin),
	       "the component; its options stand beside this key"),
};
const struct key_table component_keys = TABLE_OPEN(component_rows);

static const struct key sink_rows[] = {
	NEEDED("plugin", COMPONENT(plugin),
	       "the component; its options stand beside this key"),
	BOOL("required", COMPONENT(required), "false",
	     "control actions wait until this sink keeps their records; one sink is; default: the first `file`, else the first"),
};
const struct key_table sink_keys = TABLE_OPEN(sink_rows);

/* --- scaling ------------------------------------------------------------- */

#define POLICY(field) offsetof(struct policy_reading, field)
static const char *const policy_words[] = { [SCALING_POLICY_COUNT] = "count",
					    [SCALING_POLICY_PERCENT] =
						    "percent",
					    NULL };
static const struct key policy_rows[] = {
	CHOICE("type", POLICY(type), "count", policy_words,
	       "instances, or percent of those there were when the period began"),
	INT("value", POLICY(value), 1, 100000, "1", "how many at most"),
	DURATION("period_s", POLICY(period_ms), 1000, SCALING_PERIOD_MAX_MS,
		 1000, "15s", "within this time"),
};
const struct key_table policy_keys = TABLE(policy_rows);

#define RULES(field) offsetof(struct scaling_rules_reading, field)
static const char *const select_words[] = { [SCALING_SELECT_MAX] = "max",
					    [SCALING_SELECT_MIN] = "min",
					    [SCALING_SELECT_DISABLED] =
						    "disabled",
					    NULL };
#define RULE_ROWS(stabilization, stabilization_help, cooldown_help)                                  \
	DURATION("stabilization_s", RULES(stabilization_ms), 0, 3600000, 1000,                       \
		 stabilization, stabilization_help),                                                 \
		DURATION("cooldown_s", RULES(cooldown_ms), 0, 3600000, 1000,                         \
			 "0s", cooldown_help),                                                       \
		ROW("tolerance", KEY_FLOAT, RULES(tolerance), "0",                                   \
		    "a change by less than this share of the instances is left alone", ),            \
		CHOICE("select", RULES(select), "max", select_words,                                 \
		       "which policy counts: the one that allows most, least, or no change at all"), \
		GROUPS("policies", RULES(policies), &policy_keys,                                    \
		       "how fast, at most 8 of them; none: as fast as advised")

static const struct key up_rows[] = {
	RULE_ROWS("0s", "added is the least that was advised within this time",
		  "no more are added until so long after some were"),
};
static const struct key_table up_keys = TABLE(up_rows);
static const struct key down_rows[] = {
	RULE_ROWS(
		"60s",
		"kept is the most that was advised within this time; absent: as the strategy says, and where it says nothing the default",
		"none is removed until so long after some were added or removed"),
};
static const struct key_table down_keys = TABLE(down_rows);

#define SCALING(field) offsetof(struct scaling_reading, field)
static const struct key scaling_rows[] = {
	STRING("plugin", SCALING(plugin), "concurrency",
	       "the strategy; its options stand beside this key"),
	DURATION("target_wait_ms", SCALING(target_wait_ms), 1, DAY_MS, 1,
		 "1000", "calls should not wait longer for an instance"),
	BOOL("dry_run", SCALING(dry_run), "false",
	     "decide and tell (`atomctl scaling events`), but change nothing"),
	GROUP("scale_up", SCALING(up), &up_keys,
	      "what bounds the way up, whatever the strategy says"),
	GROUP("scale_down", SCALING(down), &down_keys,
	      "what bounds the way down"),
};
const struct key_table scaling_keys = TABLE_OPEN(scaling_rows);

/* --- deployment ---------------------------------------------------------- */

#define DEPLOYMENT(field) offsetof(struct deployment_reading, field)
static const char *const at_end_words[] = { [ROLLOUT_END_PROMOTE] = "promote",
					    [ROLLOUT_END_PAUSE] = "pause",
					    [ROLLOUT_END_ABORT] = "abort",
					    NULL };
static const char *const compliance_words[] = {
	[CONFIG_COMPLIANCE_ENVIRONMENT] = "environment",
	[CONFIG_COMPLIANCE_NONE] = "none",
	[CONFIG_COMPLIANCE_CRITICAL] = "critical",
	[CONFIG_COMPLIANCE_ALL] = "all",
	NULL
};
static const struct key_table judge_keys = { NULL, 0, true };

#define WEBHOOK(field) offsetof(struct webhook_reading, field)
static const struct key webhook_rows[] = {
	NEEDED("url", WEBHOOK(url), "where a POST of JSON goes"),
	ROW("secret", KEY_STRING, WEBHOOK(secret), "",
	    "it is signed with this; empty: not signed", .flags = KEY_SECRET),
	STRINGS("when", WEBHOOK(when),
		"of `before` (asked before anything starts), `step` (asked at each step), `after` (told how it ended); empty: all"),
	DURATION("timeout_ms", WEBHOOK(timeout_ms), 1, 3600000, 1, "10000",
		 "the longest it may take to answer"),
	BOOL("required", WEBHOOK(required), "true",
	     "any other answer than 2xx, and none in time, ends the rollout"),
};
const struct key_table webhook_keys = TABLE(webhook_rows);

#define WINDOW(field) offsetof(struct window_reading, field)
static const struct key window_rows[] = {
	NEEDED("cron", WINDOW(cron),
	       "when it begins, in local time: minute, hour, day of month, month, day of week"),
	DURATION("duration_ms", WINDOW(duration_ms), 60000, 31 * DAY_MS, 1,
		 "3600000", "how long it lasts"),
	STRING("reason", WINDOW(reason), "", "told to whoever deploys"),
};
const struct key_table window_keys = TABLE(window_rows);
static const struct key deployment_rows[] = {
	STRING("plugin", DEPLOYMENT(plugin), "rolling",
	       "the strategy; its options stand beside this key"),
	STRING("judge", DEPLOYMENT(judge), "sequential",
	       "what says whether the new revision is worse; \"none\": nothing does"),
	OPTIONS("judge_options", DEPLOYMENT(judge_options), &judge_keys,
		"options of the judge"),
	DURATION(
		"rollback_window_ms", DEPLOYMENT(rollback_window_ms), 0,
		7 * DAY_MS, 1, "600000",
		"the old revision stays warm so long after, for an instant way back"),
	DURATION(
		"progress_deadline_ms", DEPLOYMENT(progress_deadline_ms), 0,
		7 * DAY_MS, 1, "600000",
		"without progress for so long the new revision is given up; 0: never"),
	INT("failed_starts", DEPLOYMENT(failed_starts), 0, 1000, "3",
	    "more failed starts than this in a step, and it is given up"),
	INT("min_samples", DEPLOYMENT(min_samples), 0, 1000000000, "1",
	    "calls of the new revision that make a judgement"),
	CHOICE("on_undecided", DEPLOYMENT(on_undecided), "promote",
	       at_end_words, "at the end, when the judge has not decided"),
	CHOICE("on_no_data", DEPLOYMENT(on_no_data), "promote", at_end_words,
	       "at the end, with fewer calls than `min_samples`"),
	STRING("grader", DEPLOYMENT(grader.agent), "",
	       "an agent that scores answers for `bad_events.rated_below`, and those of a replay; empty: none"),
	STRING("grader_criteria", DEPLOYMENT(grader.criteria), "",
	       "what a good answer is, for the grader; empty: helpful, correct and safe"),
	ROW("grader_percent", KEY_FLOAT, DEPLOYMENT(grader.percent), "5",
	    "share of the answered calls that are graded while a rollout runs, in percent", ),
	INT("grader_tokens_per_hour", DEPLOYMENT(grader.tokens_per_hour), 0,
	    TOKENS_MAX, "100000",
	    "what the gradings of a rollout may use in an hour, 20000 at least; 0: no limit"),
	DURATION("grader_timeout_ms", DEPLOYMENT(grader.timeout_ms), 1, DAY_MS,
		 1, "60000", "a grading that takes longer gives no score"),
	DURATION(
		"step_timeout_ms", DEPLOYMENT(step_timeout_ms), 0, DAY_MS, 1,
		"60000",
		"the longest that a step of the workflow before the first weight may take; 0: any time"),
	CHOICE("compliance", DEPLOYMENT(compliance), "environment",
	       compliance_words,
	       "which failed checks of `atomctl compliance` stop a deployment; environment: critical ones where the file says `environment = \"production\"`, else none"),
	GROUPS("freeze_windows", DEPLOYMENT(freeze_windows), &window_keys,
	       "when this agent is not deployed, as after `atomctl freeze`; at most 64"),
	GROUPS("webhooks", DEPLOYMENT(webhooks), &webhook_keys,
	       "who is asked before a rollout and at its steps, and told of its end; at most 8"),
};
const struct key_table deployment_keys = TABLE_OPEN(deployment_rows);

/* --- agents -------------------------------------------------------------- */

#define MEMORY(field) offsetof(struct config_memory, field)
static const struct key memory_rows[] = {
	INT("max_messages", MEMORY(max_messages), 1, 100000, "50",
	    "messages kept of a session; the oldest pairs go first"),
	DURATION("max_age", MEMORY(max_age_ms), 1000, 3650 * DAY_MS, 0, "30d",
		 "a session unused for so long is forgotten"),
	INT("max_sessions", MEMORY(max_sessions), 1, 10000000, "100000",
	    "sessions kept; the longest unused goes first"),
};
static const struct key_table memory_keys = TABLE(memory_rows);

#define INSTANCES(field) offsetof(struct config_instances, field)
static const struct key_table anything = { NULL, 0, true };
static const struct key instances_rows[] = {
	INT("min", INSTANCES(min), 0, 10000, "1", "instances always there"),
	INT("max", INSTANCES(max), 1, 10000, "10",
	    "the most that scaling may start; at least `min`"),
	INT("concurrency", INSTANCES(concurrency), 1, 100000, "1",
	    "calls that one instance takes at once"),
	OPTIONS("memory_optimized", INSTANCES(memory_optimized), &anything,
		"options of the backend that differ for the instances which "
		"a strategy asks for as memory optimized"),
};
static const struct key_table instances_keys = TABLE(instances_rows);

#define QUEUE(field) offsetof(struct config_queue, field)
static const struct key queue_rows[] = {
	INT("depth", QUEUE(depth), 0, 1000000, "100",
	    "calls that may wait; 0: none waits"),
	DURATION("timeout_ms", QUEUE(timeout_ms), 0, DAY_MS, 1, "5000",
		 "the longest a call waits for an instance"),
};
static const struct key_table queue_keys = TABLE(queue_rows);

#define TIMEOUTS(field) offsetof(struct config_timeouts, field)
static const struct key timeouts_rows[] = {
	DURATION("connect_ms", TIMEOUTS(connect_ms), 1, DAY_MS, 1, "2000",
		 "to reach the backend"),
	DURATION("first_token_ms", TIMEOUTS(first_token_ms), 1, DAY_MS, 1,
		 "60000", "streams: until the first piece of the answer"),
	DURATION("stall_ms", TIMEOUTS(stall_ms), 1, DAY_MS, 1, "60000",
		 "streams: between two pieces of the answer"),
	DURATION("total_ms", TIMEOUTS(total_ms), 1, DAY_MS, 1, "600000",
		 "the whole call"),
};
static const struct key_table timeouts_keys = TABLE(timeouts_rows);

#define LIMITS(field) offsetof(struct config_limits, field)
static const struct key agent_limit_rows[] = {
	INT("requests_per_minute", LIMITS(requests_per_minute), -1,
	    CONFIG_RATE_MAX, "-1",
	    "0: no limit; -1: as `security.rate_limits.agent`"),
	INT("tokens_per_minute", LIMITS(tokens_per_minute), -1, CONFIG_RATE_MAX,
	    "-1", "0: no limit; -1: as `security.rate_limits.agent`"),
	INT("concurrent", LIMITS(concurrent), -1, CONFIG_CONCURRENT_MAX, "-1",
	    "calls at once, those that wait included; 0: no limit; -1: as `security.rate_limits.agent`"),
};
static const struct key_table agent_limit_keys = TABLE(agent_limit_rows);

#define AGENT(field) offsetof(struct agent_reading, agent.field)
static const struct key probe_rows[] = {
	STRING("input", AGENT(probe_input), "",
	       "what the probe asks; empty: `ping` where every_ms asks it"),
	ROW("every_ms", KEY_DURATION, AGENT(probe_every_ms), "0",
	    "time between two probes, a second at least; 0: none, readiness only",
	    .maximum = DAY_MS, .unit = 1),
};
static const struct key_table probe_keys = TABLE(probe_rows);

#define BAD(field) AGENT(bad_events.field)
static const struct key bad_event_rows[] = {
	BOOL("error", BAD(error), "true", "a call that failed"),
	DURATION("slower_than_ms", BAD(slower_than_ms), 0, DAY_MS, 1, "0",
		 "a call slower than this; 0: does not count"),
	DURATION("first_token_slower_than_ms", BAD(first_token_slower_than_ms),
		 0, DAY_MS, 1, "0",
		 "a stream's first piece later than this; 0: does not count"),
	INT("tokens_above", BAD(tokens_above), 0, TOKENS_MAX, "0",
	    "a call of more tokens, input and output together; 0: does not count"),
	BOOL("invalid_json", BAD(invalid_json), "false",
	     "a chat answer that is no JSON though `response_format` asked for it"),
	ROW("rated_below", KEY_FLOAT, BAD(rated_below), "0",
	    "feedback, or the grader's score, below this, 0 to 1; 0: does not count", ),
};
static const struct key_table bad_event_keys = TABLE(bad_event_rows);

static const char *const caller_system_words[] = { "keep", "refuse", NULL };

static const struct key agent_rows[] = {
	NEEDED("name", AGENT(name),
	       "what callers use: lower-case letters, digits, `_`, `.`, `-`; at most 63"),
	ROW("backend", KEY_OPTIONS, AGENT(backend_options), "", "what answers",
	    .flags = KEY_REQUIRED, .members = &component_keys),
	STRING("system_prompt", AGENT(system_prompt), "",
	       "placed before the caller's messages"),
	CHOICE("caller_system", offsetof(struct agent_reading, caller_system),
	       "keep", caller_system_words,
	       "system messages of the caller: kept, or refused with 400"),
	INT("max_tokens", AGENT(max_tokens), 0, TOKENS_MAX, "0",
	    "max_tokens of a call that states none; 0: `token_limit`"),
	GROUP("memory", AGENT(memory), &memory_keys,
	      "sessions; absent: every call stands alone"),
	GROUP("instances", AGENT(instances), &instances_keys,
	      "capacity; absent for HTTP backends: one instance of 1000 calls"),
	GROUP("queue", AGENT(queue), &queue_keys,
	      "the waiting room in front of the instances"),
	GROUP("timeouts", AGENT(timeouts), &timeouts_keys,
	      "the deadlines of a call"),
	GROUP("rate_limits", AGENT(rate_limits), &agent_limit_keys,
	      "how much all its callers together may ask"),
	GROUP("probe", 0, &probe_keys, "a synthetic call"),
	OPTIONS("scaling", offsetof(struct agent_reading, scaling),
		&scaling_keys, "how many instances; absent: `min`"),
	OPTIONS("deployment", offsetof(struct agent_reading, deployment),
		&deployment_keys,
		"how a new revision replaces the old one; absent: rolling"),
	GROUP("bad_events", 0, &bad_event_keys,
	      "what counts against a revision"),
};
const struct key_table agent_keys = TABLE(agent_rows);

/* --- listeners ----------------------------------------------------------- */

#define LISTENER(field) offsetof(struct config_listener, field)
static const char *const client_certificate_words[] = {
	[CONFIG_CERTIFICATE_REQUIRED] = "required",
	[CONFIG_CERTIFICATE_OPTIONAL] = "optional",
	NULL
};
static const struct key tls_rows[] = {
	STRING("certificate", LISTENER(certificate), "",
	       "PEM file, the chain in order; empty: no TLS"),
	STRING("key", LISTENER(key), "", "PEM file of its private key"),
	STRING("client_ca", LISTENER(client_ca), "",
	       "PEM file: the authorities of client certificates; empty: none is asked for"),
	STRING("client_crl", LISTENER(client_crl), "",
	       "PEM file: a revocation list of each of those authorities"),
	CHOICE("client_certificate", LISTENER(client_certificate), "required",
	       client_certificate_words,
	       "with `client_ca`: may a client come without a certificate?"),
};
static const struct key_table tls_keys = TABLE(tls_rows);

static const struct key listener_rows[] = {
	NEEDED("address", LISTENER(address),
	       "`\"127.0.0.1:8080\"`, `\"[::1]:8080\"`, `\"localhost:8080\"` or `\"unix:PATH\"`; port 0: any free one"),
	GROUP("tls", 0, &tls_keys, "HTTPS"),
	STRINGS("trusted_proxies", LISTENER(trusted_proxies),
		"addresses (`\"10.0.0.0/8\"`) whose X-Forwarded-For is believed; `\"unix\"`: whoever connects to a unix address"),
	BOOL("proxy_protocol", LISTENER(proxy_protocol), "false",
	     "TCP only: each connection begins with a PROXY v2 header; `trusted_proxies` alone may connect"),
	BOOL("admin", LISTENER(admin), "false",
	     "unix only: root, the daemon's user and `admin_group` are admin"),
	STRING("admin_group", LISTENER(admin_group), "",
	       "a group of the system whose members are admin as well"),
};
const struct key_table listener_keys = TABLE(listener_rows);

/* --- security ------------------------------------------------------------ */

#define ROLE(field) offsetof(struct config_role, field)
static const struct key role_rows[] = {
	NEEDED("name", ROLE(name), "a name of its own"),
	STRINGS("permissions", ROLE(permissions), "what it may do"),
};
const struct key_table role_keys = TABLE(role_rows);

#define JWT_ROLE(field) offsetof(struct config_jwt_role, field)
static const struct key jwt_role_rows[] = {
	NEEDED("claim", JWT_ROLE(claim), "a value of the claim, exactly"),
	NEEDED("role", JWT_ROLE(role), "the role it gives"),
};
const struct key_table jwt_role_keys = TABLE(jwt_role_rows);

#define JWT(field) offsetof(struct config_jwt, field)
static const struct key jwt_rows[] = {
	STRING("issuer", JWT(issuer), "",
	       "whose tokens are taken: their `iss`, exactly; empty: the entry is off"),
	STRING("audience", JWT(audience), "",
	       "for whom they must be made: one of their `aud`, exactly"),
	STRING("jwks", JWT(jwks), "",
	       "the issuer's keys: a file, or an https URL (http: this machine only)"),
	STRING("ca_file", JWT(ca_file), "",
	       "PEM file: who vouches for the URL's server; empty: the system's authorities"),
	STRING("role_claim", JWT(role_claim), "role",
	       "the claim to look at; dots lead into objects: `realm_access.roles`"),
	STRING("agents_claim", JWT(agents_claim), "",
	       "a claim that names the agents a token is for; empty: all"),
	DURATION("leeway", JWT(leeway_ms), 0, 300000, 0, "30s",
		 "how far the issuer's clock may be off"),
	DURATION("refresh", JWT(refresh_ms), 1000, DAY_MS, 0, "5m",
		 "how often the keys are fetched; nothing else fetches them"),
	DURATION("max_stale", JWT(max_stale_ms), 1000, 3650 * DAY_MS, 0, "24h",
		 "how long the last good keys count when fetching fails"),
	GROUPS("roles", JWT(role_list), &jwt_role_keys,
	       "claim to role; the first row that fits counts"),
};
const struct key_table jwt_keys = TABLE(jwt_rows);

#define CERTIFICATE(field) offsetof(struct config_client_certificate, field)
static const struct key client_certificate_rows[] = {
	STRING("subject", CERTIFICATE(subject), "",
	       "the whole subject as RFC 4514 writes it: `\"CN=ops,O=Example\"`"),
	STRING("uri", CERTIFICATE(uri), "",
	       "or a URI among its alternative names"),
	STRING("dns", CERTIFICATE(dns), "",
	       "or a DNS name among them; no wildcards"),
	STRING("email", CERTIFICATE(email), "", "or a mail address among them"),
	NEEDED("role", CERTIFICATE(role), "the role it gives"),
	STRINGS("agents", CERTIFICATE(agents),
		"the agents it may use; empty: all"),
};
const struct key_table client_certificate_keys = TABLE(client_certificate_rows);

static const struct key limit_rows[] = {
	INT("requests_per_minute", LIMITS(requests_per_minute), 0,
	    CONFIG_RATE_MAX, "0", "0: no limit"),
	INT("tokens_per_minute", LIMITS(tokens_per_minute), 0, CONFIG_RATE_MAX,
	    "0", "input and output together; 0: no limit"),
	INT("concurrent", LIMITS(concurrent), 0, CONFIG_CONCURRENT_MAX, "0",
	    "calls at once, those that wait included; 0: no limit"),
};
static const struct key_table limit_keys = TABLE(limit_rows);

#define ENCRYPTION(field) offsetof(struct config_encryption, field)
static const struct key encryption_rows[] = {
	ROW("key", KEY_STRING, ENCRYPTION(key_file), "",
	    "the key-encryption key: `\"${file:PATH}\"` with 32 random bytes, 64 hexadecimal digits or 44 characters of base64; empty: a key file is made in the state folder",
	    .flags = KEY_SECRET),
	STRING("credential", ENCRYPTION(credential), "",
	       "or: the systemd credential that holds it"),
	STRINGS("command", ENCRYPTION(command),
		"or: a program, without a shell, that writes it to its standard output"),
	ROW("previous_key", KEY_STRING, ENCRYPTION(previous_key_file), "",
	    "`\"${file:PATH}\"` of the key before, until the next start or reload has wrapped the data keys anew",
	    .flags = KEY_SECRET),
};
static const struct key_table encryption_keys = TABLE(encryption_rows);

#define CONFIG(field) offsetof(struct config_holder, config.field)
#define HOLDER(field) offsetof(struct config_holder, field)
static const struct key rate_limit_rows[] = {
	GROUP("key", CONFIG(key_limits), &limit_keys,
	      "of each key that has none of its own, and of callers without a key together"),
	GROUP("agent", CONFIG(agent_limits), &limit_keys,
	      "of each agent that has none of its own, all its callers together"),
};
static const struct key_table rate_limit_keys = TABLE(rate_limit_rows);
#define LOCKOUT(field) offsetof(struct config_lockout, field)
static const struct key lockout_rows[] = {
	INT("failures", LOCKOUT(failures), 0, 1000000, "10",
	    "wrong credentials from one address within `window_ms` that lock it out; 0: nothing does"),
	DURATION("window_ms", LOCKOUT(window_ms), 1000, DAY_MS, 1, "60000",
		 "from its first wrong credential on"),
	DURATION("ban_ms", LOCKOUT(ban_ms), 1000, DAY_MS, 1, "60000",
		 "the first lock-out; each one that follows is twice as long"),
	DURATION("ban_max_ms", LOCKOUT(ban_max_ms), 1000, DAY_MS, 1, "3600000",
		 "the longest; quiet for so long an address starts anew"),
};
static const struct key_table lockout_keys = TABLE(lockout_rows);
static const char *const audit_call_words[] = { "batched", "strict", "none",
						NULL };

static const struct key security_rows[] = {
	STRING("anonymous_role", CONFIG(anonymous_role), "",
	       "the role of callers without a key, where every listener is loopback or unix"),
	STRINGS("anonymous_agents", CONFIG(anonymous_agents),
		"the agents that callers without a key may use; empty: all"),
	ROW("bootstrap_admin_key", KEY_STRING, CONFIG(bootstrap_admin_key), "",
	    "a key with the role admin, to make the first keys with",
	    .flags = KEY_SECRET),
	GROUPS("roles", HOLDER(role_list), &role_keys,
	       "roles beside admin, operator, read_only and caller"),
	CHOICE("audit_calls", CONFIG(audit_calls), "batched", audit_call_words,
	       "records of calls, with audit_sinks: durable within a second, before the answer's last byte, or not made"),
	GROUP("lockout", CONFIG(lockout), &lockout_keys,
	      "addresses that guess; a valid key is never refused"),
	GROUPS("jwt", HOLDER(jwt_list), &jwt_keys, "tokens of other issuers"),
	GROUPS("client_certificates", HOLDER(certificate_list),
	       &client_certificate_keys,
	       "roles of clients with a certificate of `client_ca`; the first that fits counts"),
	GROUP("rate_limits", 0, &rate_limit_keys, "how much a caller may ask"),
	GROUP("encryption", CONFIG(encryption), &encryption_keys,
	      "of everything that is stored"),
};
static const struct key_table security_keys = TABLE(security_rows);

/* --- the top ------------------------------------------------------------- */

static const struct key plugins_rows[] = {
	STRINGS("directories", CONFIG(plugin_directories),
		"folders searched beside the built-in one"),
	BOOL("watch", CONFIG(plugin_watch), "true",
	     "look through the folders when a file in them comes, changes or goes, not at a reload alone"),
	LATER("require_signature", KEY_BOOL, "false",
	      "load signed plugins only"),
	LATER("trusted_keys", KEY_STRINGS, "", "who may sign"),
	BOOL("load_in_place", CONFIG(plugin_load_in_place), "false",
	     "development: load the file itself, not a private copy"),
};
static const struct key_table plugins_keys = TABLE(plugins_rows);

static const struct key state_rows[] = {
	STRING("store", CONFIG(state_store), "sqlite",
	       "the component that keeps sessions, keys and agents"),
	STRING("directory", CONFIG(state_directory), ATOMD_STATE_DIR,
	       "made when absent, mode 0700"),
};
const struct key_table state_keys = TABLE_OPEN(state_rows);

static const char *const log_words[] = { "error", "warn",    "info",
					 "debug", "journal", NULL };

static const struct key host_rows[] = {
	STRING("environment", CONFIG(environment), "production",
	       "a word; chooses files by `${environment}`"),
	INT("max_agents", CONFIG(max_agents), 1, 100000, "100",
	    "instances, all agents together"),
	INT("revision_history", CONFIG(revision_history), 1,
	    CONFIG_REVISION_HISTORY_MAX, "10",
	    "revisions kept of each agent besides the one in force, to look at and to go back to"),
	ROW("memory_limit", KEY_SIZE, CONFIG(memory_limit_mib), "1000",
	    "daemon and instances together; refuses starts, kills nobody; 0: no limit",
	    .maximum = 1 << 30, .unit = MIB),
	INT("token_limit", CONFIG(token_limit), 0, TOKENS_MAX, "500",
	    "max_tokens of a call that states none; 0: the body is left alone"),
	BOOL("monitoring_enabled", CONFIG(monitoring_enabled), "true",
	     "run the monitors, keep the metric history"),
	DURATION("monitoring_interval", CONFIG(monitoring_interval_ms), 1000,
		 15000, 0, "15s",
		 "how often metrics are sampled and monitors told of them"),
	INT("workers", CONFIG(workers), 0, LOOP_MAX, "0",
	    "event loops; 0: one a core"),
	CHOICE("log_level", HOLDER(log_word), "info", log_words,
	       "JSON lines on standard error; journal: to systemd's journal"),
	STRING("user", CONFIG(user), "",
	       "switch to this user once the addresses are bound"),
	STRINGS("include", KEY_NOWHERE, "more files; main file only"),
	GROUP("plugins", 0, &plugins_keys, "where plugins come from"),
	OPTIONS("state", HOLDER(state_group), &state_keys,
		"where things are kept"),
	GROUPS("listeners", HOLDER(listener_list), &listener_keys,
	       "where calls come in"),
	GROUPS("freeze_windows", HOLDER(window_list), &window_keys,
	       "when no agent is deployed, as after `atomctl freeze`; at most 64"),
	GROUPS("agents", HOLDER(agent_list), &agent_keys, "the agents"),
	GROUPS("monitors", HOLDER(monitor_list), &component_keys,
	       "components that watch"),
	GROUPS("audit_sinks", HOLDER(sink_list), &sink_keys,
	       "components that keep audit records"),
	GROUP("security", 0, &security_keys, "who may do what"),
};
const struct key_table host_keys = TABLE(host_rows);
