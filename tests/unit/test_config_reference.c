/* SPDX-License-Identifier: Apache-2.0 */

/*
 * docs/configuration.md holds a reference of every key.  It is made from the
 * tables here; when the two differ the test fails and leaves the text that
 * belongs between the two marks in configuration.reference, in the folder
 * that the tests run in.
 */

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_priv.h"
#include "core/text.h"

#define BEGIN_MARK "<!-- reference: begin -->\n"
#define END_MARK   "<!-- reference: end -->\n"

static const char *type_text(const struct key *key)
{
	static const char *const names[] = {
		[KEY_BOOL] = "boolean",	  [KEY_INT] = "integer",
		[KEY_FLOAT] = "number",	  [KEY_DURATION] = "duration",
		[KEY_SIZE] = "size, MiB", [KEY_STRING] = "string",
		[KEY_CHOICE] = "word",	  [KEY_STRINGS] = "list of strings",
		[KEY_GROUP] = "group",	  [KEY_GROUPS] = "list of groups",
		[KEY_OPTIONS] = "group",
	};

	return key->type == KEY_STRING && key->flags & KEY_SECRET
		       ? "secret"
		       : names[key->type];
}

static void print_range(const struct key *key, struct buffer *out)
{
	if (key->type == KEY_CHOICE) {
		for (int i = 0; key->words[i]; i++)
			(void)buffer_printf(out, "%s`%s`", i ? " " : "",
					    key->words[i]);
	} else if (key->minimum || key->maximum) {
		(void)buffer_printf(out, "%lld to %lld%s",
				    (long long)key->minimum,
				    (long long)key->maximum,
				    key->type == KEY_DURATION ? " ms" : "");
	}
}

static void print_default(const struct key *key, struct buffer *out)
{
	const char *value = key->fallback;

	if (strcmp(value, ATOMD_STATE_DIR) == 0)
		value = "/var/lib/atomd";
	if (key->flags & KEY_REQUIRED)
		(void)buffer_append_text(out, "must be set");
	else if (key->type == KEY_STRING)
		(void)buffer_printf(out, "`\"%s\"`", value);
	else if (key->type == KEY_CHOICE ||
		 (key->type == KEY_DURATION && key->unit == 0))
		(void)buffer_printf(out, "`\"%s\"`", value);
	else if (*value)
		(void)buffer_printf(out, "`%s`", value);
}

static void print_table(const struct key_table *table, const char *title,
			struct buffer *out)
{
	(void)buffer_printf(out,
			    "\n### %s\n\n"
			    "| key | type | default | range | what it is |\n"
			    "|---|---|---|---|---|\n",
			    title);
	for (size_t i = 0; i < table->count; i++) {
		const struct key *key = &table->keys[i];

		(void)buffer_printf(out, "| `%s` | %s | ", key->name,
				    type_text(key));
		print_default(key, out);
		(void)buffer_append_text(out, " | ");
		print_range(key, out);
		(void)buffer_printf(out, " | %s%s |\n", key->help,
				    key->flags & KEY_LATER ? " *(later)*" : "");
	}
	if (table->open)
		(void)buffer_append_text(
			out,
			"\nOther keys here are the component's options.\n");
}

/* Each table once, after the one that it is first named in. */
static void print_below(const struct key_table *table, const char *title,
			struct buffer *out)
{
	print_table(table, title, out);
	for (size_t i = 0; i < table->count; i++) {
		const struct key *key = &table->keys[i];
		bool top = table == &host_keys;
		char name[128];

		if (key->members == NULL || key->members->count == 0 ||
		    key->members == &component_keys)
			continue;
		(void)snprintf(name, sizeof(name), "%s%s%s%s", top ? "" : title,
			       top ? "" : ".", key->name,
			       key->type == KEY_GROUPS ? "[]" : "");
		print_below(key->members, name, out);
	}
}

static char *read_guide(void)
{
	const char *top = getenv("TOP_SRCDIR");
	char path[1024], *text;
	FILE *file;
	size_t length;

	(void)snprintf(path, sizeof(path), "%s/docs/configuration.md",
		       top ? top : ".");
	file = fopen(path, "r");
	if (file == NULL)
		return NULL;
	text = calloc(1, 1024 * 1024);
	cr_assert_not_null(text);
	length = fread(text, 1, 1024 * 1024 - 1, file);
	text[length] = '\0';
	(void)fclose(file);
	return text;
}

Test(config_reference, the_guide_holds_every_key_as_the_tables_have_it)
{
	struct buffer made = BUFFER_INIT(1024 * 1024);
	char *guide = read_guide();
	char *begin, *end;
	FILE *file;

	print_below(&host_keys, "The top level", &made);
	print_table(&component_keys,
		    "agents[].backend, agents[].deployment, monitors[]", &made);
	cr_assert_not_null(guide, "docs/configuration.md is not there");
	begin = strstr(guide, BEGIN_MARK);
	end = strstr(guide, END_MARK);
	cr_assert(begin && end && begin < end, "the marks are not there");
	begin += strlen(BEGIN_MARK);
	*end = '\0';
	if (strcmp(begin, made.bytes) != 0) {
		file = fopen("configuration.reference", "w");
		if (file) {
			(void)fwrite(made.bytes, 1, made.length, file);
			(void)fclose(file);
		}
		cr_assert_fail(
			"the reference differs: put configuration.reference between the marks");
	}
	free(guide);
	buffer_fini(&made);
}

static void check_rows(const struct key_table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct key *key = &table->keys[i];
		bool truth = strcmp(key->fallback, "true") == 0 ||
			     strcmp(key->fallback, "false") == 0;
		bool found = false;
		int64_t integer;
		double number;

		cr_assert_gt(strlen(key->help), 0, "%s", key->name);
		switch (key->type) {
		case KEY_BOOL:
			cr_assert(truth, "%s", key->name);
			break;
		case KEY_INT:
		case KEY_SIZE:
			cr_assert(text_to_int(key->fallback, &integer), "%s",
				  key->name);
			break;
		case KEY_DURATION:
			cr_assert(text_to_duration(key->fallback, 1, &integer),
				  "%s", key->name);
			break;
		case KEY_FLOAT:
			cr_assert(text_to_float(key->fallback, &number), "%s",
				  key->name);
			break;
		case KEY_CHOICE:
			for (int w = 0; key->words[w]; w++)
				found |= strcmp(key->words[w], key->fallback) ==
					 0;
			cr_assert(found, "%s", key->name);
			break;
		default:
			break;
		}
		if (key->maximum && !(key->flags & KEY_REQUIRED) &&
		    (key->type == KEY_INT || key->type == KEY_DURATION))
			cr_assert(integer >= key->minimum &&
					  integer <= key->maximum,
				  "the default of %s is out of its range",
				  key->name);
		if (key->members)
			check_rows(key->members);
	}
}

Test(config_reference, every_default_of_the_tables_is_legal)
{
	check_rows(&host_keys);
}
