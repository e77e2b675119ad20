/* SPDX-License-Identifier: Apache-2.0 */

/* Several files, references and -D. */

#include "test_config_fixture.h"

TestSuite(config_files, .init = set_up, .fini = tear_down);

#define AGENT(name)  "{ name = \"" name "\"; backend: { plugin = \"echo\"; }; }"
#define AGENTS(name) "agents = ( " AGENT(name) " );\n"

static const char *option(size_t agent, const char *name)
{
	return setting_member(config->agents[agent].backend_options, name)
		->text;
}

Test(config_files, included_files_add_to_lists_in_order)
{
	put("agents.d/b.conf", AGENTS("b"));
	put("agents.d/a.conf", AGENTS("a") "security: { roles = ( {"
					   " name = \"x\"; } ); };");
	put("agents.d/a.conf~", "{{{");
	put("agents.d/.hidden.conf", "{{{");
	ACCEPT("include = [ \"agents.d/*.conf\" ];" AGENTS(
		"main") "security: { roles = ( { name = \"y\"; } ); };");
	cr_assert_eq(config->agent_count, 3);
	cr_assert_str_eq(config->agents[0].name, "main");
	cr_assert_str_eq(config->agents[1].name, "a");
	cr_assert_str_eq(config->agents[2].name, "b");
	cr_assert_eq(config->role_count, 2);
}

Test(config_files, the_environment_chooses_files)
{
	struct config_override staging = { "environment", "staging" };

	put("e/staging/x.conf", AGENTS("stage") "token_limit = 7;");
	put("e/production/x.conf", AGENTS("prod"));
	ACCEPT("include = [ \"e/${environment}/*.conf\" ];");
	cr_assert_str_eq(config->agents[0].name, "prod");
	cr_assert_eq(load_with(&staging, 1), ATOM_OK, "%s", words());
	cr_assert_str_eq(config->agents[0].name, "stage");
	cr_assert_eq(config->token_limit, 7);
	REFUSE(1, "`environment` must be a word",
	       "environment = \"../x\"; include = [ \"${environment}/*\" ];");
	REFUSE(1, "not known here", "environment = \"${environment}\";");
}

Test(config_files, patterns_may_name_folders)
{
	put("t/one/agents.conf", AGENTS("one"));
	put("t/two/agents.conf", AGENTS("two"));
	put("t/three/other.conf", "{{{");
	ACCEPT("include = [ \"t/*/agents.conf\" ];");
	cr_assert_eq(config->agent_count, 2);
	REFUSE(1, "more than 4 *", "include = [ \"*a*a*a*a*\" ];");
}

Test(config_files, a_fault_of_an_included_file_names_it)
{
	put("x.conf", "\n\nagnets = ( );\n");
	put("y.conf", "max_agents = ;\n");
	cr_assert_eq(load("include = [ \"x.conf\", \"y.conf\" ];"),
		     ATOM_EINVAL);
	cr_assert_not_null(strstr(words(), "/x.conf:3: unknown key"));
	cr_assert_not_null(strstr(words(), "/y.conf:1: syntax error"));
}

Test(config_files, nothing_is_set_twice)
{
	put("x.conf", "\nmax_agents = 5;\nplugins: { watch = true; };");
	cr_assert_eq(load("include = [ \"x.conf\" ];\nmax_agents = 5;\n"
			  "plugins: { watch = true; };"),
		     ATOM_EINVAL);
	cr_assert_not_null(
		strstr(words(), "/x.conf:2: `max_agents` is set at"));
	cr_assert_not_null(strstr(words(), "/atomd.conf:2 already"));
	cr_assert_not_null(strstr(words(), "/x.conf:3: `watch` is set at"));
	put("x.conf", AGENTS("a"));
	cr_assert_eq(load("include = [ \"x.conf\" ];\n" AGENTS("a")),
		     ATOM_EINVAL);
	cr_assert_not_null(strstr(words(), "/x.conf:1: the agent `a`"));
	cr_assert_not_null(strstr(words(), "/atomd.conf:2 already"));
}

Test(config_files, includes_end)
{
	put("a.conf", "include = [ \"b.conf\" ];");
	cr_assert_eq(load("include = [ \"a.conf\" ];"), ATOM_EINVAL);
	cr_assert_not_null(strstr(words(), "/a.conf:1: `include` stands in"));
	REFUSE(1, "included twice", "include = [ \"atomd.conf\" ];");
	put("c.conf", "");
	REFUSE(1, "included twice", "include = [ \"c.conf\", \"*c.conf\" ];");
	cr_assert_eq(symlink("c.conf", at("d.conf")), 0);
	REFUSE(1, "included twice", "include = [ \"c.conf\", \"d.conf\" ];");
	REFUSE(1, "No such file", "include = [ \"not-there.conf\" ];");
	ACCEPT("include = [ \"none/*.conf\", \"*.none\" ];");
	cr_assert_eq(mkfifo(at("fifo"), 0600), 0);
	REFUSE(1, "is no regular file", "include = [ \"fifo\" ];");
	REFUSE(1, "is a list of file names", "include = [ \"\" ];");
}

