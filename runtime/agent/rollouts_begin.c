/* SPDX-License-Identifier: Apache-2.0 */

/* How a rollout begins: anew, again, or where an earlier process left it; and
 * the strategy and the judge it asks.  [control] */

#include <stdio.h>
#include <string.h>

#include "agent/directory.h"
#include "agent/rollouts_priv.h"
#include "agent/workflow.h"
#include "core/id.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"
#include "plugin/registry.h"

static const char *const host_keys[] = { "plugin",
					 "judge",
					 "judge_options",
					 "failed_starts",
					 "min_samples",
					 "rollback_window_ms",
					 "on_undecided",
					 "on_no_data",
					 "progress_deadline_ms",
					 "grader",
					 "grader_criteria",
					 "grader_percent",
					 "grader_tokens_per_hour",
					 "grader_timeout_ms",
					 "step_timeout_ms",
					 "compliance",
					 "freeze_windows",
					 "webhooks",
					 NULL };
static const char *const no_keys[] = { NULL };

/* --- strategy and judge ------------------------------------------------------- */

static void check_component(const char *kind, const char *name,
			    const struct setting *group,
			    const struct setting *where,
			    const char *const *ignored, struct buffer *errors)
{
	const struct component *component;
	struct atom_error err = ATOM_ERROR_INIT;
	struct options *options = NULL;

	if (registry_component(kind, name, &component, &err) != ATOM_OK)
		config_complain(errors, where, "%s", err.message);
	else
		(void)options_fill(component->declared, group, ignored,
				   &options, errors);
	options_free(&options);
}

void rollouts_check(const struct config_agent *settings, struct buffer *errors)
{
	const struct config_deployment *d = &settings->deployment;

	if (d->options == NULL)
		return; /* what there is without the group comes with us */
	check_component("deployment", d->plugin, d->options, d->options,
			host_keys, errors);
	if (d->judge[0] != '\0')
		check_component("judge", d->judge, d->judge_options,
				d->judge_options != NULL ? d->judge_options
							 : d->options,
				no_keys, errors);
}

static atom_status make(struct live *live, const char *kind, const char *name,
			const struct setting *group, const char *const *ignored,
			struct configured **made_r, struct atom_error *err)
{
	struct buffer errors = BUFFER_INIT((size_t)64 * 1024);
	struct configured_spec spec = {
		.group = group,
		.ignored = ignored,
		.agent = live->agent->name,
		.directory = live->config->directory,
		.owner = live,
	};
	atom_status status =
		registry_component(kind, name, &spec.component, err);

	if (status == ATOM_OK)
		status = configured_new(&spec, made_r, &errors, err);
	if (status != ATOM_OK && errors.length > 0)
		atom_fail(err, status, "%.*s", (int)errors.length,
			  errors.bytes);
	buffer_fini(&errors);
	return status;
}

static atom_status make_components(struct live *live, struct atom_error *err)
{
	const struct config_deployment *d = &live->settings->deployment;
	atom_status status = make(live, "deployment", d->plugin, d->options,
				  host_keys, &live->strategy, err);

	if (status == ATOM_OK && d->judge[0] != '\0')
		status = make(live, "judge", d->judge, d->judge_options,
			      no_keys, &live->judge, err);
	return status;
}

/* --- beginning -------------------------------------------------------------------- */

static void hex_of(const struct revision *revision, char hex[65])
{
	text_to_hex(revision->agent->text_hash, 32, hex);
}

atom_status live_begin_state(struct live *live,
			     const struct rollout_start *start, bool swap,
			     struct atom_error *err)
{
	const struct config_deployment *d = &live->settings->deployment;
	char id[ID_MAX], from_hash[65], to_hash[65];
	struct rollout_new new = {
		.id = id,
		.agent = live->agent->name,
		.from = live->from->number,
		.to = live->to->number,
		.from_hash = from_hash,
		.to_hash = to_hash,
		.strategy = d->plugin,
		.judge = d->judge,
		.salt = id_random(),
		.wall_ms = os.realtime_ms(),
		.full = start->full,
		.swap = swap,
		.warm_ms = d->settings.rollback_window_ms,
		.reason = start->why[0] != '\0' ? start->why : NULL,
	};

