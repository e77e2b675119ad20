/* SPDX-License-Identifier: Apache-2.0 */

/* Rollouts, told to people, to scripts and to the audit log.  [control] */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/directory.h"
#include "agent/rollouts_priv.h"
#include "agent/workflow.h"
#include "audit/audit.h"
#include "core/json.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"
#include "plugin/host.h"

#define SERIES_MAX 20000

static uint32_t weight_family;
static uint32_t ended_family;

atom_status rollouts_init(struct atom_error *err)
{
	static const char *const weight_labels[] = { "agent", "revision",
						     NULL };
	static const char *const ended_labels[] = { "agent", "outcome", NULL };
	static const struct metric_declaration rows[] = {
		{ .type = ATOM_METRIC_GAUGE,
		  .name = "atomd_rollout_weight",
		  .help = "Share of an agent's new calls that a revision "
			  "gets, of 10,000, while a rollout runs.",
		  .labels = weight_labels,
		  .family_r = &weight_family,
		  .series_max = SERIES_MAX },
		{ .type = ATOM_METRIC_COUNTER,
		  .name = "atomd_rollouts_total",
		  .help = "Rollouts that have ended, by how.",
		  .labels = ended_labels,
		  .family_r = &ended_family,
		  .series_max = SERIES_MAX },
	};

	atom_status status = metric_declare_all(rows, ARRAY_SIZE(rows), err);

	if (status == ATOM_OK)
		status = mirroring_init(err);
	return status == ATOM_OK ? grading_init(err) : status;
}

/* --- finding --------------------------------------------------------------------- */

struct live *live_find(const char *agent_or_id)
{
	struct agent *agent = agents_find(agent_or_id);

	if (agent != NULL)
		return agent->rollout;
	for (size_t at = 0; (agent = table_next(&agents_table, &at)) != NULL;)
		if (agent->rollout != NULL &&
		    strcmp(agent->rollout->id, agent_or_id) == 0)
			return agent->rollout;
	return NULL;
}

/* --- the status ------------------------------------------------------------------- */

static json_t *evidence_of(const struct atom_evidence *evidence)
{
	json_t *row = json_pack("{s:I,s:I,s:I,s:I,s:f,s:f}", "new_calls",
				(json_int_t)evidence->new_calls, "new_bad",
				(json_int_t)evidence->new_bad, "old_calls",
				(json_int_t)evidence->old_calls, "old_bad",
				(json_int_t)evidence->old_bad, "worse_log",
				evidence->worse, "not_worse_log",
				evidence->not_worse);

	if (evidence->ratio >= 0)
		json_object_set_new(row, "ratio", json_real(evidence->ratio));
	return row;
}

static const char *verdict_word(int32_t verdict)
{
	return verdict == ATOM_VERDICT_WORSE	   ? "worse"
	       : verdict == ATOM_VERDICT_NOT_WORSE ? "not_worse"
						   : "undecided";
}

static json_t *analysis_of(const struct rollout *state)
{
	const struct atom_verdict *judged = &state->judged;
	json_t *list = json_array();

	for (uint32_t i = 0;
	     i < judged->evidence_count && i < ARRAY_SIZE(judged->evidence);
	     i++) {
		const struct atom_evidence *evidence = &judged->evidence[i];

		json_array_append_new(
			list,
			json_pack("{s:s,s:s,s:o}", "name",
				  rollout_bad_word(evidence->kind), "verdict",
				  verdict_word(judged->verdict), "evidence",
				  evidence_of(evidence)));
	}
	return list;
}

static json_t *judge_of(const struct rollout *state)
{
	const struct atom_verdict *judged = &state->judged;

	if (state->judge[0] == '\0')
		return json_null();
	return json_pack("{s:s,s:s,s:s,s:s,s:f,s:f,s:s}", "name", state->judge,
			 "analysis", rollout_analysis_word(state), "verdict",
			 verdict_word(judged->verdict), "metric",
			 judged->metric, "value", judged->value, "threshold",
			 judged->threshold, "reason", judged->reason);
}

