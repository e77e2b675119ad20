/* SPDX-License-Identifier: Apache-2.0 */
#include "test_config_fixture.h"

#include <atomd/host.h>

TestSuite(config_load, .init = set_up, .fini = tear_down);

#define ECHO(name) "{ name = \"" name "\"; backend: { plugin = \"echo\"; }; }"
#define AGENT(more)                                                         \
	"agents = ( { name = \"a\"; backend: { plugin = \"echo\"; }; " more \
	" } );"

Test(config_load, an_empty_file_has_every_default)
{
	ACCEPT("");
	cr_assert_str_eq(config->environment, "production");
	cr_assert_eq(config->max_agents, 100);
	cr_assert_eq(config->memory_limit_mib, 1000);
	cr_assert_eq(config->token_limit, 500);
	cr_assert(config->monitoring_enabled);
	cr_assert_eq(config->monitoring_interval_ms, 15000);
	cr_assert_eq(config->workers, 0);
	cr_assert_eq(config->log_level, ATOM_LOG_INFO);
	cr_assert_not(config->log_journal);
	cr_assert(config->plugin_watch);
	cr_assert_not(config->plugin_load_in_place);
	cr_assert_str_eq(config->state_store, "sqlite");
	cr_assert_str_eq(config->state_directory, ATOMD_STATE_DIR);
	cr_assert_eq(config->listener_count, 2);
	cr_assert_str_eq(config->listeners[0].address, "127.0.0.1:8080");
	cr_assert(config->listeners[1].admin);
	cr_assert_eq(config->agent_count, 0);
	cr_assert_str_empty(config->anonymous_role);
}

Test(config_load, an_agent_has_every_default)
{
	const struct config_agent *agent;

	ACCEPT("agents = ( " ECHO("a") " );");
	cr_assert_eq(config->agent_count, 1);
	agent = config->agents;
	cr_assert_str_eq(agent->name, "a");
	cr_assert_str_eq(agent->backend, "echo");
	cr_assert_str_empty(agent->system_prompt);
	cr_assert_not(agent->refuse_caller_system);
	cr_assert_not(agent->memory.present);
	cr_assert_eq(agent->memory.max_messages, 50);
	cr_assert_eq(agent->memory.max_age_ms, INT64_C(2592000000));
	cr_assert_eq(agent->memory.max_sessions, 100000);
	cr_assert_not(agent->instances.present);
	cr_assert_eq(agent->instances.min, 1);
	cr_assert_eq(agent->instances.max, 10);
	cr_assert_eq(agent->instances.concurrency, 1);
	cr_assert_eq(agent->queue.depth, 100);
	cr_assert_eq(agent->queue.timeout_ms, 5000);
	cr_assert_eq(agent->timeouts.connect_ms, 2000);
	cr_assert_eq(agent->timeouts.first_token_ms, 60000);
	cr_assert_eq(agent->timeouts.stall_ms, 60000);
	cr_assert_eq(agent->timeouts.total_ms, 600000);
	cr_assert_null(agent->scaling.plugin);
	cr_assert_eq(agent->scaling.target_wait_ms, 1000);
	cr_assert_str_eq(agent->deployment.plugin, "rolling");
	cr_assert_str_eq(agent->deployment.judge, "sequential");
	cr_assert_null(agent->deployment.options);
	cr_assert_eq(agent->deployment.settings.rollback_window_ms, 0);
	cr_assert_eq(agent->deployment.settings.progress_deadline_ms, 600000);
}

Test(config_load, every_key_of_an_agent_is_read)
{
	const struct config_agent *agent;

	ACCEPT("agents = ( { name = \"s-1\"; system_prompt = \"a\" \"b\";\n"
	       " backend: { plugin = \"openai\"; model = \"m\"; };\n"
	       " caller_system = \"refuse\"; max_tokens = 400;\n"
	       " memory: { max_messages = 5; max_age = \"2h\";"
	       " max_sessions = 7; };\n"
	       " instances: { min = 2; max = 3; concurrency = 8; };\n"
	       " queue: { depth = 0; timeout_ms = \"2s\"; };\n"
	       " timeouts: { connect_ms = 1; first_token_ms = 2;"
	       " stall_ms = 3; total_ms = \"1m\"; };\n"
	       " probe: { input = \"ping\"; every_ms = 0; };\n"
	       " deployment: { plugin = \"rolling\"; };\n"
	       " bad_events: { error = true; slower_than_ms = 0;"
	       " rated_below = 0.0; }; } );");
	agent = config->agents;
	cr_assert_str_eq(agent->system_prompt, "ab");
	cr_assert(agent->refuse_caller_system);
	cr_assert_eq(agent->max_tokens, 400);
	cr_assert(agent->memory.present);
	cr_assert_eq(agent->memory.max_age_ms, 7200000);
	cr_assert_eq(agent->memory.max_sessions, 7);
	cr_assert(agent->instances.present);
	cr_assert_eq(agent->instances.concurrency, 8);
	cr_assert_eq(agent->queue.depth, 0);
	cr_assert_eq(agent->queue.timeout_ms, 2000);
	cr_assert_eq(agent->timeouts.connect_ms, 1);
	cr_assert_eq(agent->timeouts.total_ms, 60000);
	cr_assert_str_eq(agent->probe_input, "ping");
	cr_assert_str_eq(agent->deployment.plugin, "rolling");
	cr_assert_eq(agent->deployment.settings.rollback_window_ms, 600000);
	cr_assert_str_eq(setting_member(agent->backend_options, "model")->text,
			 "m");
}

