/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/attempt.h"

#include <assert.h>
#include <string.h>

#include "agent/directory.h"
#include "agent/handle.h"
#include "agent/pool.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "plugin/host.h"

/* Unsent bytes from which a backend on another thread is told to wait, and
 * how much more it may still hand over (backend.h). */
#define UNSENT_HIGH ((size_t)256 * 1024)
#define OVER_MAX    ((size_t)1024 * 1024)
/* Dead workers that one call may meet before it is told. */
#define LOST_MAX 5

/* Bytes on their way to the front. */
struct chunk {
	struct message message;
	struct attempt *attempt;
	int32_t kind; /* 0: the answer's begin */
	int32_t status;
	size_t length;
	char bytes[];
};

struct attempt *attempt_new(struct call *call)
{
	struct attempt *attempt = mem_zalloc(sizeof(*attempt));

	if (attempt == NULL)
		return NULL;
	atomic_init(&attempt->refs, 1);
	attempt->call = call;
	attempt->request = &call->request;
	attempt->spare = call->spare;
	attempt->front = call->loop;
	attempt->pool = &call->revision->pool;
	attempt->home = attempt->pool->style == POOL_OWNED ? attempt->pool->home
							   : call->loop;
	buffer_init(&attempt->state_bytes, (size_t)256 * 1024);
	return attempt;
}

void attempt_ref(struct attempt *attempt)
{
	atomic_fetch_add_explicit(&attempt->refs, 1, memory_order_relaxed);
}

void attempt_unref(struct attempt *attempt)
{
	if (atomic_fetch_sub_explicit(&attempt->refs, 1, memory_order_acq_rel) >
	    1)
		return;
	buffer_fini(&attempt->state_bytes);
	mem_free(attempt->error);
	mem_free(attempt);
}

/* Leaving the waiting room does not concern an attempt that runs. */
static bool is_cancelled(const struct attempt *attempt)
{
	int32_t why = atomic_load(&attempt->cancel);

	return why != 0 && why != ATTEMPT_LEAVE_QUEUE;
}

static void set_error(struct attempt *attempt, atom_status status,
		      const struct atom_error *err)
{
	attempt->status = status;
	if (status == ATOM_OK || err == NULL)
		return;
	attempt->error = mem_zalloc(sizeof(*attempt->error));
	if (attempt->error == NULL)
		return;
	memcpy(attempt->error, err,
	       err->struct_size < sizeof(*err) ? err->struct_size
					       : sizeof(*err));
	attempt->error->struct_size = sizeof(*attempt->error);
	attempt->error->status = status;
	attempt->error->code[ATOM_ERROR_CODE_MAX - 1] = '\0';
	attempt->error->message[ATOM_ERROR_MESSAGE_MAX - 1] = '\0';
}

/* --- spare ones, which take nothing from others ------------------------------ */

static bool is_spare(const struct attempt *attempt)
{
	return attempt->spare;
}

/* Who began to wait before it counted has not asked it to give way: both count
 * themselves first and look then. */
static void take_spare_slot(struct pool *pool)
{
	atomic_fetch_add(&pool->spare, 1);
	if (atomic_load(&pool->waiting) > 0)
		calls_give_way();
}

static void leave_slot(struct attempt *attempt)
{
	if (is_spare(attempt) && atomic_load(&attempt->granted_ns) != 0)
		atomic_fetch_sub(&attempt->pool->spare, 1);
}

/* --- the way in ----------------------------------------------------------- */

void attempt_busy(struct attempt *attempt)
{
	attempt_refused(attempt, ATOM_EBUSY, "queue_full",
			"no slot is free for a call that waits for none");
}

void attempt_left(struct attempt *attempt)
{
	if (is_cancelled(attempt))
		attempt_refused(attempt, ATOM_ECANCELED, "cancelled",
				"cancelled while it waited");
	else if (atomic_load(&attempt->pool->ready) == 0)
		attempt_refused(attempt, ATOM_EUNAVAILABLE, "no_instances",
				"no instance of the agent became ready in "
				"time");
	else
		attempt_refused(attempt, ATOM_EBUSY, "queue_full",
				"the agent is busy: no instance became free "
				"in time");
}