static json_t *cells_of(const struct rollout_cells *cells)
{
	json_t *list = json_array();

	for (size_t i = 0; i < cells->count; i++) {
		const struct atom_cell *cell = &cells->cells[i];
		json_t *bad = json_object();

		for (int kind = 0; kind < ATOM_BAD_COUNT; kind++)
			if (cell->bad[kind] > 0)
				json_object_set_new(
					bad, rollout_bad_word(kind),
					json_integer(
						(json_int_t)cell->bad[kind]));
		json_array_append_new(
			list, json_pack("{s:i,s:b,s:I,s:o}", "weight",
					(int)cell->weight, "new",
					(int)cell->is_new, "calls",
					(json_int_t)cell->calls, "bad", bad));
	}
	return list;
}

static json_t *time_of(int64_t ms)
{
	char text[TEXT_TIME_MAX];

	if (ms <= 0)
		return json_null();
	text_of_time(ms, text);
	return json_string(text);
}

static const char *stage_word(int32_t stage)
{
	static const char *const words[] = {
		[ROLLOUT_STEPS] = "steps", [ROLLOUT_FINISHING] = "finishing",
		[ROLLOUT_WARM] = "warm",   [ROLLOUT_RETURNING] = "returning",
		[ROLLOUT_OVER] = "over",
	};

	return stage >= 0 && stage < (int32_t)ARRAY_SIZE(words) ? words[stage]
								: "unknown";
}

/* What a paused one waits for, or NULL. */
static const char *waits_for(const struct live *live)
{
	const struct rollout *state = live->state;
	const struct rollout_position *at = &state->at;

	if (rollout_phase(state) != ATOM_PHASE_PAUSED)
		return NULL;
	if (live->webhooks.open > 0 && !live->webhooks.before_done)
		return "webhook";
	if (at->frozen)
		return "thaw";
	if (at->paused_by_person || at->pause_until_person)
		return "person";
	return "time";
}

/* How long a call could still go to a bad revision once that was ordered. */
static int64_t last_new_call_ns(const struct live *live)
{
	int64_t last = live->trial != NULL ? trial_last_new_ns(live->trial)
					   : live->last_new_ns;

	return last > live->abort_ns ? last - live->abort_ns : 0;
}

static void add_abort(const struct live *live, json_t *json)
{
	json_t *abort;

	if (live->closed_ns == 0)
		return;
	abort = json_pack("{s:f}", "closed_us",
			  (double)(live->closed_ns - live->abort_ns) / 1000);
	if (!live->undone)
		json_object_set_new(
			abort, "last_new_call_us",
			json_real((double)last_new_call_ns(live) / 1000));
	json_object_set_new(json, "abort", abort);
}

/* What was chosen to be mirrored in this process, by what became of it. */
static json_t *mirrored_of(const struct live *live)
{
	json_t *json = json_object();

	for (int i = 0; i < MIRRORED_RESULTS; i++) {
		enum mirrored_result result = (enum mirrored_result)i;
		int64_t n =
			live->trial == NULL
				? live->mirrored[i]
				: mirroring_result(trial_mirroring(live->trial),
						   result);

		if (n > 0)
			json_object_set_new(json, mirroring_word(result),
					    json_integer(n));
	}
	return json;
}

/* Scores of both revisions, and what became of the gradings; null where there
 * is no grader, or it was of an earlier process. */
json_t *live_graded(const struct live *live)
{
	struct grading *g =
		live->trial != NULL ? trial_grading(live->trial) : NULL;
	json_t *results, *json;

	if (g == NULL || g->agent[0] == '\0')
		return json_incref(live->graded != NULL ? live->graded
							: json_null());
	results = json_object();
	for (int i = 0; i < GRADED_RESULTS; i++)
		if (atomic_load(&g->results[i]) > 0)
			json_object_set_new(
				results, grading_word((enum graded_result)i),
				json_integer(atomic_load(&g->results[i])));
	json = json_pack("{s:s,s:o}", "grader", g->agent, "results", results);
	for (int is_new = 0; is_new < 2; is_new++) {
		int64_t n = atomic_load(&g->scored[is_new]);
		double sum = (double)atomic_load(&g->score_ppm[is_new]) / 1e6;

		json_object_set_new(json, is_new ? "new" : "old",
				    json_pack("{s:I,s:o}", "calls",
					      (json_int_t)n, "score",
					      n > 0 ? json_real(sum / (double)n)
						    : json_null()));
	}
	return json;
}

