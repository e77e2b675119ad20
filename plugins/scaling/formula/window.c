/* SPDX-License-Identifier: Apache-2.0 */

#include "plugins/scaling/formula/window.h"

#include "plugins/scaling/formula/number.h"

double sample_calls(const struct atom_load_sample *sample)
{
	if (!number_known(sample->in_flight))
		return -1;
	return number_known(sample->waiting)
		       ? sample->in_flight + sample->waiting
		       : sample->in_flight;
}

double sample_arrival_rate(const struct atom_load_sample *sample)
{
	if (sample->arrived < 0 || sample->interval_ms <= 0)
		return -1;
	return (double)sample->arrived * 1000 / sample->interval_ms;
}

bool window_mean(const struct atom_load *load, int64_t window_ms,
		 sample_number pick, double *mean_r)
{
	int64_t left_ms = window_ms;
	double sum = 0;
	double weight = 0;

	for (size_t i = load->second_count; i > 0 && left_ms > 0; i--) {
		const struct atom_load_sample *sample =
			atom_load_second(load, i - 1);
		int64_t part_ms = sample->interval_ms;

		if (part_ms <= 0)
			continue;
		if (part_ms > left_ms)
			part_ms = left_ms;
		left_ms -= part_ms;

		double value = pick(sample);

		if (!number_known(value))
			continue;
		sum += value * (double)part_ms;
		weight += (double)part_ms;
	}
	if (weight <= 0 || !isfinite(sum))
		return false;
	*mean_r = sum / weight;
	return true;
}

bool window_calls(const struct atom_load *load, int64_t window_ms,
		  double *mean_r)
{
	return window_mean(load, window_ms, sample_calls, mean_r);
}
