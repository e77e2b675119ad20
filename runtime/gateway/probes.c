/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/probes.h"

#include <stdio.h>
#include <string.h>

#include "agent/directory.h"
#include "core/health.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "core/table.h"
#include "gateway/question.h"

#define AGAIN_MS 15000 /* after a failure */
#define SPREAD_MS \
	10000 /* of the first ones, so that they do not all come at once */
#define TIMEOUT_MS 30000

struct probe {
	char *agent;
	int64_t due_ms; /* of the control loop */
	int64_t every_ms;
	bool under_way;
	bool seen; /* it is still wanted */
	bool failing;
	int64_t began_ns;
	metric_id success, duration;
	metric_id results[2]; /* failed, ok */
};

static struct table probes = TABLE_INIT;
static uint32_t success_family, duration_family, calls_family;

static const char *const results[] = { "failed", "ok" };

static void probe_free(struct probe **probe)
{
	struct probe *p = *probe;

	*probe = NULL;
	if (p != NULL)
		mem_free(p->agent);
	mem_free(p);
}

static void forget_series(const struct probe *p)
{
	const char *const agent[] = { p->agent };

	metric_remove(success_family, agent);
	metric_remove(duration_family, agent);
	for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
		const char *const labels[] = { p->agent, results[i] };

		metric_remove(calls_family, labels);
	}
}

static struct probe *probe_new(const char *agent, int64_t every_ms)
{
	struct probe *p = mem_zalloc(sizeof(*p));
	const char *const labels[] = { agent };

	if (p == NULL)
		return NULL;
	p->agent = mem_strdup(agent);
	if (p->agent == NULL || table_set(&probes, p->agent, strlen(p->agent),
					  p, NULL) != ATOM_OK) {
		probe_free(&p);
		return NULL;
	}
	p->due_ms = loop_now_ms(loop_control()) +
		    (int64_t)(table_hash(agent, strlen(agent)) %
			      (uint64_t)(every_ms < SPREAD_MS ? every_ms
							      : SPREAD_MS));
	p->success = metric_series(success_family, labels);
	p->duration = metric_series(duration_family, labels);
	for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
		const char *const both[] = { agent, results[i] };

		p->results[i] = metric_series(calls_family, both);
	}
	return p;
}

/* --- one probe ---------------------------------------------------------------- */

static void told(struct probe *p, const char *error)
{
	bool failed = error != NULL;

	p->under_way = false;
	if (health_is_stopping())
		return;
	metric_set(p->success, failed ? 0 : 1);
	metric_set(p->duration,
		   (double)(os.monotonic_ns() - p->began_ns) / 1e9);
	metric_inc(p->results[!failed]);
	if (failed && p->every_ms > AGAIN_MS)
		p->due_ms = loop_now_ms(loop_control()) + AGAIN_MS;
	if (failed && !p->failing)
		log_line(ATOM_LOG_WARN, "probe_failed", error,
			 LOG_TEXT("agent", p->agent));
	else if (!failed && p->failing)
		log_line(ATOM_LOG_INFO, "probe_recovered",
			 "the agent answers its probe again",
			 LOG_TEXT("agent", p->agent));
	p->failing = failed;
}

static void on_done(struct question *q)
{
	told(q->argument, q->status == ATOM_OK ? NULL : q->error.message);
}

static void begin(struct probe *p, const struct config_agent *config)
{
	const char *input = config_probe(config);
	struct question *q = question_new(p->agent);
	int64_t timeout_ms =
		config->timeouts.total_ms > 0 &&
				config->timeouts.total_ms < TIMEOUT_MS
			? config->timeouts.total_ms
			: TIMEOUT_MS;

	p->due_ms = loop_now_ms(loop_control()) + p->every_ms;
	p->began_ns = os.monotonic_ns();
	p->under_way = true;
	if (q == NULL ||
	    question_put_text(q, input, strlen(input)) != ATOM_OK) {
		question_free(&q);
		told(p, "a probe: no memory");
		return;
	}
	(void)snprintf(q->user, sizeof(q->user), "probe");
	q->probe = true;
	q->timeout_ms = (int32_t)timeout_ms;
	q->done = on_done;
	q->argument = p;
	question_ask(q);
}

static void look(void *argument, struct revision *revision)
{
	const struct config_agent *config = revision_config(revision);
	struct probe *p;

	(void)argument;
	if (config->probe_every_ms <= 0)
		return;
	p = table_get_text(&probes, revision_agent(revision));
	if (p == NULL)
		p = probe_new(revision_agent(revision), config->probe_every_ms);
	if (p == NULL)
		return;
	p->seen = true;
	/* A shorter one counts at once. */
	if (config->probe_every_ms < p->every_ms)
		p->due_ms = loop_now_ms(loop_control());
	p->every_ms = config->probe_every_ms;
	if (!p->under_way && loop_now_ms(loop_control()) >= p->due_ms)
		begin(p, config);
}

void probes_tick(void)
{
	struct probe *p;

	if (health_is_stopping())
		return;
	for (size_t at = 0; (p = table_next(&probes, &at)) != NULL;)
		p->seen = false;
	directory_visit(look, NULL);
	for (size_t at = 0; (p = table_next(&probes, &at)) != NULL;)
		if (!p->seen && !p->under_way) {
			(void)table_remove(&probes, p->agent, strlen(p->agent));
			forget_series(p);
			probe_free(&p);
		}
}

/* --- life ----------------------------------------------------------------------- */

atom_status probes_init(struct atom_error *err)
{
	static const char *const agent[] = { "agent", NULL };
	static const char *const agent_result[] = { "agent", "result", NULL };
	static const struct metric_declaration rows[] = {
		{ .type = ATOM_METRIC_GAUGE,
		  .name = "atomd_probe_success",
		  .help = "Whether the last synthetic call was answered.",
		  .labels = agent,
		  .family_r = &success_family },
		{ .type = ATOM_METRIC_GAUGE,
		  .name = "atomd_probe_duration_seconds",
		  .help = "How long the last synthetic call took.",
		  .unit = "seconds",
		  .labels = agent,
		  .family_r = &duration_family },
		{ .type = ATOM_METRIC_COUNTER,
		  .name = "atomd_probe_calls_total",
		  .help = "Synthetic calls by what became of them.",
		  .labels = agent_result,
		  .family_r = &calls_family },
	};

	return metric_declare_all(rows, ARRAY_SIZE(rows), err);
}

void probes_fini(void)
{
	struct probe *p;

	for (size_t at = 0; (p = table_next(&probes, &at)) != NULL;)
		probe_free(&p);
	table_fini(&probes);
}
