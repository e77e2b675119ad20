/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A group of settings into a plugin's own struct.  The table has been checked
 * (options_check_table); the settings are a person's and every fault of theirs
 * is said, not only the first.
 */

#include "plugin/options.h"

#include <stdalign.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "config/value.h"
#include "core/memory.h"
#include "core/text.h"
#include "plugin/options_priv.h"
#include "plugin/registry.h"

/* The first one, and the largest of those that come after it, each twice as
 * large as the one before: most components have a few options, and thousands of
 * agents one each. */
#define CHUNK_FIRST 256
#define CHUNK_MAX   4096

struct arena_chunk {
	struct arena_chunk *next;
	size_t size; /* of bytes */
	size_t used;
	alignas(max_align_t) char bytes[];
};

/* --- memory -------------------------------------------------------------- */

static void *options_alloc(struct options *options, size_t size)
{
	struct arena_chunk *chunk = options->chunks;
	size_t rounded;
	void *place;

	if (size > SIZE_MAX / 2)
		return NULL;
	rounded =
		(size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (chunk == NULL || chunk->size - chunk->used < rounded) {
		size_t room = chunk != NULL ? 2 * chunk->size : CHUNK_FIRST;

		if (room > CHUNK_MAX)
			room = CHUNK_MAX;
		if (room < rounded)
			room = rounded;
		chunk = mem_zalloc(sizeof(*chunk) + room);
		if (chunk == NULL)
			return NULL;
		chunk->size = room;
		chunk->next = options->chunks;
		options->chunks = chunk;
	}
	place = chunk->bytes + chunk->used;
	chunk->used += rounded;
	return place;
}

void options_free(struct options **options)
{
	struct options *one = TAKE(*options), *older;
	struct arena_chunk *chunk, *next;

	for (; one != NULL; one = older) {
		older = one->older;
		for (chunk = one->chunks; chunk != NULL; chunk = next) {
			next = chunk->next;
			/* Secrets are among it. */
			mem_wipe_free(chunk, sizeof(*chunk) + chunk->used);
		}
		mem_free(one);
	}
}

void *filling_take(struct filling *f, size_t count, size_t size)
{
	void *place = NULL;

	if (size == 0 || count <= SIZE_MAX / size)
		place = options_alloc(f->options, count * size);
	if (place == NULL)
		f->no_memory = true;
	return place;
}

/* --- tables -------------------------------------------------------------- */

static void fill_table(struct filling *f, const struct atom_option *table,
		       uint32_t count, const struct setting *group,
		       const struct setting *around, const char *const *ignored,
		       bool present, char *out);

static void fill_group(struct filling *f, const struct atom_option *option,
		       const struct setting *setting,
		       const struct setting *around, char *field)
{
	if (setting != NULL && setting->type != SETTING_GROUP) {
		filling_expected(f, option, setting);
		setting = NULL;
	}
	fill_table(f, option->members, option->member_count, setting, around,
		   NULL, setting != NULL, field);
}

static void fill_groups(struct filling *f, const struct atom_option *option,
			const struct setting *setting,
			struct atom_groups *field)
{
	size_t stride = option->member_size;
	char *items;

	field->stride = stride;
	if (setting == NULL || !filling_list(f, option, setting))
		return;
	items = filling_take(f, setting->member_count, stride);
	for (size_t i = 0; items != NULL && i < setting->member_count; i++)
		fill_group(f, option, setting->members[i], setting,
			   items + i * stride);
	field->items = items;
	field->count = items != NULL ? setting->member_count : 0;
}

static void fill_row(struct filling *f, const struct atom_option *option,
		     const struct setting *setting,
		     const struct setting *around, char *out)
{
	void *field = out + option->offset;

	if (option->type == ATOM_OPT_GROUP)
		fill_group(f, option, setting, around, field);
	else if (option->type == ATOM_OPT_GROUPS)
		fill_groups(f, option, setting, field);
	else
		filling_value(f, option, setting, field);
}

/* The option of that name, or nearest to it. */
static void unknown(struct filling *f, const struct atom_option *table,
		    uint32_t count, const struct setting *found)
{
	const char *words[OPTIONS_COUNT_MAX + 1] = { NULL };
	const char *nearest;
	char name[80];

	for (uint32_t i = 0; i < count; i++)
		words[i] = option_at(table, i)->name;
	nearest = text_nearest(found->name, words);
	value_quote(found->name, name, sizeof(name));
	config_complain(
		f->errors, found, "%s: unknown option `%s`%s%s%s", f->subject,
		name, nearest != NULL ? "; did you mean `" : "",
		nearest != NULL ? nearest : "", nearest != NULL ? "`?" : "");
	f->wrong = true;
}

static bool named(const char *const *names, const char *name)
{
	for (size_t i = 0; names != NULL && names[i] != NULL; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static const struct atom_option *find(const struct atom_option *table,
				      uint32_t count, const char *name)
{
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(option_at(table, i)->name, name) == 0)
			return option_at(table, i);
	return NULL;
}

/* `present`: the group is there, so that its required options must be;
 * `around` is where a missing one is said. */
static void fill_table(struct filling *f, const struct atom_option *table,
		       uint32_t count, const struct setting *group,
		       const struct setting *around, const char *const *ignored,
		       bool present, char *out)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct atom_option *option = option_at(table, i);
		const struct setting *setting =
			group != NULL ? setting_member(group, option->name)
				      : NULL;

		if (setting == NULL && present &&
		    (option->flags & ATOM_REQUIRED)) {
			config_complain(
				f->errors, group != NULL ? group : around,
				"%s: option `%s` (%s) is required", f->subject,
				option->name, options_type_name(option->type));
			f->wrong = true;
		}
		if (setting == NULL && (option->flags & ATOM_REQUIRED)) {
			/* No default: what a struct of zeros lacks is the
			 * text and the members. */
			if (option->type == ATOM_OPT_STRING ||
			    option->type == ATOM_OPT_SECRET)
				*(const char **)(void *)(out + option->offset) =
					"";
			else if (option->type == ATOM_OPT_GROUP)
				fill_group(f, option, NULL, around,
					   out + option->offset);
			continue;
		}
		fill_row(f, option, setting, group != NULL ? group : around,
			 out);
	}
	for (size_t i = 0; group != NULL && i < group->member_count; i++) {
		const struct setting *member = group->members[i];

		if (find(table, count, member->name) == NULL &&
		    !named(ignored, member->name))
			unknown(f, table, count, member);
	}
}

