/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_AGENT_LIMITS_H
#define AGENT_AGENT_LIMITS_H

/*
 * How much all callers of one agent together may ask.  It belongs to the name
 * and not to a revision: what is used stays used over reloads and rollouts.
 * The agent and each of its revisions hold a reference, so that it is there
 * until the last call has settled.
 */

#include "core/metric.h"
#include "limit/limiter.h"

struct agent_limits {
	struct limiter limiter;
	_Atomic int32_t refs;
	/* Refusals by key's limits and by the agent's own; made when first
	 * used. */
	_Atomic metric_id refused[2 * LIMIT_KINDS];
};

/* [control] With one reference; NULL without memory. */
struct agent_limits *agent_limits_new(void);
struct agent_limits *agent_limits_ref(struct agent_limits *limits);
/* NULL is fine. */
void agent_limits_unref(struct agent_limits *limits);

/* [control] Declares atomd_rate_limited_total. */
atom_status agent_limits_init(struct atom_error *err);
/* [any] Counts a call of `agent` that was refused. */
void agent_limits_count(struct agent_limits *limits, const char *agent,
			enum limit_kind kind, bool by_key);

#endif
