/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One setting into one field: numbers, words, lists and maps.
 */

#include "plugin/options.h"

#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "config/value.h"
#include "core/log.h"
#include "core/text.h"
#include "plugin/options_priv.h"

/* --- complaints ---------------------------------------------------------- */

void filling_expected(struct filling *f, const struct atom_option *option,
		      const struct setting *found)
{
	char range[OPTIONS_RANGE_MAX], what[VALUE_DESCRIPTION_MAX];

	options_range_text(option, range);
	/* Of what has a length the bounds are the length's. */
	if (option->type == ATOM_OPT_STRING || option->type >= ATOM_OPT_SECRET)
		range[0] = '\0';
	if (option->type == ATOM_OPT_SECRET)
		(void)snprintf(what, sizeof(what), "a %s",
			       setting_type_name(found->type));
	else
		value_describe(found, what);
	config_complain(f->errors, found, "%s: option `%s` is %s%s, not %s",
			f->subject, option->name,
			options_type_name(option->type), range, what);
	f->wrong = true;
}

static void expected_length(struct filling *f, const struct atom_option *option,
			    const struct setting *found, size_t length,
			    const char *units)
{
	if (option->maximum >= 1e15)
		config_complain(f->errors, found,
				"%s: option `%s` wants at least %.15g %s, "
				"not %zu",
				f->subject, option->name, option->minimum,
				units, length);
	else
		config_complain(f->errors, found,
				"%s: option `%s` wants %.15g to %.15g %s, "
				"not %zu",
				f->subject, option->name, option->minimum,
				option->maximum, units, length);
	f->wrong = true;
}

static void expected_choice(struct filling *f, const struct atom_option *option,
			    const struct setting *found)
{
	struct buffer words = BUFFER_INIT(1024);
	const char *nearest = NULL;
	char what[VALUE_DESCRIPTION_MAX];

	for (size_t i = 0; option->choices[i] != NULL; i++)
		(void)buffer_printf(&words, "%s\"%s\"", i > 0 ? ", " : "",
				    option->choices[i]);
	value_describe(found, what);
	if (found->type == SETTING_STRING)
		nearest = text_nearest(found->text, option->choices);
	config_complain(
		f->errors, found, "%s: option `%s` is one of %s, not %s%s%s%s",
		f->subject, option->name,
		words.bytes != NULL ? words.bytes : "its words", what,
		nearest != NULL ? "; did you mean \"" : "",
		nearest != NULL ? nearest : "", nearest != NULL ? "\"?" : "");
	buffer_fini(&words);
	f->wrong = true;
}

/* --- single values ------------------------------------------------------- */

static const char *keep_text(struct filling *f, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = filling_take(f, 1, size);

	if (copy == NULL)
		return "";
	memcpy(copy, text, size);
	return copy;
}

static bool read_integer(const struct atom_option *option,
			 const struct setting *setting, int64_t *value)
{
	switch (option->type) {
	case ATOM_OPT_DURATION:
		return value_to_duration(setting, options_unit(option), value);
	case ATOM_OPT_SIZE:
		return value_to_size(setting, options_unit(option), value);
	default:
		return value_to_int(setting, value);
	}
}

static void fill_integer(struct filling *f, const struct atom_option *option,
			 const struct setting *setting, int64_t *field)
{
	if (setting == NULL)
		(void)options_parse_integer(option, option->fallback, field);
	else if (!read_integer(option, setting, field) ||
		 !options_in_range(option, (double)*field))
		filling_expected(f, option, setting);
}

static void fill_float(struct filling *f, const struct atom_option *option,
		       const struct setting *setting, double *field)
{
	if (setting == NULL)
		(void)text_to_float(option->fallback, field);
	else if (!value_to_float(setting, field) ||
		 !options_in_range(option, *field))
		filling_expected(f, option, setting);
}

static void fill_bool(struct filling *f, const struct atom_option *option,
		      const struct setting *setting, int32_t *field)
{
	bool value = false;

	if (setting == NULL)
		(void)options_parse_bool(option->fallback, field);
	else if (!value_to_bool(setting, &value))
		filling_expected(f, option, setting);
	else
		*field = value;
}

static void fill_choice(struct filling *f, const struct atom_option *option,
			const struct setting *setting, int32_t *field)
{
	const char *text = option->fallback;

	if (setting != NULL)
		text = value_to_text(setting);
	*field = text != NULL ? options_choice(option, text) : -1;
	if (*field < 0) {
		*field = 0;
		expected_choice(f, option, setting);
	}
}

/* Is it the `***` that stands for a secret wherever settings are shown?  Taken
 * at its word it would replace the secret of whoever edits what he exported. */
static bool is_placeholder(const struct atom_option *option, const char *text)
{
	return option->type == ATOM_OPT_SECRET && strcmp(text, "***") == 0;
}

static void expected_secret(struct filling *f, const struct atom_option *option,
			    const struct setting *found)
{
	config_complain(f->errors, found,
			"%s: option `%s` is `***`, which stands for a secret "
			"that is not shown; write the secret, or ${file:PATH}",
			f->subject, option->name);
	f->wrong = true;
}

static void fill_text(struct filling *f, const struct atom_option *option,
		      const struct setting *setting, const char **field)
{
	const char *text = option->fallback;

	*field = "";
	if (setting != NULL) {
		text = value_to_text(setting);
		if (text == NULL) {
			filling_expected(f, option, setting);
			return;
		}
		if (is_placeholder(option, text)) {
			expected_secret(f, option, setting);
			return;
		}
		if (!options_in_range(option, (double)strlen(text))) {
			expected_length(f, option, setting, strlen(text),
					"bytes");
			return;
		}
	}
	*field = keep_text(f, text);
	/* One that cannot be kept from the log is too short or too many for
	 * it; the log says which. */
	if (option->type == ATOM_OPT_SECRET && text[0] != '\0')
		(void)log_add_secret(text);
}

