/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/question.h"

#include <stdio.h>
#include <string.h>

#include "core/health.h"
#include "core/memory.h"
#include "core/os.h"
#include "gateway/messages.h"
#include "gateway/token_estimate.h"

/* Of the input, escaped; and of that behind the agent's system prompt. */
#define ASKED_MAX_BYTES	   ((size_t)8 * 1024 * 1024)
#define MESSAGES_MAX_BYTES ((size_t)64 * 1024 * 1024)
#define ANSWER_MAX	   ((size_t)1024 * 1024)
/* A sink that hangs is not waited for. */
#define DEADLINE_MS 5000

struct question *question_new(const char *agent)
{
	struct question *q = mem_zalloc(sizeof(*q));

	if (q == NULL)
		return NULL;
	(void)snprintf(q->agent, sizeof(q->agent), "%.79s", agent);
	buffer_init(&q->input, ASKED_MAX_BYTES);
	buffer_init(&q->body, ASKED_MAX_BYTES);
	buffer_init(&q->messages, MESSAGES_MAX_BYTES);
	completion_init(&q->completion);
	q->answer_max = ANSWER_MAX;
	return q;
}

void question_free(struct question **at)
{
	struct question *q = *at;

	if (q == NULL)
		return;
	*at = NULL;
	buffer_fini(&q->input);
	buffer_fini(&q->body);
	buffer_fini(&q->messages);
	completion_fini(&q->completion);
	trial_unref(q->assignment.trial);
	mem_free(q);
}

/* --- back on control ---------------------------------------------------------- */

static void tell(struct question *q)
{
	q->told = true;
	q->done(q);
}

/* A cancel may still be on its way. */
static void leave(struct question *q)
{
	q->over = true;
	if (!q->cancelling)
		question_free(&q);
}

/* Not recorded, not answered. */
static void withhold(struct question *q)
{
	q->status = atom_fail(&q->error, ATOM_EUNAVAILABLE,
			      "the call has ended, but it cannot be recorded "
			      "in the audit log, so its answer is withheld");
	(void)snprintf(q->error.code, sizeof(q->error.code),
		       "audit_unavailable");
}

static void on_recorded(struct audit_waiter *waiter, atom_status status)
{
	struct question *q = CONTAINER_OF(waiter, struct question, waiter);

	timer_stop(&q->deadline);
	if (!q->told) {
		if (status != ATOM_OK)
			withhold(q);
		tell(q);
	}
	leave(q);
}

static void on_unrecorded(struct timer *timer)
{
	struct question *q = CONTAINER_OF(timer, struct question, deadline);

	withhold(q);
	tell(q);
}

/* Details in the order of their names. */
static void describe(const struct question *q, struct audit_record *record)
{
	int status = q->seen.status == 0 ? 200 : q->seen.status;

	record->event = status >= 500 ? AUDIT_CALL_FAILED : AUDIT_CALL;
	record->user = q->user;
	record->request_id = q->request_id;
	audit_text(record, "agent", q->agent);
	if (q->seen.status != 0)
		audit_text(record, "code", q->seen.code);
	audit_number(record, "duration_ms", q->duration_ms);
	audit_number(record, "input_bytes", (int64_t)q->input.length);
	audit_number(record, "input_tokens", q->call.usage.input_tokens);
	audit_number(record, "output_bytes", (int64_t)q->call.emitted_bytes);
	audit_number(record, "output_tokens", q->call.usage.output_tokens);
	audit_text(record, "revision", q->revision);
	audit_number(record, "status", status);
}

/* Its answer waits for the record?  Then on_recorded() comes. */
static bool keep_record(struct question *q)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_NONE);

	if (q->revision[0] == '\0' || q->unseen || q->busy ||
	    !audit_enabled() || audit_calls() == CONFIG_AUDIT_NONE)
		return false;
	describe(q, &record);
	if (audit_calls() != CONFIG_AUDIT_STRICT) {
		(void)audit_post(&record, AUDIT_BATCHED, NULL);
		return false;
	}
	q->waiter.loop = loop_control();
	q->waiter.done = on_recorded;
	if (audit_post(&record, AUDIT_SOON, &q->waiter) != ATOM_OK) {
		withhold(q);
		return false;
	}
	q->deadline.fire = on_unrecorded;
	(void)timer_set(loop_control(), &q->deadline, DEADLINE_MS);
	return true;
}

static void on_back(struct loop *loop, struct message *message)
{
	struct question *q = CONTAINER_OF(message, struct question, message);

	(void)loop;
	if (keep_record(q))
		return;
	tell(q);
	leave(q);
}

static void go_back(struct question *q)
{
	q->message.deliver = on_back;
	loop_post(loop_control(), &q->message);
}

