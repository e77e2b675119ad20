/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "agent/agents_priv.h"
#include "agent/changes.h"
#include "agent/changes_priv.h"
#include "agent/rollouts.h"
#include "core/json.h"
#include "core/memory.h"

/*
 * Going back.  While a rollout runs, to what serves: it is aborted.  To what
 * is kept warm: one swap of the routing snapshot.  Else a kept text is
 * deployed again, by the agent's strategy.
 */

struct undo {
	char name[64];
	int64_t to;
	int64_t from;	   /* what was in force */
	char no_swap[200]; /* why it goes by the strategy */
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

static void finish(struct undo *u, atom_status status, json_t *result,
		   const char *message)
{
	u->done(u->argument, status, result, message);
	undo_free(u);
}

/* --- by one swap --------------------------------------------------------------- */

/* The agent's rollout, aborted or swapped, is stored. */
static void on_swapped(void *argument, atom_status status, json_t *rollout,
		       const char *message)
{
	struct undo *u = argument;
	const struct agent *agent = agents_find(u->name);
	const json_t *abort = json_object_get(rollout, "abort");
	const json_t *closed_us = json_object_get(abort, "closed_us");
	json_t *result = NULL;
	char hash[65] = "";

	if (status == ATOM_OK && agent != NULL && agent->stable != NULL)
		(void)record_hash(agent->stable->agent->setting, hash);
	if (status == ATOM_OK)
		result = json_pack(
			"{s:s,s:I,s:I,s:b,s:s,s:s,s:s,s:O*}", "agent", u->name,
			"revision", (json_int_t)u->to, "from",
			(json_int_t)u->from, "changed", 1, "hash", hash, "way",
			closed_us != NULL ? "swap" : "rollout", "id",
			json_text(rollout, "id", ""), "closed_us", closed_us);
	if (result != NULL && closed_us == NULL)
		json_object_set_new(
			result, "no_swap",
			json_string("no instance of it is ready; the calls go "
				    "back as soon as one is"));
	if (status == ATOM_OK && result == NULL)
		status = ATOM_ENOMEM;
	json_decref(rollout);
	finish(u, status, result,
	       status == ATOM_ENOMEM ? "no memory" : message);
}

/* False: it goes by the strategy, and `u->no_swap` says why. */
static bool swap(struct undo *u, struct agent *agent)
{
	const struct rollout_start start = { .who = u->who, .why = u->why };
	struct atom_error err = ATOM_ERROR_INIT;
	int64_t warm = rollouts_warm(agent);

	if (rollouts_busy(agent) && agent->stable->number == u->to) {
		rollouts_order(u->name, ROLLOUT_ORDER_ABORT, on_swapped, u);
		return true;
	}
	if (warm != u->to)
		(void)snprintf(u->no_swap, sizeof(u->no_swap),
			       "revision %lld is not kept warm (any more)",
			       (long long)u->to);
	else if (rollouts_swap(agent, &start, on_swapped, u, &err) == ATOM_OK)
		return true;
	else
		(void)snprintf(u->no_swap, sizeof(u->no_swap), "%.190s",
			       err.message);
	return false;
}

/* --- by the strategy -------------------------------------------------------------- */

static void on_changed(void *argument, atom_status status, json_t *result,
		       const char *message)
{
	struct undo *u = argument;

	if (result != NULL &&
	    json_is_true(json_object_get(result, "changed"))) {
		json_object_set_new(result, "way", json_string("rollout"));
		json_object_set_new(result, "no_swap", json_string(u->no_swap));
	}
	finish(u, status, result, message);
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
			     on_changed, u);
	else
		finish(u, status, NULL, err.message);
	json_decref(record);
}

/* While another comes in, the one that serves; the one that served before and
 * is warm; of those kept, the one before what is in force. */
static int64_t before(const struct agent *agent)
{
	int64_t number = rollouts_busy(agent) ? agent->stable->number
					      : rollouts_warm(agent);

	if (number > 0)
		return number;

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
	if (status == ATOM_OK)
		u->from = agent->current;
	if (status == ATOM_OK && swap(u, agent))
		return;
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
