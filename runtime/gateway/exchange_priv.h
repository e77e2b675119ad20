/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_EXCHANGE_PRIV_H
#define GATEWAY_EXCHANGE_PRIV_H

/*
 * What the two halves of an exchange share: exchange.c leads up to the call,
 * exchange_answer.c from the call to the client.
 */

#include "gateway/exchange.h"

#define STATUS_GONE REVISION_CLIENT_GONE

void exchange_free(struct exchange *x);
/* Its call has let go of it: it is repeated, or free. */
void exchange_done(struct exchange *x);
/* Fills x->call.request for x->revision, but for what the surface has put
 * there.  ATOM_ELIMIT: the messages are too long. */
atom_status exchange_compose(struct exchange *x);
/* Starts the call: everything it needs is in x->call.request. */
void exchange_call(struct exchange *x);
/* Begins its span, in the caller's trace or in a new one; the backend gets
 * another span of it as its parent. */
void exchange_trace(struct exchange *x);
/* It has ended: who watches calls hears of it. */
void exchange_trace_end(const struct exchange *x,
			const struct revision_outcome *outcome);
/* Counts the outcome as the client saw it. */
void exchange_count(struct exchange *x, int status);
/* What it holds of limits goes back but for what it has used, and all of it
 * when the call was refused before it reached its backend.  Once; then it
 * does nothing. */
void exchange_settle(struct exchange *x, bool failed);
/* The call's audit record; `code` may be NULL. */
void exchange_record(const struct exchange *x, int status, const char *code);
/* With security.audit_calls = "strict": takes the answer and gives it to
 * exchange_deliver() once its record is durable.  False: go on. */
bool exchange_hold(struct exchange *x, const struct api_error *e,
		   const struct buffer *body);
/* Is its answer held?  Then the exchange frees itself. */
bool exchange_is_held(struct exchange *x);
/* Answers with the body, or with the error when it has a status, and lets the
 * request go. */
void exchange_deliver(struct exchange *x, const struct api_error *e,
		      const struct buffer *body);
/* x-atomd-agent, x-atomd-revision and x-ratelimit-*. */
void exchange_name_agent(const struct exchange *x,
			 struct http_request *request);
/* Ends the use of the session; `commit`: with what was said. */
void exchange_close_session(struct exchange *x, bool commit);

#endif
