/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/changes.h"

#include <stdio.h>
#include <string.h>

#include "agent/agents.h"
#include "agent/agents_priv.h"
#include "agent/changes_priv.h"
#include "agent/directory.h"
#include "agent/freeze.h"
#include "agent/rollouts.h"
#include "agent/session.h"
#include "core/health.h"
#include "core/json.h"
#include "core/log.h"
#include "core/memory.h"

/*
 *	checked ──► prepared ──► storing ──durable──► in force
 *	   │ wrong     │ cannot      │ fails
 *	   ▼           ▼ be made     ▼
 *	        nothing has changed
 *
 * Between prepared and in force control goes on: a reload may take the agent
 * away, or give it another text.  The later one wins.
 */

#define ERRORS_MAX ((size_t)64 * 1024)

struct change {
	struct change *next; /* of those under way */
	char name[64];
	enum change_kind kind;
	struct record_change why;
	char *who_text;
	char *why_text;
	struct config *holder;	   /* the new text, checked */
	struct revision *revision; /* made of it, not started */
	struct agent *made;	   /* a new agent, not in the table yet */
	int64_t number;
	int64_t from;
	uint64_t remembered; /* the agent's, when it was prepared */
	char hash[65];
	change_done done;
	void *argument;
};

static struct change *under_way;

static bool is_under_way(const char *name)
{
	for (struct change *c = under_way; c != NULL; c = c->next)
		if (strcmp(c->name, name) == 0)
			return true;
	return false;
}

static void change_free(struct change *c)
{
	struct change **at = &under_way;

	while (*at != NULL && *at != c)
		at = &(*at)->next;
	if (*at == c)
		*at = c->next;
	if (c->revision != NULL)
		revision_unref(c->revision);
	if (c->made != NULL)
		agent_free(c->made);
	config_unref(&c->holder);
	mem_free(c->who_text);
	mem_free(c->why_text);
	mem_free(c);
}

static void finish(struct change *c, atom_status status, json_t *result,
		   const char *message)
{
	c->done(c->argument, status, result, message);
	change_free(c);
}

static json_t *result_of(const struct change *c, bool changed)
{
	return json_pack("{s:s,s:I,s:I,s:b,s:s}", "agent", c->name, "revision",
			 (json_int_t)c->number, "from", (json_int_t)c->from,
			 "changed", (int)changed, "hash", c->hash);
}

static struct change *change_new(const char *name, enum change_kind kind,
				 const struct record_change *why,
				 change_done done, void *argument)
{
	struct change *c = mem_zalloc(sizeof(*c));

	if (c == NULL)
		return NULL;
	(void)snprintf(c->name, sizeof(c->name), "%.63s", name);
	c->kind = kind;
	c->done = done;
	c->argument = argument;
	c->who_text = mem_strdup(why->who);
	c->why_text = mem_strdup(why->why);
	if (c->who_text == NULL || c->why_text == NULL) {
		change_free(c);
		return NULL;
	}
	c->why = *why;
	c->why.who = c->who_text;
	c->why.why = c->why_text;
	c->next = under_way;
	under_way = c;
	return c;
}

/* --- what it must be --------------------------------------------------------- */

static atom_status not_found(const char *name, struct atom_error *err)
{
	return atom_fail(err, ATOM_ENOENT, "there is no agent named '%s'",
			 name);
}

atom_status change_may_begin(const char *name, enum change_kind kind,
			     const struct record_change *why,
			     struct atom_error *err)
{
	const struct agent *agent = agents_find(name);
	const char *frozen = NULL;

	if (kind != CHANGE_CREATE && agent == NULL)
		return not_found(name, err);
	if (kind == CHANGE_CREATE && agent != NULL)
		return atom_fail(err, ATOM_ECONFLICT,
				 "there is an agent named '%s' already; deploy "
				 "to change it",
				 name);
	if (why->origin != RECORD_UNDO && kind != CHANGE_DELETE)
		frozen = freeze_reason(agent);
	if (frozen != NULL)
		return atom_fail(err, ATOM_ECONFLICT, "%s%s", frozen,
				 freeze_is_on()
					 ? "; `atomctl freeze --off` ends it"
					 : "");
	if (kind == CHANGE_DEPLOY && rollouts_busy(agent))
		return atom_fail(err, ATOM_ECONFLICT,
				 "a rollout of %s is under way; wait for its "
				 "end, abort it, or let this one supersede it",
				 name);
	if (why->replay && (agent == NULL || agent->stable == NULL))
		return atom_fail(err, ATOM_ECONFLICT,
				 "no revision of %s serves that a replay could "
				 "compare with",
				 name);
	if (is_under_way(name))
		return atom_fail(err, ATOM_ECONFLICT,
				 "another change of %s is being stored just "
				 "now; try again when it is done",
				 name);
	if (strlen(why->why) > RECORD_WHY_MAX)
		return atom_fail(err, ATOM_EINVAL,
				 "the reason: expected at most %d bytes, found "
				 "%zu",
				 RECORD_WHY_MAX, strlen(why->why));
	return ATOM_OK;
}

