/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/token_hour.h"

#include <stddef.h>

#define MINUTE_MS 60000
/* A place is one word, so that who begins a minute anew loses nothing of who
 * does so too: the minute times SPAN, and its tokens above -SPAN / 2. */
#define SPAN	   ((int64_t)1 << 36)
#define TOKENS_MAX (SPAN / 2 - 1)

static int64_t minute_of(int64_t place)
{
	return place / SPAN;
}

static int64_t tokens_of(int64_t place)
{
	return place % SPAN - SPAN / 2;
}

/* What a backend reports may be nonsense. */
static int64_t bounded(int64_t tokens)
{
	if (tokens > TOKENS_MAX)
		return TOKENS_MAX;
	return tokens < -TOKENS_MAX ? -TOKENS_MAX : tokens;
}

static int64_t place_of(int64_t minute, int64_t tokens)
{
	return minute * SPAN + bounded(tokens) + SPAN / 2;
}

static int64_t this_minute(int64_t now_ms)
{
	return now_ms / MINUTE_MS + 1; /* 0: never used */
}

int64_t token_hour_sum(const struct token_hour *hour, int64_t now_ms)
{
	int64_t begin = this_minute(now_ms) - TOKEN_HOUR_MINUTES, sum = 0;

	for (size_t i = 0; i < TOKEN_HOUR_MINUTES; i++) {
		int64_t place = atomic_load(&hour->minutes[i]);

		if (place != 0 && minute_of(place) > begin)
			sum += tokens_of(place);
	}
	return sum > 0 ? sum : 0;
}

/* What stood in its place an hour ago is gone. */
void token_hour_spend(struct token_hour *hour, int64_t tokens, int64_t now_ms)
{
	int64_t minute = this_minute(now_ms), next;
	_Atomic int64_t *at = &hour->minutes[minute % TOKEN_HOUR_MINUTES];
	int64_t had = atomic_load(at);

	do {
		next = minute_of(had) < minute
			       ? place_of(minute, tokens)
			       : place_of(minute_of(had),
					  tokens_of(had) + bounded(tokens));
	} while (!atomic_compare_exchange_weak(at, &had, next));
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
