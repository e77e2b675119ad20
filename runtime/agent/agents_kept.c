/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is remembered of an agent over restarts.  In the store, bucket
 * "agents", one row a name:
 *
 *	{"revision": the one in force or on its way there, "stable": the one
 *	 that serves until it is, "last": the last number used,
 *	 "text_hash": of its text, "file_hash": of the file's text last
 *	 applied, "owner":"file"|"api"|"none", "kept":[numbers of records],
 *	 "replayed": the revision that a replay comes before, if any}
 *
 * Only the file's *changed* text makes a revision: as long as its hash is the
 * one kept, what the API made of the agent since stays in force, over reloads
 * and restarts.  A name that the API has deleted keeps a row without an owner,
 * so that its numbers are not used again.  [control]
 */

#include <stdio.h>
#include <string.h>

#include "agent/agents.h"
#include "agent/rollouts_priv.h"
#include "core/json.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"
#include "state/state.h"

#define BUCKET "agents"
/* One transaction holds so much before it is stored. */
#define FLUSH_BYTES ((size_t)8 << 20)

static const char *const owner_words[] = { [AGENT_OF_NOBODY] = "none",
					   [AGENT_OF_FILE] = "file",
					   [AGENT_OF_API] = "api" };

static int64_t history = 10;

void agents_set_history(int64_t revisions)
{
	history = revisions;
}

bool agent_follows_file(const struct agent *agent)
{
	return agent->owner == AGENT_OF_FILE &&
	       memcmp(agent->text_hash, agent->file_hash,
		      sizeof(agent->file_hash)) == 0;
}

/* --- recalling --------------------------------------------------------------- */

static atom_status add_number(struct agent *agent, int64_t number)
{
	int64_t *kept = mem_realloc(agent->kept,
				    (agent->kept_count + 1) * sizeof(*kept));

	if (kept == NULL)
		return ATOM_ENOMEM;
	agent->kept = kept;
	agent->kept[agent->kept_count++] = number;
	return ATOM_OK;
}

static void read_hash(const json_t *row, const char *name, uint8_t hash_r[32])
{
	const char *hex = json_text(row, name, "");
	char digits[3] = "";

	if (strlen(hex) != 64 || strspn(hex, "0123456789abcdef") != 64)
		return;
	for (size_t i = 0; i < 32; i++) {
		unsigned int byte = 0;

		memcpy(digits, hex + 2 * i, 2);
		(void)sscanf(digits, "%2x", &byte);
		hash_r[i] = (uint8_t)byte;
	}
}

static void read_row(struct agent *agent, const json_t *row)
{
	const char *owner = json_text(row, "owner", "file");
	size_t i;
	json_t *number;

	agent->current = json_integer_value(json_object_get(row, "revision"));
	agent->recalled = json_integer_value(json_object_get(row, "stable"));
	agent->number = json_integer_value(json_object_get(row, "last"));
	if (agent->number < agent->current)
		agent->number = agent->current;
	for (int word = AGENT_OF_NOBODY; word <= AGENT_OF_API; word++)
		if (strcmp(owner, owner_words[word]) == 0)
			agent->owner = (enum agent_owner)word;
	agent->replayed = json_integer_value(json_object_get(row, "replayed"));
	read_hash(row, "text_hash", agent->text_hash);
	read_hash(row, "file_hash", agent->file_hash);
	json_array_foreach(json_object_get(row, "kept"), i, number)
	{
		if (add_number(agent, json_integer_value(number)) != ATOM_OK)
			return;
	}
}

static int32_t find_last(void *argument, const struct state_record *record)
{
	struct agent *agent = argument;
	size_t skip = strlen(agent->name) + 1;
	char digits[16];
	int64_t number;

	(void)snprintf(digits, sizeof(digits), "%.*s",
		       (int)(record->key.length - skip),
		       (const char *)record->key.bytes + skip);
	for (const char *p = digits; *p == '0' && p[1] != '\0';)
		memmove(digits, p + 1, strlen(p + 1) + 1);
	if (text_to_int(digits, &number) && number > 0 &&
	    add_number(agent, number) == ATOM_OK)
		agent->number = number;
	return 0;
}

/* Its row is lost, its records may be there: their numbers are not used
 * again. */
static void recall_numbers(struct agent *agent)
{
	struct atom_error err = ATOM_ERROR_INIT;
	char prefix[RECORD_KEY_MAX];

	(void)snprintf(prefix, sizeof(prefix), "%.63s/", agent->name);
	(void)state_scan_now(RECORDS_BUCKET, state_text(prefix), find_last,
			     agent, &err);
}

static void row_damaged(struct agent *agent, const char *why)
{
	log_line(ATOM_LOG_ERROR, "revision_not_read", why,
		 LOG_TEXT("agent", agent->name));
	recall_numbers(agent);
}

atom_status agent_recall_from(struct agent *agent,
			      const struct state_record *record,
			      struct atom_error *err)
{
	json_t *row = NULL;
	atom_status status = json_decode(record->value.bytes,
					 record->value.length, &row, err);

