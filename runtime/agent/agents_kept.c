/* SPDX-License-Identifier: Apache-2.0 */

/* What is remembered of an agent over restarts: the number of its last
 * revision, and the hash of the text that made it.  [control] */

#include <stdio.h>
#include <string.h>

#include "agent/agents_priv.h"
#include "core/json.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"
#include "state/state.h"

#define BUCKET "agents"

void agent_recall(struct agent *agent)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct state_record *record = NULL;
	json_t *row = NULL;
	char hex[2 * sizeof(agent->text_hash) + 1];
	atom_status status =
		state_get_now(BUCKET, state_text(agent->name), &record, &err);

	if (status == ATOM_EDATALOSS)
		log_line(ATOM_LOG_ERROR, "revision_not_read", err.message,
			 LOG_TEXT("agent", agent->name));
	if (status != ATOM_OK)
		return;
	if (json_decode(record->value.bytes, record->value.length, &row,
			&err) == ATOM_OK) {
		text_to_hex(agent->text_hash, sizeof(agent->text_hash), hex);
		agent->number =
			json_integer_value(json_object_get(row, "revision"));
		/* Only changed text makes a revision. */
		if (strcmp(json_text(row, "text_hash", ""), hex) == 0)
			agent->number--;
	}
	json_decref(row);
	mem_free(record);
}

/* What is to be remembered, until it is stored: one transaction for all
 * agents of a configuration, however many. */
static struct state_transaction *remembered;
static size_t remembered_count;

void agents_remember_flush(void)
{
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status;

	if (remembered == NULL)
		return;
	status = state_commit_now(remembered, &err);
	if (status != ATOM_OK && status != ATOM_EUNAVAILABLE)
		log_line(ATOM_LOG_ERROR, "revision_not_stored", err.message,
			 LOG_NUMBER("agents", remembered_count));
	state_transaction_free(&remembered);
	remembered_count = 0;
}

void agent_remember(const struct agent *agent)
{
	struct atom_error err = ATOM_ERROR_INIT;
	char hex[2 * sizeof(agent->text_hash) + 1], value[160];
	atom_status status = ATOM_ENOMEM;

	text_to_hex(agent->text_hash, sizeof(agent->text_hash), hex);
	(void)snprintf(value, sizeof(value),
		       "{\"revision\":%lld,\"text_hash\":\"%s\"}",
		       (long long)agent->number, hex);
	if (remembered == NULL)
		remembered = state_transaction_new();
	if (remembered != NULL)
		status = state_transaction_put(
			remembered, BUCKET, state_text(agent->name),
			state_text(value), STATE_ANY, &err);
	if (status != ATOM_OK)
		log_line(ATOM_LOG_ERROR, "revision_not_stored", err.message,
			 LOG_TEXT("agent", agent->name));
	if (++remembered_count == STATE_WRITES_MAX)
		agents_remember_flush();
}