Test(config_files, references_are_replaced)
{
	setenv("CONFIG_P", "pre", 1);
	setenv("CONFIG_EMPTY", "", 1);
	unsetenv("CONFIG_NO");
	put("word", "open sesame\n");
	put("sub/x.conf", "agents = ( { name = \"b\"; backend: {"
			  " plugin = \"e\"; p = \"${file:word}\"; }; } );");
	put("sub/word", "below");
	ACCEPT("include = [ \"sub/x.conf\" ]; agents = ( { name = \"a\";"
	       " backend: { plugin = \"e\"; a = \"${env:CONFIG_P}-x\";"
	       " b = \"${env:CONFIG_NO:-fall} $${env:X} $ $$\";"
	       " c = \"[${file:word}]\"; d = \"${environment}\";"
	       " e = \"${env:CONFIG_EMPTY}\";"
	       " f = \"${env:CONFIG_EMPTY:-d}\"; g = \"$$${env:X}\"; }; } );");
	cr_assert_str_eq(option(0, "a"), "pre-x");
	cr_assert_str_eq(option(0, "b"), "fall ${env:X} $ $$");
	cr_assert_str_eq(option(0, "c"), "[open sesame]");
	cr_assert_str_eq(option(0, "d"), "production");
	cr_assert_str_eq(option(0, "e"), "");
	cr_assert_str_eq(option(0, "f"), "d");
	cr_assert_str_eq(option(0, "g"), "$${env:X}");
	cr_assert_str_eq(option(1, "p"), "below");
	cr_assert(
		setting_member(config->agents[0].backend_options, "c")->secret);
	cr_assert_not(
		setting_member(config->agents[0].backend_options, "a")->secret);
}

Test(config_files, one_whole_reference_stands_for_any_scalar)
{
	setenv("CONFIG_N", "12", 1);
	setenv("CONFIG_B", "false", 1);
	setenv("CONFIG_D", "3s", 1);
	setenv("CONFIG_BAD", "ten", 1);
	ACCEPT("max_agents = \"${env:CONFIG_N}\";"
	       "monitoring_enabled = \"${env:CONFIG_B}\";"
	       "agents = ( { name = \"a\"; backend: { plugin = \"e\"; };"
	       " queue: { timeout_ms = \"${env:CONFIG_D}\"; }; } );");
	cr_assert_eq(config->max_agents, 12);
	cr_assert_not(config->monitoring_enabled);
	cr_assert_eq(config->agents[0].queue.timeout_ms, 3000);
	REFUSE(1, "found the string \"ten\"",
	       "max_agents = \"${env:CONFIG_BAD}\";");
	REFUSE(1, "must be an integer", "max_agents = \"${env:CONFIG_N}0\";");
	REFUSE(1, "must be an integer", "max_agents = \"12\";");
	REFUSE(1, "must be true or false",
	       "monitoring_enabled = \"${env:CONFIG_BAD}\";");
}

Test(config_files, a_wrong_reference_is_told_with_its_place)
{
	unsetenv("CONFIG_NO");
	REFUSE(2, "CONFIG_NO is not set", "\nuser = \"${env:CONFIG_NO}\";");
	cr_assert_null(strstr(words(), "must be"), "one fault, one message");
	REFUSE(1, "CONFIG_NO is not set", "max_agents = \"${env:CONFIG_NO}\";");
	cr_assert_null(strstr(words(), "must be"), "%s", words());
	REFUSE(1, "without its }", "user = \"${env:CONFIG_NO\";");
	REFUSE(1, "${nonsense:x} is no reference", "user = \"${nonsense:x}\";");
	REFUSE(1, "did you mean `env`", "user = \"${enw:X}\";");
	REFUSE(1, "do not nest", "user = \"${env:${env:X}}\";");
	REFUSE(1, "the name of a variable", "user = \"${env:}\";");
	REFUSE(1, "the name of a variable", "user = \"${env:1A}\";");
	REFUSE(1, "No such file", "user = \"${file:missing}\";");
	REFUSE(1, "is no regular file", "user = \"${file:/dev/zero}\";");
	setenv("CONFIG_LATIN", "\xff", 1);
	REFUSE(1, "CONFIG_LATIN is not UTF-8",
	       "user = \"${env:CONFIG_LATIN}\";");
}

Test(config_files, a_large_secret_file_is_refused)
{
	static char large[64 * 1024 + 1];

	memset(large, 'x', sizeof(large));
	put_bytes("s", large, sizeof(large));
	REFUSE(1, "larger than 64 KiB", "user = \"${file:s}\";");
	put_bytes("s", large, sizeof(large) - 1);
	ACCEPT("user = \"${file:s}\";");
}

