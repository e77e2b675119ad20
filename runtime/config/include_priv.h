/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_INCLUDE_PRIV_H
#define CONFIG_INCLUDE_PRIV_H

/*
 * From one file to all of them.
 *
 * `include` of the main file lists names and patterns (* ? [...]), relative
 * to its folder, each pattern's files in the order of their names.  An
 * included file adds to lists, and may set a key that no other file sets;
 * it includes nothing itself.  A file is read once.
 */

#include "config/setting.h"
#include "config/source_priv.h"
#include "core/buffer.h"

#define INCLUDE_FILES_MAX   1000
#define INCLUDE_BYTES_MAX   ((size_t)64 * 1024 * 1024)
#define INCLUDE_ENTRIES_MAX 100000 /* of folders looked through */

/* Reads `path` into *root_r, its includes not yet followed.  ATOM_EINVAL with
 * messages, ATOM_ENOMEM. */
atom_status include_read_main(const char *path, struct setting **root_r,
			      struct source_identity *identity_r,
			      struct buffer *errors);
/* Follows `include` of the main file's tree `root` and merges what it finds
 * into it.  References of `include` itself are resolved here, with
 * `environment`; those of the merged tree are not.  Reads on after a fault,
 * so that all are told. */
atom_status include_follow(struct setting *root, const char *main_path,
			   const struct source_identity *main_identity,
			   const char *environment, struct buffer *errors);

/* Calls `found` for every file that matches, in order; a name without
 * pattern is found whether there or not.  `base` ends in '/' or is "".
 * ATOM_EINVAL when a folder cannot be read, is too large, or the pattern is
 * illegal: *why_r says so.  What `found` returns, when not ATOM_OK, ends
 * it. */
atom_status pattern_expand(const char *base, const char *pattern,
			   atom_status (*found)(void *argument,
						const char *path),
			   void *argument, const char **why_r);
/* Has it any of * ? [ ? */
bool pattern_is_one(const char *text);

#endif
