/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is locked out, when, for how long; and that a crowd does not push the
 * one who guesses out of the table.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "security/lockout.h"

static const struct config_lockout settings = {
	.failures = 10,
	.window_ms = 60000,
	.ban_ms = 60000,
	.ban_max_ms = 3600000,
};

static void begin(void)
{
	lockout_fini();
	lockout_apply(&settings);
}

/* `count` failures at one moment; the last one's verdict. */
static struct lockout_verdict fail(const char *address, int count,
				   int64_t now_ms)
{
	struct lockout_verdict verdict = { 0, false };

	while (count-- > 0)
		verdict = lockout_failed(address, now_ms);
	return verdict;
}

Test(lockout, the_tenth_failure_in_a_minute_locks)
{
	struct lockout_verdict verdict;

	begin();
	cr_assert_eq(fail("192.0.2.1", 9, 1000).locked_ms, 0);
	cr_assert_eq(lockout_count(1000), 0);
	verdict = fail("192.0.2.1", 1, 60999);
	cr_assert(verdict.begun);
	cr_assert_eq(verdict.locked_ms, 60000);
	cr_assert_eq(lockout_count(61000), 1);
	verdict = fail("192.0.2.1", 1, 61000);
	cr_assert_not(verdict.begun);
	cr_assert_eq(verdict.locked_ms, 59999);
}

Test(lockout, failures_that_are_spread_out_lock_nobody)
{
	begin();
	for (int64_t now_ms = 0; now_ms < 3600000; now_ms += 7000)
		cr_assert_eq(fail("192.0.2.1", 1, now_ms).locked_ms, 0, "%lld",
			     (long long)now_ms);
}

Test(lockout, each_lock_out_is_twice_as_long_up_to_an_hour)
{
	static const int64_t minutes[] = { 1, 2, 4, 8, 16, 32, 60, 60 };
	int64_t now_ms = 5000;

	begin();
	for (size_t i = 0; i < sizeof(minutes) / sizeof(minutes[0]); i++) {
		struct lockout_verdict v = fail("192.0.2.1", 10, now_ms);

		cr_assert(v.begun);
		cr_assert_eq(v.locked_ms, minutes[i] * 60000, "%zu: %lld", i,
			     (long long)v.locked_ms);
		now_ms += v.locked_ms;
		cr_assert_eq(lockout_count(now_ms), 0);
	}
	/* Quiet for longer than the longest: it starts anew. */
	now_ms += 3600001;
	cr_assert_eq(fail("192.0.2.1", 10, now_ms).locked_ms, 60000);
}

Test(lockout, addresses_are_apart_and_ipv6_counts_by_its_64)
{
	begin();
	cr_assert(fail("192.0.2.1", 10, 1).begun);
	cr_assert_eq(fail("192.0.2.2", 1, 1).locked_ms, 0);
	/* The same client, seen on a socket of both kinds; and two that only
	 * begin as such an address does. */
	cr_assert_gt(fail("::ffff:192.0.2.1", 1, 1).locked_ms, 0);
	cr_assert_eq(fail("::192.0.2.1", 1, 1).locked_ms, 0);
	cr_assert_eq(fail("0:0:1::ffff:c000:201", 1, 1).locked_ms, 0);
	cr_assert_eq(fail("unix", 1, 1).locked_ms, 0);
	cr_assert(fail("2001:db8:1:2::1", 9, 1).locked_ms == 0);
	cr_assert(fail("2001:db8:1:2:ffff:ffff:ffff:ffff", 1, 1).begun);
	cr_assert_eq(fail("2001:db8:1:3::1", 1, 1).locked_ms, 0);
	/* The same host, however its address came in. */
	cr_assert_gt(fail("::ffff:192.0.2.1", 1, 1).locked_ms, 0);
}

Test(lockout, zero_failures_lock_nobody)
{
	struct config_lockout off = settings;

	begin();
	off.failures = 0;
	lockout_apply(&off);
	cr_assert_eq(fail("192.0.2.1", 1000, 1).locked_ms, 0);
}

/* 200,000 strangers with a wrong key each, as a flood of forged addresses
 * would be: forty times what the table holds. */
Test(lockout, a_flood_of_addresses_does_not_free_who_is_locked)
{
	char address[32];
	int64_t begin_ms;

	begin();
	cr_assert(fail("192.0.2.1", 10, 1000).begun);
	cr_assert_eq(fail("192.0.2.2", 5, 1000).locked_ms, 0);
	for (unsigned int i = 0; i < 200000; i++) {
		(void)snprintf(address, sizeof(address), "10.%u.%u.%u", i >> 16,
			       i >> 8 & 255, i & 255);
		(void)lockout_failed(address, 1000 + i / 10);
	}
	cr_assert_gt(fail("192.0.2.1", 1, 30000).locked_ms, 0);
	/* Nor whoever is on the way to it. */
	cr_assert(fail("192.0.2.2", 5, 30000).begun);

	/* Long after: who was locked out then makes room like a stranger, and
	 * whoever is on the way now still is. */
	begin_ms = 30000 + 2 * 3600000;
	cr_assert_eq(fail("192.0.2.3", 5, begin_ms).locked_ms, 0);
	for (unsigned int i = 0; i < 200000; i++) {
		(void)snprintf(address, sizeof(address), "11.%u.%u.%u", i >> 16,
			       i >> 8 & 255, i & 255);
		(void)lockout_failed(address, begin_ms + i / 10);
	}
	cr_assert(fail("192.0.2.3", 5, begin_ms + 30000).begun);
	cr_assert_eq(lockout_count(begin_ms + 30000), 1);
}
