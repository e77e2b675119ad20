/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Is an option table sound?  Asked before anything is written through it: a
 * wrong offset would write outside of the plugin's struct.
 */

#include "plugin/options.h"

#include <math.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"
#include "plugin/entry.h"
#include "plugin/options_priv.h"

#define OPTION_SIZE_LEAST \
	(offsetof(struct atom_option, member_size) + sizeof(uint32_t))

struct type {
	const char *word;
	const char *name; /* with its article */
	size_t size;	  /* of the field; 0 = member_size */
	size_t alignment;
};

#define FIELD(ctype) sizeof(ctype), alignof(ctype)

static const struct type types[] = {
	[ATOM_OPT_BOOL] = { "bool", "true or false", FIELD(int32_t) },
	[ATOM_OPT_INT] = { "int", "a whole number", FIELD(int64_t) },
	[ATOM_OPT_FLOAT] = { "float", "a number", FIELD(double) },
	[ATOM_OPT_STRING] = { "string", "a string", FIELD(const char *) },
	[ATOM_OPT_CHOICE] = { "choice", "one of the words", FIELD(int32_t) },
	[ATOM_OPT_DURATION] = { "duration", "a duration", FIELD(int64_t) },
	[ATOM_OPT_SIZE] = { "size", "a size", FIELD(int64_t) },
	[ATOM_OPT_SECRET] = { "secret", "a string", FIELD(const char *) },
	[ATOM_OPT_STRINGS] = { "strings", "a list of strings",
			       FIELD(struct atom_strings) },
	[ATOM_OPT_INTS] = { "ints", "a list of whole numbers",
			    FIELD(struct atom_ints) },
	[ATOM_OPT_FLOATS] = { "floats", "a list of numbers",
			      FIELD(struct atom_floats) },
	[ATOM_OPT_GROUP] = { "group", "a group", 0, alignof(int32_t) },
	[ATOM_OPT_GROUPS] = { "groups", "a list of groups",
			      FIELD(struct atom_groups) },
	[ATOM_OPT_MAP] = { "map", "a group of strings",
			   FIELD(struct atom_map) },
};

static bool type_known(int32_t type)
{
	return type >= ATOM_OPT_BOOL && type < (int32_t)ARRAY_SIZE(types);
}

const char *options_type_name(int32_t type)
{
	return type_known(type) ? types[type].name : "?";
}

const char *options_type_word(int32_t type)
{
	return type_known(type) ? types[type].word : "?";
}

const struct atom_option *option_at(const struct atom_option *table, uint32_t i)
{
	return (const struct atom_option
			*)(const void *)((const char *)table +
					 (size_t)i * table->struct_size);
}

/* --- values of a default ------------------------------------------------- */

bool options_parse_bool(const char *text, int32_t *value_r)
{
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return false;
	*value_r = text[0] == 't';
	return true;
}

int64_t options_unit(const struct atom_option *option)
{
	static const struct {
		int32_t type;
		const char *suffix;
		int64_t unit;
	} units[] = {
		{ ATOM_OPT_DURATION, "_s", 1000 },
		{ ATOM_OPT_DURATION, "_seconds", 1000 },
		{ ATOM_OPT_DURATION, "_minutes", 60000 },
		{ ATOM_OPT_DURATION, "_hours", 3600000 },
		{ ATOM_OPT_DURATION, "_days", 86400000 },
		{ ATOM_OPT_SIZE, "_kib", 1024 },
		{ ATOM_OPT_SIZE, "_mib", 1024 * 1024 },
		{ ATOM_OPT_SIZE, "_gib", 1024 * 1024 * 1024 },
	};
	size_t length = strlen(option->name);

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		size_t suffix = strlen(units[i].suffix);

		if (units[i].type == option->type && length > suffix &&
		    strcmp(option->name + length - suffix, units[i].suffix) ==
			    0)
			return units[i].unit;
	}
	return 1;
}

bool options_parse_integer(const struct atom_option *option, const char *text,
			   int64_t *value_r)
{
	switch (option->type) {
	case ATOM_OPT_DURATION:
		return text_to_duration(text, options_unit(option), value_r);
	case ATOM_OPT_SIZE:
		if (text_to_int(text, value_r))
			return !__builtin_mul_overflow(
				*value_r, options_unit(option), value_r);
		return text_to_size(text, value_r);
	default:
		return text_to_int(text, value_r);
	}
}

bool options_in_range(const struct atom_option *option, double value)
{
	return option->minimum > option->maximum ||
	       (value >= option->minimum && value <= option->maximum);
}

