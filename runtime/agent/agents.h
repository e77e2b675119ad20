/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_AGENTS_H
#define AGENT_AGENTS_H

/*
 * The agents as control sees them: made from configurations, changed by
 * reloads, scaled and restarted by operators.  All of it [control].
 */

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include <atomd/plugin.h>

#include "config/config.h"
#include "core/buffer.h"

/* Registers the services atom.backend-host/1 and atom.invoke/1, declares
 * metrics. */
atom_status agents_init(struct atom_error *err);

/* Checks every agent of `config` against its plugins without starting
 * anything (for -t, start and reload); faults are added to `errors`. */
atom_status agents_check(const struct config *config, struct buffer *errors);

/* Applies a checked configuration: new agents start, changed ones get a new
 * revision that takes over once it is ready, agents that are gone drain.
 * Agents whose text has not changed keep everything.  `result_r` (may be
 * NULL) gets {"changed":[],"added":[],"removed":[],"unchanged":N} and, in
 * "failed", why agents could not be made: they keep the revision they had; an
 * agent without any is tried again at the next reload. */
atom_status agents_apply(struct config *config, bool now, json_t **result_r,
			 struct atom_error *err);

/* Are all agents that must have instances ready? */
bool agents_ready(void);
/* Calls `ready` once each agent of the first configuration has an instance
 * or has failed to start one, or after `deadline_ms`. */
void agents_when_started(int64_t deadline_ms, void (*ready)(void *argument),
			 void *argument);

/* Operators. ATOM_ENOENT: no such agent; ATOM_EINVAL: out of bounds. */
atom_status agents_scale(const char *name, int64_t instances,
			 struct atom_error *err);
atom_status agents_scale_auto(const char *name, struct atom_error *err);
/* Replaces every instance, one after the other, without losing a call. */
atom_status agents_restart(const char *name, struct atom_error *err);

/* Is there an agent of this name, whether or not it serves? */
bool agents_know(const char *name);
/* CONTRACT 7's rows; one agent's with its settings (NULL if unknown);
 * libconfig text of one agent. */
json_t *agents_list(void);
json_t *agents_describe(const char *name);
atom_status agents_export(const char *name, struct buffer *out,
			  struct atom_error *err);

/* Calls at once, waiting ones with them, by five minutes, from before the
 * daemon's start; the most that were in flight. */
struct agents_past {
	const double *loads;
	size_t count;
	double peak;
};

/* What an agent's settings could be, by what was measured of it, since the
 * start or in `past`, whichever is more:
 * [{"setting","now","suggested","reason"}]; empty when nothing was.  New. */
json_t *agents_sizing(const char *name, const struct agents_past *past);
/* CONTRACT 7's rows of `scaling events`: the newest `limit` of one agent's
 * ("": of all), oldest first; at most 1,000 are kept.  New. */
json_t *agents_scaling_events(const char *agent, size_t limit);

/* Brings gauges, memory and the health of agents up to date: each second, and
 * before a scrape. */
void agents_measure(void);

/* Graceful stop: no new calls (they end with shutting_down); `stopped` once
 * all calls have ended and all instances are gone, or at the deadline, when
 * the rest is cancelled. */
void agents_stop(int64_t deadline_ms, void (*stopped)(void *argument),
		 void *argument);
/* While stopping: no more patience, as if the deadline had passed. */
void agents_cut(void);
void agents_fini(void);

#endif
