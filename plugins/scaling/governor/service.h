/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GOVERNOR_SERVICE_H
#define GOVERNOR_SERVICE_H

/*
 * How long calls take, and how long an instance takes to start: what the
 * measurements say, in the form in which the rehearsals need it.
 *
 * The histogram of service times becomes three phases (a hyperexponential
 * distribution): the shorter half of the calls, the next 40 %, the longest
 * 10 %, each with its own mean.  One exponential would let the few long calls
 * that hold an instance for minutes go as fast as the others.
 */

#include <stdbool.h>

#include <atomd/scaling.h>

#define PHASES 3

struct service {
	float mean_s;
	float share[PHASES]; /* of the calls; sums to 1 */
	float ends[PHASES];  /* share of a phase's calls that end in 1 s */
	/* Share of those that come within a second that are still there at
	 * its end; of all phases, at least a little. */
	float stays[PHASES];
	float stay;
	float cold_start_s;
	float target_s;
};

void service_measure(const struct atom_load *load, struct service *service_r);

#endif
