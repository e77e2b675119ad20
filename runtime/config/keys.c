/* SPDX-License-Identifier: Apache-2.0 */
#include "config/keys_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/complain_priv.h"
#include "config/config_priv.h"
#include "config/value.h"
#include "core/memory.h"
#include "core/text.h"

#define KEYS_MAX 48 /* of one table */

union key_value {
	bool boolean;
	int64_t integer;
	double number;
	const char *text;
	int choice;
	const char *const *texts;
	const struct setting *setting;
};

bool keys_is_unresolved(const struct setting *setting)
{
	return setting->type == SETTING_STRING &&
	       setting->text == setting->raw && strstr(setting->raw, "${");
}

static const struct key *find_key(const struct key_table *table,
				  const char *name)
{
	for (size_t i = 0; i < table->count; i++)
		if (strcmp(table->keys[i].name, name) == 0)
			return &table->keys[i];
	return NULL;
}

static void complain_unknown(const struct key_table *table,
			     const struct setting *member,
			     struct keys_reading *r)
{
	const char *names[KEYS_MAX + 1];
	char hint[COMPLAIN_HINT_MAX], shown[64];
	size_t count = 0;

	for (size_t i = 0; i < table->count && count < KEYS_MAX; i++)
		names[count++] = table->keys[i].name;
	names[count] = NULL;
	value_quote(member->name, shown, sizeof(shown));
	config_complain(r->errors, member, "unknown key `%s`%s", shown,
			complain_hint(member->name, names, hint));
}

static const char *wanted(const struct key *key, char *out, size_t out_size)
{
	switch (key->type) {
	case KEY_BOOL:
		return "true or false";
	case KEY_INT:
		return "an integer";
	case KEY_FLOAT:
		return "a number";
	case KEY_DURATION:
		return key->unit == 0
			       ? "a duration with its unit, such as \"30d\""
		       : key->unit == 1000
			       ? "a duration: \"250ms\", \"30s\", \"2h\", or a number of seconds"
			       : "a duration: \"250ms\", \"30s\", \"2h\", or a number of milliseconds";
	case KEY_SIZE:
		return "a size: \"512M\", \"2G\", or a number of MiB";
	case KEY_STRING:
		return "a string";
	case KEY_CHOICE:
		(void)snprintf(out, out_size, "one of");
		for (const char *const *word = key->words; *word; word++) {
			size_t length = strlen(out);

			(void)snprintf(out + length, out_size - length,
				       " \"%s\"", *word);
		}
		return out;
	case KEY_STRINGS:
		return "a list of strings: [ \"...\", \"...\" ]";
	case KEY_GROUP:
	case KEY_OPTIONS:
		return "a group: { ... }";
	case KEY_GROUPS:
		return "a list of groups: ( { ... }, { ... } )";
	}
	return "";
}

static bool complain_type(const struct key *key, const struct setting *setting,
			  struct keys_reading *r)
{
	char found[VALUE_DESCRIPTION_MAX], words[128];

	if (keys_is_unresolved(setting))
		return false;
	value_describe(setting, found);
	config_complain(r->errors, setting, "`%s` must be %s, found %s",
			key->name, wanted(key, words, sizeof(words)),
			key->flags & KEY_SECRET ? "something else" : found);
	return false;
}

/* What shows in a secret's place is not the secret (options_value.c says the
 * same of plugins'). */
static bool complain_placeholder(const struct key *key,
				 const struct setting *setting,
				 struct keys_reading *r)
{
	config_complain(r->errors, setting,
			"`%s` is `***`, which stands for a secret that is not "
			"shown; write the secret, or ${file:PATH}",
			key->name);
	return false;
}

static bool in_range(const struct key *key, int64_t value,
		     const struct setting *setting, struct keys_reading *r)
{
	const char *unit = key->type == KEY_DURATION ? " ms"
			   : key->type == KEY_SIZE   ? " MiB"
						     : "";

	if ((key->minimum == 0 && key->maximum == 0) ||
	    (value >= key->minimum && value <= key->maximum))
		return true;
	/* What a secret file holds is not quoted. */
	if (setting->secret)
		config_complain(r->errors, setting,
				"`%s` must be %lld to %lld%s", key->name,
				(long long)key->minimum,
				(long long)key->maximum, unit);
	else
		config_complain(r->errors, setting,
				"`%s` must be %lld to %lld%s, found %lld%s",
				key->name, (long long)key->minimum,
				(long long)key->maximum, unit, (long long)value,
				unit);
	return false;
}