Test(config_files, a_secret_is_never_in_a_message)
{
	put("secret", "hush-7c1f90aa\n");
	REFUSE(1, "`max_agents` must be", "max_agents = \"${file:secret}\";");
	cr_assert_null(strstr(words(), "hush"), "%s", words());
	REFUSE(1, "`log_level` must be", "log_level = \"${file:secret}\";");
	cr_assert_null(strstr(words(), "hush"), "%s", words());
	REFUSE(1, "`environment`", "environment = \"${file:secret}/\";");
	cr_assert_null(strstr(words(), "hush"), "%s", words());
	put("secret", "1234567\n");
	REFUSE(1, "`max_agents` must be", "max_agents = \"${file:secret}\";");
	cr_assert_null(strstr(words(), "1234567"), "%s", words());
}

static atom_status override(const char *path, const char *value)
{
	struct config_override one = { path, value };

	return load_with(&one, 1);
}

Test(config_files, an_override_replaces_adds_and_is_checked)
{
	put("atomd.conf",
	    "token_limit = 3; agents = ( " AGENT("gpt-4") ", " AGENT(
		    "gpt-4.1") " );\n"
			       "listeners = ( { address = \"127.0.0.1:1\"; } );");
	cr_assert_eq(override("token_limit", "9"), ATOM_OK, "%s", words());
	cr_assert_eq(config->token_limit, 9);
	cr_assert_eq(override("max_agents", "7"), ATOM_OK, "%s", words());
	cr_assert_eq(config->max_agents, 7);
	cr_assert_eq(override("log_level", "debug"), ATOM_OK, "%s", words());
	cr_assert_eq(override("monitoring_enabled", "false"), ATOM_OK);
	cr_assert_not(config->monitoring_enabled);
	cr_assert_eq(override("listeners.0.address", "127.0.0.1:2"), ATOM_OK);
	cr_assert_str_eq(config->listeners[0].address, "127.0.0.1:2");
	cr_assert_eq(override("agents.gpt-4.1.max_tokens", "5"), ATOM_OK);
	cr_assert_eq(config->agents[1].max_tokens, 5);
	cr_assert_eq(config->agents[0].max_tokens, 0);
	cr_assert_eq(override("agents.gpt-4.backend.p", "\"7\""), ATOM_OK);
	cr_assert_str_eq(option(0, "p"), "7");
	cr_assert_eq(override("agents.gpt-4.queue.timeout_ms", "2s"), ATOM_OK);
	cr_assert_eq(config->agents[0].queue.timeout_ms, 2000);

	cr_assert_eq(override("max_agnets", "7"), ATOM_EINVAL);
	cr_assert_str_eq(words(), "-D max_agnets: unknown key `max_agnets`; "
				  "did you mean `max_agents`?\n");
	cr_assert_eq(override("max_agents", "seven"), ATOM_EINVAL);
	cr_assert_eq(override("max_agents", "-3"), ATOM_EINVAL);
	cr_assert_eq(override("agents", "3"), ATOM_EINVAL);
	cr_assert_not_null(strstr(words(), "`agents` is a list"));
	cr_assert_eq(override("agents.gpt-5.max_tokens", "3"), ATOM_EINVAL);
	cr_assert_not_null(strstr(words(), "`agents` has no member `gpt-5`; "
					   "did you mean `gpt-4`?"));
	cr_assert_eq(override("agents.0", "3"), ATOM_EINVAL);
	cr_assert_eq(override("token_limit.x", "3"), ATOM_EINVAL);
	cr_assert_eq(override("", "3"), ATOM_EINVAL);
	cr_assert_eq(override("..", "3"), ATOM_EINVAL);
	cr_assert_eq(override("a b", "3"), ATOM_EINVAL);
	cr_assert_eq(override("token_limit", "\"3\""), ATOM_EINVAL);
}

Test(config_files, a_command_is_a_configuration)
{
	char *command[] = { (char *)"python3", (char *)"agent.py",
			    (char *)"${x}", NULL };
	char *nothing[] = { NULL };
	struct config_override one = { "listeners.0.address", "127.0.0.1:0" };
	const struct setting *words_of;

	setenv("HOME", folder, 1);
	unsetenv("XDG_STATE_HOME");
	cr_assert_eq(config_of_command(command, &one, 1, &config, &said),
		     ATOM_OK, "%s", words());
	cr_assert_str_empty(config->path);
	cr_assert_eq(config->agent_count, 1);
	cr_assert_str_eq(config->agents[0].name, "agent");
	cr_assert_str_eq(config->agents[0].backend, "process");
	words_of = setting_member(config->agents[0].backend_options, "command");
	cr_assert_eq(words_of->member_count, 3);
	cr_assert_str_eq(words_of->members[2]->text, "${x}");
	cr_assert_str_eq(config->anonymous_role, "caller");
	cr_assert_eq(config->listener_count, 2);
	cr_assert_str_eq(config->listeners[0].address, "127.0.0.1:0");
	cr_assert(config->listeners[1].admin);
	config_unref(&config);
	cr_assert_eq(config_of_command(nothing, NULL, 0, &config, &said),
		     ATOM_EINVAL);
}
