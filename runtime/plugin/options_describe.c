/* SPDX-License-Identifier: Apache-2.0 */

/*
 * An option table as people and scripts read it.
 */

#include "plugin/options.h"

#include <math.h>

#include "core/memory.h"
#include "plugin/options_priv.h"

static void set(json_t *row, const char *name, json_t *value)
{
	if (value != NULL)
		(void)json_object_set_new(row, name, value);
}

/* Whole numbers as such: 16, not 16.0. */
static json_t *bound(double value)
{
	if (isinf(value))
		return NULL;
	if (value == floor(value) && fabs(value) < 9e15)
		return json_integer((json_int_t)value);
	return json_real(value);
}

static json_t *words(const char *const *choices)
{
	json_t *list = json_array();

	for (size_t i = 0; choices[i] != NULL; i++)
		(void)json_array_append_new(list, json_string(choices[i]));
	return list;
}

static bool has_default(const struct atom_option *option)
{
	switch (option->type) {
	case ATOM_OPT_BOOL:
	case ATOM_OPT_INT:
	case ATOM_OPT_FLOAT:
	case ATOM_OPT_STRING:
	case ATOM_OPT_CHOICE:
	case ATOM_OPT_DURATION:
	case ATOM_OPT_SIZE:
		return !(option->flags & ATOM_REQUIRED);
	default:
		return false;
	}
}

static json_t *describe_row(const struct atom_option *option)
{
	json_t *row = json_object();

	set(row, "name", json_string(option->name));
	set(row, "type", json_string(options_type_word(option->type)));
	if (has_default(option))
		set(row, "default", json_string(option->fallback));
	if (option->minimum <= option->maximum &&
	    option->type != ATOM_OPT_BOOL) {
		set(row, "min", bound(option->minimum));
		set(row, "max", bound(option->maximum));
	}
	set(row, "unit", json_string(option->unit));
	set(row, "help", json_string(option->help));
	set(row, "required", json_boolean(option->flags & ATOM_REQUIRED));
	set(row, "reloadable", json_boolean(option->flags & ATOM_RELOADABLE));
	set(row, "secret", json_boolean(option->type == ATOM_OPT_SECRET));
	if (option->flags & ATOM_HIDDEN)
		set(row, "hidden", json_true());
	if (option->type == ATOM_OPT_CHOICE)
		set(row, "choices", words(option->choices));
	if (option->member_count > 0)
		set(row, "members",
		    options_describe(option->members, option->member_count));
	return row;
}

json_t *options_describe(const struct atom_option *table, uint32_t count)
{
	json_t *rows = json_array();

	for (uint32_t i = 0; i < count; i++)
		(void)json_array_append_new(rows,
					    describe_row(option_at(table, i)));
	return rows;
}

/* --- secrets ------------------------------------------------------------- */

/* Counts, and with `names` also notes, the secrets of a table. */
static size_t secrets(const struct atom_option *table, uint32_t count,
		      const char **names)
{
	size_t found = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct atom_option *option = option_at(table, i);

		if (option->type == ATOM_OPT_SECRET) {
			if (names != NULL)
				names[found] = option->name;
			found++;
		}
		if (option->member_count > 0)
			found += secrets(option->members, option->member_count,
					 names != NULL ? names + found : NULL);
	}
	return found;
}

const char **options_secret_names(const struct atom_component *component)
{
	size_t count =
		secrets(component->options, component->option_count, NULL);
	const char **names = mem_array(count + 2, sizeof(*names));

	if (names != NULL)
		(void)secrets(component->options, component->option_count,
			      names);
	if (names != NULL)
		names[count] = "secret";
	return names;
}
