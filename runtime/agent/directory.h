/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_DIRECTORY_H
#define AGENT_DIRECTORY_H

/*
 * The routing snapshot: which agents there are and which revision answers.
 *
 * Immutable; control publishes a new one and retires the old one (qsbr.h).  A
 * serving loop looks a name up within one iteration and takes a reference on
 * the revision when a call shall live on.  The look-up is one hash, whatever
 * the number of agents.
 */

#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

#include "config/config.h"
#include "core/loop.h"
#include "core/metric.h"

struct agent;
struct agent_limits;
struct revision;

/* [loop] The revision a new call of `name` goes to, with a reference for the
 * caller, or NULL when there is no such agent. */
struct revision *directory_route(const char *name, size_t length);
/* [loop] [control] Visits every agent's serving revision in order of names.
 * No references are taken: use it within the visit. */
void directory_visit(void (*visit)(void *argument, struct revision *revision),
		     void *argument);

/* --- what a revision tells: immutable, any thread holding a reference ----- */

void revision_ref(struct revision *revision);
void revision_unref(struct revision *revision);
const char *revision_agent(const struct revision *revision);
int64_t revision_number(const struct revision *revision);
/* "3": for headers and labels. */
const char *revision_label(const struct revision *revision);
const struct config_agent *revision_config(const struct revision *revision);
/* Unix time in seconds when it was made, for /v1/models. */
int64_t revision_created_s(const struct revision *revision);
/* max_tokens for a call that states none; 0 = leave it alone. */
int64_t revision_max_tokens(const struct revision *revision);

/* Of its agent; there as long as the reference. */
struct agent_limits *revision_limits(const struct revision *revision);

/* Counts a finished exchange: requests_total{agent,revision,code}, durations,
 * first token, tokens.  Times in ns, 0 = did not happen. [loop] */
struct revision_outcome {
	int http_status;
	int64_t began_ns;
	int64_t granted_ns;
	int64_t first_emit_ns;
	int64_t ended_ns;
	int64_t input_tokens;
	int64_t output_tokens;
};
void revision_count(struct revision *revision,
		    const struct revision_outcome *outcome);

#endif