/* Where it says none it gets the one that it is deployed to. */
static atom_status name_body(struct setting *body, const char *name,
			     struct buffer *errors)
{
	const struct setting *given = setting_member(body, "name");

	if (body->type != SETTING_GROUP)
		return ATOM_OK; /* told with all else */
	if (given == NULL)
		return setting_add_text(body, "name", name);
	if (given->type == SETTING_STRING && strcmp(given->raw, name) != 0)
		config_complain(errors, given,
				"`name` is \"%.63s\", but the agent to change "
				"is %s; leave it out, or write that",
				given->raw, name);
	return ATOM_OK;
}

/* All agents together must have room to be at their least. */
static void check_minimum(const struct config_agent *from,
			  const struct config *defaults, struct buffer *errors)
{
	int64_t sum = from->instances.min;
	struct agent *agent;

	for (size_t at = 0; (agent = table_next(&agents_table, &at)) != NULL;)
		if (agent_newest(agent) != NULL &&
		    strcmp(agent->name, from->name) != 0)
			sum += agent_newest(agent)->agent->instances.min;
	if (sum > defaults->max_agents)
		config_complain(errors, from->setting,
				"the `min` of all agents together would be "
				"%lld, more than `max_agents`, %lld",
				(long long)sum,
				(long long)defaults->max_agents);
}

/* Takes `body`; all that is wrong with it is in `errors`. */
static atom_status check_body(struct change *c, struct setting *body,
			      const struct config *defaults,
			      struct buffer *errors)
{
	atom_status status = name_body(body, c->name, errors);

	if (status == ATOM_OK)
		status = config_agent_of_setting(body, defaults, &c->holder,
						 errors);
	if (status != ATOM_OK) {
		setting_free(&body);
		return status;
	}
	(void)agents_check(c->holder, errors);
	check_minimum(c->holder->agents, defaults, errors);
	return errors->length > 0 || errors->failed ? ATOM_EINVAL : ATOM_OK;
}

/* Does the agent's text in force say the same already? */
static atom_status is_in_force(struct change *c, const struct agent *agent,
			       bool *same_r)
{
	const struct revision *newest = agent_newest(agent);
	char hash[65] = "";
	atom_status status = record_hash(c->holder->agents->setting, c->hash);

	if (status == ATOM_OK && newest != NULL)
		status = record_hash(newest->agent->setting, hash);
	*same_r = newest != NULL && newest->number == agent->current &&
		  strcmp(hash, c->hash) == 0;
	return status;
}

/* --- in force ---------------------------------------------------------------- */

/* A new agent is there at once. */
static void begin_rollout(const struct change *c, struct agent *agent)
{
	const struct rollout_start start = { .who = c->why.who,
					     .why = c->why.why };
	struct atom_error err = ATOM_ERROR_INIT;

	agent->goes_back = c->why.origin == RECORD_UNDO;
	/* What cannot begin is told, and given up, by the watch. */
	if (agent->stable == NULL)
		(void)agents_take_over();
	else
		(void)rollouts_begin(agent, &start, &err);
	agents_watch();
}

static void put_in_force(struct change *c, struct agent *agent)
{
	struct atom_error err = ATOM_ERROR_INIT;
	const struct config_agent *from = c->revision->agent;

	agent->current = c->number;
	agent->error[0] = '\0';
	memcpy(agent->text_hash, from->text_hash, sizeof(agent->text_hash));
	if (scaler_configure(agent->scaler, c->holder, from, &err) != ATOM_OK)
		log_line(ATOM_LOG_ERROR, "scaling_failed", err.message,
			 LOG_TEXT("agent", agent->name));
	agent_apply_limits(agent, from, c->holder);
	agent_set_candidate(agent, TAKE(c->revision));
	begin_rollout(c, agent);
	log_line(ATOM_LOG_INFO, "revision_accepted",
		 "a change of an agent is stored and goes into force",
		 LOG_TEXT("agent", agent->name),
		 LOG_NUMBER("revision", c->number),
		 LOG_TEXT("who", c->why.who));
}

