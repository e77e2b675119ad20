/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ROLLOUT_FIXTURE_H
#define ROLLOUT_FIXTURE_H

/*
 * A rollout on a host that is made up: instances start in virtual time, calls
 * go by the weight in force, orders are carried out.  Every look holds the
 * rollout against what must never be, and against a second one that was
 * decoded from the bytes kept just before, as after a kill: its orders have
 * to be the same.  One a program.
 */

#include <stdbool.h>
#include <stdint.h>

#include "rollout/rollout.h"

struct host {
	struct rollout *rollout;
	struct rollout_settings settings;
	struct rollout_seen seen;
	struct rollout_orders orders;
	struct rollout_strategy strategy;
	struct rollout_judge judge;
	struct atom_cell cells[32]; /* this process's counts */
	size_t cell_count;
	/* What it does; a test changes what it means to. */
	int32_t agent_wanted; /* 4 */
	int32_t room;	      /* instances of both; 1000 */
	bool starts_fail;     /* of the new one */
	bool ends_late;	      /* old instances have calls until it is unset */
	int32_t calls;	      /* a second, 0 */
	double old_rate;      /* of errors */
	double new_rate;
	int64_t tick_ms; /* 1000 */
	uint64_t seed;
	/* What came of it. */
	int looks;
	int32_t most;  /* instances of both at once */
	int32_t least; /* ready ones, of both, once the first look was */
	int32_t most_new_ready;
	bool kept_wrong; /* the second rollout is not looked at any more */
};

/* Opens deployment-NAME.so with options as in a configuration, and the judge;
 * NULL: none.  A rollout from revision 1 to 2 that has not been looked at. */
void host_begin(struct host *host, const char *name, const char *options,
		const char *judge_name);
/* The same with a strategy of the test's own. */
void host_begin_with(struct host *host, const struct atom_deployment_ops *ops,
		     const char *judge_name);
void host_end(struct host *host);

/* So many instances serve and are wanted, instead of 4. */
void host_size(struct host *host, int32_t instances);

/* A tick of virtual time, a look, the orders carried out. */
void host_look(struct host *host);
/* Looks until it is over (WARM counts), so many at most; how many it took. */
int host_run(struct host *host, int most);
/* The daemon is killed: nothing is ready, the rollout is what was kept. */
void host_kill(struct host *host);
/* Seconds of looks. */
void host_wait(struct host *host, int64_t seconds);
void host_ask(struct host *host, int32_t person);

/* splitmix64 */
uint64_t host_draw(struct host *host);

#endif