Test(config_load, every_key_of_the_host_is_read)
{
	ACCEPT("environment = \"staging\"; max_agents = 7;"
	       "memory_limit = \"2G\"; token_limit = 0;"
	       "monitoring_enabled = false; monitoring_interval = \"2s\";"
	       "workers = 3;"
	       "log_level = \"journal\"; user = \"nobody\";"
	       "plugins: { directories = [ \"p\", \"/q\" ]; watch = false;"
	       " load_in_place = true; };"
	       "state: { store = \"other\"; directory = \"./s\"; x = 1; };"
	       "listeners = ( { address = \"localhost:0\";"
	       " trusted_proxies = [ \"10.0.0.0/8\", \"::1\" ]; },"
	       " { address = \"[::1]:80\"; tls: { certificate = \"c.pem\";"
	       " key = \"/k.pem\"; }; },"
	       " { address = \"unix:a.sock\"; admin = true;"
	       " admin_group = \"adm\"; } );"
	       "security: { anonymous_role = \"auditor\";"
	       " bootstrap_admin_key = \"0123456789abcdefghijklmn\";"
	       " lockout: { failures = 3; ban_ms = \"5s\"; };"
	       " roles = ( { name = \"auditor\";"
	       " permissions = [ \"view_logs\", \"view_all\" ]; } ); };");
	cr_assert_str_eq(config->environment, "staging");
	cr_assert_eq(config->memory_limit_mib, 2048);
	cr_assert_eq(config->token_limit, 0);
	cr_assert_not(config->monitoring_enabled);
	cr_assert_eq(config->monitoring_interval_ms, 2000);
	cr_assert_eq(config->workers, 3);
	cr_assert(config->log_journal);
	cr_assert_str_eq(config->user, "nobody");
	cr_assert_str_eq(config->plugin_directories[0], at("p"));
	cr_assert_str_eq(config->plugin_directories[1], "/q");
	cr_assert_null(config->plugin_directories[2]);
	cr_assert(config->plugin_load_in_place);
	cr_assert_str_eq(config->state_store, "other");
	cr_assert_str_eq(config->state_directory, at("s"));
	cr_assert_not_null(setting_member(config->state_options, "x"));
	cr_assert_str_eq(config->listeners[0].address, "127.0.0.1:0");
	cr_assert_str_eq(config->listeners[0].trusted_proxies[1], "::1");
	cr_assert_str_eq(config->listeners[1].certificate, at("c.pem"));
	cr_assert_str_eq(config->listeners[1].key, "/k.pem");
	cr_assert_eq(strncmp(config->listeners[2].address, "unix:/", 6), 0);
	cr_assert(config->listeners[2].admin);
	cr_assert_str_eq(config->listeners[2].admin_group, "adm");
	cr_assert_str_eq(config->roles[0].permissions[1], "view_all");
	cr_assert_str_eq(config->bootstrap_admin_key,
			 "0123456789abcdefghijklmn");
	cr_assert_eq(config->lockout.failures, 3);
	cr_assert_eq(config->lockout.ban_ms, 5000);
	cr_assert_eq(config->lockout.ban_max_ms, 3600000);
}

Test(config_load, a_bootstrap_key_that_could_be_guessed_is_refused)
{
	REFUSE(1, "expected at least 24 characters, found 23",
	       "security: { bootstrap_admin_key = "
	       "\"0123456789abcdefghijklm\"; };");
	REFUSE(1, "2 different characters",
	       "security: { bootstrap_admin_key = "
	       "\"abababababababababababababab\"; };");
	REFUSE(1, "white space",
	       "security: { bootstrap_admin_key = "
	       "\"0123456789 abcdefghijklmnopq\"; };");
	ACCEPT("security: { bootstrap_admin_key = \"\"; };");
}