atom_status options_fill(const struct atom_component *component,
			 const struct setting *group,
			 const char *const *ignored, struct options **options_r,
			 struct buffer *errors)
{
	const char *word = kind_word_of(component->kind);
	struct options *options = mem_zalloc(sizeof(*options));
	struct filling f = { .options = options, .errors = errors };
	atom_status status = ATOM_OK;
	char subject[160];

	(void)snprintf(subject, sizeof(subject), "%s/%s",
		       word != NULL ? word : component->kind, component->name);
	f.subject = subject;
	if (options == NULL)
		return ATOM_ENOMEM;
	options->component = component;
	if (group != NULL && group->type != SETTING_GROUP) {
		config_complain(errors, group, "%s: its options are a group",
				subject);
		status = ATOM_EINVAL;
		goto out;
	}
	if (component->options_size > 0)
		options->filled = filling_take(&f, 1, component->options_size);
	if (!f.no_memory)
		fill_table(&f, component->options, component->option_count,
			   group, group, ignored, true, options->filled);
	if (f.no_memory)
		status = ATOM_ENOMEM;
	else if (f.wrong)
		status = ATOM_EINVAL;
	else
		*options_r = TAKE(options);
out:
	options_free(&options);
	return status;
}

const void *options_struct(const struct options *options)
{
	return options->filled;
}