static void on_enter(struct loop *loop, struct message *message)
{
	struct attempt *attempt = CONTAINER_OF(message, struct attempt, enter);

	(void)loop;
	pool_enter(attempt->pool, attempt);
	attempt_unref(attempt);
}

void attempt_begin(struct attempt *attempt)
{
	struct pool *pool = attempt->pool;

	if (!is_spare(attempt))
		measure_arrived(pool);
	if (pool->style != POOL_OWNED && pool_try_take(pool)) {
		attempt_granted(attempt, NULL);
		return;
	}
	if (pool->style != POOL_OWNED && is_spare(attempt)) {
		attempt_busy(attempt);
		return;
	}
	attempt->entered = true;
	if (attempt->front == pool->home) {
		attempt_ref(attempt);
		pool_enter(pool, attempt);
		attempt_unref(attempt);
		return;
	}
	attempt_ref(attempt);
	attempt->enter.deliver = on_enter;
	loop_post(pool->home, &attempt->enter);
}

/* What is left of the call's time now that it has its slot.  The front does
 * not look at this member any more. */
static void set_deadline(struct attempt *attempt)
{
	int64_t waited_ms =
		(atomic_load(&attempt->granted_ns) - attempt->call->began_ns) /
		1000000;
	int64_t left = attempt->request->deadline_ms - waited_ms;

	attempt->request->deadline_ms = left > 1 ? left : 1;
}

static void run(struct attempt *attempt)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct pool *pool = attempt->pool;
	atom_status status;

	attempt->state = ATTEMPT_RUNNING;
	if (atomic_load(&attempt->granted_ns) == 0) {
		int64_t granted_ns = os.monotonic_ns();

		atomic_store(&attempt->granted_ns, granted_ns);
		if (is_spare(attempt))
			take_spare_slot(pool);
		else
			measure_granted(pool,
					granted_ns - attempt->call->began_ns);
		set_deadline(attempt);
	}
	attempt->handle = handle_new(attempt->home, attempt);
	if (attempt->handle == 0) {
		atom_fail(&err, ATOM_ENOMEM, "no memory for another call");
		attempt_finish(attempt, ATOM_ENOMEM, &err);
		return;
	}
	if (is_cancelled(attempt)) {
		atom_fail(&err, ATOM_ECANCELED, "cancelled before it began");
		attempt_finish(attempt, ATOM_ECANCELED, &err);
		return;
	}
	if (pool->style != POOL_BLOCKING) {
		attempt_invoke(attempt);
		return;
	}
	status = blocking_submit(pool->blocking, attempt);
	if (status != ATOM_OK) {
		atom_fail(&err, status, "no thread for a blocking backend");
		attempt_finish(attempt, status, &err);
	}
}

static void on_grant(struct loop *loop, struct message *message)
{
	struct attempt *attempt = CONTAINER_OF(message, struct attempt, grant);

	(void)loop;
	run(attempt);
	attempt_unref(attempt);
}

void attempt_granted(struct attempt *attempt, struct instance *instance)
{
	attempt->instance = instance;
	if (instance != NULL) {
		instance->in_flight++;
		atomic_fetch_add_explicit(&attempt->pool->in_flight, 1,
					  memory_order_relaxed);
	}
	if (loop_current() == attempt->home) {
		run(attempt);
		return;
	}
	attempt->state = ATTEMPT_GRANTED;
	attempt_ref(attempt);
	attempt->grant.deliver = on_grant;
	loop_post(attempt->home, &attempt->grant);
}

/* The worker had died before anything of the call reached it: the call takes
 * another one, a few times at most. */
