/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/grading.h"

#include <stdio.h>
#include <string.h>

#include "agent/agents_priv.h"
#include "core/id.h"
#include "core/memory.h"
#include "core/metric.h"

#define SERIES_MAX 20000

static uint32_t calls_family;
static uint32_t score_family;

static const char *const words[GRADED_RESULTS] = {
	[GRADED_SCORED] = "scored",	  [GRADED_FULL] = "full",
	[GRADED_BUDGET] = "budget",	  [GRADED_BUSY] = "busy",
	[GRADED_TIMEOUT] = "timeout",	  [GRADED_ERROR] = "error",
	[GRADED_NO_SCORE] = "no_score",	  [GRADED_RATED] = "rated",
	[GRADED_NO_MEMORY] = "no_memory",
};

const char *grading_word(enum graded_result result)
{
	return words[result];
}

atom_status grading_setup(struct grading *g, const struct config_grader *with)
{
	g->criteria = mem_strdup(with->criteria);
	if (g->criteria == NULL)
		return ATOM_ENOMEM;
	(void)snprintf(g->agent, sizeof(g->agent), "%s", with->agent);
	g->share = (uint64_t)(with->percent * 10000);
	g->budget = with->tokens_per_hour;
	g->timeout_ms = (int32_t)with->timeout_ms;
	return ATOM_OK;
}

void grading_fini(struct grading *g)
{
	mem_free(TAKE(g->criteria));
}

bool grading_draws(const struct grading *g)
{
	return g->agent[0] != '\0' && id_random() % 1000000 < g->share;
}

static void count(_Atomic int64_t *counter, int64_t by)
{
	(void)atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

bool grading_take(struct grading *g, const char *agent, int64_t revision,
		  int64_t now_ms)
{
	if (atomic_fetch_add(&g->running, 1) >= GRADED_CALLS_MAX) {
		count(&g->running, -1);
		grading_note(g, agent, revision, GRADED_FULL);
		return false;
	}
	if (token_hour_reserve(&g->hour, GRADED_TOKENS, g->budget, now_ms))
		return true;
	count(&g->running, -1);
	grading_note(g, agent, revision, GRADED_BUDGET);
	return false;
}

void grading_give_back(struct grading *g, int64_t tokens, int64_t now_ms)
{
	token_hour_settle(&g->hour, GRADED_TOKENS, tokens, now_ms);
	count(&g->running, -1);
}

void grading_note(struct grading *g, const char *agent, int64_t revision,
		  enum graded_result result)
{
	char label[24];
	const char *const values[] = { agent, label, words[result] };

	(void)snprintf(label, sizeof(label), "%lld", (long long)revision);
	count(&g->results[result], 1);
	metric_inc(metric_series(calls_family, values));
}

void grading_scored(struct grading *g, const char *agent, int64_t revision,
		    bool is_new, double score)
{
	char label[24];
	const char *const values[] = { agent, label };

	grading_note(g, agent, revision, GRADED_SCORED);
	(void)snprintf(label, sizeof(label), "%lld", (long long)revision);
	count(&g->scored[is_new], 1);
	count(&g->score_ppm[is_new], (int64_t)(score * 1e6 + 0.5));
	metric_observe(metric_series(score_family, values), score);
}

/* --- the configuration ------------------------------------------------------- */

/* As it is to be, else as it is in force. */
static const struct config_agent *settings_of(const struct config *config,
					      const char *name)
{
	const struct agent *agent;

	for (size_t i = 0; i < config->agent_count; i++)
		if (strcmp(config->agents[i].name, name) == 0)
			return &config->agents[i];
	agent = agents_find(name);
	return agent != NULL ? agent->scaler->settings : NULL;
}

/* Longer chains than there are agents go in a circle, which is told where it
 * passes. */
#define CHAIN_MAX 1000

static void check_chain(const struct config *config,
			const struct config_agent *first, struct buffer *errors)
{
	const struct config_agent *at = first;
	const struct setting *where =
		setting_member(first->deployment.options, "grader");

	for (int i = 0; i < CHAIN_MAX && at != NULL; i++) {
		const char *grader = at->deployment.grader.agent;

		if (grader[0] == '\0')
			return;
		if (strcmp(grader, first->name) == 0) {
			config_complain(
				errors, where,
				i == 0 ? "`grader`: the agent %s cannot "
					 "grade its own answers"
				       : "`grader`: %s would, by the "
					 "graders of its graders, "
					 "grade itself",
				first->name);
			return;
		}
		at = settings_of(config, grader);
	}
}

void grading_check(const struct config *config, struct buffer *errors)
{
	for (size_t i = 0; i < config->agent_count; i++)
		check_chain(config, &config->agents[i], errors);
}

/* --- metrics ------------------------------------------------------------------ */

atom_status grading_init(struct atom_error *err)
{
	static const char *const calls[] = { "agent", "revision", "result",
					     NULL };
	static const char *const scores[] = { "agent", "revision", NULL };
	static const double bounds[] = { 0.0, 0.1, 0.2, 0.3, 0.4, 0.5,
					 0.6, 0.7, 0.8, 0.9, 1.0 };
	static const struct metric_declaration rows[] = {
		{ .type = ATOM_METRIC_COUNTER,
		  .name = "atomd_graded_calls_total",
		  .help = "Answers chosen to be graded while a rollout runs, by "
			  "what became of that.",
		  .labels = calls,
		  .family_r = &calls_family,
		  .series_max = SERIES_MAX },
		{ .type = ATOM_METRIC_HISTOGRAM,
		  .name = "atomd_grader_score",
		  .help = "Scores that the grader gave to answers.",
		  .labels = scores,
		  .bounds = bounds,
		  .bound_count = ARRAY_SIZE(bounds),
		  .family_r = &score_family,
		  .series_max = SERIES_MAX },
	};

	return metric_declare_all(rows, ARRAY_SIZE(rows), err);
}
