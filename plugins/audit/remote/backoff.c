/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/audit/remote/backoff.h"

#include <sys/random.h>

#include "plugins/audit/remote/deadline.h"

void backoff_init(struct backoff *backoff, int64_t first_ms, int64_t max_ms)
{
	uint64_t seed = 0;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) !=
	    (ssize_t)sizeof(seed))
		seed = (uint64_t)monotonic_ms();
	*backoff = (struct backoff){
		.first_ms = first_ms,
		.max_ms = max_ms > first_ms ? max_ms : first_ms,
		.random = seed | 1,
	};
}

void backoff_succeeded(struct backoff *backoff)
{
	backoff->failures = 0;
	backoff->due = 0;
}

/* xorshift64 (G. Marsaglia, 2003). */
static uint64_t next_random(struct backoff *backoff)
{
	uint64_t x = backoff->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	backoff->random = x;
	return x;
}

void backoff_failed(struct backoff *backoff, int64_t at_least_ms)
{
	int64_t wait = backoff->first_ms;

	for (uint32_t i = 0; i < backoff->failures && wait < backoff->max_ms;
	     i++)
		wait *= 2;
	if (wait > backoff->max_ms)
		wait = backoff->max_ms;
	wait -= (int64_t)(next_random(backoff) % ((uint64_t)wait / 2 + 1));
	if (wait < at_least_ms)
		wait = at_least_ms;
	if (backoff->failures < UINT32_MAX)
		backoff->failures++;
	backoff->due = monotonic_ms() + wait;
}

int32_t backoff_left(const struct backoff *backoff)
{
	return deadline_left(backoff->due);
}
