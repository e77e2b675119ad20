/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "core/memory.h"
#include "scaling/simulate_priv.h"

#define ROOM_FIRST 64

bool sim_pool_init(struct sim_pool *pool, int32_t concurrency)
{
	size_t lists = (size_t)concurrency + 1;

	*pool = (struct sim_pool){
		.concurrency = concurrency,
		.free = -1,
		.starting_first = -1,
		.starting_last = -1,
		.levels = mem_array(lists, sizeof(*pool->levels)),
	};
	if (pool->levels == NULL)
		return false;
	for (size_t i = 0; i < lists; i++)
		pool->levels[i] = -1;
	return true;
}

void sim_pool_fini(struct sim_pool *pool)
{
	mem_free(pool->levels);
	mem_free(pool->instances);
	*pool = (struct sim_pool){ 0 };
}

static void level_enter(struct sim_pool *pool, int32_t index)
{
	struct sim_instance *instance = &pool->instances[index];
	int32_t *head = &pool->levels[instance->in_flight];

	instance->previous = -1;
	instance->next = *head;
	if (*head >= 0)
		pool->instances[*head].previous = index;
	*head = index;
	if (instance->in_flight < pool->lowest)
		pool->lowest = instance->in_flight;
}

static void level_leave(struct sim_pool *pool, int32_t index)
{
	const struct sim_instance *instance = &pool->instances[index];

	if (instance->previous >= 0)
		pool->instances[instance->previous].next = instance->next;
	else
		pool->levels[instance->in_flight] = instance->next;
	if (instance->next >= 0)
		pool->instances[instance->next].previous = instance->previous;
}

/* Head of the first list with somebody in it; -1: nobody is ready. */
static int32_t least_loaded(struct sim_pool *pool)
{
	while (pool->lowest < pool->concurrency &&
	       pool->levels[pool->lowest] < 0)
		pool->lowest++;
	return pool->levels[pool->lowest];
}

int32_t sim_pool_start(struct sim_pool *pool, int64_t now_us)
{
	int32_t index = pool->free;
	struct sim_instance *instance;

	if (index >= 0) {
		pool->free = pool->instances[index].next;
	} else {
		if (pool->count == pool->room) {
			int32_t room = pool->room ? pool->room * 2 : ROOM_FIRST;
			struct sim_instance *more = mem_realloc(
				pool->instances, (size_t)room * sizeof(*more));

			if (more == NULL)
				return -1;
			pool->instances = more;
			pool->room = room;
		}
		index = pool->count++;
		pool->instances[index].generation = 0;
	}
	instance = &pool->instances[index];
	instance->state = SIM_STARTING;
	instance->in_flight = 0;
	instance->began_us = now_us;
	instance->next = -1;
	instance->previous = pool->starting_last;
	if (pool->starting_last >= 0)
		pool->instances[pool->starting_last].next = index;
	else
		pool->starting_first = index;
	pool->starting_last = index;
	pool->starting++;
	return index;
}

static void starting_leave(struct sim_pool *pool, int32_t index)
{
	const struct sim_instance *instance = &pool->instances[index];

	if (instance->previous >= 0)
		pool->instances[instance->previous].next = instance->next;
	else
		pool->starting_first = instance->next;
	if (instance->next >= 0)
		pool->instances[instance->next].previous = instance->previous;
	else
		pool->starting_last = instance->previous;
	pool->starting--;
}

static void gone(struct sim_pool *pool, int32_t index)
{
	struct sim_instance *instance = &pool->instances[index];

	instance->state = SIM_GONE;
	instance->generation++;
	instance->next = pool->free;
	pool->free = index;
}

void sim_pool_ready(struct sim_pool *pool, int32_t index)
{
	starting_leave(pool, index);
	pool->instances[index].state = SIM_READY;
	pool->ready++;
	level_enter(pool, index);
}

int32_t sim_pool_take(struct sim_pool *pool)
{
	int32_t index = least_loaded(pool);

	if (index < 0 || pool->lowest >= pool->concurrency)
		return -1;
	level_leave(pool, index);
	pool->instances[index].in_flight++;
	level_enter(pool, index);
	pool->in_flight++;
	return index;
}

void sim_pool_give_back(struct sim_pool *pool, int32_t index)
{
	struct sim_instance *instance = &pool->instances[index];

	pool->in_flight--;
	if (instance->state == SIM_READY) {
		level_leave(pool, index);
		instance->in_flight--;
		level_enter(pool, index);
		return;
	}
	if (--instance->in_flight > 0)
		return;
	pool->draining--;
	gone(pool, index);
}

bool sim_pool_remove_one(struct sim_pool *pool, int64_t remaining)
{
	int32_t index = least_loaded(pool);
	int32_t youngest = pool->starting_last;
	bool starts = youngest >= 0;
	int64_t rank = index < 0 ? INT64_MAX
				 : scaling_victim_rank(false, pool->lowest,
						       pool->ready > remaining);

	if (starts && scaling_victim_rank(true, 0, false) < rank) {
		starting_leave(pool, youngest);
		gone(pool, youngest);
		return true;
	}
	if (index < 0)
		return false;
	level_leave(pool, index);
	pool->ready--;
	if (pool->instances[index].in_flight == 0) {
		gone(pool, index);
	} else {
		pool->instances[index].state = SIM_DRAINING;
		pool->draining++;
	}
	return true;
}
