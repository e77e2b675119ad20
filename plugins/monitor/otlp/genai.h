/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OTLP_GENAI_H
#define OTLP_GENAI_H

/*
 * Calls counted as OpenTelemetry's "Semantic conventions for generative AI
 * metrics" 1.41 want it of a client, which the daemon is towards a backend:
 *
 *	gen_ai.client.operation.duration             s
 *	gen_ai.client.operation.time_to_first_chunk  s, of those that stream
 *	gen_ai.client.token.usage                    {token}
 *
 * with the bounds that they advise.  A call that got no instance was no
 * operation of a client; a count of tokens of 0 is one that the backend does
 * not tell.  `gen_ai.server.*` belongs to what runs a model.
 *
 * At most GENAI_SERIES_MAX sets of attributes; what has others is counted with
 * `otel.metric.overflow`, as OpenTelemetry's SDKs do.  Pure; the caller locks.
 */

#include <stdint.h>

#include <atomd/calls.h>

#include "plugins/monitor/otlp/metrics.h"

#define GENAI_SERIES_MAX 1024
#define GENAI_INDEX	 2048 /* a power of 2, over GENAI_SERIES_MAX */
#define GENAI_BOUNDS	 14
#define GENAI_NAME_MAX	 64

enum genai_metric {
	GENAI_DURATION,
	GENAI_FIRST_CHUNK,
	GENAI_TOKENS,
	GENAI_METRICS
};

/* Without padding and with zeros behind the names: compared as bytes. */
struct genai_key {
	int32_t metric; /* enum genai_metric */
	int32_t output; /* tokens: 1 output, 0 input */
	int32_t error;	/* duration: the status that it failed with; 0 */
	char agent[GENAI_NAME_MAX];
	char backend[GENAI_NAME_MAX];
};

struct genai_histogram {
	double sum;
	uint64_t count;
	uint64_t counts[GENAI_BOUNDS + 1];
};

/* Flat: an assignment is a copy. */
struct genai {
	int64_t since_ms;
	size_t series_count;
	uint16_t index[GENAI_INDEX]; /* by hash: place in `keys` + 1; 0 */
	struct genai_key keys[GENAI_SERIES_MAX];
	struct genai_histogram histograms[GENAI_SERIES_MAX];
	struct genai_histogram overflow[GENAI_METRICS];
};

/* Of zeros and `since_ms`. */
void genai_count(struct genai *genai, const struct atom_ended_call *call);
void genai_add_to(const struct genai *genai, struct otlp_batch *batch);

#endif
