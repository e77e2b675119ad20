/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIMIT_RATE_H
#define LIMIT_RATE_H

/*
 * So many units a minute, by the generic cell rate algorithm in its virtual
 * scheduling form (ITU-T Recommendation I.371, annex A; the ATM Forum's
 * Traffic Management 4.0, 4.4.2): a unit takes T = 60 s / limit, and the one
 * thing kept is the theoretical arrival time, at which all that was let
 * through would have come one unit each T.  How far that time is ahead of now
 * is what is used; it drains by itself.  The tolerance is a whole minute: the
 * limit may be taken at once, and comes back evenly.
 *
 * The arrival time is one atomic word, taken by compare-and-swap: of any
 * number of threads exactly as many units pass as there are, and none waits.
 * Its low bits number the limit that it is measured in, so that a changed
 * limit and the time that goes with it are one step, too.
 *
 * T is rounded up to whole nanoseconds: a burst is exact, and a rate is kept
 * below its limit by at most 1 part in T (0.02 % at ten million a minute).
 *
 * Times are os.monotonic_ns(), given by the caller so that one call of the
 * clock serves all that is asked of it.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define RATE_MAX 1000000000 /* units a minute */

struct rate {
	_Atomic int64_t arrival;    /* ns * 8 + generation */
	_Atomic uint32_t limits[2]; /* by the generation's lowest bit */
};

/* How a request for units ended. */
#define RATE_TAKEN 0
#define RATE_NEVER INT64_MAX

struct rate_view {
	int64_t limit; /* 0 = none, and the rest is 0 */
	int64_t remaining;
	int64_t full_ns; /* until all of it is there again */
};

/* [control] From now on `limit` units a minute (0 = no limit); what is used
 * stays used, in units. */
void rate_set(struct rate *rate, int64_t limit, int64_t now_ns);

/* [any] Takes `units`, or tells how many ns to wait before they would be
 * there; RATE_NEVER when they are more than the whole limit.  *until_r (on
 * RATE_TAKEN) is for rate_settle(). */
int64_t rate_take(struct rate *rate, int64_t units, int64_t now_ns,
		  int64_t *until_r);

/* [any] Of `taken` units `used` were needed.  What is too much is given back,
 * as far as it has not drained by itself meanwhile (or a slow call would give
 * the same time a second time); what is too little becomes a debt, of an hour
 * at most. */
void rate_settle(struct rate *rate, int64_t taken, int64_t used, int64_t until,
		 int64_t now_ns);

/* [any] */
void rate_view(const struct rate *rate, int64_t now_ns,
	       struct rate_view *view_r);
/* [any] Is it as if it had never been used? */
bool rate_is_full(const struct rate *rate, int64_t now_ns);

#endif