/* What a failed store has kept of it nobody knows: as before, again. */
static void not_stored(struct change *c, struct agent *agent)
{
	if (agent == NULL)
		return;
	agent_drop_record(agent, c->number);
	if (c->made != NULL && agent->current == 0)
		agent->owner = AGENT_OF_NOBODY;
	agent_keep_soon(agent);
}

/* It is stored, or is not: its agent, NULL: it went meanwhile. */
static struct agent *stored_of(const struct change *c)
{
	struct agent *agent = agents_find(c->name);

	if (c->made != NULL)
		c->made->changing = false;
	if (agent != NULL)
		agent->changing = false;
	return agent;
}

static void on_stored(void *argument, atom_status status,
		      const struct state_transaction *transaction,
		      const struct atom_error *error)
{
	struct change *c = argument;
	struct agent *agent = stored_of(c);

	(void)transaction;
	if (status != ATOM_OK) {
		not_stored(c, c->made != NULL ? c->made : agent);
		finish(c, status, NULL, error->message);
		return;
	}
	if (health_is_stopping()) {
		/* It is there at the next start. */
		finish(c, ATOM_OK, result_of(c, true), NULL);
		return;
	}
	if (c->kind == CHANGE_CREATE && agent == NULL &&
	    table_set(&agents_table, c->made->name, strlen(c->name), c->made,
		      NULL) == ATOM_OK)
		agent = TAKE(c->made);
	else if (c->kind == CHANGE_CREATE)
		agent = NULL; /* the file was faster, or no memory */
	if (agent == NULL || agent->remembered != c->remembered) {
		finish(c, ATOM_ECONFLICT, NULL,
		       "the configuration was read again meanwhile and has "
		       "changed this agent, too; that is in force");
		return;
	}
	put_in_force(c, agent);
	finish(c, ATOM_OK, result_of(c, true), NULL);
}

/* --- storing ----------------------------------------------------------------- */

static void store(struct change *c, struct agent *agent)
{
	const struct config_agent *from = c->holder->agents;
	struct state_transaction *transaction = NULL;
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status;

	c->from = agent->current;
	c->remembered = agent->remembered;
	c->number = agent->number + 1;
	status = agent_prepare_revision(agent, c->holder, from, c->number,
					&c->revision, &err);
	if (status == ATOM_OK) {
		agent->number = c->number;
		agent->replayed = c->why.replay ? c->number : 0;
		agent->replay_lost = false;
		transaction = state_transaction_new();
		if (transaction == NULL)
			status = atom_fail(&err, ATOM_ENOMEM, "no memory");
	}
	if (status == ATOM_OK)
		status = agent_keep_record(agent, c->number, from->setting,
					   c->holder->directory, &c->why,
					   transaction, &err);
	if (status == ATOM_OK)
		status = agent_keep(agent, c->number, from->text_hash,
				    transaction, &err);
	if (status == ATOM_OK)
		status = state_commit(&transaction, on_stored, c, &err);
	state_transaction_free(&transaction);
	agent->changing = status == ATOM_OK;
	if (status == ATOM_OK)
		return;
	agent_drop_record(agent, c->number);
	finish(c, status, NULL, err.message);
}

/* The name may have been used: its numbers go on. */
static void on_name(void *argument, atom_status status,
		    const struct state_record *record,
		    const struct atom_error *error)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct change *c = argument;

	/* No revision is made any more. */
	if (health_is_stopping()) {
		finish(c, ATOM_EUNAVAILABLE, NULL, "the daemon is stopping");
		return;
	}
	if (status != ATOM_OK && status != ATOM_ENOENT) {
		finish(c, status, NULL, error->message);
		return;
	}
	if (agents_find(c->name) != NULL) {
		finish(c, ATOM_ECONFLICT, NULL,
		       "the configuration was read again meanwhile and has an "
		       "agent of this name");
		return;
	}
	if (record != NULL)
		status = agent_recall_from(c->made, record, &err);
	if (status == ATOM_EINVAL) {
		finish(c, ATOM_EDATALOSS, NULL, err.message);
		return;
	}
	c->made->owner = AGENT_OF_API;
	memset(c->made->file_hash, 0, sizeof(c->made->file_hash));
	store(c, c->made);
}

static void create(struct change *c)
{
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status = record_hash(c->holder->agents->setting, c->hash);

	c->made = agent_new(c->name, false);
	if (c->made == NULL || status != ATOM_OK)
		status = atom_fail(&err, ATOM_ENOMEM, "no memory for agent %s",
				   c->name);
	else
		status = state_get("agents", state_text(c->name), on_name, c,
				   &err);
	if (status != ATOM_OK)
		finish(c, status, NULL, err.message);
}

