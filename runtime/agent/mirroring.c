/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/mirroring.h"

#include "agent/directory.h"
#include "core/memory.h"
#include "core/metric.h"

#define SERIES_MAX 20000

static uint32_t calls_family;
static uint32_t tokens_family;
static uint32_t duration_family;

static const char *const words[MIRRORED_RESULTS] = {
	[MIRRORED_COMPARED] = "compared",
	[MIRRORED_FULL] = "full",
	[MIRRORED_BUSY] = "busy",
	[MIRRORED_BUDGET] = "budget",
	[MIRRORED_NOT_ANSWERED] = "not_answered",
	[MIRRORED_NO_MEMORY] = "no_memory",
	[MIRRORED_STOPPED] = "stopped",
};

const char *mirroring_word(enum mirrored_result result)
{
	return words[result];
}

static void count(_Atomic int64_t *counter, int64_t by)
{
	(void)atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

static int64_t read_count(const _Atomic int64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* --- room -------------------------------------------------------------------- */

bool mirroring_take(struct mirroring *m, int64_t bytes)
{
	bool called = atomic_fetch_add(&m->running, 1) < MIRRORED_CALLS_MAX;
	bool held = atomic_fetch_add(&m->bytes, bytes) <=
		    MIRRORED_BYTES_MAX - bytes;

	if (!called || !held)
		mirroring_give_back(m, bytes);
	return called && held;
}

void mirroring_give_back(struct mirroring *m, int64_t bytes)
{
	count(&m->running, -1);
	count(&m->bytes, -bytes);
}

/* --- what they came to --------------------------------------------------------- */

void mirroring_compared(struct mirroring *m, const struct mirrored_pair *pair)
{
	count(&m->status_differs, pair->status_differs);
	count(&m->json_differs, pair->json_differs);
	count(&m->old_us, pair->old_ns / 1000);
	count(&m->new_us, pair->new_ns / 1000);
	count(&m->old_tokens, pair->old_tokens);
	count(&m->new_tokens, pair->new_tokens);
	if (pair->texts) {
		count(&m->similarity_ppm, (int64_t)(pair->similarity * 1e6));
		count(&m->similar_calls, 1);
	}
}

void mirroring_read(const struct mirroring *m, struct atom_comparison *c)
{
	*c = (struct atom_comparison){
		.struct_size = sizeof(*c),
		.calls = (uint64_t)mirroring_result(m, MIRRORED_COMPARED),
		.status_differs = (uint64_t)read_count(&m->status_differs),
		.json_differs = (uint64_t)read_count(&m->json_differs),
		.similar_calls = (uint64_t)read_count(&m->similar_calls),
		.similarity_sum = (double)read_count(&m->similarity_ppm) / 1e6,
		.old_s_sum = (double)read_count(&m->old_us) / 1e6,
		.new_s_sum = (double)read_count(&m->new_us) / 1e6,
		.old_tokens = (uint64_t)read_count(&m->old_tokens),
		.new_tokens = (uint64_t)read_count(&m->new_tokens),
	};
}

int64_t mirroring_result(const struct mirroring *m, enum mirrored_result result)
{
	return read_count(&m->results[result]);
}

/* --- metrics ------------------------------------------------------------------- */

atom_status mirroring_init(struct atom_error *err)
{
	static const char *const calls[] = { "agent", "revision", "result",
					     NULL };
	static const char *const tokens[] = { "agent", "revision", "direction",
					      NULL };
	static const char *const duration[] = { "agent", "revision", NULL };
	static const struct metric_declaration rows[] = {
		{ .type = ATOM_METRIC_COUNTER,
		  .name = "atomd_mirrored_calls_total",
		  .help = "Calls chosen to be repeated by a new revision "
			  "whose answers nobody is given, by what became of "
			  "them.",
		  .labels = calls,
		  .family_r = &calls_family,
		  .series_max = SERIES_MAX },
		{ .type = ATOM_METRIC_COUNTER,
		  .name = "atomd_mirrored_tokens_total",
		  .help = "Tokens that mirrored calls used; not part of "
			  "atomd_tokens_total.",
		  .labels = tokens,
		  .family_r = &tokens_family,
		  .series_max = SERIES_MAX },
		{ .type = ATOM_METRIC_HISTOGRAM,
		  .name = "atomd_mirrored_duration_seconds",
		  .help = "How long mirrored calls took from their slot to "
			  "their end.",
		  .unit = "seconds",
		  .labels = duration,
		  .family_r = &duration_family,
		  .series_max = SERIES_MAX },
	};

	return metric_declare_all(rows, ARRAY_SIZE(rows), err);
}

/* The series, made when it is first used: a trial has one new revision. */
static metric_id series(_Atomic metric_id *kept, uint32_t family,
			const struct revision *revision, const char *word)
{
	const char *const values[] = { revision_agent(revision),
				       revision_label(revision), word };
	metric_id id = atomic_load_explicit(kept, memory_order_acquire);

	if (id == 0) {
		id = metric_series(family, values);
		atomic_store_explicit(kept, id, memory_order_release);
	}
	return id;
}

void mirroring_note(struct mirroring *m, const struct revision *revision,
		    enum mirrored_result result)
{
	count(&m->results[result], 1);
	metric_inc(series(&m->result_series[result], calls_family, revision,
			  words[result]));
}

void mirroring_measure(struct mirroring *m, const struct revision *revision,
		       int64_t input_tokens, int64_t output_tokens, int64_t ns)
{
	if (input_tokens > 0)
		metric_add(series(&m->input_series, tokens_family, revision,
				  "input"),
			   (double)input_tokens);
	if (output_tokens > 0)
		metric_add(series(&m->output_series, tokens_family, revision,
				  "output"),
			   (double)output_tokens);
	metric_observe(
		series(&m->duration_series, duration_family, revision, NULL),
		(double)ns / 1e9);
}
