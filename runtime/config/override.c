/* SPDX-License-Identifier: Apache-2.0 */
#include "config/override_priv.h"

#include <stdio.h>
#include <string.h>

#include "config/complain_priv.h"
#include "config/setting_priv.h"
#include "config/value.h"
#include "core/memory.h"
#include "core/text.h"

#define PATH_SHOWN_MAX 200

struct overriding {
	const struct config_override *override;
	struct buffer *errors;
	const char *file; /* "-D PATH", for the settings made */
};

bool override_is_environment(const struct config_override *override)
{
	return strcmp(override->path, "environment") == 0;
}

ATOM_PRINTF(2, 3)
static atom_status refuse(struct overriding *o, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain_at_v(o->errors, o->file, 0, format, args);
	va_end(args);
	return ATOM_EINVAL;
}

/* Does `path` begin with the step `name`?  Then its length. */
static size_t step_length(const char *path, const char *name)
{
	size_t length = strlen(name);

	return length && strncmp(path, name, length) == 0 &&
			       (path[length] == '.' || path[length] == '\0')
		       ? length
		       : 0;
}

static struct setting *member_by_index(struct setting *list, const char *path,
				       size_t *length_r)
{
	size_t length = strspn(path, "0123456789");
	char digits[16];
	int64_t index;

	if (length == 0 || length >= sizeof(digits) ||
	    (path[length] != '.' && path[length] != '\0'))
		return NULL;
	memcpy(digits, path, length);
	digits[length] = '\0';
	if (!text_to_int(digits, &index) ||
	    (uint64_t)index >= list->member_count)
		return NULL;
	*length_r = length;
	return list->members[index];
}

/* The member whose name is the longest that the path begins with, for names
 * hold dots: both `gpt-4` and `gpt-4.1` may be there. */
static struct setting *member_of_list(struct setting *list, const char *path,
				      size_t *length_r)
{
	struct setting *best = NULL;

	*length_r = 0;
	for (size_t i = 0; i < list->member_count; i++) {
		const struct setting *name =
			setting_member(list->members[i], "name");
		const char *text = name ? value_to_text(name) : NULL;
		size_t length = text ? step_length(path, text) : 0;

		if (length > *length_r) {
			*length_r = length;
			best = list->members[i];
		}
	}
	return best ? best : member_by_index(list, path, length_r);
}

static atom_status complain_no_member(struct overriding *o,
				      const struct setting *list,
				      const char *path)
{
	const char **names = mem_array(list->member_count + 1, sizeof(*names));
	char wrong[80], hint[COMPLAIN_HINT_MAX], step[80];
	size_t count = 0;

	if (names == NULL)
		return ATOM_ENOMEM;
	for (size_t i = 0; i < list->member_count; i++) {
		const struct setting *name =
			setting_member(list->members[i], "name");

		if (name && value_to_text(name))
			names[count++] = value_to_text(name);
	}
	(void)snprintf(step, sizeof(step), "%.*s", (int)strcspn(path, "."),
		       path);
	value_quote(step, wrong, sizeof(wrong));
	(void)refuse(o, "`%s` has no member `%s`%s",
		     list->name ? list->name : "", wrong,
		     complain_hint(step, names, hint));
	mem_free(names);
	return ATOM_EINVAL;
}

/* The group that the last step of the path names a key of. */
static atom_status walk(struct overriding *o, struct setting *at,
			const char *path, struct setting **parent_r,
			const char **key_r)
{
	for (int depth = 0; depth < SETTING_DEPTH_MAX; depth++) {
		size_t length = strcspn(path, ".");
		struct setting *next;
		char name[256];

		if (at->type == SETTING_LIST) {
			next = member_of_list(at, path, &length);
			if (next == NULL)
				return complain_no_member(o, at, path);
			if (path[length] == '\0')
				return refuse(
					o,
					"a whole member of a list cannot be set");
			at = next;
			path += length + 1;
			continue;
		}
		if (at->type != SETTING_GROUP)
			return refuse(o, "`%s` is %s and has no members",
				      at->name ? at->name : path,
				      setting_type_name(at->type));
		if (path[length] == '\0') {
			*parent_r = at;
			*key_r = path;
			return ATOM_OK;
		}
		if (length == 0 || length >= sizeof(name))
			return refuse(o, "a key in it is empty or too long");
		memcpy(name, path, length);
		name[length] = '\0';
		next = setting_member_mutable(at, name);
		if (next == NULL) {
			next = setting_new(SETTING_GROUP, name, o->file, 0);
			if (next == NULL || setting_add(at, next) != ATOM_OK) {
				setting_free(&next);
				return ATOM_ENOMEM;
			}
		}
		at = next;
		path += length + 1;
	}
	return refuse(o, "it has too many steps");
}

static struct setting *new_value(struct overriding *o, const char *key,
				 const struct setting *old)
{
	const char *value = o->override->value;
	size_t length = strlen(value);
	struct setting *setting;
	struct setting typed;

	if (length >= 2 && *value == '"' && value[length - 1] == '"') {
		char *inside = mem_strndup(value + 1, length - 2);

		setting = inside ? setting_new_string(key, inside, o->file, 0)
				 : NULL;
		mem_free(inside);
		return setting;
	}
	setting = setting_new_string(key, value, o->file, 0);
	if (setting == NULL)
		return NULL;
	setting->convertible = true;
	typed = *setting;
	if (old && ((old->type == SETTING_INT &&
		     value_to_int(setting, &typed.integer)) ||
		    (old->type == SETTING_FLOAT &&
		     value_to_float(setting, &typed.number)))) {
		setting->type = old->type;
		setting->integer = typed.integer;
		setting->number = typed.number;
	} else if (old && old->type == SETTING_BOOL) {
		bool truth;

		if (value_to_bool(setting, &truth)) {
			setting->type = SETTING_BOOL;
			setting->integer = truth;
		}
	}
	return setting;
}

static atom_status set_value(struct overriding *o, struct setting *parent,
			     const char *key)
{
	struct setting *old = setting_member_mutable(parent, key);
	struct setting *setting;

	if (!setting_name_is_legal(key))
		return refuse(o, "`%.60s` is no key", key);
	if (old && old->type >= SETTING_GROUP)
		return refuse(o, "`%s` is %s; -D sets one value", key,
			      setting_type_name(old->type));
	setting = new_value(o, key, old);
	if (setting == NULL)
		return ATOM_ENOMEM;
	if (old) {
		setting_replace(old, setting);
		return ATOM_OK;
	}
	if (setting_add(parent, setting) != ATOM_OK) {
		setting_free(&setting);
		return ATOM_ENOMEM;
	}
	return ATOM_OK;
}

atom_status override_apply(struct setting *root,
			   const struct config_override *override,
			   struct buffer *errors)
{
	struct overriding o = { .override = override, .errors = errors };
	struct setting *parent = NULL;
	const char *key = NULL;
	char file[PATH_SHOWN_MAX], path[PATH_SHOWN_MAX - 8];
	atom_status status;

	value_quote(override->path, path, sizeof(path));
	(void)snprintf(file, sizeof(file), "-D %s", path);
	o.file = setting_file_new(file);
	if (o.file == NULL)
		return ATOM_ENOMEM;
	status = walk(&o, root, override->path, &parent, &key);
	if (status == ATOM_OK)
		status = set_value(&o, parent, key);
	setting_file_unref(&o.file);
	return status;
}
