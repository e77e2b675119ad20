/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options: from a group of settings to a plugin's own struct, with every fault
 * said.
 */
#include "failing_memory.h"

#include <criterion/criterion.h>

#include <string.h>

#include "config/parse.h"
#include "core/log.h"
#include "core/memory.h"
#include "plugin/options.h"

struct window {
	const char *name;
	int64_t from;
	struct atom_ints days;
};

struct limits {
	int64_t calls;
	const char *unit;
};

struct all {
	int64_t whole;
	double part;
	const char *text;
	const char *secret;
	int64_t wait;
	int64_t wait_s;
	int64_t room;
	struct atom_strings strings;
	struct atom_ints ints;
	struct atom_floats floats;
	struct atom_map map;
	struct limits limits;
	struct atom_groups windows;
	int32_t yes;
	int32_t mood;
};

static const char *const moods[] = { "calm", "merry", "grim", NULL };

static const struct atom_option window_options[] = {
	ATOM_OPTION_STRING(struct window, name, "", ATOM_REQUIRED, "its name"),
	ATOM_OPTION_INT(struct window, from, "8", 0, 23, ATOM_RELOADABLE,
			"first hour"),
	ATOM_OPTION_INTS(struct window, days, 0, 7, 0, "days of the week"),
};

static const struct atom_option limits_options[] = {
	ATOM_OPTION_INT_UNIT(struct limits, calls, "10", 1, 100, 0, "calls",
			     "how many"),
	ATOM_OPTION_STRING(struct limits, unit, "minute", 0, "of time"),
};

static const struct atom_option all_options[] = {
	ATOM_OPTION_INT_UNIT(struct all, whole, "3", 1, 16, ATOM_RELOADABLE,
			     "times", "a whole number"),
	ATOM_OPTION_FLOAT(struct all, part, "0.5", 0, 1, 0, "a part"),
	ATOM_OPTION_STRING(struct all, text, "word", ATOM_RELOADABLE, "a text"),
	ATOM_OPTION_SECRET(struct all, secret, 0, "a secret"),
	ATOM_OPTION_DURATION(struct all, wait, "30s", 100, 3600000, 0,
			     "how long"),
	ATOM_OPTION_DURATION(struct all, wait_s, "2", 0, 3600000, 0,
			     "how long, in seconds"),
	ATOM_OPTION_SIZE(struct all, room, "64K", 0, 1e15, 0, "how much"),
	ATOM_OPTION_STRINGS(struct all, strings, 0, 3, 0, "texts"),
	ATOM_OPTION_INTS(struct all, ints, 1, 0, 0, "numbers"),
	ATOM_OPTION_FLOATS(struct all, floats, 1, 0, 0, "parts"),
	ATOM_OPTION_MAP(struct all, map, 1, 0, 0, "anything"),
	ATOM_OPTION_GROUP(struct all, limits, struct limits, limits_options, 0,
			  "limits"),
	ATOM_OPTION_GROUPS(struct all, windows, struct window, window_options,
			   0, 5, 0, "windows"),
	ATOM_OPTION_BOOL(struct all, yes, "true", 0, "yes or no"),
	ATOM_OPTION_CHOICE(struct all, mood, "merry", moods, 0, "how it is"),
};

static const struct atom_component component =
	ATOM_COMPONENT(ATOM_KIND_SCALING, "sample", "for tests", NULL,
		       all_options, struct all);

static const char *const ignored[] = { "plugin", NULL };

static struct options *options;
static struct setting *root;
static struct buffer errors;

static void begin(void)
{
	log_set_descriptor(-1);
	buffer_init(&errors, 65536);
}

static void end(void)
{
	options_free(&options);
	setting_free(&root);
	buffer_fini(&errors);
	log_fini();
}

TestSuite(plugin_options, .init = begin, .fini = end);

/* The filled struct, or NULL with what is wrong in `errors`. */
static const struct all *fill(const char *text)
{
	options_free(&options);
	setting_free(&root);
	buffer_clear(&errors);
	cr_assert_eq(parse_text(text, strlen(text), "t.conf", &root, &errors),
		     ATOM_OK, "%s", errors.bytes);
	if (options_fill(&component, root, ignored, &options, &errors) !=
	    ATOM_OK)
		return NULL;
	cr_assert_eq(errors.length, 0, "%s", errors.bytes);
	return options_struct(options);
}