static bool read_choice(const struct key *key, const struct setting *setting,
			union key_value *value, struct keys_reading *r)
{
	const char *text = value_to_text(setting);
	char hint[COMPLAIN_HINT_MAX], shown[64], words[128];

	if (text == NULL || keys_is_unresolved(setting))
		return complain_type(key, setting, r);
	for (int i = 0; key->words[i]; i++)
		if (strcmp(key->words[i], text) == 0) {
			value->choice = i;
			return true;
		}
	value_quote(setting->secret ? "***" : text, shown, sizeof(shown));
	config_complain(
		r->errors, setting, "`%s` must be %s, found \"%s\"%s",
		key->name, wanted(key, words, sizeof(words)), shown,
		setting->secret ? "" : complain_hint(text, key->words, hint));
	return false;
}

static bool read_strings(const struct key *key, const struct setting *setting,
			 union key_value *value, struct keys_reading *r)
{
	const char **texts;

	if (setting->type != SETTING_LIST)
		return complain_type(key, setting, r);
	texts = config_keep(r->holder, setting->member_count + 1,
			    sizeof(*texts));
	if (texts == NULL) {
		r->no_memory = true;
		return false;
	}
	for (size_t i = 0; i < setting->member_count; i++) {
		texts[i] = value_to_text(setting->members[i]);
		if (texts[i] == NULL)
			return complain_type(key, setting->members[i], r);
	}
	value->texts = texts;
	return true;
}

static bool read_groups(const struct key *key, const struct setting *setting,
			union key_value *value, struct keys_reading *r)
{
	if (setting->type != SETTING_LIST)
		return complain_type(key, setting, r);
	for (size_t i = 0; i < setting->member_count; i++) {
		const struct setting *member = setting->members[i];

		if (member->type != SETTING_GROUP)
			return complain_type(key, member, r);
		if (key->offset == KEY_NOWHERE)
			keys_read(key->members, member, NULL, r);
	}
	value->setting = setting;
	return true;
}

/* All types but GROUP, which keys_read() itself descends into. */
static bool read_value(const struct key *key, const struct setting *setting,
		       union key_value *value, struct keys_reading *r)
{
	bool fits = false;

	switch (key->type) {
	case KEY_BOOL:
		fits = value_to_bool(setting, &value->boolean);
		break;
	case KEY_INT:
		fits = value_to_int(setting, &value->integer);
		break;
	case KEY_FLOAT:
		fits = value_to_float(setting, &value->number);
		break;
	case KEY_DURATION:
		fits = value_to_duration(setting, key->unit, &value->integer);
		break;
	case KEY_SIZE:
		fits = value_to_size(setting, key->unit, &value->integer);
		if (fits)
			value->integer = value->integer / key->unit +
					 (value->integer % key->unit > 0);
		break;
	case KEY_STRING:
		value->text = value_to_text(setting);
		fits = value->text != NULL && !keys_is_unresolved(setting);
		if (fits && (key->flags & KEY_SECRET) != 0 &&
		    strcmp(value->text, "***") == 0)
			return complain_placeholder(key, setting, r);
		break;
	case KEY_CHOICE:
		return read_choice(key, setting, value, r);
	case KEY_STRINGS:
		return read_strings(key, setting, value, r);
	case KEY_GROUPS:
		return read_groups(key, setting, value, r);
	case KEY_OPTIONS:
		value->setting = setting;
		fits = setting->type == SETTING_GROUP;
		break;
	case KEY_GROUP:
		break;
	}
	if (!fits)
		return complain_type(key, setting, r);
	return (key->type != KEY_INT && key->type != KEY_DURATION &&
		key->type != KEY_SIZE) ||
	       in_range(key, value->integer, setting, r);
}

/* The tables are ours: a default that does not parse is a mistake in them,
 * which a unit test finds. */
