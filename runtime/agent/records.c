/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/records.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "config/parse.h"
#include "config/value.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/text.h"
#include "plugin/options.h"
#include "plugin/registry.h"

#define TEXT_MAX   (2 * PARSE_FILE_MAX)
#define ERRORS_MAX ((size_t)64 * 1024)

static const char *const origin_words[] = {
	[RECORD_FILE] = "file", [RECORD_API] = "api", [RECORD_UNDO] = "undo"
};

void record_key(const char *agent, int64_t number, char out[RECORD_KEY_MAX])
{
	(void)snprintf(out, RECORD_KEY_MAX, "%.63s/%010lld", agent,
		       (long long)number);
}

atom_status record_hash(const struct setting *setting, char hex_r[65])
{
	struct buffer text = BUFFER_INIT(TEXT_MAX);
	uint8_t hash[32];
	unsigned int length = 0;
	atom_status status = setting_canonical(setting, &text);

	if (status == ATOM_OK && EVP_Digest(text.bytes, text.length, hash,
					    &length, EVP_sha256(), NULL) != 1)
		status = ATOM_ENOMEM;
	if (status == ATOM_OK)
		text_to_hex(hash, sizeof(hash), hex_r);
	buffer_fini(&text);
	return status;
}

bool record_secret_names(const struct setting *setting, const char ***names_r)
{
	const struct setting *backend = setting_member(setting, "backend");
	const struct setting *plugin = setting_member(backend, "plugin");
	const char *name = plugin != NULL ? value_to_text(plugin) : NULL;
	struct atom_error err = ATOM_ERROR_INIT;
	const struct component *component;

	if (name == NULL ||
	    registry_component("backend", name, &component, &err) != ATOM_OK)
		return false;
	*names_r = options_secret_names(component->declared);
	return *names_r != NULL;
}

/* --- making ------------------------------------------------------------------ */

/* Of the first revision there is none; without values where nobody knows which
 * are secret. */
static json_t *difference_of(const struct setting *before,
			     const struct setting *now)
{
	const char **from = NULL, **to = NULL;
	bool known = record_secret_names(now, &to) &&
		     (before == NULL || record_secret_names(before, &from));
	json_t *rows = before != NULL
			       ? setting_difference(before, from, now, to)
			       : json_array();
	json_t *row;
	size_t i;

	if (!known)
		json_array_foreach(rows, i, row)
		{
			(void)json_object_del(row, "from");
			(void)json_object_del(row, "to");
		}
	mem_free(from);
	mem_free(to);
	return rows;
}

atom_status record_make(const struct setting *setting, const char *folder,
			int64_t number, const struct record_change *change,
			int64_t time_ms, const struct setting *before,
			int64_t before_number, json_t **record_r,
			struct atom_error *err)
{
	struct buffer text = BUFFER_INIT(TEXT_MAX);
	char hash[65], time[TEXT_TIME_MAX];
	json_t *difference = difference_of(before, setting), *record = NULL;
	atom_status status = record_hash(setting, hash);

	text_of_time(time_ms, time);
	if (status == ATOM_OK)
		status = setting_print(setting, 0, NULL, &text);
	if (status == ATOM_OK && difference != NULL)
		record = json_pack(
			"{s:I,s:s,s:s,s:s,s:s,s:s,s:I,s:s,s:O,s:s}", "revision",
			(json_int_t)number, "hash", hash, "time", time,
			"origin", origin_words[change->origin], "who",
			change->who, "why", change->why, "before",
			(json_int_t)before_number, "folder", folder,
			"difference", difference, "text", text.bytes);
	if (record != NULL && change->undone_to > 0 &&
	    json_object_set_new(record, "undone_to",
				json_integer(change->undone_to)) != 0)
		json_decref(TAKE(record));
	json_decref(difference);
	buffer_fini(&text);
	if (record == NULL)
		return atom_fail(err, ATOM_ENOMEM,
				 "no memory for revision %lld",
				 (long long)number);
	*record_r = record;
	return ATOM_OK;
}

/* --- reading ----------------------------------------------------------------- */

static atom_status damaged(const char *agent, int64_t number,
			   struct atom_error *err)
{
	return atom_fail(err, ATOM_EDATALOSS,
			 "the record of revision %lld of %s is damaged; go to "
			 "another one with `atomctl undo %s --to N`, or deploy "
			 "its text again",
			 (long long)number, agent, agent);
}

