/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "process_priv.h"

/*
 * The calls on a worker.  One call at a time: a slow client makes the worker
 * wait, because its socket is no longer read.  Several at once: the others go
 * on, so the one with the slow client is granted no more chunks, and is
 * cancelled when it sends on all the same.
 */

/* Chunks that a worker may send ahead.  A chunk's size is not known before it
 * comes, the host keeps 1 MiB for a slow client (atomd/backend.h), and our own
 * runners send up to 64 KiB a chunk. */
#define CREDIT_FIRST 4
#define CREDIT_MAX   16
/* What a worker with credit may send beyond it before it counts as deaf. */
#define CREDIT_OVER_MAX ((size_t)1024 * 1024)

atom_status calls_make_room(struct worker *w)
{
	w->calls = calloc((size_t)w->concurrency, sizeof(*w->calls));
	return w->calls != NULL ? ATOM_OK : ATOM_ENOMEM;
}

static void release_socket(struct worker *w)
{
	if (!w->held)
		return;
	/* The lines that waited are taken by worker_leave(). */
	w->held = false;
	if (w->process != NULL)
		w->backend->process->resume(w->process);
}

static int64_t progress_deadline(const struct worker *w)
{
	int64_t most = w->backend->options->no_progress_ms;

	return most > 0 ? now_ms(w->backend) + most : NEVER;
}

static bool with_credit(const struct worker *w, const struct call *call)
{
	return call->stream && (w->caps & CAP_CREDIT) != 0;
}

/* Tops the call's credit up once half of it is used. */
static void grant(struct worker *w, struct call *call)
{
	size_t bytes = (size_t)w->backend->options->credit_bytes;
	size_t size = call->largest_chunk > 0 ? call->largest_chunk : 1;
	int32_t window = bytes / size < CREDIT_FIRST ? CREDIT_FIRST
			 : bytes / size > CREDIT_MAX ? CREDIT_MAX
						     : (int32_t)(bytes / size);

	if (!with_credit(w, call) || call->state != CALL_RUNNING ||
	    call->blocked || w->held || call->credit > window / 2)
		return;
	send_credit(w, call, window - call->credit);
	call->credit = window;
}

/* --- begin ----------------------------------------------------------------- */

static atom_status refuse(const struct worker *w, struct atom_error *err)
{
	(void)atom_fail(err, ATOM_EUNAVAILABLE,
			"the worker %s is ending and takes no more calls",
			w->name);
	if (err != NULL)
		(void)snprintf(err->code, sizeof(err->code), "worker_lost");
	return ATOM_EUNAVAILABLE;
}

static struct call *free_call(struct worker *w)
{
	for (int32_t i = 0; i < w->concurrency; i++)
		if (w->calls[i].state == CALL_FREE)
			return &w->calls[i];
	return NULL;
}

atom_status call_begin(struct worker *w, atom_call handle,
		       struct atom_error *err)
{
	const struct atom_call_request *request =
		w->backend->calls->request(w->backend->host, handle);
	struct call *call;
	atom_status status;

	if (w->state != WORKER_READY || w->closed || w->fault) {
		/* Or the host would give it all that wait, one by one. */
		worker_unreachable(w);
		return refuse(w, err);
	}
	if (request == NULL)
		return atom_fail(err, ATOM_EINVAL, "process: no such call");
	call = free_call(w);
	if (call == NULL)
		return atom_fail(err, ATOM_EBUSY,
				 "the worker %s has %d calls already", w->name,
				 w->concurrency);
	*call = (struct call){
		.handle = handle,
		.number = ++w->calls_made,
		.stream = (request->flags & ATOM_CALL_STREAM) != 0,
		.session = request->session_id[0] != '\0',
		.progress_at_ms = progress_deadline(w),
		.cancel_at_ms = NEVER,
	};
	status = send_call(w, call, request, err);
	if (status == ATOM_EUNAVAILABLE)
		worker_unreachable(w);
	if (status != ATOM_OK)
		return status;
	call->state = CALL_RUNNING;
	w->running++;
	w->ping_sent = false;
	supervise_by(w, call->progress_at_ms);
	if (with_credit(w, call)) {
		call->credit = CREDIT_FIRST;
		send_credit(w, call, CREDIT_FIRST);
	}
	if (w->requests_max > 0 && w->calls_made >= w->requests_max)
		worker_retire(w, "it has served max_requests calls");
	return ATOM_OK;
}

/* --- look-up ---------------------------------------------------------------- */

struct call *call_of_handle(struct worker *w, atom_call handle)
{
	for (int32_t i = 0; w->calls != NULL && i < w->concurrency; i++)
		if ((w->calls[i].state == CALL_RUNNING ||
		     w->calls[i].state == CALL_CANCELLED) &&
		    w->calls[i].handle == handle)
			return &w->calls[i];
	return NULL;
}

/* Digits up to `end`; false when there is something else, or too much. */
static bool read_number(const char **at, const char *end, uint64_t *number_r)
{
	const char *from = *at;
	uint64_t number = 0;

	while (*at < end && **at >= '0' && **at <= '9' && *at - from < 19)
		number = number * 10 + (uint64_t)(*(*at)++ - '0');
	*number_r = number;
	return *at > from;
}

