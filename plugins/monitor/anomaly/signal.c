/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/anomaly/signal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOUNDS_MAX 64
#define AGENT_MAX  128
#define FAMILY_MAX 256

/* What one agent did within the slots. */
struct gathered {
	char agent[AGENT_MAX];
	size_t bound_count;
	double bounds[BOUNDS_MAX];
	/* by slot */
	double sum[SIGNAL_SLOTS_MAX];  /* growth, or level */
	double part[SIGNAL_SLOTS_MAX]; /* of it what counts; calls */
	bool there[SIGNAL_SLOTS_MAX];
	/* by bucket and slot; p95 alone */
	double (*buckets)[SIGNAL_SLOTS_MAX];
};

struct gathering {
	const struct signal *signal;
	int64_t from;
	size_t slots;
	struct gathered **agents;
	size_t count, capacity;
	bool part; /* what comes now goes to `part`: _count of a mean */
	bool no_memory;
};

static const char *label_of(const struct atom_history_series *series,
			    const char *name)
{
	for (size_t i = 0; i < series->label_count; i++)
		if (strcmp(series->labels[i].name, name) == 0)
			return series->labels[i].value;
	return "";
}

static struct gathered *agent_of(struct gathering *g, const char *name)
{
	struct gathered *one;

	for (size_t i = g->count; i > 0; i--)
		if (strcmp(g->agents[i - 1]->agent, name) == 0)
			return g->agents[i - 1];
	if (g->count == g->capacity || strlen(name) >= AGENT_MAX)
		return NULL;
	one = calloc(1, sizeof(*one));
	if (one != NULL && g->signal->as == SIGNAL_P95) {
		one->buckets = calloc(BOUNDS_MAX, sizeof(*one->buckets));
		if (one->buckets == NULL) {
			free(one);
			one = NULL;
		}
	}
	if (one == NULL) {
		g->no_memory = true;
		return NULL;
	}
	(void)snprintf(one->agent, sizeof(one->agent), "%s", name);
	g->agents[g->count++] = one;
	return one;
}

/* The place of the series' bound among the agent's; BOUNDS_MAX: no room. */
static size_t bound_of(struct gathered *one,
		       const struct atom_history_series *series)
{
	const char *le = label_of(series, "le");
	double bound =
		strcmp(le, "+Inf") == 0 ? (double)INFINITY : strtod(le, NULL);
	size_t at = 0;

	while (at < one->bound_count && one->bounds[at] < bound)
		at++;
	if (at < one->bound_count && !(one->bounds[at] > bound))
		return at;
	if (one->bound_count == BOUNDS_MAX)
		return BOUNDS_MAX;
	for (size_t i = one->bound_count++; i > at; i--) {
		one->bounds[i] = one->bounds[i - 1];
		memcpy(one->buckets[i], one->buckets[i - 1],
		       sizeof(one->buckets[i]));
	}
	one->bounds[at] = bound;
	memset(one->buckets[at], 0, sizeof(one->buckets[at]));
	return at;
}

static void add(struct gathering *g, struct gathered *one, size_t bound,
		bool bad, size_t slot, double value)
{
	if (g->signal->as == SIGNAL_P95) {
		if (bound < BOUNDS_MAX)
			one->buckets[bound][slot] += value;
		one->there[slot] = true;
		return;
	}
	if (g->part) {
		one->part[slot] += value;
		return;
	}
	one->there[slot] = true;
	one->sum[slot] += value;
	if (bad)
		one->part[slot] += value;
}

static int32_t visit(void *argument, const struct atom_history_series *series,
		     const void *samples, size_t stride, size_t count)
{
	struct gathering *g = argument;
	bool level = g->signal->as == SIGNAL_LEVEL;
	bool bad = label_of(series, "code")[0] == '5';
	struct gathered *one = agent_of(g, label_of(series, "agent"));
	struct atom_history_sample sample, before = { 0 };
	size_t bound = BOUNDS_MAX;

	if (one == NULL)
		return g->no_memory;
	if (g->signal->as == SIGNAL_P95)
		bound = bound_of(one, series);
	for (size_t i = 0; i < count; i++, before = sample) {
		int64_t slot;

		memcpy(&sample, (const char *)samples + i * stride,
		       sizeof(sample));
		slot = sample.time_ms / SLOT_MS - g->from;
		if (slot < 0 || (size_t)slot >= g->slots ||
		    sample.time_ms % SLOT_MS != 0)
			continue;
		if (level)
			add(g, one, bound, bad, (size_t)slot, sample.mean);
		else if (i > 0 && before.time_ms == sample.time_ms - SLOT_MS)
			add(g, one, bound, bad, (size_t)slot,
			    sample.value - before.value);
	}
	return 0;
}

/* --- values of what was gathered ------------------------------------------- */

double signal_quantile(double q, const double *bounds, const double *counts,
		       size_t count)
{
	double rank, low = 0, before = 0;
	size_t at = 0;

	if (count < 2 || !(counts[count - 1] > 0))
		return NAN;
	rank = q * counts[count - 1];
	while (at < count - 1 && counts[at] < rank)
		at++;
	/* Beyond the last finite bound nothing is known but that. */
	if (at == count - 1)
		return bounds[count - 2];
	if (at == 0 && bounds[0] <= 0)
		return bounds[0];
	if (at > 0) {
		low = bounds[at - 1];
		before = counts[at - 1];
	}
	return low +
	       (bounds[at] - low) * (rank - before) / (counts[at] - before);
}

