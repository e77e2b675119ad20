/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/exchange.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "gateway/desk.h"
#include "gateway/exchange_priv.h"
#include "gateway/grade.h"
#include "gateway/mirror.h"
#include "gateway/refusal.h"
#include "monitor/calls.h"

/* Bodies up to this length are copied (a few ten nanoseconds a KiB), longer
 * ones taken over. */
#define KEPT_BODY_MAX ((size_t)16 * 1024)
/* Memory that a spare exchange may hold, and how many of them there are. */
#define KEPT_BYTES ((size_t)4 * 1024)
#define SPARE_MAX  64
/* Of the spliced messages: a body and a session at their longest. */
#define MESSAGES_BYTES_MAX ((size_t)64 * 1024 * 1024)

/* --- making and freeing ----------------------------------------------------- */

static void trim(struct buffer *buffer)
{
	if (buffer->capacity > KEPT_BYTES)
		buffer_fini(buffer);
	else
		buffer_clear(buffer);
}

static void exchange_reset(struct exchange *x)
{
	struct buffer kept = x->kept, messages = x->messages;
	struct completion completion = x->completion;

	memset(x, 0, sizeof(*x));
	x->kept = kept;
	x->messages = messages;
	x->completion = completion;
	buffer_init(&x->input, MESSAGES_BYTES_MAX);
}

void exchange_free(struct exchange *x)
{
	struct desk *desk = desk_of(x->loop);

	assert(x->request == NULL && x->stage != EXCHANGE_CALLING);
	timer_stop(&x->quiet);
	if (x->conversation != NULL) {
		buffer_fini(&x->conversation->use.messages);
		buffer_fini(&x->conversation->use.state);
		buffer_fini(&x->conversation->state);
		mem_free(x->conversation);
	}
	mirror_free(&x->mirror);
	grade_free(&x->grade);
	mem_free(x->taken);
	mem_free(x->failure);
	buffer_fini(&x->input);
	allowance_fini(&x->allowance);
	trial_unref(x->assignment.trial);
	desk_leave(desk);
	completion_clear(&x->completion, KEPT_BYTES);
	if (desk->spare_count < SPARE_MAX) {
		trim(&x->kept);
		trim(&x->messages);
		x->next = desk->spare;
		desk->spare = x;
		desk->spare_count++;
		return;
	}
	buffer_fini(&x->kept);
	buffer_fini(&x->messages);
	completion_fini(&x->completion);
	mem_free(x);
}

void exchanges_free(struct desk *desk)
{
	struct exchange *x;

	while ((x = desk->spare) != NULL) {
		desk->spare = x->next;
		buffer_fini(&x->kept);
		buffer_fini(&x->messages);
		completion_fini(&x->completion);
		mem_free(x);
	}
	desk->spare_count = 0;
}

static bool keep_body(struct exchange *x)
{
	const char *body = http_body(x->request, &x->body_length);

	if (x->body_length > KEPT_BODY_MAX) {
		x->body = x->taken =
			http_body_take(x->request, &x->body_length);
		return x->taken != NULL;
	}
	if (buffer_append(&x->kept, body, x->body_length) != ATOM_OK)
		return false;
	x->body = x->kept.bytes;
	return true;
}

static struct exchange *exchange_alloc(struct desk *desk)
{
	struct exchange *x = desk->spare;

	if (x != NULL) {
		desk->spare = x->next;
		desk->spare_count--;
	} else {
		x = mem_zalloc(sizeof(*x));
		if (x == NULL)
			return NULL;
		buffer_init(&x->kept, KEPT_BODY_MAX);
		buffer_init(&x->messages, MESSAGES_BYTES_MAX);
		completion_init(&x->completion);
	}
	exchange_reset(x);
	return x;
}

static void answer_no_memory(struct http_request *request)
{
	struct api_error e;

	api_error_set(&e, "internal_error", NULL, "no memory for another call");
	api_error_answer(request, &e);
	http_request_release(request);
}

struct exchange *exchange_new(struct http_request *request,
			      const struct surface *surface)
{
	struct loop *loop = http_loop(request);
	struct desk *desk = desk_of(loop);
	struct exchange *x = exchange_alloc(desk);
	const char *trace;

	if (x == NULL) {
		answer_no_memory(request);
		return NULL;
	}
	desk_enter(desk);
	x->loop = loop;
	x->request = request;
	x->surface = surface;
	if (!keep_body(x)) {
		x->request = NULL;
		exchange_free(x);
		answer_no_memory(request);
		return NULL;
	}
	(void)snprintf(x->request_id, sizeof(x->request_id), "%s",
		       http_request_id(request));
	(void)snprintf(x->address, sizeof(x->address), "%s",
		       http_client_address(request));
	trace = http_field(request, "traceparent");
	if (trace != NULL && traceparent_valid(trace))
		memcpy(x->traceparent, trace, sizeof(x->traceparent));
	if (calls_watched())
		exchange_trace(x);
	return x;
}

