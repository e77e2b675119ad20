/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A call that wants one revision, in the name of the host: how a rollout's
 * workflow has the agent's probe answered before the revision has any weight.
 */

#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "gateway/gateway_priv.h"
#include "gateway/question.h"

struct preview {
	void (*done)(void *argument, const struct workflow_previewed *result);
	void *argument;
};

static void on_done(struct question *q)
{
	struct preview *preview = q->argument;
	const struct workflow_previewed result = {
		.status = q->status,
		.message = q->status == ATOM_OK ? "" : q->error.message,
		.duration_ms = q->duration_ms,
		.tokens = q->call.usage.input_tokens +
			  q->call.usage.output_tokens,
		.output_bytes = (int64_t)q->call.emitted_bytes,
	};

	preview->done(preview->argument, &result);
	mem_free(preview);
}

void *gateway_preview(const struct workflow_preview *wanted,
		      void (*done)(void *argument,
				   const struct workflow_previewed *result),
		      void *argument)
{
	const struct workflow_previewed failed = {
		.status = ATOM_ENOMEM,
		.message = "a preview: no memory",
	};
	struct preview *preview = mem_zalloc(sizeof(*preview));
	struct question *q = question_new(wanted->agent);

	if (preview == NULL || q == NULL ||
	    question_put_text(q, wanted->input, strlen(wanted->input)) !=
		    ATOM_OK) {
		mem_free(preview);
		question_free(&q);
		done(argument, &failed);
		return NULL;
	}
	*preview = (struct preview){ done, argument };
	(void)snprintf(q->wanted, sizeof(q->wanted), "%s", wanted->revision);
	(void)snprintf(q->user, sizeof(q->user), "host:probe");
	q->timeout_ms = wanted->timeout_ms > INT32_MAX
				? INT32_MAX
				: (int32_t)wanted->timeout_ms;
	q->done = on_done;
	q->argument = preview;
	question_ask(q);
	return q;
}

void gateway_preview_cancel(void *preview)
{
	question_cancel(preview);
}
