/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCALING_SIMULATE_PRIV_H
#define SCALING_SIMULATE_PRIV_H

/*
 * The room's own: the heap of what is to come, the instances, and the host
 * that asks the strategy.
 */

#include "scaling/simulate.h"

/* At one moment the lower kind comes first: a slot is free before the next
 * call wants one, and the controller sees the moment as it ends. */
enum event_kind {
	EVENT_FINISH,
	EVENT_READY
};

struct event {
	int64_t at_us;
	uint64_t sequence; /* of two at once, the one said first */
	int32_t kind;
	int32_t instance;
	uint32_t generation; /* of the instance */
	int32_t reserved;
	int64_t service_us; /* of what finishes */
};

/* A binary heap. */
struct agenda {
	struct event *events;
	size_t count;
	size_t room;
	uint64_t sequence;
};

/* Ownership: the array is the agenda's. */
bool agenda_add(struct agenda *agenda, struct event event);
/* The next one, NULL when there is none. */
const struct event *agenda_first(const struct agenda *agenda);
void agenda_drop_first(struct agenda *agenda);
void agenda_fini(struct agenda *agenda);

enum sim_state {
	SIM_GONE,
	SIM_STARTING,
	SIM_READY,
	SIM_DRAINING
};

struct sim_instance {
	int32_t state; /* enum sim_state */
	int32_t in_flight;
	int32_t previous; /* in its list, -1 = none */
	int32_t next;
	int64_t began_us;
	uint32_t generation; /* places are used again */
};

/* One list for each number of calls, 0 to concurrency, so that the least and
 * the most loaded are at the heads of the outermost lists that are not empty. */
struct sim_levels {
	int32_t *heads;	 /* -1 = empty */
	int32_t lowest;	 /* no list below this one holds anybody */
	int32_t fullest; /* none of those with a free slot above this one */
};

/* Ready and draining instances stand in levels, starting ones in a list by
 * age. */
struct sim_pool {
	int32_t concurrency;
	struct sim_instance *instances;
	int32_t count; /* places in use so far */
	int32_t room;
	int32_t free; /* list of gone ones */
	struct sim_levels serving;
	struct sim_levels leaving;
	int32_t starting_first;
	int32_t starting_last;
	int64_t starting;
	int64_t ready;
	int64_t draining;
	int64_t in_flight;
};

bool sim_pool_init(struct sim_pool *pool, int32_t concurrency);
void sim_pool_fini(struct sim_pool *pool);
/* A new one; -1: out of memory. */
int32_t sim_pool_start(struct sim_pool *pool, int64_t now_us);
void sim_pool_ready(struct sim_pool *pool, int32_t index);
/* Takes a slot of the fullest one that has one; -1: none is free. */
int32_t sim_pool_take(struct sim_pool *pool);
void sim_pool_give_back(struct sim_pool *pool, int32_t index);
/* One goes, in the order of scaling_victim_rank() when `remaining` shall
 * remain; a busy one drains.  False: there is none. */
bool sim_pool_remove_one(struct sim_pool *pool, int64_t remaining);
/* The least loaded draining one serves again.  False: there is none. */
bool sim_pool_take_back(struct sim_pool *pool);

/* The host: window, controller and the strategy's state. */
struct sim_host;

struct sim_moment {
	int64_t now_us;
	const struct sim_pool *pool;
	int32_t desired;
	int64_t waiting;
	int64_t oldest_wait_us;
};

/* NULL: out of memory. */
struct sim_host *sim_host_new(const struct simulate_spec *spec);
void sim_host_free(struct sim_host **host);
void sim_host_sample(struct sim_host *host,
		     const struct atom_load_sample *sample, int64_t now_us);
void sim_host_finished(struct sim_host *host, int64_t service_us,
		       int64_t now_us);
void sim_host_started(struct sim_host *host, int64_t took_us);
/* How many instances shall be in force. */
int32_t sim_host_decide(struct sim_host *host, const struct sim_moment *moment);
/* Evaluations that failed or advised nonsense. */
int64_t sim_host_faults(const struct sim_host *host);

#endif
