/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "agent/agents_priv.h"
#include "agent/changes.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/text.h"

/* An agent's revisions, as people look at them. */

struct listing {
	char name[64];
	int64_t number; /* 0: all */
	bool text;
	json_t *rows; /* the oldest first */
	char after[RECORD_KEY_MAX];
	change_done done;
	void *argument;
};

static void finish(struct listing *l, atom_status status, const char *message)
{
	json_t *result = NULL, *newest_first = json_array();

	for (size_t i = json_array_size(l->rows); i-- > 0;)
		json_array_append(newest_first, json_array_get(l->rows, i));
	if (status == ATOM_OK && l->number > 0 && json_array_size(l->rows) == 0)
		status = ATOM_ENOENT;
	if (status == ATOM_OK)
		result = json_pack("{s:s,s:O}", "agent", l->name, "revisions",
				   newest_first);
	json_decref(newest_first);
	l->done(l->argument, status, result, message);
	json_decref(l->rows);
	mem_free(l);
}

/* The text as it may be shown: secrets hidden, or not at all where nobody
 * knows which options are. */
static void show_text(struct listing *l, json_t *record)
{
	struct buffer text = BUFFER_INIT((size_t)32 << 20);
	struct atom_error err = ATOM_ERROR_INIT;
	struct setting *setting = NULL;
	const char **secrets = NULL;
	json_t *shown = NULL;

	if (record_setting(l->name, record, &setting, &err) != ATOM_OK) {
		json_object_set_new(record, "error", json_string(err.message));
	} else if (l->text && record_secret_names(setting, &secrets) &&
		   setting_print(setting, 0, secrets, &text) == ATOM_OK) {
		shown = json_stringn(text.bytes, text.length);
	}
	(void)json_object_del(record, "text");
	if (shown != NULL)
		json_object_set_new(record, "text", shown);
	mem_free(secrets);
	setting_free(&setting);
	buffer_fini(&text);
}

static json_t *keys_of(const json_t *record)
{
	json_t *keys = json_array(), *row;
	size_t i;

	json_array_foreach(json_object_get(record, "difference"), i, row)
	{
		json_array_append(keys, json_object_get(row, "key"));
	}
	return keys;
}

static void add_row(struct listing *l, const struct state_record *stored)
{
	const struct agent *agent = agents_find(l->name);
	const char *digits = (const char *)stored->key.bytes;
	struct atom_error err = ATOM_ERROR_INIT;
	int64_t number = 0;
	char text[16] = "";
	json_t *record = NULL;
	size_t skip = strlen(l->name) + 1;

	while (skip + 1 < stored->key.length && digits[skip] == '0')
		skip++;
	(void)snprintf(text, sizeof(text), "%.*s",
		       (int)(stored->key.length - skip), digits + skip);
	if (!text_to_int(text, &number) ||
	    (l->number > 0 && number != l->number))
		return;
	if (record_decode(l->name, number, stored, &record, &err) != ATOM_OK) {
		record = json_pack("{s:I,s:s}", "revision", (json_int_t)number,
				   "error", err.message);
	} else {
		json_object_set_new(record, "changes", keys_of(record));
		if (l->number > 0)
			show_text(l, record);
		else
			(void)json_object_del(record, "text");
		if (!l->text || l->number == 0)
			(void)json_object_del(record, "difference");
		(void)json_object_del(record, "folder");
	}
	json_object_set_new(record, "in_force",
			    json_boolean(agent != NULL &&
					 agent->stable != NULL &&
					 agent->stable->number == number));
	json_array_append_new(l->rows, record);
}

static void ask(struct listing *l);

static void on_scanned(void *argument, atom_status status,
		       const struct state_record *const *records, size_t count,
		       bool more, const struct atom_error *error)
{
	struct listing *l = argument;

	for (size_t i = 0; status == ATOM_OK && i < count; i++) {
		add_row(l, records[i]);
		(void)snprintf(l->after, sizeof(l->after), "%.*s",
			       (int)records[i]->key.length,
			       (const char *)records[i]->key.bytes);
	}
	if (status == ATOM_OK && more)
		ask(l);
	else
		finish(l, status, error != NULL ? error->message : "");
}

static void ask(struct listing *l)
{
	struct atom_error err = ATOM_ERROR_INIT;
	char prefix[RECORD_KEY_MAX];
	atom_status status;

	(void)snprintf(prefix, sizeof(prefix), "%s/", l->name);
	status = state_scan(RECORDS_BUCKET, state_text(prefix),
			    state_text(l->after), 0, on_scanned, l, &err);
	if (status != ATOM_OK)
		finish(l, status, err.message);
}

void change_list(const char *name, int64_t number, bool text, change_done done,
		 void *argument)
{
	char message[160] = "no memory";
	struct listing *l = NULL;
	atom_status status = ATOM_ENOMEM;

	if (agents_find(name) == NULL) {
		status = ATOM_ENOENT;
		(void)snprintf(message, sizeof(message),
			       "there is no agent named '%.63s'", name);
	} else {
		l = mem_zalloc(sizeof(*l));
	}
	if (l == NULL) {
		done(argument, status, NULL, message);
		return;
	}
	(void)snprintf(l->name, sizeof(l->name), "%s", name);
	l->number = number;
	l->text = text;
	l->done = done;
	l->argument = argument;
	l->rows = json_array();
	ask(l);
}
