/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIMIT_LIMITER_H
#define LIMIT_LIMITER_H

/*
 * The limits of one key or one agent: requests a minute, tokens a minute,
 * calls at once.  A call takes from all three or from none, holds its place
 * among the calls at once until it ends, and settles its tokens then.
 *
 * Part of somebody's object, zeroed; that object outlives every call that
 * holds something of it.  Calls are counted also while there is no limit, so
 * that one set by a reload knows how many there are.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "limit/rate.h"

enum limit_kind {
	LIMIT_REQUESTS,
	LIMIT_TOKENS,
	LIMIT_CONCURRENT
};
#define LIMIT_KINDS 3

struct limiter {
	struct rate requests;
	struct rate tokens;
	_Atomic int32_t calls;	    /* now */
	_Atomic int32_t concurrent; /* the most; 0 = no limit */
};

/* What one call holds of a limiter; zeroed: nothing.  Its owner's alone. */
struct limit_hold {
	struct limiter *limiter; /* NULL = nothing */
	int64_t tokens;		 /* reserved */
	int64_t tokens_until;
	int64_t request_until;
	bool calling; /* counts among the calls at once */
};

struct limit_refusal {
	enum limit_kind kind;
	int64_t limit;
	int64_t remaining;
	int64_t wait_ns; /* RATE_NEVER; 0 = nobody knows (calls at once) */
};

/* [control] Unset numbers (CONFIG_LIMIT_UNSET) count as none.  What is used
 * stays used. */
void limiter_set(struct limiter *limiter, const struct config_limits *limits,
		 int64_t now_ns);

/* [any] One request that may need so many tokens.  False: nothing was taken,
 * and *refusal_r says why. */
bool limiter_take(struct limiter *limiter, int64_t tokens, int64_t now_ns,
		  struct limit_hold *hold_r, struct limit_refusal *refusal_r);

/* The ends of a hold.  Each does its part once, whatever was done before. */

/* The call does not run any more. */
void limiter_leave(struct limit_hold *hold);
/* So many tokens it was in the end. */
void limiter_settle(struct limit_hold *hold, int64_t tokens, int64_t now_ns);
/* It was never made: request, tokens and place go back. */
void limiter_undo(struct limit_hold *hold, int64_t now_ns);

/* [any] As new? Nobody holds anything of it and nothing is used. */
bool limiter_is_idle(const struct limiter *limiter, int64_t now_ns);

/* `own` where it is set, else `defaults`. */
struct config_limits limits_of(const struct config_limits *own,
			       const struct config_limits *defaults);

#endif
