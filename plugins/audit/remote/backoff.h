/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_REMOTE_BACKOFF_H
#define AUDIT_REMOTE_BACKOFF_H

/*
 * When a receiver that failed is tried again: the wait doubles with each
 * failure from `first_ms` up to `max_ms`, and a random half of it is left
 * out, so that many daemons do not come back at the same instant ("equal
 * jitter", M. Brooker, Exponential Backoff and Jitter, 2015).  Nobody sleeps
 * here: a sink that is asked too early says how long it is until then.
 */

#include <stdint.h>

struct backoff {
	int64_t first_ms;
	int64_t max_ms;
	int64_t due; /* monotonic; 0: at once */
	uint32_t failures;
	uint64_t random; /* state of the generator, never 0 */
};

/* The generator is seeded from the system's; a poor seed only makes waits
 * easier to guess. */
void backoff_init(struct backoff *backoff, int64_t first_ms, int64_t max_ms);
void backoff_succeeded(struct backoff *backoff);
/* One more failure: the next try is due after the wait, and not before
 * `at_least_ms` (what the receiver asked for). */
void backoff_failed(struct backoff *backoff, int64_t at_least_ms);
/* Milliseconds until the next try, 0 = now. */
int32_t backoff_left(const struct backoff *backoff);

#endif
