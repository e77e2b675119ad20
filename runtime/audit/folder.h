/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_FOLDER_H
#define AUDIT_FOLDER_H

/*
 * The folder of a `file` sink, read from outside while the daemon may go on
 * writing to it.  Nothing here changes a byte, and no lock is taken.  Owned
 * by one thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/host.h>

#include "core/buffer.h"

#define FOLDER_HEAD	  "head"
#define FOLDER_KEY	  "verifier.pub"
#define FOLDER_TOMBSTONES "tombstones"
#define FOLDER_RESERVE	  "reserve"
/* The reserve is so many zero bytes. */
#define FOLDER_RESERVE_BYTES (1024 * 1024)
#define FOLDER_NAME_MAX	     64

struct folder {
	const char *path;   /* the caller's */
	uint64_t *segments; /* numbers, rising */
	size_t segment_count;
	/* Names that do not belong, and of files that were being made; one a
	 * line. */
	struct buffer unknown, unfinished;
};

/* Lists it.  ATOM_ENOENT: there is no such folder; ATOM_EIO, ATOM_ENOMEM. */
atom_status folder_list(struct folder *folder, const char *path,
			struct atom_error *err);
void folder_fini(struct folder *folder);

void folder_segment_name(uint64_t number, char out[FOLDER_NAME_MAX]);

/* A whole file of at most `out->max` bytes.  ATOM_ENOENT; ATOM_EDATALOSS: it
 * is no regular file, or larger. */
atom_status folder_read(const char *path, const char *name, struct buffer *out,
			struct atom_error *err);

/* A file, one line after the other. */
struct folder_lines {
	int fd;
	uint64_t offset; /* of the next line: so many bytes were given */
	struct buffer window;
	size_t given; /* of the window */
	bool ended;
};

enum folder_line {
	FOLDER_LINE,	/* without its '\n'; lives until the next call */
	FOLDER_END,	/* the last line had its '\n' */
	FOLDER_PARTIAL, /* the rest has none, or is longer than any line */
	FOLDER_FAILED,	/* errno */
};

/* ATOM_ENOENT, ATOM_EDATALOSS: no regular file, ATOM_EIO. */
atom_status folder_lines_open(struct folder_lines *lines, const char *path,
			      const char *name, struct atom_error *err);
void folder_lines_close(struct folder_lines *lines);
enum folder_line folder_lines_next(struct folder_lines *lines,
				   struct atom_span *line_r);
/* All bytes from `from` on, at most `out->max` of them.  The lines are used
 * up. */
atom_status folder_lines_rest(struct folder_lines *lines, const char *path,
			      const char *name, uint64_t from,
			      struct buffer *out, struct atom_error *err);

#endif
