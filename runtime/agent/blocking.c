/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "agent/attempt.h"
#include "agent/directory.h"
#include "agent/pool.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/slice.h"

/*
 * The threads of one blocking component: made as calls need them, never more
 * than there are slots, so a job never waits for a thread that is busy.  A
 * plugin that hangs holds its own threads and nobody else's.
 *
 * This is the one place of the runtime where a thread waits on a condition;
 * no event loop ever does.
 */

/* How long a thread without work stays. */
#define IDLE_S 30
/* How long the end waits for threads that are still inside the plugin. */
#define END_MS 2000

struct blocking {
	struct revision *revision;
	pthread_mutex_t lock;
	pthread_cond_t work;  /* a job, or the end */
	pthread_cond_t room;  /* a client has taken bytes, or cancelled */
	pthread_cond_t ended; /* a thread has ended */
	struct attempt *first;
	struct attempt *last;
	unsigned int threads;
	unsigned int idle;
	unsigned int queued; /* jobs that no thread has taken */
	bool closing;
};

struct blocking *blocking_new(struct revision *revision)
{
	struct blocking *b = mem_zalloc(sizeof(*b));
	pthread_condattr_t attributes;

	if (b == NULL)
		return NULL;
	b->revision = revision;
	(void)pthread_mutex_init(&b->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&b->work, &attributes);
	(void)pthread_cond_init(&b->room, &attributes);
	(void)pthread_cond_init(&b->ended, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	return b;
}

static struct timespec in_ms(int64_t ms)
{
	int64_t at = os.monotonic_ns() + ms * 1000000;

	return (struct timespec){ .tv_sec = at / 1000000000,
				  .tv_nsec = at % 1000000000 };
}

/* The next job; NULL: end this thread.  Lock held. */
static struct attempt *next_job(struct blocking *b)
{
	struct timespec until = in_ms(IDLE_S * 1000);
	struct attempt *job;
	int waited = 0;

	b->idle++;
	while (b->first == NULL && !b->closing && waited == 0)
		waited = pthread_cond_timedwait(&b->work, &b->lock, &until);
	b->idle--;
	job = b->first;
	if (job == NULL)
		return NULL;
	b->queued--;
	b->first = job->next_job;
	if (b->first == NULL)
		b->last = NULL;
	return job;
}

static void *serve(void *argument)
{
	struct blocking *b = argument;
	struct attempt *job;

	/* It was started by a loop. */
	slice_restore();
	(void)pthread_mutex_lock(&b->lock);
	while ((job = next_job(b)) != NULL) {
		(void)pthread_mutex_unlock(&b->lock);
		attempt_invoke(job);
		attempt_unref(job);
		(void)pthread_mutex_lock(&b->lock);
	}
	b->threads--;
	(void)pthread_cond_signal(&b->ended);
	(void)pthread_mutex_unlock(&b->lock);
	return NULL;
}

static bool start_thread(struct blocking *b)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	pthread_t thread;
	int failed;

	(void)sigfillset(&all);
	(void)pthread_attr_init(&attributes);
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&thread, &attributes, serve, b);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attributes);
	if (failed == 0)
		b->threads++;
	return failed == 0;
}

atom_status blocking_submit(struct blocking *b, struct attempt *attempt)
{
	atom_status status = ATOM_OK;

	(void)pthread_mutex_lock(&b->lock);
	/* An idle one was woken for each that is queued, and comes yet. */
	if (b->idle <= b->queued && !start_thread(b) && b->threads == 0) {
		status = ATOM_ENOMEM;
	} else {
		attempt_ref(attempt);
		b->queued++;
		attempt->next_job = NULL;
		if (b->last != NULL)
			b->last->next_job = attempt;
		else
			b->first = attempt;
		b->last = attempt;
		(void)pthread_cond_signal(&b->work);
	}
	(void)pthread_mutex_unlock(&b->lock);
	return status;
}

void blocking_wake(struct blocking *b)
{
	(void)pthread_mutex_lock(&b->lock);
	(void)pthread_cond_broadcast(&b->room);
	(void)pthread_mutex_unlock(&b->lock);
}

void blocking_wait_room(struct blocking *b, struct attempt *attempt)
{
	(void)pthread_mutex_lock(&b->lock);
	while ((atomic_load(&attempt->blocked) ||
		atomic_load(&attempt->unsent) > (size_t)256 * 1024) &&
	       atomic_load(&attempt->cancel) == 0)
		(void)pthread_cond_wait(&b->room, &b->lock);
	(void)pthread_mutex_unlock(&b->lock);
}

bool blocking_free(struct blocking **blocking)
{
	struct blocking *b = TAKE(*blocking);
	struct timespec until = in_ms(END_MS);
	int waited = 0;
	bool all;

	if (b == NULL)
		return true;
	(void)pthread_mutex_lock(&b->lock);
	b->closing = true;
	(void)pthread_cond_broadcast(&b->work);
	while (b->threads > 0 && waited == 0)
		waited = pthread_cond_timedwait(&b->ended, &b->lock, &until);
	all = b->threads == 0;
	(void)pthread_mutex_unlock(&b->lock);
	if (!all) {
		log_printf(ATOM_LOG_ERROR, "plugin_hangs",
			   "threads of a blocking backend did not end; they "
			   "are left behind");
		return false;
	}
	(void)pthread_cond_destroy(&b->ended);
	(void)pthread_cond_destroy(&b->room);
	(void)pthread_cond_destroy(&b->work);
	(void)pthread_mutex_destroy(&b->lock);
	mem_free(b);
	return true;
}
