/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What two threads do to one pool in the same moment: each test holds one of
 * them where it looked already and has not acted yet.
 */
#include <errno.h>
#include <semaphore.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/attempt.h"
#include "agent/call.h"
#include "agent/directory.h"
#include "agent/handle.h"
#include "agent/pool.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "plugin/host.h"
#include "plugin/host_priv.h"
#include "plugin/registry.h"
#include "tap.h"

#define WAIT_S 20

/* --- threads that wait for each other ---------------------------------------- */

static bool wait_for(sem_t *sem)
{
	struct timespec until;
	int failed;

	CHECK(clock_gettime(CLOCK_REALTIME, &until) == 0);
	until.tv_sec += WAIT_S;
	do {
		failed = sem_timedwait(sem, &until);
	} while (failed != 0 && errno == EINTR);
	return failed == 0;
}

/* Control goes round until it is so. */
static void until(bool (*so)(void))
{
	int64_t end_ns = os.monotonic_ns() + (int64_t)WAIT_S * 1000000000;

	while (!so()) {
		CHECK(os.monotonic_ns() < end_ns);
		(void)uv_run(loop_uv(loop_control()), UV_RUN_NOWAIT);
		(void)sched_yield();
	}
}

struct errand {
	struct message message;
	void (*run)(void);
	sem_t done;
};

static void on_errand(struct loop *loop, struct message *message)
{
	struct errand *errand = CONTAINER_OF(message, struct errand, message);

	(void)loop;
	errand->run();
	CHECK(sem_post(&errand->done) == 0);
}

static void send_errand(struct errand *errand, unsigned int loop,
			void (*run)(void))
{
	errand->message.deliver = on_errand;
	errand->run = run;
	CHECK(sem_init(&errand->done, 0, 0) == 0);
	loop_post(loops_get(loop), &errand->message);
}

/* While control stands still. */
static void on_loop(unsigned int loop, void (*run)(void))
{
	struct errand errand;

	send_errand(&errand, loop, run);
	CHECK(wait_for(&errand.done));
}

/* --- a backend ----------------------------------------------------------------- */

static const struct atom_backend_host *host;
static const struct atom_host *its;
static _Atomic atom_unit unit;
static void (*_Atomic starting)(void);
static atom_status (*_Atomic invoked)(atom_call call);

static atom_status start_unit(void *self, atom_unit made,
			      const struct atom_unit_spec *spec,
			      void **unit_self_r, struct atom_error *err)
{
	void (*hold)(void) = atomic_exchange(&starting, NULL);

	(void)self;
	(void)spec;
	(void)err;
	*unit_self_r = (void *)(uintptr_t)made;
	atomic_store(&unit, made);
	if (hold != NULL)
		hold();
	host->ready(its, made, 0);
	return ATOM_OK;
}

static void stop_unit(void *self, void *unit_self, int32_t force)
{
	(void)self;
	(void)force;
	host->stopped(its, (atom_unit)(uintptr_t)unit_self);
}

static atom_status invoke(void *self, void *unit_self, atom_call call,
			  struct atom_error *err)
{
	(void)self;
	(void)unit_self;
	(void)err;
	return atomic_load(&invoked)(call);
}

static void cancel(void *self, void *unit_self, atom_call call, int32_t why)
{
	(void)self;
	(void)unit_self;
	(void)why;
	host->finish(its, call, ATOM_ECANCELED, NULL);
}

static atom_status answers(atom_call call)
{
	host->finish(its, call, ATOM_OK, NULL);
	return ATOM_OK;
}

static const struct atom_backend_ops ops = {
	.struct_size = sizeof(ops),
	.instance_start = start_unit,
	.instance_stop = stop_unit,
	.invoke = invoke,
	.cancel = cancel,
};
static const struct component component = {
	.kind_word = "backend",
	.name = "fake",
	.ops = (const struct atom_ops *)(const void *)&ops,
};

/* --- an agent of it ------------------------------------------------------------ */

static struct config_agent agent;
static struct revision *revision;

