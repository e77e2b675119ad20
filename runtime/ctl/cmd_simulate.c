/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "commands.h"
#include "simulate.h"

#include "core/memory.h"
#include "core/text.h"
#include "scaling/trace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Traces without dates begin on Monday, 2026-01-05 00:00 UTC. */
#define BEGAN_MS      INT64_C(1767571200000)
#define COLD_START_S  2
#define TOKEN_SERVICE "tokens:0.02s"
#define SERVICE	      "exponential:1s"

struct simulation {
	struct simulate_agent agent;
	struct simulate_plugin *strategies;
	struct simulate_result *results; /* one a strategy */
	size_t strategy_count;
	struct draw draw;
	int64_t seed;
	struct trace trace;
	struct service_time service;
	struct simulate_load load;
	struct simulate_call *calls;
	double clairvoyant_s;
	int64_t cold_start_us;
	int64_t target_wait_us;
};

static int read_trace(struct ctl *ctl, struct simulation *s)
{
	const char *name = ctl_option(ctl, OPTION_TRACE);
	struct atom_error err = ATOM_ERROR_INIT;
	if (trace_is_generator(name)) {
		if (trace_generate(name, &s->draw, &s->trace, &err) != ATOM_OK)
			return ctl_fail(ctl, CTL_USAGE, "--trace: %s",
					err.message);
		return CTL_DONE;
	}
	size_t length;
	char *text = simulate_read_file(ctl, "--trace", name,
					SIMULATE_TRACE_MAX, &length);
	if (!text)
		return CTL_FAILED;
	atom_status status =
		trace_parse(text, length, name, &s->draw, &s->trace, &err);
	mem_free(text);
	return status == ATOM_OK ? CTL_DONE
				 : ctl_fail(ctl, CTL_FAILED, "%s", err.message);
}

static int read_service(struct ctl *ctl, struct simulation *s)
{
	const char *text = ctl_option(ctl, OPTION_SERVICE_TIME);
	struct atom_error err = ATOM_ERROR_INIT;
	if (!text)
		text = s->trace.has_tokens ? TOKEN_SERVICE : SERVICE;
	if (service_time_parse(text, &s->service, &err) != ATOM_OK)
		return ctl_fail(ctl, CTL_USAGE, "--service-time: %s",
				err.message);
	if (s->service.kind == SERVICE_TOKENS && !s->trace.has_tokens)
		return ctl_fail(ctl, CTL_USAGE,
				"--service-time: %s needs a trace with output "
				"tokens; this one has times alone: say for "
				"example %s",
				text, SERVICE);
	return CTL_DONE;
}

static int read_time(struct ctl *ctl, enum option_id id, double otherwise_s,
		     int64_t *us_r)
{
	const char *text = ctl_option(ctl, id);
	const char *end = "";
	double seconds = otherwise_s;
	if (text && (!seconds_parse(text, &end, &seconds) || *end))
		return ctl_fail(ctl, CTL_USAGE,
				"--%s: expected a time such as 2s or 500ms, "
				"found '%.60s'",
				option_rows[id].name, text);
	*us_r = (int64_t)llround(seconds * 1e6);
	return CTL_DONE;
}

static int read_numbers(struct ctl *ctl, struct simulation *s)
{
	const char *seed = ctl_option(ctl, OPTION_SEED);
	int code = read_time(ctl, OPTION_COLD_START, COLD_START_S,
			     &s->cold_start_us);
	if (code == CTL_DONE)
		code = read_time(
			ctl, OPTION_TARGET_WAIT,
			(double)s->agent.agent->scaling.target_wait_ms / 1000,
			&s->target_wait_us);
	s->seed = 1;
	if (code == CTL_DONE && seed && !text_to_int(seed, &s->seed))
		code = ctl_fail(ctl, CTL_USAGE,
				"--seed: expected a whole number, found "
				"'%.60s'",
				seed);
	s->draw.state = (uint64_t)s->seed;
	return code;
}

