/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `simulate scaling` is made of: the agent whose scaling is simulated,
 * the strategies to compare, and the picture. The engine is
 * scaling/simulate.h.
 */
#ifndef CTL_SIMULATE_H
#define CTL_SIMULATE_H

#include "config/config.h"
#include "ctl.h"
#include "plugin/options.h"
#include "scaling/simulate.h"

#define SIMULATE_STRATEGIES_MAX 16
/* The most that is read of a trace. */
#define SIMULATE_TRACE_MAX ((size_t)1 << 30)

/* One agent's body, checked as the daemon checks it. */
struct simulate_agent {
	struct config *config;
	const struct config_agent *agent;
	char *directory;
};

/* One strategy, opened from the same file as the daemon's. */
struct simulate_strategy {
	char *typed; /* as --strategy said it */
	struct configured *configured;
	const char *name;
	struct setting *own; /* options typed behind the name; NULL: none */
	const struct setting *group; /* in force; NULL: defaults */
	struct simulate_result result;
};

/* Reads a whole file; the caller frees it. NULL: `ctl` has the sentence. */
char *simulate_read_file(struct ctl *ctl, const char *option, const char *path,
			 size_t max, size_t *length_r);

int simulate_agent_read(struct ctl *ctl, const char *path,
			struct simulate_agent *agent_r);
void simulate_agent_fini(struct simulate_agent *agent);

/* Looks at the plugin folder; once, before strategies are opened. */
int simulate_plugins_begin(struct ctl *ctl);
/* After the last strategy is closed. */
void simulate_plugins_end(void);

/* Opens every strategy of `list` ("a,b:x=1,c"). A bare name that is the
 * agent's own plugin takes the options of its `scaling`. `*count_r` grows as
 * they open, also on failure. */
int simulate_strategies_open(struct ctl *ctl, const char *list,
			     const struct simulate_agent *agent,
			     struct simulate_strategy **strategies_r,
			     size_t *count_r);
void simulate_strategies_close(struct simulate_strategy **strategies,
			       size_t count);
/* The options in force that somebody wrote, as JSON. */
json_t *simulate_strategy_options(const struct simulate_strategy *strategy);

/* Writes load, instances and waits over time as SVG. */
int simulate_plot(struct ctl *ctl, const char *path, const char *title,
		  const struct simulate_strategy *strategies, size_t count,
		  double target_wait_s);

#endif
