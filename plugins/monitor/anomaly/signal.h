/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ANOMALY_SIGNAL_H
#define ANOMALY_SIGNAL_H

/*
 * What is watched, and how a value of it for each agent and each 5 minutes
 * ("slot") is made of the history's samples.
 *
 *	rate   what a counter grew by, a second
 *	share  of what a counter grew by, the part whose label `code` begins
 *	       with 5
 *	mean   of what a histogram was told
 *	p95    of what a histogram was told, by its buckets, as Prometheus'
 *	       histogram_quantile
 *	level  the mean of a gauge; series of one agent are added up
 *
 * A slot where the history has a gap has no value, nor has a share, a mean or
 * a p95 of fewer than SIGNAL_CALLS_LEAST calls.
 */

#include <atomd/history.h>

#include "plugins/monitor/anomaly/baseline.h"

#define SIGNAL_CALLS_LEAST 20

enum signal_as {
	SIGNAL_RATE = 0,
	SIGNAL_SHARE = 1,
	SIGNAL_MEAN = 2,
	SIGNAL_P95 = 3,
	SIGNAL_LEVEL = 4
};

/* An item of the option `series`. */
struct signal {
	const char *name;   /* "requests" */
	const char *metric; /* family; a histogram's without _bucket */
	int32_t as;	    /* enum signal_as */
	const char *label;  /* only series with label = value; "" = all */
	const char *value;
};

/* A value of an agent ("" where the series has no such label). `calls`: how
 * many things it is made of, 0 for levels. */
typedef void (*signal_take)(void *argument, const char *agent, int64_t slot,
			    double value, double calls);

#define SIGNAL_SLOTS_MAX 72 /* of one reading: 6 hours */

/* [pool] The values of the slots from..to, both included.  At most
 * `agents_max` agents, those the history has first. */
atom_status signal_read(const struct atom_host *host,
			const struct atom_history *history,
			const struct signal *signal, int64_t from, int64_t to,
			size_t agents_max, signal_take take, void *argument,
			struct atom_error *err);

/* The least that one standard deviation is taken for, so that what hardly
 * ever changes is no anomaly once it does: a tenth of what is usual, and
 * the noise of counting (Poisson, binomial). */
double signal_floor(const struct signal *signal, double usual, double calls);

/* histogram_quantile of growths between buckets: `counts` are those up to each
 * bound, rising, the last one of +Inf. */
double signal_quantile(double q, const double *bounds, const double *counts,
		       size_t count);

#endif