/* --- on its loop --------------------------------------------------------------- */

static atom_status on_emit(struct call *call, int32_t kind, const char *bytes,
			   size_t length)
{
	struct question *q = CONTAINER_OF(call, struct question, call);

	if (q->too_long || kind == ATOM_EMIT_EVENT)
		return ATOM_OK;
	if (length > q->answer_max - q->completion.bytes ||
	    completion_add(&q->completion, kind, true, bytes, length) !=
		    ATOM_OK) {
		q->too_long = true;
		completion_clear(&q->completion, 0);
	}
	return ATOM_OK;
}

/* Once; then it does nothing. */
static void settle(struct question *q, bool failed)
{
	static const struct token_chunks none;
	struct allowance *a = &q->allowance;

	if (q->settled)
		return;
	q->settled = true;
	allowance_leave(a);
	if (q->call.granted_ns != 0)
		allowance_settle(a, tokens_of_call(&q->call, &none, failed));
	else if (q->call.cancel_reason != 0)
		/* Nothing was used; but asking and leaving is asking. */
		allowance_settle(a, 0);
	else
		allowance_undo(a);
}

static void count(struct question *q, struct revision *revision)
{
	const struct call *call = &q->call;
	int64_t now = os.monotonic_ns();
	struct revision_outcome outcome = {
		.http_status = q->seen.status == 0 ? 200 : q->seen.status,
		.called = call->began_ns != 0,
		.began_ns = call->began_ns != 0 ? call->began_ns : now,
		.granted_ns = call->granted_ns,
		.first_emit_ns = call->first_emit_ns,
		.ended_ns = now,
		.input_tokens = call->usage.input_tokens,
		.output_tokens = call->usage.output_tokens,
		.request_id = q->request_id,
	};

	q->duration_ms = (now - outcome.began_ns) / 1000000;
	if (call->granted_ns != 0)
		q->duration_ns = now - call->granted_ns;
	/* That there is no room for an extra is no failure of the agent. */
	if (q->unseen || q->busy || q->probe)
		return;
	revision_count(revision, &outcome);
	if (!q->spare)
		(void)trial_count(&q->assignment, &outcome);
}

static void on_end(struct call *call, atom_status status,
		   const struct atom_error *error)
{
	struct question *q = CONTAINER_OF(call, struct question, call);

	timer_stop(&q->timer);
	/* A backend that a deadline found at work may still tell what it has
	 * used. */
	if (status == ATOM_ETIMEOUT && call->grace && call->granted_ns != 0 &&
	    !q->settled)
		allowance_leave(&q->allowance);
	else
		settle(q, status != ATOM_OK);
	q->status = status;
	q->busy = q->spare && status != ATOM_OK &&
		  (call->granted_ns == 0 ||
		   call->cancel_reason == ATOM_CANCEL_ADMIN ||
		   call->cancel_reason == ATOM_CANCEL_SHUTDOWN);
	if (status != ATOM_OK) {
		q->error = *error;
		api_error_of_call(&q->seen, status, error, call->cancel_reason);
	} else if (q->too_long) {
		q->status = atom_fail(&q->error, ATOM_ELIMIT,
				      "the answer of agent %s is longer than "
				      "%zu bytes, or is none",
				      q->agent, q->answer_max);
		api_error_set(&q->seen, "backend_error", NULL, "%s",
			      q->error.message);
	}
	count(q, call->revision);
}

static void on_release(struct call *call)
{
	static const struct token_chunks none;
	struct question *q = CONTAINER_OF(call, struct question, call);

	q->calling = false;
	settle(q, true);
	if (call->granted_ns != 0)
		q->tokens = tokens_of_call(call, &none, q->status != ATOM_OK);
	allowance_fini(&q->allowance);
	go_back(q);
}

static const struct call_events events = {
	.emit = on_emit,
	.end = on_end,
	.release = on_release,
};

static void on_timeout(struct timer *timer)
{
	struct question *q = CONTAINER_OF(timer, struct question, timer);

	call_cancel(&q->call, ATOM_CANCEL_DEADLINE);
}

/* Takes of the agent's limits.  False: q has why. */
static bool admit(struct question *q, struct revision *revision)
{
	const char *prompt = revision_config(revision)->system_prompt;
	struct atom_call_request *r = &q->call.request;
	struct principal principal = { .unlimited = true };
	int64_t tokens;

	(void)snprintf(principal.name, sizeof(principal.name), "%s", q->user);
	if (r->max_tokens <= 0)
		r->max_tokens = revision_max_tokens(revision);
	q->settled = q->probe;
	if (q->settled)
		return true;
	tokens = tokens_of_input(q->body.bytes + q->messages_at,
				 q->messages_length) +
		 tokens_of_text(strlen(prompt)) + tokens_bounded(r->max_tokens);
	if (allowance_take(&q->allowance, &principal, revision, tokens,
			   &q->seen))
		return true;
	q->busy = q->spare;
	q->status = atom_fail(&q->error, ATOM_EQUOTA, "%s", q->seen.message);
	q->error.retry_after_ms = q->seen.retry_after_ms;
	(void)snprintf(q->error.code, sizeof(q->error.code), "%s",
		       q->seen.code);
	return false;
}