static json_t *mean(double sum, uint64_t count)
{
	return count > 0 ? json_real(sum / (double)count) : json_null();
}

/* How both revisions' answers compare; null where nothing was mirrored. */
static json_t *comparison_of(const struct live *live)
{
	const struct rollout *state = live->state;
	const struct atom_comparison *c = &state->compared;
	json_t *results = mirrored_of(live);
	json_t *json;

	if (state->at.mirror_asked == 0 && c->calls == 0 &&
	    json_object_size(results) == 0) {
		json_decref(results);
		return json_null();
	}
	json = json_pack("{s:i,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:o}", "share",
			 (int)live->done.mirror, "calls", (json_int_t)c->calls,
			 "status_differs", (json_int_t)c->status_differs,
			 "json_differs", (json_int_t)c->json_differs,
			 "similar_calls", (json_int_t)c->similar_calls,
			 "old_tokens", (json_int_t)c->old_tokens, "new_tokens",
			 (json_int_t)c->new_tokens, "tokens_last_hour",
			 (json_int_t)state->mirror_tokens, "tokens_per_hour",
			 (json_int_t)state->at.mirror_budget, "results",
			 results);
	if (json == NULL)
		return NULL;
	json_object_set_new(json, "similarity",
			    mean(c->similarity_sum, c->similar_calls));
	json_object_set_new(json, "old_seconds", mean(c->old_s_sum, c->calls));
	json_object_set_new(json, "new_seconds", mean(c->new_s_sum, c->calls));
	return json;
}

json_t *live_describe(const struct live *live)
{
	const struct rollout *state = live->state;
	const struct rollout_position *at = &state->at;
	const char *reason = at->reason;
	json_t *json;

	/* Why it stands is more than where it stands. */
	if (live->store_error[0] != '\0')
		reason = live->store_error;
	else if (at->frozen && live->frozen_reason[0] != '\0')
		reason = live->frozen_reason;
	json = json_pack("{s:s,s:s,s:s,s:I,s:I,s:i,s:i,s:i,s:s,s:o}", "id",
			 state->id, "agent", state->agent, "phase",
			 rollout_phase_word(rollout_phase(state)), "from",
			 (json_int_t)state->from, "to", (json_int_t)state->to,
			 "weight", (int)at->weight, "step", (int)at->step,
			 "steps", (int)at->steps, "reason", reason, "analysis",
			 analysis_of(state));

	if (json == NULL)
		return NULL;
	json_object_set_new(json, "workflow", workflow_describe(live));
	json_object_set_new(json, "cause", json_string(at->cause));
	json_object_set_new(json, "outcome",
			    json_string(rollout_outcome_word(at->outcome)));
	json_object_set_new(json, "stage", json_string(stage_word(at->stage)));
	json_object_set_new(json, "strategy", json_string(state->strategy));
	json_object_set_new(json, "judge", judge_of(state));
	json_object_set_new(json, "waits_for",
			    waits_for(live) != NULL
				    ? json_string(waits_for(live))
				    : json_null());
	json_object_set_new(json, "attempt", json_integer(at->attempt));
	json_object_set_new(json, "cells", cells_of(&state->counted));
	json_object_set_new(json, "mirrored", comparison_of(live));
	json_object_set_new(json, "replay", replaying_describe(live));
	json_object_set_new(json, "graded", live_graded(live));
	json_object_set_new(json, "who", json_string(live->who));
	json_object_set_new(json, "why", json_string(live->why));
	json_object_set_new(json, "began", time_of(state->times.began_ms));
	json_object_set_new(json, "ended", time_of(state->times.ended_ms));
	json_object_set_new(json, "warm_left_ms",
			    json_integer(at->stage == ROLLOUT_WARM
						 ? state->times.warm_left_ms
						 : 0));
	add_abort(live, json);
	return json;
}

