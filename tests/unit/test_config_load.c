/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's keys, and how a file is refused whatever it is about: unknown
 * keys, wrong types, values out of their range.
 */
#include "test_config_fixture.h"

#include <atomd/host.h>

TestSuite(config_load, .init = set_up, .fini = tear_down);

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
