/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_POOL_H
#define AGENT_POOL_H

/*
 * Revisions, their pools and instances: this folder's own.
 *
 * Three styles (backend.h).  Shared and blocking capacity is one atomic count
 * that any loop may take from.  Owned instances live, all of one pool, on the
 * pool's home loop, which chooses the least loaded one, or the fullest one
 * where a strategy scales the pool, so that it finds idle ones when it takes
 * some away.  The waiting room of every pool is on its home loop too: one FIFO, no lock.
 *
 * Nobody is left asleep in the waiting room: who queues counts itself in
 * `waiting` before it tries once more; who gives a slot back looks at
 * `waiting` after it gave (both sequentially consistent, as in Dekker's
 * mutual exclusion), and kicks the home loop.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <atomd/backend.h>

#include "agent/call.h"
#include "agent/measure.h"
#include "config/config.h"
#include "core/loop.h"
#include "core/metric.h"
#include "plugin/options.h"

struct agent_limits;
struct attempt;
struct blocking;
struct instance;

enum pool_style {
	POOL_OWNED,
	POOL_SHARED,
	POOL_BLOCKING
};

/* Starting instances whose age is told, and starts remembered a second. */
#define STARTING_MAX 16
#define COLD_STARTS  16

struct pool {
	struct revision *revision;
	enum pool_style style;
	struct loop *home;
	int32_t concurrency;
	struct blocking *blocking; /* threads of a blocking backend */

	_Atomic int64_t capacity;  /* slots there are */
	_Atomic int64_t in_flight; /* slots taken */
	_Atomic int64_t waiting;
	_Atomic int64_t spare; /* of those in flight */
	_Atomic int64_t desired;
	_Atomic int64_t memory_wanted; /* of them, memory optimized */
	_Atomic int64_t ready;
	_Atomic int64_t starting;
	_Atomic int64_t draining;
	_Atomic int64_t memory_bytes;
	_Atomic int64_t memory_each; /* expected of one more; 0 = unknown */
	/* Nobody comes any more; who waits is still served. */
	_Atomic bool retiring;
	_Atomic bool unhealthy; /* failed ten times in five minutes */
	_Atomic bool failing;	/* the last start failed, none is ready */

	/* --- for control's scaler --- */
	_Atomic(struct measure *) measure; /* NULL until the first call */
	_Atomic bool scaled;		   /* a strategy wants to be told */
	_Atomic int64_t waiting_since_ns;  /* the longest wait, 0 = none */
	_Atomic int64_t cpu_permille;	   /* sum over instances */
	_Atomic int64_t cpu_known;	   /* instances that were measured */
	_Atomic int64_t started_at_ms[STARTING_MAX]; /* the oldest, by age */
	_Atomic int32_t cold_start_ms[COLD_STARTS];  /* a ring */
	_Atomic uint32_t cold_start_head;
	uint32_t cold_start_tail; /* control's */
	int32_t failed_starts;	  /* control's; so is */
	char start_error[160];	  /* why the last one failed */
	unsigned int graces; /* control's: retirements that are not in force */
	struct message urgent; /* to control */
	_Atomic bool urgent_posted;

	/* --- the home loop's own --- */
	struct attempt *first_waiting;
	struct attempt *last_waiting;
	struct instance *instances; /* doubly linked */
	uint64_t instances_made;
	bool pumping;
	bool closing; /* nobody holds the revision any more */
	int64_t restart_generation;
	int64_t backoff_ms; /* 0 = none */
	struct timer backoff;
	int64_t failures[10]; /* loop times of the last ones, a ring */
	unsigned int failure_at;
	struct message kick;
	_Atomic bool kick_posted;
	struct message desired_changed;
	_Atomic bool desired_posted;
	_Atomic int64_t restart_wanted;
	/* A start was refused by max_agents or memory_limit; said once. */
	bool limit_told;
};

enum instance_state {
	INSTANCE_STARTING,
	INSTANCE_READY,
	INSTANCE_DRAINING, /* no new calls */
	INSTANCE_STOPPING  /* instance_stop called, `stopped` not yet */
};

