/* SPDX-License-Identifier: Apache-2.0 */

/* monitor/alerts: what fires and resolves, who is told of it, and what is
 * left of it after a restart. */

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "alerts_fixture.h"

#define MONITOR_TEST(name) \
	Test(alerts_monitor, name, .init = set_up, .fini = tear_down)

MONITOR_TEST(an_alert_fires_gets_graver_and_resolves)
{
	step(4);
	told_is("pending busy warning a 4 > 3\n");
	step(4.5);
	told_is("fires busy warning a 4.5 > 3\n");
	cr_assert(strstr(host_state.log, "alert_firing: a: 4.5\n") != NULL);
	step(10);
	told_is("fires busy warning a 10 > 3\nfires busy critical a 10 > 9\n");
	step(5);
	told_is("fires busy warning a 5 > 3\n"
		"resolved busy critical a 10 > 9\n");
	step(1);
	told_is("resolved busy warning a 5 > 3\n");
	cr_assert(strstr(host_state.log, "alert_resolved") != NULL);
	step(1);
	told_is("");
}

MONITOR_TEST(the_daemon_hears_of_a_pending_one_that_does_not_fire)
{
	step(4);
	step(1);
	told_is("resolved busy warning a 4 > 3\n");
	cr_assert(strstr(host_state.log, "alert_resolved") == NULL);
	step(1);
	told_is("");
	cr_assert(host_state.requests == 0);
}

MONITOR_TEST(the_daemon_hears_labels_and_annotations)
{
	step(4);
	cr_assert(strcmp(host_state.pairs,
			 "agent=a alertname=busy severity=warning | "
			 "summary=a: 4 | 0") == 0,
		  "%s", host_state.pairs);
}

MONITOR_TEST(a_clock_that_was_set_back_holds_up_nothing)
{
	const int64_t year_ms = INT64_C(31536000000);

	host_state.now_ms += year_ms;
	step(4);
	step(4);
	cr_assert(host_state.requests == 1);
	answer(200);
	host_state.now_ms -= year_ms;
	for (int64_t ms = 0; ms <= options.repeat; ms += STEP_MS) {
		step(4);
		told_is("fires busy warning a 4 > 3\n");
	}
	cr_assert(host_state.requests == 2, "what lasts is told again");
	answer(200);
	step(1);
	told_is("resolved busy warning a 4 > 3\n");
	cr_assert(host_state.requests == 3);
	answer(200);
}

MONITOR_TEST(a_receivers_certificates_lie_beside_the_configuration)
{
	struct receiver_options own = receiver;
	const struct atom_groups before = options.receivers;
	char expected[128];

	own.ca_file = "ca.pem";
	close_monitor();
	options.receivers.items = &own;
	open_monitor();
	step(4);
	step(4);
	(void)snprintf(expected, sizeof(expected), "%s/ca.pem", folder);
	cr_assert(strcmp(host_state.ca_file, expected) == 0, "%s",
		  host_state.ca_file);
	answer(200);
	close_monitor();
	options.receivers = before;
	open_monitor();
}

MONITOR_TEST(a_long_authorization_is_sent_whole)
{
	struct receiver_options own = receiver;
	const struct atom_groups before = options.receivers;
	static char token[9000];

	memset(token, 't', sizeof(token) - 1);
	own.authorization = token;
	close_monitor();
	options.receivers.items = &own;
	open_monitor();
	step(4);
	step(4);
	cr_assert(strstr(host_state.headers, token) != NULL);
	answer(200);
	close_monitor();
	options.receivers = before;
	open_monitor();
}

MONITOR_TEST(a_silence_holds_back_what_fires_until_it_ends)
{
	host_state.silenced = "warning";
	step(4);
	step(4);
	told_is("fires busy warning a 4 > 3\n");
	cr_assert(host_state.requests == 0);
	step(10); /* the other one is not silenced */
	cr_assert(host_state.requests == 1);
	cr_assert(strstr(host_state.body, "\"critical\"") != NULL);
	cr_assert(strstr(host_state.body, "\"warning\"") == NULL, "%s",
		  host_state.body);
	answer(200);
	host_state.silenced = NULL;
	step(10);
	cr_assert(host_state.requests == 2);
	cr_assert(strstr(host_state.body, "\"warning\"") != NULL);
	answer(200);
}

