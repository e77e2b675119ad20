/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pool.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "agent/attempt.h"
#include "agent/directory.h"
#include "core/id.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/qsbr.h"
#include "scaling/control.h"

/* A start that failed is tried again after this long, doubled each time
 * with jitter (WORKER.md's supervision). */
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS	 30000

/* --- slots ---------------------------------------------------------------- */

bool pool_try_take(struct pool *pool)
{
	int64_t taken = atomic_load(&pool->in_flight);

	assert(pool->style != POOL_OWNED);
	if (atomic_load(&pool->waiting) > 0)
		return false;
	do {
		if (taken >= atomic_load(&pool->capacity))
			return false;
	} while (!atomic_compare_exchange_weak(&pool->in_flight, &taken,
					       taken + 1));
	return true;
}

/* Slots for those who wait: also when it retires, as many as one instance
 * has. */
static int64_t waiting_capacity(const struct pool *pool)
{
	int64_t capacity = atomic_load(&pool->capacity);

	return capacity == 0 && atomic_load(&pool->retiring) ? pool->concurrency
							     : capacity;
}

static bool take_for_waiting(struct pool *pool)
{
	int64_t taken = atomic_load(&pool->in_flight);

	do {
		if (taken >= waiting_capacity(pool))
			return false;
	} while (!atomic_compare_exchange_weak(&pool->in_flight, &taken,
					       taken + 1));
	return true;
}

static void on_kick(struct loop *loop, struct message *message)
{
	struct pool *pool = CONTAINER_OF(message, struct pool, kick);

	(void)loop;
	atomic_store(&pool->kick_posted, false);
	pool_pump(pool);
	revision_unref(pool->revision);
}

void pool_give_back(struct pool *pool)
{
	atomic_fetch_sub(&pool->in_flight, 1);
	if (atomic_load(&pool->waiting) == 0)
		return;
	if (loop_current() == pool->home) {
		pool_pump(pool);
		return;
	}
	if (atomic_exchange(&pool->kick_posted, true))
		return;
	revision_ref(pool->revision);
	pool->kick.deliver = on_kick;
	loop_post(pool->home, &pool->kick);
}

/* --- the waiting room ----------------------------------------------------- */

static void (*urgent_callback)(struct revision *revision);

void pool_on_urgent(void (*urgent)(struct revision *revision))
{
	urgent_callback = urgent;
}

static void on_urgent(struct loop *loop, struct message *message)
{
	struct pool *pool = CONTAINER_OF(message, struct pool, urgent);

	(void)loop;
	atomic_store(&pool->urgent_posted, false);
	urgent_callback(pool->revision);
	revision_unref(pool->revision);
}

/* A call waits and nothing is free: the strategy is asked at once. */
static void tell_urgent(struct pool *pool)
{
	if (!atomic_load(&pool->scaled) ||
	    atomic_exchange(&pool->urgent_posted, true))
		return;
	revision_ref(pool->revision);
	pool->urgent.deliver = on_urgent;
	loop_post(loop_control(), &pool->urgent);
}

static void publish_longest_wait(struct pool *pool)
{
	const struct attempt *first = pool->first_waiting;

	atomic_store(&pool->waiting_since_ns,
		     first != NULL ? first->call->began_ns : 0);
}

static void waiting_remove(struct pool *pool, struct attempt *attempt)
{
	if (attempt->previous != NULL)
		attempt->previous->next = attempt->next;
	else
		pool->first_waiting = attempt->next;
	if (attempt->next != NULL)
		attempt->next->previous = attempt->previous;
	else
		pool->last_waiting = attempt->previous;
	attempt->previous = attempt->next = NULL;
	atomic_fetch_sub(&pool->waiting, 1);
	publish_longest_wait(pool);
}

/* One slot for one that waits; for owned pools *instance_r is whose. */
static bool take_slot(struct pool *pool, struct instance **instance_r)
{
	*instance_r = NULL;
	if (pool->style != POOL_OWNED)
		return take_for_waiting(pool);
	*instance_r = instance_choose(pool);
	return *instance_r != NULL;
}

