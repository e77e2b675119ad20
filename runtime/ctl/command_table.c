/* SPDX-License-Identifier: Apache-2.0 */
#include "commands.h"

#include "arguments.h"

_Static_assert(OPTION_COUNT <= 255, "an option fits an unsigned char");

/* Ended by what is no option. */
#define OPTIONS(...) ((const unsigned char[]){ __VA_ARGS__, OPTION_COUNT })

#define OPTIONS_AUDIT                                              \
	OPTION_USER, OPTION_TYPE, OPTION_CATEGORY, OPTION_REQUEST, \
		OPTION_SINCE, OPTION_UNTIL, OPTION_LIMIT

const struct command command_table[] = {
	{ .word = "status",
	  .synopsis = "",
	  .summary = "how the daemon is, and how its start went",
	  .help = "Exits 0 whenever the daemon answers, also when it is "
		  "degraded;\nscripts read system_status from --json.\n",
	  .run = cmd_status },
	{ .word = "agents",
	  .synopsis = "[NAME] [--sizing]",
	  .summary = "list agents, or show one with its settings",
	  .help = "With --sizing: what its settings, or each agent's, could be "
		  "by what was\nmeasured in the last week, or since the "
		  "daemon's start, and why. Nothing is\nchanged.\n",
	  .options = OPTIONS(OPTION_SIZING),
	  .words_max = 1,
	  .run = cmd_agents },
	{ .word = "agents",
	  .subword = "export",
	  .synopsis = "NAME",
	  .summary = "print an agent as configuration text",
	  .help = "The text is what stands between the agent's braces in the "
		  "configuration.\nWith --json: {\"name\", \"libconfig\"}.\n",
	  .words_min = 1,
	  .words_max = 1,
	  .run = cmd_agents_export },
	{ .word = "agents",
	  .subword = "delete",
	  .synopsis = "NAME",
	  .summary = "delete an agent that 'deploy --create' has made",
	  .help = "Its calls under way end by themselves. An agent of the "
		  "configuration file is\nrefused: take it out of the file "
		  "and reload.\n",
	  .words_min = 1,
	  .words_max = 1,
	  .run = cmd_agents_delete },
	{ .word = "invoke",
	  .synopsis = "AGENT [TEXT]",
	  .summary = "call an agent and stream its answer",
	  .help = "Without TEXT, or with '-', the text is read from stdin. "
		  "With --json\nthe whole answer comes at its end, as one "
		  "document.\n",
	  .options = OPTIONS(OPTION_SESSION),
	  .words_min = 1,
	  .words_max = 2,
	  .run = cmd_invoke },
	{ .word = "chat",
	  .synopsis = "AGENT",
	  .summary = "talk with an agent",
	  .help = "Ctrl-C takes the answer under way back; /quit or Ctrl-D "
		  "ends,\n/new begins a new session, /help lists the rest.\n",
	  .options = OPTIONS(OPTION_SESSION),
	  .words_min = 1,
	  .words_max = 1,
	  .run = cmd_chat },
	{ .word = "logs",
	  .synopsis = "[AGENT|REQUEST]",
	  .summary = "print the daemon's log lines",
	  .help = "A word is an agent's name, or else the id of a request "
		  "(x-request-id).\nWith --json the lines are one list, also "
		  "with --follow.\n",
	  .options = OPTIONS(OPTION_FOLLOW, OPTION_LIMIT),
	  .words_max = 1,
	  .run = cmd_logs },
	{ .word = "audit",
	  .subword = "tail",
	  .synopsis = "",
	  .summary = "print the last audit records",
	  .help = "The last 20, or --limit, of those that the options fit; "
		  "with --follow\nthose that come, too. A --type that ends in "
		  "a dot is a prefix: key.\nWith --json the records are one "
		  "list, also with --follow.\n",
	  .options = OPTIONS(OPTIONS_AUDIT, OPTION_FOLLOW),
	  .run = cmd_audit_tail },
	{ .word = "audit",
	  .subword = "search",
	  .synopsis = "",
	  .summary = "search the audit log",
	  .help = "The last 100, or --limit, of the records that the options "
		  "fit. A --type\nthat ends in a dot is a prefix: key. Times "
		  "are ages (2h) or RFC 3339.\n",
	  .options = OPTIONS(OPTIONS_AUDIT, OPTION_AFTER),
	  .run = cmd_audit_search },
	{ .word = "top",
	  .synopsis = "",
	  .summary = "watch the agents at work",
	  .help = "Refreshes once a second; q quits. When stdout is no "
		  "terminal, one\nsnapshot of one second is printed.\n",
	  .run = cmd_top },
	{ .word = "scale",
	  .synopsis = "AGENT N|--auto",
	  .summary = "set the number of an agent's instances",
	  .help = "N stays until --auto gives the number back to the agent's "
		  "scaling\nstrategy.\n",
	  .options = OPTIONS(OPTION_AUTO),
	  .words_min = 1,
	  .words_max = 2,
	  .run = cmd_scale },
	{ .word = "scaling",
	  .subword = "events",
	  .synopsis = "[AGENT]",
	  .summary = "print what scaling did and why",
	  .help = "The last 100, or --limit, oldest first; the daemon keeps "
		  "1,000.\n",
	  .options = OPTIONS(OPTION_LIMIT),
	  .words_max = 1,
	  .run = cmd_scaling_events },
	{ .word = "alerts",
	  .synopsis = "[AGENT] [--state firing|pending]",
	  .summary = "list the alerts that fire or are pending",
	  .help = "The newest first, of all or of an agent. One that somebody "
		  "has silenced shows,\ntoo, with its silence.\n",
	  .options = OPTIONS(OPTION_STATE),
	  .words_max = 1,
	  .run = cmd_alerts },
	{ .word = "alerts",
	  .subword = "silence",
	  .synopsis = "MATCHER... --duration D --comment TEXT | list | end ID",
	  .summary = "tell nobody of some alerts for a time",
	  .help = "A MATCHER is LABEL=VALUE, LABEL!=VALUE, LABEL=~EXPRESSION "
		  "or LABEL!~EXPRESSION;\na word without an operator is an "
		  "alert's name. All must hold. The alerts fire on\nand "
		  "show; at the end, or after 'end ID', what still fires is "
		  "told.\n",
	  .options = OPTIONS(OPTION_DURATION, OPTION_COMMENT),
	  .words_min = 1,
	  .words_max = ARGUMENTS_WORDS_MAX - 2,
	  .run = cmd_alerts_silence },
	{ .word = "restart",
	  .synopsis = "AGENT",
	  .summary = "replace an agent's instances, without losing a call",
	  .words_min = 1,
	  .words_max = 1,
	  .run = cmd_restart },
	{ .word = "deploy",
	  .synopsis = "AGENT -f FILE",
	  .summary = "make a file an agent's next revision",
	  .help = "FILE holds one agent's body: what stands between its "
		  "braces in the\nconfiguration, and what 'agents export' "
		  "prints. A file with a mistake changes\nnothing; the mistake "
		  "is printed and the exit code is 1. With --create\n"
		  "the agent must not be there yet: it is made, kept over "
		  "restarts, and no\nreload removes it. With --watch: until "
		  "the rollout has ended; exits 1 when it was\naborted, 5 "
		  "when it waits for a person. While another rollout of the "
		  "agent is under\nway a deployment is refused; --supersede "
		  "ends that one.\n",
	  .options = OPTIONS(OPTION_FILE, OPTION_REASON, OPTION_CREATE,
			     OPTION_WATCH, OPTION_SUPERSEDE, OPTION_REPLAY),
	  .words_min = 1,
	  .words_max = 1,
	  .run = cmd_deploy },
	{ .word = "undo",
	  .synopsis = "AGENT [--to N]",
	  .summary = "go back to an earlier revision of an agent",
	  .help = "To the one before the one in force, or to N. While that one "
		  "is kept warm, or a\nrollout runs, by one swap, which is "
		  "done when this returns; else its text comes in as\nthe next "
		  "revision, as a deployment does, and why is said. "
		  "'revisions' lists those that\nare kept.\n",
	  .options = OPTIONS(OPTION_TO, OPTION_REASON),
	  .words_min = 1,
	  .words_max = 1,
	  .run = cmd_undo },
	{ .word = "revisions",
	  .synopsis = "AGENT [--diff N]",
	  .summary = "list an agent's revisions: when, by whom, why",
	  .help = "The one in force has a star. With --diff N: what revision N "
		  "has changed,\nwhich needs the permission view_all.\n",
	  .options = OPTIONS(OPTION_DIFF),
	  .words_min = 1,
	  .words_max = 1,
	  .run = cmd_revisions },
	{ .word = "rollout",
	  .subword = "status",
	  .synopsis = "AGENT|ID",
	  .summary = "how a rollout is, or the last one of an agent was",
	  .help = "With --watch: until it has ended. Exits 1 when it was aborted, 5 when "
		  "it waits for\na person.\n",
	  .options = OPTIONS(OPTION_WATCH),
	  .words_min = 1,
	  .words_max = 1,
	  .run = cmd_rollout_status },
	{ .word = "rollout",
	  .subword = "promote",
	  .synopsis = "AGENT|ID [--full]",
	  .summary = "end a rollout's pause",
	  .help = "With --full, all the steps and the judge that are left are skipped, "
		  "too.\n",
	  .options = OPTIONS(OPTION_FULL),
	  .words_min = 1,
	  .words_max = 1,
	  .run = cmd_rollout_promote },
	{ .word = "rollout",
	  .subword = "abort",
	  .synopsis = "AGENT|ID",
	  .summary = "take a rollout back, at once",
	  .help = "Also one that was promoted, as long as the old revision is kept "
		  "warm.\n",
	  .words_min = 1,
	  .words_max = 1,
	  .run = cmd_rollout_abort },
	{ .word = "rollout",
	  .subword = "pause",
	  .synopsis = "AGENT|ID",
	  .summary = "hold a rollout where it is",
	  .help = "Until 'rollout resume'.\n",
	  .words_min = 1,
	  .words_max = 1,
	  .run = cmd_rollout_pause },
	{ .word = "rollout",
	  .subword = "resume",
	  .synopsis = "AGENT|ID",
	  .summary = "let a paused rollout go on",
	  .help = "What its strategy waits for, it waits for still.\n",
	  .words_min = 1,
	  .words_max = 1,
	  .run = cmd_rollout_resume },
	{ .word = "rollout",
	  .subword = "retry",
	  .synopsis = "AGENT|ID",
	  .summary = "try an aborted rollout again",
	  .help = "From its first step, with the revision it was about.\n",
	  .words_min = 1,
	  .words_max = 1,
	  .run = cmd_rollout_retry },
	{ .word = "freeze",
	  .synopsis = "[--reason TEXT | --off]",
	  .summary = "hold all deployments",
	  .help = "New deployments are refused and rollouts stand where they "
		  "are, over restarts\ntoo, until --off. 'undo' and 'rollout "
		  "abort' are let through.\n",
	  .options = OPTIONS(OPTION_REASON, OPTION_OFF),
	  .run = cmd_freeze },
	{ .word = "plugins",
	  .synopsis = "",
	  .summary = "list the plugins and their state",
	  .run = cmd_plugins },
	{ .word = "plugin",
	  .subword = "info",
	  .synopsis = "KIND/NAME",
	  .summary = "show a plugin and its options",
	  .words_min = 1,
	  .words_max = 1,
	  .run = cmd_plugin_info },
	{ .word = "reload",
	  .synopsis = "",
	  .summary = "read the configuration again",
	  .help = "A file with a mistake changes nothing; the mistake is "
		  "printed and the\nexit code is 1.\n",
	  .options = OPTIONS(OPTION_NOW),
	  .run = cmd_reload },
	{ .word = "compliance",
	  .synopsis = "[--accept ID --reason TEXT]",
	  .summary = "run the compliance checks",
	  .help = "Each pass carries evidence of this run: a key is made, "
		  "used, revoked and\nrefused, listeners, files and "
		  "processes are probed. Exits 1 when a check failed\nthat "
		  "nobody has accepted. --accept lets one pass for 90 days, "
		  "or --expires.\n",
	  .options = OPTIONS(OPTION_ACCEPT, OPTION_REASON, OPTION_EXPIRES),
	  .run = cmd_compliance },
	{ .word = "keys",
	  .subword = "create",
	  .synopsis = "--role ROLE",
	  .summary = "make an API key; it is shown once",
	  .help = "Roles: admin, operator, read_only, caller, and those of "
		  "security.roles.\nA limit that is not given is "
		  "security.rate_limits.key's.\n",
	  .options = OPTIONS(OPTION_ROLE, OPTION_AGENTS, OPTION_EXPIRES,
			     OPTION_NAME, OPTION_RPM, OPTION_TPM,
			     OPTION_CONCURRENT),
	  .run = cmd_keys_create },
	{ .word = "keys",
	  .subword = "list",
	  .synopsis = "",
	  .summary = "list the API keys",
	  .run = cmd_keys_list },
	{ .word = "keys",
	  .subword = "rotate",
	  .synopsis = "ID",
	  .summary = "give an API key a new secret; it is shown once",
	  .help = "The old secret stays good for the time of --grace, a day "
		  "when it is not\ngiven; 0 ends it at once.\n",
	  .options = OPTIONS(OPTION_GRACE),
	  .words_min = 1,
	  .words_max = 1,
	  .run = cmd_keys_rotate },
	{ .word = "keys",
	  .subword = "revoke",
	  .synopsis = "ID",
	  .summary = "end an API key at once",
	  .words_min = 1,
	  .words_max = 1,
	  .run = cmd_keys_revoke },
	{ .word = "audit",
	  .subword = "verify",
	  .synopsis = "[DIR]",
	  .summary = "is the audit log in a folder what was written?",
	  .help = "Without DIR: in the daemon's own, by its key. With DIR no "
		  "daemon is needed,\nand the key in the folder is believed "
		  "unless --public-key gives one. Exits 0\nwhen the log is "
		  "sound, 1 when it is tampered or incomplete; then the first "
		  "bad\nrecord is named. Only signed heads that were kept "
		  "elsewhere (--checkpoints)\nshow that somebody who has "
		  "the signing key has cut the log or written it\nanew.\n",
	  .options = OPTIONS(OPTION_PUBLIC_KEY, OPTION_CHECKPOINTS,
			     OPTION_KEYRING, OPTION_KEYRING_KEY),
	  .words_max = 1,
	  .run = cmd_audit_verify },
	{ .word = "audit",
	  .subword = "prove",
	  .synopsis = "SEQUENCE [DIR]",
	  .summary = "print a proof that a record is in the log",
	  .help = "The proof is one JSON document: the record, its path "
		  "through the tree and\nthe signed head. Without DIR it is "
		  "of the daemon's own log. --check FILE,\nwithout "
		  "SEQUENCE, says whether one holds, and needs no "
		  "daemon.\n",
	  .options = OPTIONS(OPTION_CHECK, OPTION_PUBLIC_KEY, OPTION_KEYRING,
			     OPTION_KEYRING_KEY),
	  .words_max = 2,
	  .run = cmd_audit_prove },
	{ .word = "audit",
	  .subword = "prune",
	  .synopsis = "--before WHEN",
	  .summary = "forget old audit records",
	  .help = "The daemon removes whole segments that have nothing but "
		  "older records, and\nleaves what the later ones are "
		  "verified by.\n",
	  .options = OPTIONS(OPTION_BEFORE),
	  .run = cmd_audit_prune },
	{ .word = "keyring",
	  .subword = "status",
	  .synopsis = "",
	  .summary = "show the data keys of encryption at rest",
	  .run = cmd_keyring_status },
	{ .word = "keyring",
	  .subword = "rotate",
	  .synopsis = "",
	  .summary = "make another data key, in force at once",
	  .help = "What older ones have sealed still opens; 'keyring rewrap' "
		  "moves it.\n",
	  .run = cmd_keyring_rotate },
	{ .word = "keyring",
	  .subword = "rewrap",
	  .synopsis = "",
	  .summary = "move every record to the current data key",
	  .help = "Goes on in the background, also over a restart; --watch "
		  "waits for its end.\nThen data keys that nothing needs are "
		  "destroyed. What components have sealed\n(audit segments) "
		  "is not moved: their versions stay, until --retire N says "
		  "that\nnothing under N is wanted any more.\n",
	  .options = OPTIONS(OPTION_WATCH, OPTION_RETIRE),
	  .run = cmd_keyring_rewrap },
	{ .word = "simulate",
	  .subword = "scaling",
	  .synopsis = "--agent-config FILE --trace TRACE",
	  .summary = "what scaling strategies would do with a load",
	  .help = "Plays a recorded or made load to the same strategies that "
		  "the daemon loads, on a\nvirtual clock, without a daemon. "
		  "TRACE is a CSV file of requests or of requests\na second, "
		  "or poisson:rate=8,duration=1h, step:from=1,to=40, "
		  "flash:peak=50,\ndiurnal:rate=5,swing=0.8. Strategies take "
		  "their options as in a configuration:\n--strategy "
		  "'governor:late_share=0.02,concurrency'; the agent's own "
		  "takes those\nof its 'scaling'. Service times: tokens:TIME "
		  "(each output token), constant:TIME,\nexponential:TIME, "
		  "uniform:TIME, lognormal:TIME,SIGMA, pareto:TIME,ALPHA.\n"
		  "The same seed gives the same numbers.\n",
	  .options = OPTIONS(OPTION_AGENT_CONFIG, OPTION_TRACE, OPTION_STRATEGY,
			     OPTION_COLD_START, OPTION_SERVICE_TIME,
			     OPTION_TARGET_WAIT, OPTION_SEED, OPTION_PLOT),
	  .run = cmd_simulate_scaling },
	{ .word = "simulate",
	  .subword = "rollout",
	  .synopsis = "",
	  .summary = "what judges and strategies would do with a new revision",
	  .help = "Draws calls to an old and a new revision, without a daemon, "
		  "and asks each judge as\na rollout does, until it has a "
		  "verdict: how often it alarms, after how many calls,\nand "
		  "how many bad answers the new revision gave until then. "
		  "Shares are written\n0.05 or 5%. --outage 0.4:0.6:0.5 lets "
		  "half of all calls fail, of both revisions,\nfor a fifth of "
		  "each run. Judges take their options as in "
		  "'sequential:alpha=0.01'.\nA judge looks each second. With "
		  "--strategy whole rollouts are run, each strategy\nwith each "
		  "judge, through the daemon's own controller, of an agent with "
		  "four\ninstances: --strategy 'canary:hold=\"1m\",rolling'. "
		  "--plot draws the runs stopped\nand the weight over the "
		  "calls. The same seed gives the same numbers.\n",
	  .options = OPTIONS(OPTION_JUDGE, OPTION_ERROR_RATE,
			     OPTION_CANARY_ERROR_RATE, OPTION_WEIGHT,
			     OPTION_CALLS, OPTION_RUNS, OPTION_OUTAGE,
			     OPTION_SEED, OPTION_STRATEGY, OPTION_COLD_START,
			     OPTION_RATE, OPTION_PLOT),
	  .run = cmd_simulate_rollout },
};

const size_t command_count = sizeof(command_table) / sizeof(*command_table);
