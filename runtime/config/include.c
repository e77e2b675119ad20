/* SPDX-License-Identifier: Apache-2.0 */
#include "config/include_priv.h"

#include <stdio.h>
#include <string.h>

#include "config/complain_priv.h"
#include "config/config.h"
#include "config/parse.h"
#include "config/reference_priv.h"
#include "config/setting_priv.h"
#include "config/source_priv.h"
#include "config/value.h"
#include "core/memory.h"

struct including {
	struct setting *root; /* all is merged into it */
	struct buffer *errors;
	const struct setting *pattern; /* the entry of `include` followed */
	struct source_identity read[INCLUDE_FILES_MAX + 1];
	size_t read_count;
	size_t bytes;
	bool fault;
};

static atom_status read_file(const char *path, struct setting **root_r,
			     struct source_identity *identity_r,
			     size_t *bytes_r, const struct setting *from,
			     struct buffer *errors)
{
	struct buffer text = BUFFER_INIT(PARSE_FILE_MAX);
	struct atom_error err = ATOM_ERROR_INIT;
	char shown[256];
	atom_status status;

	value_quote(path, shown, sizeof(shown));
	status = source_read(path, &text, identity_r, &err);
	if (status != ATOM_OK && from)
		config_complain(errors, from, "%s %s", shown, err.message);
	else if (status != ATOM_OK)
		complain_at(errors, shown, 0, "%s", err.message);
	*bytes_r = text.length;
	if (status == ATOM_OK)
		status = parse_text(text.length ? text.bytes : "", text.length,
				    path, root_r, errors);
	buffer_fini(&text);
	return status == ATOM_OK || status == ATOM_ENOMEM ? status
							  : ATOM_EINVAL;
}

atom_status include_read_main(const char *path, struct setting **root_r,
			      struct source_identity *identity_r,
			      struct buffer *errors)
{
	size_t bytes;

	return read_file(path, root_r, identity_r, &bytes, NULL, errors);
}

/* --- merging ------------------------------------------------------------- */

static atom_status move_member(struct setting *to, struct setting *from,
			       size_t index)
{
	atom_status status = setting_add(to, from->members[index]);

	if (status == ATOM_OK)
		from->members[index] = NULL;
	return status;
}

static atom_status merge_group(struct including *in, struct setting *to,
			       struct setting *from);

static atom_status merge_member(struct including *in, struct setting *to,
				struct setting *from, size_t index)
{
	struct setting *member = from->members[index];
	struct setting *there = setting_member_mutable(to, member->name);
	atom_status status = ATOM_OK;

	if (there == NULL && to->member_count < SETTING_MEMBERS_MAX)
		return move_member(to, from, index);
	if (there == NULL) {
		config_complain(in->errors, member,
				"more than %d settings in one group",
				SETTING_MEMBERS_MAX);
		in->fault = true;
		return ATOM_OK;
	}
	if (there->type == SETTING_GROUP && member->type == SETTING_GROUP)
		return merge_group(in, there, member);
	if (there->type != SETTING_LIST || member->type != SETTING_LIST) {
		config_complain(in->errors, member,
				"`%s` is set at %s:%d already", member->name,
				there->file, there->line);
		in->fault = true;
		return ATOM_OK;
	}
	for (size_t i = 0; status == ATOM_OK && i < member->member_count; i++)
		status = move_member(there, member, i);
	return status;
}

/* Groups join member by member, lists are put one behind the other, and
 * nothing is set twice. */
static atom_status merge_group(struct including *in, struct setting *to,
			       struct setting *from)
{
	atom_status status = ATOM_OK;

	for (size_t i = 0; status == ATOM_OK && i < from->member_count; i++)
		status = merge_member(in, to, from, i);
	return status;
}

/* --- following ----------------------------------------------------------- */

static bool was_read(struct including *in,
		     const struct source_identity *identity)
{
	for (size_t i = 0; i < in->read_count; i++)
		if (in->read[i].device == identity->device &&
		    in->read[i].inode == identity->inode)
			return true;
	return false;
}

