/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/mirror.h"

#include <stdio.h>
#include <string.h>

#include "agent/mirroring.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "gateway/api_error.h"
#include "gateway/exchange_priv.h"
#include "gateway/said.h"
#include "rollout/likeness.h"

/* Kept for each: both answers, the body, and the messages made of it. */
#define BYTES_OF(body_length) \
	(2 * (int64_t)SAID_MAX + 2 * (int64_t)(body_length))

/* What one of the two revisions said. */
struct said {
	struct completion completion;
	bool cut; /* there was more, or it could not be kept */
};

struct mirror {
	struct message message;	   /* to its own loop: the next turn */
	struct exchange *exchange; /* once it has begun */
	struct revision *revision; /* a reference until the call has it */
	struct mirroring *of;	   /* the exchange's trial holds it */
	char agent[64];		   /* a name is at most 63 bytes */
	struct said old;
	struct revision_outcome old_outcome;
	bool answered;
	struct buffer remembered; /* the session's messages */
	int64_t bytes;		  /* taken */
	int64_t old_tokens;
	int64_t reserved;
	int32_t cell;
	struct said new; /* its completion is the exchange's */
	struct revision_outcome new_outcome;
	enum mirrored_result result;
};

static int64_t now_ms(void)
{
	return os.monotonic_ns() / 1000000;
}

/* Of the new revision, while there is one to count it for. */
static void note(const struct exchange *x, const char *agent,
		 enum mirrored_result result)
{
	struct mirroring *of = trial_mirroring(x->assignment.trial);
	struct mirror_route route;

	if (!directory_mirror(agent, strlen(agent), x->assignment.trial,
			      &route))
		return;
	mirroring_note(of, route.revision, result);
	revision_unref(route.revision);
}

void mirror_free(struct mirror **at)
{
	struct mirror *m = *at;

	if (m == NULL)
		return;
	*at = NULL;
	mirroring_give_back(m->of, m->bytes);
	completion_fini(&m->old.completion);
	buffer_fini(&m->remembered);
	mem_free(m);
}

/* --- with the caller's call --------------------------------------------------- */

void mirror_expect(struct exchange *x)
{
	const char *agent = revision_agent(x->revision);
	struct mirroring *of;
	struct mirror *m;

	if (!x->assignment.mirrored)
		return;
	of = trial_mirroring(x->assignment.trial);
	if (!mirroring_take(of, BYTES_OF(x->body_length))) {
		note(x, agent, MIRRORED_FULL);
		return;
	}
	m = mem_zalloc(sizeof(*m));
	if (m == NULL) {
		mirroring_give_back(of, BYTES_OF(x->body_length));
		note(x, agent, MIRRORED_NO_MEMORY);
		return;
	}
	m->of = of;
	(void)snprintf(m->agent, sizeof(m->agent), "%s", agent);
	m->bytes = BYTES_OF(x->body_length);
	completion_init(&m->old.completion);
	x->mirror = m;
}

void mirror_hear(struct exchange *x, int32_t kind, const char *bytes,
		 size_t length)
{
	/* The whole answer is put together anyway, and taken over later. */
	if (x->mirror != NULL && x->stream)
		said_keep(&x->mirror->old.completion, &x->mirror->old.cut,
			  false, kind, bytes, length);
}

/* Times from the slot on: a mirrored call does not wait for one. */
static struct revision_outcome served(const struct exchange *x, int status)
{
	const struct call *call = &x->call;

	return (struct revision_outcome){
		.http_status = status,
		.called = true,
		.stream = x->stream,
		.invalid_json = x->no_json,
		.began_ns = call->granted_ns,
		.granted_ns = call->granted_ns,
		.first_emit_ns = call->first_emit_ns,
		.ended_ns = os.monotonic_ns(),
		.input_tokens = call->usage.input_tokens,
		.output_tokens = call->usage.output_tokens,
	};
}

void mirror_answered(struct exchange *x, const struct revision_outcome *o)
{
	struct mirror *m = x->mirror;

	if (m == NULL || o->http_status == REVISION_CLIENT_GONE ||
	    o->granted_ns == 0)
		return;
	m->old_outcome = served(x, o->http_status);
	m->answered = true;
}

