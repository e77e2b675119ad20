/* SPDX-License-Identifier: Apache-2.0 */

/*
 * backend/analyst: answers the questions of monitor/analyst without a model,
 * by statistics.  Blocking style: a report of many series takes some
 * milliseconds, which no loop shall have to wait for.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <atomd/backend.h>

#include "plugins/backend/analyst/opinion.h"

#define INPUT_MAX ((size_t)1024 * 1024)

struct analyst {
	const struct atom_host *host;
	const struct atom_backend_host *backend;
};

static atom_status create(const struct atom_host *host, const void *options,
			  void **self_r, struct atom_error *err)
{
	struct analyst *a = calloc(1, sizeof(*a));

	(void)options;
	if (a == NULL)
		return atom_fail(err, ATOM_ENOMEM, "analyst: no memory");
	a->host = host;
	a->backend = atom_service(host, ATOM_BACKEND_HOST);
	if (a->backend == NULL) {
		free(a);
		return atom_fail(
			err, ATOM_ENOTSUP,
			"analyst: this host has no " ATOM_BACKEND_HOST);
	}
	*self_r = a;
	return ATOM_OK;
}

static void destroy(void *self)
{
	free(self);
}

static atom_status invoke(void *self, void *unit, atom_call call,
			  struct atom_error *err)
{
	struct analyst *a = self;
	const struct atom_call_request *request =
		a->backend->request(a->host, call);
	struct atom_usage usage = { .struct_size = sizeof(usage) };
	json_t *input;
	char *text = NULL;

	(void)unit;
	if (request->input.length > INPUT_MAX)
		return atom_fail(err, ATOM_ELIMIT,
				 "analyst: the question is longer than %zu "
				 "bytes",
				 INPUT_MAX);
	/* A string, or JSON that is the report itself. */
	input = json_loadb(request->input.bytes, request->input.length,
			   JSON_DECODE_ANY, NULL);
	if (json_is_string(input))
		text = opinion_of(json_string_value(input),
				  json_string_length(input),
				  request->max_tokens);
	else
		text = opinion_of(request->input.bytes, request->input.length,
				  request->max_tokens);
	json_decref(input);
	if (text == NULL)
		return atom_fail(err, ATOM_ENOMEM, "analyst: no memory");
	(void)a->backend->emit(a->host, call, ATOM_EMIT_TEXT, text,
			       strlen(text));
	usage.input_tokens = (int64_t)request->input.length / 4;
	usage.output_tokens = (int64_t)strlen(text) / 4;
	a->backend->usage(a->host, call, &usage);
	free(text);
	a->backend->finish(a->host, call, ATOM_OK, NULL);
	return ATOM_OK;
}

static const struct atom_backend_ops ops = {
	.struct_size = sizeof(ops),
	.flags = ATOM_BACKEND_BLOCKING,
	.create = create,
	.destroy = destroy,
	.invoke = invoke,
};

/* A plugin's name is its own among all; the monitor's plugin is `analyst`. */
ATOM_PLUGIN("analyst-statistics", "1.0.0", "Apache-2.0",
	    ATOM_COMPONENT_PLAIN(ATOM_KIND_BACKEND, "analyst",
				 "reports on numbers by statistics", &ops));
