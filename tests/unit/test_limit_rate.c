/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rate by numbers worked out by hand.  Time is what is handed in: begun
 * far from 0, as a machine that has been up for a while.
 */
#include <criterion/criterion.h>

#include "limit/rate.h"

#define S   INT64_C(1000000000)
#define NOW (INT64_C(86400) * S)

static struct rate rate;

static void begin(int64_t limit)
{
	rate = (struct rate){ 0 };
	rate_set(&rate, limit, NOW);
}

static int64_t take(int64_t units, int64_t at_ns)
{
	int64_t until;

	return rate_take(&rate, units, at_ns, &until);
}

static int64_t remaining(int64_t at_ns)
{
	struct rate_view view;

	rate_view(&rate, at_ns, &view);
	return view.remaining;
}

Test(limit_rate, without_a_limit_everything_passes)
{
	struct rate_view view;
	int64_t until;

	begin(0);
	for (int i = 0; i < 1000; i++)
		cr_assert_eq(rate_take(&rate, 1000000, NOW, &until),
			     RATE_TAKEN);
	rate_view(&rate, NOW, &view);
	cr_assert_eq(view.limit, 0);
	cr_assert(rate_is_full(&rate, NOW));
}

Test(limit_rate, a_minutes_worth_passes_at_once_and_no_more)
{
	begin(3); /* T = 20 s */
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(remaining(NOW), 3 - i);
		cr_assert_eq(take(1, NOW), RATE_TAKEN);
	}
	cr_assert_eq(remaining(NOW), 0);
	cr_assert_eq(take(1, NOW), 20 * S, "the first comes back after T");
	cr_assert_eq(take(1, NOW + 5 * S), 15 * S);
	cr_assert_eq(take(2, NOW + 5 * S), 35 * S);
	cr_assert_eq(take(3, NOW + 5 * S), 55 * S);
	cr_assert_eq(take(4, NOW + 5 * S), RATE_NEVER);
	cr_assert_eq(take(1, NOW + 20 * S - 1), 1);
	cr_assert_eq(take(1, NOW + 20 * S), RATE_TAKEN);
	cr_assert_eq(take(1, NOW + 20 * S), 20 * S);
}

Test(limit_rate, what_is_refused_costs_nothing)
{
	begin(2);
	cr_assert_eq(take(2, NOW), RATE_TAKEN);
	for (int i = 0; i < 100; i++)
		cr_assert_eq(take(1, NOW + S), 29 * S);
	cr_assert_eq(take(1, NOW + 30 * S), RATE_TAKEN);
}

Test(limit_rate, an_idle_hour_saves_no_more_than_a_minute)
{
	begin(60);
	cr_assert_eq(take(60, NOW), RATE_TAKEN);
	cr_assert_eq(remaining(NOW + 3600 * S), 60);
	cr_assert_eq(take(61, NOW + 3600 * S), RATE_NEVER);
	cr_assert_eq(take(60, NOW + 3600 * S), RATE_TAKEN);
	cr_assert_eq(take(1, NOW + 3600 * S), S);
}

Test(limit_rate, in_the_long_run_it_is_the_limit)
{
	int64_t passed = 0;

	begin(600); /* T = 100 ms; asked 30 times as often for ten minutes */
	for (int64_t at = 0; at < 600 * S; at += S / 300)
		passed += take(1, NOW + at) == RATE_TAKEN;
	/* A whole minute at once, and ten minutes. */
	cr_assert_eq(passed, 600 + 6000 - 1);
}

Test(limit_rate, a_burst_is_exact_whatever_the_limit)
{
	static const int64_t limits[] = { 1,	     7,	      59,
					  61,	     9999,    244949,
					  1000000,   7777777, 300000007,
					  999999999, RATE_MAX };

	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		int64_t n = limits[i];

		begin(n);
		if (n > 1)
			cr_assert_eq(take(n - 1, NOW), RATE_TAKEN);
		cr_assert_eq(take(1, NOW), RATE_TAKEN, "%lld", (long long)n);
		cr_assert_eq(remaining(NOW), 0);
		cr_assert_gt(take(1, NOW), 0, "%lld", (long long)n);
		cr_assert_eq(take(n + 1, NOW), RATE_NEVER);
		cr_assert_eq(remaining(NOW + 61 * S), n);
	}
}

Test(limit_rate, the_view_says_when_it_is_full_again)
{
	struct rate_view view;

	begin(60000); /* T = 1 ms */
	cr_assert_eq(take(1500, NOW), RATE_TAKEN);
	rate_view(&rate, NOW + 500 * (S / 1000), &view);
	cr_assert_eq(view.limit, 60000);
	cr_assert_eq(view.remaining, 59000);
	cr_assert_eq(view.full_ns, S);
	cr_assert_not(rate_is_full(&rate, NOW + S));
	cr_assert(rate_is_full(&rate, NOW + 2 * S));
}

/* --- settling ---------------------------------------------------------------- */

Test(limit_rate, what_was_not_needed_comes_back)
{
	int64_t until;

	begin(1000); /* T = 60 ms */
	cr_assert_eq(rate_take(&rate, 900, NOW, &until), RATE_TAKEN);
	cr_assert_eq(take(200, NOW), 6 * S);
	rate_settle(&rate, 900, 30, until, NOW);
	cr_assert_eq(remaining(NOW), 970);
	cr_assert_eq(take(970, NOW), RATE_TAKEN);
	cr_assert_gt(take(1, NOW), 0);
}

