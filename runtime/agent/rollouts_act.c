/* SPDX-License-Identifier: Apache-2.0 */

/* What a rollout's orders say, done to pools and to the snapshot.  [control] */

#include <stdio.h>
#include <string.h>

#include "agent/directory.h"
#include "agent/rollouts_priv.h"
#include "agent/session.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"

void live_split(const struct live *live, struct split *split_r)
{
	struct agent *agent = live->agent;

	*split_r = (struct split){ .stable = agent->stable };
	if (live->from == NULL)
		return;
	if (agent->stable == live->to) {
		split_r->previous = live->from;
		return;
	}
	split_r->next = live->to;
	split_r->weight = live->orders.weight;
	split_r->trial = live->trial;
	split_r->mirror = live->orders.mirror;
	split_r->mirror_budget = live->orders.mirror_budget;
}

/* --- sizes ----------------------------------------------------------------------- */

bool live_size(const struct live *live, const struct revision *revision,
	       int64_t *instances_r)
{
	int32_t n = ROLLOUT_SCALED;

	if (live->from == NULL)
		return false;
	if (revision == live->to)
		n = live->orders.new_instances;
	else if (revision == live->from)
		n = live->orders.old_instances;
	*instances_r = n;
	return n != ROLLOUT_SCALED;
}

static void size_revision(struct agent *agent, struct revision *revision)
{
	const struct live *live = agent->rollout;
	struct pool *pool = &revision->pool;
	int64_t n;

	if (live == NULL || !live_size(live, revision, &n))
		n = agent_desired(agent, revision);
	if (n == 0 && revision != agent->stable)
		pool_retire(pool);
	else if (n != atomic_load(&pool->desired) ||
		 atomic_load(&pool->retiring))
		pool_set_desired(pool, n);
}

void agent_size(struct agent *agent)
{
	if (agent->stable != NULL)
		size_revision(agent, agent->stable);
	if (agent->candidate != NULL)
		size_revision(agent, agent->candidate);
}

/* More first, then the weight, then fewer. */
static void size_live(struct live *live, bool grow)
{
	struct revision *both[] = { live->from, live->to };

	for (size_t i = 0; i < ARRAY_SIZE(both); i++) {
		int64_t n = 0;
		bool told = live_size(live, both[i], &n);
		bool more;

		if (!told)
			n = agent_desired(live->agent, both[i]);
		more = n > atomic_load(&both[i]->pool.desired);
		if (more == grow)
			size_revision(live->agent, both[i]);
	}
}

/* --- who is stable ------------------------------------------------------------------ */

static void tell_serving(const struct agent *agent)
{
	session_limits(agent->name, &agent->stable->agent->memory);
	log_line(ATOM_LOG_INFO, "revision_serving",
		 "a revision serves its agent's calls",
		 LOG_TEXT("agent", agent->name),
		 LOG_NUMBER("revision", agent->stable->number));
}

/* The agent's own references follow. */
static void change_stable(struct live *live)
{
	struct agent *agent = live->agent;
	bool promoted = live->orders.outcome == ROLLOUT_PROMOTED;
	struct revision *stable = promoted ? live->to : live->from;

	if (agent->stable == stable)
		return;
	revision_ref(stable);
	revision_unref(agent->stable);
	agent->stable = stable;
	if (agent->candidate == stable) {
		agent->candidate = NULL;
		revision_unref(stable);
	}
	tell_serving(agent);
}

/* --- the orders ---------------------------------------------------------------------- */

static void close_trial(struct live *live)
{
	const struct rollout_orders *orders = &live->orders;

	if (orders->outcome != ROLLOUT_ABORTED || trial_is_closed(live->trial))
		return;
	if (live->abort_ns == 0)
		live->abort_ns = os.monotonic_ns();
	if (orders->weight > 0)
		return; /* the old one is on its way */
	trial_close(live->trial);
	live->closed_ns = os.monotonic_ns();
}

/* What was accepted is not in force any more: what was before is. */
static void take_back(struct agent *agent, const struct revision *from)
{
	agent->current = from->number;
	memcpy(agent->text_hash, from->agent->text_hash,
	       sizeof(agent->text_hash));
}

void live_act(struct live *live)
{
	const struct rollout_orders *orders = &live->orders;
	bool undo = live->outcome == ROLLOUT_PROMOTED &&
		    orders->outcome == ROLLOUT_ABORTED;

	if (live->from == NULL)
		return;
	close_trial(live);
	if (orders->outcome == ROLLOUT_ABORTED)
		take_back(live->agent, live->from);
	size_live(live, true);
	change_stable(live);
	if (!live->published || live->weight != orders->weight ||
	    live->mirror != orders->mirror ||
	    live->mirror_budget != orders->mirror_budget ||
	    live->outcome != orders->outcome)
		live->published = agents_publish() == ATOM_OK;
	/* Of a promoted one no trial decides any more, but the snapshot. */
	if (undo) {
		live->closed_ns = os.monotonic_ns();
		live->undone = true;
	}
	live->weight = orders->weight;
	live->mirror = orders->mirror;
	live->mirror_budget = orders->mirror_budget;
	live->outcome = orders->outcome;
	/* With the snapshot that is, calls may still go there. */
	if (live->published)
		size_live(live, false);
}
