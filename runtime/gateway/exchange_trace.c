/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/id.h"
#include "core/os.h"
#include "gateway/exchange_priv.h"
#include "monitor/calls.h"

/*
 * A call as spans of W3C Trace Context:
 *
 *	caller's span (parent_id) ── the call (span_id) ── its attempt
 *	(attempt_id), which the backend is given as its parent
 */

static void new_id(char out[17])
{
	/* No id is all zero. */
	(void)snprintf(out, 17, "%016" PRIx64, id_random() | 1);
}

void exchange_trace(struct exchange *x)
{
	char flags[3] = "01";

	x->parent_id[0] = '\0';
	if (x->traceparent[0] != '\0') {
		memcpy(x->trace_id, x->traceparent + 3, 32);
		memcpy(x->parent_id, x->traceparent + 36, 16);
		memcpy(flags, x->traceparent + 53, 2);
		x->trace_id[32] = x->parent_id[16] = '\0';
	} else {
		new_id(x->trace_id);
		new_id(x->trace_id + 16);
	}
	new_id(x->span_id);
	new_id(x->attempt_id);
	(void)snprintf(x->traceparent, sizeof(x->traceparent), "00-%s-%s-%s",
		       x->trace_id, x->attempt_id, flags);
}

static int64_t since(int64_t from_ns, int64_t to_ns)
{
	return to_ns != 0 ? to_ns - from_ns : -1;
}

void exchange_trace_end(const struct exchange *x,
			const struct revision_outcome *outcome)
{
	int64_t from_ns = outcome->began_ns;
	int64_t took_ns = outcome->ended_ns - from_ns;
	const struct atom_ended_call call = {
		.struct_size = sizeof(call),
		.http_status = outcome->http_status,
		.flags = outcome->stream ? ATOM_ENDED_STREAM : 0,
		.finish_reason = x->call.usage.finish_reason,
		.began_ms = os.realtime_ms() - took_ns / 1000000,
		.granted_ns = since(from_ns, outcome->granted_ns),
		.first_ns = since(from_ns, outcome->first_emit_ns),
		.ended_ns = took_ns,
		.input_tokens = outcome->input_tokens,
		.output_tokens = outcome->output_tokens,
		.agent = revision_agent(x->revision),
		.revision = revision_label(x->revision),
		.backend = revision_config(x->revision)->backend,
		.request_id = x->request_id,
		.trace_id = x->trace_id,
		.parent_id = x->parent_id,
		.span_id = x->span_id,
		.attempt_id = x->attempt_id,
	};

	calls_add(&call);
}