json_t *rollouts_status(const char *agent_or_id)
{
	const struct live *live = live_find(agent_or_id);

	if (live == NULL)
		return NULL;
	return live->state != NULL ? live_describe(live)
				   : json_deep_copy(live->last);
}

int64_t rollouts_warm(const struct agent *agent)
{
	const struct live *live = agent->rollout;

	return live != NULL && live->from != NULL && agent->stable == live->to
		       ? live->from->number
		       : 0;
}

/* --- events -------------------------------------------------------------------------- */

static void publish(const struct live *live)
{
	const struct rollout *state = live->state;
	json_t *json = json_pack(
		"{s:s,s:s,s:s,s:s,s:I,s:I,s:i,s:i,s:s,s:s}", "id", state->id,
		"agent", state->agent, "phase",
		rollout_phase_word(rollout_phase(state)), "outcome",
		rollout_outcome_word(state->at.outcome), "from",
		(json_int_t)state->from, "to", (json_int_t)state->to, "weight",
		(int)state->at.weight, "step", (int)state->at.step, "cause",
		state->at.cause, "reason", state->at.reason);
	char *text = json != NULL ? json_write(json, JSON_COMPACT) : NULL;
	struct atom_span span = { .bytes = text };

	if (text != NULL) {
		span.length = strlen(text);
		host_publish("rollout", live->agent->name, &span);
	}
	free(text);
	json_decref(json);
}

static atom_status record(const struct live *live, const char *action,
			  enum audit_urgency urgency,
			  struct audit_waiter *waiter)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_ROLLOUT);
	const struct rollout *state = live->state;

	audit_text(&record, "action", action);
	audit_text(&record, "agent", state->agent);
	audit_text(&record, "cause", state->at.cause);
	audit_number(&record, "from", state->from);
	audit_text(&record, "id", state->id);
	audit_text(&record, "reason", state->at.reason);
	audit_text(&record, "strategy", state->strategy);
	audit_number(&record, "to", state->to);
	audit_number(&record, "weight", state->at.weight);
	audit_text(&record, "who", live->who);
	return audit_post(&record, urgency, waiter);
}

atom_status live_record_checked(const struct live *live,
				struct audit_waiter *waiter)
{
	return record(live, "checked", AUDIT_GATED, waiter);
}

static void tell(const struct live *live, const char *event, const char *action)
{
	const struct rollout *state = live->state;
	bool bad = state->at.outcome == ROLLOUT_ABORTED;

	log_line(bad ? ATOM_LOG_WARN : ATOM_LOG_INFO, event, state->at.reason,
		 LOG_TEXT("agent", state->agent),
		 LOG_TEXT("rollout", state->id),
		 LOG_TEXT("cause", state->at.cause),
		 LOG_NUMBER("from", state->from), LOG_NUMBER("to", state->to),
		 LOG_NUMBER("step", state->at.step),
		 LOG_NUMBER("weight", state->at.weight));
	(void)record(live, action, AUDIT_SOON, NULL);
	publish(live);
}

static void tell_end(struct live *live)
{
	const struct rollout_position *at = &live->state->at;
	const char *outcome = rollout_outcome_word(at->outcome);
	const char *const values[] = { live->state->agent, outcome };
	char event[32];

	(void)snprintf(event, sizeof(event), "rollout_%s", outcome);
	tell(live, event, outcome);
	metric_inc(metric_series(ended_family, values));
	if (at->outcome == ROLLOUT_ABORTED)
		log_line(ATOM_LOG_ERROR, "revision_failed",
			 "a new revision was given up; the one before it "
			 "serves on",
			 LOG_TEXT("agent", live->state->agent),
			 LOG_NUMBER("revision", live->state->to),
			 LOG_TEXT("reason", at->reason));
}

