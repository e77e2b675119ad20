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
	split_r->weight = live->done.weight;
	split_r->trial = live->trial;
	split_r->mirror = live->done.mirror;
	split_r->mirror_budget = live->done.mirror_budget;
}

/* --- sizes ----------------------------------------------------------------------- */

bool live_size(const struct live *live, const struct revision *revision,
	       int64_t *instances_r)
{
	int32_t n = ROLLOUT_SCALED;

	if (live->from == NULL)
		return false;
	if (revision == live->to)
		n = live->done.new_instances;
	else if (revision == live->from)
		n = live->done.old_instances;
	*instances_r = n;
	return n != ROLLOUT_SCALED;
}

/* Does the snapshot lead none of the calls there that may go to either? */
static bool is_passed_by(const struct live *live,
			 const struct revision *revision)
{
	return revision == live->from && live->published &&
	       live->done.weight == ATOM_WEIGHT_ALL;
}

static void size_revision(struct agent *agent, struct revision *revision)
{
	const struct live *live = agent->rollout;
	struct pool *pool = &revision->pool;
	bool leaves = revision != agent->stable;
	int64_t n;

	if (live == NULL || !live_size(live, revision, &n))
		n = agent_desired(agent, revision);
	else
		leaves |= is_passed_by(live, revision);
	if (n == 0 && leaves)
		pool_retire(pool);
	else if (n != atomic_load(&pool->desired) ||
		 atomic_load(&pool->retiring))
		pool_set_desired(pool, n);
}

void agent_count_slots(struct agent *agent)
{
	const struct revision *stable = agent->stable;
	int64_t now = stable != NULL && stable->pool.style != POOL_OWNED
			      ? agent_desired(agent, stable)
			      : 0;

	pool_count_slots(now - agent->slots);
	agent->slots = now;
}

void agent_size(struct agent *agent)
{
	agent_count_slots(agent);
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

/* The agent's own references follow.  True: it is another. */
static bool change_stable(struct live *live)
{
	struct agent *agent = live->agent;
	bool promoted = live->done.outcome == ROLLOUT_PROMOTED;
	struct revision *stable = promoted ? live->to : live->from;

	if (agent->stable == stable)
		return false;
	revision_ref(stable);
	revision_unref(agent->stable);
	agent->stable = stable;
	if (agent->candidate == stable) {
		agent->candidate = NULL;
		revision_unref(stable);
	}
	agent_count_slots(agent);
	return true;
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
	if (!live->undone)
		live->closed_ns = os.monotonic_ns();
}

void live_put_text(struct live *live, const struct revision *revision)
{
	struct agent *agent = live->agent;

	agent->current = revision->number;
	memcpy(agent->text_hash, revision->agent->text_hash,
	       sizeof(agent->text_hash));
}

void live_follow_settings(struct agent *agent, const struct revision *revision)
{
	struct atom_error err = ATOM_ERROR_INIT;

	if (scaler_configure(agent->scaler, revision->config, revision->agent,
			     &err) != ATOM_OK)
		log_line(ATOM_LOG_ERROR, "scaling_failed", err.message,
			 LOG_TEXT("agent", agent->name));
	agent_apply_limits(agent, revision->agent, revision->config);
}

void live_act(struct live *live)
{
	const struct rollout_orders *orders = &live->orders;
	struct rollout_orders before = live->done;
	bool back = orders->outcome == ROLLOUT_ABORTED &&
		    before.outcome != ROLLOUT_ABORTED;
	bool swapping = live->swapping, other;

	if (live->from == NULL)
		return;
	live->undone |=
		swapping || (back && before.outcome == ROLLOUT_PROMOTED);
	live->done = *orders;
	close_trial(live);
	if (orders->outcome == ROLLOUT_ABORTED)
		live_put_text(live, live->from);
	/* The way back waits for nobody: what it leads to has instances that
	 * are ready, and waking a loop may give it this one's core. */
	if (!back && !swapping)
		size_live(live, true);
	other = change_stable(live);
	if (!live->published || swapping || before.weight != orders->weight ||
	    before.mirror != orders->mirror ||
	    before.mirror_budget != orders->mirror_budget ||
	    before.outcome != orders->outcome)
		live->published = agents_publish() == ATOM_OK;
	/* Of a promoted one no trial decides any more, but the snapshot. */
	if (live->undone && live->published && live->closed_ns == 0 &&
	    (swapping || orders->weight == 0))
		live->closed_ns = os.monotonic_ns();
	if (back || swapping)
		size_live(live, true);
	if (other)
		tell_serving(live->agent);
	if (swapping && live->published) {
		live_follow_settings(live->agent, live->to);
		live->swapping = false;
	}
	/* With the snapshot that is, calls may still go there. */
	if (live->published)
		size_live(live, false);
}
