/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes in, whole lines out.
 *
 * A line ends in LF, CRLF or CR (server-sent events allow all three); the end
 * is not part of it. Feed what arrives in pieces of any size; `on_line` is
 * called for each whole line, in order. `lines_end` hands out a last line that
 * had no end.
 */
#ifndef CTL_LINES_H
#define CTL_LINES_H

#include "text.h"

/* Answers false to stop. `line` is NUL-terminated and valid until it returns. */
typedef bool lines_handler(void *closure, const char *line, size_t length);

struct lines {
	struct text pending;
	lines_handler *on_line;
	void *closure;
	bool after_cr;
};

/* `max_bytes`: the longest line that is accepted. */
void lines_init(struct lines *lines, size_t max_bytes, lines_handler *on_line,
		void *closure);

/* False: the handler stopped, a line was too long, or memory was short. */
bool lines_feed(struct lines *lines, const char *bytes, size_t length);
bool lines_end(struct lines *lines);

void lines_fini(struct lines *lines);

#endif
