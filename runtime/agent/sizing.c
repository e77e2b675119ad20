/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agents.h"
#include "agent/agents_priv.h"
#include "core/memory.h"
#include "core/os.h"

/*
 * Right-sizing: what an agent's settings could be, by what was measured of it:
 * its load in the last week, what a call and an instance need since the
 * daemon's start.  It suggests and changes nothing.
 *
 * Numbers of instances are square-root staffing: for an offered load of R
 * calls at once, R + 2 sqrt(R) slots keep nearly every call from waiting
 * (Halfin and Whitt, "Heavy-Traffic Limits for Queues with Many Exponential
 * Servers", 1981; at 2 the chance of a wait is 2.7 %).
 */

#define STAFFING 2.0
/* Instances may use so much of one CPU, and hold so much more memory than they
 * ever did. */
#define CPU_PERCENT	70.0
#define MEMORY_SPARE	1.25
#define MEMORY_STEP	((int64_t)16 * 1024 * 1024)
#define CONCURRENCY_MAX 1000

static void suggest(json_t *list, const char *setting, json_t *now,
		    json_t *suggested, const char *reason)
{
	json_array_append_new(list, json_pack("{s:s,s:o,s:o,s:s}", "setting",
					      setting, "now", now, "suggested",
					      suggested, "reason", reason));
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Calls at once, waiting ones with them, of each five minutes (of each second,
 * before there are any); sorted. */
static size_t loads_of(const struct atom_load *load, double *loads)
{
	bool fives = load->five_minute_count > 0;
	const struct atom_load_sample *samples =
		fives ? load->five_minutes : load->seconds;
	size_t count = fives ? load->five_minute_count : load->second_count;

	for (size_t i = 0; i < count; i++)
		loads[i] = fmax(samples[i].in_flight, 0) +
			   fmax(samples[i].waiting, 0);
	if (count > 0)
		qsort(loads, count, sizeof(*loads), by_size);
	return count;
}

/* What is known from before, where that is more than five minutes of the
 * window; else the window's.  NULL without memory. */
static double *choose_loads(const struct atom_load *load,
			    const struct agents_past *past, size_t *count_r)
{
	bool before = past->count > load->five_minute_count;
	double *loads = mem_array((before ? past->count
					  : (size_t)load->five_minute_count +
						    load->second_count) +
					  1,
				  sizeof(*loads));

	if (loads == NULL)
		return NULL;
	if (!before) {
		*count_r = loads_of(load, loads);
		return loads;
	}
	memcpy(loads, past->loads, past->count * sizeof(*loads));
	qsort(loads, past->count, sizeof(*loads), by_size);
	*count_r = past->count;
	return loads;
}

static int64_t instances_for(double load, int64_t concurrency)
{
	if (load <= 0)
		return 0;
	return (int64_t)ceil((load + STAFFING * sqrt(load)) /
			     (double)concurrency);
}

static int64_t suggest_concurrency(json_t *list, const struct scaler *scaler,
				   int64_t now)
{
	char reason[200];
	double per_call = scaler->busy_s > 0 && scaler->cpu_s > 0
				  ? 100 * scaler->cpu_s / scaler->busy_s
				  : -1;
	int64_t suggested = now;

	if (per_call < 0) {
		(void)snprintf(reason, sizeof(reason),
			       "the CPU that a call uses was not measured");
	} else {
		suggested = per_call > CPU_PERCENT / CONCURRENCY_MAX
				    ? (int64_t)(CPU_PERCENT / per_call)
				    : CONCURRENCY_MAX;
		suggested = suggested > 0 ? suggested : 1;
		(void)snprintf(
			reason, sizeof(reason),
			"a call under way uses %.3g %% of a CPU; so many "
			"bring an instance to %.0f %%",
			per_call, CPU_PERCENT);
	}
	suggest(list, "instances.concurrency", json_integer(now),
		json_integer(suggested), reason);
	return suggested;
}

static void suggest_memory(json_t *list, const struct scaler *scaler)
{
	int64_t peak = scaler->memory_peak_bytes, most;
	char reason[200];

	if (peak <= 0) {
		suggest(list, "backend.max_memory", json_null(), json_null(),
			"the memory of its instances was not measured");
		return;
	}
	most = ((int64_t)((double)peak * MEMORY_SPARE) / MEMORY_STEP + 1) *
	       MEMORY_STEP;
	(void)snprintf(reason, sizeof(reason),
		       "an instance held %lld MiB at most; a quarter more, in "
		       "steps of 16 MiB",
		       (long long)(peak / 1048576));
	suggest(list, "backend.max_memory", json_null(),
		json_sprintf("%lldM", (long long)(most / 1048576)), reason);
}

static void suggest_bounds(json_t *list, const struct config_instances *now,
			   int64_t concurrency, const double *loads,
			   size_t count, double peak)
{
	double quiet = count > 0 ? loads[count / 10] : 0;
	int64_t min = instances_for(quiet, concurrency);
	int64_t max = instances_for(peak, concurrency);
	char reason[200];

	(void)snprintf(reason, sizeof(reason),
		       min > 0 ? "in nine of ten intervals there were at "
				 "least %.3g calls at once"
			       : "in one of ten intervals there was no call "
				 "(%.0f at once): instances may go to zero",
		       quiet);
	suggest(list, "instances.min", json_integer(now->min),
		json_integer(min), reason);
	if (max < 1)
		max = 1;
	if (max < min)
		max = min;
	(void)snprintf(reason, sizeof(reason),
		       "at the peak there were %.3g calls at once; %.3g slots "
		       "keep nearly every call from waiting",
		       peak, peak + STAFFING * sqrt(peak));
	suggest(list, "instances.max", json_integer(now->max),
		json_integer(max), reason);
}

json_t *agents_sizing(const char *name, const struct agents_past *past)
{
	struct agent *agent = agents_find(name);
	const struct config_instances *now;
	json_t *list = json_array();
	struct atom_load load;
	double *loads, peak;
	size_t count;
	int64_t concurrency;

	if (agent == NULL || agent->stable == NULL || list == NULL ||
	    (agent->scaler->window == NULL && past->count == 0))
		return list;
	now = &agent->stable->agent->instances;
	scaler_load(agent->scaler, os.monotonic_ns() / 1000000, &load);
	loads = choose_loads(&load, past, &count);
	if (loads == NULL)
		return list;
	peak = fmax(count > 0 ? loads[count - 1] : 0, past->peak);
	if (agent->scaler->in_flight_peak > peak)
		peak = agent->scaler->in_flight_peak;
	concurrency = suggest_concurrency(list, agent->scaler,
					  agent->stable->pool.concurrency);
	suggest_memory(list, agent->scaler);
	suggest_bounds(list, now, concurrency, loads, count, peak);
	mem_free(loads);
	return list;
}
