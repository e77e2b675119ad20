/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "agent/agent_limits.h"
#include "agent/directory.h"
#include "agent/pool.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/qsbr.h"

/*
 * A revision lives as long as somebody holds it: the snapshot, each call,
 * each message about its pool.  When nobody does, its home loop ends the
 * instances, control unpublishes what is left, and after a quiet point of
 * every loop (plugin code may still be on some stack) it is destroyed.
 */

/* Shared and blocking backends without an `instances` group. */
#define PLAIN_CONCURRENCY 1000

/* Series of one family: 10,000 agents and their revisions. */
#define SERIES_MAX 200000

/* Status codes that have a series from the start; any other is looked up. */
static const int code_of[] = { 200, 400, 403, 404, 409, 413, 422,
			       429, 499, 500, 502, 503, 504 };

static uint32_t requests_family;
static uint32_t duration_family;
static uint32_t first_token_family;
static uint32_t queue_wait_family;
static uint32_t tokens_family;
static uint32_t in_flight_family;
static uint32_t queue_depth_family;
static uint32_t failures_family;
static uint32_t instances_family;
static uint32_t desired_family;

static _Atomic int64_t token_limit;
static struct revision *alive; /* control's list */
static size_t alive_count;
static void (*gone_callback)(void);

atom_status revision_metrics_init(struct atom_error *err)
{
	static const char *const agent[] = { "agent", NULL };
	static const char *const code[] = { "agent", "revision", "code", NULL };
	static const char *const state[] = { "agent", "revision", "state",
					     NULL };
	static const char *const direction[] = { "agent", "revision",
						 "direction", NULL };
	static const struct metric_declaration rows[] = {
		{ .type = ATOM_METRIC_COUNTER,
		  .name = "atomd_requests_total",
		  .help = "Calls of agents that have ended, by HTTP status.",
		  .labels = code,
		  .family_r = &requests_family,
		  .series_max = SERIES_MAX },
		{ .type = ATOM_METRIC_HISTOGRAM,
		  .name = "atomd_request_duration_seconds",
		  .help = "Time from a call's first byte to its answer's last.",
		  .unit = "seconds",
		  .labels = agent,
		  .family_r = &duration_family,
		  .series_max = SERIES_MAX },
		{ .type = ATOM_METRIC_HISTOGRAM,
		  .name = "atomd_time_to_first_token_seconds",
		  .help = "Time from a call's first byte to its answer's first.",
		  .unit = "seconds",
		  .labels = agent,
		  .family_r = &first_token_family,
		  .series_max = SERIES_MAX },
		{ .type = ATOM_METRIC_HISTOGRAM,
		  .name = "atomd_queue_wait_seconds",
		  .help = "Time a call waited for an instance.",
		  .unit = "seconds",
		  .labels = agent,
		  .family_r = &queue_wait_family,
		  .series_max = SERIES_MAX },
		{ .type = ATOM_METRIC_COUNTER,
		  .name = "atomd_tokens_total",
		  .help = "Tokens of calls, as backends report them.",
		  .labels = direction,
		  .family_r = &tokens_family,
		  .series_max = SERIES_MAX },
		{ .type = ATOM_METRIC_GAUGE,
		  .name = "atomd_inflight_requests",
		  .help = "Calls that are with a backend now.",
		  .labels = agent,
		  .family_r = &in_flight_family,
		  .series_max = SERIES_MAX },
		{ .type = ATOM_METRIC_GAUGE,
		  .name = "atomd_queue_depth",
		  .help = "Calls that wait for an instance now.",
		  .labels = agent,
		  .family_r = &queue_depth_family,
		  .series_max = SERIES_MAX },
		{ .type = ATOM_METRIC_GAUGE,
		  .name = "atomd_instances",
		  .help = "Instances by state.",
		  .labels = state,
		  .family_r = &instances_family,
		  .series_max = SERIES_MAX },
		{ .type = ATOM_METRIC_GAUGE,
		  .name = "atomd_instances_desired",
		  .help = "Instances that are wanted.",
		  .labels = agent,
		  .family_r = &desired_family,
		  .series_max = SERIES_MAX },
		{ .type = ATOM_METRIC_COUNTER,
		  .name = "atomd_instance_failures_total",
		  .help = "Instances that were lost or did not start.",
		  .labels = agent,
		  .family_r = &failures_family,
		  .series_max = SERIES_MAX },
	};

	return metric_declare_all(rows, ARRAY_SIZE(rows), err);
}