MONITOR_TEST(what_resolves_in_a_silence_is_told_at_its_end)
{
	step(4);
	step(4);
	cr_assert(host_state.requests == 1);
	answer(200);
	host_state.silenced = "warning";
	for (int i = 0; i < 100; i++) /* longer than resolved ones are kept */
		step(1);
	cr_assert(host_state.requests == 1);
	close_monitor();
	open_monitor();
	host_state.silenced = NULL;
	step(1);
	cr_assert(host_state.requests == 2);
	cr_assert(strstr(host_state.body, "\"state\":\"resolved\"") != NULL);
	answer(200);
	step(1);
	cr_assert(host_state.requests == 2);
}

MONITOR_TEST(who_never_heard_that_it_fires_hears_no_end)
{
	host_state.silenced = "warning";
	step(4);
	step(4);
	step(1);
	host_state.silenced = NULL;
	step(1);
	cr_assert(host_state.requests == 0);
}

MONITOR_TEST(a_webhook_hears_signed_of_changes_and_of_what_lasts)
{
	char text[TEXT_MAX + 32], hex[65], line[128];
	unsigned char digest[32];
	unsigned int size = 0;

	step(4);
	cr_assert(host_state.requests == 0);
	step(4);
	cr_assert(host_state.requests == 1);
	cr_assert(strcmp(host_state.url, receiver.url) == 0);
	cr_assert(strstr(host_state.body,
			 "{\"alerts\":[{\"name\":\"busy\",\"severity\":"
			 "\"warning\",\"state\":\"firing\",\"value\":4,"
			 "\"threshold\":3,") != NULL,
		  "%s", host_state.body);
	cr_assert(strstr(host_state.body, "\"summary\":\"a: 4\"") != NULL);
	(void)snprintf(text, sizeof(text), "%lld.%s",
		       (long long)(host_state.now_ms / 1000), host_state.body);
	cr_assert(HMAC(EVP_sha256(), KEY, strlen(KEY),
		       (const unsigned char *)text, strlen(text), digest,
		       &size) != NULL);
	for (size_t i = 0; i < 32; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	(void)snprintf(line, sizeof(line), "X-Atomd-Signature: v1=%s\n", hex);
	cr_assert(strstr(host_state.headers, line) != NULL);
	answer(200);
	step(4);
	step(4);
	step(4);
	cr_assert(host_state.requests == 1);
	step(4); /* a minute after the first: `repeat` */
	cr_assert(host_state.requests == 2);
	answer(204);
	step(1);
	cr_assert(host_state.requests == 3);
	cr_assert(strstr(host_state.body, "\"state\":\"resolved\"") != NULL);
	cr_assert(strstr(host_state.body, "\"until\":\"2023-11-14T") != NULL);
	answer(200);
}

MONITOR_TEST(a_receiver_that_fails_is_asked_again_and_a_4xx_is_not)
{
	char first[TEXT_MAX];

	step(4);
	step(4);
	memcpy(first, host_state.body, sizeof(first));
	answer(503);
	cr_assert(strstr(host_state.log, "alert_not_delivered") != NULL);
	host_state.now_ms += 500;
	fire_timer();
	cr_assert(host_state.requests == 1);
	host_state.now_ms += 500;
	fire_timer();
	cr_assert(host_state.requests == 2);
	cr_assert(strcmp(first, host_state.body) == 0);
	answer(400);
	host_state.now_ms += 10000;
	fire_timer();
	cr_assert(host_state.requests == 2);
}

MONITOR_TEST(a_receiver_that_hangs_holds_up_no_evaluation)
{
	step(4);
	for (int i = 0; i < 200; i++)
		step(i % 2 != 0 ? 10 : 1);
	cr_assert(host_state.requests == 1);
	told_is("pending busy warning a 10 > 3\n"
		"fires busy critical a 10 > 9\n");
}

MONITOR_TEST(states_are_taken_up_after_a_restart)
{
	step(4);
	close_monitor();
	open_monitor();
	step(4);
	told_is("fires busy warning a 4 > 3\n");
	close_monitor();
	open_monitor();
	step(4);
	/* What fired is told to the new daemon, and to no receiver. */
	told_is("fires busy warning a 4 > 3\n");
	cr_assert(host_state.requests == 1);
}

static int lines_with(const char *event)
{
	int count = 0;

	for (const char *at = host_state.log; (at = strstr(at, event)) != NULL;
	     at++)
		count++;
	return count;
}

MONITOR_TEST(a_store_that_fails_is_told_once_and_again_when_it_is_well)
{
	step(4);
	host_state.put_status = ATOM_EIO;
	step(4);
	told_is("fires busy warning a 4 > 3\n");
	host_state.put_status = ATOM_EBUSY;
	step(4);
	step(1);
	told_is("resolved busy warning a 4 > 3\n");
	cr_assert(lines_with("alert_states_not_kept") == 1);
	cr_assert(lines_with("alert_states_kept") == 0);
	host_state.put_status = ATOM_OK;
	step(4);
	step(4);
	cr_assert(lines_with("alert_states_kept") == 1);
	close_monitor();
	open_monitor();
	step(4);
	told_is("fires busy warning a 4 > 3\n");
	host_state.put_status = ATOM_EIO;
	step(4);
	cr_assert(lines_with("alert_states_not_kept") == 2);
}

MONITOR_TEST(a_bad_file_is_named_and_the_old_rules_go_on)
{
	step(4);
	write_rules("groups:\n- name: g\n  rules:\n  - alert: a\n"
		    "    expr: 1 +\n");
	step(4);
	cr_assert(strstr(host_state.log, "alert_rules_refused: ") != NULL);
	cr_assert(strstr(host_state.log, "r.yml:5: character 4") != NULL, "%s",
		  host_state.log);
	told_is("fires busy warning a 4 > 3\n");
	write_rules("groups: []\n");
	step(4);
	told_is("resolved busy warning a 4 > 3\n");
}

static bool no_memory;

/* In place of the C library's; the plugin writes its texts through it. */
__attribute__((visibility("default"))) FILE *fopencookie(
	void *cookie, const char *mode, cookie_io_functions_t functions)
{
	FILE *(*real)(void *cookie, const char *mode,
		      cookie_io_functions_t functions);

	*(void **)&real = dlsym(RTLD_NEXT, "fopencookie");
	return no_memory ? NULL : real(cookie, mode, functions);
}

MONITOR_TEST(what_there_was_no_memory_for_is_told_at_the_next_evaluation)
{
	step(4);
	no_memory = true;
	step(4);
	told_is("fires busy warning a 4 > 3\n");
	step(4);
	cr_assert(host_state.requests == 0);
	cr_assert(lines_with("alert_not_made") == 1);
	cr_assert(lines_with("alert_firing") == 1);
	no_memory = false;
	step(4);
	cr_assert(host_state.requests == 1);
	cr_assert(strstr(host_state.body, "\"busy\"") != NULL);
	answer(200);
	step(4);
	cr_assert(host_state.requests == 1);
	no_memory = true;
	step(1);
	cr_assert(host_state.requests == 1);
	cr_assert(lines_with("alert_not_made") == 2);
	no_memory = false;
	step(1);
	cr_assert(host_state.requests == 2);
	cr_assert(strstr(host_state.body, "\"resolved\"") != NULL);
}

MONITOR_TEST(an_end_of_the_daemon_ends_the_transfer)
{
	step(4);
	step(4);
	close_monitor();
	cr_assert(host_state.cancelled);
	open_monitor();
}