	id_new("roll_", id);
	(void)snprintf(live->id, sizeof(live->id), "%s", id);
	hex_of(live->from, from_hash);
	hex_of(live->to, to_hash);
	return rollout_begin(live->state, &new, err);
}

/* What a running one needs beside its state. */
static atom_status live_equip(struct live *live, struct revision *from,
			      struct revision *to, struct atom_error *err)
{
	const struct scaler *scaler = live->agent->scaler;
	atom_status status;

	if (live->config == NULL) {
		live->config = config_ref(scaler->config);
		live->settings = scaler->settings;
	}
	status = make_components(live, err);
	if (status == ATOM_OK) {
		live->trial = trial_new(live->state->salt,
					&live->settings->bad_events);
		if (live->trial == NULL ||
		    trial_grade(live->trial,
				&live->settings->deployment.grader) != ATOM_OK)
			status = atom_fail(err, ATOM_ENOMEM,
					   "no memory for a rollout");
	}
	if (status != ATOM_OK) {
		trial_unref(TAKE(live->trial));
		configured_free(&live->strategy);
		configured_free(&live->judge);
		return status;
	}
	/* What the hour's budget has given already counts from now on. */
	token_hour_spend(&trial_mirroring(live->trial)->hour,
			 live->state->mirror_tokens,
			 os.monotonic_ns() / 1000000);
	revision_ref(from);
	revision_ref(to);
	live->from = from;
	live->to = to;
	config_unref(&live->to_config);
	live->to_config = config_ref(to->config);
	live->to_settings = to->agent;
	live->timer.fire = live_on_timer;
	live->orders = live->done =
		(struct rollout_orders){ .old_instances = ROLLOUT_SCALED };
	return ATOM_OK;
}

/* `from` becomes the agent's, as its stable revision where it is that. */
atom_status live_resume(struct agent *agent, struct revision *from,
			struct revision *to, struct live **live_r,
			struct atom_error *err)
{
	struct live *live = *live_r;
	bool promoted = live->state->at.outcome == ROLLOUT_PROMOTED;
	atom_status status;

	live->agent = agent;
	status = live_equip(live, from, to, err);
	if (status != ATOM_OK) {
		live->agent = NULL;
		return status;
	}
	agent->rollout = TAKE(*live_r);
	if (promoted) {
		agent->stable = TAKE(agent->candidate);
		revision_unref(from); /* the rollout holds it */
	} else {
		agent->stable = from;
	}
	live->told_outcome = live->state->at.outcome;
	live->told_phase = rollout_phase(live->state);
	live->told_step = live->state->at.step;
	live->orders.outcome = live->done.outcome = live->told_outcome;
	log_line(ATOM_LOG_INFO, "rollout_resumed",
		 "a rollout that was under way goes on",
		 LOG_TEXT("agent", agent->name), LOG_TEXT("rollout", live->id),
		 LOG_NUMBER("from", live->state->from),
		 LOG_NUMBER("to", live->state->to));
	live_look_after(live, 0);
	return ATOM_OK;
}

bool rollouts_busy(const struct agent *agent)
{
	const struct live *live = agent->rollout;

	/* Until what it ends with is done, and not only decided. */
	return live != NULL && live->from != NULL &&
	       live->to == agent->candidate;
}

atom_status rollouts_begin(struct agent *agent,
			   const struct rollout_start *start,
			   struct atom_error *err)
{
	struct revision *from = agent->stable, *to = agent->candidate;
	struct live *live;
	atom_status status;