static metric_id series2(uint32_t family, const struct revision *r,
			 const char *last)
{
	const char *values[] = { r->agent->name, r->label, last };

	return metric_series(family, values);
}

static metric_id series1(uint32_t family, const struct revision *r)
{
	const char *values[] = { r->agent->name };

	return metric_series(family, values);
}

/* Series that an agent without calls does not need are made when they are
 * first used: ten thousand idle agents are not a scrape of megabytes. */
static metric_id lazily(_Atomic metric_id *kept, uint32_t family,
			const struct revision *r, const char *last)
{
	/* Whoever finds the id finds the series made. */
	metric_id id = atomic_load_explicit(kept, memory_order_acquire);

	if (id != 0)
		return id;
	id = last != NULL ? series2(family, r, last) : series1(family, r);
	atomic_store_explicit(kept, id, memory_order_release);
	return id;
}

void revision_count_failure(const struct revision *revision)
{
	metric_inc(series1(failures_family, revision));
}

static void forget_instances(const struct revision *r)
{
	static const char *const states[] = { "ready", "starting", "draining" };

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		const char *values[] = { r->agent->name, r->label, states[i] };

		metric_remove(instances_family, values);
	}
}

static enum pool_style style_of(const struct atom_ops *ops)
{
	if (ops->flags & ATOM_BACKEND_SHARED)
		return POOL_SHARED;
	return ops->flags & ATOM_BACKEND_BLOCKING ? POOL_BLOCKING : POOL_OWNED;
}

static void revision_destroy(void *object)
{
	struct revision *r = object;

	if (!blocking_free(&r->pool.blocking)) {
		/* Threads still run in the plugin: what they use stays. */
		goto forget;
	}
	forget_instances(r);
	agent_limits_unref(r->limits);
	configured_free(&r->memory_backend);
	setting_free(&r->memory_options);
	configured_free(&r->backend);
	config_unref(&r->config);
	mem_free(atomic_load(&r->pool.measure));
forget:
	if (r->previous != NULL)
		r->previous->next = r->next;
	else
		alive = r->next;
	if (r->next != NULL)
		r->next->previous = r->previous;
	alive_count--;
	if (r->config == NULL)
		mem_free(r);
	if (gone_callback != NULL)
		gone_callback();
}

void revisions_visit(void (*visit)(struct revision *revision))
{
	for (struct revision *r = alive; r != NULL; r = r->next)
		visit(r);
}

size_t revisions_alive(void)
{
	return alive_count;
}

void revisions_on_gone(void (*gone)(void))
{
	gone_callback = gone;
}

/* The backend once more, with the options of instances.memory_optimized in
 * place of its own. */
static atom_status make_memory_backend(struct revision *r,
				       struct configured_spec spec,
				       struct buffer *errors,
				       struct atom_error *err)
{
	const struct setting *over = r->agent->instances.memory_optimized;

	/* agents_check() has refused it for other styles. */
	if (over == NULL || r->pool.style != POOL_OWNED)
		return ATOM_OK;
	r->memory_options = setting_overlay(spec.group, over);
	if (r->memory_options == NULL)
		return atom_fail(err, ATOM_ENOMEM, "no memory for agent %s",
				 r->agent->name);
	spec.group = r->memory_options;
	return configured_new(&spec, &r->memory_backend, errors, err);
}