Test(config_load, proxy_protocol_needs_tcp_and_somebody_to_trust)
{
	REFUSE(1, "`proxy_protocol` needs `trusted_proxies`",
	       "listeners = ( { address = \"127.0.0.1:0\";"
	       " proxy_protocol = true; } );");
	REFUSE(1, "this one is unix",
	       "listeners = ( { address = \"unix:a\"; proxy_protocol = true;"
	       " trusted_proxies = [ \"unix\" ]; } );");
	ACCEPT("listeners = ( { address = \"127.0.0.1:0\";"
	       " proxy_protocol = true; trusted_proxies = [ \"::1\" ]; },"
	       " { address = \"unix:a\"; trusted_proxies = [ \"unix\" ]; } );");
	cr_assert(config->listeners[0].proxy_protocol);
	cr_assert_not(config->listeners[1].proxy_protocol);
}

Test(config_load, an_unknown_key_is_named_with_the_nearest)
{
	REFUSE(3, "unknown key `agnets`; did you mean `agents`?",
	       "\n\nagnets = ();");
	REFUSE(1, "`directory`; did you mean `directories`?",
	       "plugins: { directory = [ ]; };");
	REFUSE(1, "`certificates`; did you mean `certificate`?",
	       "listeners = ( { address = \"127.0.0.1:0\";"
	       " tls: { certificates = \"\"; }; } );");
	REFUSE(2, "`mni`; did you mean `min`?",
	       AGENT("\ninstances: { mni = 1; };"));
	REFUSE(1, "`issuers`; did you mean `issuer`?",
	       "security: { jwt = ( { issuers = \"\"; } ); };");
	REFUSE(1, "unknown key `xylophone`\n", "xylophone = 1;");
}

Test(config_load, all_faults_are_told_and_at_most_fifty)
{
	char text[8192] = "";
	size_t lines = 0;

	REFUSE(1, "max_agnts", "agnets = ();\nmax_agnts = 1;\n");
	cr_assert_not_null(strstr(words(), "agnets"));
	for (int i = 0; i < 200; i++)
		(void)snprintf(text + strlen(text), 32, "x%d = 1;\n", i);
	REFUSE(50, "more faults are not shown", text);
	for (const char *p = words(); *p; p++)
		lines += *p == '\n';
	cr_assert_eq(lines, CONFIG_ERRORS_MAX + 1);
}

Test(config_load, a_wrong_type_says_what_was_expected_and_found)
{
	REFUSE(1, "`max_agents` must be an integer, found the string \"many\"",
	       "max_agents = \"many\";");
	REFUSE(1, "`max_agents` must be an integer, found the number 1.5",
	       "max_agents = 1.5;");
	REFUSE(1, "must be true or false, found the integer 1",
	       "monitoring_enabled = 1;");
	REFUSE(1, "`agents` must be a list of groups", "agents = \"echo\";");
	REFUSE(1, "`agents` must be a list of groups", "agents = ( \"x\" );");
	REFUSE(1, "`state` must be a group", "state = \"sqlite\";");
	REFUSE(1, "`include` must be a list of strings",
	       "include = \"agents.d\";");
	REFUSE(1, "`include` is a list of file names", "include = [ 1 ];");
	REFUSE(1, "one of \"keep\" \"refuse\", found \"refus\"; did you mean",
	       AGENT("caller_system = \"refus\";"));
}

Test(config_load, a_value_out_of_its_range_says_the_range)
{
	REFUSE(1, "`max_agents` must be 1 to 100000, found -1",
	       "max_agents = -1;");
	REFUSE(1, "`workers` must be 0 to 64", "workers = 100000;");
	REFUSE(1, "`log_level` must be one of", "log_level = \"loud\";");
	REFUSE(1, "`concurrency` must be 1 to",
	       AGENT("instances: { concurrency = 0; };"));
	REFUSE(1, "`memory_limit` must be 0 to",
	       "memory_limit = \"2000000G\";");
}

Test(config_load, durations_have_units)
{
	static const char *const good[] = { "\"250ms\"", "\"30s\"", "\"2h\"",
					    "60000",	 "\"5m\"",  "\"700\"" };
	static const char *const bad[] = {
		"\"30 parsecs\"", "\"s\"", "\"-3s\"", "\"\"",
		"\"1e99h\"",	  "1.5",   "0",	      "true"
	};
	char text[256];

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		(void)snprintf(text, sizeof(text),
			       AGENT("timeouts: { total_ms = %s; };"), good[i]);
		ACCEPT(text);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		(void)snprintf(text, sizeof(text),
			       AGENT("timeouts: { total_ms = %s; };"), bad[i]);
		REFUSE(1, "`total_ms` must be", text);
	}
	REFUSE(1, "`max_age` must be a duration with its unit",
	       AGENT("memory: { max_age = 30; };"));
	REFUSE(1, "`max_age` must be", AGENT("memory: { max_age = \"30\"; };"));
}

