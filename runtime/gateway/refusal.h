/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_REFUSAL_H
#define GATEWAY_REFUSAL_H

/*
 * Who is not let in, 401 and 403, and the audit log: the first ten a second of
 * one address are durable before they are answered, so that a guesser leaves
 * his trace before he learns anything; the others are counted, and one record
 * a second and address tells how many there were.  Addresses are remembered up
 * to a bound, so that a stranger cannot make this grow; those beyond it count
 * together.
 */

#include "gateway/admission.h"

/* Answers with the error and releases the request, now or later.  `a` (may be
 * NULL) says who it was, as far as that is known; `agent` may be NULL. [loop] */
void refusal_answer(struct http_request *request, const struct admission *a,
		    const char *agent, const struct api_error *e);
/* Is the request being refused already? [loop] */
bool refusal_is_pending(const struct http_request *request);
/* [control] Once a second: tells of what was counted. */
void refusals_tick(void);

#endif