/* Every strategy meets the same calls. */
static int make_calls(struct ctl *ctl, struct simulation *s)
{
	const struct trace *trace = &s->trace;
	s->calls = mem_array(trace->count, sizeof(*s->calls));
	if (!s->calls)
		return ctl_fail_memory(ctl);
	for (size_t i = 0; i < trace->count; i++) {
		double service_s = service_time_draw(
			&s->service, trace->calls[i].tokens, &s->draw);
		s->calls[i].arrival_us = trace->calls[i].arrival_us;
		s->calls[i].service_us = (int64_t)llround(
			fmin(service_s, SIMULATE_SERVICE_MAX_S) * 1e6);
	}
	s->load = (struct simulate_load){
		.calls = s->calls,
		.count = trace->count,
		.span_us = trace->span_us,
	};
	int64_t end_us;
	const struct config_instances *instances = &s->agent.agent->instances;
	s->clairvoyant_s =
		simulate_clairvoyant(&s->load, (int32_t)instances->min,
				     (int32_t)instances->concurrency, &end_us);
	return s->clairvoyant_s < 0 ? ctl_fail_memory(ctl) : CTL_DONE;
}

static int run_all(struct ctl *ctl, struct simulation *s)
{
	const struct config_agent *agent = s->agent.agent;
	struct simulate_spec spec = {
		.load = &s->load,
		.settings = agent->scaling.settings,
		.min = (int32_t)agent->instances.min,
		.max = (int32_t)agent->instances.max,
		.concurrency = (int32_t)agent->instances.concurrency,
		.queue_depth = agent->queue.depth,
		.queue_timeout_us = agent->queue.timeout_ms * 1000,
		.cold_start_us = s->cold_start_us,
		.target_wait_us = s->target_wait_us,
		.began_ms = s->trace.began_ms ? s->trace.began_ms : BEGAN_MS,
		.seed = (uint64_t)s->seed,
	};
	s->results = mem_array(s->strategy_count, sizeof(*s->results));
	if (!s->results)
		return ctl_fail_memory(ctl);
	for (size_t i = 0; i < s->strategy_count; i++) {
		const struct simulate_plugin *strategy = &s->strategies[i];
		struct atom_error err = ATOM_ERROR_INIT;
		spec.ops = (const struct atom_scaling_ops *)(const void *)
				   configured_component(strategy->configured)
					   ->ops;
		spec.self = configured_self(strategy->configured);
		if (simulate_run(&spec, &s->results[i], &err) != ATOM_OK)
			return ctl_fail(ctl, CTL_FAILED, "%s: %s",
					strategy->name, err.message);
	}
	return CTL_DONE;
}

/* --- what is printed ------------------------------------------------------------ */

static double late_share(const struct simulate_result *result)
{
	return (double)result->late / (double)result->calls;
}

static double actions_per_hour(const struct simulate_result *result)
{
	return (double)result->actions / ((double)result->end_us / 3.6e9);
}

static double ratio(const struct simulation *s,
		    const struct simulate_result *result)
{
	return s->clairvoyant_s > 0 ? result->instance_s / s->clairvoyant_s : 0;
}

static int print_json(struct ctl *ctl, const struct simulation *s)
{
	json_t *list = json_array();
	for (size_t i = 0; i < s->strategy_count; i++) {
		const struct simulate_plugin *strategy = &s->strategies[i];
		const struct simulate_result *r = &s->results[i];
		json_array_append_new(
			list,
			json_pack(
				"{s:s, s:o, s:f, s:f, s:f, s:f, s:f, s:f, s:f, "
				"s:I, s:I, s:I}",
				"name", strategy->name, "options",
				simulate_plugin_options(strategy), "late_share",
				late_share(r), "wait_p50_s",
				(double)r->wait_p50_us / 1e6, "wait_p95_s",
				(double)r->wait_p95_us / 1e6, "wait_p99_s",
				(double)r->wait_p99_us / 1e6,
				"instance_seconds", r->instance_s,
				"clairvoyant_ratio", ratio(s, r),
				"actions_per_hour", actions_per_hour(r),
				"calls_lost",
				(json_int_t)r->refused +
					(json_int_t)r->timed_out,
				"evaluations", (json_int_t)r->evaluations,
				"faults", (json_int_t)r->faults));
	}
	json_t *answer =
		json_pack("{s:{s:I, s:f}, s:f, s:f, s:f, s:I, s:o}", "trace",
			  "calls", (json_int_t)s->trace.count, "seconds",
			  (double)s->trace.span_us / 1e6,
			  "clairvoyant_instance_seconds", s->clairvoyant_s,
			  "cold_start_s", (double)s->cold_start_us / 1e6,
			  "target_wait_s", (double)s->target_wait_us / 1e6,
			  "seed", (json_int_t)s->seed, "strategies", list);
	int code = answer ? ctl_print_json(ctl, answer) : ctl_fail_memory(ctl);
	json_decref(answer);
	return code;
}

static void add_format(struct table *table, struct text *text,
		       const char *format, double value)
{
	text_clear(text);
	text_append_format(text, format, value);
	table_add(table, text_string(text));
}

