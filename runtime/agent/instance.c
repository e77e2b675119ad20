/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>

#include "agent/handle.h"
#include "agent/pool.h"
#include "agent/directory.h"
#include "audit/audit.h"
#include "core/id.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "plugin/host.h"

/* How long an instance may take to stop before it is told to by force, where
 * its backend says nothing else. */
#define STOP_MS 10000

void instance_publish(struct pool *pool)
{
	int64_t ready = 0, starting = 0, draining = 0, capacity = 0;

	/* The newest stands first: of too many starting ones the oldest are
	 * told. */
	for (struct instance *i = pool->instances; i != NULL; i = i->next) {
		if (i->state == INSTANCE_STARTING)
			atomic_store(
				&pool->started_at_ms[starting % STARTING_MAX],
				i->began_ms);
		ready += i->state == INSTANCE_READY;
		starting += i->state == INSTANCE_STARTING;
		draining += i->state == INSTANCE_DRAINING ||
			    i->state == INSTANCE_STOPPING;
		if (i->state == INSTANCE_READY)
			capacity += i->concurrency;
	}
	atomic_store(&pool->ready, ready);
	atomic_store(&pool->starting, starting);
	atomic_store(&pool->draining, draining);
	atomic_store(&pool->capacity, capacity);
	pool_expect_memory(pool);
}

static void instance_free(struct instance *instance)
{
	struct pool *pool = instance->pool;

	timer_stop(&instance->deadline);
	handle_free(instance->handle);
	pool_forget(instance);
	mem_free(instance);
	instance_publish(pool);
}

void *instance_self(const struct instance *instance)
{
	const struct revision *revision = instance->pool->revision;

	return instance->memory_optimized
		       ? configured_self(revision->memory_backend)
		       : revision->self;
}

/* Are there fewer memory optimized ones than are wanted? */
static bool lacks_memory_optimized(const struct pool *pool)
{
	int64_t there = 0;

	for (struct instance *i = pool->instances; i != NULL; i = i->next)
		there +=
			i->memory_optimized && (i->state == INSTANCE_STARTING ||
						i->state == INSTANCE_READY);
	return there < atomic_load(&pool->memory_wanted);
}

bool instance_start(struct pool *pool, int64_t memory)
{
	struct revision *revision = pool->revision;
	struct atom_error err = ATOM_ERROR_INIT;
	struct instance *instance = mem_zalloc(sizeof(*instance));
	struct atom_unit_spec spec;
	atom_status status;
	int64_t began;

	if (instance != NULL)
		instance->handle = handle_new(pool->home, instance);
	if (instance == NULL || instance->handle == 0) {
		mem_free(instance);
		pool_unreserve(memory);
		pool_note_failure(pool);
		return false;
	}
	instance->pool = pool;
	instance->memory_optimized = lacks_memory_optimized(pool);
	instance->state = INSTANCE_STARTING;
	instance->concurrency = pool->concurrency;
	instance->began_ms = loop_now_ms(pool->home);
	instance->cpu_ms = instance->cpu_permille = -1;
	instance->memory_counted = memory;
	instance->generation = pool->restart_generation;
	(void)snprintf(instance->name, sizeof(instance->name), "%s-%s.%llu",
		       revision->agent->name, revision->label,
		       (unsigned long long)++pool->instances_made);
	instance->next = pool->instances;
	if (pool->instances != NULL)
		pool->instances->previous = instance;
	pool->instances = instance;

	spec = (struct atom_unit_spec){
		.struct_size = sizeof(spec),
		.concurrency = pool->concurrency,
		.agent = revision->agent->name,
		.name = instance->name,
		.revision = revision->number,
	};
	instance->in_start = true;
	began = host_call_begin();
	status = revision->ops->instance_start(instance_self(instance),
					       instance->handle, &spec,
					       &instance->unit_self, &err);
	host_call_end(began, configured_component(revision->backend),
		      "instance_start");
	instance->in_start = false;
	if (status == ATOM_OK) {
		log_line(ATOM_LOG_DEBUG, "instance_starting",
			 "an instance starts",
			 LOG_TEXT("agent", revision->agent->name),
			 LOG_TEXT("instance", instance->name),
			 LOG_NUMBER("memory_optimized",
				    instance->memory_optimized));
		if (instance->lost)
			instance_stop(instance, true);
		return true;
	}
	component_note_error(configured_component(revision->backend),
			     err.message);
	log_line(ATOM_LOG_ERROR, "instance_failed", err.message,
		 LOG_TEXT("agent", revision->agent->name),
		 LOG_TEXT("instance", instance->name));
	instance_free(instance);
	pool_note_failed_start(pool, err.message);
	pool_note_failure(pool);
	return false;
}

