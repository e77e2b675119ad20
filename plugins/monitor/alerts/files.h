/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ALERTS_FILES_H
#define ALERTS_FILES_H

/*
 * The rule files that an option names, and whether they have changed since
 * they were read.
 */

#include "plugins/monitor/alerts/rules.h"

/* Changes with any file's name, size, time or inode; reads no file.
 * `patterns` are shell patterns; a relative one starts at `directory`. */
uint64_t files_stamp(const struct atom_strings *patterns,
		     const char *directory);
/* Reads all of them into `rules`, in the order of the patterns and then of
 * names.  ATOM_ENOENT: a pattern without * ? [ names no file. */
atom_status files_read(const struct atom_strings *patterns,
		       const char *directory, struct rules *rules,
		       struct atom_error *err);

#endif