void options_range_text(const struct atom_option *option,
			char out[OPTIONS_RANGE_MAX])
{
	const char *space = option->unit[0] != '\0' ? " " : "";

	out[0] = '\0';
	if (option->minimum > option->maximum)
		return;
	if (isinf(option->maximum))
		(void)snprintf(out, OPTIONS_RANGE_MAX, " of at least %.15g%s%s",
			       option->minimum, space, option->unit);
	else
		(void)snprintf(out, OPTIONS_RANGE_MAX,
			       " between %.15g and %.15g%s%s", option->minimum,
			       option->maximum, space, option->unit);
}

int32_t options_choice(const struct atom_option *option, const char *word)
{
	for (int32_t i = 0; option->choices[i] != NULL; i++)
		if (strcmp(option->choices[i], word) == 0)
			return i;
	return -1;
}

/* --- checks -------------------------------------------------------------- */

static bool name_legal(const char *name)
{
	size_t length = strnlen(name, NOTE_NAME_MAX + 1);

	return length >= 1 && length <= NOTE_NAME_MAX && name[0] >= 'a' &&
	       name[0] <= 'z' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == length;
}

static atom_status check_choices(const struct atom_option *option,
				 struct atom_error *err)
{
	uint32_t count = 0;

	if (option->choices == NULL || option->choices[0] == NULL)
		return atom_fail(err, ATOM_EINVAL,
				 "option %s: a choice needs its words",
				 option->name);
	while (option->choices[count] != NULL) {
		if (!entry_text_fine(option->choices[count]))
			return atom_fail(err, ATOM_EINVAL,
					 "option %s: a choice is no UTF-8",
					 option->name);
		if (++count > OPTIONS_COUNT_MAX)
			return atom_fail(err, ATOM_ELIMIT,
					 "option %s: more than %d choices; is "
					 "the list NULL-ended?",
					 option->name, OPTIONS_COUNT_MAX);
	}
	return ATOM_OK;
}

/* Does the default parse, and is it in range? */
static atom_status check_fallback(const struct atom_option *option,
				  struct atom_error *err)
{
	const char *text = option->fallback;
	char range[OPTIONS_RANGE_MAX];
	double number = 0;
	int64_t integer = 0;
	int32_t word = 0;
	bool fine = true;

	if (option->flags & ATOM_REQUIRED)
		return ATOM_OK;
	if (text == NULL)
		return atom_fail(err, ATOM_EINVAL,
				 "option %s: its default is NULL; write \"\"",
				 option->name);
	options_range_text(option, range);
	switch (option->type) {
	case ATOM_OPT_BOOL:
		fine = options_parse_bool(text, &word);
		break;
	case ATOM_OPT_INT:
	case ATOM_OPT_DURATION:
	case ATOM_OPT_SIZE:
		fine = options_parse_integer(option, text, &integer) &&
		       options_in_range(option, (double)integer);
		break;
	case ATOM_OPT_FLOAT:
		fine = text_to_float(text, &number) &&
		       options_in_range(option, number);
		break;
	case ATOM_OPT_CHOICE:
		fine = options_choice(option, text) >= 0;
		break;
	case ATOM_OPT_STRING:
		fine = entry_text_fine(text) &&
		       options_in_range(option, (double)strlen(text));
		break;
	default:
		break;
	}
	if (!fine)
		return atom_fail(err, ATOM_EINVAL,
				 "option %s: its default \"%.60s\" is not %s%s",
				 option->name, text,
				 options_type_name(option->type), range);
	return ATOM_OK;
}

static size_t field_size(const struct atom_option *option)
{
	return option->type == ATOM_OPT_GROUP ? option->member_size
					      : types[option->type].size;
}

static atom_status check_field(const struct atom_option *option,
			       size_t struct_size, struct atom_error *err)
{
	size_t size = field_size(option);

	if (size > struct_size || option->offset > struct_size - size)
		return atom_fail(err, ATOM_EINVAL,
				 "option %s: its field lies at %u to %zu, the "
				 "options struct has %zu bytes",
				 option->name, (unsigned int)option->offset,
				 option->offset + size, struct_size);
	if (option->offset % types[option->type].alignment != 0)
		return atom_fail(err, ATOM_EINVAL,
				 "option %s: a field at %u cannot hold %s",
				 option->name, (unsigned int)option->offset,
				 options_type_name(option->type));
	return ATOM_OK;
}

static atom_status check_table(const struct atom_option *table, uint32_t count,
			       size_t struct_size, int depth,
			       struct atom_error *err);

/* Of a field, or of the strictest one in the member struct; what nests has
 * been checked. */
static size_t alignment_of(const struct atom_option *option)
{
	size_t strictest = types[option->type].alignment;

	if (option->type == ATOM_OPT_GROUPS)
		strictest = 1;
	for (uint32_t i = 0; i < option->member_count; i++) {
		const struct atom_option *member =
			option_at(option->members, i);
		size_t alignment = member->type == ATOM_OPT_GROUP
					   ? alignment_of(member)
					   : types[member->type].alignment;

		if (alignment > strictest)
			strictest = alignment;
	}
	return strictest;
}

