/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents in a configuration: what they say, and what they may not.
 */
#include "test_config_fixture.h"

TestSuite(config_agent, .init = set_up, .fini = tear_down);

#define ECHO(name) "{ name = \"" name "\"; backend: { plugin = \"echo\"; }; }"
#define AGENT(more)                                                         \
	"agents = ( { name = \"a\"; backend: { plugin = \"echo\"; }; " more \
	" } );"

Test(config_agent, an_agent_has_every_default)
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

Test(config_agent, every_key_of_an_agent_is_read)
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

Test(config_agent, agents_are_checked_against_each_other)
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

Test(config_agent, an_agent_needs_a_good_name_and_a_backend)
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

Test(config_agent, bad_events_are_read_and_bounded)
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

Test(config_agent, a_deployment_is_read_and_bounded)
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

Test(config_agent, how_a_revision_comes_in_and_is_judged_is_no_part_of_it)
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

Test(config_agent, limits_of_keys_and_agents_are_read)
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