atom_status revision_new(struct config *config,
			 const struct config_agent *agent, int64_t number,
			 struct agent_limits *limits, struct loop *home,
			 struct revision **revision_r, struct buffer *errors,
			 struct atom_error *err)
{
	static const char *const ignored[] = { "plugin", NULL };
	struct configured_spec spec = {
		.group = agent->backend_options,
		.ignored = ignored,
		.agent = agent->name,
		.directory = config->directory,
	};
	struct revision *r = mem_zalloc(sizeof(*r));
	enum pool_style style;
	int64_t concurrency;
	atom_status status;

	if (r == NULL)
		return atom_fail(err, ATOM_ENOMEM, "no memory for agent %s",
				 agent->name);
	atomic_init(&r->refs, 1);
	r->config = config_ref(config);
	r->agent = agent;
	r->number = number;
	(void)snprintf(r->label, sizeof(r->label), "%lld", (long long)number);
	r->created_s = os.realtime_ms() / 1000;
	status = registry_component("backend", agent->backend, &spec.component,
				    err);
	if (status != ATOM_OK)
		goto fail;
	style = style_of(spec.component->ops);
	concurrency = !agent->instances.present && style != POOL_OWNED
			      ? PLAIN_CONCURRENCY
			      : agent->instances.concurrency;
	spec.owner = r;
	pool_init(&r->pool, r, style, home, (int32_t)concurrency);
	status = configured_new(&spec, &r->backend, errors, err);
	if (status == ATOM_OK)
		status = make_memory_backend(r, spec, errors, err);
	if (status != ATOM_OK)
		goto fail;
	r->ops = (const struct atom_backend_ops *)(const void *)
			 spec.component->ops;
	r->self = configured_self(r->backend);
	if (style == POOL_BLOCKING) {
		r->pool.blocking = blocking_new(r);
		if (r->pool.blocking == NULL) {
			status = atom_fail(err, ATOM_ENOMEM,
					   "no memory for agent %s",
					   agent->name);
			goto fail;
		}
	}
	r->limits = agent_limits_ref(limits);
	r->codes[0] = series2(requests_family, r, "200");
	(void)series1(failures_family, r);
	r->next = alive;
	if (alive != NULL)
		alive->previous = r;
	alive = r;
	alive_count++;
	*revision_r = r;
	return ATOM_OK;
fail:
	configured_free(&r->memory_backend);
	setting_free(&r->memory_options);
	configured_free(&r->backend);
	config_unref(&r->config);
	mem_free(r);
	return status;
}

/* --- references ------------------------------------------------------------ */

void revision_ref(struct revision *revision)
{
	atomic_fetch_add_explicit(&revision->refs, 1, memory_order_relaxed);
}

static void on_emptied(struct loop *loop, struct message *message)
{
	(void)loop;
	qsbr_retire(revision_destroy,
		    CONTAINER_OF(message, struct revision, closing));
}

void revision_emptied(struct revision *revision)
{
	if (revision->emptied)
		return;
	revision->emptied = true;
	revision->closing.deliver = on_emptied;
	loop_post(loop_control(), &revision->closing);
}

static void on_unheld(struct loop *loop, struct message *message)
{
	struct revision *r = CONTAINER_OF(message, struct revision, closing);

	(void)loop;
	pool_close(&r->pool);
}

void revision_unref(struct revision *revision)
{
	if (atomic_fetch_sub_explicit(&revision->refs, 1,
				      memory_order_acq_rel) > 1)
		return;
	revision->closing.deliver = on_unheld;
	loop_post(revision->pool.home, &revision->closing);
}

/* --- what it tells ---------------------------------------------------------- */

const char *revision_agent(const struct revision *revision)
{
	return revision->agent->name;
}

int64_t revision_number(const struct revision *revision)
{
	return revision->number;
}

const char *revision_label(const struct revision *revision)
{
	return revision->label;
}

const struct config_agent *revision_config(const struct revision *revision)
{
	return revision->agent;
}

