/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>

#include "process_priv.h"

/*
 * One timer a worker, set to the nearest of its deadlines.  Deadlines move
 * without touching it: it looks when it fires, and is set anew.
 */

#define MEASURE_MS 2000

int64_t now_ms(const struct backend *b)
{
	return b->clock->monotonic_ns(b->host) / 1000000;
}

int64_t jitter(const struct backend *b, int64_t most)
{
	uint64_t number = 0;

	if (most <= 0 || b->secret == NULL ||
	    b->secret->random(&number, sizeof(number), NULL) != ATOM_OK)
		return 0;
	return (int64_t)(number % ((uint64_t)most + 1));
}

void supervise_by(struct worker *w, int64_t at_ms)
{
	int64_t after_ms;

	if (at_ms >= w->timer_at_ms || w->timer == NULL)
		return;
	after_ms = at_ms - now_ms(w->backend);
	w->timer_at_ms = at_ms;
	w->backend->timer->set(w->timer, after_ms > 0 ? after_ms : 0, 0);
}

static void phase_over(struct worker *w)
{
	const struct process_options *o = w->backend->options;

	w->phase_at_ms = NEVER;
	switch (w->state) {
	case WORKER_STARTING:
		if (!w->closed) {
			worker_fail(w,
				    "the worker %s did not say ready within "
				    "%lld ms (ready_timeout_ms)",
				    w->name, (long long)o->ready_timeout_ms);
			return;
		}
		/* fall through */
	case WORKER_READY:
		worker_fail(w,
			    "the worker %s closed its end of the protocol's "
			    "socket and lives on; it is replaced",
			    w->name);
		return;
	case WORKER_LEAVING:
		worker_log(w, ATOM_LOG_INFO, "worker_slow_to_leave",
			   "the worker did not end within %lld ms after drain "
			   "and end of file; it gets SIGTERM",
			   (long long)o->cancel_grace_ms);
		worker_terminate(w);
		return;
	case WORKER_TERMINATED:
		worker_log(w, ATOM_LOG_WARN, "worker_deaf_to_sigterm",
			   "the worker did not end within %lld ms after "
			   "SIGTERM; it gets SIGKILL",
			   (long long)o->kill_grace_ms);
		w->backend->process->signal(w->process, SIGKILL);
		w->state = WORKER_KILLED;
		return;
	case WORKER_KILLED:
	case WORKER_GONE:
		return;
	}
}

static void measure(struct worker *w)
{
	const struct backend *b = w->backend;
	struct atom_process_usage usage = { .struct_size = sizeof(usage) };

	if (b->process->usage(w->process, &usage) != ATOM_OK)
		return;
	b->calls->measured(b->host, w->unit, usage.memory_bytes, usage.cpu_ms);
	if (b->options->max_memory > 0 &&
	    usage.memory_bytes > b->options->max_memory &&
	    w->state == WORKER_READY)
		worker_retire(w, "its processes hold more than max_memory");
}

/* Only an idle worker has to answer: a busy one may have better to do. */
static void ping(struct worker *w, int64_t now)
{
	int64_t every = w->backend->options->ping_every_ms;

	w->ping_at_ms = now + every;
	if (w->state != WORKER_READY || w->running > 0) {
		w->ping_sent = false;
		return;
	}
	if (w->ping_sent) {
		worker_fail(w,
			    "the worker %s was idle and did not answer a "
			    "ping within %lld ms; it is replaced",
			    w->name, (long long)every);
		return;
	}
	w->ping_sent = true;
	send_ping(w);
}

static void check_calls(struct worker *w, int64_t now)
{
	for (int32_t i = 0; w->calls != NULL && i < w->concurrency; i++) {
		struct call *call = &w->calls[i];

		/* A client that does not read is no fault of the worker. */
		if (call->state == CALL_RUNNING && call->blocked)
			call->progress_at_ms =
				w->backend->options->no_progress_ms > 0
					? now + w->backend->options
							  ->no_progress_ms
					: NEVER;
		if (call->state == CALL_RUNNING && call->progress_at_ms <= now)
			call_cancel(w, call, "deadline", ATOM_ETIMEOUT,
				    "the agent's worker was silent for too "
				    "long (no_progress_ms)");
		if (call->state == CALL_CANCELLED && call->cancel_at_ms <= now)
			call_cancel_overdue(w, call);
	}
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t next_deadline(const struct worker *w)
{
	int64_t next = earlier(earlier(w->phase_at_ms, w->age_at_ms),
			       earlier(w->measure_at_ms, w->ping_at_ms));

	for (int32_t i = 0; w->calls != NULL && i < w->concurrency; i++) {
		const struct call *call = &w->calls[i];

		if (call->state == CALL_RUNNING)
			next = earlier(next, call->progress_at_ms);
		if (call->state == CALL_CANCELLED)
			next = earlier(next, call->cancel_at_ms);
	}
	return next;
}

void supervise(void *worker)
{
	struct worker *w = worker;
	int64_t now = now_ms(w->backend);

	worker_enter(w);
	w->timer_at_ms = NEVER;
	if (w->phase_at_ms <= now && w->closed && w->held)
		/* What it said before it closed still waits for the client. */
		w->phase_at_ms = now + MEASURE_MS;
	if (w->phase_at_ms <= now)
		phase_over(w);
	if (w->age_at_ms <= now) {
		w->age_at_ms = NEVER;
		worker_retire(w, "it has reached max_age");
	}
	if (w->measure_at_ms <= now && w->process != NULL) {
		w->measure_at_ms = now + MEASURE_MS;
		measure(w);
	}
	if (w->ping_at_ms <= now)
		ping(w, now);
	check_calls(w, now);
	if (w->state != WORKER_GONE)
		supervise_by(w, next_deadline(w));
	worker_leave(w);
}