static atom_status check_row(const struct atom_option *option,
			     size_t struct_size, int depth,
			     struct atom_error *err)
{
	bool nested = option->type == ATOM_OPT_GROUP ||
		      option->type == ATOM_OPT_GROUPS;
	atom_status status;

	if (option->name == NULL || !name_legal(option->name))
		return atom_fail(err, ATOM_EINVAL,
				 "the name of an option is "
				 "[a-z][a-z0-9_]{0,62}");
	if (strcmp(option->name, "plugin") == 0)
		return atom_fail(err, ATOM_EINVAL,
				 "option plugin: the name is the daemon's own");
	if (!type_known(option->type))
		return atom_fail(err, ATOM_EINVAL,
				 "option %s: type %d is not known to this "
				 "atomd",
				 option->name, (int)option->type);
	if (!entry_text_fine(option->help) || !entry_text_fine(option->unit))
		return atom_fail(
			err, ATOM_EINVAL,
			"option %s: help and unit must be given, as UTF-8",
			option->name);
	if (isnan(option->minimum) || isnan(option->maximum))
		return atom_fail(err, ATOM_EINVAL,
				 "option %s: a bound is no number",
				 option->name);
	if (!nested && option->member_count > 0)
		return atom_fail(err, ATOM_EINVAL,
				 "option %s: it is no group and has members",
				 option->name);
	status = check_field(option, struct_size, err);
	if (status == ATOM_OK && option->type == ATOM_OPT_CHOICE)
		status = check_choices(option, err);
	if (status == ATOM_OK)
		status = check_fallback(option, err);
	if (status != ATOM_OK || !nested)
		return status;
	if (depth >= OPTIONS_DEPTH_MAX)
		return atom_fail(err, ATOM_ELIMIT,
				 "option %s: groups nest deeper than %d",
				 option->name, OPTIONS_DEPTH_MAX);
	status = check_table(option->members, option->member_count,
			     option->member_size, depth + 1, err);
	if (status != ATOM_OK)
		return status;
	if ((option->type == ATOM_OPT_GROUP ? option->offset
					    : option->member_size) %
		    alignment_of(option) !=
	    0)
		return atom_fail(err, ATOM_EINVAL,
				 "option %s: its members would not be aligned",
				 option->name);
	return ATOM_OK;
}

/* Two rows of one name, or of one place in the struct. */
static atom_status check_apart(const struct atom_option *a,
			       const struct atom_option *b,
			       struct atom_error *err)
{
	if (strcmp(a->name, b->name) == 0)
		return atom_fail(err, ATOM_EEXIST,
				 "option %s: it stands twice in the table",
				 a->name);
	if (a->offset < b->offset + field_size(b) &&
	    b->offset < a->offset + field_size(a))
		return atom_fail(err, ATOM_EINVAL,
				 "options %s and %s: they share a field",
				 a->name, b->name);
	return ATOM_OK;
}

static atom_status check_table(const struct atom_option *table, uint32_t count,
			       size_t struct_size, int depth,
			       struct atom_error *err)
{
	atom_status status = ATOM_OK;

	if (table == NULL || count == 0 || struct_size == 0)
		return atom_fail(err, ATOM_EINVAL,
				 "its option table is empty; use "
				 "ATOM_COMPONENT_PLAIN without options");
	if (count > OPTIONS_COUNT_MAX || struct_size > OPTIONS_STRUCT_MAX)
		return atom_fail(err, ATOM_ELIMIT,
				 "its option table has %u rows for %zu bytes, "
				 "at most %d and %d are read",
				 (unsigned int)count, struct_size,
				 OPTIONS_COUNT_MAX, OPTIONS_STRUCT_MAX);
	if (table->struct_size < OPTION_SIZE_LEAST ||
	    table->struct_size % alignof(struct atom_option) != 0)
		return atom_fail(err, ATOM_EINVAL,
				 "a row of its option table has %u bytes, ABI "
				 "%d.0 has %zu",
				 (unsigned int)table->struct_size,
				 ATOM_ABI_MAJOR, (size_t)OPTION_SIZE_LEAST);
	for (uint32_t i = 0; i < count && status == ATOM_OK; i++) {
		const struct atom_option *option = option_at(table, i);

		if (option->struct_size != table->struct_size)
			return atom_fail(err, ATOM_EINVAL,
					 "rows of its option table differ in "
					 "size (%u and %u bytes)",
					 (unsigned int)table->struct_size,
					 (unsigned int)option->struct_size);
		status = check_row(option, struct_size, depth, err);
		for (uint32_t j = 0; j < i && status == ATOM_OK; j++)
			status = check_apart(option_at(table, j), option, err);
	}
	return status;
}

atom_status options_check_table(const struct atom_option *table, uint32_t count,
				size_t struct_size, struct atom_error *err)
{
	return check_table(table, count, struct_size, 1, err);
}
