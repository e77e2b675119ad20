/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "agent/call.h"
#include "agent/directory.h"
#include "audit/audit.h"
#include "core/id.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "gateway/allowance.h"
#include "gateway/gateway.h"
#include "gateway/messages.h"
#include "gateway/token_estimate.h"
#include "plugin/host.h"

/*
 * atom.invoke/1: a plugin asks another agent.  Such a call is one like any
 * other: it takes of the agent's limits, has the agent's system prompt, is
 * counted and recorded.  Who asks is the component, `plugin:KIND/NAME`, and
 * behind another ':' the agent that it works for; it has no limits of its own.
 *
 *	ask [any] -> on_asked [loop] -> the call -> on_back [control] -> done
 *	                    '-> refused ------------------^   |
 *	                                  strict: its record -'
 */

#define ANSWER_MAX ((size_t)1024 * 1024)
/* Of the input and the agent's system prompt. */
#define MESSAGES_MAX_BYTES ((size_t)64 * 1024 * 1024)
/* A sink that hangs is not waited for. */
#define DEADLINE_MS 5000

struct question {
	struct message message;
	struct call call; /* on its serving loop */
	const struct atom_host *host;
	char user[PRINCIPAL_NAME_MAX];
	char *agent;
	struct buffer input;	/* JSON string */
	struct buffer asked;	/* JSON array: the user's message */
	struct buffer messages; /* the same behind the system prompt */
	char request_id[ID_MAX];
	int32_t timeout_ms;
	struct timer timer;
	struct allowance allowance;
	struct assignment assignment;
	bool settled;
	bool too_long;
	struct buffer text;
	atom_status status;
	struct atom_error error;
	void (*done)(void *argument, atom_status status,
		     const struct atom_invoke_answer *answer,
		     const struct atom_error *error);
	void *argument;

	/* --- for its record --- */
	char revision[24]; /* "" = it reached none */
	struct api_error seen;
	int64_t duration_ms;
	struct audit_waiter waiter;
	struct timer deadline; /* control's */
	bool told;
};

static void question_free(struct question *q)
{
	mem_free(q->agent);
	buffer_fini(&q->input);
	buffer_fini(&q->asked);
	buffer_fini(&q->messages);
	buffer_fini(&q->text);
	trial_unref(q->assignment.trial);
	mem_free(q);
}

/* --- back on control ---------------------------------------------------------- */

static void tell(struct question *q)
{
	struct atom_invoke_answer answer = {
		.struct_size = sizeof(answer),
		.text = { q->text.bytes, q->text.length },
		.input_tokens = q->call.usage.input_tokens,
		.output_tokens = q->call.usage.output_tokens,
	};

	q->told = true;
	q->done(q->argument, q->status, q->status == ATOM_OK ? &answer : NULL,
		q->status == ATOM_OK ? NULL : &q->error);
	host_release(q->host);
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
	question_free(q);
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

	if (q->revision[0] == '\0' || !audit_enabled() ||
	    audit_calls() == CONFIG_AUDIT_NONE)
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
	question_free(q);
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

	if (kind != ATOM_EMIT_TEXT && kind != ATOM_EMIT_JSON)
		return ATOM_OK;
	if (buffer_append(&q->text, bytes, length) != ATOM_OK)
		q->too_long = true;
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
	};

	q->duration_ms = (now - outcome.began_ns) / 1000000;
	revision_count(revision, &outcome);
	(void)trial_count(&q->assignment, &outcome);
}

static void on_end(struct call *call, atom_status status,
		   const struct atom_error *error)
{
	struct question *q = CONTAINER_OF(call, struct question, call);

	timer_stop(&q->timer);
	/* A backend that a deadline found at work may still tell what it has
	 * used. */
	if (status == ATOM_ETIMEOUT && call->grace && call->granted_ns != 0)
		allowance_leave(&q->allowance);
	else
		settle(q, status != ATOM_OK);
	q->status = status;
	if (status != ATOM_OK) {
		q->error = *error;
		api_error_of_call(&q->seen, status, error, call->cancel_reason);
	} else if (q->too_long) {
		q->status = atom_fail(&q->error, ATOM_ELIMIT,
				      "the answer of agent %s is longer than "
				      "%zu bytes",
				      q->agent, ANSWER_MAX);
		api_error_set(&q->seen, "backend_error", NULL, "%s",
			      q->error.message);
	}
	count(q, call->revision);
}

static void on_release(struct call *call)
{
	struct question *q = CONTAINER_OF(call, struct question, call);

	settle(q, true);
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
	tokens = tokens_of_input(q->asked.bytes, q->asked.length) +
		 tokens_of_text(strlen(prompt)) + tokens_bounded(r->max_tokens);
	if (allowance_take(&q->allowance, &principal, revision, tokens,
			   &q->seen))
		return true;
	q->status = atom_fail(&q->error, ATOM_EQUOTA, "%s", q->seen.message);
	q->error.retry_after_ms = q->seen.retry_after_ms;
	(void)snprintf(q->error.code, sizeof(q->error.code), "%s",
		       q->seen.code);
	return false;
}

