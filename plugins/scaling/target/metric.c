/* SPDX-License-Identifier: Apache-2.0 */

#include "plugins/scaling/target/metric.h"

#include "plugins/scaling/formula/usage.h"
#include "plugins/scaling/formula/window.h"

const char *const metric_names[] = { "slot_percent",   "cpu_percent",
				     "memory_percent", "calls",
				     "in_flight",      "waiting",
				     "arrivals_per_s", NULL };

/* clang-format off */
static const struct metric metrics[METRIC_COUNT] = {
	{ "slot_percent",   true,  "high_slot_usage",   "low_slot_usage" },
	{ "cpu_percent",    true,  "high_cpu_usage",    "low_cpu_usage" },
	{ "memory_percent", true,  "high_memory_usage", "low_memory_usage" },
	{ "calls",          false, "high_calls",        "low_calls" },
	{ "in_flight",      false, "high_in_flight",    "low_in_flight" },
	{ "waiting",        false, "high_waiting",      "low_waiting" },
	{ "arrivals_per_s", false, "high_arrivals",     "low_arrivals" },
};
/* clang-format on */

const struct metric *metric_of(int32_t id)
{
	return &metrics[id];
}

static double sample_in_flight(const struct atom_load_sample *sample)
{
	return sample->in_flight;
}

static double sample_waiting(const struct atom_load_sample *sample)
{
	return sample->waiting;
}

bool metric_read(const struct atom_load *load, int32_t id, int64_t window_ms,
		 double *value_r, bool *stands_in_r)
{
	*stands_in_r = false;
	switch (id) {
	case METRIC_SLOT_PERCENT:
		return usage_slots(load, window_ms, value_r);
	case METRIC_CPU_PERCENT:
		return usage_cpu(load, window_ms, value_r, stands_in_r);
	case METRIC_MEMORY_PERCENT:
		return usage_memory(load, value_r);
	case METRIC_CALLS:
		return window_calls(load, window_ms, value_r);
	case METRIC_IN_FLIGHT:
		return window_mean(load, window_ms, sample_in_flight, value_r);
	case METRIC_WAITING:
		return window_mean(load, window_ms, sample_waiting, value_r);
	case METRIC_ARRIVALS_PER_S:
		return window_mean(load, window_ms, sample_arrival_rate,
				   value_r);
	default:
		return false;
	}
}