/*
 *	STARTING --ready--> READY --retire, scale-in--> DRAINING
 *	   |                  |  <------taken back-------- |
 *	   |                  |                            | idle
 *	   +---- failed ------+--------------------> STOPPING --stopped--> gone
 */
struct instance {
	struct pool *pool;
	struct instance *previous;
	struct instance *next;
	enum instance_state state;
	bool lost;    /* by `failed` */
	bool retired; /* the backend wants it gone */
	bool memory_optimized;
	bool in_start; /* inside instance_start */
	int32_t concurrency;
	int32_t in_flight;
	atom_unit handle;
	void *unit_self;
	int64_t began_ms;
	int64_t generation;	/* of restarts */
	int64_t memory_bytes;	/* measured */
	int64_t memory_counted; /* of memory_limit: expected, then measured */
	int64_t cpu_ms; /* used since its start, -1 = not measured yet */
	int64_t cpu_at_ms;
	int64_t cpu_permille;  /* between the last two looks, -1 = unknown */
	struct timer deadline; /* of stopping */
	char name[96];
};

struct revision {
	_Atomic int64_t refs;
	int64_t number;
	char label[24];
	int64_t created_s;
	struct config *config;	     /* holds `agent` */
	struct agent_limits *limits; /* a reference */
	const struct config_agent *agent;
	struct configured *backend;
	const struct atom_backend_ops *ops;
	void *self;
	/* The same backend with the options of instances.memory_optimized;
	 * NULL = no such group. */
	struct configured *memory_backend;
	struct setting *memory_options;
	struct pool pool;
	struct message closing; /* to home, then to control */
	bool emptied;
	_Atomic metric_id codes[16]; /* by status, made when first used */
	_Atomic metric_id duration;
	_Atomic metric_id first_token;
	_Atomic metric_id queue_wait;
	_Atomic metric_id tokens_in;
	_Atomic metric_id tokens_out;
	/* Control's list of revisions that live. */
	struct revision *previous;
	struct revision *next;
};

/* --- revision.c [control] --- */
atom_status revision_new(struct config *config,
			 const struct config_agent *agent, int64_t number,
			 struct agent_limits *limits, struct loop *home,
			 struct revision **revision_r, struct buffer *errors,
			 struct atom_error *err);
/* [loop*] One of its instances was lost, or did not start. */
void revision_count_failure(const struct revision *revision);
/* [home] Nothing of the pool is left: control frees the revision. */
void revision_emptied(struct revision *revision);
/* Sets every gauge of the revision, for a scrape. */
void revision_measure(struct revision *revision, bool serving);
/* The q-quantile of durations in ms, -1 when there are none; calls ended so
 * far, and how many with a 5xx. */
double revision_quantile_ms(const struct revision *revision, double q);
double revision_calls(const struct revision *revision, double *errors_r);
/* `token_limit` of the configuration, for agents without max_tokens. */
void revision_set_token_limit(int64_t limit);
atom_status revision_metrics_init(struct atom_error *err);
/* Revisions that are not freed yet; `gone` runs when one is. */
size_t revisions_alive(void);
void revisions_visit(void (*visit)(struct revision *revision));
void revisions_on_gone(void (*gone)(void));

/* --- pool.c --- */
void pool_init(struct pool *pool, struct revision *revision,
	       enum pool_style style, struct loop *home, int32_t concurrency);
/* [any] */
bool pool_try_take(struct pool *pool);
void pool_give_back(struct pool *pool); /* shared and blocking */
/* [control] */
void pool_set_desired(struct pool *pool, int64_t desired);
void pool_restart(struct pool *pool);
/* No instance is wanted any more, once no loop can have routed a call here
 * that is not among those who wait; these are served first.  The snapshot
 * that leads here has been replaced, or is before this callback ends.
 * [control] */
void pool_retire(struct pool *pool);
/* [home] Somebody has gone: the last instance of one that retires goes when
 * nobody waits. */
void pool_look_empty(struct pool *pool);
/* So many more of those that are desired shall be memory optimized; before
 * pool_set_desired().  [control] */
void pool_want_memory(struct pool *pool, int64_t more);
/* [home] Take a slot or wait: grants by attempt_granted(), refuses by
 * attempt_refused(). */