static bool take_another(struct attempt *attempt, atom_status status,
			 const struct atom_error *err)
{
	struct instance *instance = attempt->instance;

	if (status != ATOM_EUNAVAILABLE || instance == NULL ||
	    strcmp(err->code, "worker_lost") != 0 || is_cancelled(attempt) ||
	    attempt->lost == LOST_MAX || atomic_load(&attempt->finished))
		return false;
	attempt->lost++;
	handle_free(attempt->handle);
	attempt->handle = 0;
	attempt->instance = NULL;
	attempt->state = ATTEMPT_NEW;
	instance_release(instance);
	pool_enter(attempt->pool, attempt);
	return true;
}

static void *self_of(const struct attempt *attempt)
{
	return attempt->instance != NULL ? instance_self(attempt->instance)
					 : attempt->pool->revision->self;
}

void attempt_invoke(struct attempt *attempt)
{
	struct revision *revision = attempt->pool->revision;
	const struct component *component =
		configured_component(revision->backend);
	void *unit =
		attempt->instance != NULL ? attempt->instance->unit_self : NULL;
	struct atom_error err = ATOM_ERROR_INIT;
	atom_call handle = attempt->handle;
	bool timed = attempt->pool->style != POOL_BLOCKING;
	int64_t began = timed ? host_call_begin() : 0;
	atom_status status;

	component_count_call(component);
	attempt_ref(attempt);
	status = revision->ops->invoke(self_of(attempt), unit, handle, &err);
	if (timed)
		host_call_end(began, component, "invoke");
	if (status != ATOM_OK && !take_another(attempt, status, &err)) {
		component_note_error(component, err.message);
		attempt_finish(attempt, status, &err);
	}
	attempt_unref(attempt);
}

/* --- the way out ---------------------------------------------------------- */

static void on_finish(struct loop *loop, struct message *message)
{
	struct attempt *attempt =
		CONTAINER_OF(message, struct attempt, finishing);

	(void)loop;
	if (attempt->pool->style == POOL_BLOCKING && attempt->handle != 0) {
		handle_free(attempt->handle);
		pool_give_back(attempt->pool);
	}
	call_deliver_finish(attempt->call, attempt);
	attempt_unref(attempt);
}

static void deliver_finish(struct attempt *attempt)
{
	bool direct = loop_current() == attempt->front;

	if (direct) {
		call_deliver_finish(attempt->call, attempt);
		return;
	}
	attempt_ref(attempt);
	attempt->finishing.deliver = on_finish;
	loop_post(attempt->front, &attempt->finishing);
}

void attempt_finish(struct attempt *attempt, atom_status status,
		    const struct atom_error *err)
{
	struct pool *pool = attempt->pool;
	struct instance *instance = attempt->instance;

	if (atomic_exchange(&attempt->finished, true))
		return;
	set_error(attempt, status, err);
	attempt->state = ATTEMPT_ENDED;
	leave_slot(attempt);
	if (!is_spare(attempt))
		measure_finished(pool,
				 os.monotonic_ns() -
					 atomic_load(&attempt->granted_ns),
				 status != ATOM_OK && status != ATOM_ECANCELED);
	if (pool->style == POOL_BLOCKING && attempt->handle != 0 &&
	    loop_current() != attempt->front) {
		/* The front frees the slot: handles are its own. */
		attempt_ref(attempt);
		attempt->finishing.deliver = on_finish;
		loop_post(attempt->front, &attempt->finishing);
		return;
	}
	if (attempt->handle != 0)
		handle_free(attempt->handle);
	attempt_ref(attempt);
	if (instance != NULL) {
		attempt->instance = NULL;
		deliver_finish(attempt);
		instance_release(instance);
	} else {
		/* The revision lives at least until the slot is back. */
		revision_ref(pool->revision);
		deliver_finish(attempt);
		pool_give_back(pool);
		revision_unref(pool->revision);
	}
	attempt_unref(attempt);
}

void attempt_refused(struct attempt *attempt, atom_status status,
		     const char *code, const char *message)
{
	struct atom_error err = ATOM_ERROR_INIT;

	atom_fail(&err, status, "%s", message);
	(void)snprintf(err.code, sizeof(err.code), "%s", code);
	err.retry_after_ms = status == ATOM_EBUSY ? 1000 : 0;
	if (atomic_exchange(&attempt->finished, true))
		return;
	leave_slot(attempt);
	if (status != ATOM_ECANCELED && !is_spare(attempt))
		measure_refused(attempt->pool);
	set_error(attempt, status, &err);
	attempt->state = ATTEMPT_ENDED;
	deliver_finish(attempt);
}

