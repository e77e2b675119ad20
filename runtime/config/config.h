/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

/*
 * The checked configuration: the host's own keys in structs, the plugins'
 * options still as settings (their tables are the plugins', see
 * plugin/options.h).
 *
 * Reading never ends or hangs the process, whatever the files hold: only
 * regular files, each at most 4 MiB and 1,000 of them, nesting at most 64,
 * libconfig's @include refused before libconfig sees it, big integers
 * refused.  What is wrong is collected (up to 50 messages "FILE:LINE: what"),
 * not only the first.
 *
 * A configuration is immutable and counted: the control thread and revisions
 * made from it hold references.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

#include "config/setting.h"
#include "core/buffer.h"
#include "plugins/scaling/schedule/cron.h"
#include "rollout/rollout.h"
#include "scaling/control.h"

#define CONFIG_ERRORS_MAX 50

/* The rest of an agent's memory, instances, queue ... groups as CONTRACT
 * writes them; 0 and false are the inactive values unless a default is
 * said. */
struct config_memory {
	bool present;	      /* absent: stateless */
	int64_t max_messages; /* 50 */
	int64_t max_age_ms;   /* 30 d */
	int64_t max_sessions; /* 100,000 */
};

struct config_instances {
	bool present;
	int64_t min;	     /* 1 */
	int64_t max;	     /* 10, at least min */
	int64_t concurrency; /* 1; shared and blocking backends without the
				group: one instance of 1,000 */
	const struct setting *memory_optimized; /* NULL: no such group */
};

struct config_queue {
	int64_t depth;	    /* 100 */
	int64_t timeout_ms; /* 5,000 */
};

struct config_timeouts {
	int64_t connect_ms;	/* 2,000 */
	int64_t first_token_ms; /* 60,000 */
	int64_t stall_ms;	/* 60,000 */
	int64_t total_ms;	/* 600,000 */
};

/* How much may be asked; 0 = no limit. */
#define CONFIG_LIMIT_UNSET (-1) /* what is said elsewhere holds */
struct config_limits {
	int64_t requests_per_minute;
	int64_t tokens_per_minute;
	int64_t concurrent; /* calls at once */
};
#define CONFIG_RATE_MAX	      1000000000
#define CONFIG_CONCURRENT_MAX 1000000

/* How many instances; no part of a revision: a change is in force at once. */
struct config_scaling {
	const char *plugin;	       /* NULL = stays at min */
	const struct setting *options; /* the group; NULL = none */
	int64_t target_wait_ms;	       /* 1,000 */
	struct scaling_settings settings;
};

/* An agent that scores answers while a rollout runs. */
#define CONFIG_CRITERIA_MAX 4000 /* bytes */
struct config_grader {
	const char *agent;	 /* "" = none */
	const char *criteria;	 /* "" = the built-in ones */
	double percent;		 /* 5: of the answered calls */
	int64_t tokens_per_hour; /* 100,000; 0 = no limit */
	int64_t timeout_ms;	 /* 60,000 */
};

/* When nothing is deployed: from the minutes of `cron` on, in local time. */
#define CONFIG_WINDOWS_MAX 64
struct config_freeze_window {
	struct cron cron;
	const char *text; /* of it */
	int64_t duration_ms;
	const char *reason;
};

/* Who is asked before a rollout and at its steps, and told of its end. */
#define CONFIG_WEBHOOKS_MAX 8
enum config_webhook_event {
	CONFIG_WEBHOOK_BEFORE,
	CONFIG_WEBHOOK_STEP,
	CONFIG_WEBHOOK_AFTER
};

struct config_webhook {
	const char *url;
	const char *secret; /* "" = not signed */
	unsigned int when;  /* bits 1 << enum config_webhook_event */
	int64_t timeout_ms; /* 10,000 */
	bool required;	    /* true: without its 2xx it goes back */
};

struct config_webhooks {
	const struct config_webhook *list;
	size_t count;
};

struct config_freeze_windows {
	const struct config_freeze_window *windows;
	size_t count;
};

/* How a new revision comes in; no part of it: a change is in force with the
 * next rollout. */
struct config_deployment {
	const char *plugin;		     /* "rolling" */
	const struct setting *options;	     /* the group; NULL = none */
	const char *judge;		     /* "sequential"; "" = none */
	const struct setting *judge_options; /* a group; NULL = none */
	struct config_grader grader;
	struct rollout_settings settings;
	int64_t step_timeout_ms; /* 60,000: of a step of the workflow */
	int compliance;		 /* enum config_compliance */
	struct config_freeze_windows freeze_windows;
	struct config_webhooks webhooks;
};

