/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_AGENTS_PRIV_H
#define AGENT_AGENTS_PRIV_H

/*
 * Control's table of agents, shared by agents.c (configurations),
 * agents_operate.c (operators, stop) and agents_view.c (JSON).  [control]
 */

#include "agent/agent_limits.h"
#include "agent/pool.h"
#include "agent/scaler.h"
#include "core/table.h"

struct agent {
	char *name;
	struct agent_limits *limits; /* a reference */
	struct revision *stable;     /* serves; a reference */
	struct revision *candidate;  /* takes over once ready; a reference */
	struct revision *replaced;   /* served until the snapshot is out */
	bool swapped;
	int64_t candidate_since_ms;
	int64_t number; /* of the last revision made */
	uint8_t text_hash[32];
	int64_t pinned; /* instances asked by hand, -1 = none */
	struct scaler *scaler;
	char error[240]; /* why there is no revision at all, or "" */
};

extern struct table agents_table; /* by name, struct agent */

/* The agent's settings as they are written now, for people. */
const struct setting *agent_setting(const struct agent *agent);
void agent_free(struct agent *agent);
struct agent *agents_find(const char *name);
/* Instances the agent should have now: by hand, else what scaling put in
 * force, else `min`. */
int64_t agent_desired(const struct agent *agent,
		      const struct revision *revision);
/* --- agents_kept.c: over restarts --- */
void agent_recall(struct agent *agent);
/* Kept by the next flush, or when many wait for it. */
void agent_remember(const struct agent *agent);
void agents_remember_flush(void);

/* Publishes the routing snapshot of all stable revisions. */
atom_status agents_publish(void);
/* Looks soon, and then each 20 ms while a candidate waits. */
void agents_watch(void);

#endif
