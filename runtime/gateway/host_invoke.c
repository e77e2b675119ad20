/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "gateway/gateway.h"
#include "gateway/question.h"
#include "gateway/said.h"
#include "plugin/host.h"

/*
 * atom.invoke/1: a plugin asks another agent (question.h).  Who asks is the
 * component, `plugin:KIND/NAME`, and behind another ':' the agent that it
 * works for.
 */

#define ANSWER_MAX ((size_t)1024 * 1024)

struct asking {
	const struct atom_host *host;
	void (*done)(void *argument, atom_status status,
		     const struct atom_invoke_answer *answer,
		     const struct atom_error *error);
	void *argument;
};

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
	*asking = (struct asking){ host, done, argument };
	name_asker(q, host);
	q->max_tokens = request->max_tokens;
	q->timeout_ms = request->timeout_ms;
	q->answer_max = ANSWER_MAX;
	q->done = on_done;
	q->argument = asking;
	/* `done` will call into it. */
	host_hold(host);
	question_ask(q);
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
