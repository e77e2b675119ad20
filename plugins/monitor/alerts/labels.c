/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/alerts/labels.h"

#include <stdlib.h>
#include <string.h>

#define FNV_OFFSET 14695981039346656037ull
#define FNV_PRIME  1099511628211ull

const char *labels_get(const struct labels *labels, const char *name)
{
	for (size_t i = 0; i < labels->count; i++)
		if (strcmp(labels->items[i].name, name) == 0)
			return labels->items[i].value;
	return "";
}

int labels_compare(const struct labels *a, const struct labels *b)
{
	size_t both = a->count < b->count ? a->count : b->count;

	for (size_t i = 0; i < both; i++) {
		int order = strcmp(a->items[i].name, b->items[i].name);

		if (order == 0)
			order = strcmp(a->items[i].value, b->items[i].value);
		if (order != 0)
			return order;
	}
	return (a->count > b->count) - (a->count < b->count);
}

/* FNV-1a, the NUL of each text included so that "ab","c" is not "a","bc". */
static uint64_t hash_text(uint64_t hash, const char *text)
{
	do {
		hash ^= (unsigned char)*text;
		hash *= FNV_PRIME;
	} while (*text++ != '\0');
	return hash;
}

uint64_t labels_hash(const struct labels *labels)
{
	uint64_t hash = FNV_OFFSET;

	for (size_t i = 0; i < labels->count; i++) {
		hash = hash_text(hash, labels->items[i].name);
		hash = hash_text(hash, labels->items[i].value);
	}
	return hash;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct label *)a)->name,
		      ((const struct label *)b)->name);
}

bool labels_sort(struct label *items, size_t count, struct labels *labels_r)
{
	size_t kept = 0;

	if (count > 1)
		qsort(items, count, sizeof(*items), by_name);
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && strcmp(items[i].name, items[i - 1].name) == 0)
			return false;
	}
	for (size_t i = 0; i < count; i++)
		if (*items[i].value != '\0')
			items[kept++] = items[i];
	*labels_r = (struct labels){ items, kept };
	return true;
}

static bool is_named(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

bool labels_pick(struct arena *arena, const struct labels *labels,
		 const char *const *names, size_t count, bool keep,
		 bool drop_name, struct labels *labels_r)
{
	struct label *items =
		arena_array(arena, labels->count + 1, sizeof(*items));
	size_t kept = 0;

	if (items == NULL)
		return false;
	for (size_t i = 0; i < labels->count; i++) {
		const struct label *label = &labels->items[i];

		if (is_named(names, count, label->name) == keep &&
		    !(drop_name && strcmp(label->name, LABEL_NAME) == 0))
			items[kept++] = *label;
	}
	*labels_r = (struct labels){ items, kept };
	return true;
}

/* Reads a quoted value in place; NULL: no end, or an unknown escape. */
static char *unquote(char *at, const char **value_r)
{
	char *out = ++at;

	*value_r = out;
	for (; *at != '"'; at++) {
		if (*at == '\0')
			return NULL;
		if (*at == '\\') {
			at++;
			if (*at != '\\' && *at != '"' && *at != 'n')
				return NULL;
			*out++ = *at == 'n' ? '\n' : *at;
		} else {
			*out++ = *at;
		}
	}
	*out = '\0';
	return at + 1;
}

atom_status labels_parse(struct arena *arena, const char *text,
			 struct labels *labels_r)
{
	size_t most = 1, count = 0;
	char *at = arena_text(arena, text, strlen(text));
	struct label *items;

	for (const char *c = text; *c != '\0'; c++)
		most += *c == '=';
	items = arena_array(arena, most, sizeof(*items));
	if (at == NULL || items == NULL)
		return ATOM_ENOMEM;
	if (*at == '{')
		at++;
	while (*at != '\0' && *at != '}' && count < most) {
		char *equals = strchr(at, '=');

		if (equals == NULL || equals == at || equals[1] != '"')
			return ATOM_EINVAL;
		items[count].name = at;
		*equals = '\0';
		at = unquote(equals + 1, &items[count].value);
		if (at == NULL)
			return ATOM_EINVAL;
		count++;
		if (*at == ',')
			at++;
	}
	return labels_sort(items, count, labels_r) ? ATOM_OK : ATOM_EINVAL;
}

/* --- from a set to a number ------------------------------------------------ */

bool label_table_init(struct label_table *table, struct arena *arena,
		      size_t most)
{
	size_t slots = 8;

	while (slots < 2 * most)
		slots *= 2;
	*table = (struct label_table){ .arena = arena, .slot_count = slots };
	table->slots = arena_array(arena, slots, sizeof(*table->slots));
	table->keys = arena_array(arena, most + 1, sizeof(*table->keys));
	return table->slots != NULL && table->keys != NULL;
}

/* The slot where it is, or would be. */
static size_t *slot_of(const struct label_table *table,
		       const struct labels *labels)
{
	size_t mask = table->slot_count - 1;
	size_t at = (size_t)labels_hash(labels) & mask;

	while (table->slots[at] != 0 &&
	       labels_compare(table->keys[table->slots[at] - 1], labels) != 0)
		at = (at + 1) & mask;
	return &table->slots[at];
}

bool label_table_add(struct label_table *table, const struct labels *labels,
		     size_t *number_r)
{
	size_t *slot = slot_of(table, labels);
	bool added = *slot == 0;

	if (added) {
		table->keys[table->count] = labels;
		*slot = ++table->count;
	}
	*number_r = *slot - 1;
	return added;
}

size_t label_table_find(const struct label_table *table,
			const struct labels *labels)
{
	size_t slot = *slot_of(table, labels);

	return slot == 0 ? SIZE_MAX : slot - 1;
}