static void default_value(const struct key *key, union key_value *value)
{
	static const char *const nothing[] = { NULL };

	*value = (union key_value){ .integer = 0 };
	switch (key->type) {
	case KEY_BOOL:
		value->boolean = strcmp(key->fallback, "true") == 0;
		break;
	case KEY_INT:
	case KEY_SIZE:
		(void)text_to_int(key->fallback, &value->integer);
		break;
	case KEY_FLOAT:
		(void)text_to_float(key->fallback, &value->number);
		break;
	case KEY_DURATION:
		(void)text_to_duration(key->fallback, 1, &value->integer);
		break;
	case KEY_STRING:
		value->text = key->fallback;
		break;
	case KEY_CHOICE:
		while (strcmp(key->words[value->choice], key->fallback) != 0)
			value->choice++;
		break;
	case KEY_STRINGS:
		value->texts = nothing;
		break;
	case KEY_GROUP:
	case KEY_GROUPS:
	case KEY_OPTIONS:
		value->setting = NULL;
		break;
	}
}

static bool is_inactive(const struct key *key, const union key_value *value)
{
	union key_value inactive;

	default_value(key, &inactive);
	switch (key->type) {
	case KEY_BOOL:
		return value->boolean == inactive.boolean;
	case KEY_INT:
	case KEY_DURATION:
	case KEY_SIZE:
		return value->integer == inactive.integer;
	case KEY_FLOAT:
		return value->number == inactive.number;
	case KEY_STRING:
		return strcmp(value->text, inactive.text) == 0;
	case KEY_CHOICE:
		return value->choice == inactive.choice;
	case KEY_STRINGS:
		return value->texts[0] == NULL;
	case KEY_GROUP:
	case KEY_GROUPS:
	case KEY_OPTIONS:
		return value->setting->member_count == 0;
	}
	return true;
}

static void store(const struct key *key, const union key_value *value,
		  void *out)
{
	char *field = (char *)out + key->offset;

	switch (key->type) {
	case KEY_BOOL:
		*(bool *)field = value->boolean;
		break;
	case KEY_INT:
	case KEY_DURATION:
	case KEY_SIZE:
		*(int64_t *)(void *)field = value->integer;
		break;
	case KEY_FLOAT:
		*(double *)(void *)field = value->number;
		break;
	case KEY_STRING:
		*(const char **)(void *)field = value->text;
		break;
	case KEY_CHOICE:
		*(int *)(void *)field = value->choice;
		break;
	case KEY_STRINGS:
		*(const char *const **)(void *)field = value->texts;
		break;
	case KEY_GROUPS:
	case KEY_OPTIONS:
		*(const struct setting **)(void *)field = value->setting;
		break;
	case KEY_GROUP:
		break;
	}
}

static void *field_of(const struct key *key, void *out)
{
	return out && key->offset != KEY_NOWHERE ? (char *)out + key->offset
						 : NULL;
}

static void read_member(const struct key *key, const struct setting *member,
			void *out, struct keys_reading *r)
{
	union key_value value = { .integer = 0 };

	if (key->type == KEY_GROUP) {
		if (member->type != SETTING_GROUP)
			(void)complain_type(key, member, r);
		else
			keys_read(key->members, member, field_of(key, out), r);
		return;
	}
	if (!read_value(key, member, &value, r))
		return;
	if (key->flags & KEY_LATER && !is_inactive(key, &value))
		config_complain(r->errors, member,
				"`%s` is not in this version; leave it out",
				key->name);
	else if (field_of(key, out))
		store(key, &value, out);
}

void keys_read(const struct key_table *table, const struct setting *group,
	       void *out, struct keys_reading *r)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct key *key = &table->keys[i];
		union key_value value;

		if (key->type == KEY_GROUP) {
			if (field_of(key, out))
				keys_read(key->members, NULL,
					  field_of(key, out), r);
		} else if (field_of(key, out)) {
			default_value(key, &value);
			store(key, &value, out);
		}
		if (key->flags & KEY_REQUIRED && group &&
		    setting_member(group, key->name) == NULL)
			config_complain(r->errors, group, "`%s` is missing",
					key->name);
	}
	for (size_t i = 0; group && i < group->member_count; i++) {
		const struct setting *member = group->members[i];
		const struct key *key = find_key(table, member->name);

		if (key)
			read_member(key, member, out, r);
		else if (!table->open)
			complain_unknown(table, member, r);
	}
}