static void on_chunk(struct loop *loop, struct message *message)
{
	struct chunk *chunk = CONTAINER_OF(message, struct chunk, message);
	struct attempt *attempt = chunk->attempt;
	bool blocked;

	(void)loop;
	if (chunk->kind == 0)
		call_deliver_begin(attempt->call, chunk->status, chunk->bytes);
	else if (call_deliver_emit(attempt->call, chunk->kind, chunk->bytes,
				   chunk->length) == ATOM_EBUSY)
		atomic_store(&attempt->blocked, true);
	atomic_fetch_sub(&attempt->unsent, chunk->length);
	blocked = atomic_load(&attempt->blocked);
	if (!blocked && atomic_load(&attempt->unsent) <= UNSENT_HIGH / 2)
		attempt_resume(attempt);
	mem_free(chunk);
	attempt_unref(attempt);
}

static atom_status post_chunk(struct attempt *attempt, int32_t kind,
			      int32_t status, const char *bytes, size_t length)
{
	struct chunk *chunk = mem_alloc(sizeof(*chunk) + length + 1);

	if (chunk == NULL)
		return ATOM_ENOMEM;
	chunk->attempt = attempt;
	chunk->kind = kind;
	chunk->status = status;
	chunk->length = length;
	chunk->message.deliver = on_chunk;
	memcpy(chunk->bytes, bytes, length);
	chunk->bytes[length] = '\0';
	atomic_fetch_add(&attempt->unsent, length);
	attempt_ref(attempt);
	loop_post(attempt->front, &chunk->message);
	return ATOM_OK;
}

static void note_flow(struct attempt *attempt)
{
	attempt->told_slow = false;
	attempt->over = 0;
}

/* A backend that goes on though the client is slow; the first time it could
 * not know. */
static atom_status overflow(struct attempt *attempt, size_t length)
{
	if (!attempt->told_slow) {
		attempt->told_slow = true;
		return ATOM_EBUSY;
	}
	attempt->over += length;
	if (attempt->over <= OVER_MAX)
		return ATOM_EBUSY;
	log_printf(ATOM_LOG_WARN, "backend_overflow",
		   "a call of agent %s was cancelled: its backend went on to "
		   "send %zu bytes after it was told that the client is slow",
		   attempt->request->agent, attempt->over);
	attempt_cancel(attempt, ATOM_CANCEL_CLIENT_GONE);
	return ATOM_ELIMIT;
}

atom_status attempt_emit(struct attempt *attempt, int32_t kind,
			 const char *bytes, size_t length)
{
	atom_status status;

	if (kind < ATOM_EMIT_TEXT || kind > ATOM_EMIT_EVENT ||
	    length > ATOM_EMIT_MAX)
		return ATOM_EINVAL;
	if (is_cancelled(attempt))
		return ATOM_ECANCELED;
	if (loop_current() == attempt->front) {
		status = call_deliver_emit(attempt->call, kind, bytes, length);
		if (status == ATOM_EBUSY) {
			atomic_store(&attempt->blocked, true);
			status = overflow(attempt, length);
		} else {
			note_flow(attempt);
		}
		return status;
	}
	status = post_chunk(attempt, kind, 0, bytes, length);
	if (status != ATOM_OK)
		return status;
	if (attempt->pool->style == POOL_BLOCKING) {
		blocking_wait_room(attempt->pool->blocking, attempt);
		return is_cancelled(attempt) ? ATOM_ECANCELED : ATOM_OK;
	}
	if (!atomic_load(&attempt->blocked) &&
	    atomic_load(&attempt->unsent) <= UNSENT_HIGH) {
		note_flow(attempt);
		return ATOM_OK;
	}
	return overflow(attempt, length);
}

