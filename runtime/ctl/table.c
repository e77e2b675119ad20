/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define GAP 3

/* One character of a UTF-8 string: its bytes and the columns it takes. Bytes
 * that are no UTF-8 count one each. */
static size_t character(const char *text, int *width_r)
{
	wchar_t wide;
	mbstate_t state = { 0 };
	size_t bytes = mbrtowc(&wide, text, strlen(text), &state);
	if (bytes == 0 || bytes == (size_t)-1 || bytes == (size_t)-2) {
		*width_r = 1;
		return 1;
	}
	int width = wcwidth(wide);
	*width_r = width < 0 ? 0 : width;
	return bytes;
}

int table_text_width(const char *text)
{
	int total = 0;
	while (*text) {
		int width;
		text += character(text, &width);
		total += width;
	}
	return total;
}

void table_init(struct table *table, const char *const *titles)
{
	*table = (struct table){ 0 };
	for (; *titles && table->column_count < TABLE_COLUMNS_MAX; titles++) {
		bool right = **titles == '>';
		const char *title = *titles + (right ? 1 : 0);
		table->columns[table->column_count].title = title;
		table->columns[table->column_count].right = right;
		table->columns[table->column_count].width =
			table_text_width(title);
		table->column_count++;
	}
}

/* Control characters, C1 ones (0xc2 0x80 to 0xc2 0x9f) too, become spaces. */
static void make_one_line(char *text)
{
	for (unsigned char *at = (unsigned char *)text; *at; at++) {
		if (*at < 0x20 || *at == 0x7f) {
			*at = ' ';
		} else if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0) {
			at[0] = ' ';
			at[1] = ' ';
		}
	}
}

void table_add_coloured(struct table *table, const char *text,
			enum table_colour colour)
{
	if (table->cell_count == table->cell_capacity) {
		size_t capacity =
			table->cell_capacity ? table->cell_capacity * 2 : 64;
		struct table_cell *cells =
			realloc(table->cells, capacity * sizeof(*cells));
		if (!cells) {
			table->failed = true;
			return;
		}
		table->cells = cells;
		table->cell_capacity = capacity;
	}
	char *copy = strdup(text && *text ? text : "-");
	if (!copy) {
		table->failed = true;
		return;
	}
	make_one_line(copy);
	int width = table_text_width(copy);
	size_t column = table->cell_count % table->column_count;
	if (table->columns[column].width < width)
		table->columns[column].width = width;
	table->cells[table->cell_count++] = (struct table_cell){
		.text = copy,
		.width = width,
		.colour = colour,
	};
}

void table_add(struct table *table, const char *text)
{
	table_add_coloured(table, text, TABLE_PLAIN);
}

void table_add_number(struct table *table, long long number)
{
	char text[32];
	snprintf(text, sizeof(text), "%lld", number);
	table_add(table, text);
}

/* A line being printed: `room` is what is left of it, or negative for a line
 * without end. */
struct line {
	FILE *out;
	int room;
};

static void put_text(struct line *line, const char *text)
{
	while (*text) {
		int width;
		size_t bytes = character(text, &width);
		if (line->room >= 0) {
			if (width > line->room)
				return;
			line->room -= width;
		}
		fwrite(text, 1, bytes, line->out);
		text += bytes;
	}
}

static void put_spaces(struct line *line, int count)
{
	if (line->room >= 0) {
		if (count > line->room)
			count = line->room;
		line->room -= count;
	}
	fprintf(line->out, "%*s", count, "");
}

static void put_cell(struct line *line, const struct table *table,
		     size_t column, const struct table_cell *cell, bool colours)
{
	static const char *const on[] = {
		[TABLE_PLAIN] = "",	     [TABLE_GREEN] = "\033[32m",
		[TABLE_YELLOW] = "\033[33m", [TABLE_RED] = "\033[31m",
		[TABLE_DIM] = "\033[2m",
	};
	int padding = table->columns[column].width - cell->width;
	bool last = column + 1 == table->column_count;
	bool painted = colours && cell->colour != TABLE_PLAIN;
	if (column > 0)
		put_spaces(line, GAP);
	if (table->columns[column].right)
		put_spaces(line, padding);
	if (painted)
		fputs(on[cell->colour], line->out);
	put_text(line, cell->text);
	if (painted)
		fputs("\033[0m", line->out);
	if (!table->columns[column].right && !last)
		put_spaces(line, padding);
}

bool table_print(const struct table *table, FILE *out, bool colours, int width,
		 size_t rows, const char *line_end)
{
	assert(table->column_count > 0);
	struct line line = { .out = out, .room = width > 0 ? width : -1 };
	for (size_t column = 0; column < table->column_count; column++) {
		struct table_cell title = {
			.text = (char *)table->columns[column].title,
			.width = table_text_width(table->columns[column].title),
			.colour = TABLE_DIM,
		};
		put_cell(&line, table, column, &title, colours);
	}
	fputs(line_end, out);
	size_t whole = table->cell_count / table->column_count;
	if (rows == 0 || rows > whole)
		rows = whole;
	for (size_t row = 0; row < rows; row++) {
		line.room = width > 0 ? width : -1;
		for (size_t column = 0; column < table->column_count; column++)
			put_cell(&line, table, column,
				 &table->cells[row * table->column_count +
					       column],
				 colours);
		fputs(line_end, out);
	}
	return !table->failed;
}

void table_discard(struct table *table)
{
	for (size_t i = 0; i < table->cell_count; i++)
		free(table->cells[i].text);
	free(table->cells);
	*table = (struct table){ 0 };
}