static void wrong(const char *text, const char *message)
{
	cr_assert(fill(text) == NULL, "%s", text);
	cr_assert_str_eq(errors.bytes, message);
}

Test(plugin_options, the_table_of_this_test_is_legal)
{
	struct atom_error err = ATOM_ERROR_INIT;

	cr_assert_eq(options_check_table(component.options,
					 component.option_count,
					 component.options_size, &err),
		     ATOM_OK, "%s", err.message);
}

Test(plugin_options, without_settings_are_the_defaults)
{
	const struct all *all;

	cr_assert_eq(options_fill(&component, NULL, NULL, &options, &errors),
		     ATOM_OK);
	all = options_struct(options);
	cr_assert_eq(all->whole, 3);
	cr_assert_float_eq(all->part, 0.5, 0);
	cr_assert_str_eq(all->text, "word");
	cr_assert_str_eq(all->secret, "");
	cr_assert_eq(all->wait, 30000);
	cr_assert_eq(all->wait_s, 2000);
	cr_assert_eq(all->room, 65536);
	cr_assert_eq(all->strings.count, 0);
	cr_assert_eq(all->map.count, 0);
	cr_assert_eq(all->limits.calls, 10);
	cr_assert_str_eq(all->limits.unit, "minute");
	cr_assert_eq(all->windows.count, 0);
	cr_assert_eq(all->yes, 1);
	cr_assert_eq(all->mood, 1);
}

Test(plugin_options, take_values_of_every_type)
{
	const struct all *all =
		fill("plugin = \"sample\"; whole = 16; part = 1; text = \"x\";"
		     "secret = \"hush hush\"; wait = \"2m\"; wait_s = 3;"
		     "room = \"1M\"; strings = [ \"a\", \"b\" ];"
		     "ints = [ 1, -2 ]; floats = [ 0.5, 1.5 ];"
		     "map: { A = \"1\"; B = 2; C = true; D = 0.5; };"
		     "limits: { calls = 7; };"
		     "windows = ( { name = \"n\"; }, { name = \"m\"; from = 9;"
		     "              days = [ 1, 5 ]; } );"
		     "yes = false; mood = \"grim\";");
	const struct window *windows;

	cr_assert(all != NULL, "%s", errors.bytes);
	cr_assert_eq(all->whole, 16);
	cr_assert_float_eq(all->part, 1, 0);
	cr_assert_str_eq(all->text, "x");
	cr_assert_str_eq(all->secret, "hush hush");
	cr_assert_eq(all->wait, 120000);
	cr_assert_eq(all->wait_s, 3000);
	cr_assert_eq(all->room, 1048576);
	cr_assert_eq(all->strings.count, 2);
	cr_assert_str_eq(all->strings.items[1], "b");
	cr_assert(all->strings.items[2] == NULL);
	cr_assert_eq(all->ints.count, 2);
	cr_assert_eq(all->ints.items[1], -2);
	cr_assert_float_eq(all->floats.items[1], 1.5, 0);
	cr_assert_eq(all->map.count, 4);
	cr_assert_str_eq(all->map.items[0].key, "A");
	cr_assert_str_eq(all->map.items[1].value, "2");
	cr_assert_str_eq(all->map.items[2].value, "true");
	cr_assert_str_eq(all->map.items[3].value, "0.5");
	cr_assert_eq(all->limits.calls, 7);
	cr_assert_str_eq(all->limits.unit, "minute");
	cr_assert_eq(all->windows.count, 2);
	cr_assert_eq(all->windows.stride, sizeof(struct window));
	windows = all->windows.items;
	cr_assert_str_eq(windows[0].name, "n");
	cr_assert_eq(windows[0].from, 8);
	cr_assert_eq(windows[1].from, 9);
	cr_assert_eq(windows[1].days.items[1], 5);
	cr_assert_eq(all->yes, 0);
	cr_assert_eq(all->mood, 2);
}