Test(config_load, agents_are_checked_against_each_other)
{
	REFUSE(2, "atomd.conf:1 already",
	       "agents = ( " ECHO("a") ",\n" ECHO("a") " );");
	REFUSE(1, "more than `max_agents`, 3",
	       "max_agents = 3;\nagents = ( { name = \"a\";"
	       " backend: { plugin = \"echo\"; };"
	       " instances: { min = 2; max = 4; }; }, { name = \"b\";"
	       " backend: { plugin = \"echo\"; };"
	       " instances: { min = 2; max = 4; }; } );");
	REFUSE(1, "`max` is 2, which is less than `min`, 3",
	       AGENT("instances: { min = 3; max = 2; };"));
	ACCEPT(AGENT("instances: { min = 20; };"));
	cr_assert_eq(config->agents[0].instances.max, 20);
}

Test(config_load, an_agent_needs_a_good_name_and_a_backend)
{
	REFUSE(1, "`name` is missing",
	       "agents = ( { backend: { plugin = \"echo\"; }; } );");
	REFUSE(1, "`backend` is missing", "agents = ( { name = \"x\"; } );");
	REFUSE(1, "`plugin` is missing",
	       "agents = ( { name = \"x\"; backend: { }; } );");
	REFUSE(1, "`name` must be", "agents = ( " ECHO("a/b") " );");
	REFUSE(1, "`name` must be", "agents = ( " ECHO("") " );");
	REFUSE(1, "`name` must be", "agents = ( " ECHO("A b") " );");
	REFUSE(1, "`plugin` must be the name",
	       "agents = ( { name = \"x\";"
	       " backend: { plugin = \"../x\"; }; } );");
}

Test(config_load, bad_events_are_read_and_bounded)
{
	const struct config_bad_events *bad;

	ACCEPT("agents = ( " ECHO("a") " );");
	bad = &config->agents->bad_events;
	cr_assert(bad->error);
	cr_assert_not(bad->invalid_json);
	cr_assert_eq(bad->slower_than_ms, 0);
	cr_assert_eq(bad->first_token_slower_than_ms, 0);
	cr_assert_eq(bad->tokens_above, 0);
	cr_assert_eq(bad->rated_below, 0.0);
	ACCEPT(AGENT("bad_events: { error = false; slower_than_ms = \"5s\";"
		     " first_token_slower_than_ms = 700; tokens_above = 1000;"
		     " invalid_json = true; rated_below = 0.5; };"));
	bad = &config->agents->bad_events;
	cr_assert_not(bad->error);
	cr_assert(bad->invalid_json);
	cr_assert_eq(bad->slower_than_ms, 5000);
	cr_assert_eq(bad->first_token_slower_than_ms, 700);
	cr_assert_eq(bad->tokens_above, 1000);
	cr_assert_eq(bad->rated_below, 0.5);
	REFUSE(1, "`rated_below` must be between 0 and 1",
	       AGENT("bad_events: { rated_below = 1.5; };"));
	REFUSE(1, "`rated_below` must be between 0 and 1",
	       AGENT("bad_events: { rated_below = -0.1; };"));
	REFUSE(1, "slower_than_ms",
	       AGENT("bad_events: { slower_than_ms = -1; };"));
}

Test(config_load, a_deployment_is_read_and_bounded)
{
	const struct config_deployment *d;

	ACCEPT(AGENT("deployment: { plugin = \"canary\"; hold = \"1s\";"
		     " judge = \"threshold\"; judge_options: { limit = 1; };"
		     " rollback_window_ms = \"1m\"; failed_starts = 7;"
		     " progress_deadline_ms = 0; min_samples = 20;"
		     " on_undecided = \"pause\"; on_no_data = \"abort\"; };"));
	d = &config->agents->deployment;
	cr_assert_str_eq(d->plugin, "canary");
	cr_assert_str_eq(d->judge, "threshold");
	cr_assert_not_null(setting_member(d->options, "hold"));
	cr_assert_not_null(setting_member(d->judge_options, "limit"));
	cr_assert_eq(d->settings.rollback_window_ms, 60000);
	cr_assert_eq(d->settings.progress_deadline_ms, 0);
	cr_assert_eq(d->settings.failed_starts, 7);
	cr_assert_eq(d->settings.min_samples, 20);
	cr_assert_eq(d->settings.on_undecided, ROLLOUT_END_PAUSE);
	cr_assert_eq(d->settings.on_no_data, ROLLOUT_END_ABORT);
	ACCEPT(AGENT("deployment: { judge = \"none\"; };"));
	cr_assert_str_eq(config->agents->deployment.judge, "");
	REFUSE(1, "`judge` must be the name",
	       AGENT("deployment: { judge = \"../x\"; };"));
	REFUSE(1, "failed_starts",
	       AGENT("deployment: { failed_starts = -1; };"));
	REFUSE(1, "on_undecided",
	       AGENT("deployment: { on_undecided = \"hope\"; };"));
}

