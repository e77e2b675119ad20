/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any option table and any settings: a table that passes the check can be
 * filled, compared and described without a byte written outside of the
 * plugin's struct, and every string in it is there.
 *
 * Input: a byte for the number of rows, ROW_BYTES for each, then the settings
 * as text.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/parse.h"
#include "core/log.h"
#include "plugin/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define ROWS_MAX    8
#define ROW_BYTES   9
#define STRUCT_SIZE 4999 /* more than the memory is handed out in: exact */

static const char *const names[] = { "a",  "bb",     "c_s", "d_mib",
				     "ee", "plugin", "",    "Bad" };
static const char *const fallbacks[] = { "",	 "1",  "true", "0.5",
					 "word", "2s", "64K",  "-9" };
static const char *const words[] = { "word", "1", "", NULL };
static const char *const none[] = { NULL };

static struct atom_option row_of(const uint8_t *bytes,
				 const struct atom_option *others)
{
	struct atom_option row = {
		.struct_size = sizeof(row),
		.type = bytes[0] % 17,
		.flags = bytes[1] % 8,
		.offset = (uint32_t)(bytes[2] << 8 | bytes[3]) % 5100,
		.name = names[bytes[4] % 8],
		.fallback = fallbacks[bytes[5] % 8],
		.minimum = bytes[6] % 4,
		.maximum = bytes[7] % 64,
		.unit = bytes[6] & 4 ? "ms" : "",
		.help = "h",
		.choices = bytes[6] & 8 ? words : none,
	};

	if (bytes[8] & 1) {
		row.members = others;
		row.member_count = bytes[8] >> 1 & 7;
		row.member_size = 8u * (bytes[8] >> 4);
	}
	return row;
}

static void check_texts(const struct atom_option *option, const char *field)
{
	if (option->type == ATOM_OPT_STRING ||
	    option->type == ATOM_OPT_SECRET) {
		if (*(const char *const *)(const void *)field == NULL)
			abort();
	} else if (option->type == ATOM_OPT_STRINGS) {
		const struct atom_strings *list = (const void *)field;

		for (size_t i = 0; i < list->count; i++)
			if (list->items[i] == NULL)
				abort();
	} else if (option->type == ATOM_OPT_MAP) {
		const struct atom_map *map = (const void *)field;

		for (size_t i = 0; i < map->count; i++)
			if (!map->items[i].key || !map->items[i].value)
				abort();
	}
}

static void fill(const struct atom_component *component, const char *text,
		 size_t length)
{
	struct buffer errors = BUFFER_INIT(64 * 1024);
	struct options *options = NULL, *again = NULL;
	struct setting *root = NULL;
	atom_status status;

	if (parse_text(text, length, "f", &root, &errors) != ATOM_OK)
		goto out;
	status = options_fill(component, root, NULL, &options, &errors);
	if ((status == ATOM_OK) != (errors.length == 0))
		abort();
	if (status != ATOM_OK)
		goto out;
	for (uint32_t i = 0; i < component->option_count; i++) {
		const struct atom_option *option =
			option_at(component->options, i);

		check_texts(option, (const char *)options_struct(options) +
					    option->offset);
	}
	if (options_fill(component, root, NULL, &again, &errors) != ATOM_OK ||
	    !options_equal(options, again))
		abort();
out:
	options_free(&options);
	options_free(&again);
	setting_free(&root);
	buffer_fini(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct atom_option rows[ROWS_MAX];
	struct atom_component component = {
		.struct_size = sizeof(component),
		.kind = ATOM_KIND_SCALING,
		.name = "any",
		.summary = "",
		.options = rows,
		.options_size = STRUCT_SIZE,
	};
	struct atom_error err = ATOM_ERROR_INIT;
	size_t count;

	log_set_descriptor(-1);
	if (size == 0)
		return 0;
	count = 1 + bytes[0] % ROWS_MAX;
	bytes++;
	size--;
	if (size < count * ROW_BYTES)
		return 0;
	/* Later rows may have earlier ones as members. */
	for (size_t i = 0; i < count; i++)
		rows[i] = row_of(bytes + i * ROW_BYTES, rows);
	component.option_count = (uint32_t)count;
	if (options_check_table(rows, component.option_count, STRUCT_SIZE,
				&err) != ATOM_OK) {
		if (err.message[0] == '\0')
			abort();
		return 0;
	}
	json_decref(options_describe(rows, component.option_count));
	fill(&component, (const char *)bytes + count * ROW_BYTES,
	     size - count * ROW_BYTES);
	return 0;
}
