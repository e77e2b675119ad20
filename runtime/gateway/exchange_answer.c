/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "agent/recent.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "gateway/desk.h"
#include "gateway/exchange_priv.h"
#include "gateway/grade.h"
#include "gateway/mirror.h"
#include "gateway/sse.h"

/* From the call to the client. */

/* Messages of one exchange that a session takes. */
#define COMMIT_MAX ((size_t)SESSION_BYTES_MAX)

void exchange_name_agent(const struct exchange *x, struct http_request *request)
{
	(void)http_add_field(request, "x-atomd-agent",
			     revision_agent(x->revision));
	(void)http_add_field(request, "x-atomd-revision",
			     revision_label(x->revision));
	allowance_tell(&x->allowance, request);
}

/* --- limits -------------------------------------------------------------------- */

void exchange_settle(struct exchange *x, bool failed)
{
	struct allowance *a = &x->allowance;

	if (x->settled)
		return;
	x->settled = true;
	allowance_leave(a);
	if (x->call.granted_ns != 0)
		allowance_settle(a,
				 tokens_of_call(&x->call, &x->chunks, failed));
	else if (x->request == NULL || x->lost)
		/* Nothing was used; but asking and leaving is asking. */
		allowance_settle(a, 0);
	else
		allowance_undo(a);
}

void exchange_count(struct exchange *x, int status)
{
	const struct call *call = &x->call;
	int64_t now = os.monotonic_ns();
	bool counted;
	struct revision_outcome outcome = {
		.http_status = status,
		.called = call->began_ns != 0,
		.stream = x->stream,
		.invalid_json = x->no_json,
		.began_ns = x->began_ns != 0	  ? x->began_ns
			    : call->began_ns != 0 ? call->began_ns
						  : now,
		.granted_ns = call->granted_ns,
		.first_emit_ns = call->first_emit_ns,
		.ended_ns = now,
		.input_tokens = call->usage.input_tokens,
		.output_tokens = call->usage.output_tokens,
		.trace_id = x->trace_id,
		.request_id = x->request_id,
	};

	revision_count(x->revision, &outcome);
	if (x->trace_id[0] != '\0')
		exchange_trace_end(x, &outcome);
	counted = trial_count(&x->assignment, &outcome);
	mirror_answered(x, &outcome);
	grade_counted(x, status, counted);
	if (outcome.called)
		recent_add(x->request_id, x->user, x->revision,
			   counted ? &x->assignment : NULL);
}

/* --- the session --------------------------------------------------------------- */

void exchange_close_session(struct exchange *x, bool commit)
{
	struct conversation *c = x->conversation;
	struct buffer said = BUFFER_INIT(COMMIT_MAX);
	size_t count = 0;
	bool kept;

	if (c == NULL || !c->open)
		return;
	c->open = false;
	mirror_remember(x);
	kept = commit && x->surface->remember(x, &said, &count) == ATOM_OK &&
	       (count == 0 || buffer_append_char(&said, ',') == ATOM_OK) &&
	       completion_message(&x->completion, &said) == ATOM_OK;
	if (kept)
		session_close(&c->use, &said, count + 1,
			      x->call.state_set ? &x->call.state : NULL);
	else
		session_close(&c->use, NULL, 0, NULL);
	if (commit && !kept)
		log_line(ATOM_LOG_WARN, "session_not_kept",
			 said.failed ? "what was said is too long for a "
				       "session to keep"
				     : "the answer holds no message that a "
				       "session could keep",
			 LOG_TEXT("agent", revision_agent(x->revision)),
			 LOG_TEXT("request", x->request_id));
	buffer_fini(&said);
}

/* --- a stream -------------------------------------------------------------------- */

static void begin_stream(struct exchange *x)
{
	x->begun = true;
	/* All that it said is ours by now. */
	http_request_forget(x->request);
	exchange_name_agent(x, x->request);
	(void)http_add_field(x->request, "Cache-Control", "no-cache");
	/* nginx in front of us would otherwise hold the events back. */
	(void)http_add_field(x->request, "X-Accel-Buffering", "no");
	http_stream_begin(x->request, 200, "text/event-stream");
}

/* Nothing has come for as long as a proxy may find normal: the answer begins
 * now, and the server's heartbeats keep it alive. */
