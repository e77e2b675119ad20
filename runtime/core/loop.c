/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The loops' lives.
 *
 *	loops_init   loops_start            loops_stop              loops_fini
 *	    |            |                      |                       |
 *	    +-- idle ----+------- running ------+- draining -> ended ---+
 *
 * Draining goes in two steps, because a loop that has nothing left may still
 * be sent messages by one that has: every serving loop first runs its at_stop
 * callbacks and goes on until nothing but its own handles is open; when the
 * last one has come so far, all take what is left in their mailboxes and end.
 * Then control does the same alone.  The libuv handles that wake a loop stay
 * open until loops_fini(), so that a post to an ended loop is harmless.
 */

#include "core/loop.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/loop_priv.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/qsbr.h"
#include "core/slice.h"

/* Messages delivered before the loop looks at its I/O again. */
#define MESSAGES_AT_ONCE 256

/* How soon control looks again for what waits to be freed. */
#define COLLECT_AFTER_MS 2

enum phase {
	PHASE_RUNNING,
	PHASE_DRAINING, /* serving loops get rid of their handles */
	PHASE_ENDING,	/* all have: take the last messages and end */
};

static struct loop loops[LOOP_MAX + 1];
static unsigned int serving_count;
static _Thread_local struct loop *current;
static struct timer collect_timer;

static _Atomic bool stop_asked;
static _Atomic int phase;
static _Atomic unsigned int thread_count;  /* threads started */
static _Atomic unsigned int drained_count; /* of those */
static _Atomic unsigned int ended_count;

unsigned int loops_serving(void)
{
	return serving_count;
}

bool loops_running(void)
{
	return atomic_load(&phase) == PHASE_RUNNING;
}

bool loops_stuck(void)
{
	bool stuck = false;

	for (unsigned int i = 0; i <= serving_count; i++)
		stuck = stuck || loops[i].stuck;
	return stuck;
}

struct loop *loops_get(unsigned int index)
{
	assert(index < serving_count);
	return &loops[index];
}

struct loop *loop_control(void)
{
	return &loops[serving_count];
}

struct loop *loop_current(void)
{
	return current;
}

bool loop_is_control(void)
{
	return current && current == loop_control();
}

unsigned int loop_index(const struct loop *loop)
{
	return loop->index;
}

uv_loop_t *loop_uv(struct loop *loop)
{
	return &loop->uv;
}

int64_t loop_now_ms(const struct loop *loop)
{
	return (int64_t)uv_now(&loop->uv);
}

bool loop_is_mine(const struct loop *loop)
{
	return current == loop || (loop_is_control() && !loop->running);
}

/* --- messages ------------------------------------------------------------ */

static void wake(struct loop *loop)
{
	/* uv_async_send() begins with a plain read that says "already sent".
	 * Without a full barrier that read may come before our store into the
	 * mailbox is visible, and the loop, just then clearing the mark and
	 * finding an empty box, would sleep on.  (Not atomic_thread_fence():
	 * ThreadSanitizer does not know it, and needs it not.) */
	__sync_synchronize();
	uv_async_send(&loop->wake);
}

void loop_post(struct loop *loop, struct message *message)
{
	if (mailbox_put(&loop->mailbox, message))
		wake(loop);
}

void loop_deliver(struct loop *loop, unsigned int most)
{
	struct message *message;

	while (most-- && (message = mailbox_take(&loop->mailbox)) != NULL)
		message->deliver(loop, message);
}

/* --- the loops' callbacks ------------------------------------------------ */

static void control_on_wake(struct loop *loop);

static void on_wake(uv_async_t *async)
{
	struct loop *loop = async->data;

	loop_deliver(loop, MESSAGES_AT_ONCE);
	if (mailbox_waiting(&loop->mailbox))
		uv_async_send(async);
	if (loop == loop_control()) {
		control_on_wake(loop);
		return;
	}
	if (atomic_load(&phase) >= PHASE_DRAINING && !loop->stopping)
		loop_begin_stop(loop);
	if (atomic_load(&phase) == PHASE_ENDING &&
	    uv_has_ref((uv_handle_t *)async))
		loop_let_go(loop);
}

