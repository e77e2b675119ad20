/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_SEGMENT_FORGE_H
#define TESTS_UNIT_SEGMENT_FORGE_H

/*
 * What somebody can do to a log of the file sink who may write to its folder
 * and has no key: change words and lines, and make right again whatever needs
 * no key, all digests and the chain.  The log is the one of
 * file_sink_fixture.h; what is not there is an error of the test.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "segment-00000001.log" */
#define FORGE_SEGMENT(number) "segment-0000000" #number ".log"

/* In the n-th line of the file that begins so. */
struct forge_edit {
	const char *file;
	const char *line;
	size_t nth;
	size_t word; /* from 0; of a note all its words are one */
	/* What it becomes.  "~": its first digit or letter is another; "^":
	 * as in the line before that begins so; "+": an empty line comes
	 * before this one; "-": the line goes; "!": "-" instead of it and all
	 * behind. */
	const char *to;
};

/* All files as they are now, and back to that. */
void forge_keep(void);
void forge_restore(void);

void forge_edit(const struct forge_edit *edit);
/* Bytes behind the end of a file. */
void forge_append(const char *file, const char *bytes, size_t length);
/* The digests within the file. */
void forge_digests(const char *file);
/* Those of each segment, and what the next one says of it. */
void forge_log(void);
/* Another byte in record `sequence`, and the hashes of it and of all behind
 * it in the file. */
void forge_record(const char *file, uint64_t sequence);
/* The hashes of all records of the file, behind what its head now says. */
void forge_chain(const char *file);
/* Instead of the file: a folder of its name. */
void forge_folder(const char *file);
void forge_remove(const char *file);

#endif