bool revision_retires(const struct revision *revision)
{
	return atomic_load(&revision->pool.retiring);
}

int64_t revision_created_s(const struct revision *revision)
{
	return revision->created_s;
}

struct agent_limits *revision_limits(const struct revision *revision)
{
	return revision->limits;
}

int64_t revision_max_tokens(const struct revision *revision)
{
	return revision->agent->max_tokens > 0 ? revision->agent->max_tokens
					       : atomic_load(&token_limit);
}

void revision_set_token_limit(int64_t limit)
{
	atomic_store(&token_limit, limit);
}

static metric_id code_series(struct revision *r, int status)
{
	char text[16];

	for (size_t i = 0; i < ARRAY_SIZE(code_of); i++) {
		metric_id id;

		if (code_of[i] != status)
			continue;
		id = atomic_load_explicit(&r->codes[i], memory_order_acquire);
		if (id != 0)
			return id;
		(void)snprintf(text, sizeof(text), "%d", status);
		id = series2(requests_family, r, text);
		atomic_store_explicit(&r->codes[i], id, memory_order_release);
		return id;
	}
	(void)snprintf(text, sizeof(text), "%d", status);
	return series2(requests_family, r, text);
}

void revision_count(struct revision *revision,
		    const struct revision_outcome *outcome)
{
	const struct metric_call call = { .trace_id = outcome->trace_id,
					  .request_id = outcome->request_id };

	metric_inc(code_series(revision, outcome->http_status));
	metric_observe_call(
		lazily(&revision->duration, duration_family, revision, NULL),
		(double)(outcome->ended_ns - outcome->began_ns) / 1e9, &call);
	if (outcome->first_emit_ns != 0 && outcome->granted_ns != 0)
		measure_first_token(&revision->pool,
				    outcome->first_emit_ns -
					    outcome->granted_ns);
	if (outcome->first_emit_ns != 0)
		metric_observe(
			lazily(&revision->first_token, first_token_family,
			       revision, NULL),
			(double)(outcome->first_emit_ns - outcome->began_ns) /
				1e9);
	if (outcome->granted_ns != 0)
		metric_observe(
			lazily(&revision->queue_wait, queue_wait_family,
			       revision, NULL),
			(double)(outcome->granted_ns - outcome->began_ns) /
				1e9);
	if (outcome->input_tokens > 0)
		metric_add(lazily(&revision->tokens_in, tokens_family, revision,
				  "input"),
			   (double)outcome->input_tokens);
	if (outcome->output_tokens > 0)
		metric_add(lazily(&revision->tokens_out, tokens_family,
				  revision, "output"),
			   (double)outcome->output_tokens);
}

void revision_measure(struct revision *revision, bool serving)
{
	const struct pool *pool = &revision->pool;

	metric_set(series2(instances_family, revision, "ready"),
		   (double)atomic_load(&pool->ready));
	metric_set(series2(instances_family, revision, "starting"),
		   (double)atomic_load(&pool->starting));
	metric_set(series2(instances_family, revision, "draining"),
		   (double)atomic_load(&pool->draining));
	if (!serving)
		return;
	metric_set(series1(in_flight_family, revision),
		   (double)atomic_load(&pool->in_flight));
	metric_set(series1(queue_depth_family, revision),
		   (double)atomic_load(&pool->waiting));
	metric_set(series1(desired_family, revision),
		   (double)atomic_load(&pool->desired));
}

double revision_quantile_ms(const struct revision *revision, double q)
{
	double seconds = metric_quantile(atomic_load(&revision->duration), q);

	return isnan(seconds) ? -1 : seconds * 1000;
}

double revision_calls(const struct revision *revision, double *errors_r)
{
	double all = 0, bad = 0;

	for (size_t i = 0; i < ARRAY_SIZE(code_of); i++) {
		double n = metric_value(atomic_load(&revision->codes[i]));

		all += n;
		if (code_of[i] >= 500)
			bad += n;
	}
	*errors_r = bad;
	return all;
}
