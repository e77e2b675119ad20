/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_PARSE_H
#define CONFIG_PARSE_H

/*
 * Text in libconfig's syntax to a tree of settings, references not yet
 * resolved.  The only file that knows libconfig.  [any]
 */

#include "config/setting.h"
#include "core/buffer.h"

/* The most that is read of one file. */
#define PARSE_FILE_MAX ((size_t)4 * 1024 * 1024)

/* `text` need not end in NUL; `file` is its name in messages and settings.
 * The root is a group.  ATOM_EINVAL with messages in `errors`, ATOM_ENOMEM
 * with one too. */
atom_status parse_text(const char *text, size_t length, const char *file,
		       struct setting **root_r, struct buffer *errors);

#endif
