/* SPDX-License-Identifier: Apache-2.0 */

/* Rows of control's table, and revisions for them.  [control] */

#include <string.h>

#include "agent/rollouts_priv.h"
#include "agent/directory.h"
#include "core/memory.h"

void agent_free(struct agent *agent)
{
	pool_count_slots(-agent->slots);
	live_free(&agent->rollout);
	scaler_free(&agent->scaler);
	agent_limits_unref(agent->limits);
	mem_free(agent->kept);
	mem_free(agent->name);
	mem_free(agent);
}

struct agent *agent_new(const char *name, bool recall)
{
	struct agent *agent = mem_zalloc(sizeof(*agent));

	if (agent == NULL)
		return NULL;
	agent->pinned = -1;
	agent->name = mem_strdup(name);
	agent->limits = agent_limits_new();
	agent->scaler = scaler_new(agent);
	if (agent->name == NULL || agent->limits == NULL ||
	    agent->scaler == NULL ||
	    (recall &&
	     table_set(&agents_table, agent->name, strlen(agent->name), agent,
		       NULL) != ATOM_OK)) {
		agent_free(agent);
		return NULL;
	}
	if (recall)
		agent_recall(agent);
	return agent;
}

struct revision *agent_newest(const struct agent *agent)
{
	return agent->candidate != NULL ? agent->candidate : agent->stable;
}

atom_status agent_prepare_revision(struct agent *agent, struct config *config,
				   const struct config_agent *from,
				   int64_t number, struct revision **revision_r,
				   struct atom_error *err)
{
	struct buffer errors = BUFFER_INIT((size_t)64 * 1024);
	struct loop *home;
	atom_status status;

	home = loops_get(
		(unsigned int)(table_hash(from->name, strlen(from->name)) %
			       loops_serving()));
	status = revision_new(config, from, number, agent->limits, home,
			      revision_r, &errors, err);
	if (status != ATOM_OK && errors.length > 0)
		atom_fail(err, status, "%.*s", (int)errors.length,
			  errors.bytes);
	buffer_fini(&errors);
	return status;
}

void agent_set_candidate(struct agent *agent, struct revision *revision)
{
	/* The weight is back on the stable one when this returns. */
	rollouts_forget(agent);
	if (agent->candidate != NULL) {
		pool_retire(&agent->candidate->pool);
		revision_unref(agent->candidate);
	}
	agent->candidate = revision;
	atomic_store(&revision->pool.scaled, agent->scaler->strategy != NULL);
	agent->goes_back = false;
	if (agent->pinned > revision->agent->instances.max)
		agent->pinned = -1;
	/* Beside a stable one its rollout says how many. */
	if (agent->stable == NULL)
		pool_set_desired(&revision->pool,
				 agent_desired(agent, revision));
}

atom_status agent_make_revision(struct agent *agent, struct config *config,
				const struct config_agent *from, int64_t number,
				struct atom_error *err)
{
	struct revision *revision = NULL;
	atom_status status = agent_prepare_revision(agent, config, from, number,
						    &revision, err);

	if (status == ATOM_OK)
		agent_set_candidate(agent, revision);
	return status;
}

void agent_remove(struct agent *agent)
{
	(void)table_remove(&agents_table, agent->name, strlen(agent->name));
	if (agent->rollout != NULL)
		live_end(agent->rollout);
	if (agent->candidate != NULL) {
		pool_retire(&agent->candidate->pool);
		revision_unref(agent->candidate);
	}
	if (agent->stable != NULL) {
		pool_retire(&agent->stable->pool);
		revision_unref(agent->stable);
	}
	agent_free(agent);
}
