/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "process_priv.h"

/* A worker's life.  Truth about it is its exit, told by the process service;
 * end of file alone only announces one. */

/* From end of file to the exit that should follow it. */
#define EXIT_WAIT_MS	 250
#define FIRST_MEASURE_MS 500

void worker_log(const struct worker *w, int32_t level, const char *event,
		const char *format, ...)
{
	const struct backend *b = w->backend;
	const struct atom_log_field fields[] = {
		{ "instance", w->name, 0 },
	};
	char message[512];
	va_list args;

	if (b->log == NULL || !b->log->enabled(b->host, level))
		return;
	va_start(args, format);
	(void)vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	b->log->write(b->host, level, event, message, fields, 1);
}

/* --- its end ---------------------------------------------------------------- */

static void worker_free(struct worker *w)
{
	if (w->process != NULL)
		w->backend->process->free(&w->process);
	if (w->timer != NULL)
		w->backend->timer->free(&w->timer);
	bytes_fini(&w->input);
	bytes_fini(&w->output);
	bytes_fini(&w->text);
	free(w->calls);
	free(w->name);
	free(w);
}

static void end_by_signal(struct worker *w, int32_t number,
			  enum worker_state state, int64_t phase_at_ms)
{
	if (w->process == NULL || w->state >= state)
		return;
	w->state = state;
	w->phase_at_ms = phase_at_ms;
	supervise_by(w, phase_at_ms);
	w->backend->process->signal(w->process, number);
}

static void worker_kill(struct worker *w)
{
	end_by_signal(w, SIGKILL, WORKER_KILLED, NEVER);
}

void worker_terminate(struct worker *w)
{
	end_by_signal(w, SIGTERM, WORKER_TERMINATED,
		      now_ms(w->backend) + w->backend->options->kill_grace_ms);
}

static void leave_in_peace(struct worker *w)
{
	if (w->process == NULL || w->state >= WORKER_LEAVING)
		return;
	w->state = WORKER_LEAVING;
	w->phase_at_ms =
		now_ms(w->backend) + w->backend->options->cancel_grace_ms;
	supervise_by(w, w->phase_at_ms);
	send_drain(w);
	w->backend->process->close_input(w->process);
}

void worker_stop(struct worker *w, bool force)
{
	w->stop_wanted = true;
	if (force) {
		/* Nor is what it said before it ended waited for. */
		if (w->state == WORKER_GONE)
			w->fault = true;
		w->held = w->held && !w->fault;
		worker_kill(w);
	} else if (w->condemned || w->closed) {
		worker_terminate(w);
	} else {
		leave_in_peace(w);
	}
}

void worker_retire(struct worker *w, const char *reason)
{
	if (w->retired || w->stop_wanted || w->told || w->state != WORKER_READY)
		return;
	w->retired = true;
	w->age_at_ms = NEVER;
	w->backend->calls->retire(w->backend->host, w->unit, reason);
}

/* The host is told before the calls are ended: else it would give those that
 * wait to this worker. */
static void tell_host(struct worker *w, struct atom_error *err)
{
	const struct backend *b = w->backend;

	(void)snprintf(err->code, sizeof(err->code), "worker_lost");
	if (w->told || w->stop_wanted || w->retired)
		return;
	w->told = true;
	b->calls->failed(b->host, w->unit, err);
}

void worker_fail(struct worker *w, const char *format, ...)
{
	struct atom_error err = ATOM_ERROR_INIT;
	va_list args;

	if (w->fault || w->over)
		return;
	err.status = ATOM_EPROTO;
	va_start(args, format);
	(void)vsnprintf(err.message, sizeof(err.message), format, args);
	va_end(args);
	w->fault = true;
	worker_kill(w);
	if (w->told || w->stop_wanted || w->retired)
		worker_log(w, ATOM_LOG_WARN, "worker_lost", "%s", err.message);
	tell_host(w, &err);
	calls_end_all(w, &err);
}

void worker_unreachable(struct worker *w)
{
	struct atom_error err = ATOM_ERROR_INIT;

	(void)atom_fail(&err, ATOM_EUNAVAILABLE,
			"the worker %s closed its end of the protocol's "
			"socket, or ended",
			w->name);
	tell_host(w, &err);
}