static bool splice_messages(struct question *q, const struct revision *revision)
{
	const char *prompt = revision_config(revision)->system_prompt;
	struct atom_call_request *r = &q->call.request;
	const struct json_span asked = { .at = q->body.bytes + q->messages_at,
					 .length = q->messages_length,
					 .kind = JSON_SPAN_ARRAY };

	if ((r->flags & ATOM_CALL_INVOKE) == 0 && prompt[0] == '\0') {
		r->messages = r->body_messages;
		return true;
	}
	if (messages_splice(&q->messages, prompt, NULL, &asked) == ATOM_OK) {
		q->call.request.messages =
			(struct atom_span){ q->messages.bytes,
					    q->messages.length };
		return true;
	}
	q->status = atom_fail(&q->error, ATOM_ENOMEM, "invoke: no memory");
	api_error_set(&q->seen, "internal_error", NULL, "no memory");
	if (!q->settled)
		allowance_undo(&q->allowance);
	return false;
}

static enum route_result route(struct question *q, struct revision **revision_r)
{
	const struct route_wish wish = {
		.agent = q->agent,
		.agent_length = strlen(q->agent),
		.principal = q->user,
		.revision = q->wanted[0] != '\0' ? q->wanted : NULL,
	};

	if (!q->probe)
		return directory_route(&wish, revision_r, &q->assignment);
	*revision_r = directory_find(wish.agent, wish.agent_length);
	return *revision_r != NULL ? ROUTE_FOUND : ROUTE_NO_AGENT;
}

static void refuse_stopping(struct question *q)
{
	q->status = atom_fail(&q->error, ATOM_EUNAVAILABLE,
			      "the daemon is stopping");
}

static void on_asked(struct loop *loop, struct message *message)
{
	struct question *q = CONTAINER_OF(message, struct question, message);
	struct revision *revision;
	enum route_result found = route(q, &revision);

	if (found == ROUTE_NO_AGENT && health_is_stopping())
		refuse_stopping(q);
	else if (found == ROUTE_NO_AGENT)
		q->status = atom_fail(&q->error, ATOM_ENOENT,
				      "there is no agent named '%s'", q->agent);
	else if (found == ROUTE_NO_REVISION)
		q->status = atom_fail(&q->error, ATOM_ESTATE,
				      "revision %s of agent %s is not ready",
				      q->wanted, q->agent);
	if (found != ROUTE_FOUND) {
		go_back(q);
		return;
	}
	(void)snprintf(q->revision, sizeof(q->revision), "%s",
		       revision_label(revision));
	if (!admit(q, revision) || !splice_messages(q, revision)) {
		count(q, revision);
		allowance_fini(&q->allowance);
		revision_unref(revision);
		go_back(q);
		return;
	}
	q->call.loop = loop;
	q->call.revision = revision;
	q->call.spare = q->spare;
	q->call.events = &events;
	q->timer.fire = on_timeout;
	if (q->timeout_ms > 0)
		(void)timer_set(loop, &q->timer, q->timeout_ms);
	q->calling = true;
	call_start(&q->call);
}

/* --- what is asked --------------------------------------------------------------- */

/* "[{user's message}]", from here on the messages. */
static void put_user(struct question *q, const char *content, size_t length)
{
	q->messages_at = q->body.length;
	buffer_append_text(&q->body, "[{\"role\":\"user\",\"content\":");
	buffer_append(&q->body, content, length);
	buffer_append_text(&q->body, "}]");
	q->messages_length = q->body.length - q->messages_at;
}

static void begin_chat(struct question *q)
{
	q->call.request.flags &= ~(uint32_t)ATOM_CALL_INVOKE;
	buffer_append_text(&q->body, "{\"model\":");
	buffer_append_json_string(&q->body, q->agent);
	buffer_append_text(&q->body, ",\"messages\":");
}

static atom_status put_string(struct question *q, const char *text,
			      size_t length)
{
	buffer_append_char(&q->input, '"');
	buffer_append_json(&q->input, text, length);
	buffer_append_char(&q->input, '"');
	return q->input.failed ? ATOM_ENOMEM : ATOM_OK;
}

static atom_status whole(const struct question *q)
{
	return q->body.failed || q->input.failed ? ATOM_ENOMEM : ATOM_OK;
}

