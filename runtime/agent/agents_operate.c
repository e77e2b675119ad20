/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "agent/agents.h"
#include "agent/agents_priv.h"
#include "agent/attempt.h"
#include "agent/directory.h"
#include "agent/freeze.h"
#include "agent/directory_priv.h"
#include "agent/handle.h"
#include "agent/recent.h"
#include "agent/rollouts.h"
#include "core/log.h"
#include "core/memory.h"

static atom_status not_found(const char *name, struct atom_error *err)
{
	return atom_fail(err, ATOM_ENOENT, "there is no agent named '%s'",
			 name);
}

atom_status agents_scale(const char *name, int64_t instances,
			 struct atom_error *err)
{
	struct agent *agent = agents_find(name);
	int64_t max, before;

	if (agent == NULL || agent->stable == NULL)
		return not_found(name, err);
	max = agent->stable->agent->instances.max;
	if (instances < 0 || instances > max)
		return atom_fail(err, ATOM_EINVAL,
				 "instances: expected 0 to %lld (the agent's "
				 "instances.max), found %lld",
				 (long long)max, (long long)instances);
	before = agent_desired(agent, agent->stable);
	/* Slots are there at once or not at all; others wait for room. */
	if (agent->stable->pool.style != POOL_OWNED && instances > before &&
	    instances - before > pool_slots_room())
		return atom_fail(err, ATOM_EINVAL,
				 "instances: max_agents, of all agents "
				 "together, leaves room for %lld more, found "
				 "%lld more",
				 (long long)(pool_slots_room() > 0
						     ? pool_slots_room()
						     : 0),
				 (long long)(instances - before));
	agent->pinned = instances;
	scaler_pinned(agent->scaler, (int32_t)before, (int32_t)instances);
	agent_size(agent);
	log_line(ATOM_LOG_INFO, "agent_scaled", "an operator set the size",
		 LOG_TEXT("agent", name), LOG_NUMBER("instances", instances));
	return ATOM_OK;
}

atom_status agents_scale_auto(const char *name, struct atom_error *err)
{
	struct agent *agent = agents_find(name);
	int64_t before;

	if (agent == NULL || agent->stable == NULL)
		return not_found(name, err);
	before = agent_desired(agent, agent->stable);
	agent->pinned = -1;
	scaler_released(agent->scaler, (int32_t)before);
	agent_size(agent);
	return ATOM_OK;
}

atom_status agents_restart(const char *name, struct atom_error *err)
{
	struct agent *agent = agents_find(name);

	if (agent == NULL || agent->stable == NULL)
		return not_found(name, err);
	if (agent->stable->pool.style != POOL_OWNED)
		return ATOM_OK; /* there is no instance to replace */
	pool_restart(&agent->stable->pool);
	log_line(ATOM_LOG_INFO, "agent_restarting",
		 "an operator restarts the instances one by one",
		 LOG_TEXT("agent", name));
	return ATOM_OK;
}

/* --- graceful stop ----------------------------------------------------------- */

struct cut {
	struct message message;
};

static void (*stopped_callback)(void *argument);
static void *stopped_argument;
static struct timer stop_timer;
static bool stop_forced;
static struct cut cuts[LOOP_MAX];

static void check_stopped(void)
{
	if (stopped_callback == NULL || revisions_alive() > 0)
		return;
	timer_stop(&stop_timer);
	TAKE(stopped_callback)(stopped_argument);
}

static void on_cut(struct loop *loop, struct message *message)
{
	(void)message;
	calls_cancel_all(loop, ATOM_CANCEL_SHUTDOWN);
}

/* How long backends may take to end their calls once they are cancelled. */
#define CUT_MS 8000

static void on_stop_deadline(struct timer *timer)
{
	if (stop_forced || stopped_callback == NULL) {
		if (stopped_callback == NULL)
			return;
		log_printf(ATOM_LOG_ERROR, "stop_forced",
			   "%zu revisions still have calls or instances that "
			   "did not end; stopping without them",
			   revisions_alive());
		TAKE(stopped_callback)(stopped_argument);
		return;
	}
	stop_forced = true;
	for (unsigned int i = 0; i < loops_serving(); i++) {
		cuts[i].message.deliver = on_cut;
		loop_post(loops_get(i), &cuts[i].message);
	}
	(void)timer_set(loop_control(), timer, CUT_MS);
}

void agents_cut(void)
{
	if (!stop_forced && stopped_callback != NULL)
		on_stop_deadline(&stop_timer);
}

void agents_stop(int64_t deadline_ms, void (*stopped)(void *argument),
		 void *argument)
{
	struct agent *agent;

	stopped_callback = stopped;
	stopped_argument = argument;
	scalers_stop();
	rollouts_stop();
	revisions_on_gone(check_stopped);
	calls_refuse();
	calls_end_spare();
	directory_clear();
	for (size_t at = 0; (agent = table_next(&agents_table, &at)) != NULL;) {
		if (agent->candidate != NULL) {
			pool_retire(&agent->candidate->pool);
			revision_unref(TAKE(agent->candidate));
		}
		if (agent->stable != NULL) {
			pool_retire(&agent->stable->pool);
			revision_unref(TAKE(agent->stable));
		}
	}
	stop_timer.fire = on_stop_deadline;
	(void)timer_set(loop_control(), &stop_timer, deadline_ms);
	check_stopped();
}

void agents_fini(void)
{
	struct agent *agent;

	for (size_t at = 0; (agent = table_next(&agents_table, &at)) != NULL;)
		agent_free(agent);
	table_fini(&agents_table);
	freeze_fini();
	scalers_fini();
	handles_fini();
	recent_fini();
}