static bool splice_messages(struct question *q, const struct revision *revision)
{
	const struct json_span asked = { .at = q->asked.bytes,
					 .length = q->asked.length,
					 .kind = JSON_SPAN_ARRAY };

	if (messages_splice(&q->messages,
			    revision_config(revision)->system_prompt, NULL,
			    &asked) == ATOM_OK) {
		q->call.request.messages =
			(struct atom_span){ q->messages.bytes,
					    q->messages.length };
		return true;
	}
	q->status = atom_fail(&q->error, ATOM_ENOMEM, "invoke: no memory");
	api_error_set(&q->seen, "internal_error", NULL, "no memory");
	allowance_undo(&q->allowance);
	return false;
}

static void on_asked(struct loop *loop, struct message *message)
{
	struct question *q = CONTAINER_OF(message, struct question, message);
	const struct route_wish wish = {
		.agent = q->agent,
		.agent_length = strlen(q->agent),
		.principal = q->user,
	};
	struct revision *revision;

	if (directory_route(&wish, &revision, &q->assignment) != ROUTE_FOUND) {
		q->status = atom_fail(&q->error, ATOM_ENOENT,
				      "there is no agent named '%s'", q->agent);
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
	q->call.events = &events;
	q->timer.fire = on_timeout;
	if (q->timeout_ms > 0)
		(void)timer_set(loop, &q->timer, q->timeout_ms);
	call_start(&q->call);
}

/* --- where it is asked ----------------------------------------------------------- */

static void name_asker(struct question *q)
{
	const char *agent = host_agent(q->host);

	(void)snprintf(q->user, sizeof(q->user), "plugin:%s%s%s",
		       host_component_name(q->host),
		       agent[0] != '\0' ? ":" : "", agent);
}

static void describe_request(struct question *q,
			     const struct atom_invoke_request *request)
{
	q->call.request = (struct atom_call_request){
		.struct_size = sizeof(q->call.request),
		.flags = ATOM_CALL_INVOKE,
		.operation = "chat",
		.agent = q->agent,
		.request_id = q->request_id,
		.traceparent = "",
		.session_id = "",
		.model = q->agent,
		.input = { q->input.bytes, q->input.length },
		.max_tokens = request->max_tokens,
	};
}

static atom_status ask(const struct atom_host *host,
		       const struct atom_invoke_request *request,
		       void (*done)(void *argument, atom_status status,
				    const struct atom_invoke_answer *answer,
				    const struct atom_error *error),
		       void *argument, struct atom_error *err)
{
	struct question *q;

	if (request->agent == NULL || request->input == NULL)
		return atom_fail(err, ATOM_EINVAL,
				 "invoke: agent and input are needed");
	if (strlen(request->input) > ATOM_INVOKE_INPUT_MAX)
		return atom_fail(err, ATOM_ELIMIT,
				 "invoke: the input is longer than %d bytes",
				 ATOM_INVOKE_INPUT_MAX);
	q = mem_zalloc(sizeof(*q));
	if (q == NULL)
		return atom_fail(err, ATOM_ENOMEM, "invoke: no memory");
	buffer_init(&q->input, (size_t)8 * ATOM_INVOKE_INPUT_MAX);
	buffer_init(&q->asked, (size_t)8 * ATOM_INVOKE_INPUT_MAX);
	buffer_init(&q->messages, MESSAGES_MAX_BYTES);
	buffer_init(&q->text, ANSWER_MAX);
	q->agent = mem_strdup(request->agent);
	buffer_append_json_string(&q->input, request->input);
	buffer_append_text(&q->asked, "[{\"role\":\"user\",\"content\":");
	buffer_append(&q->asked, q->input.bytes, q->input.length);
	buffer_append_text(&q->asked, "}]");
	if (q->agent == NULL || q->input.failed || q->asked.failed) {
		question_free(q);
		return atom_fail(err, ATOM_ENOMEM, "invoke: no memory");
	}
	id_new("req_", q->request_id);
	q->host = host;
	name_asker(q);
	q->timeout_ms = request->timeout_ms;
	q->done = done;
	q->argument = argument;
	describe_request(q, request);
	/* `done` will call into it. */
	host_hold(host);
	q->message.deliver = on_asked;
	loop_post(loops_get((unsigned int)(id_random() % loops_serving())),
		  &q->message);
	return ATOM_OK;
}

static const struct atom_invoke invoke = {
	.struct_size = sizeof(invoke),
	.call = ask,
};

atom_status gateway_register_services(void)
{
	return host_register(ATOM_INVOKE, &invoke);
}