void pool_enter(struct pool *pool, struct attempt *attempt);
bool pool_leave(struct pool *pool, struct attempt *attempt);
void pool_pump(struct pool *pool);
/* [home] Start and stop instances until they are as wanted. */
void pool_reconcile(struct pool *pool);
/* [any] The same later, from the home loop.  How many are desired is control's
 * to say, and may change meanwhile. */
void pool_reconcile_soon(struct pool *pool);
/* Nobody holds the revision any more: instances end, then it is freed. */
void pool_close(struct pool *pool);
/* What instances tell. */
void pool_note_failure(struct pool *pool);
void pool_note_success(struct pool *pool); /* a call was answered well */
void pool_note_memory(struct instance *instance, int64_t bytes);
void pool_forget(struct instance *instance);
/* Control's scaler is called with the revision whose waiting room holds a
 * call that nothing is free for. */
void pool_on_urgent(void (*urgent)(struct revision *revision));

/* --- pool_notes.c --- */
/* [home] An instance failed before it was ready: control counts it. */
void pool_note_failed_start(struct pool *pool, const char *why);
/* [home] CPU time since its start; negative: it is gone. */
void pool_note_cpu(struct instance *instance, int64_t cpu_ms);

/* --- pool_bounds.c --- */
/* How many more owned instances the limits over all agents leave the pool,
 * beyond `desired`; which limit it is. [control] */
int64_t pool_room(const struct pool *pool, const char **limit_r);
/* Counts one more instance in, and the memory that it is expected to hold, if
 * the limits allow it.  Else the limit's name. [home] */
const char *pool_reserve(struct pool *pool, int64_t *memory_r);
void pool_unreserve(int64_t memory);
/* Looks what one more would hold. [home] */
void pool_expect_memory(struct pool *pool);
/* The instance is gone. [home] */
void pool_release_memory(struct instance *instance);
/* Bounds over all pools, from the configuration. [control] */
void pool_set_bounds(int64_t max_agents, int64_t memory_limit_bytes);
void pool_set_daemon_memory(int64_t bytes);
int64_t pool_instances_total(void); /* of all pools, slots included */
/* Instances of a backend that owns none, an HTTP model's, are slots: nothing
 * starts, so that they are counted where an agent's size is set. [control] */
void pool_count_slots(int64_t more);
int64_t pool_slots_room(void); /* what `max_agents` leaves; may be negative */
int64_t pool_memory_total(void);
/* Of the configuration's memory_limit; negative: there is none. */
double pool_memory_percent(void);

/* --- instance.c [home] --- */
/* What it takes of the limits over all agents is reserved already, and given
 * back on failure. */
bool instance_start(struct pool *pool, int64_t memory);
/* What its backend was created as. */
void *instance_self(const struct instance *instance);
void instance_drain(struct instance *instance);
/* The least loaded one that drains because fewer were wanted serves again,
 * for it is ready now and a new one is not.  False: there is none. */
bool instance_take_back(struct pool *pool);
void instance_stop(struct instance *instance, bool force);
/* The ready one with a free slot that takes the next call, or NULL: the
 * least loaded one; where a strategy scales the pool the fullest one, and of
 * two alike the older one. */
struct instance *instance_choose(struct pool *pool);
void instance_release(struct instance *instance);
void instance_ready(struct instance *instance, int32_t concurrency);
void instance_failed(struct instance *instance, const struct atom_error *err);
void instance_stopped(struct instance *instance);
void instance_publish(struct pool *pool);

/* --- blocking.c --- */
struct blocking *blocking_new(struct revision *revision);
/* [loop] */
atom_status blocking_submit(struct blocking *blocking, struct attempt *attempt);
/* [any] Wake threads that wait for a client. */
void blocking_wake(struct blocking *blocking);
/* Waits inside emit until there is room. */
void blocking_wait_room(struct blocking *blocking, struct attempt *attempt);
/* [control] Ends the threads; those that hang are left behind with what
 * they use, and false is returned. */
bool blocking_free(struct blocking **blocking);

/* --- host_backend.c [control] --- */
atom_status host_backend_register(void);

#endif