void pool_pump(struct pool *pool)
{
	struct instance *instance;

	/* A grant may end the call at once, which comes back here. */
	if (pool->pumping)
		return;
	pool->pumping = true;
	while (pool->first_waiting != NULL && take_slot(pool, &instance)) {
		struct attempt *attempt = pool->first_waiting;

		waiting_remove(pool, attempt);
		attempt_granted(attempt, instance);
		attempt_unref(attempt);
	}
	pool->pumping = false;
}

void pool_enter(struct pool *pool, struct attempt *attempt)
{
	const struct config_agent *agent = pool->revision->agent;
	struct instance *instance;

	assert(loop_current() == pool->home);
	if (pool->first_waiting == NULL && take_slot(pool, &instance)) {
		attempt_granted(attempt, instance);
		return;
	}
	if (attempt->spare) {
		attempt_busy(attempt);
		return;
	}
	if (atomic_load(&attempt->cancel) != 0) {
		attempt_left(attempt);
		return;
	}
	if (agent->instances.max == 0) {
		attempt_refused(attempt, ATOM_EUNAVAILABLE, "no_instances",
				"the agent has no instances: its "
				"`instances.max` is 0");
		return;
	}
	if (atomic_load(&pool->waiting) >= agent->queue.depth) {
		attempt_refused(attempt, ATOM_EBUSY, "queue_full",
				"the agent's waiting room is full; try again "
				"after Retry-After");
		return;
	}
	attempt_ref(attempt);
	attempt->state = ATTEMPT_WAITING;
	attempt->previous = pool->last_waiting;
	attempt->next = NULL;
	if (pool->last_waiting != NULL)
		pool->last_waiting->next = attempt;
	else
		pool->first_waiting = attempt;
	pool->last_waiting = attempt;
	atomic_fetch_add(&pool->waiting, 1);
	publish_longest_wait(pool);
	/* A slot may have come free before we were counted. */
	pool_pump(pool);
	if (pool->first_waiting != NULL)
		tell_urgent(pool);
	if (pool->first_waiting != NULL && atomic_load(&pool->spare) > 0)
		calls_give_way();
	if (pool->style == POOL_OWNED)
		pool_reconcile(pool);
}

/* Of a pool that retires one instance stays for those who wait. */
void pool_look_empty(struct pool *pool)
{
	if (pool->first_waiting == NULL && atomic_load(&pool->retiring) &&
	    atomic_load(&pool->desired) == 0)
		pool_reconcile(pool);
}

bool pool_leave(struct pool *pool, struct attempt *attempt)
{
	if (attempt->state != ATTEMPT_WAITING)
		return false;
	waiting_remove(pool, attempt);
	pool_look_empty(pool);
	attempt->state = ATTEMPT_NEW;
	/* The waiting room's reference; the caller holds its own. */
	attempt_unref(attempt);
	return true;
}

/* --- how many instances ---------------------------------------------------- */

static void on_backoff(struct timer *timer)
{
	struct pool *pool = CONTAINER_OF(timer, struct pool, backoff);

	pool_reconcile(pool);
}

static void wait_and_retry(struct pool *pool)
{
	int64_t jitter;

	pool->backoff_ms =
		pool->backoff_ms == 0 ? BACKOFF_FIRST_MS : pool->backoff_ms * 2;
	if (pool->backoff_ms > BACKOFF_MAX_MS)
		pool->backoff_ms = BACKOFF_MAX_MS;
	jitter = (int64_t)(id_random() % (uint64_t)(pool->backoff_ms / 2 + 1));
	pool->backoff.fire = on_backoff;
	if (timer_set(pool->home, &pool->backoff,
		      pool->backoff_ms / 2 + jitter) != ATOM_OK)
		log_printf(ATOM_LOG_ERROR, "out_of_memory",
			   "agent %s: no memory for the restart timer",
			   pool->revision->agent->name);
}

static void tell_limit(struct pool *pool, const char *limit)
{
	if (pool->limit_told)
		return;
	pool->limit_told = true;
	log_line(ATOM_LOG_WARN, "limit_reached",
		 "an instance was not started: the limit over all agents is "
		 "reached",
		 LOG_TEXT("agent", pool->revision->agent->name),
		 LOG_TEXT("limit", limit));
}

