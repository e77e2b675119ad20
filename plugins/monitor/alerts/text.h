/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ALERTS_TEXT_H
#define ALERTS_TEXT_H

/*
 * A text that grows, written to as a file and whole or none:
 * open_memstream() goes on behind a piece that it had no memory for, and
 * neither ferror() nor fclose() says so.
 */

#include <stddef.h>
#include <stdio.h>

struct text {
	char *bytes;
	size_t length, room;
};

/* To be written to, and given to text_close() whatever happened.  NULL: no
 * memory. */
FILE *text_open(struct text *text);
/* All that was written, NUL-ended and the caller's to free; NULL: some of it
 * had no memory. */
char *text_close(struct text *text, FILE *file);

#endif
