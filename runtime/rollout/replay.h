/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ROLLOUT_REPLAY_H
#define ROLLOUT_REPLAY_H

/*
 * Recorded inputs, answered by both revisions and graded blind: what that says
 * about the new one.
 *
 * Each input is won by the new revision, lost by it, or tied.  A failure of one
 * of the two alone decides it; else a grader that is asked in both orders, and
 * what it says only in one of them is a tie (Zheng et al., "Judging
 * LLM-as-a-Judge with MT-Bench and Chatbot Arena", NeurIPS 2023, 3.4).
 *
 * Worse: the sign test (Dixon and Mood, JASA 41, 1946), which leaves ties out:
 * the odds of so many losses or more among the decided, were both alike.  The
 * number of inputs is fixed before, so that it holds as it stands.
 *
 * Not worse: ties count here, as one half, for a hundred of them say that the
 * new one is like the old.  It is tested that the mean of the outcomes (1 won,
 * 1/2, 0 lost) is at most 1/2 - REPLAY_MARGIN, by betting (Waudby-Smith and
 * Ramdas, "Estimating means of bounded random variables by betting", JRSS-B
 * 86, 2024): for bets b of a grid E_b is the product of 1 + b (x - mean), E the
 * average of the E_b, and the odds of E >= 1/alpha are at most alpha.
 *
 * Pure. [any]
 */

#include <stdint.h>

#define REPLAY_ALPHA  0.05
#define REPLAY_MARGIN 0.1

struct replay_tally {
	int64_t wins; /* of the new revision */
	int64_t losses;
	int64_t ties;
};

enum replay_verdict {
	REPLAY_UNDECIDED,
	REPLAY_WORSE,
	REPLAY_NOT_WORSE
};

/* Of `losses` and more of the new one's, were both alike; 1 without any. */
double replay_p_worse(const struct replay_tally *tally);
/* Against the new one's being worse by the margin; grows without bound. */
double replay_e_not_worse(const struct replay_tally *tally);
enum replay_verdict replay_judge(const struct replay_tally *tally);

#endif