/* Its process has ended, and nothing of what it said waits any more. */
static void worker_gone(struct worker *w)
{
	struct atom_error err = ATOM_ERROR_INIT;
	const char *when = w->calls == NULL ? " before it said ready; its "
					      "output (worker_output) may say "
					      "why, docs/workers.md what a "
					      "worker says"
					    : "";
	const char *name = w->signal > 0 ? sigabbrev_np(w->signal) : NULL;
	/* Where it was ended for a fault that has been told already. */
	bool unexpected = (w->told && !w->fault) || w->running > 0;

	if (w->exit_code >= 0)
		(void)atom_fail(&err, ATOM_EUNAVAILABLE,
				"the worker %s ended with status %d%s", w->name,
				w->exit_code, when);
	else
		(void)atom_fail(
			&err, ATOM_EUNAVAILABLE,
			"the worker %s was ended by signal %d (SIG%s)%s",
			w->name, w->signal, name != NULL ? name : "?", when);
	w->over = true;
	if (w->told || w->stop_wanted || w->retired)
		worker_log(w, unexpected ? ATOM_LOG_WARN : ATOM_LOG_DEBUG,
			   "worker_ended", "%s", err.message);
	tell_host(w, &err);
	calls_end_all(w, &err);
}

void worker_enter(struct worker *w)
{
	w->depth++;
}

void worker_leave(struct worker *w)
{
	const struct backend *b = w->backend;
	atom_unit unit = w->unit;

	if (w->depth == 1 && !w->held && w->input.length > w->searched)
		receive_held(w);
	if (w->depth == 1 && w->state == WORKER_GONE && !w->held && !w->over)
		worker_gone(w);
	if (--w->depth > 0 || w->state != WORKER_GONE || !w->stop_wanted ||
	    w->held)
		return;
	worker_free(w);
	b->calls->stopped(b->host, unit);
}

/* --- what its process does ----------------------------------------------------- */

static void on_data(void *argument, const char *bytes, size_t length)
{
	struct worker *w = argument;

	worker_enter(w);
	receive(w, bytes, length);
	worker_leave(w);
}

static void on_drained(void *argument)
{
	/* What is unsent is bounded by the service, calls by concurrency:
	 * nothing waits for this. */
	(void)argument;
}

static void on_closed(void *argument)
{
	struct worker *w = argument;

	worker_enter(w);
	w->closed = true;
	if (w->state <= WORKER_READY) {
		w->phase_at_ms = now_ms(w->backend) + EXIT_WAIT_MS;
		supervise_by(w, w->phase_at_ms);
	}
	/* No call may come to it while its exit is on its way. */
	if (w->state == WORKER_READY && w->running < w->concurrency)
		worker_unreachable(w);
	worker_leave(w);
}

static void on_exited(void *argument, int32_t exit_code, int32_t number)
{
	struct worker *w = argument;

	worker_enter(w);
	w->state = WORKER_GONE;
	w->exit_code = exit_code;
	w->signal = number;
	w->backend->process->free(&w->process);
	worker_leave(w);
}

static const struct atom_process_events events = {
	.struct_size = sizeof(events),
	.data = on_data,
	.drained = on_drained,
	.closed = on_closed,
	.exited = on_exited,
};

/* --- its start ------------------------------------------------------------------ */

atom_status worker_start(struct backend *b, atom_unit unit,
			 const struct atom_unit_spec *spec,
			 struct worker **worker_r, struct atom_error *err)
{
	struct worker *w = calloc(1, sizeof(*w));
	int64_t now = now_ms(b);
	atom_status status;

	if (w != NULL)
		w->name = strdup(spec->name);
	if (w == NULL || w->name == NULL) {
		free(w);
		return atom_fail(err, ATOM_ENOMEM, "process: no memory");
	}
	w->backend = b;
	w->unit = unit;
	w->concurrency = spec->concurrency > 0 ? spec->concurrency : 1;
	w->timer_at_ms = w->age_at_ms = w->ping_at_ms = NEVER;
	w->phase_at_ms = now + b->options->ready_timeout_ms;
	w->measure_at_ms = now + FIRST_MEASURE_MS;
	status = b->timer->create(b->host, supervise, w, &w->timer, err);
	if (status == ATOM_OK)
		status = launch(w, &events, err);
	if (status != ATOM_OK) {
		worker_free(w);
		return status;
	}
	supervise_by(w, w->phase_at_ms);
	supervise_by(w, w->measure_at_ms);
	*worker_r = w;
	return ATOM_OK;
}

void worker_ready(struct worker *w)
{
	const struct backend *b = w->backend;
	const struct process_options *o = b->options;
	int64_t now = now_ms(b);

	if (calls_make_room(w) != ATOM_OK) {
		worker_fail(w, "no memory for the calls of the worker %s",
			    w->name);
		return;
	}
	w->state = WORKER_READY;
	w->phase_at_ms = NEVER;
	if (o->max_requests > 0)
		w->requests_max = (uint64_t)(o->max_requests +
					     jitter(b, o->max_requests / 10));
	if (o->max_age > 0)
		w->age_at_ms = now + o->max_age + jitter(b, o->max_age / 10);
	if (o->ping_every_ms > 0 && (w->caps & CAP_PING) != 0)
		w->ping_at_ms = now + o->ping_every_ms;
	supervise_by(w, w->age_at_ms);
	supervise_by(w, w->ping_at_ms);
	b->calls->ready(b->host, w->unit, w->concurrency);
}
