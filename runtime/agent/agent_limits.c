/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent_limits.h"

#include "core/memory.h"

/* Six series an agent, 10,000 agents. */
#define SERIES_MAX 60000

static uint32_t family;

atom_status agent_limits_init(struct atom_error *err)
{
	static const char *const labels[] = { "agent", "limit", NULL };
	const struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = ATOM_METRIC_COUNTER,
		.name = "atomd_rate_limited_total",
		.help = "Calls refused by a limit of the caller's key or of "
			"the agent.",
		.unit = "",
		.label_names = labels,
	};
	atom_status status = metric_declare(&spec, &family, err);

	if (status == ATOM_OK)
		metric_allow(family, SERIES_MAX);
	return status;
}

struct agent_limits *agent_limits_new(void)
{
	struct agent_limits *limits = mem_zalloc(sizeof(*limits));

	if (limits != NULL)
		atomic_init(&limits->refs, 1);
	return limits;
}

struct agent_limits *agent_limits_ref(struct agent_limits *limits)
{
	atomic_fetch_add_explicit(&limits->refs, 1, memory_order_relaxed);
	return limits;
}

void agent_limits_unref(struct agent_limits *limits)
{
	if (limits != NULL &&
	    atomic_fetch_sub_explicit(&limits->refs, 1, memory_order_acq_rel) ==
		    1)
		mem_free(limits);
}

void agent_limits_count(struct agent_limits *limits, const char *agent,
			enum limit_kind kind, bool by_key)
{
	static const char *const words[] = {
		[LIMIT_REQUESTS] = "agent_requests",
		[LIMIT_TOKENS] = "agent_tokens",
		[LIMIT_CONCURRENT] = "agent_concurrent",
		[LIMIT_KINDS + LIMIT_REQUESTS] = "key_requests",
		[LIMIT_KINDS + LIMIT_TOKENS] = "key_tokens",
		[LIMIT_KINDS + LIMIT_CONCURRENT] = "key_concurrent",
	};
	size_t at = (size_t)kind + (by_key ? LIMIT_KINDS : 0);
	const char *values[] = { agent, words[at] };
	metric_id id = atomic_load_explicit(&limits->refused[at],
					    memory_order_acquire);

	if (id == 0) {
		id = metric_series(family, values);
		atomic_store_explicit(&limits->refused[at], id,
				      memory_order_release);
	}
	metric_inc(id);
}
