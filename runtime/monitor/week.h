/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MONITOR_WEEK_H
#define MONITOR_WEEK_H

/*
 * The load of an agent in the last week, from the history, and so over
 * restarts: calls at once, those that wait with them, by five minutes.
 */

#include <stddef.h>
#include <stdint.h>

#include "monitor/history.h"

#define WEEK_MS	  ((int64_t)7 * 24 * 3600 * 1000)
#define WEEK_ROWS ((size_t)(WEEK_MS / HISTORY_ROLLED_MS) + 2)

struct week {
	int64_t first_ms;
	double loads[WEEK_ROWS]; /* `count` of them, rising in time */
	size_t count;
	double peak; /* the most that were in flight, or waited */
};

/* [pool] What cannot be read is not there. */
void week_read(const char *agent, struct week *week_r);

#endif
