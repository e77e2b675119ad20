/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "limit/limiter.h"

/* What a call takes of the three limits, and that it is taken whole. */

#define S   INT64_C(1000000000)
#define NOW (INT64_C(1000) * S)

static struct limiter limiter;

static void begin(int64_t requests, int64_t tokens, int64_t concurrent)
{
	const struct config_limits limits = { requests, tokens, concurrent };

	memset(&limiter, 0, sizeof(limiter));
	limiter_set(&limiter, &limits, NOW);
}

static int64_t left(const struct rate *rate)
{
	struct rate_view view;

	rate_view(rate, NOW, &view);
	return view.remaining;
}

#define EXPECT(requests_left, tokens_left, calls_now)                 \
	do {                                                          \
		cr_assert_eq(left(&limiter.requests), requests_left); \
		cr_assert_eq(left(&limiter.tokens), tokens_left);     \
		cr_assert_eq(atomic_load(&limiter.calls), calls_now); \
	} while (0)

Test(limiter, a_call_takes_of_all_three)
{
	struct limit_refusal refusal;
	struct limit_hold hold;

	begin(10, 1000, 5);
	cr_assert(limiter_take(&limiter, 300, NOW, &hold, &refusal));
	EXPECT(9, 700, 1);
	limiter_leave(&hold);
	limiter_leave(&hold);
	EXPECT(9, 700, 0);
	limiter_settle(&hold, 20, NOW);
	limiter_settle(&hold, 0, NOW);
	EXPECT(9, 980, 0);
}

Test(limiter, who_is_refused_by_one_takes_nothing_of_the_others)
{
	struct limit_refusal refusal;
	struct limit_hold first, hold;

	begin(10, 1000, 1);
	cr_assert(limiter_take(&limiter, 600, NOW, &first, &refusal));
	EXPECT(9, 400, 1);
	cr_assert_not(limiter_take(&limiter, 100, NOW, &hold, &refusal));
	cr_assert_eq(refusal.kind, LIMIT_CONCURRENT);
	cr_assert_eq(refusal.limit, 1);
	EXPECT(9, 400, 1);
	limiter_leave(&first);
	cr_assert_not(limiter_take(&limiter, 500, NOW, &hold, &refusal));
	cr_assert_eq(refusal.kind, LIMIT_TOKENS);
	cr_assert_eq(refusal.limit, 1000);
	cr_assert_eq(refusal.remaining, 400);
	cr_assert_eq(refusal.wait_ns, 6 * S);
	EXPECT(9, 400, 0);
	cr_assert_not(limiter_take(&limiter, 1001, NOW, &hold, &refusal));
	cr_assert_eq(refusal.wait_ns, RATE_NEVER);
	begin(1, 1000, 0);
	cr_assert(limiter_take(&limiter, 100, NOW, &first, &refusal));
	cr_assert_not(limiter_take(&limiter, 100, NOW, &hold, &refusal));
	cr_assert_eq(refusal.kind, LIMIT_REQUESTS);
	cr_assert_eq(refusal.wait_ns, 60 * S);
	EXPECT(0, 900, 1);
}

Test(limiter, what_is_undone_was_never_there)
{
	struct limit_refusal refusal;
	struct limit_hold hold;

	begin(3, 1000, 2);
	for (int i = 0; i < 50; i++) {
		cr_assert(limiter_take(&limiter, 1000, NOW, &hold, &refusal));
		EXPECT(2, 0, 1);
		limiter_undo(&hold, NOW);
		limiter_undo(&hold, NOW);
		EXPECT(3, 1000, 0);
	}
	cr_assert(limiter_is_idle(&limiter, NOW));
}

Test(limiter, calls_are_counted_before_there_is_a_limit)
{
	const struct config_limits two = { 0, 0, 2 };
	struct limit_refusal refusal;
	struct limit_hold holds[3], hold;

	begin(0, 0, 0);
	for (int i = 0; i < 3; i++)
		cr_assert(limiter_take(&limiter, 1, NOW, &holds[i], &refusal));
	limiter_set(&limiter, &two, NOW);
	cr_assert_not(limiter_take(&limiter, 1, NOW, &hold, &refusal));
	limiter_leave(&holds[0]);
	cr_assert_not(limiter_take(&limiter, 1, NOW, &hold, &refusal));
	limiter_leave(&holds[1]);
	cr_assert(limiter_take(&limiter, 1, NOW, &hold, &refusal));
	cr_assert_not(limiter_is_idle(&limiter, NOW));
}

Test(limiter, own_numbers_come_before_the_configurations)
{
	const struct config_limits own = { CONFIG_LIMIT_UNSET, 0, 7 };
	const struct config_limits defaults = { 1, 2, 3 };
	struct config_limits limits = limits_of(&own, &defaults);

	cr_assert_eq(limits.requests_per_minute, 1);
	cr_assert_eq(limits.tokens_per_minute, 0);
	cr_assert_eq(limits.concurrent, 7);
}