Test(config_load, how_a_revision_comes_in_and_is_judged_is_no_part_of_it)
{
	uint8_t before[32];

	ACCEPT(AGENT(""));
	memcpy(before, config->agents->text_hash, sizeof(before));
	ACCEPT(AGENT("deployment: { plugin = \"canary\"; };"
		     " bad_events: { tokens_above = 7; };"));
	cr_assert_arr_eq(config->agents->text_hash, before, sizeof(before));
	ACCEPT(AGENT("system_prompt = \"x\";"));
	cr_assert_arr_neq(config->agents->text_hash, before, sizeof(before));
}

Test(config_load, keys_of_a_later_version_are_refused_unless_inactive)
{
	static const char *const active[] = {
		"plugins: { require_signature = true; };",
		"plugins: { trusted_keys = [ \"x\" ]; };",
	};
	static const char *const inactive[] = {
		"plugins: { require_signature = false; trusted_keys = [ ]; };",
		"security: { jwt = ( { issuer = \"\"; audience = \"x\";"
		" roles = ( { claim = \"a\"; role = \"b\"; } ); } ); };",
		"security: { encryption: { key = \"\"; }; };",
		"monitors = ( ); audit_sinks = ( );",
		AGENT("instances: { memory_optimized: { }; };"),
	};

	for (size_t i = 0; i < sizeof(active) / sizeof(*active); i++)
		REFUSE(1, "not in this version", active[i]);
	for (size_t i = 0; i < sizeof(inactive) / sizeof(*inactive); i++)
		ACCEPT(inactive[i]);
	ACCEPT(AGENT("instances: { memory_optimized: { repeat = 2; }; };"));
	REFUSE(1, "no other `plugin`",
	       AGENT("instances: { memory_optimized: { plugin = \"x\"; }; };"));
}

Test(config_load, limits_of_keys_and_agents_are_read)
{
	const struct config_limits *limits;

	ACCEPT("security: { rate_limits: {\n"
	       " key: { requests_per_minute = 60; concurrent = 3; };\n"
	       " agent: { tokens_per_minute = 1000000000; }; }; };\n"
	       "agents = ( { name = \"a\"; backend: { plugin = \"echo\"; };\n"
	       " rate_limits: { tokens_per_minute = 0; concurrent = 7; }; },\n" ECHO(
		       "b") " );");
	limits = &config->key_limits;
	cr_assert_eq(limits->requests_per_minute, 60);
	cr_assert_eq(limits->tokens_per_minute, 0);
	cr_assert_eq(limits->concurrent, 3);
	limits = &config->agent_limits;
	cr_assert_eq(limits->requests_per_minute, 0);
	cr_assert_eq(limits->tokens_per_minute, 1000000000);
	cr_assert_eq(limits->concurrent, 0);
	/* What an agent does not say is said elsewhere; 0 is said. */
	limits = &config->agents[0].rate_limits;
	cr_assert_eq(limits->requests_per_minute, CONFIG_LIMIT_UNSET);
	cr_assert_eq(limits->tokens_per_minute, 0);
	cr_assert_eq(limits->concurrent, 7);
	limits = &config->agents[1].rate_limits;
	cr_assert_eq(limits->requests_per_minute, CONFIG_LIMIT_UNSET);
	cr_assert_eq(limits->tokens_per_minute, CONFIG_LIMIT_UNSET);
	cr_assert_eq(limits->concurrent, CONFIG_LIMIT_UNSET);
	REFUSE(1, "`requests_per_minute`",
	       "security: { rate_limits: { key: {"
	       " requests_per_minute = -1; }; }; };");
	REFUSE(1, "`tokens_per_minute`",
	       "security: { rate_limits: { agent: {"
	       " tokens_per_minute = 1000000001; }; }; };");
	REFUSE(1, "`concurrent`", AGENT("rate_limits: { concurrent = -2; };"));
	REFUSE(1, "did you mean `tokens_per_minute`",
	       AGENT("rate_limits: { token_per_minute = 5; };"));
}

#define JWT(members)                                                      \
	"security: { jwt = ( { issuer = \"https://i\"; audience = \"a\";" \
	" " members " } ); };"
#define ROWS "roles = ( { claim = \"c\"; role = \"caller\"; } );"