Test(plugin_options, a_secret_is_kept_from_the_log)
{
	char line[] = "the key is hush hush, you see";

	cr_assert(fill("secret = \"hush hush\";") != NULL);
	cr_assert_eq(log_redact(line), 1);
	cr_assert_str_eq(line, "the key is ***, you see");
}

Test(plugin_options, say_file_line_and_the_nearest_name)
{
	wrong("whole = 2;\nhwole = 3;\n",
	      "t.conf:2: scaling/sample: unknown option `hwole`; did you mean "
	      "`whole`?\n");
	wrong("utterly_else = 3;",
	      "t.conf:1: scaling/sample: unknown option `utterly_else`\n");
	wrong("limits: {\n calls = 5;\n cals = 3;\n};",
	      "t.conf:3: scaling/sample: unknown option `cals`; did you mean "
	      "`calls`?\n");
}

Test(plugin_options, say_the_range_with_its_unit)
{
	wrong("whole = 17;", "t.conf:1: scaling/sample: option `whole` is a "
			     "whole number between 1 and 16 times, not the "
			     "integer 17\n");
	wrong("part = 1.5;", "t.conf:1: scaling/sample: option `part` is a "
			     "number between 0 and 1, not the number 1.5\n");
	wrong("wait = 50;", "t.conf:1: scaling/sample: option `wait` is a "
			    "duration between 100 and 3600000 ms, not the "
			    "integer 50\n");
	wrong("limits: { calls = 0; };",
	      "t.conf:1: scaling/sample: option `calls` is a whole number "
	      "between 1 and 100 calls, not the integer 0\n");
}

Test(plugin_options, refuse_other_types)
{
	wrong("whole = 1.5;", "t.conf:1: scaling/sample: option `whole` is a "
			      "whole number between 1 and 16 times, not the "
			      "number 1.5\n");
	wrong("whole = \"2\";", "t.conf:1: scaling/sample: option `whole` is "
				"a whole number between 1 and 16 times, not "
				"the string \"2\"\n");
	wrong("text = 1;", "t.conf:1: scaling/sample: option `text` is a "
			   "string, not the integer 1\n");
	wrong("strings = \"a b\";",
	      "t.conf:1: scaling/sample: option `strings` is a list of "
	      "strings, not the string \"a b\"\n");
	wrong("limits = 3;", "t.conf:1: scaling/sample: option `limits` is a "
			     "group, not the integer 3\n");
	wrong("windows = ( 3 );",
	      "t.conf:1: scaling/sample: option `windows` is a list of groups, "
	      "not the integer 3\n");
	wrong("map: { a: { }; };",
	      "t.conf:1: scaling/sample: option `map` is a group of strings, "
	      "not a group\n");
}

Test(plugin_options, never_quote_a_secret_of_the_wrong_type)
{
	cr_assert(fill("secret = 123456789;") == NULL);
	cr_assert(strstr(errors.bytes, "123456789") == NULL, "%s",
		  errors.bytes);
	cr_assert(strstr(errors.bytes, "option `secret` is a string"), "%s",
		  errors.bytes);
}

Test(plugin_options, do_not_take_what_stands_for_a_secret_as_one)
{
	wrong("secret = \"***\";",
	      "t.conf:1: scaling/sample: option `secret` is `***`, which "
	      "stands for a secret that is not shown; write the secret, or "
	      "${file:PATH}\n");
}

Test(plugin_options, say_how_many_items_there_may_be)
{
	wrong("strings = [ \"a\", \"b\", \"c\", \"d\" ];",
	      "t.conf:1: scaling/sample: option `strings` wants 0 to 3 items, "
	      "not 4\n");
}

Test(plugin_options, say_the_words_of_a_choice)
{
	wrong("mood = \"mery\";",
	      "t.conf:1: scaling/sample: option `mood` is one of \"calm\", "
	      "\"merry\", \"grim\", not the string \"mery\"; did you mean "
	      "\"merry\"?\n");
}

Test(plugin_options, ask_for_what_is_required_where_its_group_is)
{
	wrong("windows = (\n { from = 3; } );",
	      "t.conf:2: scaling/sample: option `name` (a string) is "
	      "required\n");
}

