/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Rollouts in the store: bucket "rollouts", one row an agent:
 *
 *	{"who":"...","why":"...","rollout": rollout_encode()'s,
 *	 "workflow": workflow_describe()'s,
 *	 "replay": where it has one, replaying_encode()'s}
 *
 * [control]
 */

#include <stdio.h>
#include <string.h>

#include "agent/directory.h"
#include "agent/rollouts_priv.h"
#include "agent/workflow.h"
#include "core/json.h"
#include "core/json_scan.h"
#include "core/log.h"
#include "core/memory.h"
#include "state/state.h"

#define BUCKET "rollouts"
/* Of who and why, as they are kept. */
#define ROW_TEXT_MAX 2048

static void on_stored(void *argument, atom_status status,
		      const struct state_transaction *transaction,
		      const struct atom_error *error)
{
	(void)transaction;
	live_stored(argument, status, status == ATOM_OK ? "" : error->message);
}

static atom_status encode_workflow(const struct live *live, struct buffer *out)
{
	json_t *workflow = workflow_describe(live);
	atom_status status = ATOM_OK;

	if (workflow == NULL)
		return live->workflow == NULL ? ATOM_OK : ATOM_ENOMEM;
	buffer_append_text(out, ",\"workflow\":");
	status = json_encode(workflow, out);
	json_decref(workflow);
	return status;
}

static atom_status encode(const struct live *live, struct buffer *out)
{
	buffer_append_text(out, "{\"who\":");
	buffer_append_json_string(out, live->who);
	buffer_append_text(out, ",\"why\":");
	buffer_append_json_string(out, live->why);
	buffer_append_text(out, ",\"rollout\":");
	if (rollout_encode(live->state, out) != ATOM_OK)
		return ATOM_ENOMEM;
	if (encode_workflow(live, out) != ATOM_OK ||
	    replaying_encode(live, out) != ATOM_OK)
		return ATOM_ENOMEM;
	buffer_append_char(out, '}');
	return out->failed ? ATOM_ENOMEM : ATOM_OK;
}

/* Which revision is the agent's at the next start: together with the outcome
 * or not at all; and with a retry, after the abort had made it the old one. */
static atom_status keep_agent(struct live *live,
			      struct state_transaction *transaction,
			      struct atom_error *err)
{
	const struct revision *next =
		live->state->at.outcome == ROLLOUT_PROMOTED ||
				live->state->at.outcome == ROLLOUT_OPEN
			? live->to
			: live->from;

	return agent_keep(live->agent, next->number, next->agent->text_hash,
			  transaction, err);
}

atom_status live_store(struct live *live, struct atom_error *err)
{
	struct buffer value = BUFFER_INIT(STATE_VALUE_MAX);
	struct state_transaction *transaction = state_transaction_new();
	atom_status status = ATOM_ENOMEM;

	if (transaction == NULL || encode(live, &value) != ATOM_OK) {
		atom_fail(err, ATOM_ENOMEM,
			  "no memory to store where a rollout is");
		goto out;
	}
	status = state_transaction_put(
		transaction, BUCKET, state_text(live->agent->name),
		(struct atom_span){ value.bytes, value.length }, STATE_ANY,
		err);
	if (status == ATOM_OK && live->from != NULL &&
	    (live->retried || live->state->at.outcome != ROLLOUT_OPEN))
		status = keep_agent(live, transaction, err);
	if (status == ATOM_OK)
		status = state_commit(&transaction, on_stored, live, err);
out:
	state_transaction_free(&transaction);
	buffer_fini(&value);
	return status;
}

/* --- at start ---------------------------------------------------------------------- */

static atom_status recall_workflow(struct live *live,
				   const struct json_member *member)
{
	json_t *kept = NULL;
	atom_status status;

	/* One that cannot be read was none: its steps run again. */
	if (member != NULL)
		(void)json_decode(member->value.at, member->value.length, &kept,
				  NULL);
	status = workflow_recall(live, kept);
	json_decref(kept);
	return status;
}

struct live *live_decode(const char *agent, const char *row, size_t length)
{
	struct live *live = mem_zalloc(sizeof(*live));
	struct json_member members[8];
	const struct json_member *rollout, *replay, *who, *why;
	struct json_scan_error error = { 0, "" };
	struct atom_error err = ATOM_ERROR_INIT;
	char text[ROW_TEXT_MAX];
	size_t count;
	atom_status status = ATOM_ENOMEM;

	if (live != NULL)
		live->state = mem_zalloc(sizeof(*live->state));
	if (live == NULL || live->state == NULL)
		goto fail;
	status = json_scan_object(row, length, JSON_SCAN_DEPTH_MAX, members,
				  ARRAY_SIZE(members), &count, &error);
	rollout = status == ATOM_OK
			  ? json_members_find(members, count, "rollout")
			  : NULL;
	if (rollout == NULL) {
		status = atom_fail(&err, ATOM_EDATALOSS, "it is no rollout");
		goto fail;
	}
	status = rollout_decode(live->state, rollout->value.at,
				rollout->value.length, &err);
	if (status != ATOM_OK)
		goto fail;
	if (recall_workflow(live, json_members_find(members, count,
						    "workflow")) != ATOM_OK) {
		status = ATOM_ENOMEM;
		goto fail;
	}
	replay = json_members_find(members, count, "replay");
	if (replay != NULL)
		replaying_decode(live, &replay->value);
	who = json_members_find(members, count, "who");
	why = json_members_find(members, count, "why");
	live->who =
		mem_strdup(who != NULL && json_span_to_text(&who->value, text,
							    sizeof(text))
				   ? text
				   : "");
	live->why =
		mem_strdup(why != NULL && json_span_to_text(&why->value, text,
							    sizeof(text))
				   ? text
				   : "");
	if (live->who == NULL || live->why == NULL) {
		status = ATOM_ENOMEM;
		goto fail;
	}
	(void)snprintf(live->id, sizeof(live->id), "%s", live->state->id);
	return live;
fail:
	log_line(ATOM_LOG_ERROR, "rollout_not_read",
		 status == ATOM_ENOMEM ? "no memory" : err.message,
		 LOG_TEXT("agent", agent));
	if (live != NULL) {
		workflow_free(live);
		replaying_fini(live);
		mem_free(live->state);
	}
	mem_free(live);
	return NULL;
}

struct rows {
	struct row {
		char *agent;
		char *text;
	} * list;
	size_t count;
	bool no_memory;
};

static int32_t collect(void *argument, const struct state_record *record)
{
	struct rows *rows = argument;
	struct row *list;

	if (record->status != ATOM_OK)
		return 0; /* told by the store */
	list = mem_realloc(rows->list, (rows->count + 1) * sizeof(*list));
	if (list == NULL) {
		rows->no_memory = true;
		return 1;
	}
	rows->list = list;
	list[rows->count++] = (struct row){
		.agent = mem_strndup(record->key.bytes, record->key.length),
		.text = mem_strndup(record->value.bytes, record->value.length),
	};
	return 0;
}

/* Where the agent was when the daemon ended.  Its candidate is what was in
 * force then, or was to be. */
static void take_up(struct agent *agent, struct live *live,
		    const struct config *defaults)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct config *holder = NULL;
	struct revision *from = NULL;
	atom_status status;

	if (live->state->at.stage == ROLLOUT_OVER ||
	    live->state->to != agent->candidate->number) {
		/* Aborted, with the way back stored; or another text has been
		 * put in force. */
		if (live->state->at.stage != ROLLOUT_OVER)
			rollout_supersede(live->state);
		live->agent = agent;
		agent->rollout = live;
		live_end(live);
		return;
	}
	status = records_config_now(agent->name, live->state->from, defaults,
				    &holder, &err);
	if (status == ATOM_OK)
		status = agent_prepare_revision(agent, holder, holder->agents,
						live->state->from, &from, &err);
	config_unref(&holder);
	if (status == ATOM_OK)
		status =
			live_resume(agent, from, agent->candidate, &live, &err);
	if (status != ATOM_OK) {
		log_line(ATOM_LOG_ERROR, "rollout_not_resumed", err.message,
			 LOG_TEXT("agent", agent->name),
			 LOG_NUMBER("from", live->state->from),
			 LOG_NUMBER("to", live->state->to));
		if (from != NULL)
			revision_unref(from);
		live_free(&live);
	}
}

