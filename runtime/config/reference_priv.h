/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_REFERENCE_PRIV_H
#define CONFIG_REFERENCE_PRIV_H

/*
 * What stands in a string for something else:
 *
 *	${env:NAME}             the variable NAME; it must be set
 *	${env:NAME:-default}    the same, or `default` when unset or empty
 *	${file:PATH}            a file's text without its last newline; secret
 *	${environment}          the configuration's `environment`
 *	$${                     the two characters ${
 *
 * References do not nest, and what they bring in is not looked at again.
 */

#include "config/setting.h"
#include <stdbool.h>

#include "core/buffer.h"

#define REFERENCE_FILE_MAX ((size_t)64 * 1024)
#define REFERENCE_TEXT_MAX ((size_t)1024 * 1024)

struct reference_scope {
	const char *environment; /* NULL: not known yet, using it is a fault */
	/* Of PATHs in settings from no file, or from one without a folder. */
	const char *directory;
};

/* Resolves every string of the tree; faults are added to `errors` with the
 * setting's place.  ATOM_EINVAL when there were any, ATOM_ENOMEM. */
atom_status reference_resolve(struct setting *tree,
			      const struct reference_scope *scope,
			      struct buffer *errors);
/* Is it one whole ${file:PATH}, and nothing beside it? */
bool reference_is_file(const char *raw);
/* Such a setting gets the path as its text, absolute or below the folder of
 * its file: the file is its reader's to open, and is not read here.  Others
 * are left alone.  Before reference_resolve(), which leaves it alone then.
 * ATOM_ENOMEM. */
atom_status reference_take_path(struct setting *setting,
				const struct reference_scope *scope);
/* `text` written so that it resolves to itself; caller mem_free()s, NULL
 * without memory. */
char *reference_escape(const char *text);

#endif