/* Which failed checks of the compliance report stop a deployment. */
enum config_compliance {
	/* CRITICAL where the file says `environment = "production"` */
	CONFIG_COMPLIANCE_ENVIRONMENT,
	CONFIG_COMPLIANCE_NONE,
	CONFIG_COMPLIANCE_CRITICAL,
	CONFIG_COMPLIANCE_ALL
};

/* What counts against a revision; no part of it: a change is in force with
 * the next rollout. */
struct config_bad_events {
	bool error;			    /* true: a call that failed */
	bool invalid_json;		    /* JSON was asked for */
	int64_t slower_than_ms;		    /* 0 = does not count */
	int64_t first_token_slower_than_ms; /* streams */
	int64_t tokens_above;		    /* input and output together */
	double rated_below;		    /* feedback; 0 to 1 */
};

struct config_agent {
	const char *name;
	const struct setting *setting;	       /* the agent's whole group */
	const char *backend;		       /* component name */
	const struct setting *backend_options; /* the group; `plugin` inside */
	const char *system_prompt;	       /* "" = none */
	bool refuse_caller_system;	       /* caller_system = "refuse" */
	int64_t max_tokens;		       /* 0 = token_limit */
	struct config_memory memory;
	struct config_instances instances;
	struct config_queue queue;
	struct config_timeouts timeouts;
	struct config_limits rate_limits; /* unset: agent_limits */
	const char *probe_input;	  /* see config_probe() */
	int64_t probe_every_ms;
	struct config_scaling scaling;
	struct config_bad_events bad_events;
	struct config_deployment deployment;
	uint8_t text_hash[32]; /* SHA-256 of the canonical text, secrets
				  unresolved */
};

/* Must a client show a certificate of client_ca? */
enum config_client_certificate_mode {
	CONFIG_CERTIFICATE_REQUIRED, /* the default */
	CONFIG_CERTIFICATE_OPTIONAL
};

struct config_listener {
	const char *address; /* "127.0.0.1:8080", "[::]:80", "unix:/path" */
	const struct setting *setting;
	const char *certificate; /* "" = no TLS */
	const char *key;
	const char *client_ca;	/* "" = no client certificates */
	const char *client_crl; /* "" = nothing is revoked */
	int client_certificate; /* enum config_client_certificate_mode */
	const char *const *trusted_proxies; /* NULL-ended CIDRs */
	bool proxy_protocol;		    /* TCP: PROXY v2 comes first */
	bool admin;			    /* unix only */
	const char *admin_group;	    /* "" = none */
};

struct config_role {
	const char *name;
	const char *const *permissions; /* NULL-ended, checked words */
};

/* When an address that sends wrong credentials is locked out. */
struct config_lockout {
	int64_t failures;   /* 10; 0 = never */
	int64_t window_ms;  /* 60,000 */
	int64_t ban_ms;	    /* 60,000: the first; doubled each time */
	int64_t ban_max_ms; /* 3,600,000 */
};

struct config_jwt_role {
	const char *claim; /* one value of the claim */
	const char *role;  /* checked: it exists */
};

/* An issuer whose tokens are taken; entries without an issuer are left out. */
struct config_jwt {
	const char *issuer;
	const char *audience;
	const char *jwks;	  /* absolute path, or URL */
	const char *ca_file;	  /* of the URL's server; "" = the system's */
	const char *role_claim;	  /* "role" */
	const char *agents_claim; /* "" = tokens are for every agent */
	int64_t leeway_ms;	  /* 30 s */
	int64_t refresh_ms;	  /* 5 min */
	int64_t max_stale_ms;	  /* 24 h */
	const struct config_jwt_role *roles;
	size_t role_count;
	const struct setting *role_list;
	const struct setting *setting;
};

/* Whose certificate is which role: exactly one of the four names is set. */
struct config_client_certificate {
	const char *subject; /* RFC 4514 */
	const char *uri;
	const char *dns;
	const char *email;
	const char *role;
	const char *const *agents; /* NULL-ended; empty = all */
	const struct setting *setting;
};

/* A monitor or an audit sink: a component and its options. */
struct config_component {
	const char *plugin;
	const struct setting *options;
	bool required;
};

/* Where the key-encryption key is: at most one of the first three. */
struct config_encryption {
	const char *key_file;	       /* "" = none; never read here */
	const char *credential;	       /* of systemd; "" = none */
	const char *const *command;    /* NULL-ended; empty = none */
	const char *previous_key_file; /* "" = none */
};

/* security.audit_calls: how calls of agents are recorded. */
enum config_audit_calls {
	CONFIG_AUDIT_BATCHED, /* within a second */
	CONFIG_AUDIT_STRICT,  /* before the answer's last byte */
	CONFIG_AUDIT_NONE
};

#define CONFIG_REVISION_HISTORY_MAX 1000
#define CONFIG_AUDIT_SINKS_MAX	    16