void mirror_remember(struct exchange *x)
{
	struct session_use *use = &x->conversation->use;

	if (x->mirror == NULL)
		return;
	x->mirror->remembered = use->messages;
	use->messages = (struct buffer)BUFFER_INIT(0);
}

/* --- the comparison ------------------------------------------------------------- */

static void hold_together(const struct answer *a, const struct answer *b,
			  struct mirrored_pair *pair)
{
	pair->texts =
		likeness_of_texts(a->text.bytes, a->text.length, b->text.bytes,
				  b->text.length, &pair->similarity) == ATOM_OK;
	if (a->is_json && b->is_json)
		pair->json_differs = likeness_of_shapes(&a->json, &b->json) ==
				     LIKENESS_DIFFERS;
	else
		pair->json_differs = a->is_json != b->is_json;
}

static void compare_texts(struct exchange *x, struct mirrored_pair *pair)
{
	struct mirror *m = x->mirror;
	struct answer old, new;
	bool read;

	/* One that is far too long is like no other. */
	pair->texts = m->old.cut != m->new.cut;
	if (m->old.cut || m->new.cut)
		return;
	read = answer_read(&m->old.completion, SAID_MAX, &old);
	read = answer_read(&x->completion, SAID_MAX, &new) && read;
	if (read)
		hold_together(&old, &new, pair);
	answer_fini(&old);
	answer_fini(&new);
}

static void compare(struct exchange *x, int64_t new_tokens)
{
	struct mirror *m = x->mirror;
	const struct revision_outcome *old = &m->old_outcome;
	const struct revision_outcome *new = &m->new_outcome;
	bool old_failed = old->http_status >= 400;
	bool new_failed = new->http_status >= 400;
	struct mirrored_pair pair = {
		.status_differs = old_failed != new_failed,
		.old_ns = old->ended_ns - old->began_ns,
		.new_ns = new->ended_ns - new->began_ns,
		.old_tokens = m->old_tokens,
		.new_tokens = new_tokens,
	};

	if (!old_failed && !new_failed)
		compare_texts(x, &pair);
	mirroring_compared(m->of, &pair);
	trial_count_pair(x->assignment.trial, m->cell, old, new);
}

/* --- the mirrored call ------------------------------------------------------------ */

static atom_status on_emit(struct call *call, int32_t kind, const char *bytes,
			   size_t length)
{
	struct exchange *x = CONTAINER_OF(call, struct exchange, call);

	if (x->stream && (kind == ATOM_EMIT_RAW || kind == ATOM_EMIT_DELTA))
		token_chunks_add(&x->chunks, length);
	said_keep(&x->completion, &x->mirror->new.cut, !x->stream, kind, bytes,
		  length);
	return ATOM_OK;
}

static void on_end(struct call *call, atom_status status,
		   const struct atom_error *error)
{
	struct exchange *x = CONTAINER_OF(call, struct exchange, call);
	struct mirror *m = x->mirror;
	struct api_error e = API_ERROR_INIT;

	x->stage = EXCHANGE_ENDED;
	if (status == ATOM_OK)
		m->result = MIRRORED_COMPARED;
	else if (call->cancel_reason == ATOM_CANCEL_SHUTDOWN)
		m->result = MIRRORED_STOPPED;
	else if (call->granted_ns == 0 ||
		 call->cancel_reason == ATOM_CANCEL_ADMIN)
		m->result = MIRRORED_BUSY;
	else
		m->result = MIRRORED_COMPARED;
	if (status != ATOM_OK)
		api_error_of_call(&e, status, error, call->cancel_reason);
	x->no_json = x->wants_json && e.status == 0 && !m->new.cut &&
		     !completion_is_json(&x->completion);
	m->new_outcome = served(x, e.status == 0 ? 200 : e.status);
}

static void tell(const struct exchange *x, const struct revision *revision)
{
	const struct mirror *m = x->mirror;

	if (!log_enabled(ATOM_LOG_DEBUG))
		return;
	log_line(ATOM_LOG_DEBUG, "mirrored_call", mirroring_word(m->result),
		 LOG_TEXT("agent", revision_agent(revision)),
		 LOG_TEXT("revision", revision_label(revision)),
		 LOG_TEXT("request", x->request_id),
		 LOG_NUMBER("old_status", m->old_outcome.http_status),
		 LOG_NUMBER("status", m->new_outcome.http_status));
}

