/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "agent/call.h"
#include "agent/directory.h"
#include "agent/pool.h"
#include "core/id.h"
#include "core/log.h"
#include "core/memory.h"
#include "plugin/host.h"

/*
 * atom.invoke/1: a plugin asks another agent.  The call runs on a serving
 * loop like any other; the answer comes on control.
 */

#define ANSWER_MAX ((size_t)1024 * 1024)

struct question {
	struct message message;
	struct call call; /* on its serving loop */
	char *agent;
	struct buffer input;	/* JSON string */
	struct buffer messages; /* JSON array */
	char request_id[ID_MAX];
	int32_t timeout_ms;
	struct timer timer;
	bool too_long;
	struct buffer text;
	atom_status status;
	struct atom_error error;
	void (*done)(void *argument, atom_status status,
		     const struct atom_invoke_answer *answer,
		     const struct atom_error *error);
	void *argument;
};

static void question_free(struct question *q)
{
	mem_free(q->agent);
	buffer_fini(&q->input);
	buffer_fini(&q->messages);
	buffer_fini(&q->text);
	mem_free(q);
}

/* [control] */
static void on_answered(struct loop *loop, struct message *message)
{
	struct question *q = CONTAINER_OF(message, struct question, message);
	struct atom_invoke_answer answer = {
		.struct_size = sizeof(answer),
		.text = { q->text.bytes, q->text.length },
		.input_tokens = q->call.usage.input_tokens,
		.output_tokens = q->call.usage.output_tokens,
	};

	(void)loop;
	q->done(q->argument, q->status, q->status == ATOM_OK ? &answer : NULL,
		q->status == ATOM_OK ? NULL : &q->error);
	question_free(q);
}

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

static void on_end(struct call *call, atom_status status,
		   const struct atom_error *error)
{
	struct question *q = CONTAINER_OF(call, struct question, call);

	timer_stop(&q->timer);
	q->status = status;
	if (status != ATOM_OK)
		q->error = *error;
	else if (q->too_long)
		q->status = atom_fail(&q->error, ATOM_ELIMIT,
				      "the answer of agent %s is longer than "
				      "%zu bytes",
				      q->agent, ANSWER_MAX);
}

static void on_release(struct call *call)
{
	struct question *q = CONTAINER_OF(call, struct question, call);

	q->message.deliver = on_answered;
	loop_post(loop_control(), &q->message);
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

/* [loop] */
static void on_asked(struct loop *loop, struct message *message)
{
	struct question *q = CONTAINER_OF(message, struct question, message);
	struct revision *revision = directory_route(q->agent, strlen(q->agent));

	if (revision == NULL) {
		q->status = atom_fail(&q->error, ATOM_ENOENT,
				      "there is no agent named '%s'", q->agent);
		on_release(&q->call);
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

static atom_status ask(const struct atom_host *host,
		       const struct atom_invoke_request *request,
		       void (*done)(void *argument, atom_status status,
				    const struct atom_invoke_answer *answer,
				    const struct atom_error *error),
		       void *argument, struct atom_error *err)
{
	struct atom_call_request *r;
	struct question *q;

	(void)host;
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
	buffer_init(&q->messages, (size_t)8 * ATOM_INVOKE_INPUT_MAX);
	buffer_init(&q->text, ANSWER_MAX);
	q->agent = mem_strdup(request->agent);
	buffer_append_json_string(&q->input, request->input);
	buffer_printf(&q->messages, "[{\"role\":\"user\",\"content\":");
	buffer_append(&q->messages, q->input.bytes, q->input.length);
	buffer_append_text(&q->messages, "}]");
	if (q->agent == NULL || q->input.failed || q->messages.failed) {
		question_free(q);
		return atom_fail(err, ATOM_ENOMEM, "invoke: no memory");
	}
	id_new("req_", q->request_id);
	q->timeout_ms = request->timeout_ms;
	q->done = done;
	q->argument = argument;
	r = &q->call.request;
	*r = (struct atom_call_request){
		.struct_size = sizeof(*r),
		.flags = ATOM_CALL_INVOKE,
		.operation = "chat",
		.agent = q->agent,
		.request_id = q->request_id,
		.traceparent = "",
		.session_id = "",
		.model = q->agent,
		.messages = { q->messages.bytes, q->messages.length },
		.input = { q->input.bytes, q->input.length },
		.max_tokens = request->max_tokens,
	};
	q->message.deliver = on_asked;
	loop_post(loops_get((unsigned int)(id_random() % loops_serving())),
		  &q->message);
	return ATOM_OK;
}

static const struct atom_invoke invoke = {
	.struct_size = sizeof(invoke),
	.call = ask,
};

atom_status host_invoke_register(void)
{
	return host_register(ATOM_INVOKE, &invoke);
}
