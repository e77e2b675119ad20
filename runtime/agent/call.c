/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/call.h"

#include <assert.h>
#include <stdio.h>

#include "agent/attempt.h"
#include "agent/directory.h"
#include "agent/pool.h"
#include "core/memory.h"
#include "core/os.h"

/* How long after a deadline the backend may take to end the call itself, so
 * that its usage still counts; then the client is answered without it. */
#define GRACE_MS 250

/* Calls that live, by loop; each list is its loop's own. */
static struct call *lists[LOOP_MAX + 1];
static _Atomic bool refusing;

static void list_add(struct call *call)
{
	struct call **first = &lists[loop_index(call->loop)];

	call->previous = NULL;
	call->next = *first;
	if (*first != NULL)
		(*first)->previous = call;
	*first = call;
}

static void list_remove(struct call *call)
{
	struct call **first = &lists[loop_index(call->loop)];

	if (call->previous != NULL)
		call->previous->next = call->next;
	else
		*first = call->next;
	if (call->next != NULL)
		call->next->previous = call->previous;
	call->previous = call->next = NULL;
}

static void tell_end(struct call *call, atom_status status,
		     const struct atom_error *error)
{
	assert(!call->ended);
	call->ended = true;
	call->events->end(call, status, error);
}

static void end_with(struct call *call, atom_status status, const char *code,
		     const char *message)
{
	struct atom_error err = ATOM_ERROR_INIT;

	atom_fail(&err, status, "%s", message);
	(void)snprintf(err.code, sizeof(err.code), "%s", code);
	tell_end(call, status, &err);
}

