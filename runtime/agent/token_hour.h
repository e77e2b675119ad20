/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_TOKEN_HOUR_H
#define AGENT_TOKEN_HOUR_H

/*
 * Tokens used in the last hour, for what has a budget by the hour: 60 minutes
 * that slide a minute at a time.
 *
 * Tokens are reserved before a call, by what it is expected to use, and
 * settled after it, so that calls under way do not pass the budget together.
 * Times are of any clock that never goes back.  By atomics; zeroed: nothing was
 * used. [any]
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TOKEN_HOUR_MINUTES 60

struct token_hour {
	/* By the minute: which one a place is of, and its tokens. */
	_Atomic int64_t minutes[TOKEN_HOUR_MINUTES];
};

/* Takes `tokens` of the `budget` of an hour (0: there is none); false: they
 * would pass it. */
bool token_hour_reserve(struct token_hour *hour, int64_t tokens, int64_t budget,
			int64_t now_ms);
/* What was reserved came to `used` in the end. */
void token_hour_settle(struct token_hour *hour, int64_t reserved, int64_t used,
		       int64_t now_ms);
/* In the last hour. */
int64_t token_hour_sum(const struct token_hour *hour, int64_t now_ms);
/* These were used by an earlier process, or come to that. */
void token_hour_spend(struct token_hour *hour, int64_t tokens, int64_t now_ms);

#endif