static void begin(enum pool_style style, int32_t concurrency)
{
	struct atom_error err = ATOM_ERROR_INIT;

	CHECK(loops_init(2, &err) == ATOM_OK);
	CHECK(metric_init(2) == ATOM_OK);
	CHECK(revision_metrics_init(&err) == ATOM_OK);
	CHECK(host_backend_register() == ATOM_OK);
	CHECK(loops_start(&err) == ATOM_OK);
	agent = (struct config_agent){
		.name = "fake",
		.instances = { .max = 8, .concurrency = concurrency },
		.queue = { .depth = 8, .timeout_ms = 60000 },
		.timeouts = { .total_ms = 60000 },
	};
	revision = mem_zalloc(sizeof(*revision));
	CHECK(revision != NULL);
	revision->refs = 1;
	revision->agent = &agent;
	(void)snprintf(revision->label, sizeof(revision->label), "1");
	revision->ops = &ops;
	revision->backend = configured_shell_new("backend", "fake", "fake", "");
	CHECK(revision->backend != NULL);
	revision->backend->component = &component;
	its = configured_host(revision->backend);
	host = atom_service(its, ATOM_BACKEND_HOST);
	CHECK(host != NULL);
	pool_init(&revision->pool, revision, style, loops_get(0), concurrency);
	if (style == POOL_BLOCKING) {
		revision->pool.blocking = blocking_new(revision);
		CHECK(revision->pool.blocking != NULL);
	}
	atomic_store(&invoked, answers);
}

static _Atomic bool gone;

static void on_gone(void)
{
	atomic_store(&gone, true);
}

static bool is_gone(void)
{
	return atomic_load(&gone);
}

static void end(void)
{
	atomic_store(&gone, false);
	revisions_on_gone(on_gone);
	pool_retire(&revision->pool);
	revision_unref(revision);
	until(is_gone);
	loops_stop();
	loops_run_control();
	loops_fini();
	handles_fini();
	metric_fini();
}

/* --- its calls ------------------------------------------------------------------ */

struct asked {
	struct call call;
	_Atomic int status; /* of its end */
	char code[ATOM_ERROR_CODE_MAX];
	_Atomic bool released;
};

static struct asked first, second;

static atom_status on_emit(struct call *call, int32_t kind, const char *bytes,
			   size_t length)
{
	(void)call;
	(void)kind;
	(void)bytes;
	(void)length;
	return ATOM_OK;
}

static void on_end(struct call *call, atom_status status,
		   const struct atom_error *error)
{
	struct asked *asked = CONTAINER_OF(call, struct asked, call);

	(void)snprintf(asked->code, sizeof(asked->code), "%s",
		       error != NULL ? error->code : "");
	atomic_store(&asked->status, (int)status);
}

static void on_release(struct call *call)
{
	atomic_store(&CONTAINER_OF(call, struct asked, call)->released, true);
}

static const struct call_events events = {
	.emit = on_emit,
	.end = on_end,
	.release = on_release,
};

static void ask(struct asked *asked, bool spare)
{
	memset(asked, 0, sizeof(*asked));
	asked->call.loop = loop_current();
	asked->call.revision = revision;
	asked->call.events = &events;
	asked->call.spare = spare;
	asked->call.request.agent = "fake";
	revision_ref(revision);
	call_start(&asked->call);
}

static void ask_first(void)
{
	ask(&first, false);
}

/* --- the tests ------------------------------------------------------------------- */

static sem_t held, let_go;

static void hold(void)
{
	CHECK(sem_post(&held) == 0);
	CHECK(wait_for(&let_go));
}

static void make_semaphores(void)
{
	CHECK(sem_init(&held, 0, 0) == 0 && sem_init(&let_go, 0, 0) == 0);
}

static bool has_started(void)
{
	return atomic_load(&revision->pool.ready) == 1;
}

static bool is_unrouted(void)
{
	return revision->pool.graces == 0;
}

static bool is_empty(void)
{
	const struct pool *pool = &revision->pool;

	return atomic_load(&pool->ready) + atomic_load(&pool->starting) +
		       atomic_load(&pool->draining) ==
	       0;
}

static void an_instance_that_becomes_ready_ends_no_retirement(void)
{
	make_semaphores();
	begin(POOL_OWNED, 1);
	atomic_store(&starting, hold);
	pool_set_desired(&revision->pool, 1);
	CHECK(wait_for(&held));
	pool_retire(&revision->pool);
	CHECK(sem_post(&let_go) == 0);
	until(is_unrouted);
	until(is_empty);
	CHECK(revision_retires(revision));
	end();
}

static void retire_unit(void)
{
	host->retire(its, atomic_load(&unit), "it has served enough");
}

static void an_instance_that_is_replaced_ends_no_retirement(void)
{
	begin(POOL_OWNED, 1);
	pool_set_desired(&revision->pool, 1);
	until(has_started);
	pool_retire(&revision->pool);
	on_loop(0, retire_unit);
	until(is_unrouted);
	until(is_empty);
	CHECK(revision_retires(revision));
	end();
}

static void cancel_first(void)
{
	call_cancel(&first.call, ATOM_CANCEL_CLIENT_GONE);
}

static bool first_is_over(void)
{
	return atomic_load(&first.released);
}

static bool has_waited_enough(void)
{
	return atomic_load(&first.call.attempt->cancel) == ATTEMPT_LEAVE_QUEUE;
}