static void on_quiet(struct timer *timer)
{
	static const char comment[] = ": waiting\n\n";
	struct exchange *x = CONTAINER_OF(timer, struct exchange, quiet);

	if (x->request == NULL || x->begun)
		return;
	begin_stream(x);
	(void)http_stream_write(x->request, comment, sizeof(comment) - 1);
}

/* The answer fails by our own doing. */
static void set_failure(struct exchange *x, atom_status status)
{
	if (x->failure != NULL)
		return;
	x->failure = mem_zalloc(sizeof(*x->failure));
	if (x->failure != NULL && status == ATOM_ELIMIT)
		api_error_set(x->failure, "backend_error", NULL,
			      "the agent's answer is longer than %zu MiB",
			      COMPLETION_BYTES_MAX >> 20);
	else if (x->failure != NULL && status == ATOM_EPROTO)
		api_error_set(x->failure, "backend_error", NULL,
			      "the agent's backend sent what is no answer");
	else if (x->failure != NULL)
		api_error_set(x->failure, "internal_error", NULL,
			      "no memory for the answer");
}

static atom_status give_up(struct exchange *x, atom_status status)
{
	set_failure(x, status);
	call_cancel(&x->call, ATOM_CANCEL_ADMIN);
	return ATOM_ECANCELED;
}

/* A piece is put together with the others where somebody wants the whole.
 * Tool calls always are: it is how they are checked. */
static bool must_collect(const struct exchange *x, int32_t kind)
{
	return !x->stream || x->conversation != NULL || x->surface->collects ||
	       x->wants_json || kind == ATOM_EMIT_DELTA;
}

static atom_status on_emit(struct call *call, int32_t kind, const char *bytes,
			   size_t length)
{
	struct exchange *x = CONTAINER_OF(call, struct exchange, call);
	struct buffer *out;
	atom_status status;

	if (x->request == NULL || x->lost || x->failure != NULL)
		return ATOM_ECANCELED;
	if (kind == ATOM_EMIT_RAW)
		x->raw = true;
	if (x->stream && (kind == ATOM_EMIT_RAW || kind == ATOM_EMIT_DELTA))
		token_chunks_add(&x->chunks, length);
	x->output_bytes += length;
	mirror_hear(x, kind, bytes, length);
	grade_hear(x, kind, bytes, length);
	if (must_collect(x, kind)) {
		status = completion_add(&x->completion, kind, !x->stream, bytes,
					length);
		if (status != ATOM_OK)
			return give_up(x, status);
	}
	if (!x->stream)
		return ATOM_OK;
	out = desk_scratch(desk_of(x->loop));
	x->surface->emit(x, kind, bytes, length, out);
	if (out->failed)
		return give_up(x, ATOM_ENOMEM);
	if (out->length == 0)
		return ATOM_OK;
	if (!x->begun)
		begin_stream(x);
	status = http_stream_write(x->request, out->bytes, out->length);
	x->lost = status == ATOM_ECANCELED;
	return status;
}

/* --- the end ----------------------------------------------------------------------- */

static void log_end(const struct exchange *x, int status,
		    const struct api_error *e)
{
	const struct call *call = &x->call;
	bool failed = status >= 500;
	int level = failed ? ATOM_LOG_WARN : ATOM_LOG_DEBUG;

	if (!log_enabled(level) ||
	    (failed && !desk_may_log(desk_of(x->loop), x->loop)))
		return;
	log_line(level, failed ? "call_failed" : "call",
		 e != NULL ? e->message : "",
		 LOG_TEXT("agent", revision_agent(x->revision)),
		 LOG_TEXT("revision", revision_label(x->revision)),
		 LOG_TEXT("request", x->request_id),
		 LOG_TEXT("code", e != NULL ? e->code : ""),
		 LOG_NUMBER("status", status),
		 LOG_NUMBER("duration_ms",
			    (os.monotonic_ns() - call->began_ns) / 1000000),
		 LOG_NUMBER("input_tokens", call->usage.input_tokens),
		 LOG_NUMBER("output_tokens", call->usage.output_tokens));
}

static void answer_error(struct exchange *x, const struct api_error *e,
			 struct buffer *out)
{
	if (!x->begun) {
		exchange_name_agent(x, x->request);
		api_error_answer(x->request, e);
		return;
	}
	buffer_clear(out);
	x->surface->fail(x, e, out);
	if (!out->failed)
		(void)http_stream_write(x->request, out->bytes, out->length);
	/* Without the event the connection is cut: nobody shall take what
	 * came for the whole. */
	http_stream_end(x->request, !out->failed);
}