struct call *call_of_id(struct worker *w, const struct json_value *id)
{
	const char *at = id->at + 1, *end = id->at + id->length - 1;
	uint64_t place, number;
	struct call *call;

	if (w->calls == NULL || !read_number(&at, end, &place) || at >= end ||
	    *at++ != '-' || !read_number(&at, end, &number) || at != end ||
	    place >= (uint64_t)w->concurrency)
		return NULL;
	call = &w->calls[place];
	if (call->state == CALL_FREE || call->number != number)
		return NULL;
	call->progress_at_ms =
		call->state == CALL_RUNNING ? progress_deadline(w) : NEVER;
	return call;
}

/* --- what the host is told ---------------------------------------------------- */

/* The host may begin another call here, or stop the worker. */
static void finish(struct worker *w, struct call *call, enum call_state next,
		   atom_status status, const struct atom_error *err)
{
	atom_call handle = call->handle;

	call->state = next;
	call->blocked = false;
	w->running--;
	release_socket(w);
	w->backend->calls->finish(w->backend->host, handle, status, err);
}

static atom_status verdict(const struct call *call, struct atom_error *err)
{
	return atom_fail(err, call->verdict, "%s", call->verdict_text);
}

void call_end(struct worker *w, struct call *call, atom_status status,
	      const struct atom_error *err)
{
	struct atom_error cancelled = ATOM_ERROR_INIT;

	if (call->state == CALL_ZOMBIE) {
		call->state = CALL_FREE;
		return;
	}
	if (call->state == CALL_CANCELLED) {
		status = verdict(call, &cancelled);
		err = &cancelled;
	}
	finish(w, call, CALL_FREE, status, status == ATOM_OK ? NULL : err);
}

void calls_end_all(struct worker *w, const struct atom_error *err)
{
	for (int32_t i = 0; w->calls != NULL && i < w->concurrency; i++) {
		struct call *call = &w->calls[i];

		if (call->state != CALL_FREE)
			call_end(w, call, ATOM_EUNAVAILABLE, err);
	}
}

void call_emit(struct worker *w, struct call *call, int32_t kind,
	       const char *bytes, size_t length)
{
	size_t most = with_credit(w, call)
			      ? CREDIT_OVER_MAX
			      : (size_t)w->backend->options->credit_bytes;
	atom_status status;

	if (call->state != CALL_RUNNING)
		return;
	status = w->backend->calls->emit(w->backend->host, call->handle, kind,
					 bytes, length);
	switch (status) {
	case ATOM_OK:
		call->over = 0;
		call->blocked = false;
		grant(w, call);
		return;
	case ATOM_EBUSY:
		break;
	case ATOM_ECANCELED:
	case ATOM_ELIMIT:
		/* The host is about to cancel the call. */
		return;
	default:
		call_cancel(w, call, "admin", status,
			    "a part of the worker's answer could not be "
			    "passed on");
		return;
	}
	if (w->concurrency == 1) {
		call->blocked = true;
		w->held = true;
		if (w->process != NULL)
			w->backend->process->pause(w->process);
		return;
	}
	/* Of the first one nobody could know. */
	call->over += call->blocked ? length : 0;
	call->blocked = true;
	if (call->over > most)
		call_cancel(w, call, "client_gone", ATOM_ELIMIT,
			    "the client reads more slowly than the agent "
			    "answers, and the agent's worker does not wait "
			    "for it");
}

/* --- cancel, resume ------------------------------------------------------------ */

void call_cancel(struct worker *w, struct call *call, const char *reason,
		 atom_status status, const char *text)
{
	if (call->state != CALL_RUNNING)
		return;
	call->state = CALL_CANCELLED;
	call->verdict = status;
	call->verdict_text = text;
	call->blocked = false;
	call->progress_at_ms = NEVER;
	call->cancel_at_ms =
		now_ms(w->backend) + w->backend->options->cancel_grace_ms;
	supervise_by(w, call->cancel_at_ms);
	if ((w->caps & CAP_CANCEL) != 0)
		send_cancel(w, call, reason);
	/* Or the worker would be stuck in its write. */
	release_socket(w);
}

void call_cancel_overdue(struct worker *w, struct call *call)
{
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status = verdict(call, &err);

	call->cancel_at_ms = NEVER;
	worker_log(w, ATOM_LOG_WARN, "worker_ignores_cancel",
		   "a call did not end within %lld ms after it was cancelled; "
		   "the worker is replaced",
		   (long long)w->backend->options->cancel_grace_ms);
	/* It alone could be waited for, so nothing is lost by force. */
	if (w->concurrency == 1)
		w->condemned = true;
	worker_retire(w, "it did not end a cancelled call");
	finish(w, call, CALL_ZOMBIE, status, &err);
}

void call_resume(struct worker *w, struct call *call)
{
	call->blocked = false;
	call->over = 0;
	release_socket(w);
	grant(w, call);
}