atom_status question_put_text(struct question *q, const char *text,
			      size_t length)
{
	q->call.request.flags = ATOM_CALL_INVOKE;
	if (put_string(q, text, length) == ATOM_OK)
		put_user(q, q->input.bytes, q->input.length);
	return whole(q);
}

atom_status question_put_json_chat(struct question *q, const char *text,
				   size_t length)
{
	begin_chat(q);
	if (put_string(q, text, length) == ATOM_OK)
		put_user(q, q->input.bytes, q->input.length);
	buffer_append_text(&q->body,
			   ",\"response_format\":{\"type\":\"json_object\"}}");
	return whole(q);
}

atom_status question_put_input(struct question *q,
			       const struct json_span *input)
{
	struct buffer content = BUFFER_INIT(ASKED_MAX_BYTES);

	q->call.request.flags = ATOM_CALL_INVOKE;
	buffer_append(&q->input, input->at, input->length);
	if (input->kind == JSON_SPAN_STRING) {
		put_user(q, input->at, input->length);
		return whole(q);
	}
	/* An object as its JSON, in a string. */
	buffer_append_char(&content, '"');
	buffer_append_json(&content, input->at, input->length);
	buffer_append_char(&content, '"');
	if (content.failed)
		q->body.failed = true;
	else
		put_user(q, content.bytes, content.length);
	buffer_fini(&content);
	return whole(q);
}

atom_status question_put_messages(struct question *q,
				  const struct json_span *messages)
{
	struct message_list list;
	char why[160];

	if (messages_read(messages, &list, why, sizeof(why)) != ATOM_OK)
		return ATOM_EINVAL;
	begin_chat(q);
	q->messages_at = q->body.length;
	q->messages_length = messages->length;
	buffer_append(&q->body, messages->at, messages->length);
	buffer_append_char(&q->body, '}');
	if (list.last_user.kind == JSON_SPAN_NONE)
		buffer_append_text(&q->input, "\"\"");
	else if (messages_flatten(&list.last_user, &q->input) != ATOM_OK)
		buffer_append(&q->input, list.last_user.at,
			      list.last_user.length);
	return whole(q);
}

/* --- asking ---------------------------------------------------------------------- */

static void describe_request(struct question *q)
{
	uint32_t flags = q->call.request.flags | q->flags;
	bool invoke = (flags & ATOM_CALL_INVOKE) != 0;

	q->call.request = (struct atom_call_request){
		.struct_size = sizeof(q->call.request),
		.flags = flags,
		.operation = "chat",
		.agent = q->agent,
		.request_id = q->request_id,
		.traceparent = "",
		.session_id = "",
		.model = q->agent,
		.input = { q->input.bytes, q->input.length },
		.max_tokens = q->max_tokens,
	};
	if (invoke)
		return;
	q->call.request.body =
		(struct atom_span){ q->body.bytes, q->body.length };
	q->call.request.body_messages =
		(struct atom_span){ q->body.bytes + q->messages_at,
				    q->messages_length };
}

static void hand_over(struct question *q)
{
	q->message.deliver = on_asked;
	q->loop = loops_get((unsigned int)(id_random() % loops_serving()));
	loop_post(q->loop, &q->message);
}

/* On control, which knows whether a serving loop would still take it. */
static void on_offered(struct loop *loop, struct message *message)
{
	struct question *q = CONTAINER_OF(message, struct question, message);

	(void)loop;
	if (loops_running()) {
		hand_over(q);
		return;
	}
	refuse_stopping(q);
	go_back(q);
}

void question_ask(struct question *q)
{
	id_new("req_", q->request_id);
	describe_request(q);
	if (loop_current() != NULL && !loop_is_control()) {
		hand_over(q);
	} else if (loop_is_control()) {
		on_offered(loop_control(), &q->message);
	} else {
		q->message.deliver = on_offered;
		loop_post(loop_control(), &q->message);
	}
}

static void on_cancelled(struct loop *loop, struct message *message)
{
	struct question *q = CONTAINER_OF(message, struct question, cancel);

	(void)loop;
	q->cancelling = false;
	if (q->over)
		question_free(&q);
}

static void on_cancel(struct loop *loop, struct message *message)
{
	struct question *q = CONTAINER_OF(message, struct question, cancel);

	(void)loop;
	if (q->calling)
		call_cancel(&q->call, ATOM_CANCEL_ADMIN);
	q->cancel.deliver = on_cancelled;
	loop_post(loop_control(), &q->cancel);
}

void question_cancel(struct question *q)
{
	/* Its call has ended: that is what the stop waits for first. */
	if (!loops_running())
		return;
	q->cancelling = true;
	q->cancel.deliver = on_cancel;
	loop_post(q->loop, &q->cancel);
}
