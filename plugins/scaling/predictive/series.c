/* SPDX-License-Identifier: Apache-2.0 */

#include "plugins/scaling/predictive/series.h"

#include "plugins/scaling/formula/number.h"
#include "plugins/scaling/formula/window.h"

/* More calls at once than any daemon holds: a measurement that went wrong. */
#define CALLS_MAX 1e9

static const struct atom_load_sample *sample_at(const struct atom_load *load,
						size_t i)
{
	const char *samples = load->five_minutes;

	return (const void *)(samples + i * load->sample_stride);
}

bool series_age(const struct atom_load *load, int64_t *age_ms_r)
{
	int64_t age_ms;

	if (load->five_minute_count == 0)
		return false;
	if (__builtin_sub_overflow(
		    load->now_ms,
		    sample_at(load, load->five_minute_count - 1)->time_ms,
		    &age_ms))
		return false;
	*age_ms_r = age_ms > 0 ? age_ms : 0;
	return true;
}

/* Steps before `last`; false: after it, or too long ago. */
static bool steps_before(const struct atom_load_sample *sample,
			 const struct atom_load_sample *last, size_t *steps_r)
{
	int64_t before_ms;

	if (__builtin_sub_overflow(last->time_ms, sample->time_ms,
				   &before_ms) ||
	    before_ms < 0 || before_ms >= SERIES_MAX * SERIES_STEP_MS)
		return false;
	*steps_r = (size_t)((before_ms + SERIES_STEP_MS / 2) / SERIES_STEP_MS);
	return *steps_r < SERIES_MAX;
}

void series_read(const struct atom_load *load, struct series *series)
{
	size_t oldest = 0;

	series->count = 0;
	series->most = 0;
	if (load->five_minute_count == 0)
		return;
	for (size_t i = 0; i < SERIES_MAX; i++)
		series->values[i] = NAN;

	const struct atom_load_sample *last =
		sample_at(load, load->five_minute_count - 1);

	for (size_t i = 0; i < load->five_minute_count; i++) {
		const struct atom_load_sample *sample = sample_at(load, i);
		double calls = sample_calls(sample);
		size_t steps;

		if (!number_known(calls) || calls > CALLS_MAX ||
		    !steps_before(sample, last, &steps))
			continue;
		series->values[SERIES_MAX - 1 - steps] = calls;
		series->most = fmax(series->most, calls);
		if (series->count == 0 || steps > oldest)
			oldest = steps;
		series->count = oldest + 1;
	}
	/* From the first known one on. */
	for (size_t i = 0; i < series->count; i++)
		series->values[i] =
			series->values[SERIES_MAX - series->count + i];
}