/* Composes the answer of a call that ended well. */
static atom_status compose(struct exchange *x, struct buffer *out,
			   const struct buffer **body_r)
{
	atom_status status;

	*body_r = out;
	status = x->stream ? x->surface->finish(x, out)
			   : x->surface->whole(x, out, body_r);
	return out->failed ? ATOM_ENOMEM : status;
}

static void answer_well(struct exchange *x, const struct buffer *body)
{
	if (!x->stream) {
		exchange_name_agent(x, x->request);
		http_answer(x->request, 200, "application/json", body->bytes,
			    body->length);
		return;
	}
	if (!x->begun)
		begin_stream(x);
	(void)http_stream_write(x->request, body->bytes, body->length);
	http_stream_end(x->request, true);
}

void exchange_deliver(struct exchange *x, const struct api_error *e,
		      const struct buffer *body)
{
	struct http_request *request;

	if (e->status == 0)
		answer_well(x, body);
	else
		answer_error(x, e, desk_scratch(desk_of(x->loop)));
	request = TAKE(x->request);
	http_request_release(request);
}

/* Nobody is there to be answered. */
static void end_unheard(struct exchange *x)
{
	struct http_request *request = TAKE(x->request);

	exchange_close_session(x, false);
	exchange_count(x, STATUS_GONE);
	exchange_record(x, STATUS_GONE, NULL);
	log_end(x, STATUS_GONE, NULL);
	if (request == NULL)
		return;
	/* The connection is lost and has not told us yet. */
	http_stream_end(request, false);
	http_request_release(request);
}

static void on_end(struct call *call, atom_status status,
		   const struct atom_error *error)
{
	struct exchange *x = CONTAINER_OF(call, struct exchange, call);
	struct buffer *out = desk_scratch(desk_of(x->loop));
	const struct buffer *body = out;
	struct api_error e = API_ERROR_INIT;

	timer_stop(&x->quiet);
	x->stage = EXCHANGE_ENDED;
	/* Before the answer: whoever has it may ask again at once.  A backend
	 * that a deadline found at work may still tell what it has used. */
	if (status == ATOM_ETIMEOUT && call->grace && call->granted_ns != 0)
		allowance_leave(&x->allowance);
	else
		exchange_settle(x, status != ATOM_OK);
	if (x->request == NULL || x->lost) {
		end_unheard(x);
		return;
	}
	if (x->failure == NULL && status == ATOM_OK) {
		status = compose(x, out, &body);
		if (status != ATOM_OK)
			set_failure(x, status);
	}
	if (x->failure != NULL)
		e = *x->failure;
	else if (status == ATOM_ENOMEM)
		api_error_set(&e, "internal_error", NULL,
			      "no memory for the answer");
	else if (status != ATOM_OK)
		api_error_of_call(&e, status, error, call->cancel_reason);
	x->no_json = x->wants_json && e.status == 0 &&
		     !completion_is_json(&x->completion);
	/* The session first: whoever has the answer may ask on at once. */
	exchange_close_session(x, e.status == 0);
	exchange_count(x, e.status == 0 ? 200 : e.status);
	log_end(x, e.status == 0 ? 200 : e.status, e.status == 0 ? NULL : &e);
	if (exchange_hold(x, &e, body))
		return;
	exchange_record(x, e.status == 0 ? 200 : e.status, e.code);
	exchange_deliver(x, &e, body);
}

static void on_release(struct call *call)
{
	struct exchange *x = CONTAINER_OF(call, struct exchange, call);

	exchange_settle(x, true);
	if (!exchange_is_held(x))
		exchange_done(x);
}

void exchange_done(struct exchange *x)
{
	grade_begin(x);
	if (!mirror_begin(x))
		exchange_free(x);
}

static const struct call_events events = {
	.emit = on_emit,
	.end = on_end,
	.release = on_release,
};

void exchange_call(struct exchange *x)
{
	x->call.loop = x->loop;
	x->call.revision = x->revision;
	x->call.events = &events;
	if (x->stream) {
		x->quiet.fire = on_quiet;
		(void)timer_set(x->loop, &x->quiet,
				http_limits_default.heartbeat_ms);
	}
	mirror_expect(x);
	grade_expect(x);
	call_start(&x->call);
}