/* --- before the call --------------------------------------------------------- */

/* Who may not call the agent does not learn which revisions it has. */
static bool no_revision(struct exchange *x, const struct admission *admission,
			const struct route_wish *wish, struct api_error *e)
{
	x->revision = directory_find(wish->agent, wish->agent_length);
	if (x->revision != NULL &&
	    admission_agent(&admission->principal, x->revision, e))
		api_error_set(e, "revision_not_found", "x-atomd-revision",
			      "agent %s has no revision '%.20s' that is ready "
			      "for calls; %s is its stable one",
			      revision_agent(x->revision), wish->revision,
			      revision_label(x->revision));
	return false;
}

bool exchange_route(struct exchange *x, const struct admission *admission,
		    const char *agent, size_t length, const char *session,
		    struct api_error *e)
{
	const struct route_wish wish = {
		.agent = agent,
		.agent_length = length,
		.principal = admission->principal.name,
		.session = session,
		.revision = http_field(x->request, "x-atomd-revision"),
		.mirrors = true,
	};
	enum route_result found;

	(void)snprintf(x->user, sizeof(x->user), "%s",
		       admission->principal.name);
	found = directory_route(&wish, &x->revision, &x->assignment);
	if (found == ROUTE_NO_REVISION)
		return no_revision(x, admission, &wish, e);
	if (found == ROUTE_NO_AGENT)
		api_error_no_agent(e, agent, length);
	return found == ROUTE_FOUND &&
	       admission_agent(&admission->principal, x->revision, e);
}

bool exchange_join(struct exchange *x, const struct principal *principal,
		   const char *session_id, struct api_error *e)
{
	struct conversation *c;

	if (!session_id_valid(session_id)) {
		api_error_set(e, "invalid_request", "session_id",
			      "a session's name is 1 to %d characters of "
			      "A-Z a-z 0-9 _ . : -",
			      SESSION_ID_MAX);
		return false;
	}
	c = mem_zalloc(sizeof(*c));
	if (c == NULL) {
		api_error_set(e, "internal_error", NULL,
			      "no memory for a session");
		return false;
	}
	(void)snprintf(c->id, sizeof(c->id), "%s", session_id);
	(void)snprintf(c->principal, sizeof(c->principal), "%s",
		       principal->name);
	x->conversation = c;
	return true;
}

/* max_tokens in force; 0 = nobody has stated any. */
static int64_t output_tokens(const struct exchange *x)
{
	return x->max_tokens > 0 ? x->max_tokens
				 : revision_max_tokens(x->revision);
}

bool exchange_admit(struct exchange *x, const struct principal *principal,
		    struct api_error *e)
{
	const char *prompt = revision_config(x->revision)->system_prompt;
	int64_t tokens = tokens_of_input(x->asked.at, x->asked.length) +
			 tokens_of_text(strlen(prompt)) +
			 tokens_bounded(output_tokens(x));

	return allowance_take(&x->allowance, principal, x->revision, tokens, e);
}

const struct buffer *exchange_remembered(const struct exchange *x)
{
	return x->conversation != NULL ? &x->conversation->use.messages : NULL;
}

const char *exchange_session(const struct exchange *x)
{
	return x->conversation != NULL ? x->conversation->id : NULL;
}

/* Ends an exchange whose call has not begun.  `e` may be NULL when the client
 * has gone. */
static void end_early(struct exchange *x, const struct api_error *e)
{
	struct http_request *request;

	exchange_settle(x, true);
	x->stage = EXCHANGE_ENDED;
	request = TAKE(x->request);
	if (x->revision != NULL) {
		exchange_count(x, request != NULL ? e->status : STATUS_GONE);
		exchange_record(x, request != NULL ? e->status : STATUS_GONE,
				request != NULL ? e->code : NULL);
		if (request != NULL)
			exchange_name_agent(x, request);
		revision_unref(TAKE(x->revision));
	}
	if (request != NULL)
		api_error_answer(request, e);
	exchange_free(x);
	if (request != NULL)
		http_request_release(request);
}

/* Who may not call an agent is not part of what it did. */
static void refuse_access(struct exchange *x, const struct admission *admission,
			  const struct api_error *e)
{
	struct http_request *request = TAKE(x->request);
	char agent[64] = ""; /* a name is at most 63 bytes */

	if (x->revision != NULL) {
		(void)snprintf(agent, sizeof(agent), "%s",
			       revision_agent(x->revision));
		revision_unref(TAKE(x->revision));
	}
	x->stage = EXCHANGE_ENDED;
	exchange_free(x);
	refusal_answer(request, admission, agent, e);
}

void exchange_refuse(struct exchange *x, const struct admission *admission,
		     const struct api_error *e)
{
	assert(x->stage == EXCHANGE_READING);
	if (e->status == 401 || e->status == 403)
		refuse_access(x, admission, e);
	else
		end_early(x, e);
}