void attempt_begin_answer(struct attempt *attempt, int32_t status,
			  const char *content_type)
{
	if (loop_current() == attempt->front)
		call_deliver_begin(attempt->call, status, content_type);
	else
		(void)post_chunk(attempt, 0, status, content_type,
				 strlen(content_type));
}

/* --- cancel and resume ---------------------------------------------------- */

static void tell_cancel(struct attempt *attempt, int32_t why)
{
	struct revision *revision = attempt->pool->revision;
	void *unit =
		attempt->instance != NULL ? attempt->instance->unit_self : NULL;
	int64_t began;

	if (attempt->cancel_told || atomic_load(&attempt->finished))
		return;
	attempt->cancel_told = true;
	if (revision->pool.style == POOL_BLOCKING)
		blocking_wake(revision->pool.blocking);
	if (revision->ops->cancel == NULL)
		return;
	began = host_call_begin();
	revision->ops->cancel(self_of(attempt), unit, attempt->handle, why);
	host_call_end(began, configured_component(revision->backend), "cancel");
}

static void on_cancel(struct loop *loop, struct message *message)
{
	struct attempt *attempt =
		CONTAINER_OF(message, struct attempt, cancelling);
	int32_t why;

again:
	why = atomic_load(&attempt->cancel);
	if (atomic_load(&attempt->finished)) {
		attempt_unref(attempt);
		return;
	}
	if (loop == attempt->pool->home && attempt->entered &&
	    pool_leave(attempt->pool, attempt)) {
		attempt_left(attempt);
	} else if (loop != attempt->home) {
		/* It was granted meanwhile: the backend is elsewhere. */
		loop_post(attempt->home, message);
		return;
	} else if (why == ATTEMPT_LEAVE_QUEUE) {
		/* It has a slot.  A cancellation that came meanwhile found
		 * the message posted: look again after it is not. */
		(void)atomic_compare_exchange_strong(&attempt->cancel, &why, 0);
		atomic_store(&attempt->cancel_posted, false);
		if (atomic_load(&attempt->cancel) != 0 &&
		    !atomic_exchange(&attempt->cancel_posted, true))
			goto again;
	} else if (attempt->state == ATTEMPT_RUNNING) {
		tell_cancel(attempt, why);
	}
	attempt_unref(attempt);
}

void attempt_cancel(struct attempt *attempt, int32_t why)
{
	struct loop *to;

	if (atomic_load(&attempt->finished))
		return;
	atomic_store(&attempt->cancel, why);
	if (atomic_exchange(&attempt->cancel_posted, true))
		return;
	to = attempt->entered ? attempt->pool->home : attempt->home;
	attempt_ref(attempt);
	attempt->cancelling.deliver = on_cancel;
	loop_post(to, &attempt->cancelling);
}

static void tell_resume(struct attempt *attempt)
{
	struct revision *revision = attempt->pool->revision;
	void *unit =
		attempt->instance != NULL ? attempt->instance->unit_self : NULL;

	note_flow(attempt);
	if (revision->pool.style == POOL_BLOCKING)
		blocking_wake(revision->pool.blocking);
	else if (revision->ops->resume != NULL)
		revision->ops->resume(self_of(attempt), unit, attempt->handle);
}

static void on_resume(struct loop *loop, struct message *message)
{
	struct attempt *attempt =
		CONTAINER_OF(message, struct attempt, resuming);

	(void)loop;
	atomic_store(&attempt->resume_posted, false);
	if (!atomic_load(&attempt->finished) &&
	    attempt->state == ATTEMPT_RUNNING &&
	    !atomic_load(&attempt->blocked))
		tell_resume(attempt);
	attempt_unref(attempt);
}

void attempt_resume(struct attempt *attempt)
{
	if (atomic_load(&attempt->finished))
		return;
	atomic_store(&attempt->blocked, false);
	if (atomic_exchange(&attempt->resume_posted, true))
		return;
	attempt_ref(attempt);
	attempt->resuming.deliver = on_resume;
	loop_post(attempt->home, &attempt->resuming);
}