Test(config_load, an_issuer_of_tokens_is_checked)
{
	ACCEPT(JWT("jwks = \"keys.json\"; " ROWS));
	cr_assert_eq(config->jwt_count, 1);
	cr_assert_str_eq(config->jwt[0].jwks, at("keys.json"));
	cr_assert_str_eq(config->jwt[0].role_claim, "role");
	cr_assert_eq(config->jwt[0].leeway_ms, 30000);
	cr_assert_eq(config->jwt[0].refresh_ms, 300000);
	cr_assert_eq(config->jwt[0].max_stale_ms, 86400000);
	cr_assert_str_eq(config->jwt[0].roles[0].role, "caller");
	ACCEPT(JWT("jwks = \"https://i/k\"; ca_file = \"ca.pem\"; " ROWS));
	cr_assert_str_eq(config->jwt[0].jwks, "https://i/k");
	cr_assert_str_eq(config->jwt[0].ca_file, at("ca.pem"));
	ACCEPT(JWT("jwks = \"http://localhost:80/k\"; " ROWS));
	ACCEPT(JWT("jwks = \"http://[::1]/k\"; " ROWS));
	/* Off, and checked all the same. */
	ACCEPT("security: { jwt = ( { issuer = \"\"; " ROWS " } ); };");
	cr_assert_eq(config->jwt_count, 0);
	REFUSE(1, "`jwks` is missing", JWT(ROWS));
	REFUSE(1, "plain http", JWT("jwks = \"http://i/k\"; " ROWS));
	REFUSE(1, "plain http",
	       JWT("jwks = \"http://localhost.evil/k\"; " ROWS));
	REFUSE(1, "begins with https://", JWT("jwks = \"ftp://i/k\"; " ROWS));
	REFUSE(1, "`ca_file` is for",
	       JWT("jwks = \"k\"; ca_file = \"c\"; " ROWS));
	REFUSE(1, "`roles` is empty", JWT("jwks = \"k\";"));
	REFUSE(1, "there is no role \"boss\"",
	       JWT("jwks = \"k\"; roles = ( { claim = \"c\";"
		   " role = \"boss\"; } );"));
	REFUSE(1, "`role` is missing",
	       JWT("jwks = \"k\"; roles = ( { claim = \"c\"; } );"));
	REFUSE(1, "`leeway` must be",
	       JWT("jwks = \"k\"; leeway = \"1h\"; " ROWS));
	REFUSE(1, "`audience` is missing",
	       "security: { jwt = ( { issuer = \"https://i\"; jwks = \"k\"; " ROWS
	       " } ); };");
	REFUSE(1, "declared at",
	       "security: { jwt = ( { issuer = \"i\"; audience = \"a\";"
	       " jwks = \"k\"; " ROWS " }, { issuer = \"i\";"
	       " audience = \"b\"; jwks = \"k\"; " ROWS " } ); };");
	REFUSE(1, "unknown key `issuers`",
	       "security: { jwt = ( { issuers = \"\"; } ); };");
}

#define TLS(members) \
	"listeners = ( { address = \"127.0.0.1:0\"; tls: { " members " }; } );"
#define PAIR	     "certificate = \"c\"; key = \"k\"; "
#define CLIENTS(row) "security: { client_certificates = ( { " row " } ); };"

Test(config_load, certificates_of_clients_are_checked)
{
	ACCEPT(TLS(PAIR "client_ca = \"ca\"; client_crl = \"crl\";"));
	cr_assert_str_eq(config->listeners[0].client_ca, at("ca"));
	cr_assert_str_eq(config->listeners[0].client_crl, at("crl"));
	cr_assert_eq(config->listeners[0].client_certificate,
		     CONFIG_CERTIFICATE_REQUIRED);
	ACCEPT(TLS(PAIR "client_ca = \"ca\";"
			" client_certificate = \"optional\";"));
	cr_assert_eq(config->listeners[0].client_certificate,
		     CONFIG_CERTIFICATE_OPTIONAL);
	REFUSE(1, "`client_ca` needs `certificate`",
	       TLS("client_ca = \"ca\";"));
	REFUSE(1, "`client_crl` needs `client_ca`",
	       TLS(PAIR "client_crl = \"crl\";"));
	REFUSE(1, "`client_certificate` needs `client_ca`",
	       TLS(PAIR "client_certificate = \"optional\";"));
	REFUSE(1, "did you mean `optional`",
	       TLS(PAIR "client_ca = \"ca\";"
			" client_certificate = \"optinal\";"));
	ACCEPT(CLIENTS("subject = \"CN=a\"; role = \"caller\";"
		       " agents = [ \"x\" ];"));
	cr_assert_eq(config->client_certificate_count, 1);
	cr_assert_str_eq(config->client_certificates[0].subject, "CN=a");
	cr_assert_str_eq(config->client_certificates[0].agents[0], "x");
	REFUSE(1, "exactly one of", CLIENTS("role = \"caller\";"));
	REFUSE(1, "exactly one of",
	       CLIENTS("dns = \"a\"; uri = \"b\"; role = \"caller\";"));
	REFUSE(1, "without wildcards",
	       CLIENTS("dns = \"*.example\"; role = \"caller\";"));
	REFUSE(1, "`role` is missing", CLIENTS("dns = \"a\";"));
	REFUSE(1, "there is no role \"boss\"",
	       CLIENTS("dns = \"a\"; role = \"boss\";"));
}

