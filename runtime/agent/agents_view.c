/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agents.h"
#include "agent/rollouts_priv.h"
#include "agent/directory.h"
#include "agent/session.h"
#include "core/health.h"
#include "core/memory.h"
#include "plugin/options.h"
#include "plugin/registry.h"

static void add_weight(json_t *list, const struct revision *revision,
		       int32_t weight)
{
	json_array_append_new(list, json_pack("{s:I,s:i}", "revision",
					      (json_int_t)revision->number,
					      "weight", (int)weight));
}

/* Weights of 10,000 in all; a second row while a rollout gives it any. */
static json_t *split_of(const struct agent *agent)
{
	struct split split = { .stable = agent->stable };
	json_t *list = json_array();

	if (agent->rollout != NULL)
		live_split(agent->rollout, &split);
	add_weight(list, split.stable, ATOM_WEIGHT_ALL - split.weight);
	if (split.next != NULL && split.weight > 0)
		add_weight(list, split.next, split.weight);
	return list;
}

static json_t *row_of(const struct agent *agent)
{
	const struct revision *r = agent->stable;
	const struct pool *pool;
	double calls, errors = 0;

	if (r == NULL)
		return NULL;
	pool = &r->pool;
	calls = revision_calls(r, &errors);
	return json_pack(
		"{s:s,s:I,s:{s:I,s:I,s:I,s:I},s:I,s:I,s:o,s:s,s:s,"
		"s:b,s:I,s:I,s:f,s:f,s:b,s:I}",
		"name", agent->name, "revision", (json_int_t)r->number,
		"instances", "desired", (json_int_t)atomic_load(&pool->desired),
		"ready", (json_int_t)atomic_load(&pool->ready), "starting",
		(json_int_t)atomic_load(&pool->starting), "draining",
		(json_int_t)atomic_load(&pool->draining), "in_flight",
		(json_int_t)atomic_load(&pool->in_flight), "queued",
		(json_int_t)atomic_load(&pool->waiting), "split",
		split_of(agent), "backend", r->agent->backend, "origin",
		agent->owner == AGENT_OF_API ? "api" : "file", "drift",
		agent->owner == AGENT_OF_FILE && !agent_follows_file(agent),
		"calls_total", (json_int_t)calls, "errors_total",
		(json_int_t)errors, "p50_ms", revision_quantile_ms(r, 0.5),
		"p95_ms", revision_quantile_ms(r, 0.95), "unhealthy",
		(int)atomic_load(&pool->unhealthy), "sessions",
		(json_int_t)session_count_of(agent->name));
}

bool agents_know(const char *name)
{
	return agents_find(name) != NULL;
}

static int by_name(const void *a, const void *b)
{
	const struct agent *const *x = a;
	const struct agent *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

json_t *agents_list(void)
{
	struct agent **sorted =
		mem_array(agents_table.count + 1, sizeof(*sorted));
	json_t *list = sorted != NULL ? json_array() : NULL;
	struct agent *agent;
	size_t n = 0;

	for (size_t at = 0;
	     list != NULL && (agent = table_next(&agents_table, &at)) != NULL;)
		sorted[n++] = agent;
	if (n > 0)
		qsort(sorted, n, sizeof(struct agent *), by_name);
	for (size_t i = 0; i < n; i++) {
		json_t *row = row_of(sorted[i]);

		if (row != NULL)
			json_array_append_new(list, row);
	}
	mem_free(sorted);
	return list;
}

/* The agent's own text with what its backend declares secret hidden. */
static const char **secrets_of(const struct agent *agent)
{
	return options_secret_names(
		configured_component(agent->stable->backend)->declared);
}

json_t *agents_describe(const char *name)
{
	struct agent *agent = agents_find(name);
	json_t *row = agent != NULL ? row_of(agent) : NULL;
	const char **secrets;

	if (row == NULL)
		return NULL;
	json_object_set_new(row, "scaling", scaler_describe(agent->scaler));
	secrets = secrets_of(agent);
	json_object_set_new(row, "settings",
			    setting_to_json(agent_setting(agent), secrets));
	mem_free(secrets);
	return row;
}

atom_status agents_export(const char *name, struct buffer *out,
			  struct atom_error *err)
{
	struct agent *agent = agents_find(name);
	const char **secrets;
	atom_status status;

	if (agent == NULL || agent->stable == NULL)
		return atom_fail(err, ATOM_ENOENT,
				 "there is no agent named '%s'", name);
	secrets = secrets_of(agent);
	status = setting_print(agent_setting(agent), 0, secrets, out);
	mem_free(secrets);
	return status;
}

void agents_measure(void)
{
	enum health_state state = agents_lacking ? HEALTH_FAILED : HEALTH_OK;
	char why[200] = "an agent had no memory; a reload tries again";
	struct agent *agent;

	for (size_t at = 0; (agent = table_next(&agents_table, &at)) != NULL;) {
		const struct pool *pool;

		rollouts_measure(agent);
		if (agent->candidate != NULL)
			revision_measure(agent->candidate, false);
		if (agent->stable == NULL) {
			/* Without one it is under way: it comes, or goes. */
			if (agent->error[0] == '\0')
				continue;
			state = HEALTH_FAILED;
			(void)snprintf(why, sizeof(why), "agent %s: %.120s",
				       agent->name, agent->error);
			continue;
		}
		revision_measure(agent->stable, true);
		pool = &agent->stable->pool;
		if (atomic_load(&pool->failing) &&
		    atomic_load(&pool->desired) > 0) {
			state = HEALTH_FAILED;
			(void)snprintf(why, sizeof(why),
				       "agent %s: its instances do not start",
				       agent->name);
		} else if (state == HEALTH_OK &&
			   atomic_load(&pool->unhealthy)) {
			state = HEALTH_DEGRADED;
			(void)snprintf(why, sizeof(why),
				       "agent %s: its instances fail again "
				       "and again",
				       agent->name);
		}
	}
	health_report("agents", state, true, state != HEALTH_OK ? why : NULL);
}
