/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The tree itself: made, walked, copied, freed.
 *
 * Tens of thousands of settings come from one file, so its name is stored
 * once and counted; everything else of a setting is its own.
 */

#include "config/setting_priv.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"

struct file_name {
	atomic_uint references;
	char path[];
};

static struct file_name *file_name_of(const char *path)
{
	return CONTAINER_OF((char *)(uintptr_t)path, struct file_name, path);
}

const char *setting_file_new(const char *path)
{
	size_t size = strlen(path) + 1;
	struct file_name *name = mem_alloc(sizeof(*name) + size);

	if (name == NULL)
		return NULL;
	atomic_init(&name->references, 1);
	memcpy(name->path, path, size);
	return name->path;
}

static const char *file_ref(const char *file)
{
	atomic_fetch_add_explicit(&file_name_of(file)->references, 1,
				  memory_order_relaxed);
	return file;
}

void setting_file_unref(const char **file)
{
	const char *path = TAKE(*file);
	struct file_name *name;

	if (path == NULL)
		return;
	name = file_name_of(path);
	if (atomic_fetch_sub_explicit(&name->references, 1,
				      memory_order_acq_rel) == 1)
		mem_free(name);
}

/* Settings from nowhere have the static name "". */
static const char no_file[] = "";

struct setting *setting_new(enum setting_type type, const char *name,
			    const char *file, int line)
{
	struct setting *setting = mem_zalloc(sizeof(*setting));

	if (setting == NULL)
		return NULL;
	setting->type = type;
	setting->line = line;
	setting->file = file && file != no_file ? file_ref(file) : no_file;
	if (name == NULL)
		return setting;
	setting->name = mem_strdup(name);
	if (setting->name == NULL)
		setting_free(&setting);
	return setting;
}

struct setting *setting_new_string(const char *name, const char *text,
				   const char *file, int line)
{
	struct setting *setting = setting_new(SETTING_STRING, name, file, line);

	if (setting == NULL)
		return NULL;
	setting->raw = mem_strdup(text);
	setting->text = setting->raw;
	if (setting->raw == NULL)
		setting_free(&setting);
	return setting;
}

void setting_free(struct setting **setting)
{
	struct setting *gone = TAKE(*setting);

	if (gone == NULL)
		return;
	for (size_t i = 0; i < gone->member_count; i++)
		setting_free(&gone->members[i]);
	mem_free(gone->members);
	if (gone->text != gone->raw) {
		if (gone->secret)
			mem_wipe_free(gone->text, strlen(gone->text));
		else
			mem_free(gone->text);
	}
	mem_free(gone->raw);
	if (gone->file != no_file)
		setting_file_unref(&gone->file);
	mem_free((char *)(uintptr_t)gone->name);
	mem_free(gone);
}

/* The members' array grows by doubling; its capacity follows from the count:
 * the next power of two, at least 4. */
atom_status setting_add(struct setting *parent, struct setting *member)
{
	size_t count = parent->member_count;

	if (count == 0 || (count >= 4 && (count & (count - 1)) == 0)) {
		size_t capacity = count == 0 ? 4 : count * 2;
		struct setting **members = mem_realloc(
			parent->members, capacity * sizeof(*members));

		if (members == NULL)
			return ATOM_ENOMEM;
		parent->members = members;
	}
	parent->members[parent->member_count++] = member;
	member->parent = parent;
	return ATOM_OK;
}

void setting_replace(struct setting *old, struct setting *next)
{
	const struct setting *parent = old->parent;

	for (size_t i = 0; i < parent->member_count; i++) {
		if (parent->members[i] != old)
			continue;
		parent->members[i] = next;
		next->parent = parent;
		setting_free(&old);
		return;
	}
}

const struct setting *setting_member(const struct setting *group,
				     const char *name)
{
	if (group == NULL || group->type != SETTING_GROUP)
		return NULL;
	for (size_t i = 0; i < group->member_count; i++)
		if (strcmp(group->members[i]->name, name) == 0)
			return group->members[i];
	return NULL;
}