Test(limit_rate, what_was_needed_beyond_is_owed)
{
	int64_t until;

	begin(600); /* T = 100 ms */
	cr_assert_eq(rate_take(&rate, 500, NOW, &until), RATE_TAKEN);
	rate_settle(&rate, 500, 1200, until, NOW);
	cr_assert_eq(remaining(NOW), 0);
	/* 600 are owed beyond the limit, and one has to come back. */
	cr_assert_eq(take(1, NOW), 60 * S + S / 10);
	cr_assert_eq(remaining(NOW + 60 * S), 0);
	cr_assert_eq(remaining(NOW + 90 * S), 300);
	cr_assert_eq(remaining(NOW + 120 * S), 600);
}

Test(limit_rate, nonsense_is_owed_for_an_hour_at_most)
{
	int64_t until;

	begin(60);
	cr_assert_eq(rate_take(&rate, 1, NOW, &until), RATE_TAKEN);
	rate_settle(&rate, 1, INT64_MAX, until, NOW);
	cr_assert_eq(take(1, NOW), 3600 * S - 59 * S);
	rate_settle(&rate, 1, INT64_MAX, until, NOW);
	cr_assert_eq(take(1, NOW), 3600 * S - 59 * S);
}

Test(limit_rate, what_has_drained_does_not_come_back_again)
{
	int64_t until;

	begin(60); /* T = 1 s */
	cr_assert_eq(rate_take(&rate, 30, NOW, &until), RATE_TAKEN);
	/* After a minute the thirty are long back; somebody takes all. */
	cr_assert_eq(take(60, NOW + 60 * S), RATE_TAKEN);
	rate_settle(&rate, 30, 0, until, NOW + 60 * S);
	cr_assert_eq(remaining(NOW + 60 * S), 0);
	/* After ten seconds twenty are left to come back. */
	begin(60);
	cr_assert_eq(rate_take(&rate, 30, NOW, &until), RATE_TAKEN);
	cr_assert_eq(remaining(NOW + 10 * S), 40);
	cr_assert_eq(take(40, NOW + 10 * S), RATE_TAKEN);
	rate_settle(&rate, 30, 0, until, NOW + 10 * S);
	cr_assert_eq(remaining(NOW + 10 * S), 20);
}

Test(limit_rate, giving_back_never_makes_more_than_the_limit)
{
	int64_t until;

	begin(100);
	cr_assert_eq(rate_take(&rate, 100, NOW, &until), RATE_TAKEN);
	for (int i = 0; i < 5; i++)
		rate_settle(&rate, 100, 0, until, NOW);
	cr_assert_eq(remaining(NOW), 100);
	cr_assert_eq(take(100, NOW), RATE_TAKEN);
	cr_assert_gt(take(1, NOW), 0);
}

/* Who read the clock before the limit was there finds all of it. */
Test(limit_rate, a_limit_of_one_that_has_just_come_passes_one)
{
	begin(1);
	cr_assert_eq(remaining(NOW - 1), 1);
	cr_assert_eq(take(1, NOW - 1), RATE_TAKEN);
	cr_assert_eq(take(1, NOW), 60 * S - 1);

	begin(0);
	rate_set(&rate, 1, NOW);
	cr_assert_eq(take(1, NOW - 1), RATE_TAKEN);
	/* It has drained, and another one comes. */
	rate_set(&rate, 2, NOW + 61 * S);
	cr_assert_eq(take(2, NOW + 60 * S), RATE_TAKEN);
}

/* --- other limits ---------------------------------------------------------------- */

Test(limit_rate, another_limit_keeps_what_is_used)
{
	begin(10);
	cr_assert_eq(take(3, NOW), RATE_TAKEN);
	rate_set(&rate, 5, NOW);
	cr_assert_eq(remaining(NOW), 2);
	rate_set(&rate, 100, NOW);
	cr_assert_eq(remaining(NOW), 97);
	rate_set(&rate, 7, NOW);
	cr_assert_eq(remaining(NOW), 4);
	rate_set(&rate, 2, NOW);
	cr_assert_eq(remaining(NOW), 0);
	/* Three used of two a minute: one is owed. */
	cr_assert_eq(take(1, NOW), 60 * S);
	rate_set(&rate, 10, NOW);
	cr_assert_eq(remaining(NOW), 7);
}

Test(limit_rate, a_limit_that_comes_and_goes_begins_anew)
{
	begin(10);
	cr_assert_eq(take(10, NOW), RATE_TAKEN);
	rate_set(&rate, 0, NOW);
	cr_assert_eq(take(1000, NOW), RATE_TAKEN);
	rate_set(&rate, 10, NOW);
	cr_assert_eq(remaining(NOW), 10);
}

Test(limit_rate, a_call_is_settled_in_the_limit_of_its_end)
{
	int64_t until;

	begin(1000);
	cr_assert_eq(rate_take(&rate, 800, NOW, &until), RATE_TAKEN);
	rate_set(&rate, 2000, NOW);
	cr_assert_eq(remaining(NOW), 1200);
	rate_settle(&rate, 800, 300, until, NOW);
	cr_assert_eq(remaining(NOW), 1700);
	/* One that began without a limit owes none of it. */
	begin(0);
	cr_assert_eq(rate_take(&rate, 800, NOW, &until), RATE_TAKEN);
	rate_set(&rate, 100, NOW);
	rate_settle(&rate, 800, 900, until, NOW);
	cr_assert_eq(remaining(NOW), 100);
}