/* Its text was accepted and the daemon ended before its rollout was stored:
 * that begins now, from the one that served. */
static void begin_late(struct agent *agent, const struct config *defaults)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct config *holder = NULL;

	if (agent->candidate == NULL || agent->stable != NULL ||
	    agent->recalled == 0 || agent->recalled == agent->current ||
	    agent->candidate->number != agent->current)
		return;
	agent->replay_lost = agent->replayed == agent->current;
	if (records_config_now(agent->name, agent->recalled, defaults, &holder,
			       &err) != ATOM_OK ||
	    agent_prepare_revision(agent, holder, holder->agents,
				   agent->recalled, &agent->stable,
				   &err) != ATOM_OK)
		log_line(ATOM_LOG_ERROR, "rollout_not_resumed", err.message,
			 LOG_TEXT("agent", agent->name),
			 LOG_NUMBER("from", agent->recalled),
			 LOG_NUMBER("to", agent->current));
	config_unref(&holder);
}

void rollouts_resume(const struct config *defaults)
{
	struct rows rows = { .count = 0 };
	struct atom_error err = ATOM_ERROR_INIT;
	struct agent *agent;
	struct live *live;
	atom_status status =
		state_scan_now(BUCKET, state_text(""), collect, &rows, &err);

	if (status == ATOM_OK && rows.no_memory)
		status = atom_fail(&err, ATOM_ENOMEM, "no memory");
	if (status != ATOM_OK && status != ATOM_EUNAVAILABLE)
		log_line(ATOM_LOG_ERROR, "rollouts_not_read", err.message);
	for (size_t i = 0; i < rows.count; i++) {
		const struct row *row = &rows.list[i];

		agent = row->agent != NULL ? agents_find(row->agent) : NULL;
		live = agent != NULL && agent->candidate != NULL &&
				       row->text != NULL
			       ? live_decode(row->agent, row->text,
					     strlen(row->text))
			       : NULL;
		if (live != NULL)
			take_up(agent, live, defaults);
		mem_free(row->agent);
		mem_free(row->text);
	}
	mem_free(rows.list);
	for (size_t at = 0; (agent = table_next(&agents_table, &at)) != NULL;)
		begin_late(agent, defaults);
}
