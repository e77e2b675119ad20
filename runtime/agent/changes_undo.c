/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "agent/agents_priv.h"
#include "agent/changes.h"
#include "agent/changes_priv.h"
#include "core/memory.h"

/* Going back: a kept text is deployed again. */

struct undo {
	char name[64];
	int64_t to;
	struct config *defaults;
	char *who;
	char *why;
	change_done done;
	void *argument;
};

static void undo_free(struct undo *u)
{
	config_unref(&u->defaults);
	mem_free(u->who);
	mem_free(u->why);
	mem_free(u);
}

static void on_record(void *argument, atom_status status,
		      const struct state_record *stored,
		      const struct atom_error *error)
{
	struct undo *u = argument;
	struct record_change why = { .origin = RECORD_UNDO,
				     .who = u->who,
				     .why = u->why,
				     .undone_to = u->to };
	struct atom_error err = ATOM_ERROR_INIT;
	struct setting *body = NULL;
	json_t *record = NULL;

	if (status == ATOM_OK)
		status = record_decode(u->name, u->to, stored, &record, &err);
	else if (status == ATOM_ENOENT)
		(void)atom_fail(&err, status,
				"revision %lld of %s is not kept (any more); "
				"`atomctl revisions %s` lists those that are",
				(long long)u->to, u->name, u->name);
	else if (error != NULL)
		err = *error;
	if (status == ATOM_OK)
		status = record_setting(u->name, record, &body, &err);
	if (status == ATOM_OK)
		change_agent(CHANGE_SUPERSEDE, u->name, body, &why, u->defaults,
			     u->done, u->argument);
	else
		u->done(u->argument, status, NULL, err.message);
	json_decref(record);
	undo_free(u);
}

/* Of those kept, the one before what is in force. */
static int64_t before(const struct agent *agent)
{
	int64_t number = 0;

	for (size_t i = 0; i < agent->kept_count; i++)
		if (agent->kept[i] < agent->current)
			number = agent->kept[i];
	return number;
}

static struct undo *undo_new(const char *name, int64_t to,
			     const struct record_change *why,
			     const struct config *defaults, change_done done,
			     void *argument)
{
	struct undo *u = mem_zalloc(sizeof(*u));

	if (u == NULL)
		return NULL;
	(void)snprintf(u->name, sizeof(u->name), "%.63s", name);
	u->to = to;
	u->defaults = config_ref((struct config *)(uintptr_t)defaults);
	u->who = mem_strdup(why->who);
	u->why = mem_strdup(why->why);
	u->done = done;
	u->argument = argument;
	if (u->who != NULL && u->why != NULL)
		return u;
	undo_free(u);
	return NULL;
}

void change_undo(const char *name, int64_t to, const struct record_change *why,
		 const struct config *defaults, change_done done,
		 void *argument)
{
	struct agent *agent = agents_find(name);
	struct atom_error err = ATOM_ERROR_INIT;
	struct undo *u = NULL;
	char key[RECORD_KEY_MAX];
	atom_status status =
		change_may_begin(name, CHANGE_SUPERSEDE, why, &err);

	if (status == ATOM_OK && to == 0)
		to = before(agent);
	if (status == ATOM_OK && to == 0)
		status = atom_fail(&err, ATOM_ENOENT,
				   "no revision of %s before the one in force "
				   "is kept",
				   name);
	if (status == ATOM_OK) {
		u = undo_new(name, to, why, defaults, done, argument);
		if (u == NULL)
			status = atom_fail(&err, ATOM_ENOMEM, "no memory");
	}
	if (status == ATOM_OK) {
		record_key(name, to, key);
		status = state_get(RECORDS_BUCKET, state_text(key), on_record,
				   u, &err);
		if (status != ATOM_OK)
			undo_free(u);
	}
	if (status != ATOM_OK)
		done(argument, status, NULL, err.message);
}