atom_status record_decode(const char *agent, int64_t number,
			  const struct state_record *stored, json_t **record_r,
			  struct atom_error *err)
{
	struct atom_error why = ATOM_ERROR_INIT;
	json_t *record = NULL;

	if (stored->status != ATOM_OK ||
	    json_decode(stored->value.bytes, stored->value.length, &record,
			&why) != ATOM_OK)
		return damaged(agent, number, err);
	if (json_integer_value(json_object_get(record, "revision")) == number &&
	    json_is_string(json_object_get(record, "text")) &&
	    json_is_string(json_object_get(record, "hash"))) {
		*record_r = record;
		return ATOM_OK;
	}
	json_decref(record);
	return damaged(agent, number, err);
}

static int64_t number_of(const json_t *record)
{
	return json_integer_value(json_object_get(record, "revision"));
}

/* Messages about a record's text name the record; relative paths begin in
 * the folder where the text's did. */
static void file_name(const char *agent, const json_t *record, char *out,
		      size_t size)
{
	(void)snprintf(out, size, "%s/revision %lld of %s",
		       json_text(record, "folder", ""),
		       (long long)number_of(record), agent);
}

/* A value of -D is a string that may fill a number, too, and is kept as one:
 * what was right when it was accepted is again. */
static void let_convert(struct setting *setting)
{
	if (setting->type == SETTING_STRING)
		setting->convertible = true;
	for (size_t i = 0; i < setting->member_count; i++)
		let_convert(setting->members[i]);
}

atom_status record_setting(const char *agent, const json_t *record,
			   struct setting **setting_r, struct atom_error *err)
{
	const json_t *text = json_object_get(record, "text");
	struct buffer errors = BUFFER_INIT(ERRORS_MAX);
	struct setting *setting = NULL;
	char file[4096 + 128], hash[65] = "";
	atom_status status;

	file_name(agent, record, file, sizeof(file));
	status = parse_text(json_string_value(text), json_string_length(text),
			    file, &setting, &errors);
	if (status == ATOM_OK)
		status = record_hash(setting, hash);
	if (status == ATOM_EINVAL ||
	    (status == ATOM_OK &&
	     strcmp(hash, json_text(record, "hash", "-")) != 0))
		status = damaged(agent, number_of(record), err);
	else if (status != ATOM_OK)
		(void)atom_fail(err, status, "no memory for a revision");
	if (status == ATOM_OK) {
		let_convert(setting);
		*setting_r = setting;
	} else
		setting_free(&setting);
	buffer_fini(&errors);
	return status;
}

atom_status record_config(const char *agent, const json_t *record,
			  const struct config *defaults,
			  struct config **holder_r, struct atom_error *err)
{
	struct buffer errors = BUFFER_INIT(ERRORS_MAX);
	struct setting *setting = NULL;
	atom_status status = record_setting(agent, record, &setting, err);

	if (status != ATOM_OK)
		return status;
	status = config_agent_of_setting(setting, defaults, holder_r, &errors);
	if (status != ATOM_OK) {
		(void)atom_fail(err, status, "%.*s", (int)errors.length,
				errors.bytes);
		setting_free(&setting);
	}
	buffer_fini(&errors);
	return status;
}

atom_status records_config_now(const char *agent, int64_t number,
			       const struct config *defaults,
			       struct config **holder_r, struct atom_error *err)
{
	struct state_record *stored = NULL;
	char key[RECORD_KEY_MAX];
	json_t *record = NULL;
	atom_status status;

	record_key(agent, number, key);
	status = state_get_now(RECORDS_BUCKET, state_text(key), &stored, err);
	if (status == ATOM_ENOENT)
		return atom_fail(err, status,
				 "revision %lld of %s is not kept (any more)",
				 (long long)number, agent);
	if (status == ATOM_EDATALOSS)
		return damaged(agent, number, err);
	if (status == ATOM_OK)
		status = record_decode(agent, number, stored, &record, err);
	if (status == ATOM_OK)
		status = record_config(agent, record, defaults, holder_r, err);
	json_decref(record);
	mem_free(stored);
	return status;
}
