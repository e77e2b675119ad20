/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCALING_WINDOW_H
#define SCALING_WINDOW_H

/*
 * What was measured of one agent, all of its revisions together, and what
 * strategies are given of it (struct atom_load):
 *
 *	seconds		the last 600 samples, one a second
 *	five minutes	the last 2,016 of them added up: seven days
 *	service times	of the last hour, log-linear: eight steps to each
 *			doubling, 1 ms to 2.3 h, so at most 12.5 % wide (as
 *			HdrHistogram does)
 *	cold starts	the last 32: from started to ready
 *
 * Bounded: about 270 KB when a week is full; five minutes grow as they come,
 * and an agent that is never called needs no window.  Handed to strategies
 * without copying.  Times are kept by the steady clock and told as Unix time
 * of the moment of telling, so a wall clock that steps moves no sample
 * against another.  Pure. [any], one thread at a time
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/scaling.h>

#define SCALING_SECONDS	     600
#define SCALING_FIVE_MINUTES 2016
#define SCALING_COLD_STARTS  32
#define SCALING_BUCKETS	     186

/* Upper bounds in seconds of all service-time buckets but the last. */
extern const double scaling_bounds[SCALING_BUCKETS - 1];
/* The bucket of a time in seconds; negative and NaN: the first. */
size_t scaling_bucket(double seconds);
/* The q-quantile in seconds of `counts` by those bounds, interpolated within
 * its bucket; -1 = none were counted. */
double scaling_quantile(const uint64_t counts[SCALING_BUCKETS], double q);

struct scaling_window;

/* NULL: no memory. */
struct scaling_window *scaling_window_new(void);
void scaling_window_free(struct scaling_window **window);

/* The sample of the second (interval_ms) that ends at `steady_ms`; its
 * time_ms is not looked at.  Later than the one before it, or ignored.
 * ATOM_ENOMEM: five minutes are lost, the seconds are kept. */
atom_status scaling_window_add(struct scaling_window *window,
			       const struct atom_load_sample *sample,
			       int64_t steady_ms);
/* `count` calls of `seconds` of service each, ended at `steady_ms`. */
void scaling_window_service(struct scaling_window *window, int64_t steady_ms,
			    double seconds, uint32_t count);
/* The same, counted into buckets elsewhere; `sum` in seconds. */
void scaling_window_services(struct scaling_window *window, int64_t steady_ms,
			     const uint32_t counts[SCALING_BUCKETS],
			     double sum);
void scaling_window_cold_start(struct scaling_window *window, double seconds);

/* The steady time of the last sample; negative = none yet. */
int64_t scaling_window_last_ms(const struct scaling_window *window);

/* Fills the members of *load_r that the window knows (struct_size, stride,
 * both clocks, samples, service, cold starts) and no other.  They point into
 * the window, valid until it is next changed. */
void scaling_window_tell(struct scaling_window *window, int64_t steady_ms,
			 int64_t wall_ms, struct atom_load *load_r);

#endif
