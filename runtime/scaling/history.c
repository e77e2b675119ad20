/* SPDX-License-Identifier: Apache-2.0 */
#include "scaling/history.h"

#include <string.h>

void scaling_extremes_init(struct scaling_extremes *extremes, bool lowest)
{
	memset(extremes, 0, sizeof(*extremes));
	extremes->lowest = lowest;
}

static bool more_extreme(const struct scaling_extremes *extremes, int32_t a,
			 int32_t b)
{
	return extremes->lowest ? a < b : a > b;
}

void scaling_extremes_add(struct scaling_extremes *extremes, int64_t now_ms,
			  int32_t value)
{
	/* What is older and no more extreme will never be the extreme. */
	while (extremes->count > 0 &&
	       !more_extreme(extremes,
			     extremes->entries[extremes->count - 1].value,
			     value))
		extremes->count--;
	if (extremes->count == SCALING_HISTORY_MAX) {
		/* The oldest, most extreme value lives as long as the next. */
		extremes->entries[1].value = extremes->entries[0].value;
		extremes->count--;
		memmove(&extremes->entries[0], &extremes->entries[1],
			extremes->count * sizeof(extremes->entries[0]));
	}
	extremes->entries[extremes->count].at_ms = now_ms;
	extremes->entries[extremes->count].value = value;
	extremes->count++;
}

int32_t scaling_extremes_within(const struct scaling_extremes *extremes,
				int64_t now_ms, int64_t window_ms,
				int32_t value)
{
	uint32_t old = 0;

	while (old < extremes->count &&
	       extremes->entries[old].at_ms <= now_ms - window_ms)
		old++;
	if (old < extremes->count &&
	    more_extreme(extremes, extremes->entries[old].value, value))
		return extremes->entries[old].value;
	return value;
}

void scaling_changes_add(struct scaling_changes *changes, int64_t now_ms,
			 int32_t instances)
{
	if (changes->count == SCALING_HISTORY_MAX) {
		/* The oldest counts as long as the next. */
		changes->entries[1].instances += changes->entries[0].instances;
		changes->count--;
		memmove(&changes->entries[0], &changes->entries[1],
			changes->count * sizeof(changes->entries[0]));
	}
	changes->entries[changes->count].at_ms = now_ms;
	changes->entries[changes->count].instances = instances;
	changes->count++;
}

int64_t scaling_changes_within(const struct scaling_changes *changes,
			       int64_t now_ms, int64_t period_ms)
{
	int64_t sum = 0;

	for (uint32_t i = changes->count; i > 0; i--) {
		if (changes->entries[i - 1].at_ms <= now_ms - period_ms)
			break;
		sum += changes->entries[i - 1].instances;
	}
	return sum;
}
