/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_PROBE_H
#define PLUGIN_PROBE_H

/*
 * What is in a plugin, found out in a child process: this program again, as
 * `--probe 3`, with that one descriptor, a clean environment, limits and a
 * deadline.  There the plugin is mapped, checked, initialised and ended; what
 * crashes or hangs does so there.
 *
 * The child answers on its descriptor 1 with lines `@STAGE` as it goes and
 * one JSON document at the end:
 *
 *	{"name","version","license","abi","needs","flags",
 *	 "components":[{"kind","name","summary","flags","options":[...]}],
 *	 "refused":[{"kind","name","why"}],"notices":["..."]}
 *
 * or {"error": "why"}.
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

struct probe_job {
	const struct plugin_file *file;
	bool in_place; /* load the installed file, not the copy */
	/* Out: one of the two. */
	json_t *answer; /* a new reference, its shape checked */
	char *refusal;	/* mem_free() it; goes behind "FILE: " */
};

/* Answers every job; several children at once.  A job without memory for its
 * answer gets neither. */
void probe_run(struct probe_job *jobs, size_t count);

/* Which program to run instead of /proc/self/exe; NULL = that again.  The
 * text is not copied. */
void probe_set_program(const char *path);
/* Forgets all answers. */
void probe_fini(void);

/* The child's end of it: the answer about the plugin in `fd`, on `answer_fd`.
 * Returns an exit status. */
int probe_answer(int fd, int answer_fd);

#endif
