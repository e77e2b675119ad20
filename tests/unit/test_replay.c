/* SPDX-License-Identifier: Apache-2.0 */
/* What wins, losses and ties of replayed inputs say. */

#include <criterion/criterion.h>
#include <math.h>

#include "rollout/replay.h"

Test(replay, the_sign_test_is_the_binomials_tail)
{
	const struct replay_tally none = { 0, 0, 7 };
	const struct replay_tally five = { 0, 5, 0 };
	const struct replay_tally mixed = { 2, 8, 100 };
	const struct replay_tally many = { 480, 520, 0 };

	cr_assert_eq(replay_p_worse(&none), 1);
	cr_assert_float_eq(replay_p_worse(&five), 1.0 / 32, 1e-12);
	/* (45 + 10 + 1) / 1024 */
	cr_assert_float_eq(replay_p_worse(&mixed), 56.0 / 1024, 1e-12);
	/* R: 1 - pbinom(519, 1000, 0.5) */
	cr_assert_float_eq(replay_p_worse(&many), 0.108724, 1e-5);
}

Test(replay, losses_make_it_worse_and_ties_make_it_like_the_old)
{
	cr_assert_eq(replay_judge(&(struct replay_tally){ 0, 5, 0 }),
		     REPLAY_WORSE);
	cr_assert_eq(replay_judge(&(struct replay_tally){ 0, 4, 0 }),
		     REPLAY_UNDECIDED);
	cr_assert_eq(replay_judge(&(struct replay_tally){ 0, 0, 5 }),
		     REPLAY_UNDECIDED);
	cr_assert_eq(replay_judge(&(struct replay_tally){ 0, 0, 30 }),
		     REPLAY_NOT_WORSE);
	cr_assert_eq(replay_judge(&(struct replay_tally){ 12, 2, 3 }),
		     REPLAY_NOT_WORSE);
	cr_assert_eq(replay_judge(&(struct replay_tally){ 0, 0, 0 }),
		     REPLAY_UNDECIDED);
}

static double choose(int n, int k)
{
	return exp(lgamma(n + 1.0) - lgamma(k + 1.0) - lgamma(n - k + 1.0));
}

/* Exactly, over all outcomes: where the new one loses so often that it is
 * worse by the margin, it is taken for not worse at most once in twenty. */
Test(replay, errs_as_seldom_as_it_says)
{
	const double mean = 0.5 - REPLAY_MARGIN, half = 0.5;

	for (int n = 5; n <= 200; n += 39) {
		double wrong = 0, alarm = 0;

		for (int wins = 0; wins <= n; wins++) {
			const struct replay_tally tally = { wins, n - wins, 0 };
			double p = choose(n, wins) * pow(mean, wins) *
				   pow(1 - mean, n - wins);
			double equal = choose(n, wins) * pow(half, n);

			if (replay_judge(&tally) == REPLAY_NOT_WORSE)
				wrong += p;
			if (replay_judge(&tally) == REPLAY_WORSE)
				alarm += equal;
		}
		cr_assert_leq(wrong, REPLAY_ALPHA, "%d inputs: %g", n, wrong);
		cr_assert_leq(alarm, REPLAY_ALPHA, "%d inputs: %g", n, alarm);
	}
}