static size_t required_of(const char *text)
{
	size_t required = SIZE_MAX;

	ACCEPT(text);
	for (size_t i = 0; i < config->audit_sink_count; i++)
		if (config->audit_sinks[i].required) {
			cr_assert_eq(required, SIZE_MAX, "two in %s", text);
			required = i;
		}
	return required;
}

Test(config_load, exactly_one_audit_sink_is_required)
{
	cr_assert_eq(required_of("audit_sinks = ( { plugin = \"syslog\"; },"
				 " { plugin = \"http\"; } );"),
		     0);
	cr_assert_eq(required_of("audit_sinks = ( { plugin = \"syslog\"; },"
				 " { plugin = \"file\"; },"
				 " { plugin = \"file\"; x = 1; } );"),
		     1);
	cr_assert_eq(required_of("audit_sinks = ( { plugin = \"file\"; },"
				 " { plugin = \"http\"; required = true; } );"),
		     1);
	cr_assert_eq(required_of("audit_sinks = ( );"), SIZE_MAX);
	REFUSE(3, "a second sink is `required`; the sink at ",
	       "audit_sinks = (\n{ plugin = \"file\"; required = true; },\n"
	       "{ plugin = \"http\"; required = true; } );");
}

Test(config_load, how_calls_are_recorded_is_one_of_three_words)
{
	ACCEPT("workers = 1;");
	cr_assert_eq(config->audit_calls, CONFIG_AUDIT_BATCHED);
	ACCEPT("security: { audit_calls = \"strict\"; };");
	cr_assert_eq(config->audit_calls, CONFIG_AUDIT_STRICT);
	REFUSE(1, "audit_calls", "security: { audit_calls = \"never\"; };");
}

Test(config_load, addresses_are_checked)
{
	static const char *const bad[] = {
		"127.0.0.1",	  "127.0.0.1:99999",
		"localhost:http", "unix:",
		"300.0.0.1:80",	  ":::",
		"[::1:80",	  "::1:80",
		"example.org:80", ":80",
		"127.0.0.1:-1",	  "127.0.0.1:+1",
		"[]:80",	  "",
		"[127.0.0.1]:80",
	};
	char text[256], path[200];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		(void)snprintf(text, sizeof(text),
			       "listeners = ( { address = \"%s\"; } );",
			       bad[i]);
		REFUSE(1, "`address` must be", text);
	}
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	(void)snprintf(text, sizeof(text),
		       "listeners = ( { address = \"unix:%s\"; } );", path);
	REFUSE(1, "has at most 107 bytes", text);
	REFUSE(1, "nobody can call", "listeners = ( );");
	REFUSE(1, "only a unix address",
	       "listeners = ( { address = \"127.0.0.1:0\"; admin = true; } );");
	REFUSE(1, "`admin_group` needs",
	       "listeners = ( { address = \"unix:a\";"
	       " admin_group = \"x\"; } );");
	REFUSE(1, "has a `certificate` and no `key`",
	       "listeners = ( { address = \"127.0.0.1:0\";"
	       " tls: { certificate = \"x\"; }; } );");
	REFUSE(1, "`tls` is for TCP",
	       "listeners = ( { address = \"unix:a\";"
	       " tls: { certificate = \"x\"; key = \"y\"; }; } );");
	REFUSE(1, "found \"10.0.0.0/33\"",
	       "listeners = ( { address = \"127.0.0.1:0\";"
	       " trusted_proxies = [ \"10.0.0.0/33\" ]; } );");
	REFUSE(2, "atomd.conf:1 already",
	       "listeners = ( { address = \"127.0.0.1:80\"; },\n"
	       "{ address = \"localhost:80\"; } );");
	ACCEPT("listeners = ( { address = \"127.0.0.1:0\"; },"
	       " { address = \"127.0.0.1:0\"; } );");
}

