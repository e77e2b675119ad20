/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Aligned columns, as kubectl prints them.
 *
 * Columns first, then rows cell by cell, then one `table_print`. A cell is
 * copied; control characters become spaces and an empty cell a dash, so that
 * a row is always one line of as many words as the header says. Memory
 * shortage is remembered and told by `table_print`.
 */
#ifndef CTL_TABLE_H
#define CTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 16

enum table_colour {
	TABLE_PLAIN,
	TABLE_GREEN,
	TABLE_YELLOW,
	TABLE_RED,
	TABLE_DIM,
};

struct table_cell {
	char *text;
	int width;
	enum table_colour colour;
};

struct table {
	struct {
		const char *title;
		bool right;
		int width;
	} columns[TABLE_COLUMNS_MAX];
	size_t column_count;
	struct table_cell *cells;
	size_t cell_count;
	size_t cell_capacity;
	bool failed;
};

/* `titles`: NULL at the end; a title that begins with `>` stands to the right
 * (numbers). The strings must outlive the table. */
void table_init(struct table *table, const char *const *titles);

/* The next cell of the row; a full row begins the next one. NULL: a dash. */
void table_add(struct table *table, const char *text);
void table_add_coloured(struct table *table, const char *text,
			enum table_colour colour);
void table_add_number(struct table *table, long long number);

/* Prints header and rows. `colours`: escape sequences are welcome.
 * `width`: cut lines there, 0 for never; `rows`: print so many at most, 0 for
 * all; `line_end`: "\n", or what a full-screen program needs. False: some row
 * is missing for want of memory. */
bool table_print(const struct table *table, FILE *out, bool colours, int width,
		 size_t rows, const char *line_end);

void table_discard(struct table *table);

/* Columns that a UTF-8 string takes on a terminal. */
int table_text_width(const char *text);

#endif