	if (status == ATOM_OK)
		read_row(agent, row);
	json_decref(row);
	return status;
}

void agent_recall(struct agent *agent)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct state_record *record = NULL;
	atom_status status =
		state_get_now(BUCKET, state_text(agent->name), &record, &err);

	if (status == ATOM_OK)
		status = agent_recall_from(agent, record, &err);
	if (status == ATOM_EDATALOSS || status == ATOM_EINVAL)
		row_damaged(agent, err.message);
	mem_free(record);
}

/* --- keeping ----------------------------------------------------------------- */

static bool at_once;

void agents_keep_at_once(bool now)
{
	at_once = now;
}

/* The one that serves as long as `current` is not rolled out. */
static int64_t stable_of(const struct agent *agent, int64_t current)
{
	const struct live *live = agent->rollout;

	if (at_once)
		return current;
	if (live != NULL && live->from != NULL)
		return live->state->at.outcome == ROLLOUT_PROMOTED
			       ? live->to->number
			       : live->from->number;
	return agent->stable != NULL ? agent->stable->number : current;
}

static atom_status row_of(const struct agent *agent, int64_t current,
			  const uint8_t text_hash[32], struct buffer *out)
{
	char text_hex[65], file_hex[65];
	json_t *kept = json_array(), *row;
	atom_status status = ATOM_ENOMEM;

	for (size_t i = 0; i < agent->kept_count; i++)
		json_array_append_new(kept, json_integer(agent->kept[i]));
	text_to_hex(text_hash, 32, text_hex);
	text_to_hex(agent->file_hash, sizeof(agent->file_hash), file_hex);
	row = json_pack("{s:I,s:I,s:I,s:s,s:s,s:s,s:o}", "revision",
			(json_int_t)current, "stable",
			(json_int_t)stable_of(agent, current), "last",
			(json_int_t)agent->number, "text_hash", text_hex,
			"file_hash", file_hex, "owner",
			owner_words[agent->owner], "kept", kept);
	if (row != NULL && agent->replayed != 0)
		json_object_set_new(row, "replayed",
				    json_integer(agent->replayed));
	if (row != NULL)
		status = json_encode(row, out);
	json_decref(row);
	return status;
}

atom_status agent_keep(const struct agent *agent, int64_t current,
		       const uint8_t text_hash[32],
		       struct state_transaction *transaction,
		       struct atom_error *err)
{
	struct buffer row = BUFFER_INIT(STATE_VALUE_MAX);
	atom_status status = row_of(agent, current, text_hash, &row);

	if (status == ATOM_OK)
		status = state_transaction_put(
			transaction, BUCKET, state_text(agent->name),
			(struct atom_span){ row.bytes, row.length }, STATE_ANY,
			err);
	else
		(void)atom_fail(err, status, "no memory for agent %s",
				agent->name);
	buffer_fini(&row);
	return status;
}

void agent_keep_soon(const struct agent *agent)
{
	struct buffer row = BUFFER_INIT(STATE_VALUE_MAX);
	struct atom_error err = ATOM_ERROR_INIT;

	/* The change writes it, or says again that it should be written. */
	if (agent->changing)
		return;
	if (row_of(agent, agent->current, agent->text_hash, &row) == ATOM_OK)
		(void)state_write_behind(
			BUCKET, state_text(agent->name),
			(struct atom_span){ row.bytes, row.length }, &err);
	buffer_fini(&row);
}

bool agent_has_record(const struct agent *agent, int64_t number)
{
	for (size_t i = 0; i < agent->kept_count; i++)
		if (agent->kept[i] == number)
			return true;
	return false;
}

void agent_drop_record(struct agent *agent, int64_t number)
{
	size_t left = 0;

	for (size_t i = 0; i < agent->kept_count; i++)
		if (agent->kept[i] != number)
			agent->kept[left++] = agent->kept[i];
	agent->kept_count = left;
}

static bool is_needed(const struct agent *agent, int64_t number)
{
	return number == agent->current ||
	       (agent->stable != NULL && agent->stable->number == number) ||
	       (agent->candidate != NULL &&
		agent->candidate->number == number) ||
	       rollouts_warm(agent) == number;
}

/* The oldest go, but none that serves or is to. */
static atom_status forget_old(struct agent *agent,
			      struct state_transaction *transaction,
			      struct atom_error *err)
{
	atom_status status = ATOM_OK;
	char key[RECORD_KEY_MAX];

	for (size_t i = 0; status == ATOM_OK && i < agent->kept_count &&
			   agent->kept_count > (size_t)history + 1;) {
		int64_t number = agent->kept[i];

		if (is_needed(agent, number)) {
			i++;
			continue;
		}
		record_key(agent->name, number, key);
		status = state_transaction_remove(transaction, RECORDS_BUCKET,
						  state_text(key), STATE_ANY,
						  err);
		if (status == ATOM_OK)
			agent_drop_record(agent, number);
	}
	return status;
}