Test(plugin_options, say_every_fault_and_not_only_the_first)
{
	cr_assert(fill("whole = 99;\npart = 9.0;\nno_such = 1;\n") == NULL);
	cr_assert(strstr(errors.bytes, "t.conf:1: "));
	cr_assert(strstr(errors.bytes, "t.conf:2: "));
	cr_assert(strstr(errors.bytes, "t.conf:3: "));
}

Test(plugin_options, without_memory_leave_nothing_behind)
{
	static const char text[] = "text = \"x\"; strings = [ \"a\" ];"
				   "map: { a = 1; };"
				   "windows = ( { name = \"n\"; } );";
	atom_status status;

	cr_assert_eq(parse_text(text, strlen(text), "t.conf", &root, &errors),
		     ATOM_OK);
	for (unsigned int n = 1;; n++) {
		failing_memory_begin(n);
		status = options_fill(&component, root, ignored, &options,
				      &errors);
		if (!failing_memory_end())
			break;
		cr_assert_eq(status, ATOM_ENOMEM);
		cr_assert(options == NULL);
	}
	cr_assert_eq(status, ATOM_OK);
}

/* --- what a change means ------------------------------------------------- */

static void compare(const char *before, const char *after, bool equal,
		    bool reloadable)
{
	struct options *old;

	cr_assert(fill(before) != NULL, "%s", errors.bytes);
	old = TAKE(options);
	cr_assert(fill(after) != NULL, "%s", errors.bytes);
	cr_assert_eq(options_equal(old, options), equal, "%s -> %s", before,
		     after);
	cr_assert_eq(options_only_reloadable_differ(old, options), reloadable,
		     "%s -> %s", before, after);
	options_free(&old);
}

Test(plugin_options, that_differ_in_reloadable_ones_only_are_told)
{
	compare("", "whole = 3;", true, false);
	compare("", "whole = 4;", false, true);
	compare("", "whole = 4; text = \"y\";", false, true);
	compare("", "whole = 4; part = 0.25;", false, false);
	compare("", "yes = false;", false, false);
	compare("secret = \"123456\";", "secret = \"654321\";", false, false);
	compare("strings = [ \"a\" ];", "strings = [ \"a\" ];", true, false);
	compare("strings = [ \"a\" ];", "strings = [ \"b\" ];", false, false);
	compare("ints = [ 1 ];", "ints = [ 1, 2 ];", false, false);
	compare("floats = [ 1.0 ];", "floats = [ 1.5 ];", false, false);
	compare("map: { a = 1; };", "map: { a = 1; };", true, false);
	compare("map: { a = 1; };", "map: { b = 1; };", false, false);
	compare("limits: { calls = 2; };", "limits: { calls = 3; };", false,
		false);
	compare("windows = ( { name = \"a\"; from = 1; } );",
		"windows = ( { name = \"a\"; from = 2; } );", false, true);
	compare("windows = ( { name = \"a\"; } );",
		"windows = ( { name = \"b\"; } );", false, false);
	compare("windows = ( { name = \"a\"; } );", "", false, false);
}

/* --- tables -------------------------------------------------------------- */

static struct atom_option good_row(void)
{
	return (struct atom_option){
		.struct_size = sizeof(struct atom_option),
		.type = ATOM_OPT_INT,
		.name = "x",
		.fallback = "1",
		.minimum = 1,
		.unit = "",
		.help = "h",
	};
}

/* A good row with one change is refused with these words. */
#define SPOILED(change, expected)                                              \
	do {                                                                   \
		struct atom_option row = good_row();                           \
		struct atom_error err = ATOM_ERROR_INIT;                       \
                                                                               \
		change;                                                        \
		cr_assert_neq(options_check_table(&row, 1, 64, &err), ATOM_OK, \
			      "%s", expected);                                 \
		cr_assert(strstr(err.message, expected), "%s", err.message);   \
	} while (0)

