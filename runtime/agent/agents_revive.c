/* SPDX-License-Identifier: Apache-2.0 */

/*
 * At start, agents whose text in force is not the file's: what the API made of
 * them, from their records.  [control]
 */

#include <stdio.h>
#include <string.h>

#include "agent/agents.h"
#include "agent/agents_priv.h"
#include "core/json.h"
#include "core/log.h"
#include "core/memory.h"
#include "state/state.h"

static atom_status revive_number(struct agent *agent, int64_t number,
				 const struct config *defaults,
				 struct atom_error *err)
{
	struct buffer errors = BUFFER_INIT((size_t)64 * 1024);
	struct config *holder = NULL;
	atom_status status;

	status =
		records_config_now(agent->name, number, defaults, &holder, err);
	if (status != ATOM_OK)
		return status;
	status = agents_check(holder, &errors);
	if (status != ATOM_OK)
		(void)atom_fail(err, status, "%.*s", (int)errors.length,
				errors.length > 0 ? errors.bytes : "");
	if (status == ATOM_OK)
		status = agent_make_revision(agent, holder, holder->agents,
					     number, err);
	if (status == ATOM_OK)
		status = scaler_configure(agent->scaler, holder, holder->agents,
					  err);
	buffer_fini(&errors);
	config_unref(&holder);
	return status;
}

static void tell(const struct agent *agent, int64_t number,
		 const struct atom_error *why)
{
	log_line(ATOM_LOG_ERROR, "revision_not_revived", why->message,
		 LOG_TEXT("agent", agent->name),
		 LOG_NUMBER("revision", number));
}

atom_status agent_revive(struct agent *agent, const struct config *defaults,
			 struct atom_error *err)
{
	struct atom_error older = ATOM_ERROR_INIT;
	atom_status status =
		revive_number(agent, agent->current, defaults, err);

	if (status == ATOM_OK)
		return ATOM_OK;
	tell(agent, agent->current, err);
	/* An agent of the file's has the file's text still. */
	if (agent->owner != AGENT_OF_API)
		return status;
	for (size_t i = agent->kept_count; i-- > 0;) {
		int64_t number = agent->kept[i];

		if (number >= agent->current)
			continue;
		if (revive_number(agent, number, defaults, &older) == ATOM_OK)
			return ATOM_OK;
		tell(agent, number, &older);
	}
	return status;
}

/* --- all of the API's -------------------------------------------------------- */

struct names {
	char **list;
	size_t count;
	bool no_memory;
};

static int32_t collect(void *argument, const struct state_record *record)
{
	struct names *names = argument;
	struct atom_error err = ATOM_ERROR_INIT;
	json_t *row = NULL;
	char **list;

	if (record->status != ATOM_OK ||
	    json_decode(record->value.bytes, record->value.length, &row,
			&err) != ATOM_OK)
		return 0; /* told by the store; of a file's agent, once more */
	if (strcmp(json_text(row, "owner", ""), "api") == 0) {
		list = mem_realloc(names->list,
				   (names->count + 1) * sizeof(*list));
		if (list != NULL) {
			names->list = list;
			list[names->count] = mem_strndup(record->key.bytes,
							 record->key.length);
		}
		if (list == NULL || list[names->count] == NULL)
			names->no_memory = true;
		else
			names->count++;
	}
	json_decref(row);
	return names->no_memory;
}

static void revive_named(const char *name, const struct config *defaults,
			 void (*revived)(void *argument, const char *name,
					 const struct atom_error *why),
			 void *argument)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct agent *agent;
	atom_status status;

	/* The file has it now. */
	if (agents_find(name) != NULL)
		return;
	agent = agent_new(name, true);
	agents_lacking |= agent == NULL;
	if (agent == NULL)
		status = atom_fail(&err, ATOM_ENOMEM, "no memory for agent %s",
				   name);
	else
		status = agent_revive(agent, defaults, &err);
	if (status != ATOM_OK && agent != NULL)
		(void)snprintf(agent->error, sizeof(agent->error), "%.230s",
			       err.message);
	revived(argument, name, status == ATOM_OK ? NULL : &err);
}

void agents_revive(const struct config *defaults,
		   void (*revived)(void *argument, const char *name,
				   const struct atom_error *why),
		   void *argument)
{
	struct names names = { .count = 0 };
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status =
		state_scan_now("agents", state_text(""), collect, &names, &err);

	if (status == ATOM_OK && names.no_memory)
		status = atom_fail(&err, ATOM_ENOMEM, "no memory");
	agents_lacking |= status == ATOM_ENOMEM;
	if (status != ATOM_OK && status != ATOM_EUNAVAILABLE)
		log_line(ATOM_LOG_ERROR, "agents_not_read", err.message);
	for (size_t i = 0; i < names.count; i++) {
		revive_named(names.list[i], defaults, revived, argument);
		mem_free(names.list[i]);
	}
	mem_free(names.list);
}
