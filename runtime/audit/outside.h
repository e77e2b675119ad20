/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_OUTSIDE_H
#define AUDIT_OUTSIDE_H

/*
 * Signed heads that were kept away from the log: what shows that a log was
 * cut or written anew by somebody who had its key.  Read from what a sink or
 * a person has kept: notes one behind the other, or lines with JSON in which
 * some text is a note.
 */

#include <stdbool.h>
#include <stddef.h>

#include <atomd/plugin.h>

#include "audit/note.h"

/* Bytes of one file of them. */
#define OUTSIDE_FILE_MAX ((size_t)256 * 1024 * 1024)

struct outside_note {
	struct note_head head; /* what it says, not yet verified */
	char *text;
	size_t length;
	bool checked; /* against the log, by whoever verifies */
};

struct outside_notes {
	struct outside_note *items; /* by size, rising */
	size_t count, room;
};

/* Adds the notes of a text.  ATOM_EINVAL: something that begins like a note
 * is none, or there is not one; nothing of the text is kept then. */
atom_status outside_add_text(struct outside_notes *notes, const char *name,
			     const char *text, size_t length,
			     struct atom_error *err);
/* The same of a file. */
atom_status outside_add_file(struct outside_notes *notes, const char *path,
			     struct atom_error *err);
void outside_fini(struct outside_notes *notes);

#endif
