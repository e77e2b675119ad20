/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "agent/directory.h"
#include "agent/directory_priv.h"
#include "agent/rollouts_priv.h"
#include "agent/webhooks.h"
#include "agent/workflow.h"
#include "core/id.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"
#include "plugin/host.h"
#include "plugin/registry.h"
#include "state/state.h"

/* While instances are waited for, or another's store. */
#define STARTING_MS 20
/* Until a store that failed is asked again. */
#define RETRY_MS 1000

static const char *(*frozen_callback)(const char *agent);

void rollouts_on_freeze(const char *(*frozen)(const char *agent))
{
	frozen_callback = frozen;
}

/* --- looking --------------------------------------------------------------------- */

static int32_t bounded(int64_t n)
{
	return n < 0 ? 0 : n > INT32_MAX ? INT32_MAX : (int32_t)n;
}

void live_look_after(struct live *live, int64_t after_ms)
{
	if (timer_set(loop_control(), &live->timer, after_ms) != ATOM_OK)
		log_line(ATOM_LOG_ERROR, "out_of_memory",
			 "no memory for a rollout's timer",
			 LOG_TEXT("agent", live->agent->name));
}

static void advance(struct live *live, struct rollout_seen *seen)
{
	const struct component *strategy = configured_component(live->strategy);
	struct rollout_strategy plan = {
		.ops = (const struct atom_deployment_ops *)(const void *)
			       strategy->ops,
		.self = configured_self(live->strategy),
	};
	struct rollout_judge judge = { .ops = NULL };
	int64_t began = host_call_begin();

	if (live->judge != NULL) {
		const struct component *component =
			configured_component(live->judge);

		judge.ops = (const struct atom_judge_ops *)(const void *)
				    component->ops;
		judge.self = configured_self(live->judge);
		component_count_call(component);
	}
	component_count_call(strategy);
	rollout_advance(live->state, &live->settings->deployment.settings, seen,
			&plan, &judge, &live->orders);
	host_call_end(began, strategy, "advance");
}

/* What cannot be stored may not be done: it stands, is judged all the same,
 * and can go back. */
static const char *hindered(const struct live *live)
{
	if (live->store_error[0] != '\0')
		return live->store_error;
	return frozen_callback != NULL ? frozen_callback(live->agent->name)
				       : NULL;
}

static void see(struct live *live)
{
	static struct atom_cell cells[2 * TRIAL_WEIGHTS_MAX];
	struct mirroring *mirroring = trial_mirroring(live->trial);
	struct atom_comparison compared;
	int64_t steady_ms = os.monotonic_ns() / 1000000;
	struct agent *agent = live->agent;
	const struct pool *from = &live->from->pool, *to = &live->to->pool;
	struct rollout_seen seen = {
		.wall_ms = os.realtime_ms(),
		.steady_ms = steady_ms,
		.agent_wanted = bounded(agent_desired(agent, agent->stable)),
		.old_ready = bounded(atomic_load(&from->ready)),
		.old_in_flight = bounded(atomic_load(&from->in_flight)),
		.new_ready = bounded(atomic_load(&to->ready)),
		.new_failed = to->failed_starts,
		.start_error =
			to->start_error[0] != '\0' ? to->start_error : NULL,
		.bad_kinds = trial_kinds(live->trial),
		.frozen = hindered(live),
		.cells = cells,
		.comparison = &compared,
		.mirror_tokens = token_hour_sum(&mirroring->hour, steady_ms),
	};
	const char *limit;

	/* Why no instance comes is better known than that none does. */
	if (seen.start_error == NULL &&
	    seen.new_ready < live->orders.new_instances &&
	    pool_room(to, &limit) <= 0)
		seen.start_error = limit;
	mirroring_read(mirroring, &compared);
	seen.cell_count = trial_cells(live->trial, cells, ARRAY_SIZE(cells));
	webhooks_look(live, &seen);
	(void)snprintf(live->frozen_reason, sizeof(live->frozen_reason), "%s",
		       seen.frozen != NULL ? seen.frozen : "");
	if (seen.gate != ROLLOUT_GATE_FAILED)
		workflow_look(live, &seen);
	replaying_look(live, &seen);
	advance(live, &seen);
	workflow_follow(live);
	webhooks_follow(live);
}

static int64_t next_look(const struct live *live)
{
	const struct rollout_orders *orders = &live->orders;

	if (atomic_load(&live->to->pool.ready) < orders->new_instances ||
	    workflow_runs(live))
		return STARTING_MS;
	return orders->look_ms;
}

static void answer_asked(struct live *live, atom_status status,
			 const char *message)
{
	struct asked *asked;

	while ((asked = live->asked) != NULL) {
		live->asked = asked->next;
		asked->done(asked->argument, status,
			    status == ATOM_OK ? rollouts_status(live->state->id)
					      : NULL,
			    message);
		mem_free(asked);
	}
}

static void go_on(struct live *live)
{
	live_act(live);
	live_tell(live);
	answer_asked(live, ATOM_OK, NULL);
	if (!live->orders.over) {
		live_look_after(live, next_look(live));
		return;
	}
	live_end(live);
	/* The snapshot names, and holds, the revision that goes. */
	(void)agents_publish();
}

/* The state is not stored: nothing new is done, and it is tried again. */
static void wait_for_store(struct live *live, atom_status status,
			   const char *message)
{
	if (live->store_error[0] == '\0')
		log_line(ATOM_LOG_ERROR, "rollout_not_stored", message,
			 LOG_TEXT("agent", live->agent->name));
	(void)snprintf(live->store_error, sizeof(live->store_error), "%s",
		       message);
	live->store_again = true;
	answer_asked(live, status, message);
	live_look_after(live, RETRY_MS);
}