static int print_table(struct ctl *ctl, const struct simulation *s)
{
	static const char *const titles[] = {
		"STRATEGY", ">LATE %",		 ">P50 s", ">P95 s",
		">P99 s",   ">INSTANCE-SECONDS", ">RATIO", ">ACTIONS/H",
		">LOST",    "OPTIONS",		 NULL
	};
	struct text text = TEXT_INIT(65536);
	struct table table;
	printf("%zu calls in %.0f s, one who knows the future needs %.0f "
	       "instance-seconds\n",
	       s->trace.count, (double)s->trace.span_us / 1e6,
	       s->clairvoyant_s);
	table_init(&table, titles);
	for (size_t i = 0; i < s->strategy_count; i++) {
		const struct simulate_plugin *strategy = &s->strategies[i];
		const struct simulate_result *r = &s->results[i];
		json_t *options = simulate_plugin_options(strategy);
		char *shown =
			json_object_size(options)
				? json_dumps(options,
					     JSON_COMPACT |
						     JSON_REAL_PRECISION(6))
				: NULL;
		table_add(&table, strategy->name);
		add_format(&table, &text, "%.2f", late_share(r) * 100);
		add_format(&table, &text, "%.2f", (double)r->wait_p50_us / 1e6);
		add_format(&table, &text, "%.2f", (double)r->wait_p95_us / 1e6);
		add_format(&table, &text, "%.2f", (double)r->wait_p99_us / 1e6);
		add_format(&table, &text, "%.0f", r->instance_s);
		add_format(&table, &text, "%.2f", ratio(s, r));
		add_format(&table, &text, "%.0f", actions_per_hour(r));
		table_add_number(&table, r->refused + r->timed_out);
		table_add(&table, shown ? shown : "");
		free(shown);
		json_decref(options);
	}
	text_fini(&text);
	return ctl_print_table(ctl, &table);
}

static int simulate(struct ctl *ctl, struct simulation *s)
{
	const char *list = ctl_option(ctl, OPTION_STRATEGY);
	const char *plot = ctl_option(ctl, OPTION_PLOT);
	int code = simulate_agent_read(
		ctl, ctl_option(ctl, OPTION_AGENT_CONFIG), &s->agent);
	if (code == CTL_DONE)
		code = read_numbers(ctl, s);
	if (code == CTL_DONE)
		code = read_trace(ctl, s);
	if (code == CTL_DONE)
		code = read_service(ctl, s);
	if (code == CTL_DONE)
		code = make_calls(ctl, s);
	if (code != CTL_DONE)
		return code;
	if (!list)
		list = s->agent.agent->scaling.plugin;
	if (!list)
		return ctl_fail(ctl, CTL_USAGE,
				"which strategy? --strategy NAME[,NAME], or a "
				"`scaling` in the agent's configuration");
	struct simulate_open open = {
		.kind = "scaling",
		.option = "--strategy",
		.list = list,
		.agent = &s->agent,
		.own_name = s->agent.agent->scaling.plugin,
		.group = s->agent.agent->scaling.options,
	};
	code = simulate_plugins_begin(ctl);
	if (code == CTL_DONE)
		code = simulate_plugins_open(ctl, &open, &s->strategies,
					     &s->strategy_count);
	if (code == CTL_DONE)
		code = run_all(ctl, s);
	if (code == CTL_DONE && plot)
		code = simulate_plot(ctl, plot, ctl_option(ctl, OPTION_TRACE),
				     s->strategies, s->results,
				     s->strategy_count,
				     (double)s->target_wait_us / 1e6);
	if (code == CTL_DONE)
		code = ctl_has(ctl, OPTION_JSON) ? print_json(ctl, s)
						 : print_table(ctl, s);
	simulate_plugins_close(&s->strategies, s->strategy_count);
	simulate_plugins_end();
	return code;
}

int cmd_simulate_scaling(struct ctl *ctl)
{
	struct simulation simulation = { 0 };
	if (!ctl_has(ctl, OPTION_AGENT_CONFIG) || !ctl_has(ctl, OPTION_TRACE))
		return ctl_fail(ctl, CTL_USAGE,
				"what is simulated? --agent-config FILE (one "
				"agent's body) and --trace FILE (or poisson, "
				"step, flash, diurnal)");
	int code = simulate(ctl, &simulation);
	simulate_agent_fini(&simulation.agent);
	trace_fini(&simulation.trace);
	mem_free(simulation.calls);
	mem_free(simulation.results);
	return code;
}
