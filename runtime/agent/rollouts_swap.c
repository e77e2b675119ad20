/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Back to the revision that is kept warm, and forth again: both are there
 * with their instances, so nothing is waited for, not even the store.  The
 * two change places within the rollout that has brought the newer one in, as a
 * new rollout that is promoted from its first look on.  [control]
 */

#include "agent/rollouts_priv.h"
#include "agent/workflow.h"
#include "core/memory.h"
#include "core/os.h"

static atom_status may_swap(const struct agent *agent, struct atom_error *err)
{
	const struct live *live = agent->rollout;

	if (rollouts_warm(agent) == 0)
		return atom_fail(err, ATOM_ESTATE, "no revision is kept warm");
	if (atomic_load(&live->from->pool.ready) < 1)
		return atom_fail(err, ATOM_ESTATE,
				 "no instance of revision %lld is ready",
				 (long long)live->from->number);
	return ATOM_OK;
}

static void exchange(struct live *live)
{
	struct revision *served = live->to;

	live->to = live->from;
	live->from = served;
}

/* The new rollout's state, id and words; as it was when that fails. */
static atom_status begin(struct live *live, const struct rollout_start *start,
			 struct atom_error *err)
{
	struct rollout *before = live->state;
	char *who = mem_strdup(start->who), *why = mem_strdup(start->why);
	atom_status status = ATOM_ENOMEM;

	live->state = mem_zalloc(sizeof(*live->state));
	exchange(live);
	if (who != NULL && why != NULL && live->state != NULL)
		status = live_begin_state(live, start, true, err);
	else
		(void)atom_fail(err, status, "no memory for a rollout");
	if (status != ATOM_OK) {
		exchange(live);
		mem_free(live->state);
		live->state = before;
		mem_free(who);
		mem_free(why);
		return status;
	}
	mem_free(before);
	mem_free(live->who);
	mem_free(live->why);
	live->who = who;
	live->why = why;
	return ATOM_OK;
}

atom_status rollouts_swap(struct agent *agent,
			  const struct rollout_start *start, rollouts_done done,
			  void *argument, struct atom_error *err)
{
	int64_t ordered_ns = os.monotonic_ns();
	struct live *live = agent->rollout;
	struct asked *asked = NULL;
	atom_status status = may_swap(agent, err);

	if (status != ATOM_OK)
		return status;
	asked = mem_zalloc(sizeof(*asked));
	if (asked == NULL)
		return atom_fail(err, ATOM_ENOMEM, "no memory for a rollout");
	status = begin(live, start, err);
	if (status != ATOM_OK) {
		mem_free(asked);
		return status;
	}
	*asked = (struct asked){ live->asked, done, argument };
	live->asked = asked;
	config_unref(&live->to_config);
	live->to_config = config_ref(live->to->config);
	live->to_settings = live->to->agent;
	live->abort_ns = ordered_ns;
	live->closed_ns = 0;
	live->swapping = true;
	live->told_phase = -1;
	/* Both were found out about before. */
	(void)workflow_new(live);
	live_put_text(live, live->to);
	live_look(live);
	return ATOM_OK;
}
