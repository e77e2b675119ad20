/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCALING_HISTORY_H
#define SCALING_HISTORY_H

/*
 * What the controller remembers: the extreme of what was advised within a
 * window, and how many instances were added or removed within a period.  Both
 * are bounded; when full, the two oldest entries become one that errs towards
 * changing less.  Times only go forward.  Pure. [any]
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCALING_HISTORY_MAX 128

/*
 * A queue of values each more extreme than all after it (the sliding-window
 * minimum, by monotone queue): its head is the extreme of the window.
 */
struct scaling_extremes {
	bool lowest; /* else highest */
	uint32_t count;
	struct {
		int64_t at_ms;
		int32_t value;
	} entries[SCALING_HISTORY_MAX];
};

void scaling_extremes_init(struct scaling_extremes *extremes, bool lowest);
void scaling_extremes_add(struct scaling_extremes *extremes, int64_t now_ms,
			  int32_t value);
/* The extreme of `value` and all added within the last `window_ms`; the
 * moment just `window_ms` ago has left the window. */
int32_t scaling_extremes_within(const struct scaling_extremes *extremes,
				int64_t now_ms, int64_t window_ms,
				int32_t value);

struct scaling_changes {
	uint32_t count;
	struct {
		int64_t at_ms;
		int32_t instances;
	} entries[SCALING_HISTORY_MAX];
};

void scaling_changes_add(struct scaling_changes *changes, int64_t now_ms,
			 int32_t instances);
/* Instances changed within the last `period_ms`. */
int64_t scaling_changes_within(const struct scaling_changes *changes,
			       int64_t now_ms, int64_t period_ms);

#endif