static int64_t wanted_instances(const struct pool *pool)
{
	int64_t desired = atomic_load(&pool->desired);

	if (pool->closing)
		return 0;
	/* Somebody waits: one at least, whatever was asked. */
	if (desired == 0 && pool->first_waiting != NULL)
		return 1;
	return desired;
}

/* Which one goes; `spare`: more are ready than shall remain.  Of starting ones
 * the youngest, which has the longest way to go. */
static struct instance *choose_victim(struct pool *pool, bool spare)
{
	struct instance *victim = NULL;
	int64_t lowest = INT64_MAX;

	for (struct instance *i = pool->instances; i != NULL; i = i->next) {
		bool starting = i->state == INSTANCE_STARTING;
		int64_t rank =
			scaling_victim_rank(starting, i->in_flight, spare);

		if ((starting || i->state == INSTANCE_READY) && rank < lowest) {
			victim = i;
			lowest = rank;
		}
	}
	return victim;
}

static struct instance *outdated(struct pool *pool)
{
	for (struct instance *i = pool->instances; i != NULL; i = i->next)
		if (i->state == INSTANCE_READY &&
		    i->generation < pool->restart_generation)
			return i;
	return NULL;
}

/* A restart replaces one instance at a time: a new one is ready before an old
 * one drains, unless `max_agents` leaves no room for both. */
static int64_t restart_surge(struct pool *pool, int64_t have)
{
	int64_t wanted = atomic_load(&pool->restart_wanted);

	if (wanted > pool->restart_generation)
		pool->restart_generation = wanted;
	return have > 0 && outdated(pool) != NULL ? 1 : 0;
}

static void count_live(const struct pool *pool, int64_t *live_r,
		       int64_t *ready_r)
{
	*live_r = *ready_r = 0;
	for (struct instance *i = pool->instances; i != NULL; i = i->next) {
		*live_r += i->state == INSTANCE_STARTING ||
			   i->state == INSTANCE_READY;
		*ready_r += i->state == INSTANCE_READY;
	}
}

static bool start_one(struct pool *pool)
{
	int64_t memory;
	const char *limit = pool_reserve(pool, &memory);

	if (limit != NULL) {
		tell_limit(pool, limit);
		wait_and_retry(pool);
		return false;
	}
	pool->limit_told = false;
	return instance_start(pool, memory);
}

void pool_reconcile(struct pool *pool)
{
	int64_t want, live, ready, surge;
	bool taken_back = false;

	assert(loop_current() == pool->home);
	if (pool->style != POOL_OWNED)
		return;
	want = wanted_instances(pool);
	count_live(pool, &live, &ready);
	surge = restart_surge(pool, live);
	for (; live < want + surge && instance_take_back(pool); live++, ready++)
		taken_back = true;
	while (live < want + surge && !timer_pending(&pool->backoff)) {
		/* Where the last one failed and none is ready, one is tried
		 * at a time. */
		if (atomic_load(&pool->failing) && live > 0)
			break;
		if (!start_one(pool)) {
			if (surge > 0 && live >= want) {
				/* No room beside: go one down first. */
				instance_drain(outdated(pool));
			}
			break;
		}
		live++;
	}
	/* The new one is ready beside all that are wanted: an old one goes. */
	if (surge > 0 && live > want && ready > want) {
		instance_drain(outdated(pool));
		live--;
	}
	while (live > want + surge) {
		struct instance *victim =
			choose_victim(pool, ready > want + surge);

		if (victim == NULL)
			break;
		ready -= victim->state == INSTANCE_READY;
		instance_drain(victim);
		live--;
	}
	instance_publish(pool);
	if (pool->closing && pool->instances == NULL)
		revision_emptied(pool->revision);
	else if (taken_back)
		pool_pump(pool);
}

void pool_close(struct pool *pool)
{
	pool->closing = true;
	timer_stop(&pool->backoff);
	if (pool->style == POOL_OWNED)
		pool_reconcile(pool);
	else
		revision_emptied(pool->revision);
}

