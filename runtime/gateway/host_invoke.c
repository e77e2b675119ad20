/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/loop.h"
#include "core/memory.h"
#include "gateway/gateway.h"
#include "gateway/question.h"
#include "gateway/said.h"
#include "plugin/host.h"

/*
 * atom.invoke/1: a plugin asks another agent (question.h).  Who asks is the
 * component, `plugin:KIND/NAME`, and behind another ':' the agent that it
 * works for.
 *
 * Control tells who still waits when it ends: behind a call that a backend
 * does not end, or a record that a disk does not take, nothing comes any more.
 */

#define ANSWER_MAX ((size_t)1024 * 1024)

struct asking {
	struct asking *next, **previous; /* while nobody was told */
	bool told;			 /* [control] that it stops */
	const struct atom_host *host;
	void (*done)(void *argument, atom_status status,
		     const struct atom_invoke_answer *answer,
		     const struct atom_error *error);
	void *argument;
};

static struct {
	pthread_mutex_t lock;
	struct asking *first;
	bool closed; /* control has ended */
} askings = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool enter(struct asking *asking)
{
	bool open;

	(void)pthread_mutex_lock(&askings.lock);
	open = !askings.closed;
	if (open) {
		asking->next = askings.first;
		asking->previous = &askings.first;
		if (asking->next != NULL)
			asking->next->previous = &asking->next;
		askings.first = asking;
	}
	(void)pthread_mutex_unlock(&askings.lock);
	return open;
}

static void leave(struct asking *asking)
{
	(void)pthread_mutex_lock(&askings.lock);
	*asking->previous = asking->next;
	if (asking->next != NULL)
		asking->next->previous = asking->previous;
	(void)pthread_mutex_unlock(&askings.lock);
}

static atom_status refuse_stopping(struct atom_error *err)
{
	return atom_fail(err, ATOM_EUNAVAILABLE, "the daemon is stopping");
}

/* The question has its asking until it comes back, if ever. */
static void tell_rest(void *argument)
{
	struct atom_error stopping = ATOM_ERROR_INIT;
	atom_status status = refuse_stopping(&stopping);
	struct asking *asking, *next;

	(void)argument;
	(void)pthread_mutex_lock(&askings.lock);
	askings.closed = true;
	asking = TAKE(askings.first);
	(void)pthread_mutex_unlock(&askings.lock);
	for (; asking != NULL; asking = next) {
		next = asking->next;
		asking->told = true;
		asking->done(asking->argument, status, NULL, &stopping);
		host_release(asking->host);
	}
}

static void on_done(struct question *q)
{
	struct asking *asking = q->argument;
	struct answer said;
	struct atom_invoke_answer answer = {
		.struct_size = sizeof(answer),
		.input_tokens = q->call.usage.input_tokens,
		.output_tokens = q->call.usage.output_tokens,
	};
	atom_status status = q->status;

	if (asking->told) {
		mem_free(asking);
		return;
	}
	leave(asking);
	if (!answer_read(&q->completion, ANSWER_MAX, &said) &&
	    status == ATOM_OK)
		status = atom_fail(&q->error, ATOM_EPROTO,
				   "the answer of agent %s is none", q->agent);
	answer.text = (struct atom_span){ said.text.bytes, said.text.length };
	asking->done(asking->argument, status,
		     status == ATOM_OK ? &answer : NULL,
		     status == ATOM_OK ? NULL : &q->error);
	answer_fini(&said);
	host_release(asking->host);
	mem_free(asking);
}

static void name_asker(struct question *q, const struct atom_host *host)
{
	const char *agent = host_agent(host);

	(void)snprintf(q->user, sizeof(q->user), "plugin:%s%s%s",
		       host_component_name(host), agent[0] != '\0' ? ":" : "",
		       agent);
}

static atom_status ask(const struct atom_host *host,
		       const struct atom_invoke_request *request,
		       void (*done)(void *argument, atom_status status,
				    const struct atom_invoke_answer *answer,
				    const struct atom_error *error),
		       void *argument, struct atom_error *err)
{
	struct asking *asking;
	struct question *q;

	if (request->agent == NULL || request->input == NULL)
		return atom_fail(err, ATOM_EINVAL,
				 "invoke: agent and input are needed");
	if (strlen(request->input) > ATOM_INVOKE_INPUT_MAX)
		return atom_fail(err, ATOM_ELIMIT,
				 "invoke: the input is longer than %d bytes",
				 ATOM_INVOKE_INPUT_MAX);
	asking = mem_zalloc(sizeof(*asking));
	q = question_new(request->agent);
	if (asking == NULL || q == NULL ||
	    question_put_text(q, request->input, strlen(request->input)) !=
		    ATOM_OK) {
		mem_free(asking);
		question_free(&q);
		return atom_fail(err, ATOM_ENOMEM, "invoke: no memory");
	}
	*asking = (struct asking){ .host = host,
				   .done = done,
				   .argument = argument };
	name_asker(q, host);
	q->max_tokens = request->max_tokens;
	q->timeout_ms = request->timeout_ms;
	q->answer_max = ANSWER_MAX;
	q->done = on_done;
	q->argument = asking;
	/* `done` will call into it. */
	host_hold(host);
	if (!enter(asking)) {
		host_release(host);
		mem_free(asking);
		question_free(&q);
		return refuse_stopping(err);
	}
	question_ask(q);
	return ATOM_OK;
}

static const struct atom_invoke invoke = {
	.struct_size = sizeof(invoke),
	.call = ask,
};

atom_status gateway_register_services(void)
{
	atom_status status = loop_at_stop(loop_control(), tell_rest, NULL);

	askings.closed = false;
	return status == ATOM_OK ? host_register(ATOM_INVOKE, &invoke) : status;
}