atom_status exchange_compose(struct exchange *x)
{
	struct atom_call_request *r = &x->call.request;
	const struct conversation *c = x->conversation;

	if (x->surface->splice(x) != ATOM_OK)
		return ATOM_ELIMIT;
	r->struct_size = sizeof(*r);
	r->flags |= x->stream ? ATOM_CALL_STREAM : 0;
	r->flags |= x->include_usage ? ATOM_CALL_WANTS_STREAM_USAGE : 0;
	r->operation = "chat";
	r->agent = r->model = revision_agent(x->revision);
	r->request_id = x->request_id;
	r->traceparent = x->traceparent;
	r->session_id = c != NULL ? c->id : "";
	if (c != NULL)
		r->state =
			(struct atom_span){ c->state.bytes, c->state.length };
	r->max_tokens = output_tokens(x);
	return ATOM_OK;
}

static void start_call(struct exchange *x)
{
	struct api_error e;

	if (exchange_compose(x) != ATOM_OK) {
		api_error_set(&e, "too_large", "messages",
			      "the messages and what the session remembers "
			      "are too long together");
		end_early(x, &e);
		return;
	}
	x->created_s = os.realtime_ms() / 1000;
	x->stage = EXCHANGE_CALLING;
	exchange_call(x);
}

/* While the call waited for its session's turn its revision gave way to
 * another: it is routed anew, unless the caller asked for just this one. */
static void follow_rollout(struct exchange *x)
{
	struct revision *before = x->revision, *revision;
	const struct route_wish wish = {
		.agent = revision_agent(before),
		.agent_length = strlen(revision_agent(before)),
		.principal = x->user,
		.session = exchange_session(x),
		.mirrors = true,
	};
	struct assignment assignment;

	if (!revision_retires(before) ||
	    http_field(x->request, "x-atomd-revision") != NULL ||
	    directory_route(&wish, &revision, &assignment) != ROUTE_FOUND)
		return;
	/* Another agent of that name: what is held is of the limits of the one
	 * that is gone, which the call keeps by its revision. */
	if (revision_limits(revision) != revision_limits(before)) {
		revision_unref(revision);
		trial_unref(assignment.trial);
		return;
	}
	x->revision = revision;
	trial_unref(x->assignment.trial);
	x->assignment = assignment;
	revision_unref(before);
}

static void on_opened(struct session_use *use, atom_status status)
{
	struct conversation *c = CONTAINER_OF(use, struct conversation, use);
	struct exchange *x = c->exchange;
	struct api_error e;

	switch (status) {
	case ATOM_OK:
		c->open = true;
		c->state = use->state;
		use->state = (struct buffer)BUFFER_INIT(0);
		if (x->request != NULL) {
			follow_rollout(x);
			start_call(x);
			return;
		}
		exchange_close_session(x, false);
		end_early(x, NULL);
		return;
	case ATOM_EBUSY:
		api_error_set(&e, "session_busy", NULL,
			      "another call of session %s has not ended; "
			      "wait for it, or use another session",
			      c->id);
		break;
	case ATOM_ELIMIT:
		api_error_set(&e, "queue_full", NULL,
			      "the agent has no room for another session");
		e.retry_after_ms = 1000;
		break;
	case ATOM_ENOMEM:
		api_error_set(&e, "internal_error", NULL,
			      "no memory for a session");
		break;
	case ATOM_EDATALOSS:
		api_error_set(&e, "state_unavailable", NULL,
			      "what was remembered of session %s is damaged; "
			      "delete it, or use another session",
			      c->id);
		break;
	default:
		api_error_set(&e, "state_unavailable", NULL,
			      "the session cannot be read from the store");
	}
	end_early(x, &e);
}

static void on_gone(struct http_request *request)
{
	struct exchange *x = http_user(request);

	x->request = NULL;
	if (x->stage == EXCHANGE_CALLING)
		call_cancel(&x->call, ATOM_CANCEL_CLIENT_GONE);
	else if (x->stage == EXCHANGE_WAITING)
		/* The turn comes all the same; its place is not held for it. */
		exchange_settle(x, true);
	http_request_release(request);
}

static void on_drain(struct http_request *request)
{
	struct exchange *x = http_user(request);

	call_resume(&x->call);
}

void exchange_begin(struct exchange *x)
{
	const struct config_agent *agent = revision_config(x->revision);
	struct conversation *c = x->conversation;

	http_set_user(x->request, x);
	http_on_gone(x->request, on_gone);
	if (x->stream)
		http_on_drain(x->request, on_drain);
	if (c == NULL) {
		start_call(x);
		return;
	}
	x->stage = EXCHANGE_WAITING;
	x->began_ns = os.monotonic_ns();
	c->exchange = x;
	session_open(&c->use, x->loop, agent->name, c->principal, c->id,
		     &agent->memory, agent->queue.timeout_ms, on_opened);
}