static void begin_storing(struct live *live)
{
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status;

	/* What a change of the agent has stored, and not told yet, would be
	 * overwritten. */
	live->store_again = live->from != NULL && live->agent->changing;
	if (live->store_again) {
		live_look_after(live, STARTING_MS);
		return;
	}
	status = live_store(live, &err);
	if (status == ATOM_OK)
		live->storing = true;
	else
		wait_for_store(live, status, err.message);
}

static void drop(struct live *live);
static void settle(struct live *live);

void live_stored(struct live *live, atom_status status, const char *message)
{
	bool stood;

	live->storing = false;
	if (live->agent == NULL) {
		drop(live); /* nobody's any more */
		return;
	}
	if (status != ATOM_OK) {
		wait_for_store(live, status, message);
		return;
	}
	stood = live->store_error[0] != '\0';
	if (stood)
		live->store_error[0] = live->frozen_reason[0] = '\0';
	if (live->store_again) {
		begin_storing(live);
	} else if (live->from != NULL && stood) {
		/* Nor does it stand for that any more. */
		live_look(live);
	} else if (live->from != NULL) {
		go_on(live);
	} else {
		/* It ended meanwhile. */
		answer_asked(live, ATOM_OK, NULL);
		settle(live);
	}
}

void live_look(struct live *live)
{
	if (live->from == NULL)
		return;
	see(live);
	if (live->orders.urgent) {
		live_act(live);
		live_tell(live);
	}
	if (live->orders.store || live->store_again) {
		live->store_again = true;
		if (!live->storing)
			begin_storing(live);
	} else if (!live->storing) {
		go_on(live);
	}
}

void live_on_timer(struct timer *timer)
{
	struct live *live = CONTAINER_OF(timer, struct live, timer);

	if (live->from != NULL)
		live_look(live);
	else if (live->store_again && !live->storing)
		begin_storing(live); /* that it has ended */
}

void rollouts_look(void)
{
	struct agent *agent;

	for (size_t at = 0; (agent = table_next(&agents_table, &at)) != NULL;)
		if (agent->rollout != NULL)
			live_look(agent->rollout);
}

/* --- life ---------------------------------------------------------------------------- */

/* Over, and nothing of it is still to be stored: what is large goes. */
static void settle(struct live *live)
{
	struct buffer text = BUFFER_INIT(STATE_VALUE_MAX);

	if (live->state == NULL || live->from != NULL || live->storing ||
	    live->store_again)
		return;
	json_decref(live->last);
	live->last = live_describe(live);
	mem_free(TAKE(live->kept));
	if (rollout_encode(live->state, &text) == ATOM_OK)
		live->kept = mem_strdup(text.bytes);
	buffer_fini(&text);
	workflow_free(live);
	mem_free(TAKE(live->state));
}

void live_end(struct live *live)
{
	timer_stop(&live->timer);
	workflow_end(live);
	webhooks_end(live);
	if (live->from == NULL) {
		settle(live);
		return;
	}
	/* Calls that come late are turned round, whatever they were told. */
	if (live->agent->candidate == live->to) {
		live->agent->candidate = NULL;
		revision_unref(live->to);
	}
	if (live->agent->stable != live->to)
		pool_retire(&live->to->pool);
	if (live->agent->stable != live->from)
		pool_retire(&live->from->pool);
	revision_unref(TAKE(live->from));
	revision_unref(TAKE(live->to));
	live->last_new_ns = trial_last_new_ns(live->trial);
	for (int i = 0; i < MIRRORED_RESULTS; i++)
		live->mirrored[i] = mirroring_result(
			trial_mirroring(live->trial), (enum mirrored_result)i);
	json_decref(live->graded);
	live->graded = live_graded(live);
	trial_unref(TAKE(live->trial));
	configured_free(&live->strategy);
	configured_free(&live->judge);
	settle(live);
}

static void drop(struct live *live)
{
	config_unref(&live->config);
	config_unref(&live->to_config);
	json_decref(live->last);
	json_decref(live->graded);
	workflow_free(live);
	replaying_fini(live);
	mem_free(live->state);
	mem_free(live->kept);
	mem_free(live->who);
	mem_free(live->why);
	mem_free(live);
}

void live_free(struct live **at)
{
	struct live *live = *at;

	if (live == NULL)
		return;
	live_end(live);
	answer_asked(live, ATOM_ECANCELED, "the agent is gone");
	*at = NULL;
	live->agent = NULL;
	if (!live->storing)
		drop(live);
}

void rollouts_forget(struct agent *agent)
{
	struct live *live = agent->rollout;

	if (live == NULL || live->from == NULL)
		return;
	trial_close(live->trial);
	rollout_supersede(live->state);
	workflow_follow(live);
	webhooks_follow(live);
	if (live->state->at.outcome == ROLLOUT_PROMOTED)
		live->state->at.weight = ATOM_WEIGHT_ALL;
	live->orders.over = true;
	live->orders.weight = 0;
	live_tell(live);
	/* So that no start takes it up again. */
	live->store_again = true;
	live_end(live);
	(void)agents_publish();
	if (!live->storing)
		begin_storing(live);
}

void rollouts_stop(void)
{
	struct agent *agent;

	for (size_t at = 0; (agent = table_next(&agents_table, &at)) != NULL;) {
		struct live *live = agent->rollout;

		if (live == NULL)
			continue;
		live_end(live);
		/* No timer stores any more what was asked for. */
		if (!live->storing)
			answer_asked(live, ATOM_EUNAVAILABLE,
				     "the daemon is stopping");
	}
	webhooks_stop();
}
