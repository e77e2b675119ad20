/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCALING_DRAW_H
#define SCALING_DRAW_H

/*
 * Random numbers of a seed, the same on every machine, and the distributions
 * that service times are drawn from.  Pure. [any]
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

/* SplitMix64 (Steele, Lea, Flood 2014). */
struct draw {
	uint64_t state;
};

/* Between 0 and 1, never either. */
double draw_uniform(struct draw *draw);
/* Of mean 1. */
double draw_exponential(struct draw *draw);
/* Of mean 0 and deviation 1 (Box and Muller 1958). */
double draw_normal(struct draw *draw);

enum service_kind {
	SERVICE_TOKENS, /* output tokens x mean_s */
	SERVICE_CONSTANT,
	SERVICE_EXPONENTIAL,
	SERVICE_UNIFORM,   /* 0 to 2 x mean_s */
	SERVICE_LOGNORMAL, /* shape: sigma of the logarithm */
	SERVICE_PARETO	   /* shape: alpha, above 1 */
};

struct service_time {
	int kind; /* enum service_kind */
	double mean_s;
	double shape;
};

/* "tokens:0.02s", "constant:2s", "exponential:500ms", "uniform:2s",
 * "lognormal:2s,1.2", "pareto:2s,1.5".  ATOM_EINVAL: a sentence that says what
 * was expected and found. */
atom_status service_time_parse(const char *text, struct service_time *time_r,
			       struct atom_error *err);
/* Seconds; `tokens` of the call, where the kind asks for them. */
double service_time_draw(const struct service_time *time, int64_t tokens,
			 struct draw *draw);

/* "0.02s", "250ms", "30m", "2h", "1d", or a plain number of seconds: finite,
 * not negative.  Ends at a comma or the text's end; *end_r is there.  False:
 * it is none. */
bool seconds_parse(const char *text, const char **end_r, double *seconds_r);

#endif
