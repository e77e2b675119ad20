/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/replaying.h"

#include <stdio.h>
#include <string.h>

#include "agent/rollouts_priv.h"
#include "core/json.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"

static const char *const words[] = {
	[REPLAY_NONE] = "none",
	[REPLAY_PENDING] = "pending",
	[REPLAY_PASSED] = "passed",
	[REPLAY_FAILED] = "failed",
};

static void fail(struct replaying *r, const char *cause, const char *reason)
{
	r->state = REPLAY_FAILED;
	(void)snprintf(r->cause, sizeof(r->cause), "%s", cause);
	(void)snprintf(r->reason, sizeof(r->reason), "%s", reason);
}

static void lose(struct replaying *r)
{
	fail(r, "replay_lost",
	     "the daemon ended before the replay had; deploy it again, with "
	     "its inputs");
}

/* --- its rollout's ------------------------------------------------------------- */

void replaying_begin(struct live *live)
{
	struct agent *agent = live->agent;

	if (agent->replayed == 0 || agent->replayed != live->state->to ||
	    live->state->at.stage != ROLLOUT_STEPS)
		return;
	live->replaying.state = REPLAY_PENDING;
	if (agent->replay_lost)
		lose(&live->replaying);
}

void replaying_look(const struct live *live, struct rollout_seen *seen)
{
	const struct replaying *r = &live->replaying;

	if (seen->gate == ROLLOUT_GATE_FAILED)
		return;
	if (r->state == REPLAY_PENDING)
		seen->gate = ROLLOUT_GATE_CLOSED;
	if (r->state != REPLAY_FAILED)
		return;
	seen->gate = ROLLOUT_GATE_FAILED;
	seen->gate_cause = r->cause;
	seen->gate_reason = r->reason;
}

atom_status replaying_retry(const struct live *live, struct atom_error *err)
{
	if (live->replaying.state == REPLAY_NONE ||
	    live->replaying.state == REPLAY_PASSED)
		return ATOM_OK;
	return atom_fail(err, ATOM_ESTATE,
			 "rollout %s was to pass a replay first, and its "
			 "inputs are not kept; deploy it again, with them",
			 live->id);
}

json_t *replaying_describe(const struct live *live)
{
	const struct replaying *r = &live->replaying;

	if (r->state == REPLAY_NONE)
		return json_null();
	return json_pack("{s:s,s:s,s:s,s:O}", "state", words[r->state], "cause",
			 r->cause, "reason", r->reason, "report",
			 r->report != NULL ? r->report : json_null());
}

atom_status replaying_encode(const struct live *live, struct buffer *out)
{
	json_t *json;
	atom_status status;

	if (live->replaying.state == REPLAY_NONE)
		return ATOM_OK;
	json = replaying_describe(live);
	if (json == NULL)
		return ATOM_ENOMEM;
	buffer_append_text(out, ",\"replay\":");
	status = json_encode(json, out);
	json_decref(json);
	return status;
}

/* One that cannot be read did not pass. */
void replaying_decode(struct live *live, const struct json_span *kept)
{
	struct replaying *r = &live->replaying;
	json_t *json = NULL, *report;
	const char *state;

	if (json_decode(kept->at, kept->length, &json, NULL) != ATOM_OK) {
		lose(r);
		return;
	}
	state = json_text(json, "state", "");
	report = json_object_get(json, "report");
	if (json_is_object(report))
		r->report = json_incref(report);
	if (strcmp(state, words[REPLAY_PASSED]) == 0) {
		r->state = REPLAY_PASSED;
		(void)snprintf(r->reason, sizeof(r->reason), "%s",
			       json_text(json, "reason", ""));
	} else if (strcmp(state, words[REPLAY_FAILED]) == 0) {
		fail(r, json_text(json, "cause", "replay_lost"),
		     json_text(json, "reason", ""));
	} else {
		lose(r);
	}
	json_decref(json);
}

void replaying_fini(struct live *live)
{
	json_decref(TAKE(live->replaying.report));
}

/* --- whoever replays ------------------------------------------------------------ */

static struct live *find_pending(const char *id)
{
	struct live *live = live_find(id);

	return live != NULL && live->from != NULL &&
			       live->replaying.state == REPLAY_PENDING &&
			       strcmp(live->id, id) == 0 &&
			       live->state->at.outcome == ROLLOUT_OPEN &&
			       live->state->at.full == 0
		       ? live
		       : NULL;
}

atom_status replaying_order(const char *id, struct replay_order *order_r)
{
	const struct live *live = find_pending(id);
	const struct config_deployment *d;

	if (live == NULL)
		return ATOM_ESTATE;
	d = &live->settings->deployment;
	*order_r = (struct replay_order){
		.from = live->state->from,
		.to = live->state->to,
		.on_undecided = d->settings.on_undecided,
		.grader = d->grader,
		.grader_agent = mem_strdup(d->grader.agent),
		.grader_criteria = mem_strdup(d->grader.criteria),
	};
	(void)snprintf(order_r->agent, sizeof(order_r->agent), "%s",
		       live->agent->name);
	order_r->grader.agent = order_r->grader_agent;
	order_r->grader.criteria = order_r->grader_criteria;
	if (order_r->grader_agent != NULL && order_r->grader_criteria != NULL)
		return ATOM_OK;
	mem_free(TAKE(order_r->grader_agent));
	mem_free(TAKE(order_r->grader_criteria));
	return ATOM_ENOMEM;
}

atom_status replaying_ready(const char *id)
{
	const struct live *live = find_pending(id);

	if (live == NULL)
		return ATOM_ESTATE;
	/* Both, and in the snapshot, where a preview looks. */
	return live->published && atomic_load(&live->to->pool.ready) > 0 &&
			       atomic_load(&live->from->pool.ready) > 0
		       ? ATOM_OK
		       : ATOM_EBUSY;
}

void replaying_progress(const char *id, json_t *report)
{
	struct live *live = find_pending(id);

	if (live == NULL) {
		json_decref(report);
		return;
	}
	json_decref(live->replaying.report);
	live->replaying.report = report;
}

void replaying_end(const char *id, const char *cause, bool pause,
		   const char *reason)
{
	struct live *live = find_pending(id);
	struct atom_error err = ATOM_ERROR_INIT;
	struct replaying *r;

	if (live == NULL)
		return;
	r = &live->replaying;
	if (cause != NULL) {
		fail(r, cause, reason);
	} else {
		r->state = REPLAY_PASSED;
		(void)snprintf(r->reason, sizeof(r->reason), "%s", reason);
		/* In the same look that opens the gate. */
		if (pause && live->state->at.paused_by_person == 0)
			(void)rollout_ask(live->state, ATOM_PERSON_PAUSE, &err);
	}
	log_line(cause != NULL ? ATOM_LOG_WARN : ATOM_LOG_INFO,
		 "rollout_replayed", reason,
		 LOG_TEXT("agent", live->agent->name),
		 LOG_TEXT("rollout", live->id),
		 LOG_TEXT("result", cause != NULL ? "failed"
				    : pause	  ? "waits"
						  : "passed"));
	live_look(live);
}