/* The loop of the waiting room is busy elsewhere meanwhile. */
static void who_has_waited_on_the_way_to_the_waiting_room_is_told_so(void)
{
	struct errand errand;

	make_semaphores();
	begin(POOL_OWNED, 1);
	agent.queue.timeout_ms = 1;
	send_errand(&errand, 0, hold);
	CHECK(wait_for(&held));
	on_loop(1, ask_first);
	until(has_waited_enough);
	CHECK(sem_post(&let_go) == 0);
	until(first_is_over);
	CHECK(atomic_load(&first.status) == ATOM_EUNAVAILABLE);
	CHECK(strcmp(first.code, "no_instances") == 0);
	end();
}

static bool second_is_over(void)
{
	return atomic_load(&second.released);
}

static void ask_spare_second(void)
{
	ask(&second, true);
}

static bool first_waits(void)
{
	return atomic_load(&revision->pool.waiting) == 1;
}

static atom_status stays(atom_call call)
{
	(void)call;
	return ATOM_OK;
}

static int64_t (*clock_ns)(void);
static _Atomic bool slow_clock;

/* Loop 1 has its slot, and looks at the clock for when. */
static int64_t held_clock_ns(void)
{
	if (atomic_load(&slow_clock) && loop_current() == loops_get(1) &&
	    atomic_load(&revision->pool.in_flight) == 1 &&
	    atomic_exchange(&slow_clock, false))
		hold();
	return clock_ns();
}

static void a_spare_call_gives_way_to_who_came_before_it_was_counted(void)
{
	struct errand errand;

	make_semaphores();
	begin(POOL_SHARED, 1);
	pool_set_desired(&revision->pool, 1);
	atomic_store(&invoked, stays);
	atomic_store(&slow_clock, true);
	send_errand(&errand, 1, ask_spare_second);
	CHECK(wait_for(&held));
	on_loop(0, ask_first);
	until(first_waits);
	CHECK(sem_post(&let_go) == 0);
	until(second_is_over);
	CHECK(atomic_load(&second.status) == ATOM_ECANCELED);
	on_loop(0, cancel_first);
	until(first_is_over);
	end();
}

int __real_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
				  const struct timespec *at);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
				  const struct timespec *at);
static _Atomic bool sleeps, slow_to_wake;

/* A thread that was woken, and is not there yet. */
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
				  const struct timespec *at)
{
	int result;

	atomic_store(&sleeps, true);
	result = __real_pthread_cond_timedwait(cond, mutex, at);
	if (result == 0 && atomic_exchange(&slow_to_wake, false)) {
		CHECK(pthread_mutex_unlock(mutex) == 0);
		hold();
		CHECK(pthread_mutex_lock(mutex) == 0);
	}
	return result;
}

static sem_t met;
static _Atomic int have_come;

/* The first of two ends once the second has begun. */
static atom_status meets(atom_call call)
{
	if (atomic_fetch_add(&have_come, 1) == 0)
		CHECK(wait_for(&met));
	else
		CHECK(sem_post(&met) == 0);
	return answers(call);
}

static void ask_both(void)
{
	ask(&first, false);
	ask(&second, false);
}

static bool both_are_over(void)
{
	return first_is_over() && second_is_over();
}

static bool a_thread_sleeps(void)
{
	return first_is_over() && atomic_load(&sleeps);
}

static void two_calls_wake_no_thread_twice(void)
{
	make_semaphores();
	CHECK(sem_init(&met, 0, 0) == 0);
	begin(POOL_BLOCKING, 2);
	pool_set_desired(&revision->pool, 1);
	/* One thread, which has nothing to do afterwards. */
	on_loop(0, ask_first);
	until(a_thread_sleeps);
	atomic_store(&slow_to_wake, true);
	atomic_store(&invoked, meets);
	on_loop(0, ask_both);
	CHECK(wait_for(&held));
	CHECK(sem_post(&let_go) == 0);
	until(both_are_over);
	end();
}

int main(void)
{
	static const struct tap_test tests[] = {
		TAP_TEST(an_instance_that_becomes_ready_ends_no_retirement),
		TAP_TEST(an_instance_that_is_replaced_ends_no_retirement),
		TAP_TEST(
			who_has_waited_on_the_way_to_the_waiting_room_is_told_so),
		TAP_TEST(
			a_spare_call_gives_way_to_who_came_before_it_was_counted),
		TAP_TEST(two_calls_wake_no_thread_twice),
	};

	log_set_descriptor(-1);
	clock_ns = os.monotonic_ns;
	os.monotonic_ns = held_clock_ns;
	return tap_main(tests, (int)ARRAY_SIZE(tests));
}