Test(config_load, anonymous_callers_are_for_this_machine_only)
{
	static const char *const open[] = { "0.0.0.0:0", "[::]:80",
					    "10.0.0.1:80",
					    "[::ffff:1.2.3.4]:0" };
	static const char *const here[] = { "127.8.8.8:0", "[::1]:0",
					    "localhost:0", "unix:x",
					    "[::ffff:127.0.0.1]:0" };
	char text[256];

	for (size_t i = 0; i < sizeof(open) / sizeof(*open); i++) {
		(void)snprintf(text, sizeof(text),
			       "listeners = ( { address = \"%s\"; } );\n"
			       "security: { anonymous_role = \"caller\"; };",
			       open[i]);
		REFUSE(2, "`anonymous_role` would let anyone in", text);
	}
	for (size_t i = 0; i < sizeof(here) / sizeof(*here); i++) {
		(void)snprintf(text, sizeof(text),
			       "listeners = ( { address = \"%s\"; } );\n"
			       "security: { anonymous_role = \"caller\"; };",
			       here[i]);
		ACCEPT(text);
	}
	REFUSE(1, "there is no role \"calller\"; did you mean `caller`?",
	       "security: { anonymous_role = \"calller\"; };");
}

Test(config_load, roles_are_checked)
{
	REFUSE(1, "unknown permission \"view_log\"; did you mean `view_logs`?",
	       "security: { roles = ( { name = \"a\";"
	       " permissions = [ \"view_log\" ]; } ); };");
	REFUSE(1, "is built in",
	       "security: { roles = ( { name = \"admin\";"
	       " permissions = [ ]; } ); };");
	REFUSE(2, "atomd.conf:1 already",
	       "security: { roles = ( { name = \"a\"; },\n"
	       "{ name = \"a\"; } ); };");
}

Test(config_load, a_key_of_encryption_is_a_file_and_is_not_read_here)
{
	const struct config_encryption *e;

	ACCEPT("security: { };");
	e = &config->encryption;
	cr_assert_str_eq(e->key_file, "");
	cr_assert_str_eq(e->previous_key_file, "");
	cr_assert_str_eq(e->credential, "");
	cr_assert_null(e->command[0]);
	/* Nobody has made the files. */
	ACCEPT("security: { encryption: { key = \"${file:a.key}\";"
	       " previous_key = \"${file:/else/where}\"; }; };");
	e = &config->encryption;
	cr_assert_str_eq(e->key_file, at("a.key"));
	cr_assert_str_eq(e->previous_key_file, "/else/where");
	ACCEPT("security: { encryption: { command = [ \"a\", \"b c\" ]; }; };");
	cr_assert_str_eq(config->encryption.command[1], "b c");
	cr_assert_null(config->encryption.command[2]);
}

Test(config_load, a_key_of_encryption_that_stands_somewhere_is_refused)
{
	static const char *const keys[] = {
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd",
		"${env:HOME}",
		"${file:a.key}${file:b.key}",
		"x${file:a.key}",
	};
	char text[256];

	put("a.key", "secret a");
	put("b.key", "secret b");
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		(void)snprintf(text, sizeof(text),
			       "security: { encryption: { key = \"%s\"; }; };",
			       keys[i]);
		REFUSE(1, "must be one reference to a file", text);
		(void)snprintf(text, sizeof(text),
			       "security: { encryption: { previous_key = "
			       "\"%s\"; }; };",
			       keys[i]);
		REFUSE(1, "must be one reference to a file", text);
	}
	REFUSE(1, "from one place",
	       "security: { encryption: { key = \"${file:a.key}\";"
	       " credential = \"b\"; }; };");
	REFUSE(1, "without a new key",
	       "security: { encryption: { previous_key = \"${file:a.key}\";"
	       " }; };");
}

Test(config_load, what_is_no_regular_file_is_refused)
{
	char zero[64] = "/dev/zero";

	cr_assert_eq(mkfifo(at("atomd.conf"), 0600), 0);
	cr_assert_eq(load_with(NULL, 0), ATOM_EINVAL);
	cr_assert_not_null(strstr(words(), "is no regular file"));
	(void)unlink(at("atomd.conf"));
	cr_assert_eq(load_with(NULL, 0), ATOM_EINVAL);
	cr_assert_not_null(strstr(words(), "No such file"));
	buffer_clear(&said);
	cr_assert_eq(config_load(zero, NULL, 0, &config, &said), ATOM_EINVAL);
	cr_assert_eq(config_load(folder, NULL, 0, &config, &said), ATOM_EINVAL);
	put("atomd.conf", "");
	cr_assert_eq(truncate(at("atomd.conf"), (off_t)1 << 32), 0);
	cr_assert_eq(load_with(NULL, 0), ATOM_EINVAL);
	cr_assert_not_null(strstr(words(), "larger than 4096 KiB"));
	put_bytes("atomd.conf", "environment = \"a\0b\";", 20);
	cr_assert_eq(load_with(NULL, 0), ATOM_EINVAL);
	cr_assert_not_null(strstr(words(), "NUL"));
}
