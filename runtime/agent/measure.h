/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_MEASURE_H
#define AGENT_MEASURE_H

/*
 * What calls add up to while they come and go: counted on the loops with
 * relaxed atomics, taken (and set back to nothing) by control each second.
 * Made with a pool's first call: ten thousand idle agents hold none.
 */

#include <stdbool.h>
#include <stdint.h>

#include "scaling/window.h"

struct pool;

/* Times by scaling_bounds. */
struct measure_times {
	_Atomic uint32_t counts[SCALING_BUCKETS];
	_Atomic int64_t sum_us;
	_Atomic int64_t max_us;
};

struct measure {
	_Atomic int64_t arrived;
	_Atomic int64_t refused; /* the waiting room was full, or too slow */
	_Atomic int64_t finished;
	_Atomic int64_t failed;
	struct measure_times service;	  /* from its slot to its end */
	struct measure_times wait;	  /* for its slot */
	struct measure_times first_token; /* from its slot */
};

/* --- what happens to a call [any loop] --- */
void measure_arrived(struct pool *pool);
void measure_refused(struct pool *pool);
void measure_granted(struct pool *pool, int64_t wait_ns);
void measure_finished(struct pool *pool, int64_t service_ns, bool failed);
void measure_first_token(struct pool *pool, int64_t after_ns);

/* What was counted since the last time. [control] */
struct measured_times {
	uint32_t counts[SCALING_BUCKETS];
	int64_t count;
	double sum_s;
	double max_s;
};
int64_t measure_take(_Atomic int64_t *counter);
/* Adds to *times. */
void measure_take_times(struct measure_times *from,
			struct measured_times *times);
/* Moves all that `from` has counted to what `to_pool` counts. */
void measure_move(struct measure *from, struct pool *to_pool);

#endif
