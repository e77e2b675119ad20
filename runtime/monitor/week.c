/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/week.h"

#include <math.h>

#include "core/memory.h"
#include "core/os.h"
#include "monitor/history_priv.h"

/* In flight and waiting are added up; NaN is a row without a sample.  A row is
 * of the five minutes that it lies in: those that a stop cut short, or that
 * missed their last sample, end before their whole multiple. */
static int32_t on_series(void *argument, const struct atom_history_series *s,
			 const void *samples, size_t stride, size_t count)
{
	const struct atom_history_sample *sample = samples;
	struct week *week = argument;

	(void)s;
	(void)stride; /* ours */
	for (size_t i = 0; i < count; i++) {
		int64_t row = history_period_of(sample[i].time_ms) -
			      history_period_of(week->first_ms);

		if (row < 0 || row >= (int64_t)WEEK_ROWS)
			continue;
		if (isnan(week->loads[row]))
			week->loads[row] = 0;
		week->loads[row] += sample[i].mean;
		week->peak = fmax(week->peak, sample[i].highest);
	}
	return 0;
}

void week_read(const char *agent, struct week *week_r)
{
	static const char *const metrics[] = { "atomd_inflight_requests",
					       "atomd_queue_depth" };
	const struct atom_history_matcher matcher = {
		.struct_size = sizeof(matcher),
		.type = ATOM_HISTORY_EQUAL,
		.label = "agent",
		.value = agent,
	};
	const int64_t now_ms = os.realtime_ms();

	*week_r = (struct week){
		.first_ms = (now_ms - WEEK_MS) / HISTORY_ROLLED_MS *
			    HISTORY_ROLLED_MS,
	};
	for (size_t i = 0; i < WEEK_ROWS; i++)
		week_r->loads[i] = NAN;
	for (size_t i = 0; i < ARRAY_SIZE(metrics); i++) {
		const struct atom_history_query query = {
			.struct_size = sizeof(query),
			.resolution = ATOM_HISTORY_ROLLED,
			.name = metrics[i],
			.matchers = &matcher,
			.matcher_stride = sizeof(matcher),
			.matcher_count = 1,
			.from_ms = week_r->first_ms,
			.to_ms = now_ms,
		};
		struct atom_error err = ATOM_ERROR_INIT;

		(void)history_read(&query, on_series, week_r, &err);
	}
	for (size_t i = 0; i < WEEK_ROWS; i++)
		if (!isnan(week_r->loads[i]))
			week_r->loads[week_r->count++] = week_r->loads[i];
}