Test(plugin_options, tables_that_are_wrong_are_refused_with_the_option)
{
	static const char *const none[] = { NULL };
	static const char *const some[] = { "a", NULL };
	const struct atom_option good = good_row();
	struct atom_error error = ATOM_ERROR_INIT;

	cr_assert_eq(options_check_table(&good, 1, 64, &error), ATOM_OK, "%s",
		     error.message);
	SPOILED(row.name = NULL, "the name of an option");
	SPOILED(row.name = "X", "the name of an option");
	SPOILED(row.name = "plugin", "the daemon's own");
	SPOILED(row.type = 0, "type 0 is not known");
	SPOILED(row.type = 15, "type 15 is not known");
	SPOILED(row.offset = 60, "the options struct has 64 bytes");
	SPOILED(row.offset = UINT32_MAX - 4, "struct has 64 bytes");
	SPOILED(row.offset = 4, "a field at 4 cannot hold");
	SPOILED(row.help = NULL, "help and unit");
	SPOILED(row.help = "\xff", "help and unit");
	SPOILED(row.fallback = NULL, "its default is NULL");
	SPOILED(row.fallback = "1x", "its default \"1x\" is not");
	SPOILED(row.maximum = 0.0 / 0.0, "a bound is no number");
	SPOILED(row.member_count = 1, "it is no group and has members");
	SPOILED(row.struct_size = 8, "has 8 bytes, ABI 1.0 has");
	SPOILED((row.type = ATOM_OPT_BOOL, row.fallback = "yes"),
		"its default \"yes\" is not true or false");
	SPOILED(row.type = ATOM_OPT_CHOICE, "a choice needs its words");
	SPOILED((row.type = ATOM_OPT_CHOICE, row.choices = none),
		"a choice needs its words");
	SPOILED((row.type = ATOM_OPT_CHOICE, row.choices = some),
		"its default \"1\" is not one of the words");
	SPOILED(row.type = ATOM_OPT_GROUP, "option table is empty");
}

Test(plugin_options, a_table_that_holds_itself_is_refused)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct atom_option row = good_row();

	row.type = ATOM_OPT_GROUPS;
	row.member_count = 1;
	row.member_size = 64;
	row.members = &row;
	cr_assert_eq(options_check_table(&row, 1, 64, &err), ATOM_ELIMIT);
	cr_assert(strstr(err.message, "nest deeper"));
}

Test(plugin_options, rows_of_a_younger_minor_are_read_by_their_own_size)
{
	struct younger {
		struct atom_option row;
		uint64_t more[2];
	} rows[2] = { { good_row(), { 7, 7 } }, { good_row(), { 7, 7 } } };
	struct atom_component young = component;
	struct atom_error err = ATOM_ERROR_INIT;
	const int64_t *filled;

	rows[0].row.struct_size = rows[1].row.struct_size = sizeof(rows[0]);
	rows[1].row.name = "y";
	rows[1].row.offset = 8;
	rows[1].row.fallback = "2";
	cr_assert_eq(options_check_table(&rows[0].row, 2, 16, &err), ATOM_OK,
		     "%s", err.message);
	young.options = &rows[0].row;
	young.option_count = 2;
	young.options_size = 16;
	cr_assert_eq(options_fill(&young, NULL, NULL, &options, &errors),
		     ATOM_OK);
	filled = options_struct(options);
	cr_assert_eq(filled[0], 1);
	cr_assert_eq(filled[1], 2);
}

Test(plugin_options, are_described_without_secrets)
{
	json_t *rows =
		options_describe(component.options, component.option_count);
	const char **secrets = options_secret_names(&component);
	const json_t *row = json_array_get(rows, 0);

	cr_assert_eq(json_array_size(rows), component.option_count);
	cr_assert_str_eq(json_string_value(json_object_get(row, "name")),
			 "whole");
	cr_assert_str_eq(json_string_value(json_object_get(row, "type")),
			 "int");
	cr_assert_str_eq(json_string_value(json_object_get(row, "default")),
			 "3");
	cr_assert_eq(json_integer_value(json_object_get(row, "max")), 16);
	cr_assert(json_is_true(json_object_get(row, "reloadable")));
	row = json_array_get(rows, 3);
	cr_assert(json_is_true(json_object_get(row, "secret")));
	cr_assert(json_object_get(row, "default") == NULL);
	row = json_array_get(rows, 12);
	cr_assert_eq(json_array_size(json_object_get(row, "members")), 3);
	cr_assert_str_eq(secrets[0], "secret");
	cr_assert_str_eq(secrets[1], "secret"); /* of the host */
	mem_free(secrets);
	json_decref(rows);
}