struct setting *setting_member_mutable(struct setting *group, const char *name)
{
	return (struct setting *)(uintptr_t)setting_member(group, name);
}

void setting_set_text(struct setting *setting, char *text)
{
	if (setting->text != setting->raw)
		mem_free(setting->text);
	setting->text = text;
}

bool setting_name_is_legal(const char *name)
{
	static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz*";

	return *name && strchr(first, *name) &&
	       name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "abcdefghijklmnopqrstuvwxyz0123456789-_*")] ==
		       '\0';
}

const char *setting_type_name(enum setting_type type)
{
	static const char *const names[] = {
		[SETTING_BOOL] = "a boolean", [SETTING_INT] = "an integer",
		[SETTING_FLOAT] = "a number", [SETTING_STRING] = "a string",
		[SETTING_GROUP] = "a group",  [SETTING_LIST] = "a list",
	};

	return names[type];
}

static size_t index_in_parent(const struct setting *setting)
{
	size_t at = 0;

	while (setting->parent->members[at] != setting)
		at++;
	return at;
}

void setting_path(const struct setting *setting, char *out, size_t out_size)
{
	const struct setting *chain[SETTING_DEPTH_MAX + 8] = { NULL };
	size_t depth = 0, length = 0;

	out[0] = '\0';
	for (; setting && setting->parent && depth < ARRAY_SIZE(chain);
	     setting = setting->parent)
		chain[depth++] = setting;
	while (depth-- > 0 && length < out_size) {
		const struct setting *step = chain[depth];
		int wrote;

		if (step->name)
			wrote = snprintf(out + length, out_size - length,
					 "%s%s", length ? "." : "", step->name);
		else
			wrote = snprintf(out + length, out_size - length,
					 "[%zu]", index_in_parent(step));
		length += wrote > 0 ? (size_t)wrote : 0;
	}
}

struct setting *setting_copy(const struct setting *setting)
{
	struct setting *copy = setting_new(setting->type, setting->name,
					   setting->file, setting->line);

	if (copy == NULL)
		return NULL;
	copy->secret = setting->secret;
	copy->convertible = setting->convertible;
	copy->integer = setting->integer;
	copy->number = setting->number;
	if (setting->type == SETTING_STRING) {
		copy->raw = copy->text = mem_strdup(setting->raw);
		if (copy->raw == NULL)
			goto no_memory;
		if (setting->text != setting->raw) {
			copy->text = mem_strdup(setting->text);
			if (copy->text == NULL) {
				copy->text = copy->raw;
				goto no_memory;
			}
		}
	}
	for (size_t i = 0; i < setting->member_count; i++) {
		struct setting *member = setting_copy(setting->members[i]);

		if (member == NULL)
			goto no_memory;
		if (setting_add(copy, member) != ATOM_OK) {
			setting_free(&member);
			goto no_memory;
		}
	}
	return copy;

no_memory:
	setting_free(&copy);
	return NULL;
}

/* Puts `member` in the place of the one of its name. */
static bool replace(struct setting *group, struct setting *member)
{
	for (size_t i = 0; i < group->member_count; i++) {
		if (strcmp(group->members[i]->name, member->name) != 0)
			continue;
		setting_free(&group->members[i]);
		group->members[i] = member;
		member->parent = group;
		return true;
	}
	return false;
}

struct setting *setting_overlay(const struct setting *group,
				const struct setting *over)
{
	struct setting *copy = setting_copy(group);

	for (size_t i = 0; copy != NULL && i < over->member_count; i++) {
		struct setting *member = setting_copy(over->members[i]);

		if (member != NULL && (replace(copy, member) ||
				       setting_add(copy, member) == ATOM_OK))
			continue;
		setting_free(&member);
		setting_free(&copy);
	}
	return copy;
}

atom_status setting_add_text(struct setting *group, const char *name,
			     const char *text)
{
	struct setting *member =
		setting_new_string(name, text, group->file, group->line);
	atom_status status = ATOM_ENOMEM;

	if (member != NULL)
		status = setting_add(group, member);
	if (status != ATOM_OK)
		setting_free(&member);
	return status;
}