/* What decides which files are read cannot come from one of them. */
static void refuse_main_only(struct including *in, const struct setting *root)
{
	static const char *const names[] = { "environment", "include" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const struct setting *there = setting_member(root, names[i]);

		if (there == NULL)
			continue;
		config_complain(in->errors, there,
				"`%s` stands in the main file only", names[i]);
		in->fault = true;
	}
}

static atom_status take_file(void *argument, const char *path)
{
	struct source_identity identity = { 0, 0 };
	struct including *in = argument;
	struct setting *root = NULL;
	atom_status status;
	char shown[256];
	size_t bytes;

	status = read_file(path, &root, &identity, &bytes, in->pattern,
			   in->errors);
	if (status == ATOM_ENOMEM)
		return status;
	if (status != ATOM_OK) {
		in->fault = true;
		return ATOM_OK; /* on to the next */
	}
	value_quote(path, shown, sizeof(shown));
	in->bytes += bytes;
	if (was_read(in, &identity)) {
		config_complain(in->errors, in->pattern,
				"%s is included twice, or includes itself",
				shown);
		in->fault = true;
	} else if (in->read_count > INCLUDE_FILES_MAX ||
		   in->bytes > INCLUDE_BYTES_MAX) {
		config_complain(in->errors, in->pattern,
				"more than %d files or %zu MiB are included",
				INCLUDE_FILES_MAX,
				INCLUDE_BYTES_MAX / 1024 / 1024);
		status = ATOM_EINVAL;
	} else {
		in->read[in->read_count++] = identity;
		refuse_main_only(in, root);
		status = merge_group(in, in->root, root);
	}
	setting_free(&root);
	return status;
}

static atom_status follow_one(struct including *in,
			      const struct setting *pattern, const char *base)
{
	const char *text = value_to_text(pattern), *why = NULL;
	char shown[256];
	atom_status status;

	in->pattern = pattern;
	if (text == NULL || *text == '\0') {
		char found[VALUE_DESCRIPTION_MAX];

		value_describe(pattern, found);
		config_complain(in->errors, pattern,
				"`include` is a list of file names, found %s",
				found);
		in->fault = true;
		return ATOM_OK;
	}
	status = pattern_expand(base, text, take_file, in, &why);
	if (why) {
		value_quote(text, shown, sizeof(shown));
		config_complain(in->errors, pattern, "`include` %s: %s", shown,
				why);
	}
	return status;
}

static atom_status follow_list(struct including *in, struct setting *list,
			       const char *main_path, const char *environment)
{
	struct reference_scope scope = { .environment = environment };
	const char *slash = strrchr(main_path, '/');
	atom_status status;
	char *base;

	status = reference_resolve(list, &scope, in->errors);
	if (status != ATOM_OK)
		return status;
	base = mem_strndup(main_path,
			   slash ? (size_t)(slash + 1 - main_path) : 0);
	if (base == NULL)
		return ATOM_ENOMEM;
	for (size_t i = 0; status == ATOM_OK && i < list->member_count; i++)
		status = follow_one(in, list->members[i], base);
	mem_free(base);
	return status;
}

atom_status include_follow(struct setting *root, const char *main_path,
			   const struct source_identity *main_identity,
			   const char *environment, struct buffer *errors)
{
	struct setting *list = setting_member_mutable(root, "include");
	struct including *in;
	atom_status status;

	/* Another type is told with all other keys. */
	if (list == NULL || list->type != SETTING_LIST)
		return ATOM_OK;
	in = mem_zalloc(sizeof(*in));
	if (in == NULL)
		return ATOM_ENOMEM;
	in->root = root;
	in->errors = errors;
	in->read[in->read_count++] = *main_identity;
	status = follow_list(in, list, main_path, environment);
	if (status == ATOM_OK && in->fault)
		status = ATOM_EINVAL;
	mem_free(in);
	return status;
}
