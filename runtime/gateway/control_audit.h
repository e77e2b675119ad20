/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CONTROL_AUDIT_H
#define GATEWAY_CONTROL_AUDIT_H

/*
 * Control actions and the audit log.
 *
 *	intent durable ──► run ──► outcome durable ──► the client is answered
 *	      │                          │
 *	      └ not to be had: 503       └ not within 5 s: answered with
 *	        `audit_unavailable`,       `x-atomd-audit: pending`; the record
 *	        nothing is done            waits for the sink
 *
 * What makes things safer (ROUTE_SAFER) runs at once, without an intent.
 * [control] throughout.
 */

#include "gateway/control.h"

/* Runs the call, or answers it with 503. */
void control_audit_begin(struct control_call *call);
/* Records the outcome, then control_post_back(). */
void control_audit_end(struct control_call *call);
/* The way back to the loop; control.c's. */
void control_post_back(struct control_call *call);
void control_audit_free(struct control_audit **audit);

#endif