static int64_t stop_ms(const struct instance *instance)
{
	const struct atom_backend_ops *ops = instance->pool->revision->ops;
	int32_t wanted = ATOM_HAS(ops, stop_ms) && ops->stop_ms != NULL
				 ? ops->stop_ms(instance_self(instance))
				 : 0;

	return wanted > 0 ? wanted : STOP_MS;
}

void instance_stop(struct instance *instance, bool force)
{
	struct revision *revision = instance->pool->revision;
	int64_t began;

	if (instance->state == INSTANCE_STOPPING && !force)
		return;
	instance->state = INSTANCE_STOPPING;
	if (instance->in_start)
		return;
	if (!force)
		(void)timer_set(instance->pool->home, &instance->deadline,
				stop_ms(instance));
	began = host_call_begin();
	revision->ops->instance_stop(instance_self(instance),
				     instance->unit_self, force);
	host_call_end(began, configured_component(revision->backend),
		      "instance_stop");
}

static void on_stop_deadline(struct timer *timer)
{
	struct instance *instance =
		CONTAINER_OF(timer, struct instance, deadline);

	log_line(ATOM_LOG_WARN, "instance_stop_forced",
		 "an instance did not stop in time and is ended by force",
		 LOG_TEXT("instance", instance->name));
	instance_stop(instance, true);
}

void instance_drain(struct instance *instance)
{
	if (instance == NULL || instance->state == INSTANCE_DRAINING ||
	    instance->state == INSTANCE_STOPPING)
		return;
	instance->deadline.fire = on_stop_deadline;
	instance->state = INSTANCE_DRAINING;
	if (instance->in_flight == 0)
		instance_stop(instance, false);
}

/* Is `a` less loaded than `b`, each by share of its own slots? */
static bool less_loaded(const struct instance *a, const struct instance *b)
{
	return (int64_t)a->in_flight * b->concurrency <
	       (int64_t)b->in_flight * a->concurrency;
}

bool instance_take_back(struct pool *pool)
{
	struct instance *best = NULL;

	for (struct instance *i = pool->instances; i != NULL; i = i->next)
		if (i->state == INSTANCE_DRAINING && !i->retired && !i->lost &&
		    i->generation == pool->restart_generation &&
		    (best == NULL || less_loaded(i, best)))
			best = i;
	if (best == NULL)
		return false;
	best->state = INSTANCE_READY;
	atomic_store(&pool->failing, false);
	log_line(ATOM_LOG_INFO, "instance_taken_back",
		 "an instance that was draining serves again",
		 LOG_TEXT("agent", pool->revision->agent->name),
		 LOG_TEXT("instance", best->name));
	return true;
}

struct instance *instance_choose(struct pool *pool)
{
	bool pack = atomic_load(&pool->scaled);
	struct instance *best = NULL;

	/* The newest stands first. */
	for (struct instance *i = pool->instances; i != NULL; i = i->next) {
		if (i->state != INSTANCE_READY ||
		    i->in_flight >= i->concurrency)
			continue;
		if (best == NULL ||
		    (pack ? !less_loaded(i, best) : less_loaded(i, best)))
			best = i;
		if (!pack && best->in_flight == 0)
			break;
	}
	return best;
}