/* The text before this one: as it is in memory, or as it was kept. */
static struct setting *before_of(const struct agent *agent, int64_t number,
				 int64_t *number_r)
{
	const struct revision *newest = agent_newest(agent);
	struct atom_error err = ATOM_ERROR_INIT;
	struct state_record *stored = NULL;
	struct setting *setting = NULL;
	char key[RECORD_KEY_MAX];
	json_t *record = NULL;

	/* The one that is recorded may be made already. */
	if (newest != NULL && newest->number == number)
		newest = agent->stable;
	*number_r = newest != NULL ? newest->number : agent->current;
	if (newest != NULL)
		return setting_copy(newest->agent->setting);
	if (!agent_has_record(agent, agent->current))
		return NULL;
	record_key(agent->name, agent->current, key);
	if (state_get_now(RECORDS_BUCKET, state_text(key), &stored, &err) ==
		    ATOM_OK &&
	    record_decode(agent->name, agent->current, stored, &record, &err) ==
		    ATOM_OK)
		(void)record_setting(agent->name, record, &setting, &err);
	json_decref(record);
	mem_free(stored);
	return setting;
}

/* The folder of the file that an agent stands in. */
static void folder_of(const struct setting *setting, const char *folder,
		      char *out, size_t size)
{
	const char *slash = strrchr(setting->file, '/');

	if (setting->line > 0 && slash != NULL)
		(void)snprintf(out, size, "%.*s", (int)(slash - setting->file),
			       setting->file);
	else
		(void)snprintf(out, size, "%s", folder);
}

atom_status agent_keep_record(struct agent *agent, int64_t number,
			      const struct setting *setting, const char *folder,
			      const struct record_change *change,
			      struct state_transaction *transaction,
			      struct atom_error *err)
{
	struct buffer value = BUFFER_INIT(STATE_VALUE_MAX);
	int64_t before_number = 0;
	struct setting *before = before_of(agent, number, &before_number);
	json_t *record = NULL;
	char key[RECORD_KEY_MAX], at[4096];
	atom_status status;

	record_key(agent->name, number, key);
	folder_of(setting, folder, at, sizeof(at));
	status = record_make(setting, at, number, change, os.realtime_ms(),
			     before, before_number, &record, err);
	if (status == ATOM_OK) {
		status = json_encode(record, &value);
		if (status != ATOM_OK)
			(void)atom_fail(err, status,
					"revision %lld of %s is too long to "
					"be kept",
					(long long)number, agent->name);
	}
	if (status == ATOM_OK)
		status = state_transaction_put(
			transaction, RECORDS_BUCKET, state_text(key),
			(struct atom_span){ value.bytes, value.length },
			STATE_NEW, err);
	if (status == ATOM_OK)
		status = add_number(agent, number);
	if (status == ATOM_OK)
		status = forget_old(agent, transaction, err);
	json_decref(record);
	setting_free(&before);
	buffer_fini(&value);
	return status;
}

/* --- what a configuration changes -------------------------------------------- */

/* What is to be remembered, until it is stored: one transaction for all
 * agents of a configuration, however many. */
static struct state_transaction *remembered;

void agents_remember_flush(void)
{
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status;

	if (remembered == NULL)
		return;
	status = state_commit_now(remembered, &err);
	if (status != ATOM_OK && status != ATOM_EUNAVAILABLE)
		log_line(ATOM_LOG_ERROR, "revision_not_stored", err.message,
			 LOG_NUMBER("writes",
				    state_transaction_count(remembered)));
	/* It is in force all the same, and stored once the store is well: a
	 * row before its record, whose number would else be found taken.  A
	 * conflict says that what was there before could not be read. */
	if (status != ATOM_OK && status != ATOM_ECONFLICT)
		(void)state_write_behind_all(remembered, &err);
	state_transaction_free(&remembered);
}

void agent_remember(struct agent *agent, int64_t number,
		    const struct config_agent *from, const char *folder)
{
	static const struct record_change file = { .origin = RECORD_FILE,
						   .who = "",
						   .why = "" };
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status = ATOM_OK;

	agent->remembered++;
	/* A row, a record, and what the record pushes out. */
	if (remembered != NULL &&
	    (state_transaction_count(remembered) + agent->kept_count + 2 >
		     STATE_WRITES_MAX ||
	     state_transaction_bytes(remembered) > FLUSH_BYTES))
		agents_remember_flush();
	if (remembered == NULL)
		remembered = state_transaction_new();
	if (remembered == NULL)
		status = atom_fail(&err, ATOM_ENOMEM, "no memory");
	if (status == ATOM_OK && !agent_has_record(agent, number))
		status = agent_keep_record(agent, number, from->setting, folder,
					   &file, remembered, &err);
	if (status == ATOM_OK)
		status = agent_keep(agent, number, from->text_hash, remembered,
				    &err);
	if (status != ATOM_OK)
		log_line(ATOM_LOG_ERROR, "revision_not_stored", err.message,
			 LOG_TEXT("agent", agent->name));
}
