/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agents_priv.h"
#include "agent/scaler.h"
#include "core/os.h"
#include "plugin/options.h"

/* What is measured of an agent and what scaling makes of it, as JSON. */

/* Milliseconds; null when there are none. */
static json_t *time_ms(double seconds)
{
	return seconds < 0 ? json_null() : json_real(seconds * 1000);
}

static json_t *number(double value)
{
	return value < 0 ? json_null() : json_real(value);
}

static json_t *times(const struct recent_times *recent)
{
	uint64_t counts[SCALING_BUCKETS];
	int64_t count = recent->now.count + recent->before.count;
	double sum = recent->now.sum_s + recent->before.sum_s;

	for (size_t i = 0; i < SCALING_BUCKETS; i++)
		counts[i] = (uint64_t)recent->now.counts[i] +
			    recent->before.counts[i];
	return json_pack("{s:o,s:o,s:o}", "mean",
			 time_ms(count > 0 ? sum / (double)count : -1), "p50",
			 time_ms(scaling_quantile(counts, 0.5)), "p95",
			 time_ms(scaling_quantile(counts, 0.95)));
}

static json_t *cold_start(const struct atom_load *load)
{
	double sum = 0;

	for (size_t i = 0; i < load->cold_start_count; i++)
		sum += load->cold_starts_s[i];
	return time_ms(load->cold_start_count > 0
			       ? sum / (double)load->cold_start_count
			       : -1);
}

static double arrivals_a_second(const struct atom_load *load)
{
	size_t count = load->second_count < 60 ? load->second_count : 60;
	double arrived = 0, seconds = 0;

	for (size_t i = load->second_count - count; i < load->second_count;
	     i++) {
		const struct atom_load_sample *sample =
			atom_load_second(load, i);

		arrived += (double)sample->arrived;
		seconds += sample->interval_ms / 1000.0;
	}
	return seconds > 0 ? arrived / seconds : 0;
}

static json_t *measured(const struct scaler *scaler,
			const struct atom_load *load)
{
	static const struct recent_load none;
	const struct recent_load *recent =
		scaler->recent != NULL ? scaler->recent : &none;
	double error_share =
		recent->finished > 0
			? (double)recent->failed / (double)recent->finished
			: -1;

	return json_pack(
		"{s:f,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "arrivals_per_second",
		arrivals_a_second(load), "service_ms", times(&recent->service),
		"wait_ms", times(&recent->wait), "first_token_ms",
		times(&recent->first_token), "error_share", number(error_share),
		"slot_percent", number(load->slot_percent), "cpu_percent",
		number(load->cpu_percent), "memory_percent",
		number(load->memory_percent), "cold_start_ms",
		cold_start(load));
}

json_t *scaler_describe(struct scaler *scaler)
{
	const struct scaling_decision *decision = &scaler->decision;
	bool strategy = scaler->strategy != NULL;
	json_t *advised = strategy && decision->advised >= 0
				  ? json_integer(decision->advised)
				  : json_null();
	struct atom_load load;

	scaler_load(scaler, os.monotonic_ns() / 1000000, &load);
	return json_pack(
		"{s:s?,s:o,s:o,s:s,s:s?,s:s?,s:I,s:b,s:o}", "strategy",
		strategy ? configured_component(scaler->strategy)->name : NULL,
		"pinned",
		scaler->agent->pinned >= 0 ? json_integer(scaler->agent->pinned)
					   : json_null(),
		"advised", advised, "reason", scaler->advice.reason, "bound",
		decision->bound, "fault", decision->fault, "advice_ignored",
		(json_int_t)(scaler->control != NULL ? scaler->control->faults
						     : 0),
		"dry_run", (int)scaler->settings->scaling.settings.dry_run,
		"measured", measured(scaler, &load));
}
