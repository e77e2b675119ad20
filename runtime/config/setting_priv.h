/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_SETTING_PRIV_H
#define CONFIG_SETTING_PRIV_H

/*
 * Making and changing trees of settings: only while one is being read, for a
 * finished tree is immutable.
 */

#include "config/setting.h"

/* What a tree may hold.  Deeper or larger input is refused before it gets
 * here, so recursion over a tree is bounded. */
#define SETTING_DEPTH_MAX   64
#define SETTING_MEMBERS_MAX 1000   /* of one group */
#define SETTING_COUNT_MAX   500000 /* of one file or API call */

/* The name of a file, shared by all settings of it.  NULL without memory. */
const char *setting_file_new(const char *path);
void setting_file_unref(const char **file);

/* `file` is a shared name (one more reference is taken) and `name` is copied;
 * both may be NULL.  NULL without memory. */
struct setting *setting_new(enum setting_type type, const char *name,
			    const char *file, int line);
/* A string setting with its text (copied); NULL without memory. */
struct setting *setting_new_string(const char *name, const char *text,
				   const char *file, int line);
/* Appends; `member` belongs to `parent` on success, else to the caller. */
atom_status setting_add(struct setting *parent, struct setting *member);
/* Puts `next` (same name) in the place of `old`, which is freed. */
void setting_replace(struct setting *old, struct setting *next);
/* setting_member(), to change it. */
struct setting *setting_member_mutable(struct setting *group, const char *name);
/* Makes `text` (taken) what the string stands for. */
void setting_set_text(struct setting *setting, char *text);
/* Is `name` one that libconfig can write: [A-Za-z*][-A-Za-z0-9_*]*? */
bool setting_name_is_legal(const char *name);
/* A string as it may be shown: `raw`, or "***" when its name is one of
 * `secret_names` (NULL-ended or NULL) and it is more than a reference. */
const char *setting_shown_text(const struct setting *setting,
			       const char *const *secret_names);

#endif
