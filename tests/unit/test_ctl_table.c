/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <criterion/criterion.h>

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/table.h"
#include "ctl/terminal.h"

static const char *const titles[] = { "NAME", ">N", "LAST", NULL };

static char *printed(const struct table *table, bool colours, int width,
		     size_t rows)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	cr_assert_not_null(out);
	cr_assert(table_print(table, out, colours, width, rows, "\n"));
	fclose(out);
	return text;
}

static void expect(const struct table *table, int width, size_t rows,
		   const char *expected)
{
	char *text = printed(table, false, width, rows);
	cr_assert_str_eq(text, expected);
	free(text);
}

static void setup(void)
{
	setlocale(LC_CTYPE, "C.UTF-8");
}

TestSuite(ctl_table, .init = setup);

Test(ctl_table, columns_are_as_wide_as_their_widest_cell)
{
	struct table table;
	table_init(&table, titles);
	table_add(&table, "summarizer");
	table_add_number(&table, 7);
	table_add(&table, "x");
	table_add(&table, "a");
	table_add_number(&table, -1234567);
	table_add(&table, "longer than its title");
	expect(&table, 0, 0,
	       "NAME                N   LAST\n"
	       "summarizer          7   x\n"
	       "a            -1234567   longer than its title\n");
	expect(&table, 20, 1,
	       "NAME                \n"
	       "summarizer          \n");
	table_discard(&table);
}

Test(ctl_table, an_empty_table_is_its_titles)
{
	struct table table;
	table_init(&table, titles);
	expect(&table, 0, 0, "NAME   N   LAST\n");
	table_discard(&table);
}

Test(ctl_table, a_cell_is_one_line_without_control_characters)
{
	struct table table;
	table_init(&table, titles);
	table_add(&table, "a\nb\033[2J\177\xc2\x9b");
	table_add(&table, NULL);
	table_add(&table, "");
	expect(&table, 0, 0,
	       "NAME         N   LAST\n"
	       "a b [2J      -   -\n");
	table_discard(&table);
}

Test(ctl_table, widths_are_those_of_a_terminal)
{
	struct table table;
	cr_assert_eq(table_text_width("abc"), 3);
	cr_assert_eq(table_text_width("\xc3\xbc"), 1);
	cr_assert_eq(table_text_width("\xe6\x97\xa5\xe6\x9c\xac"), 4);
	cr_assert_eq(table_text_width("\xff\xfe"), 2);
	table_init(&table, titles);
	table_add(&table, "\xe6\x97\xa5\xe6\x9c\xac");
	table_add(&table, "1");
	table_add(&table, "x");
	expect(&table, 0, 0,
	       "NAME   N   LAST\n"
	       "\xe6\x97\xa5\xe6\x9c\xac   1   x\n");
	/* A character of two columns that has room for one is left out. */
	expect(&table, 3, 0, "NAM\n\xe6\x97\xa5 \n");
	table_discard(&table);
}

Test(ctl_table, colours_do_not_shift_columns)
{
	struct table table;
	table_init(&table, titles);
	table_add_coloured(&table, "a", TABLE_RED);
	table_add(&table, "1");
	table_add(&table, "x");
	char *text = printed(&table, true, 0, 0);
	cr_assert_not_null(strstr(text, "\033[31ma\033[0m      1   x\n"), "%s",
			   text);
	free(text);
	expect(&table, 0, 0,
	       "NAME   N   LAST\n"
	       "a      1   x\n");
	table_discard(&table);
}

static void written(const char *bytes, bool raw, const char *expected)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	cr_assert_not_null(out);
	terminal_write(out, bytes, strlen(bytes), raw);
	fclose(out);
	cr_assert_str_eq(text, expected);
	free(text);
}

Test(ctl_terminal, what_others_wrote_cannot_drive_it)
{
	written("plain\ttext\n", false, "plain\ttext\n");
	written("\033[2Ja\rb\007\177", false, "[2Jab");
	written("\xc2\x9b"
		"2J\xc2\x80\xc2\x9f.",
		false, "2J.");
	written("\xc2\xa0\xc3\xbc\xe2\x98\x83", false,
		"\xc2\xa0\xc3\xbc\xe2\x98\x83");
	/* What is dropped joins no halves. */
	written("\xc2\001\x9b"
		"2J\xc2\xc2\x9b\x9b.",
		false,
		"\x9b"
		"2J\x9b.");
	written("\033", false, "");
	written("", false, "");
	written("\xc2", false, "\xc2");
	written("\033[2Ja\r", true, "\033[2Ja\r");
}
