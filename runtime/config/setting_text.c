/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A tree as text: canonical, to be hashed, and in libconfig's syntax, to be
 * read by people and by parse.c again.
 */

#include "config/setting_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

/* The shortest text that reads back as the same number, and as a float. */
static void float_text(double number, char out[40])
{
	for (int digits = 15; digits <= 17; digits++) {
		(void)snprintf(out, 36, "%.*g", digits, number);
		if (strtod(out, NULL) == number)
			break;
	}
	if (strpbrk(out, ".e") == NULL) {
		size_t length = strlen(out);

		memcpy(out + length, ".0", 3);
	}
}

static int by_name(const void *a, const void *b)
{
	const struct setting *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static atom_status canonical(const struct setting *setting, bool resolved,
			     struct buffer *out);

static atom_status canonical_group(const struct setting *group, bool resolved,
				   struct buffer *out)
{
	size_t size = group->member_count * sizeof(struct setting *);
	atom_status status = ATOM_OK;
	struct setting **sorted;

	(void)buffer_append_char(out, '{');
	sorted = mem_alloc(size ? size : 1);
	if (sorted == NULL)
		return ATOM_ENOMEM;
	if (size)
		memcpy(sorted, group->members, size);
	qsort(sorted, group->member_count, sizeof(*sorted), by_name);
	for (size_t i = 0; status == ATOM_OK && i < group->member_count; i++) {
		(void)buffer_append_text(out, sorted[i]->name);
		(void)buffer_append_char(out, '=');
		status = canonical(sorted[i], resolved, out);
	}
	mem_free(sorted);
	if (status == ATOM_OK)
		status = buffer_append_char(out, '}');
	return status;
}

/* Strings carry their length, so that no two trees have one text. */
static atom_status canonical(const struct setting *setting, bool resolved,
			     struct buffer *out)
{
	const char *text = resolved ? setting->text : setting->raw;
	atom_status status = ATOM_OK;
	char number[40];

	switch (setting->type) {
	case SETTING_BOOL:
		return buffer_append_text(out, setting->integer ? "t;" : "f;");
	case SETTING_INT:
		return buffer_printf(out, "i%lld;",
				     (long long)setting->integer);
	case SETTING_FLOAT:
		float_text(setting->number, number);
		return buffer_printf(out, "d%s;", number);
	case SETTING_STRING:
		(void)buffer_printf(out, "s%zu:", strlen(text));
		(void)buffer_append_text(out, text);
		return buffer_append_char(out, ';');
	case SETTING_GROUP:
		return canonical_group(setting, resolved, out);
	case SETTING_LIST:
		(void)buffer_append_char(out, '(');
		for (size_t i = 0;
		     status == ATOM_OK && i < setting->member_count; i++)
			status = canonical(setting->members[i], resolved, out);
		return status == ATOM_OK ? buffer_append_char(out, ')')
					 : status;
	}
	return ATOM_EINTERNAL;
}

static atom_status canonical_checked(const struct setting *setting,
				     bool resolved, struct buffer *out)
{
	atom_status status = canonical(setting, resolved, out);

	return status == ATOM_OK && out->failed ? ATOM_ENOMEM : status;
}

atom_status setting_canonical(const struct setting *setting, struct buffer *out)
{
	return canonical_checked(setting, false, out);
}

atom_status setting_canonical_resolved(const struct setting *setting,
				       struct buffer *out)
{
	return canonical_checked(setting, true, out);
}

static bool name_is_secret(const char *name, const char *const *secret_names)
{
	for (; name && secret_names && *secret_names; secret_names++)
		if (strcmp(name, *secret_names) == 0)
			return true;
	return false;
}

/* One whole reference shows no secret, unless the text that it holds for a
 * variable (`:-` or `:+`) is one. */
static bool is_plain_reference(const char *raw)
{
	size_t length = strlen(raw);
	const char *end = raw + length - 1, *text;

	if (length <= 3 || strncmp(raw, "${", 2) != 0 ||
	    strchr(raw, '}') != end)
		return false;
	if (strncmp(raw, "${env:", 6) != 0)
		return true;
	text = strchr(raw + 6, ':');
	return text == NULL || text + 2 == end;
}

const char *setting_shown_text(const struct setting *setting,
			       const char *const *secret_names)
{
	const struct setting *named = setting;

	/* Members of a list are as secret as the list. */
	while (named->name == NULL && named->parent)
		named = named->parent;
	if (name_is_secret(named->name, secret_names) &&
	    !is_plain_reference(setting->raw))
		return "***";
	return setting->raw;
}

struct printing {
	const char *const *secret_names;
	struct buffer *out;
};

static void print_indent(struct buffer *out, int indent)
{
	for (int i = 0; i < indent; i++)
		(void)buffer_append_char(out, '\t');
}

static void print_byte(struct buffer *out, unsigned char c)
{
	switch (c) {
	case '"':
	case '\\':
		(void)buffer_append_char(out, '\\');
		(void)buffer_append_char(out, (char)c);
		return;
	case '\n':
		(void)buffer_append_text(out, "\\n");
		return;
	case '\r':
		(void)buffer_append_text(out, "\\r");
		return;
	case '\t':
		(void)buffer_append_text(out, "\\t");
		return;
	case '\f':
		(void)buffer_append_text(out, "\\f");
		return;
	default:
		if (c < 0x20 || c == 0x7f)
			(void)buffer_printf(out, "\\x%02x", c);
		else
			(void)buffer_append_char(out, (char)c);
	}
}

/* A text of several lines stands in several strings, one below the other:
 * libconfig joins them. */
static void print_string(const char *text, int indent, struct buffer *out)
{
	(void)buffer_append_char(out, '"');
	for (const char *p = text; *p; p++) {
		print_byte(out, (unsigned char)*p);
		if (*p != '\n' || p[1] == '\0')
			continue;
		(void)buffer_append_text(out, "\"\n");
		print_indent(out, indent + 1);
		(void)buffer_append_char(out, '"');
	}
	(void)buffer_append_char(out, '"');
}

static bool has_aggregate(const struct setting *list)
{
	for (size_t i = 0; i < list->member_count; i++)
		if (list->members[i]->type >= SETTING_GROUP)
			return true;
	return false;
}

/* [ ] takes values of one type only, and 1 and 1L are two. */
static bool is_string_array(const struct setting *list)
{
	for (size_t i = 0; i < list->member_count; i++)
		if (list->members[i]->type != SETTING_STRING)
			return false;
	return true;
}

static void print_value(const struct printing *to,
			const struct setting *setting, int indent);

static void print_list(const struct printing *to, const struct setting *list,
		       int indent)
{
	bool array = is_string_array(list), tall = has_aggregate(list);

	if (list->member_count == 0) {
		(void)buffer_append_text(to->out, "( )");
		return;
	}
	(void)buffer_append_char(to->out, array ? '[' : '(');
	for (size_t i = 0; i < list->member_count; i++) {
		if (i > 0)
			(void)buffer_append_char(to->out, ',');
		if (tall) {
			(void)buffer_append_char(to->out, '\n');
			print_indent(to->out, indent + 1);
		} else {
			(void)buffer_append_char(to->out, ' ');
		}
		print_value(to, list->members[i], indent + 1);
	}
	if (tall) {
		(void)buffer_append_char(to->out, '\n');
		print_indent(to->out, indent);
	} else {
		(void)buffer_append_char(to->out, ' ');
	}
	(void)buffer_append_char(to->out, array ? ']' : ')');
}

static void print_members(const struct printing *to,
			  const struct setting *group, int indent)
{
	for (size_t i = 0; i < group->member_count; i++) {
		const struct setting *member = group->members[i];
		bool is_group = member->type == SETTING_GROUP;

		print_indent(to->out, indent);
		(void)buffer_append_text(to->out, member->name);
		(void)buffer_append_text(to->out, is_group ? ": " : " = ");
		print_value(to, member, indent);
		(void)buffer_append_text(to->out, ";\n");
	}
}

static void print_value(const struct printing *to,
			const struct setting *setting, int indent)
{
	int64_t integer = setting->integer;
	char number[40];

	switch (setting->type) {
	case SETTING_BOOL:
		(void)buffer_append_text(to->out, integer ? "true" : "false");
		return;
	case SETTING_INT:
		(void)buffer_printf(
			to->out, "%lld%s", (long long)integer,
			integer > INT32_MAX || integer < INT32_MIN ? "L" : "");
		return;
	case SETTING_FLOAT:
		float_text(setting->number, number);
		(void)buffer_append_text(to->out, number);
		return;
	case SETTING_STRING:
		print_string(setting_shown_text(setting, to->secret_names),
			     indent, to->out);
		return;
	case SETTING_GROUP:
		(void)buffer_append_text(to->out, "{\n");
		print_members(to, setting, indent + 1);
		print_indent(to->out, indent);
		(void)buffer_append_char(to->out, '}');
		return;
	case SETTING_LIST:
		print_list(to, setting, indent);
		return;
	}
}

atom_status setting_print(const struct setting *setting, int indent,
			  const char *const *secret_names, struct buffer *out)
{
	struct printing to = { .secret_names = secret_names, .out = out };

	if (setting->type == SETTING_GROUP)
		print_members(&to, setting, indent);
	else
		print_value(&to, setting, indent);
	return out->failed ? ATOM_ENOMEM : ATOM_OK;
}