static void timed_out(struct call *call)
{
	char message[160];

	call->granted_ns = atomic_load(&call->attempt->granted_ns);
	(void)snprintf(message, sizeof(message),
		       "the agent did not answer in time: its %s deadline "
		       "has passed",
		       call->timeout_what);
	end_with(call, ATOM_ETIMEOUT, "timeout", message);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Until the next moment at which some deadline could have passed.  Emits do
 * not move the timer: it looks when it fires. */
static void arm(struct call *call)
{
	const struct atom_call_request *request = &call->request;
	bool stream = (request->flags & ATOM_CALL_STREAM) != 0;
	int64_t now = loop_now_ms(call->loop);
	int64_t granted_ns = atomic_load(&call->attempt->granted_ns);
	int64_t next = call->deadline_ms;

	if (granted_ns == 0)
		next = earlier(next, call->queue_until_ms);
	if (stream && request->first_token_ms > 0 && call->first_emit_ns == 0)
		next = earlier(next,
			       (granted_ns == 0 ? now : granted_ns / 1000000) +
				       request->first_token_ms);
	if (stream && request->stall_ms > 0)
		next = earlier(next, (call->first_emit_ns == 0 || call->blocked
					      ? now
					      : call->last_emit_ms) +
					     request->stall_ms);
	/* Without memory for the timer the deadlines of the other parts
	 * (backend, connection) still hold. */
	(void)timer_set(call->loop, &call->timer, next > now ? next - now : 1);
}

static const char *passed(struct call *call, int64_t now)
{
	const struct atom_call_request *request = &call->request;
	bool stream = (request->flags & ATOM_CALL_STREAM) != 0;
	int64_t granted_ns = atomic_load(&call->attempt->granted_ns);

	if (now >= call->deadline_ms)
		return "total";
	if (!stream || granted_ns == 0)
		return NULL;
	if (call->first_emit_ns == 0)
		return request->first_token_ms > 0 &&
				       now >= granted_ns / 1000000 +
						       request->first_token_ms
			       ? "first token"
			       : NULL;
	return request->stall_ms > 0 && !call->blocked &&
			       now >= call->last_emit_ms + request->stall_ms
		       ? "stall"
		       : NULL;
}

static void on_timer(struct timer *timer)
{
	struct call *call = CONTAINER_OF(timer, struct call, timer);
	int64_t now = loop_now_ms(call->loop);

	if (call->grace) {
		timed_out(call);
		return;
	}
	if (call->cancel_reason != 0)
		return;
	call->timeout_what = passed(call, now);
	if (call->timeout_what != NULL) {
		call->cancel_reason = ATOM_CANCEL_DEADLINE;
		call->grace = true;
		attempt_cancel(call->attempt, ATOM_CANCEL_DEADLINE);
		(void)timer_set(call->loop, timer, GRACE_MS);
		return;
	}
	if (now >= call->queue_until_ms &&
	    atomic_load(&call->attempt->granted_ns) == 0) {
		attempt_cancel(call->attempt, ATTEMPT_LEAVE_QUEUE);
		/* Asked once: the total deadline is what is left. */
		call->queue_until_ms = INT64_MAX;
	}
	arm(call);
}

void call_start(struct call *call)
{
	const struct config_agent *agent = call->revision->agent;
	int64_t now = loop_now_ms(call->loop);

	assert(loop_current() == call->loop);
	call->began_ns = os.monotonic_ns();
	call->request.deadline_ms = agent->timeouts.total_ms;
	call->request.first_token_ms = agent->timeouts.first_token_ms;
	call->request.stall_ms = agent->timeouts.stall_ms;
	call->request.connect_ms = agent->timeouts.connect_ms;
	call->request.attempt = 1;
	call->deadline_ms = now + agent->timeouts.total_ms;
	call->queue_until_ms = now + agent->queue.timeout_ms;
	call->timer.fire = on_timer;
	list_add(call);
	if (atomic_load(&refusing)) {
		end_with(call, ATOM_EUNAVAILABLE, "shutting_down",
			 "the daemon is stopping; try another instance or "
			 "later");
		goto release;
	}
	call->attempt = attempt_new(call);
	if (call->attempt == NULL) {
		end_with(call, ATOM_ENOMEM, "backend_error",
			 "no memory for another call");
		goto release;
	}
	arm(call);
	attempt_begin(call->attempt);
	return;
release:
	list_remove(call);
	revision_unref(TAKE(call->revision));
	call->events->release(call);
}

void call_cancel(struct call *call, int32_t why)
{
	if (call->attempt == NULL || call->cancel_reason != 0)
		return;
	call->cancel_reason = why;
	attempt_cancel(call->attempt, why);
}

void call_resume(struct call *call)
{
	if (!call->blocked)
		return;
	call->blocked = false;
	call->last_emit_ms = loop_now_ms(call->loop);
	if (call->attempt != NULL)
		attempt_resume(call->attempt);
}

/* --- what comes from the attempt ------------------------------------------ */

void call_deliver_begin(struct call *call, int32_t status,
			const char *content_type)
{
	if (call->ended || call->cancel_reason != 0)
		return;
	if (call->events->begin != NULL)
		call->events->begin(call, status, content_type);
}

atom_status call_deliver_emit(struct call *call, int32_t kind,
			      const char *bytes, size_t length)
{
	atom_status status;

	if (call->ended || call->cancel_reason != 0)
		return ATOM_ECANCELED;
	if (call->first_emit_ns == 0 && kind != ATOM_EMIT_EVENT)
		call->first_emit_ns = os.monotonic_ns();
	call->last_emit_ms = loop_now_ms(call->loop);
	call->emitted_bytes += length;
	status = call->events->emit(call, kind, bytes, length);
	if (status == ATOM_EBUSY)
		call->blocked = true;
	return status;
}

void call_deliver_finish(struct call *call, struct attempt *attempt)
{
	const struct atom_error *error = attempt->error;
	struct atom_error plain = ATOM_ERROR_INIT;
	struct revision *revision = call->revision;

	timer_stop(&call->timer);
	call->granted_ns = atomic_load(&attempt->granted_ns);
	call->usage = attempt->usage;
	call->usage_known = attempt->usage_known;
	call->state = attempt->state_bytes;
	call->state_set = attempt->state_set;
	attempt->state_bytes = (struct buffer)BUFFER_INIT(0);
	if (attempt->status != ATOM_OK && error == NULL) {
		atom_fail(&plain, attempt->status,
			  "the backend failed without a reason");
		error = &plain;
	}
	if (!call->ended && attempt->status != ATOM_OK && call->grace)
		timed_out(call);
	else if (!call->ended)
		tell_end(call, attempt->status, error);
	list_remove(call);
	call->attempt = NULL;
	call->revision = NULL;
	buffer_fini(&call->state);
	call->events->release(call);
	attempt_unref(attempt);
	revision_unref(revision);
}

void calls_cancel_all(struct loop *loop, int32_t why)
{
	struct call *next;

	for (struct call *c = lists[loop_index(loop)]; c != NULL; c = next) {
		next = c->next;
		call_cancel(c, why);
	}
}

void calls_refuse(void)
{
	atomic_store(&refusing, true);
}

/* --- spare calls give way ------------------------------------------------- */

struct notice {
	struct message message;
	_Atomic bool posted;
	_Atomic bool all; /* the daemon stops */
};

static struct notice notices[LOOP_MAX];

static void on_notice(struct loop *loop, struct message *message)
{
	struct notice *notice = CONTAINER_OF(message, struct notice, message);
	struct call *next;
	bool all;

	/* In this order: who finds it posted has said what it says before. */
	atomic_store(&notice->posted, false);
	all = atomic_load(&notice->all);
	for (struct call *c = lists[loop_index(loop)]; c != NULL; c = next) {
		next = c->next;
		if (!call_is_spare(c) || c->revision == NULL)
			continue;
		if (all)
			call_cancel(c, ATOM_CANCEL_SHUTDOWN);
		else if (atomic_load(&c->revision->pool.waiting) > 0)
			call_cancel(c, ATOM_CANCEL_ADMIN);
	}
}

static void notify_loops(bool all)
{
	for (unsigned int i = 0; i < loops_serving(); i++) {
		struct notice *notice = &notices[i];

		if (all)
			atomic_store(&notice->all, true);
		if (atomic_exchange(&notice->posted, true))
			continue;
		notice->message.deliver = on_notice;
		loop_post(loops_get(i), &notice->message);
	}
}

void calls_give_way(void)
{
	notify_loops(false);
}

void calls_end_spare(void)
{
	notify_loops(true);
}
