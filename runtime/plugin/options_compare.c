/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Do two fillings of one table differ, and where?  Field by field: padding
 * counts not, and pointers are compared by what they point to.
 */

#include "plugin/options.h"

#include <string.h>

#include "plugin/options_priv.h"

static bool texts_equal(const struct atom_strings *a,
			const struct atom_strings *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	return true;
}

static bool maps_equal(const struct atom_map *a, const struct atom_map *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->items[i].key, b->items[i].key) != 0 ||
		    strcmp(a->items[i].value, b->items[i].value) != 0)
			return false;
	return true;
}

static bool bytes_equal(const void *a, size_t a_count, const void *b,
			size_t b_count, size_t size)
{
	return a_count == b_count &&
	       (a_count == 0 || memcmp(a, b, a_count * size) == 0);
}

/* Differences in RELOADABLE options are forgiven when `but_reloadable`. */
static bool tables_equal(const struct atom_option *table, uint32_t count,
			 const char *a, const char *b, bool but_reloadable);

static bool groups_equal(const struct atom_option *option,
			 const struct atom_groups *a,
			 const struct atom_groups *b, bool but_reloadable)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!tables_equal(option->members, option->member_count,
				  (const char *)a->items + i * a->stride,
				  (const char *)b->items + i * b->stride,
				  but_reloadable))
			return false;
	return true;
}

static bool fields_equal(const struct atom_option *option, const void *a,
			 const void *b, bool but_reloadable)
{
	switch (option->type) {
	case ATOM_OPT_BOOL:
	case ATOM_OPT_CHOICE:
		return *(const int32_t *)a == *(const int32_t *)b;
	case ATOM_OPT_INT:
	case ATOM_OPT_DURATION:
	case ATOM_OPT_SIZE:
		return *(const int64_t *)a == *(const int64_t *)b;
	case ATOM_OPT_FLOAT:
		return *(const double *)a == *(const double *)b;
	case ATOM_OPT_STRING:
	case ATOM_OPT_SECRET:
		return strcmp(*(const char *const *)a,
			      *(const char *const *)b) == 0;
	case ATOM_OPT_STRINGS:
		return texts_equal(a, b);
	case ATOM_OPT_INTS: {
		const struct atom_ints *x = a, *y = b;

		return bytes_equal(x->items, x->count, y->items, y->count,
				   sizeof(*x->items));
	}
	case ATOM_OPT_FLOATS: {
		const struct atom_floats *x = a, *y = b;

		return bytes_equal(x->items, x->count, y->items, y->count,
				   sizeof(*x->items));
	}
	case ATOM_OPT_MAP:
		return maps_equal(a, b);
	case ATOM_OPT_GROUP:
		return tables_equal(option->members, option->member_count, a, b,
				    but_reloadable);
	case ATOM_OPT_GROUPS:
		return groups_equal(option, a, b, but_reloadable);
	default: /* options_check_table lets no other through */
		return true;
	}
}

static bool tables_equal(const struct atom_option *table, uint32_t count,
			 const char *a, const char *b, bool but_reloadable)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct atom_option *option = option_at(table, i);

		if (but_reloadable && (option->flags & ATOM_RELOADABLE))
			continue;
		if (!fields_equal(option, a + option->offset,
				  b + option->offset, but_reloadable))
			return false;
	}
	return true;
}

bool options_equal(const struct options *a, const struct options *b)
{
	return tables_equal(a->component->options, a->component->option_count,
			    a->filled, b->filled, false);
}

bool options_only_reloadable_differ(const struct options *a,
				    const struct options *b)
{
	return !options_equal(a, b) &&
	       tables_equal(a->component->options, a->component->option_count,
			    a->filled, b->filled, true);
}