static double p95_of(const struct gathered *one, size_t slot, double *calls_r)
{
	double counts[BOUNDS_MAX];

	*calls_r = 0;
	for (size_t i = 0; i < one->bound_count; i++) {
		counts[i] = one->buckets[i][slot];
		*calls_r = counts[i];
	}
	return signal_quantile(0.95, one->bounds, counts, one->bound_count);
}

static double value_of(const struct signal *signal, const struct gathered *one,
		       size_t slot, double *calls_r)
{
	double sum = one->sum[slot], part = one->part[slot];

	switch ((enum signal_as)signal->as) {
	case SIGNAL_RATE:
		*calls_r = sum;
		return sum / (SLOT_MS / 1000.0);
	case SIGNAL_SHARE:
		*calls_r = sum;
		return part / sum;
	case SIGNAL_MEAN:
		*calls_r = part;
		return sum / part;
	case SIGNAL_P95:
		return p95_of(one, slot, calls_r);
	case SIGNAL_LEVEL:
		break;
	}
	*calls_r = 0;
	return sum;
}

static void tell(const struct gathering *g, signal_take take, void *argument)
{
	bool needs_calls = g->signal->as == SIGNAL_SHARE ||
			   g->signal->as == SIGNAL_MEAN ||
			   g->signal->as == SIGNAL_P95;

	for (size_t i = 0; i < g->count; i++)
		for (size_t slot = 0; slot < g->slots; slot++) {
			const struct gathered *one = g->agents[i];
			double calls, value;

			if (!one->there[slot])
				continue;
			value = value_of(g->signal, one, slot, &calls);
			if (isfinite(value) &&
			    (!needs_calls || calls >= SIGNAL_CALLS_LEAST))
				take(argument, one->agent,
				     g->from + (int64_t)slot, value, calls);
		}
}

double signal_floor(const struct signal *signal, double usual, double calls)
{
	double share = 0.1 * fabs(usual);

	switch ((enum signal_as)signal->as) {
	case SIGNAL_RATE:
		/* Growth of a counter is as noisy as a Poisson count. */
		return fmax(share, sqrt(usual * (SLOT_MS / 1000.0) + 1) /
					   (SLOT_MS / 1000.0));
	case SIGNAL_SHARE: {
		/* Of a binomial with one more success and failure. */
		double p = (usual * calls + 1) / (calls + 2);

		return fmax(share, sqrt(p * (1 - p) / (calls + 1)));
	}
	case SIGNAL_MEAN:
	case SIGNAL_P95:
		return fmax(share, 0.001); /* 1 ms */
	case SIGNAL_LEVEL:
		break;
	}
	return fmax(share, 0.25);
}

/* --- the history -------------------------------------------------------------- */

static atom_status read_family(const struct atom_host *host,
			       const struct atom_history *history,
			       struct gathering *g, const char *suffix,
			       struct atom_error *err)
{
	char name[FAMILY_MAX];
	const struct atom_history_matcher matcher = {
		.struct_size = sizeof(matcher),
		.type = ATOM_HISTORY_EQUAL,
		.label = g->signal->label,
		.value = g->signal->value,
	};
	const struct atom_history_query query = {
		.struct_size = sizeof(query),
		.resolution =
			g->slots > 12 ? ATOM_HISTORY_ROLLED : ATOM_HISTORY_BEST,
		.name = name,
		.matchers = &matcher,
		.matcher_stride = sizeof(matcher),
		.matcher_count = *g->signal->label != '\0',
		/* One step more: growth needs the one before. */
		.from_ms = (g->from - 2) * SLOT_MS + 1,
		.to_ms = (g->from + (int64_t)g->slots - 1) * SLOT_MS,
		.step_ms = SLOT_MS,
	};

	(void)snprintf(name, sizeof(name), "%s%s", g->signal->metric, suffix);
	return history->read(host, &query, visit, g, err);
}

atom_status signal_read(const struct atom_host *host,
			const struct atom_history *history,
			const struct signal *signal, int64_t from, int64_t to,
			size_t agents_max, signal_take take, void *argument,
			struct atom_error *err)
{
	struct gathering g = {
		.signal = signal,
		.from = from,
		.slots = (size_t)(to - from + 1),
		.agents = calloc(agents_max + 1, sizeof(*g.agents)),
		.capacity = agents_max,
	};
	atom_status status = ATOM_OK;

	if (g.agents == NULL)
		return atom_fail(err, ATOM_ENOMEM, "out of memory");
	if (signal->as == SIGNAL_MEAN) {
		status = read_family(host, history, &g, "_sum", err);
		g.part = true;
	}
	if (status == ATOM_OK || status == ATOM_EIO)
		status = read_family(host, history, &g,
				     signal->as == SIGNAL_MEAN	? "_count"
				     : signal->as == SIGNAL_P95 ? "_bucket"
								: "",
				     err);
	if (g.no_memory)
		status = atom_fail(err, ATOM_ENOMEM, "out of memory");
	if (status == ATOM_OK || status == ATOM_EIO)
		tell(&g, take, argument);
	for (size_t i = 0; i < g.count; i++) {
		free(g.agents[i]->buckets);
		free(g.agents[i]);
	}
	free(g.agents);
	return status;
}