	if (rollouts_busy(agent) && start->refuse_second)
		return atom_fail(err, ATOM_ESTATE,
				 "rollout %s of agent %s is under way; wait "
				 "for it, abort it, or say that this one takes "
				 "its place",
				 agent->rollout->id, agent->name);
	rollouts_forget(agent);
	live_free(&agent->rollout);
	live = mem_zalloc(sizeof(*live));
	if (live != NULL)
		live->state = mem_zalloc(sizeof(*live->state));
	if (live == NULL || live->state == NULL) {
		mem_free(live);
		return atom_fail(err, ATOM_ENOMEM, "no memory for a rollout");
	}
	live->agent = agent;
	live->who = mem_strdup(start->who);
	live->why = mem_strdup(start->why);
	/* For live_begin_state(): references come with live_equip(). */
	live->config = config_ref(agent->scaler->config);
	live->settings = agent->scaler->settings;
	live->from = from;
	live->to = to;
	status = live_begin_state(live, start, false, err);
	live->from = live->to = NULL;
	if (status == ATOM_OK && (live->who == NULL || live->why == NULL ||
				  workflow_new(live) != ATOM_OK))
		status = atom_fail(err, ATOM_ENOMEM, "no memory for a rollout");
	/* Last: it takes the candidate. */
	if (status == ATOM_OK)
		status = live_equip(live, from, to, err);
	if (status != ATOM_OK) {
		live_free(&live);
		return status;
	}
	agent->rollout = live;
	replaying_begin(live);
	live->told_phase = -1;
	live_tell(live);
	live_look(live);
	return ATOM_OK;
}

/* What it was when it ended, as a state again; there is none. */
static atom_status reopen(struct live *live, struct atom_error *err)
{
	atom_status status;

	if (live->kept == NULL)
		return atom_fail(err, ATOM_ENOMEM,
				 "nothing is left of rollout %s", live->id);
	live->state = mem_zalloc(sizeof(*live->state));
	if (live->state == NULL)
		return atom_fail(err, ATOM_ENOMEM, "no memory for a rollout");
	status = rollout_decode(live->state, live->kept, strlen(live->kept),
				err);
	if (status == ATOM_OK)
		status = rollout_retry(live->state, id_random(),
				       os.realtime_ms(), err);
	return status;
}

/* The daemon was started anew since: what it was made of is in its record. */
static atom_status recall_text(struct live *live, struct atom_error *err)
{
	atom_status status = records_config_now(
		live->agent->name, live->state->to, live->agent->scaler->config,
		&live->to_config, err);

	if (status == ATOM_OK)
		live->to_settings = live->to_config->agents;
	if (status == ATOM_OK && live->config == NULL) {
		live->config = config_ref(live->to_config);
		live->settings = live->to_settings;
	}
	return status;
}

atom_status live_retry(struct live *live, struct atom_error *err)
{
	struct agent *agent = live->agent;
	struct revision *to = NULL;
	bool recalled = live->to_config == NULL;
	atom_status status;

	/* Only the stop takes it away. */
	if (agent->stable == NULL)
		return atom_fail(err, ATOM_ESTATE, "the daemon is stopping");
	if (agent->candidate != NULL)
		return atom_fail(err, ATOM_ESTATE,
				 "another revision of %s comes in",
				 agent->name);
	if (live->state != NULL)
		return atom_fail(err, ATOM_ESTATE,
				 "rollout %s has not ended yet; only an "
				 "aborted one can be tried again",
				 live->id);
	status = replaying_retry(live, err);
	if (status == ATOM_OK)
		status = reopen(live, err);
	if (status == ATOM_OK && live->state->from != agent->stable->number)
		status = atom_fail(err, ATOM_ESTATE,
				   "revision %lld serves now, and no longer "
				   "%lld, from which it led; deploy again",
				   (long long)agent->stable->number,
				   (long long)live->state->from);
	if (status == ATOM_OK && recalled)
		status = recall_text(live, err);
	if (status == ATOM_OK)
		status = agent_prepare_revision(agent, live->to_config,
						live->to_settings,
						live->state->to, &to, err);
	if (status == ATOM_OK)
		status = live_equip(live, agent->stable, to, err);
	if (status != ATOM_OK) {
		if (to != NULL)
			revision_unref(to);
		mem_free(TAKE(live->state));
		return status;
	}
	if (workflow_new(live) != ATOM_OK)
		log_line(ATOM_LOG_ERROR, "out_of_memory",
			 "no memory for a rollout's workflow",
			 LOG_TEXT("agent", agent->name));
	agent->candidate = to;
	live_put_text(live, to);
	if (recalled)
		live_follow_settings(agent, to);
	live->published = false;
	live->abort_ns = live->closed_ns = 0;
	live->undone = false;
	live->retried = true;
	live->told_phase = -1;
	return ATOM_OK;
}
