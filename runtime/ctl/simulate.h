/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What simulations are made of: the agent whose scaling is simulated, the
 * plugins to compare, and the picture. The engines are scaling/simulate.h,
 * rollout/simulate.h and rollout/rehearse.h.
 */
#ifndef CTL_SIMULATE_H
#define CTL_SIMULATE_H

#include "config/config.h"
#include "ctl.h"
#include "plugin/options.h"
#include "rollout/rehearse.h"
#include "scaling/simulate.h"

#define SIMULATE_PLUGINS_MAX 16
/* The most that is read of a trace. */
#define SIMULATE_TRACE_MAX ((size_t)1 << 30)

/* One agent's body, checked as the daemon checks it. */
struct simulate_agent {
	struct config *config;
	const struct config_agent *agent;
	char *directory;
};

/* One strategy or judge, opened from the same file as the daemon's. */
struct simulate_plugin {
	char *typed; /* as the option said it */
	struct configured *configured;
	const char *name;
	struct setting *own; /* options typed behind the name; NULL: none */
	const struct setting *group; /* in force; NULL: defaults */
};

/* What is to be opened. */
struct simulate_open {
	const char *kind;		    /* "scaling", "judge" */
	const char *option;		    /* "--strategy", for sentences */
	const char *list;		    /* "a,b:x=1,c" */
	const struct simulate_agent *agent; /* NULL: none */
	/* A bare `own_name` takes the options of `group`; NULL: none does. */
	const char *own_name;
	const struct setting *group;
};

/* Reads a whole file; the caller frees it. NULL: `ctl` has the sentence. */
char *simulate_read_file(struct ctl *ctl, const char *option, const char *path,
			 size_t max, size_t *length_r);

int simulate_agent_read(struct ctl *ctl, const char *path,
			struct simulate_agent *agent_r);
void simulate_agent_fini(struct simulate_agent *agent);

/* Looks at the plugin folder; once, before plugins are opened. */
int simulate_plugins_begin(struct ctl *ctl);
/* After the last one is closed. */
void simulate_plugins_end(void);

/* Opens every plugin of the list. `*count_r` grows as they open, also on
 * failure. */
int simulate_plugins_open(struct ctl *ctl, const struct simulate_open *open,
			  struct simulate_plugin **plugins_r, size_t *count_r);
void simulate_plugins_close(struct simulate_plugin **plugins, size_t count);
/* The options in force that somebody wrote, as JSON. */
json_t *simulate_plugin_options(const struct simulate_plugin *plugin);

/* Writes load, instances and waits over time as SVG. */
int simulate_plot(struct ctl *ctl, const char *path, const char *title,
		  const struct simulate_plugin *strategies,
		  const struct simulate_result *results, size_t count,
		  double target_wait_s);

/* What came of one judge, or of one strategy with one judge. */
struct simulate_verdict {
	char name[96];
	const struct simulate_plugin *strategy; /* NULL: the judge alone */
	const struct simulate_plugin *judge;
	struct rollout_result alone;
	struct rehearse_result whole;
	uint64_t *ends; /* calls to the alarm, ascending; one a run */
};

struct simulate_verdicts {
	const struct rollout_setup *setup;
	const struct simulate_verdict *verdicts; /* all alone, or all whole */
	size_t count;
};

int simulate_verdicts_json(struct ctl *ctl,
			   const struct simulate_verdicts *all);
int simulate_verdicts_table(struct ctl *ctl,
			    const struct simulate_verdicts *all);
/* The share of runs stopped over the calls, and with strategies the new
 * revision's weight. */
int simulate_verdicts_plot(struct ctl *ctl, const char *path,
			   const struct simulate_verdicts *all);

#endif
