/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_REMOTE_DEADLINE_H
#define AUDIT_REMOTE_DEADLINE_H

/*
 * Deadlines: milliseconds of the monotonic clock, so that a clock that is set
 * while we wait changes nothing.  Every wait of a sink is given one.
 */

#include <limits.h>
#include <stdint.h>
#include <time.h>

static inline int64_t monotonic_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What is left, as poll(2) takes it: 0 when it has passed. */
static inline int deadline_left(int64_t deadline)
{
	int64_t left = deadline - monotonic_ms();

	if (left <= 0)
		return 0;
	return left > INT_MAX ? INT_MAX : (int)left;
}

#endif
