/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "core/memory.h"
#include "scaling/simulate_priv.h"

#define ROOM_FIRST 64

static bool levels_init(struct sim_levels *levels, int32_t concurrency)
{
	size_t lists = (size_t)concurrency + 1;

	*levels = (struct sim_levels){
		.heads = mem_array(lists, sizeof(*levels->heads)),
	};
	if (levels->heads == NULL)
		return false;
	for (size_t i = 0; i < lists; i++)
		levels->heads[i] = -1;
	return true;
}

bool sim_pool_init(struct sim_pool *pool, int32_t concurrency)
{
	*pool = (struct sim_pool){
		.concurrency = concurrency,
		.free = -1,
		.starting_first = -1,
		.starting_last = -1,
	};
	return levels_init(&pool->serving, concurrency) &&
	       levels_init(&pool->leaving, concurrency);
}

void sim_pool_fini(struct sim_pool *pool)
{
	mem_free(pool->serving.heads);
	mem_free(pool->leaving.heads);
	mem_free(pool->instances);
	*pool = (struct sim_pool){ 0 };
}

static void level_enter(struct sim_pool *pool, struct sim_levels *levels,
			int32_t index)
{
	struct sim_instance *instance = &pool->instances[index];
	int32_t level = instance->in_flight;
	int32_t *head = &levels->heads[level];

	instance->previous = -1;
	instance->next = *head;
	if (*head >= 0)
		pool->instances[*head].previous = index;
	*head = index;
	if (level < levels->lowest)
		levels->lowest = level;
	if (level > levels->fullest && level < pool->concurrency)
		levels->fullest = level;
}

static void level_leave(struct sim_pool *pool, struct sim_levels *levels,
			int32_t index)
{
	const struct sim_instance *instance = &pool->instances[index];

	if (instance->previous >= 0)
		pool->instances[instance->previous].next = instance->next;
	else
		levels->heads[instance->in_flight] = instance->next;
	if (instance->next >= 0)
		pool->instances[instance->next].previous = instance->previous;
}

/* Head of the first list with somebody in it; -1: nobody is there. */
static int32_t least_loaded(const struct sim_pool *pool,
			    struct sim_levels *levels)
{
	while (levels->lowest < pool->concurrency &&
	       levels->heads[levels->lowest] < 0)
		levels->lowest++;
	return levels->heads[levels->lowest];
}

/* Head of the last list with somebody in it who has a free slot; -1: none
 * is free. */
static int32_t fullest(struct sim_levels *levels)
{
	while (levels->fullest > 0 && levels->heads[levels->fullest] < 0)
		levels->fullest--;
	return levels->heads[levels->fullest];
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

static void serve(struct sim_pool *pool, int32_t index)
{
	pool->instances[index].state = SIM_READY;
	pool->ready++;
	level_enter(pool, &pool->serving, index);
}

void sim_pool_ready(struct sim_pool *pool, int32_t index)
{
	starting_leave(pool, index);
	serve(pool, index);
}

int32_t sim_pool_take(struct sim_pool *pool)
{
	int32_t index = fullest(&pool->serving);

	if (index < 0)
		return -1;
	level_leave(pool, &pool->serving, index);
	pool->instances[index].in_flight++;
	level_enter(pool, &pool->serving, index);
	pool->in_flight++;
	return index;
}

void sim_pool_give_back(struct sim_pool *pool, int32_t index)
{
	struct sim_instance *instance = &pool->instances[index];
	bool leaving = instance->state == SIM_DRAINING;
	struct sim_levels *levels = leaving ? &pool->leaving : &pool->serving;

	pool->in_flight--;
	level_leave(pool, levels, index);
	instance->in_flight--;
	if (!leaving || instance->in_flight > 0) {
		level_enter(pool, levels, index);
		return;
	}
	pool->draining--;
	gone(pool, index);
}

bool sim_pool_remove_one(struct sim_pool *pool, int64_t remaining)
{
	int32_t index = least_loaded(pool, &pool->serving);
	int32_t youngest = pool->starting_last;
	bool starts = youngest >= 0;
	int64_t rank =
		index < 0 ? INT64_MAX
			  : scaling_victim_rank(false, pool->serving.lowest,
						pool->ready > remaining);

	if (starts && scaling_victim_rank(true, 0, false) < rank) {
		starting_leave(pool, youngest);
		gone(pool, youngest);
		return true;
	}
	if (index < 0)
		return false;
	level_leave(pool, &pool->serving, index);
	pool->ready--;
	if (pool->instances[index].in_flight == 0) {
		gone(pool, index);
	} else {
		pool->instances[index].state = SIM_DRAINING;
		pool->draining++;
		level_enter(pool, &pool->leaving, index);
	}
	return true;
}

bool sim_pool_take_back(struct sim_pool *pool)
{
	int32_t index = least_loaded(pool, &pool->leaving);

	if (index < 0)
		return false;
	level_leave(pool, &pool->leaving, index);
	pool->draining--;
	serve(pool, index);
	return true;
}
