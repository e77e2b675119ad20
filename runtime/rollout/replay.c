/* SPDX-License-Identifier: Apache-2.0 */
#include "rollout/replay.h"

#include <math.h>

/* 0.1, 0.3, ... 2.3: a bet of 1 / (1/2 - REPLAY_MARGIN) loses all at one
 * loss. */
#define BETS 12

double replay_p_worse(const struct replay_tally *tally)
{
	double n = (double)(tally->wins + tally->losses), sum = 0;

	/* The binomial's tail, each term by its logarithm. */
	for (int64_t k = tally->losses; k <= tally->wins + tally->losses; k++) {
		double log_term = lgamma(n + 1) - lgamma((double)k + 1) -
				  lgamma(n - (double)k + 1) - n * log(2);

		sum += exp(log_term);
	}
	return sum < 1 ? sum : 1;
}

double replay_e_not_worse(const struct replay_tally *tally)
{
	const double mean = 0.5 - REPLAY_MARGIN;
	double sum = 0;

	for (int i = 0; i < BETS; i++) {
		double bet = 0.1 + 0.2 * i;

		sum += exp((double)tally->wins * log1p(bet * (1 - mean)) +
			   (double)tally->ties * log1p(bet * (0.5 - mean)) +
			   (double)tally->losses * log1p(bet * (0 - mean)));
	}
	return sum / BETS;
}

enum replay_verdict replay_judge(const struct replay_tally *tally)
{
	if (replay_p_worse(tally) <= REPLAY_ALPHA)
		return REPLAY_WORSE;
	return replay_e_not_worse(tally) >= 1 / REPLAY_ALPHA ? REPLAY_NOT_WORSE
							     : REPLAY_UNDECIDED;
}