static void on_quiet(uv_prepare_t *prepare)
{
	struct loop *loop = prepare->data;

	if (loop != loop_control())
		qsbr_quiet(loop->index);
	else if (qsbr_collect() && !timer_pending(&collect_timer))
		/* Without memory for it the next iteration will do. */
		(void)timer_set(loop, &collect_timer, COLLECT_AFTER_MS);
}

static void on_collect(struct timer *timer)
{
	/* on_quiet() follows in this iteration. */
	(void)timer;
}

static void wake_index(unsigned int index)
{
	wake(&loops[index]);
}

/* --- serving threads ----------------------------------------------------- */

static void wake_serving(void)
{
	for (unsigned int i = 0; i < serving_count; i++)
		if (loops[i].threaded)
			wake(&loops[i]);
}

static void run_serving(void *argument)
{
	struct loop *loop = argument;

	current = loop;
	metric_attach(loop->index);
	slice_shorten();

	/* Ends when loop_begin_stop() has let go and all handles are closed. */
	uv_run(&loop->uv, UV_RUN_DEFAULT);

	timer_stop(&loop->deadline);
	uv_ref((uv_handle_t *)&loop->wake);
	if (atomic_fetch_add(&drained_count, 1) + 1 ==
	    atomic_load(&thread_count)) {
		atomic_store(&phase, PHASE_ENDING);
		wake_serving();
	}
	/* A stuck loop has given up, but others may still wait for it. */
	if (!loop->stuck)
		uv_run(&loop->uv, UV_RUN_DEFAULT);
	loop_drain(loop);

	qsbr_offline(loop->index);
	atomic_fetch_add(&ended_count, 1);
	wake(loop_control());
}

static atom_status start_thread(struct loop *loop, struct atom_error *err)
{
	char name[16];

	qsbr_online(loop->index);
	loop->threaded = loop->running = true;

	int failed = uv_thread_create(&loop->thread, run_serving, loop);

	if (failed) {
		loop->threaded = loop->running = false;
		qsbr_offline(loop->index);
		return atom_fail(err, ATOM_ENOMEM, "start loop %u: %s",
				 loop->index, uv_strerror(failed));
	}
	(void)snprintf(name, sizeof(name), "atomd-loop-%u", loop->index);
	(void)pthread_setname_np(loop->thread, name);
	return ATOM_OK;
}

static void join_serving(void)
{
	for (unsigned int i = 0; i < serving_count; i++)
		if (loops[i].threaded && loops[i].running) {
			uv_thread_join(&loops[i].thread);
			loops[i].running = false;
		}
}