/* The backend, too, is done with it. */
static void on_release(struct call *call)
{
	struct exchange *x = CONTAINER_OF(call, struct exchange, call);
	struct mirror *m = x->mirror;
	bool failed = m->new_outcome.http_status >= 400;
	int64_t used = call->granted_ns == 0
			       ? 0
			       : tokens_of_call(call, &x->chunks, failed);

	token_hour_settle(&m->of->hour, m->reserved, used, now_ms());
	if (m->result == MIRRORED_COMPARED)
		compare(x, used);
	if (call->granted_ns != 0)
		mirroring_measure(m->of, m->revision, call->usage.input_tokens,
				  call->usage.output_tokens,
				  m->new_outcome.ended_ns - call->granted_ns);
	mirroring_note(m->of, m->revision, m->result);
	tell(x, m->revision);
	revision_unref(TAKE(m->revision));
	exchange_free(x);
}

static const struct call_events events = {
	.emit = on_emit,
	.end = on_end,
	.release = on_release,
};

/* The exchange as it was before its call, for another revision. */
static atom_status ask_again(struct exchange *x)
{
	struct mirror *m = x->mirror;
	const struct atom_call_request asked = x->call.request;

	x->call = (struct call){ .request = asked, .spare = true };
	x->call.request.flags |= ATOM_CALL_DRY_RUN;
	x->chunks = (struct token_chunks){ .count = 0 };
	x->no_json = x->raw = false;
	id_new("req_", x->request_id);
	buffer_clear(&x->messages);
	if (x->conversation != NULL) {
		x->conversation->use.messages = m->remembered;
		m->remembered = (struct buffer)BUFFER_INIT(0);
	}
	x->revision = m->revision;
	return exchange_compose(x);
}

/* It does not come to a call. */
static void drop(struct exchange *x, enum mirrored_result result)
{
	struct mirror *m = x->mirror;

	token_hour_settle(&m->of->hour, m->reserved, 0, now_ms());
	mirroring_note(m->of, m->revision, result);
	revision_unref(TAKE(m->revision));
	exchange_free(x);
}

static void on_turn(struct loop *loop, struct message *message)
{
	struct mirror *m = CONTAINER_OF(message, struct mirror, message);
	struct exchange *x = m->exchange;

	if (ask_again(x) != ATOM_OK) {
		drop(x, MIRRORED_NO_MEMORY);
		return;
	}
	x->stage = EXCHANGE_CALLING;
	x->call.loop = loop;
	x->call.revision = x->revision;
	x->call.events = &events;
	revision_ref(m->revision); /* for the call */
	call_start(&x->call);
}

/* What the caller's call used is what this one is expected to. */
static bool within_budget(struct exchange *x, int64_t budget)
{
	struct mirror *m = x->mirror;
	bool failed = m->old_outcome.http_status >= 400;

	m->old_tokens = tokens_of_call(&x->call, &x->chunks, failed);
	if (!token_hour_reserve(&m->of->hour, m->old_tokens, budget, now_ms()))
		return false;
	m->reserved = m->old_tokens;
	return true;
}

static void take_answer(struct exchange *x)
{
	struct mirror *m = x->mirror;

	if (!x->stream && x->completion.bytes <= SAID_MAX) {
		m->old.completion = x->completion;
		completion_init(&x->completion);
	} else {
		m->old.cut |= !x->stream;
		completion_clear(&x->completion, 0);
	}
}

bool mirror_begin(struct exchange *x)
{
	struct mirror *m = x->mirror;
	struct mirror_route route;

	/* Once is enough. */
	if (m == NULL || m->exchange != NULL)
		return false;
	if (!m->answered) {
		note(x, m->agent, MIRRORED_NOT_ANSWERED);
		return false;
	}
	if (!directory_mirror(m->agent, strlen(m->agent), x->assignment.trial,
			      &route))
		return false;
	m->revision = route.revision;
	m->cell = route.cell;
	m->exchange = x;
	if (!within_budget(x, route.budget)) {
		drop(x, MIRRORED_BUDGET);
		return true;
	}
	take_answer(x);
	m->message.deliver = on_turn;
	loop_post(x->loop, &m->message);
	return true;
}
