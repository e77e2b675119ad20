/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_FILE_SCAN_H
#define AUDIT_FILE_SCAN_H

/* A file, one line after the other. */

#include <atomd/host.h>

#include <sys/types.h>

struct scan {
	int fd;
	off_t end;    /* nothing is read from here on */
	off_t offset; /* of the next line */
	char *window;
	size_t capacity;
	size_t start, filled; /* of the bytes in the window */
};

enum scan_result {
	SCAN_LINE,    /* without its '\n'; lives until the next call */
	SCAN_END,     /* nothing is left */
	SCAN_PARTIAL, /* the rest has no '\n', or is longer than any line */
	SCAN_FAILED,  /* errno */
};

/* Reads `fd`, the caller's, from `offset` up to `end`. */
void scan_init(struct scan *scan, int fd, off_t offset, off_t end);
void scan_fini(struct scan *scan);
/* *offset_r: where the line, or the partial one, begins. */
enum scan_result scan_next(struct scan *scan, struct atom_span *line_r,
			   off_t *offset_r);

#endif
