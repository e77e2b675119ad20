/* SPDX-License-Identifier: Apache-2.0 */

/*
 * libconfig 1.5 reads the text, after scan.c has had a look at it, and its
 * tree is copied into ours at once.  Only config_read_string() is used: its
 * file functions follow whatever a name leads to, and its own inclusion ends
 * the process on a bad name.
 */

#include "config/parse.h"

#include <libconfig.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config/complain_priv.h"
#include "config/scan_priv.h"
#include "config/setting_priv.h"
#include "config/source_priv.h"
#include "core/memory.h"

static enum setting_type type_of(const config_setting_t *from)
{
	switch (config_setting_type(from)) {
	case CONFIG_TYPE_BOOL:
		return SETTING_BOOL;
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return SETTING_INT;
	case CONFIG_TYPE_FLOAT:
		return SETTING_FLOAT;
	case CONFIG_TYPE_STRING:
		return SETTING_STRING;
	case CONFIG_TYPE_GROUP:
		return SETTING_GROUP;
	default:
		return SETTING_LIST;
	}
}

static atom_status take_value(struct setting *to, const config_setting_t *from,
			      struct buffer *errors)
{
	const char *text;
	size_t bad;

	switch (config_setting_type(from)) {
	case CONFIG_TYPE_BOOL:
		to->integer = config_setting_get_bool(from);
		break;
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		to->integer = config_setting_get_int64(from);
		break;
	case CONFIG_TYPE_FLOAT:
		to->number = config_setting_get_float(from);
		break;
	case CONFIG_TYPE_STRING:
		text = config_setting_get_string(from);
		if (text == NULL)
			return ATOM_ENOMEM;
		/* \xHH may have made bytes that the file did not hold. */
		if (!source_is_utf8(text, strlen(text), &bad)) {
			complain_at(errors, to->file, to->line,
				    "a string that is not UTF-8");
			return ATOM_EINVAL;
		}
		to->raw = to->text = mem_strdup(text);
		if (to->raw == NULL)
			return ATOM_ENOMEM;
		break;
	default:
		break;
	}
	return ATOM_OK;
}

/* Recursion ends at SETTING_DEPTH_MAX: scan_check() saw to it. */
static atom_status convert(const config_setting_t *from, const char *file,
			   struct setting **setting_r, struct buffer *errors)
{
	bool aggregate = config_setting_is_aggregate(from);
	int length = aggregate ? config_setting_length(from) : 0;
	struct setting *to;
	atom_status status;

	to = setting_new(type_of(from), config_setting_name(from), file,
			 (int)config_setting_source_line(from));
	if (to == NULL)
		return ATOM_ENOMEM;
	status = take_value(to, from, errors);
	for (int i = 0; status == ATOM_OK && i < length; i++) {
		const config_setting_t *next =
			config_setting_get_elem(from, (unsigned int)i);
		struct setting *member = NULL;

		/* libconfig does not see that it has no memory for one. */
		status = to->type == SETTING_GROUP &&
					 config_setting_name(next) == NULL
				 ? ATOM_ENOMEM
				 : convert(next, file, &member, errors);
		if (status == ATOM_OK)
			status = setting_add(to, member);
		if (status != ATOM_OK)
			setting_free(&member);
	}
	if (status != ATOM_OK) {
		setting_free(&to);
		return status;
	}
	*setting_r = to;
	return ATOM_OK;
}

static void complain_syntax(const config_t *tree, const char *file,
			    struct buffer *errors)
{
	const char *why = config_error_text(tree);

	if (why == NULL)
		why = "syntax error";
	else if (strcmp(why, "mismatched element type in array") == 0)
		why = "[ ] holds values of one type only; use ( ) for several";
	else if (strcmp(why, "duplicate setting name") == 0)
		why = "a key of this line stands in its group already; each "
		      "key is set once";
	complain_at(errors, file, config_error_line(tree), "%s", why);
}

/* libconfig, without memory, ends the process or uses what it did not get: it
 * is not begun where there is less than it may take. */
static bool may_parse(size_t length)
{
	void *room = mem_alloc(65536 + 16 * length);

	mem_free(room);
	return room != NULL;
}

atom_status parse_text(const char *text, size_t length, const char *file,
		       struct setting **root_r, struct buffer *errors)
{
	const char *name = NULL;
	atom_status status;
	config_t tree;
	char *copy;

	config_init(&tree);
	/* Its scanner sees a comment's end only at a line's end. */
	copy = mem_alloc(length + 2);
	name = setting_file_new(file);
	if (copy == NULL || name == NULL) {
		status = ATOM_ENOMEM;
		goto out;
	}
	memcpy(copy, text, length);
	copy[length] = '\n';
	copy[length + 1] = '\0';
	if (memchr(text, '\0', length)) {
		complain_at(errors, file, 0, "holds a NUL byte: it is no text");
		status = ATOM_EINVAL;
		goto out;
	}
	status = scan_check(copy, length + 1, file, errors);
	if (status != ATOM_OK)
		goto out;
	if (!may_parse(length)) {
		status = ATOM_ENOMEM;
		goto out;
	}
	if (config_read_string(&tree, copy) != CONFIG_TRUE) {
		complain_syntax(&tree, file, errors);
		status = ATOM_EINVAL;
		goto out;
	}
	status = convert(config_root_setting(&tree), name, root_r, errors);
out:
	if (status == ATOM_ENOMEM)
		complain_at(errors, file, 0, "cannot be read: no memory");
	config_destroy(&tree);
	setting_file_unref(&name);
	mem_free(copy);
	return status;
}
