/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/freeze.h"

#include <stdio.h>
#include <string.h>

#include "agent/agents_priv.h"
#include "agent/rollouts.h"
#include "agent/scaler.h"
#include "core/json.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"
#include "state/state.h"

#define BUCKET "freeze"
#define KEY    "all"
/* What a person may write, and the words around it. */
#define REASON_MAX 200

static struct {
	bool on;
	char since[TEXT_TIME_MAX];
	char who[128];
	char reason[REASON_MAX + 1];
	char words[REASON_MAX + 256];
} freeze;

/* Times that it was begun: an end that was asked for before ends another. */
static uint64_t begun;

/* The windows of all agents are its; a reference. */
static struct config *windows_of;

/* A way back does not wait for the thaw. */
static const char *of_agent(const char *agent)
{
	const struct agent *of = agents_find(agent);

	return of != NULL && of->goes_back ? NULL : freeze_reason(of);
}

static void set(const char *since, const char *who, const char *reason)
{
	freeze.on = true;
	(void)snprintf(freeze.since, sizeof(freeze.since), "%s", since);
	(void)snprintf(freeze.who, sizeof(freeze.who), "%s", who);
	(void)snprintf(freeze.reason, sizeof(freeze.reason), "%s", reason);
	(void)snprintf(freeze.words, sizeof(freeze.words),
		       "deployments are frozen since %s by %s%s%s", since,
		       freeze.who, *reason ? ": " : "", freeze.reason);
}

void freeze_apply(struct config *config)
{
	config_unref(&windows_of);
	windows_of = config_ref(config);
}

void freeze_fini(void)
{
	config_unref(&windows_of);
}

bool freeze_is_on(void)
{
	return freeze.on;
}

static const char *window_of_all(void)
{
	if (windows_of == NULL)
		return NULL;
	return freeze_window_reason(&windows_of->freeze_windows, "all agents");
}

const char *freeze_reason(const struct agent *agent)
{
	const char *why = freeze.on ? freeze.words : window_of_all();

	if (why == NULL && agent != NULL && agent->scaler->settings != NULL)
		why = freeze_window_reason(
			&agent->scaler->settings->deployment.freeze_windows,
			agent->name);
	return why;
}

/* What is kept of the switch. */
static json_t *describe_switch(void)
{
	if (!freeze.on)
		return json_pack("{s:b}", "frozen", 0);
	return json_pack("{s:b,s:s,s:s,s:s}", "frozen", 1, "since",
			 freeze.since, "who", freeze.who, "reason",
			 freeze.reason);
}

json_t *freeze_describe(void)
{
	json_t *json = describe_switch();
	const char *window = window_of_all();

	if (json != NULL && window != NULL)
		json_object_set_new(json, "window", json_string(window));
	return json;
}

void freeze_recall(void)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct state_record *record = NULL;
	json_t *kept = NULL;
	atom_status status =
		state_get_now(BUCKET, state_text(KEY), &record, &err);

	rollouts_on_freeze(of_agent);
	if (status == ATOM_OK)
		status = json_decode(record->value.bytes, record->value.length,
				     &kept, &err);
	if (status == ATOM_OK) {
		set(json_text(kept, "since", "?"), json_text(kept, "who", "?"),
		    json_text(kept, "reason", ""));
	} else if (status == ATOM_EDATALOSS || status == ATOM_EINVAL) {
		set("an unknown time", "nobody knows whom",
		    "its record is damaged; `atomctl freeze --off` ends it");
		log_line(ATOM_LOG_ERROR, "freeze_not_read", err.message);
	}
	json_decref(kept);
	mem_free(record);
}

/* --- changing ---------------------------------------------------------------- */

struct change {
	bool on;
	uint64_t begun; /* when it was asked for */
	freeze_done done;
	void *argument;
};

static void on_stored(void *argument, atom_status status,
		      const struct state_transaction *transaction,
		      const struct atom_error *error)
{
	struct change *c = argument;

	(void)transaction;
	if (status == ATOM_OK && !c->on && c->begun == begun) {
		freeze.on = false;
		log_printf(ATOM_LOG_INFO, "freeze_ended",
			   "deployments may go on");
		rollouts_look();
	}
	c->done(c->argument, status,
		status == ATOM_OK ? freeze_describe() : NULL,
		error != NULL ? error->message : NULL);
	mem_free(c);
}

static atom_status put_record(struct state_transaction *transaction, bool on,
			      struct atom_error *err)
{
	struct buffer value = BUFFER_INIT(4096);
	json_t *kept = NULL;
	atom_status status;

	if (!on)
		return state_transaction_remove(
			transaction, BUCKET, state_text(KEY), STATE_ANY, err);
	kept = describe_switch();
	status = kept != NULL ? json_encode(kept, &value) : ATOM_ENOMEM;
	if (status == ATOM_OK)
		status = state_transaction_put(
			transaction, BUCKET, state_text(KEY),
			(struct atom_span){ value.bytes, value.length },
			STATE_ANY, err);
	else
		(void)atom_fail(err, status, "no memory");
	json_decref(kept);
	buffer_fini(&value);
	return status;
}

static void store(bool on, freeze_done done, void *argument)
{
	struct state_transaction *transaction = state_transaction_new();
	struct change *c = mem_zalloc(sizeof(*c));
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status = ATOM_OK;

	if (transaction == NULL || c == NULL)
		status = atom_fail(&err, ATOM_ENOMEM, "no memory");
	if (status == ATOM_OK)
		status = put_record(transaction, on, &err);
	if (status == ATOM_OK) {
		*c = (struct change){ on, begun, done, argument };
		status = state_commit(&transaction, on_stored, c, &err);
	}
	state_transaction_free(&transaction);
	if (status == ATOM_OK)
		return;
	mem_free(c);
	done(argument, status, NULL, err.message);
}

void freeze_begin(const char *who, const char *reason, freeze_done done,
		  void *argument)
{
	char since[TEXT_TIME_MAX], message[96];

	if (strlen(reason) > REASON_MAX) {
		(void)snprintf(message, sizeof(message),
			       "reason: expected at most %d bytes, found %zu",
			       REASON_MAX, strlen(reason));
		done(argument, ATOM_EINVAL, NULL, message);
		return;
	}
	text_of_time(os.realtime_ms(), since);
	set(since, who, reason);
	begun++;
	log_line(ATOM_LOG_WARN, "freeze_began", freeze.words);
	rollouts_look();
	store(true, done, argument);
}

void freeze_end(freeze_done done, void *argument)
{
	store(false, done, argument);
}
