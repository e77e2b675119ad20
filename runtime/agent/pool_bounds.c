/* SPDX-License-Identifier: Apache-2.0 */

/* What all pools together may have: instances, and memory. */

#include <stdatomic.h>

#include "agent/directory.h"
#include "agent/pool.h"

static _Atomic int64_t instances_total;
/* Instances that are slots: what each such agent is meant to have, once,
 * however many revisions of it a rollout has beside each other. */
static _Atomic int64_t slots_total;
/* What instances hold, and what those that start are expected to. */
static _Atomic int64_t memory_total;
static _Atomic int64_t max_agents = INT64_MAX;
static _Atomic int64_t memory_limit = INT64_MAX;
static _Atomic int64_t daemon_memory;

void pool_set_bounds(int64_t agents, int64_t memory_limit_bytes)
{
	atomic_store(&max_agents, agents);
	atomic_store(&memory_limit, memory_limit_bytes);
}

void pool_set_daemon_memory(int64_t bytes)
{
	atomic_store(&daemon_memory, bytes);
}

int64_t pool_instances_total(void)
{
	return atomic_load(&instances_total) + atomic_load(&slots_total);
}

void pool_count_slots(int64_t more)
{
	atomic_fetch_add(&slots_total, more);
}

int64_t pool_slots_room(void)
{
	return atomic_load(&max_agents) - pool_instances_total();
}

int64_t pool_memory_total(void)
{
	return atomic_load(&memory_total) + atomic_load(&daemon_memory);
}

double pool_memory_percent(void)
{
	int64_t limit = atomic_load(&memory_limit);

	return limit < INT64_MAX
		       ? 100.0 * (double)pool_memory_total() / (double)limit
		       : -1;
}

/* One more is expected to hold what the ready ones hold in the mean.  0 while
 * none is known: the first one is let in where any memory is left, so that a
 * pool that once was large is not shut out for ever. */
void pool_expect_memory(struct pool *pool)
{
	int64_t sum = 0, count = 0;

	for (struct instance *i = pool->instances; i != NULL; i = i->next) {
		if (i->state != INSTANCE_READY || i->memory_bytes <= 0)
			continue;
		sum += i->memory_bytes;
		count++;
	}
	atomic_store(&pool->memory_each, count > 0 ? sum / count : 0);
}

const char *pool_reserve(struct pool *pool, int64_t *memory_r)
{
	int64_t each, before;

	pool_expect_memory(pool);
	each = atomic_load(&pool->memory_each);
	/* Taken first: two loops may start one each for the last room. */
	before = atomic_fetch_add(&memory_total, each) +
		 atomic_load(&daemon_memory);
	if (before >= atomic_load(&memory_limit) - each) {
		atomic_fetch_sub(&memory_total, each);
		return "memory_limit";
	}
	if (atomic_fetch_add(&instances_total, 1) + atomic_load(&slots_total) >=
	    atomic_load(&max_agents)) {
		pool_unreserve(each);
		return "max_agents";
	}
	*memory_r = each;
	return NULL;
}

void pool_unreserve(int64_t memory)
{
	atomic_fetch_sub(&memory_total, memory);
	atomic_fetch_sub(&instances_total, 1);
}

int64_t pool_room(const struct pool *pool, const char **limit_r)
{
	int64_t live = atomic_load(&pool->ready) + atomic_load(&pool->starting);
	int64_t missing = atomic_load(&pool->desired) - live;
	int64_t room = atomic_load(&max_agents) - pool_instances_total();
	int64_t left = atomic_load(&memory_limit) - pool_memory_total();
	int64_t each = atomic_load(&pool->memory_each);

	*limit_r = "max_agents";
	if (pool->style != POOL_OWNED)
		return INT32_MAX;
	if (left <= each || (each > 0 && (left - 1) / each < room)) {
		*limit_r = "memory_limit";
		room = left <= each ? 0 : (left - 1) / each;
		if (room == 0)
			return 0;
	}
	/* Those that are wanted already and still to come take their part. */
	return missing > 0 ? room - missing : room;
}

/* While it starts it counts with no less than what it is expected to hold. */
void pool_note_memory(struct instance *instance, int64_t bytes)
{
	int64_t counted = bytes;

	if (instance->state == INSTANCE_STARTING &&
	    counted < instance->memory_counted)
		counted = instance->memory_counted;
	atomic_fetch_add(&memory_total, counted - instance->memory_counted);
	atomic_fetch_add(&instance->pool->memory_bytes,
			 bytes - instance->memory_bytes);
	instance->memory_counted = counted;
	instance->memory_bytes = bytes;
}

void pool_release_memory(struct instance *instance)
{
	atomic_fetch_sub(&instance->pool->memory_bytes, instance->memory_bytes);
	pool_unreserve(instance->memory_counted);
	instance->memory_bytes = instance->memory_counted = 0;
}