void live_tell(struct live *live)
{
	const struct rollout_position *at = &live->state->at;
	int32_t phase = rollout_phase(live->state);

	if (live->told_phase < 0) {
		tell(live, "rollout_began", "began");
		if (at->outcome == ROLLOUT_PROMOTED)
			tell_end(live); /* by one swap */
	} else if (at->outcome != live->told_outcome) {
		tell_end(live);
	} else if (at->outcome != ROLLOUT_OPEN) {
		return;
	} else if (at->weight != live->told_weight ||
		   at->step != live->told_step) {
		tell(live, "rollout_step", "step");
	} else if (phase != live->told_phase) {
		tell(live,
		     phase == ATOM_PHASE_PAUSED ? "rollout_paused"
						: "rollout_resumed",
		     phase == ATOM_PHASE_PAUSED ? "paused" : "resumed");
	}
	live->told_phase = phase;
	live->told_outcome = at->outcome;
	live->told_weight = at->weight;
	live->told_step = at->step;
}

static void set_weight(const struct agent *agent, const char *label,
		       int32_t weight, bool there)
{
	const char *const values[] = { agent->name, label };

	if (there)
		metric_set(metric_series(weight_family, values), weight);
	else
		metric_remove(weight_family, values);
}

void rollouts_measure(const struct agent *agent)
{
	struct live *live = agent->rollout;
	bool runs = live != NULL && live->from != NULL;
	char from[24], to[24];

	if (live == NULL || (!runs && !live->measured))
		return;
	if (runs) {
		if (live->from != agent->stable)
			revision_measure(live->from, false);
		live->measured_from = live->state->from;
		live->measured_to = live->state->to;
		live->measured_weight = live->done.weight;
	}
	(void)snprintf(from, sizeof(from), "%lld",
		       (long long)live->measured_from);
	(void)snprintf(to, sizeof(to), "%lld", (long long)live->measured_to);
	set_weight(agent, from, ATOM_WEIGHT_ALL - live->measured_weight, runs);
	set_weight(agent, to, live->measured_weight, runs);
	live->measured = runs;
}

/* --- a person's word ------------------------------------------------------------------ */

static atom_status ask_state(struct live *live, enum rollout_order order,
			     struct atom_error *err)
{
	static const int32_t persons[] = {
		[ROLLOUT_ORDER_PROMOTE] = ATOM_PERSON_PROMOTE,
		[ROLLOUT_ORDER_PROMOTE_FULL] = ATOM_PERSON_PROMOTE_FULL,
		[ROLLOUT_ORDER_ABORT] = ATOM_PERSON_ABORT,
		[ROLLOUT_ORDER_PAUSE] = ATOM_PERSON_PAUSE,
		[ROLLOUT_ORDER_RESUME] = ATOM_PERSON_RESUME,
	};

	if (order == ROLLOUT_ORDER_RETRY)
		return live_retry(live, err);
	if (live->from == NULL)
		return atom_fail(err, ATOM_ESTATE,
				 "rollout %s of %s is over already", live->id,
				 live->agent->name);
	return rollout_ask(live->state, persons[order], err);
}

void rollouts_order(const char *agent_or_id, enum rollout_order order,
		    rollouts_done done, void *argument)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct live *live = live_find(agent_or_id);
	struct asked *asked = mem_zalloc(sizeof(*asked));
	atom_status status;

	if (asked == NULL)
		status = atom_fail(&err, ATOM_ENOMEM, "no memory");
	else if (live == NULL)
		status = atom_fail(&err, ATOM_ENOENT,
				   "there is no rollout of '%.64s', nor one "
				   "of that id",
				   agent_or_id);
	else
		status = ask_state(live, order, &err);
	if (status != ATOM_OK) {
		mem_free(asked);
		done(argument, status, NULL, err.message);
		return;
	}
	asked->done = done;
	asked->argument = argument;
	asked->next = live->asked;
	live->asked = asked;
	if (order == ROLLOUT_ORDER_ABORT) {
		live->abort_ns = os.monotonic_ns();
		live->closed_ns = 0;
	}
	live_look(live);
}