void instance_release(struct instance *instance)
{
	struct pool *pool = instance->pool;

	assert(instance->in_flight > 0);
	instance->in_flight--;
	atomic_fetch_sub(&pool->in_flight, 1);
	if (instance->in_flight == 0 && instance->state == INSTANCE_DRAINING)
		instance_stop(instance, false);
	pool_pump(pool);
	pool_look_empty(pool);
}

/* For control, which looks each second. */
static void note_cold_start(struct pool *pool, int64_t ms)
{
	uint32_t head = atomic_load(&pool->cold_start_head);

	atomic_store(&pool->cold_start_ms[head % COLD_STARTS], (int32_t)ms);
	atomic_store(&pool->cold_start_head, head + 1);
}

void instance_ready(struct instance *instance, int32_t concurrency)
{
	struct pool *pool = instance->pool;

	if (instance->state != INSTANCE_STARTING)
		return;
	instance->state = INSTANCE_READY;
	atomic_store(&pool->failing, false);
	if (concurrency > 0 && concurrency < instance->concurrency)
		instance->concurrency = concurrency;
	log_line(ATOM_LOG_INFO, "instance_ready", "an instance is ready",
		 LOG_TEXT("agent", pool->revision->agent->name),
		 LOG_TEXT("instance", instance->name),
		 LOG_NUMBER("start_ms",
			    loop_now_ms(pool->home) - instance->began_ms));
	note_cold_start(pool, loop_now_ms(pool->home) - instance->began_ms);
	instance_publish(pool);
	/* Not from inside instance_start: unit_self is not set yet. */
	if (!instance->in_start) {
		pool_pump(pool);
		pool_reconcile(pool);
	} else {
		pool_reconcile_soon(pool);
	}
}

/* Without the backend's words, which may quote what was said to it. */
static void record_loss(const struct instance *instance,
			const struct atom_error *err)
{
	const struct revision *revision = instance->pool->revision;
	struct audit_record record = AUDIT_RECORD(AUDIT_INSTANCE_LOST);

	audit_text(&record, "agent", revision->agent->name);
	audit_text(&record, "code",
		   err != NULL && err->code[0] != '\0' ? err->code : NULL);
	audit_text(&record, "instance", instance->name);
	audit_text(&record, "revision", revision_label(revision));
	(void)audit_post(&record, AUDIT_SOON, NULL);
}

void instance_failed(struct instance *instance, const struct atom_error *err)
{
	struct pool *pool = instance->pool;
	bool was_stopping = instance->state == INSTANCE_STOPPING;

	if (instance->lost)
		return;
	instance->lost = true;
	log_line(was_stopping ? ATOM_LOG_DEBUG : ATOM_LOG_ERROR,
		 "instance_failed", err != NULL ? err->message : "lost",
		 LOG_TEXT("agent", pool->revision->agent->name),
		 LOG_TEXT("instance", instance->name));
	if (was_stopping)
		return;
	if (instance->state == INSTANCE_STARTING)
		pool_note_failed_start(pool,
				       err != NULL ? err->message : "lost");
	record_loss(instance, err);
	component_note_error(configured_component(pool->revision->backend),
			     err != NULL ? err->message : "instance lost");
	instance_publish(pool);
	pool_note_failure(pool);
	instance_stop(instance, true);
}

void instance_stopped(struct instance *instance)
{
	struct pool *pool = instance->pool;

	log_line(ATOM_LOG_DEBUG, "instance_stopped", "an instance has ended",
		 LOG_TEXT("agent", pool->revision->agent->name),
		 LOG_TEXT("instance", instance->name));
	assert(instance->state == INSTANCE_STOPPING);
	instance_free(instance);
	pool_reconcile(pool);
}