atom_status loops_start(struct atom_error *err)
{
	atom_status status = ATOM_OK;
	sigset_t all, before;

	/* Signals are control's: threads take over the mask. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	/* Beforehand: no thread may count itself the last by mistake. */
	atomic_store(&thread_count, serving_count);
	for (unsigned int i = 0; i < serving_count && !status; i++) {
		status = start_thread(&loops[i], err);
		if (status) {
			atomic_store(&thread_count, i);
			atomic_store(&phase, PHASE_DRAINING);
			wake_serving();
			join_serving();
		}
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (status == ATOM_OK && works_begin(loop_control()) != ATOM_OK)
		log_printf(ATOM_LOG_WARN, "no_pool",
			   "the threads for work that blocks begin later");
	return status;
}

/* --- control ------------------------------------------------------------- */

void loops_stop(void)
{
	atomic_store(&stop_asked, true);
	wake(loop_control());
}

static void control_on_wake(struct loop *loop)
{
	unsigned int threads = atomic_load(&thread_count);

	if (!atomic_load(&stop_asked) || loop->stopping)
		return;
	if (atomic_load(&phase) == PHASE_RUNNING) {
		atomic_store(&phase, PHASE_DRAINING);
		wake_serving();
	}
	if (atomic_load(&ended_count) == threads) {
		join_serving();
		loop_begin_stop(loop);
	}
}

void loops_run_control(void)
{
	struct loop *loop = loop_control();

	assert(current == loop);
	loop->running = true;
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	loop_drain(loop);
	loop->running = false;
}

/* --- init and fini ------------------------------------------------------- */

static unsigned int count_cpus(void)
{
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		return (unsigned int)CPU_COUNT(&cpus);

	/* A machine larger than the set. */
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	return online > 0 ? (unsigned int)online : 1;
}

static int init_loop(struct loop *loop, unsigned int index)
{
	memset(loop, 0, sizeof(*loop));
	loop->index = index;
	atomic_init(&loop->mailbox.posted, NULL);

	int failed = loop_look_for_room();

	if (!failed)
		failed = uv_loop_init(&loop->uv);
	if (failed)
		return failed;
	failed = loop_take_room(&loop->uv);
	if (!failed)
		failed = uv_async_init(&loop->uv, &loop->wake, on_wake);
	if (failed) {
		(void)uv_loop_close(&loop->uv);
		return failed;
	}
	loop->wake.data = loop;
	/* These cannot fail. */
	(void)uv_prepare_init(&loop->uv, &loop->quiet);
	loop->quiet.data = loop;
	(void)uv_prepare_start(&loop->quiet, on_quiet);
	uv_unref((uv_handle_t *)&loop->quiet);
	(void)uv_timer_init(&loop->uv, &loop->clock);
	uv_unref((uv_handle_t *)&loop->clock);
	timers_init(loop);
	return 0;
}

static void fini_loop(struct loop *loop)
{
	unsigned int lost = 0;

	if (!loop->stopping) {
		/* It never ran: its thread is this one now. */
		current = loop;
		loop_begin_stop(loop);
		uv_run(&loop->uv, UV_RUN_DEFAULT);
		loop_drain(loop);
		if (loop != loop_control())
			qsbr_offline(loop->index);
	}
	while (mailbox_take(&loop->mailbox))
		lost++;
	if (lost)
		log_line(ATOM_LOG_WARN, "loop_messages_lost",
			 "messages came after the loop's end",
			 LOG_NUMBER("loop", loop->index),
			 LOG_NUMBER("count", lost));
	timers_fini(loop);
	if (loop->stuck)
		return; /* the pool still points into it */
	uv_close((uv_handle_t *)&loop->wake, NULL);
	uv_close((uv_handle_t *)&loop->quiet, NULL);
	uv_close((uv_handle_t *)&loop->clock, NULL);
	uv_run(&loop->uv, UV_RUN_DEFAULT);

	int failed = uv_loop_close(&loop->uv);

	if (failed)
		log_line(ATOM_LOG_ERROR, "loop_not_closed",
			 "the loop could not be closed",
			 LOG_NUMBER("loop", loop->index),
			 LOG_TEXT("why", uv_strerror(failed)));
}

atom_status loops_init(unsigned int serving, struct atom_error *err)
{
	unsigned int wanted = serving ? serving : count_cpus();

	if (serving > LOOP_MAX)
		return atom_fail(err, ATOM_EINVAL,
				 "%u event loops: there can be at most %d",
				 serving, LOOP_MAX);
	if (wanted > LOOP_MAX)
		wanted = LOOP_MAX;
	serving_count = wanted;
	atomic_store(&stop_asked, false);
	atomic_store(&phase, PHASE_RUNNING);
	atomic_store(&thread_count, 0);
	atomic_store(&drained_count, 0);
	atomic_store(&ended_count, 0);
	qsbr_init(wanted, wake_index);
	collect_timer = (struct timer){ .fire = on_collect };
	for (unsigned int i = 0; i <= wanted; i++) {
		int failed = init_loop(&loops[i], i);

		if (!failed)
			continue;
		while (i-- > 0)
			fini_loop(&loops[i]);
		current = NULL;
		return atom_fail(err, ATOM_EIO, "make %u event loops: %s",
				 wanted + 1, uv_strerror(failed));
	}
	current = loop_control();
	metric_attach(wanted);
	return ATOM_OK;
}

void loops_fini(void)
{
	/* Never made, or made in vain. */
	if (current == NULL)
		return;
	for (unsigned int i = 0; i <= serving_count; i++)
		fini_loop(&loops[i]);
	/* All loops are offline. */
	current = loop_control();
	while (qsbr_collect())
		continue;
	current = NULL;
}
