/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_ALLOWANCE_H
#define GATEWAY_ALLOWANCE_H

/*
 * What one call takes of the limits of its caller and of its agent: a
 * request, a place among the calls at once, and tokens, which are reserved
 * by an estimate and settled by what it really was.
 *
 *	allowance_take -> [the call] -> allowance_leave -> allowance_settle
 *	      |               '-> allowance_undo: refused by ourselves later
 *	      '-> refused: nothing is held
 *
 * It is taken of both or of none.  Every end may come twice and does its part
 * once; allowance_fini() comes last in any case.  Part of an exchange; zeroed:
 * nothing.  [loop]
 */

#include <stdbool.h>
#include <stdint.h>

#include "gateway/api_error.h"
#include "limit/limiter.h"
#include "security/principal.h"

struct named_limiter;
struct revision;

struct allowance {
	struct limit_hold key;
	struct limit_hold agent;
	/* Shown in the answer, also of a call that was refused. */
	struct limiter *of_key; /* NULL = no limit of its own */
	struct limiter *of_agent;
	struct named_limiter *named; /* a reference, or NULL */
};

/* `revision` is the caller's until allowance_fini().  False: *e says which
 * limit it was and when to come again. */
bool allowance_take(struct allowance *a, const struct principal *principal,
		    struct revision *revision, int64_t tokens,
		    struct api_error *e);
void allowance_leave(struct allowance *a);
void allowance_settle(struct allowance *a, int64_t tokens);
void allowance_undo(struct allowance *a);
void allowance_fini(struct allowance *a);

/* x-ratelimit-*, of each kind the limit of which less is left; without a limit
 * none. */
void allowance_tell(const struct allowance *a, struct http_request *request);

#define ALLOWANCE_TIME_MAX 32
/* As OpenAI writes times: "17ms", "1.5s", "6m0s"; rounded up to ms. */
void allowance_time(int64_t ns, char out[ALLOWANCE_TIME_MAX]);

#endif
