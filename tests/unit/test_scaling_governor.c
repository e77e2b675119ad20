/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scaling/governor: what it asks for in cases whose answer is known, and that
 * no state or load of nonsense makes it illegal.
 */
#include <criterion/criterion.h>

#include <string.h>

#include "scaling_fixture.h"

static double bounds[3] = { 0.9, 1.1, 10 };
static uint64_t counts[4];
static double cold_starts_s[3];

/* Calls of a second, four slots an instance, a start of `start_s`. */
static void agent(double start_s)
{
	scaling_load.concurrency = 4;
	scaling_load.min = 0;
	scaling_load.max = 50;
	scaling_load.target_wait_ms = 1000;
	memset(counts, 0, sizeof(counts));
	counts[1] = 1000;
	scaling_load.service.bounds = bounds;
	scaling_load.service.counts = counts;
	scaling_load.service.bucket_count = 4;
	scaling_load.service.count = 1000;
	scaling_load.service.sum = 1000;
	for (int i = 0; i < 3; i++)
		cold_starts_s[i] = start_s;
	scaling_load.cold_starts_s = cold_starts_s;
	scaling_load.cold_start_count = 3;
}

static void begin(void)
{
	scaling_begin("governor", "");
	agent(2);
}

TestSuite(scaling_governor, .init = begin, .fini = scaling_end);

/* So many seconds, each with `arrived` calls; late ones are not measured. */
static int32_t live(int seconds, int64_t arrived, int64_t in_flight)
{
	int32_t wanted = -1;

	for (int i = 0; i < seconds; i++) {
		scaling_seconds(1, (double)in_flight, 0);
		scaling_last_second()->arrived = arrived;
		scaling_last_second()->finished = arrived;
		scaling_last_second()->late = -1;
		scaling_load.in_flight = in_flight;
		scaling_load.desired = wanted >= 0 ? wanted : 1;
		scaling_load.ready = scaling_load.desired;
		wanted = scaling_ask_after(1000);
	}
	return wanted;
}

Test(scaling_governor, a_backlog_counts_at_once)
{
	scaling_load.in_flight = 4;
	scaling_load.waiting = 36;
	/* Forty calls need ten instances, whatever is spare besides. */
	cr_assert_geq(scaling_ask(), 10);
	cr_assert_str_eq(scaling_advice.reason_code, "backlog");
	cr_assert_eq(scaling_advice.action, ATOM_SCALE_ADD);
	cr_assert(strstr(scaling_advice.reason, "4 at work, 36 wait") != NULL,
		  "%s", scaling_advice.reason);
}

Test(scaling_governor, a_waiting_call_needs_one_whatever_is_learnt)
{
	cr_assert_eq(live(700, 0, 0), 0);
	scaling_load.waiting = 1;
	cr_assert_geq(scaling_ask_after(100), 1);
}

/* Twenty calls a second of one second each: a load of 20, five instances at
 * the least, and under a constant flow not many more. */
Test(scaling_governor, a_constant_flow_gets_its_load_and_little_more)
{
	int32_t wanted = live(600, 20, 20);

	cr_assert_geq(wanted, 5);
	cr_assert_leq(wanted, 7, "%d: %s", wanted, scaling_advice.reason);
}

/* A hundred calls a second of a tenth of a second each keep ten slots busy: a
 * slot serves ten of them in a second, and none is late. */
Test(scaling_governor, calls_shorter_than_a_second_share_a_slot)
{
	int32_t wanted;

	memset(counts, 0, sizeof(counts));
	counts[0] = 1000;
	scaling_load.service.sum = 100;
	wanted = live(600, 100, 10);
	cr_assert_geq(wanted, 3);
	cr_assert_leq(wanted, 5, "%d: %s", wanted, scaling_advice.reason);
	cr_assert(strstr(scaling_advice.reason, "late 0.0 % foreseen") != NULL,
		  "%s", scaling_advice.reason);
}

Test(scaling_governor, nothing_to_do_for_long_means_no_instances)
{
	(void)live(120, 20, 20);
	cr_assert_eq(live(1300, 0, 0), 0);
}

/* A burst of forty calls each minute. When starting takes no time nothing is
 * kept between bursts; when it takes half a minute, what a burst needs is: to
 * begin forty calls of one second, which come within a second, each within one
 * second takes n slots with n + 2 n = 40: 13.3, which are four instances. */
static int32_t between_bursts(double start_s)
{
	int32_t wanted = -1;

	agent(start_s);
	for (int minute = 0; minute < 30; minute++) {
		(void)live(1, 40, 40);
		(void)live(3, 0, 2);
		wanted = live(50, 0, 0);
	}
	return wanted;
}

Test(scaling_governor, what_is_quickly_started_is_not_held)
{
	cr_assert_eq(between_bursts(0.1), 0);
}

Test(scaling_governor, what_is_slowly_started_is_held)
{
	cr_assert_geq(between_bursts(30), 4, "%s", scaling_advice.reason);
	cr_assert_leq(scaling_advice.wanted, 20);
}

Test(scaling_governor, a_smaller_share_never_asks_for_less)
{
	int32_t last = 0;
	static const char *const options[] = { "late_share = 0.5;",
					       "late_share = 0.05;",
					       "late_share = 0.001;" };

	for (int i = 0; i < 3; i++) {
		scaling_end();
		scaling_begin("governor", options[i]);
		int32_t wanted = between_bursts(30);
		cr_assert_geq(wanted, last, "%s: %d after %d", options[i],
			      wanted, last);
		last = wanted;
	}
}

Test(scaling_governor, bounds_hold)
{
	scaling_load.max = 3;
	scaling_load.waiting = 1000;
	cr_assert_eq(scaling_ask(), 3);
	scaling_load.min = 2;
	scaling_load.waiting = 0;
	scaling_load.desired = 3;
	cr_assert_geq(live(700, 0, 0), 2);
}

Test(scaling_governor, the_same_state_and_load_give_the_same_advice)
{
	unsigned char state[ATOM_SCALING_STATE_MAX];
	struct atom_scaling_advice first;
	size_t size;

	(void)live(100, 7, 9);
	size = scaling_state_size;
	memcpy(state, scaling_state, size);
	(void)live(50, 3, 2);
	first = scaling_advice;
	/* Back, and the same again: nothing is kept but the state. */
	scaling_end();
	begin();
	(void)live(100, 7, 9);
	cr_assert_eq(scaling_state_size, size);
	cr_assert_eq(memcmp(scaling_state, state, size), 0);
	(void)live(50, 3, 2);
	cr_assert_eq(first.wanted, scaling_advice.wanted);
	cr_assert_eq(first.hold_ms, scaling_advice.hold_ms);
	cr_assert_str_eq(first.reason, scaling_advice.reason);
}

Test(scaling_governor, nonsense_gets_legal_advice)
{
	(void)live(60, 5, 5);
	scaling_bombard(11, 300);
}

Test(scaling_governor, wrong_options_are_refused)
{
	scaling_end();
	scaling_refused("governor", "late_share = 0.0;", "late_share");
	scaling_refused("governor", "late_shore = 0.1;", "late_share");
	scaling_begin("governor", "");
}
