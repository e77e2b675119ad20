/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/otlp/genai.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	const char *help;
	const char *unit;
	double bounds[GENAI_BOUNDS];
} metrics[GENAI_METRICS] = {
	[GENAI_DURATION] = { "gen_ai.client.operation.duration",
			     "GenAI operation duration.",
			     "s",
			     { 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28,
			       2.56, 5.12, 10.24, 20.48, 40.96, 81.92 } },
	[GENAI_FIRST_CHUNK] = { "gen_ai.client.operation.time_to_first_chunk",
				"Time from the request to the first chunk of "
				"an answer that streams.",
				"s",
				{ 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64,
				  1.28, 2.56, 5.12, 10.24, 20.48, 40.96,
				  81.92 } },
	[GENAI_TOKENS] = { "gen_ai.client.token.usage",
			   "Number of input and output tokens used.",
			   "{token}",
			   { 1, 4, 16, 64, 256, 1024, 4096, 16384, 65536,
			     262144, 1048576, 4194304, 16777216, 67108864 } },
};

/* --- counting -------------------------------------------------------------------- */

/* FNV-1a, of Fowler, Noll and Vo. */
static uint32_t hash(const struct genai_key *key)
{
	const unsigned char *bytes = (const unsigned char *)key;
	uint32_t sum = 2166136261U;

	for (size_t i = 0; i < sizeof(*key); i++)
		sum = (sum ^ bytes[i]) * 16777619U;
	return sum;
}

static struct genai_histogram *find(struct genai *g,
				    const struct genai_key *key)
{
	uint32_t at = hash(key) % GENAI_INDEX;

	for (; g->index[at] != 0; at = (at + 1) % GENAI_INDEX)
		if (memcmp(&g->keys[g->index[at] - 1], key, sizeof(*key)) == 0)
			return &g->histograms[g->index[at] - 1];
	if (g->series_count == GENAI_SERIES_MAX)
		return &g->overflow[key->metric];
	g->keys[g->series_count++] = *key;
	g->index[at] = (uint16_t)g->series_count;
	return &g->histograms[g->series_count - 1];
}

static void observe(struct genai *g, const struct genai_key *key, double value)
{
	struct genai_histogram *h = find(g, key);
	const double *bounds = metrics[key->metric].bounds;
	size_t bucket = 0;

	/* A bucket holds its upper bound. */
	while (bucket < GENAI_BOUNDS && value > bounds[bucket])
		bucket++;
	h->counts[bucket]++;
	h->count++;
	h->sum += value;
}

void genai_count(struct genai *g, const struct atom_ended_call *call)
{
	struct genai_key key = { .metric = GENAI_DURATION };

	if (call->granted_ns < 0)
		return;
	(void)snprintf(key.agent, sizeof(key.agent), "%s", call->agent);
	(void)snprintf(key.backend, sizeof(key.backend), "%s", call->backend);
	key.error = call->http_status >= 400 ? call->http_status : 0;
	observe(g, &key, (double)(call->ended_ns - call->granted_ns) / 1e9);
	key.error = 0;
	key.metric = GENAI_FIRST_CHUNK;
	if ((call->flags & ATOM_ENDED_STREAM) != 0 && call->first_ns >= 0)
		observe(g, &key,
			(double)(call->first_ns - call->granted_ns) / 1e9);
	key.metric = GENAI_TOKENS;
	if (call->input_tokens > 0)
		observe(g, &key, (double)call->input_tokens);
	key.output = 1;
	if (call->output_tokens > 0)
		observe(g, &key, (double)call->output_tokens);
}

/* --- points ------------------------------------------------------------------------ */

static json_t *attributes_of(const struct genai_key *key)
{
	json_t *attributes = json_array();
	char status[16];

	otlp_add_text(&attributes, "gen_ai.operation.name", "chat");
	otlp_add_text(&attributes, "gen_ai.provider.name", key->backend);
	otlp_add_text(&attributes, "gen_ai.agent.name", key->agent);
	/* What callers ask for as the model is the agent. */
	otlp_add_text(&attributes, "gen_ai.request.model", key->agent);
	if (key->metric == GENAI_TOKENS)
		otlp_add_text(&attributes, "gen_ai.token.type",
			      key->output != 0 ? "output" : "input");
	if (key->error != 0) {
		(void)snprintf(status, sizeof(status), "%d", (int)key->error);
		otlp_add_text(&attributes, "error.type", status);
	}
	return attributes;
}

static void add_point(const struct genai *g, struct otlp_batch *batch,
		      int32_t metric, const struct genai_histogram *h,
		      json_t *attributes)
{
	const struct atom_metric_value value = {
		.struct_size = sizeof(value),
		.type = ATOM_METRIC_HISTOGRAM,
		.name = metrics[metric].name,
		.labels = "",
		.value = h->sum,
		.count = h->count,
		.help = metrics[metric].help,
		.since_ms = g->since_ms,
		.bound_count = GENAI_BOUNDS,
		.bounds = metrics[metric].bounds,
		.counts = h->counts,
	};

	otlp_batch_add(batch, &value, metrics[metric].unit, attributes);
}

void genai_add_to(const struct genai *g, struct otlp_batch *batch)
{
	for (int32_t metric = 0; metric < GENAI_METRICS; metric++) {
		for (size_t i = 0; i < g->series_count; i++)
			if (g->keys[i].metric == metric)
				add_point(g, batch, metric, &g->histograms[i],
					  attributes_of(&g->keys[i]));
		if (g->overflow[metric].count > 0)
			add_point(g, batch, metric, &g->overflow[metric],
				  json_pack("[{s:s,s:{s:b}}]", "key",
					    "otel.metric.overflow", "value",
					    "boolValue", 1));
	}
}
