/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/token_hour.h"

#include <stddef.h>

#define MINUTE_MS 60000

/* The place of this minute; what stood there an hour ago is gone.  Two loops
 * that begin a minute at once: one of them clears it. */
static _Atomic int64_t *place_of(struct token_hour *hour, int64_t now_ms)
{
	int64_t minute = now_ms / MINUTE_MS + 1; /* 0: never used */
	size_t at = (size_t)(minute % TOKEN_HOUR_MINUTES);
	int64_t had = atomic_load(&hour->minute[at]);

	if (had < minute &&
	    atomic_compare_exchange_strong(&hour->minute[at], &had, minute))
		(void)atomic_exchange(&hour->tokens[at], 0);
	return &hour->tokens[at];
}

int64_t token_hour_sum(const struct token_hour *hour, int64_t now_ms)
{
	int64_t minute = now_ms / MINUTE_MS + 1, sum = 0;

	for (size_t i = 0; i < TOKEN_HOUR_MINUTES; i++)
		if (atomic_load(&hour->minute[i]) > minute - TOKEN_HOUR_MINUTES)
			sum += atomic_load_explicit(&hour->tokens[i],
						    memory_order_relaxed);
	return sum > 0 ? sum : 0;
}

void token_hour_spend(struct token_hour *hour, int64_t tokens, int64_t now_ms)
{
	(void)atomic_fetch_add_explicit(place_of(hour, now_ms), tokens,
					memory_order_relaxed);
}

bool token_hour_reserve(struct token_hour *hour, int64_t tokens, int64_t budget,
			int64_t now_ms)
{
	token_hour_spend(hour, tokens, now_ms);
	if (budget == 0 || token_hour_sum(hour, now_ms) <= budget)
		return true;
	token_hour_spend(hour, -tokens, now_ms);
	return false;
}

void token_hour_settle(struct token_hour *hour, int64_t reserved, int64_t used,
		       int64_t now_ms)
{
	token_hour_spend(hour, used - reserved, now_ms);
}
