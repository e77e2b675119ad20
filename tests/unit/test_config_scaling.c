/* SPDX-License-Identifier: Apache-2.0 */
#include "test_config_fixture.h"

TestSuite(config_scaling, .init = set_up, .fini = tear_down);

#define AGENT(more)                                                         \
	"agents = ( { name = \"a\"; backend: { plugin = \"echo\"; }; " more \
	" } );"

Test(config_scaling, scaling_is_read_with_its_rules)
{
	const struct config_scaling *scaling;

	ACCEPT(AGENT("scaling: { };"));
	scaling = &config->agents[0].scaling;
	cr_assert_str_eq(scaling->plugin, "concurrency");
	cr_assert_eq(scaling->settings.up.stabilization_ms, 0);
	cr_assert_lt(scaling->settings.down.stabilization_ms, 0);
	cr_assert_eq(scaling->settings.up.policy_count, 0);
	ACCEPT(AGENT("scaling: { plugin = \"mine\"; own = 7;"
		     " target_wait_ms = 250; dry_run = true;"
		     " scale_up: { cooldown_s = 3; tolerance = 0.1;"
		     "  policies = ( { type = \"percent\"; value = 100; },"
		     "   { value = 4; period_s = \"1m\"; } ); };"
		     " scale_down: { stabilization_s = 0;"
		     "  select = \"disabled\"; }; };"));
	scaling = &config->agents[0].scaling;
	cr_assert_str_eq(scaling->plugin, "mine");
	cr_assert_eq(scaling->target_wait_ms, 250);
	cr_assert(scaling->settings.dry_run);
	cr_assert_eq(scaling->settings.up.cooldown_ms, 3000);
	cr_assert_float_eq(scaling->settings.up.tolerance, 0.1, 0);
	cr_assert_eq(scaling->settings.up.policy_count, 2);
	cr_assert_eq(scaling->settings.up.policies[0].type,
		     SCALING_POLICY_PERCENT);
	cr_assert_eq(scaling->settings.up.policies[0].value, 100);
	cr_assert_eq(scaling->settings.up.policies[0].period_ms, 15000);
	cr_assert_eq(scaling->settings.up.policies[1].type,
		     SCALING_POLICY_COUNT);
	cr_assert_eq(scaling->settings.up.policies[1].period_ms, 60000);
	cr_assert_eq(scaling->settings.down.stabilization_ms, 0);
	cr_assert_eq(scaling->settings.down.select, SCALING_SELECT_DISABLED);
	REFUSE(1, "`tolerance` must be 0 to 1, found 2",
	       AGENT("scaling: { scale_up: { tolerance = 2.0; }; };"));
	REFUSE(1, "a number of seconds",
	       AGENT("scaling: { scale_up: { cooldown_s = true; }; };"));
	REFUSE(1, "did you mean `cooldown_s`",
	       AGENT("scaling: { scale_up: { cooldown = 1; }; };"));
	REFUSE(1, "at most 8",
	       AGENT("scaling: { scale_up: { policies = ( { }, { }, { }, { },"
		     " { }, { }, { }, { }, { } ); }; };"));
	REFUSE(1, "\"count\" \"percent\"",
	       AGENT("scaling: { scale_up: {"
		     " policies = ( { type = \"pods\"; } ); }; };"));
}

Test(config_scaling, another_strategy_is_no_other_revision)
{
	uint8_t hash[32];

	ACCEPT(AGENT("scaling: { plugin = \"mine\"; };"));
	memcpy(hash, config->agents[0].text_hash, sizeof(hash));
	ACCEPT(AGENT("scaling: { plugin = \"other\"; x = 1; };"));
	cr_assert_arr_eq(config->agents[0].text_hash, hash, sizeof(hash));
	ACCEPT(AGENT("max_tokens = 5;"));
	cr_assert_neq(memcmp(config->agents[0].text_hash, hash, sizeof(hash)),
		      0);
}
