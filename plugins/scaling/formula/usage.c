/* SPDX-License-Identifier: Apache-2.0 */

#include "plugins/scaling/formula/usage.h"

#include "plugins/scaling/formula/number.h"
#include "plugins/scaling/formula/window.h"

static double sample_in_flight(const struct atom_load_sample *sample)
{
	return sample->in_flight;
}

static double sample_ready(const struct atom_load_sample *sample)
{
	return sample->ready;
}

static bool known(double value, double *value_r)
{
	if (!number_known(value))
		return false;
	*value_r = value;
	return true;
}

bool usage_slots(const struct atom_load *load, int64_t window_ms,
		 double *percent_r)
{
	double in_flight;
	double ready;

	if (load->concurrency > 0 &&
	    window_mean(load, window_ms, sample_in_flight, &in_flight) &&
	    window_mean(load, window_ms, sample_ready, &ready) && ready > 0 &&
	    known(100 * in_flight / (ready * load->concurrency), percent_r))
		return true;
	return known(load->slot_percent, percent_r);
}

bool usage_cpu(const struct atom_load *load, int64_t window_ms,
	       double *percent_r, bool *stands_in_r)
{
	*stands_in_r = !number_known(load->cpu_percent);
	return *stands_in_r ? usage_slots(load, window_ms, percent_r)
			    : known(load->cpu_percent, percent_r);
}

bool usage_memory(const struct atom_load *load, double *percent_r)
{
	return known(load->memory_percent, percent_r);
}