static void deploy(struct change *c)
{
	struct agent *agent = agents_find(c->name);
	bool same = false;
	atom_status status = is_in_force(c, agent, &same);

	if (status != ATOM_OK) {
		finish(c, status, NULL, "no memory");
	} else if (same) {
		c->number = c->from = agent->current;
		finish(c, ATOM_OK, result_of(c, false), NULL);
	} else {
		store(c, agent);
	}
}

void change_agent(enum change_kind kind, const char *name, struct setting *body,
		  const struct record_change *why,
		  const struct config *defaults, change_done done,
		  void *argument)
{
	struct buffer errors = BUFFER_INIT(ERRORS_MAX);
	struct atom_error err = ATOM_ERROR_INIT;
	struct change *c = NULL;
	atom_status status = change_may_begin(name, kind, why, &err);

	if (status == ATOM_OK)
		c = change_new(name, kind, why, done, argument);
	if (c == NULL) {
		if (status == ATOM_OK)
			status = atom_fail(&err, ATOM_ENOMEM, "no memory");
		setting_free(&body);
		done(argument, status, NULL, err.message);
		return;
	}
	status = check_body(c, body, defaults, &errors);
	if (status != ATOM_OK)
		finish(c, status, NULL,
		       errors.length > 0 ? errors.bytes : "no memory");
	else if (kind == CHANGE_CREATE)
		create(c);
	else
		deploy(c);
	buffer_fini(&errors);
}

/* --- delete ------------------------------------------------------------------ */

static void on_deleted(void *argument, atom_status status,
		       const struct state_transaction *transaction,
		       const struct atom_error *error)
{
	struct change *c = argument;
	struct agent *agent = stored_of(c);

	(void)transaction;
	if (status != ATOM_OK) {
		if (agent != NULL)
			agent_keep_soon(agent);
		finish(c, status, NULL, error->message);
		return;
	}
	if (agent != NULL && agent->owner == AGENT_OF_API) {
		session_limits(agent->name, NULL);
		log_line(ATOM_LOG_INFO, "agent_removed",
			 "an agent was deleted and drains",
			 LOG_TEXT("agent", agent->name),
			 LOG_TEXT("who", c->why.who));
		agent_remove(agent);
		(void)agents_publish();
	}
	finish(c, ATOM_OK,
	       json_pack("{s:s,s:b}", "agent", c->name, "deleted", 1), NULL);
}

_Static_assert(CONFIG_REVISION_HISTORY_MAX + 2 <= STATE_WRITES_MAX,
	       "an agent goes with all its records, and its row stays");

static atom_status store_deletion(struct change *c, struct agent *agent,
				  struct atom_error *err)
{
	struct state_transaction *transaction = state_transaction_new();
	struct agent gone = *agent;
	atom_status status = ATOM_OK;
	char key[RECORD_KEY_MAX];

	if (transaction == NULL)
		return atom_fail(err, ATOM_ENOMEM, "no memory");
	gone.owner = AGENT_OF_NOBODY;
	gone.kept_count = 0;
	for (size_t i = 0; status == ATOM_OK && i < agent->kept_count; i++) {
		record_key(agent->name, agent->kept[i], key);
		status = state_transaction_remove(transaction, RECORDS_BUCKET,
						  state_text(key), STATE_ANY,
						  err);
	}
	if (status == ATOM_OK)
		status = agent_keep(&gone, agent->current, agent->text_hash,
				    transaction, err);
	if (status == ATOM_OK)
		status = state_commit(&transaction, on_deleted, c, err);
	agent->changing = status == ATOM_OK;
	state_transaction_free(&transaction);
	return status;
}

void change_delete(const char *name, const struct record_change *why,
		   change_done done, void *argument)
{
	struct agent *agent = agents_find(name);
	struct atom_error err = ATOM_ERROR_INIT;
	struct change *c = NULL;
	atom_status status = change_may_begin(name, CHANGE_DELETE, why, &err);

	if (status == ATOM_OK && agent->owner != AGENT_OF_API)
		status = atom_fail(&err, ATOM_ECONFLICT,
				   "the agent %s is the configuration's; take "
				   "it out of the file and reload",
				   name);
	if (status == ATOM_OK) {
		c = change_new(name, CHANGE_DEPLOY, why, done, argument);
		if (c == NULL)
			status = atom_fail(&err, ATOM_ENOMEM, "no memory");
	}
	if (status == ATOM_OK) {
		status = store_deletion(c, agent, &err);
		if (status != ATOM_OK)
			finish(c, status, NULL, err.message);
		return;
	}
	done(argument, status, NULL, err.message);
}
