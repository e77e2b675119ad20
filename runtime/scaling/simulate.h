/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCALING_SIMULATE_H
#define SCALING_SIMULATE_H

/*
 * A scaling strategy on a virtual clock.
 *
 * Calls come at given times and take given times; instances have slots, a
 * start that takes `cold_start_us`, and drain before they go; the waiting
 * room is one FIFO with a depth and a time limit.  The strategy is asked as
 * the daemon asks it, through the same window of measurements and the same
 * controller.  Nothing is random in here: the same input gives the same
 * output, byte for byte.
 *
 * Calls go to the least loaded ready instance, as in the daemon's pools.
 * Time is in microseconds from the beginning of the trace.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/scaling.h>

#include "scaling/control.h"

#define SIMULATE_CALLS_MAX     100000000
#define SIMULATE_INSTANCES_MAX 100000
#define SIMULATE_SERVICE_MAX_S 1e8

/* One call: when it comes and how long an instance works on it. */
struct simulate_call {
	int64_t arrival_us;
	int64_t service_us;
};

/* What is the same for every strategy. */
struct simulate_load {
	const struct simulate_call *calls; /* by arrival */
	size_t count;
	int64_t span_us; /* of the trace: at least the last arrival */
};

struct simulate_spec {
	const struct simulate_load *load;
	struct scaling_settings settings;
	int32_t min;
	int32_t max;
	int32_t concurrency;
	int64_t queue_depth;
	int64_t queue_timeout_us;
	int64_t cold_start_us;
	int64_t target_wait_us;
	int64_t began_ms; /* Unix time of the trace's beginning */
	int32_t utc_offset_s;
	uint64_t seed;
	/* The strategy: `ops->evaluate(self, ...)`. */
	const struct atom_scaling_ops *ops;
	void *self;
	/* Told each decision; NULL: nobody. */
	void (*watch)(void *watcher, int64_t now_us,
		      const struct atom_load *load,
		      const struct atom_scaling_advice *advice,
		      const struct scaling_decision *decision);
	void *watcher;
};

/* The picture of a run, in equal intervals. */
#define SIMULATE_POINTS_MAX 1200
struct simulate_point {
	int64_t arrived;
	double instance_s; /* seconds of instances in the interval */
	int64_t wait_max_us;
	double in_service_s; /* seconds of calls being served */
};

struct simulate_result {
	int64_t calls;
	int64_t late; /* waited above the target, lost ones included */
	int64_t refused;
	int64_t timed_out;
	int64_t wait_p50_us; /* of all calls; a lost one waited till then */
	int64_t wait_p95_us;
	int64_t wait_p99_us;
	double instance_s; /* starting, ready and draining */
	int64_t end_us;	   /* the last call's end, at least `span_us` */
	int64_t actions;
	int64_t faults; /* failed or nonsensical evaluations */
	int64_t evaluations;
	int64_t point_us; /* length of a point's interval */
	size_t point_count;
	struct simulate_point points[SIMULATE_POINTS_MAX];
};

/* The calls must be in order of arrival, times not negative.  ATOM_ENOMEM. */
atom_status simulate_run(const struct simulate_spec *spec,
			 struct simulate_result *result_r,
			 struct atom_error *err);

/* The lower bound: instance-seconds of one who knows the future and whose
 * starts take no time, the integral of max(min, ceil(calls in service when
 * nobody waits / concurrency)).  Negative: out of memory. */
double simulate_clairvoyant(const struct simulate_load *load, int32_t min,
			    int32_t concurrency, int64_t *end_us_r);

#endif