static void on_desired(struct loop *loop, struct message *message)
{
	struct pool *pool = CONTAINER_OF(message, struct pool, desired_changed);

	(void)loop;
	atomic_store(&pool->desired_posted, false);
	if (pool->style == POOL_OWNED)
		pool_reconcile(pool);
	pool_pump(pool);
	revision_unref(pool->revision);
}

void pool_reconcile_soon(struct pool *pool)
{
	if (atomic_exchange(&pool->desired_posted, true))
		return;
	revision_ref(pool->revision);
	pool->desired_changed.deliver = on_desired;
	loop_post(pool->home, &pool->desired_changed);
}

void pool_want_memory(struct pool *pool, int64_t more)
{
	if (pool->revision->memory_backend != NULL)
		atomic_fetch_add(&pool->memory_wanted, more);
}

static void want(struct pool *pool, int64_t desired)
{
	atomic_store(&pool->desired, desired);
	if (atomic_load(&pool->memory_wanted) > desired)
		atomic_store(&pool->memory_wanted, desired);
	if (pool->style != POOL_OWNED) {
		atomic_store(&pool->capacity, desired * pool->concurrency);
		atomic_store(&pool->ready, desired);
	}
	pool_reconcile_soon(pool);
}

void pool_set_desired(struct pool *pool, int64_t desired)
{
	atomic_store(&pool->retiring, false);
	want(pool, desired);
}

/* No loop can have routed a call here that it has not sent on its way. */
static void on_unrouted(void *object)
{
	struct pool *pool = object;

	if (--pool->graces == 0 && atomic_load(&pool->retiring))
		want(pool, 0);
	revision_unref(pool->revision);
}

void pool_retire(struct pool *pool)
{
	if (atomic_exchange(&pool->retiring, true)) {
		if (pool->graces == 0)
			want(pool, 0);
		return;
	}
	pool->graces++;
	revision_ref(pool->revision);
	qsbr_retire(on_unrouted, pool);
}

void pool_restart(struct pool *pool)
{
	atomic_fetch_add(&pool->restart_wanted, 1);
	pool_reconcile_soon(pool);
}

void pool_init(struct pool *pool, struct revision *revision,
	       enum pool_style style, struct loop *home, int32_t concurrency)
{
	memset(pool, 0, sizeof(*pool));
	pool->revision = revision;
	pool->style = style;
	pool->home = home;
	pool->concurrency = concurrency;
}

/* --- what instances tell --------------------------------------------------- */

/* Ten failures in five minutes make the pool unhealthy. */
void pool_note_failure(struct pool *pool)
{
	int64_t now = loop_now_ms(pool->home);
	unsigned int n = ARRAY_SIZE(pool->failures);
	int64_t oldest;

	revision_count_failure(pool->revision);
	if (atomic_load(&pool->ready) == 0)
		atomic_store(&pool->failing, true);
	pool->failures[pool->failure_at++ % n] = now > 0 ? now : 1;
	oldest = pool->failures[pool->failure_at % n];
	if (oldest != 0 && now - oldest < 5 * 60 * 1000 &&
	    !atomic_exchange(&pool->unhealthy, true))
		log_line(ATOM_LOG_ERROR, "pool_unhealthy",
			 "ten instances failed within five minutes; starts "
			 "go on with back-off",
			 LOG_TEXT("agent", pool->revision->agent->name),
			 LOG_TEXT("revision", pool->revision->label));
	wait_and_retry(pool);
}

void pool_note_success(struct pool *pool)
{
	if (pool->backoff_ms == 0)
		return;
	pool->backoff_ms = 0;
	if (timer_pending(&pool->backoff))
		(void)timer_set(pool->home, &pool->backoff, 0);
	if (atomic_exchange(&pool->unhealthy, false))
		memset(pool->failures, 0, sizeof(pool->failures));
}

void pool_forget(struct instance *instance)
{
	struct pool *pool = instance->pool;

	if (instance->previous != NULL)
		instance->previous->next = instance->next;
	else
		pool->instances = instance->next;
	if (instance->next != NULL)
		instance->next->previous = instance->previous;
	pool_note_cpu(instance, -1);
	pool_release_memory(instance);
}
