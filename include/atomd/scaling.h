/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATOMD_SCALING_H
#define ATOMD_SCALING_H

/*
 * atom.scaling/1: says how many instances an agent should have.
 *
 * A pure function: options + load + the strategy's own state bytes in; wanted
 * instances, reason and new state bytes out.  No clock, no I/O, no
 * randomness, no threads: time and seed come in with the load.  So the same
 * file that runs in the daemon replays a recorded week in a second.  The host
 * keeps the state, bounds the advice (min, max, max_agents, memory_limit,
 * stabilisation, cooldown) and acts.
 */

#include <atomd/host.h>
#include <atomd/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ATOM_SCALING_STATE_MAX (64 * 1024)
#define ATOM_REASON_MAX	       240
#define ATOM_WORD_MAX	       48

/* What happened in one interval, all of the agent's revisions together.
 * Numbers that were not measured are negative. */
struct atom_load_sample {
	uint32_t struct_size;
	int32_t interval_ms;
	int64_t time_ms; /* end of the interval, Unix time */
	int64_t arrived; /* calls, refused ones included */
	int64_t refused;
	int64_t finished;
	int64_t failed;
	double in_flight; /* time averages over the interval */
	double waiting;
	double ready;	      /* instances */
	double service_s_sum; /* seconds of service of those finished */
	double wait_s_max;    /* longest wait for a slot that ended */
	/* Calls whose wait ended above target_wait_ms, with or without a slot,
	 * and those refused for want of one. */
	int64_t late;
};

/* Log-linear histogram: bucket i counts values in
 * [bounds[i-1], bounds[i]); the last is unbounded. */
struct atom_histogram {
	uint32_t struct_size;
	uint32_t bucket_count;
	const double *bounds;	/* bucket_count - 1 of them, seconds */
	const uint64_t *counts; /* bucket_count of them */
	double sum;
	uint64_t count;
};

struct atom_load {
	uint32_t struct_size;
	uint32_t sample_stride;
	int64_t now_ms; /* Unix time */
	int32_t utc_offset_s;
	int32_t tick_ms; /* usual time to the next evaluation */
	uint64_t seed;

	/* Oldest first; one a second, up to 600. */
	const void *seconds; /* struct atom_load_sample, by sample_stride */
	size_t second_count;
	/* Oldest first; one each five minutes, up to 7 days. */
	const void *five_minutes;
	size_t five_minute_count;
	struct atom_histogram service; /* seconds, the last hour */

	int32_t concurrency; /* calls one instance takes at once */
	int32_t min;
	int32_t max;
	int32_t desired; /* in force now */
	int32_t ready;
	int32_t draining;
	const int64_t *starting_ages_ms; /* of each starting instance */
	size_t starting_count;
	int64_t in_flight;
	int64_t waiting;
	int64_t oldest_wait_ms;
	const double *cold_starts_s; /* the last ones seen, oldest first */
	size_t cold_start_count;
	double target_wait_ms;
	double cpu_percent;    /* mean of instances; negative = missing */
	double memory_percent; /* of their limit; negative = missing */
	double slot_percent;   /* in flight of all slots */
	/* Milliseconds of a clock that only runs forward and never jumps: for
	 * durations and for times kept in state, where `now_ms` follows every
	 * step of the system's clock.  Samples' `time_ms` are told relative to
	 * `now_ms`, so a step of the clock moves them along. */
	int64_t steady_ms;
};

/* Recommended actions, for people and events. */
enum {
	ATOM_SCALE_NONE = 0,
	ATOM_SCALE_ADD = 1,	  /* add_agents */
	ATOM_SCALE_REMOVE = 2,	  /* remove_agents */
	ATOM_SCALE_ADD_MEMORY = 3 /* add_memory_optimized_agents */
};

struct atom_scaling_advice {
	uint32_t struct_size;
	int32_t wanted; /* instances; negative = no opinion (keep) */
	int32_t action; /* ATOM_SCALE_* */
	/* For how long a lower number must have been advised before instances
	 * are removed (the stabilisation window of scaling down); 0 = at once,
	 * for strategies that hold their advice themselves.  Negative, and so
	 * it comes: the host's default.  The agent's own
	 * `scale_down.stabilization_s` goes before it. */
	int32_t hold_ms;
	double value;			 /* of the metric that decided */
	char metric[ATOM_WORD_MAX];	 /* its name */
	char reason_code[ATOM_WORD_MAX]; /* stable word: high_cpu_usage */
	char reason[ATOM_REASON_MAX];	 /* prose with the numbers used */
};

struct atom_scaling_ops {
	ATOM_OPS_HEAD;
	/* [control], offline too.  The advice comes empty: `wanted` and
	 * `hold_ms` -1, all else 0.  `state` holds `*state_size` bytes of the
	 * last call (0 at first) and room for ATOM_SCALING_STATE_MAX; leave
	 * the new ones there. */
	atom_status (*evaluate)(void *self, const struct atom_load *load,
				void *state, size_t *state_size,
				struct atom_scaling_advice *advice_r,
				struct atom_error *err);
};

static inline ATOM_UNUSED const struct atom_load_sample *atom_load_second(
	const struct atom_load *load, size_t i)
{
	return (const struct atom_load_sample
			*)(const void *)((const char *)load->seconds +
					 i * load->sample_stride);
}

#ifdef __cplusplus
}
#endif

#endif
