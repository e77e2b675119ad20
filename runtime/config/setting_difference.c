/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What leads from one tree of settings to another, for people: a row for
 * each value, groups followed, lists as one value.
 */

#include <stdio.h>
#include <string.h>

#include "config/parse.h"
#include "config/setting_priv.h"

struct differing {
	const char *const *from_secrets;
	const char *const *to_secrets;
	json_t *rows;
	bool no_memory;
};

/* Is it the same text?  What references stand for does not count. */
static bool is_same(struct differing *d, const struct setting *from,
		    const struct setting *to)
{
	struct buffer a = BUFFER_INIT(2 * PARSE_FILE_MAX);
	struct buffer b = BUFFER_INIT(2 * PARSE_FILE_MAX);
	bool same = false;

	if (setting_canonical(from, &a) != ATOM_OK ||
	    setting_canonical(to, &b) != ATOM_OK)
		d->no_memory = true;
	else
		same = a.length == b.length &&
		       memcmp(a.bytes, b.bytes, a.length) == 0;
	buffer_fini(&a);
	buffer_fini(&b);
	return same;
}

static void add_side(struct differing *d, json_t *row, const char *name,
		     const struct setting *setting,
		     const char *const *secret_names)
{
	if (setting != NULL &&
	    json_object_set_new(row, name,
				setting_to_json(setting, secret_names)) != 0)
		d->no_memory = true;
}

static void add_row(struct differing *d, const char *key,
		    const struct setting *from, const struct setting *to)
{
	json_t *row = json_pack("{s:s}", "key", key);

	if (row == NULL) {
		d->no_memory = true;
		return;
	}
	add_side(d, row, "from", from, d->from_secrets);
	add_side(d, row, "to", to, d->to_secrets);
	if (json_array_append_new(d->rows, row) != 0)
		d->no_memory = true;
}

static void compare(struct differing *d, const char *key,
		    const struct setting *from, const struct setting *to);

/* Members of `of`, each with its like in the other group; `of` is the later
 * tree (`backwards` false), or the earlier, of which only what the later does
 * not have counts. */
static void compare_members(struct differing *d, const char *key,
			    const struct setting *of,
			    const struct setting *other, bool backwards)
{
	char inner[512];

	for (size_t i = 0; of != NULL && i < of->member_count; i++) {
		const struct setting *member = of->members[i];
		const struct setting *like =
			setting_member(other, member->name);

		(void)snprintf(inner, sizeof(inner), "%s%s%s", key,
			       *key ? "." : "", member->name);
		if (!backwards)
			compare(d, inner, like, member);
		else if (like == NULL)
			compare(d, inner, member, NULL);
	}
}

static bool is_group(const struct setting *setting)
{
	return setting == NULL || setting->type == SETTING_GROUP;
}

static void compare(struct differing *d, const char *key,
		    const struct setting *from, const struct setting *to)
{
	if (d->no_memory || (from == NULL && to == NULL))
		return;
	/* A group may count by being there. */
	if ((from == NULL && to->member_count == 0) ||
	    (to == NULL && from->member_count == 0)) {
		add_row(d, key, from, to);
	} else if (is_group(from) && is_group(to)) {
		compare_members(d, key, from, to, true);
		compare_members(d, key, to, from, false);
	} else if (from == NULL || to == NULL || !is_same(d, from, to)) {
		add_row(d, key, from, to);
	}
}

json_t *setting_difference(const struct setting *from,
			   const char *const *from_secrets,
			   const struct setting *to,
			   const char *const *to_secrets)
{
	struct differing d = {
		.from_secrets = from_secrets,
		.to_secrets = to_secrets,
		.rows = json_array(),
	};

	d.no_memory = d.rows == NULL;
	compare(&d, "", from, to);
	if (d.no_memory) {
		json_decref(d.rows);
		return NULL;
	}
	return d.rows;
}