struct config {
	const char *path;	 /* of the main file; "" for `run --` */
	const char *directory;	 /* its folder; relative paths start there */
	const char *environment; /* "production" */
	bool environment_said;	 /* and not the default */
	struct config_freeze_windows freeze_windows; /* of all agents */
	int64_t max_agents;			     /* 100 */
	int64_t revision_history;	/* 10; besides the one in force */
	int64_t memory_limit_mib;	/* 1,000; 0 = no limit */
	int64_t token_limit;		/* 500 */
	bool monitoring_enabled;	/* true */
	int64_t monitoring_interval_ms; /* 15,000 */
	int64_t workers;		/* 0 = one a core */
	int log_level;			/* ATOM_LOG_INFO */
	bool log_journal;		/* log_level = "journal" */
	const char *user;		/* "" */

	const char *const *plugin_directories; /* NULL-ended, absolute */
	bool plugin_watch;
	bool plugin_load_in_place;

	const char *state_store;	     /* "sqlite" */
	const char *state_directory;	     /* absolute */
	const struct setting *state_options; /* NULL or the group */

	const struct config_listener *listeners;
	size_t listener_count;
	const struct config_agent *agents;
	size_t agent_count;
	const struct config_component *monitors;
	size_t monitor_count;
	const struct config_component *audit_sinks; /* one is `required` */
	size_t audit_sink_count;
	int audit_calls; /* enum config_audit_calls */

	const char *anonymous_role;	     /* "" = none */
	const char *const *anonymous_agents; /* NULL-ended; empty = all */
	const char *bootstrap_admin_key;     /* "" = none */
	struct config_lockout lockout;
	struct config_encryption encryption;
	const struct config_role *roles;
	size_t role_count;
	struct config_limits key_limits;   /* of each key */
	struct config_limits agent_limits; /* of each agent */
	const struct config_jwt *jwt;
	size_t jwt_count;
	const struct config_client_certificate *client_certificates;
	size_t client_certificate_count;
};

/* One "agents.NAME.key=VALUE" of -D: NAME selects the list member by its
 * `name`. */
struct config_override {
	const char *path;
	const char *value;
};

/* What the agent's probe asks.  NULL: it has none, nothing is paid for. */
static inline const char *config_probe(const struct config_agent *agent)
{
	if (agent->probe_input[0] != '\0')
		return agent->probe_input;
	return agent->probe_every_ms > 0 ? "ping" : NULL;
}

/* Reads and checks `path` and all it includes.  On failure every message is
 * in `errors` (one a line) and *config_r is untouched.  What needs plugins
 * (do the components exist, are their options right) is plugin/options.h's.
 * ATOM_EINVAL, ATOM_ENOMEM.  (config_read() is a function of libconfig's.)
 * [control] */
atom_status config_load(const char *path,
			const struct config_override *overrides,
			size_t override_count, struct config **config_r,
			struct buffer *errors);
/* Are the users and groups that it names on this machine?  Faults as above.
 * ATOM_EINVAL. [control] */
atom_status config_check_names(const struct config *config,
			       struct buffer *errors);
/* The configuration of `atomd run -- COMMAND`: one process agent `agent` in
 * the current folder, callers without a key on 127.0.0.1:8080, an admin
 * socket, and a state folder of the user's own; overrides apply. */
atom_status config_of_command(char *const *command,
			      const struct config_override *overrides,
			      size_t override_count, struct config **config_r,
			      struct buffer *errors);
/* One agent's body from a setting tree (API or `deploy -f FILE`): resolves
 * its references and checks it.  On success the result holds `body` (freed
 * with it), on failure it stays the caller's. */
atom_status config_agent_of_setting(struct setting *body,
				    const struct config *defaults,
				    struct config **holder_r,
				    struct buffer *errors);

struct config *config_ref(struct config *config);
void config_unref(struct config **config);

/* Adds "FILE:LINE: message" of a setting to `errors`. */
ATOM_PRINTF(3, 4)
void config_complain(struct buffer *errors, const struct setting *where,
		     const char *format, ...);

/* What a reload changes.  Names point into the two configurations. */
struct config_difference {
	const struct config_agent **added;
	size_t added_count;
	const struct config_agent **changed; /* of `next` */
	size_t changed_count;
	const struct config_agent **removed; /* of `now` */
	size_t removed_count;
	size_t unchanged_count;
	bool listeners_changed;
	bool security_changed;
	/* Key whose change needs a restart ("workers", "state.directory"),
	 * or NULL. */
	const char *needs_restart;
};

atom_status config_compare(const struct config *now, const struct config *next,
			   struct config_difference *difference_r);
void config_difference_fini(struct config_difference *difference);

#endif
