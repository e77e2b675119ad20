/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_PROBE_H
#define PLUGIN_PROBE_H

/*
 * What is in plugins, found out in child processes.  A helper is this program
 * again, as `--probe COUNT`, with the files as its descriptors 3 and on and a
 * clean environment.  It has one thread and never loads a plugin, but forks
 * children, which costs a fraction of another start of the program.  There a
 * plugin is mapped, checked, initialised and ended; what crashes or hangs does
 * so there, under limits and a deadline.
 *
 * A first child examines all files, one after another, and answers for those
 * that are in order: almost always all.  Each of the others gets a child of
 * its own, with that one descriptor, whose verdict counts: no plugin is refused
 * for what another did.
 *
 * A child of one file answers the helper with lines `@STAGE` as it goes and one
 * JSON document at the end:
 *
 *	{"name","version","license","abi","needs","flags",
 *	 "components":[{"kind","name","summary","flags","options":[...]}],
 *	 "refused":[{"kind","name","why"}],"notices":["..."]}
 *
 * or {"error": "why"}.  The helper judges that, and how the child ended, and
 * writes a line for each file on its descriptor 1:
 *
 *	{"file": 0, "answer": {...}}
 *	{"file": 0, "refusal": "why", "passing": false}
 *
 * `passing` is what was not the plugin's fault.  A line without either: the
 * helper had no memory.
 *
 * Answers are remembered by content hash for the life of the process.
 * probe_run() may be called on one thread at a time, any thread.
 */

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "plugin/file.h"

#define PROBE_DEADLINE_MS 5000
#define PROBE_ANSWER_MAX  (4 * 1024 * 1024) /* bytes */
#define PROBE_FILES_MAX	  32		    /* of one helper */

struct probe_job {
	const struct plugin_file *file;
	bool in_place; /* load the installed file, not the copy */
	/* Out: one of the two. */
	json_t *answer; /* a new reference, its shape checked */
	char *refusal;	/* mem_free() it; goes behind "FILE: " */
};

/* Answers every job; several children at once.  A job without memory for its
 * answer gets neither.  At most PROBE_FILES_MAX that are not remembered. */
void probe_run(struct probe_job *jobs, size_t count);

/* Forgets all answers. */
void probe_fini(void);

#endif