/* --- lists --------------------------------------------------------------- */

/* Is it a list of a legal length?  Complains otherwise. */
bool filling_list(struct filling *f, const struct atom_option *option,
		  const struct setting *setting)
{
	size_t count = setting->member_count;

	if (setting->type != SETTING_LIST) {
		filling_expected(f, option, setting);
		return false;
	}
	if (!options_in_range(option, (double)count)) {
		expected_length(f, option, setting, count, "items");
		return false;
	}
	if (count > ATOM_OPTION_LIST_MAX) {
		config_complain(f->errors, setting,
				"%s: option `%s` takes at most %d items, "
				"not %zu",
				f->subject, option->name, ATOM_OPTION_LIST_MAX,
				count);
		f->wrong = true;
		return false;
	}
	return true;
}

static void fill_strings(struct filling *f, const struct atom_option *option,
			 const struct setting *setting,
			 struct atom_strings *field)
{
	const char **items;

	if (setting == NULL || !filling_list(f, option, setting))
		return;
	/* NULL-ended as well, for those who hand it on as an argv. */
	items = filling_take(f, setting->member_count + 1, sizeof(*items));
	for (size_t i = 0; items != NULL && i < setting->member_count; i++) {
		const char *text = value_to_text(setting->members[i]);

		if (text == NULL)
			filling_expected(f, option, setting->members[i]);
		items[i] = keep_text(f, text != NULL ? text : "");
	}
	field->items = items;
	field->count = items != NULL ? setting->member_count : 0;
}

static void fill_ints(struct filling *f, const struct atom_option *option,
		      const struct setting *setting, struct atom_ints *field)
{
	int64_t *items;

	if (setting == NULL || !filling_list(f, option, setting))
		return;
	items = filling_take(f, setting->member_count, sizeof(*items));
	for (size_t i = 0; items != NULL && i < setting->member_count; i++)
		if (!value_to_int(setting->members[i], &items[i]))
			filling_expected(f, option, setting->members[i]);
	field->items = items;
	field->count = items != NULL ? setting->member_count : 0;
}

static void fill_floats(struct filling *f, const struct atom_option *option,
			const struct setting *setting,
			struct atom_floats *field)
{
	double *items;

	if (setting == NULL || !filling_list(f, option, setting))
		return;
	items = filling_take(f, setting->member_count, sizeof(*items));
	for (size_t i = 0; items != NULL && i < setting->member_count; i++)
		if (!value_to_float(setting->members[i], &items[i]))
			filling_expected(f, option, setting->members[i]);
	field->items = items;
	field->count = items != NULL ? setting->member_count : 0;
}

/* A map's values are strings; numbers and booleans become their text. */
static const char *map_text(struct filling *f, const struct setting *setting)
{
	char number[40];

	switch (setting->type) {
	case SETTING_STRING:
		return keep_text(f, setting->text);
	case SETTING_BOOL:
		return setting->integer ? "true" : "false";
	case SETTING_INT:
		(void)snprintf(number, sizeof(number), "%lld",
			       (long long)setting->integer);
		return keep_text(f, number);
	case SETTING_FLOAT:
		(void)snprintf(number, sizeof(number), "%.17g",
			       setting->number);
		return keep_text(f, number);
	default:
		return NULL;
	}
}

static void fill_map(struct filling *f, const struct atom_option *option,
		     const struct setting *setting, struct atom_map *field)
{
	struct atom_map_entry *items;
	size_t count;

	if (setting == NULL)
		return;
	count = setting->member_count;
	if (setting->type != SETTING_GROUP) {
		filling_expected(f, option, setting);
		return;
	}
	if (!options_in_range(option, (double)count) ||
	    count > ATOM_OPTION_LIST_MAX) {
		expected_length(f, option, setting, count, "members");
		return;
	}
	items = filling_take(f, count, sizeof(*items));
	for (size_t i = 0; items != NULL && i < count; i++) {
		const struct setting *member = setting->members[i];
		const char *text = map_text(f, member);

		if (text == NULL)
			filling_expected(f, option, member);
		items[i].key = keep_text(f, member->name);
		items[i].value = text != NULL ? text : "";
	}
	field->items = items;
	field->count = items != NULL ? count : 0;
}

void filling_value(struct filling *f, const struct atom_option *option,
		   const struct setting *setting, void *field)
{
	switch (option->type) {
	case ATOM_OPT_BOOL:
		fill_bool(f, option, setting, field);
		break;
	case ATOM_OPT_INT:
	case ATOM_OPT_DURATION:
	case ATOM_OPT_SIZE:
		fill_integer(f, option, setting, field);
		break;
	case ATOM_OPT_FLOAT:
		fill_float(f, option, setting, field);
		break;
	case ATOM_OPT_STRING:
	case ATOM_OPT_SECRET:
		fill_text(f, option, setting, field);
		break;
	case ATOM_OPT_CHOICE:
		fill_choice(f, option, setting, field);
		break;
	case ATOM_OPT_STRINGS:
		fill_strings(f, option, setting, field);
		break;
	case ATOM_OPT_INTS:
		fill_ints(f, option, setting, field);
		break;
	case ATOM_OPT_FLOATS:
		fill_floats(f, option, setting, field);
		break;
	case ATOM_OPT_MAP:
		fill_map(f, option, setting, field);
		break;
	default: /* options_check_table lets no other through */
		break;
	}
}
