/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_SCALER_H
#define AGENT_SCALER_H

/*
 * Scaling of one agent: what was measured, its strategy, and the number that
 * is in force.  scaling/ decides; here are clock, plugin and pools.
 *
 * Each second every pool's counts are taken into the agent's window.  Each 2 s
 * (SCALING_TICK_MS), and at once when a call waits and nothing is free, the
 * strategy is asked, and what comes of it is put in force.  A strategy is
 * changed live: its state goes on with the same component, and ends with
 * another.  All of it [control].
 */

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "agent/measure.h"
#include "config/config.h"
#include "scaling/control.h"
#include "scaling/window.h"

struct agent;
struct configured;
struct revision;

/* Of the last one to two minutes. */
struct recent_times {
	struct measured_times now;
	struct measured_times before;
};

/* What an agent that is called has of them. */
struct recent_load {
	struct recent_times service;
	struct recent_times wait;
	struct recent_times first_token;
	int64_t began_ms;
	int64_t finished; /* since began_ms */
	int64_t failed;
};

struct scaler {
	struct agent *agent;
	const struct config_agent *settings; /* of `config` */
	struct config *config;		     /* a reference */
	struct configured *strategy;	     /* NULL: stays at min */
	struct config *strategy_config;	     /* what it was made of */
	struct scaling_control *control;     /* there as long as strategy */
	void *state;
	size_t state_size;
	int32_t desired; /* in force while a strategy is; else `min` */
	int64_t asked_ms;
	bool urgent; /* a timer will ask */
	/* What was told already, until it is over. */
	const char *told_limit;
	const char *told_fault;
	bool told_not_ready;
	int32_t told_proposed;		   /* of a dry run */
	struct atom_scaling_advice advice; /* the last one */
	struct scaling_decision decision;

	/* --- measuring --- */
	struct scaling_window *window; /* NULL: never called */
	double in_flight_sum;
	double waiting_sum;
	int64_t sampled_ms;
	struct recent_load *recent; /* NULL: never called */
	int64_t memory_peak_bytes;  /* of one instance */
	double in_flight_peak;	    /* of a second */
	double cpu_s;		    /* used while calls were under way */
	double busy_s;		    /* seconds of calls under way meanwhile */
};

/* Declares metrics, starts the timer. */
atom_status scalers_init(struct atom_error *err);
/* Are the agent's strategy and its options right?  Faults go to `errors`. */
void scaler_check(const struct config_agent *settings, struct buffer *errors);

/* NULL: no memory. */
struct scaler *scaler_new(struct agent *agent);
void scaler_free(struct scaler **scaler);
/* The agent's settings as they are now.  On failure (the strategy cannot be
 * made) the strategy before goes on. */
atom_status scaler_configure(struct scaler *scaler, struct config *config,
			     const struct config_agent *settings,
			     struct atom_error *err);
/* Somebody set the number by hand (`to`), or gave it back. */
void scaler_pinned(struct scaler *scaler, int32_t from, int32_t to);
void scaler_released(struct scaler *scaler, int32_t from);
/* No more instances are started: the daemon stops. */
void scalers_stop(void);
void scalers_fini(void);

/* What is measured now, and what the strategy said last; for an agent's JSON.
 * New. */
json_t *scaler_describe(struct scaler *scaler); /* scaler_view.c */

/* --- scaler_measure.c --- */
/* Of local time, at that moment. */
int32_t scaler_utc_offset_s(int64_t wall_ms);
/* A look at every pool, several times a second while there are calls. */
bool scalers_look(void);
/* The second is over: what was counted becomes a sample. */
void scalers_sample(int64_t now_ms);
/* What the strategy is told; valid until the next sample. */
void scaler_load(struct scaler *scaler, int64_t now_ms,
		 struct atom_load *load_r);

/* --- scaler_events.c --- */
struct scaling_event {
	const char *agent;
	const char *action; /* "add_agents" "remove_agents" "none" */
	const char *reason; /* a stable word */
	const char *metric;
	const char *strategy;
	const char *recommended_action;
	const char *detail; /* prose */
	const char *bound;  /* NULL = none */
	double value;
	int32_t from;
	int32_t to;
	bool dry_run;
};
atom_status scaling_events_init(struct atom_error *err);
/* Kept, logged, counted, published, recorded. */
void scaling_event(const struct scaling_event *event);
/* Advice was ignored. */
void scaling_fault(const char *agent, const char *strategy, const char *fault);
void scaling_events_fini(void);

#endif
