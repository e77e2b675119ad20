/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a person sits at: colours, safe output, the progress line, keys.
 */
#ifndef CTL_TERMINAL_H
#define CTL_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <termios.h>

struct terminal {
	bool in;     /* stdin is a terminal */
	bool out;    /* stdout is one */
	bool error;  /* stderr is one */
	bool colour; /* stdout may be coloured: a terminal, no $NO_COLOR */
	bool progress_shown;
	bool keys_on;
	struct termios saved;
};

void terminal_init(struct terminal *terminal);

/* Writes what somebody else wrote. `raw` is for files and pipes: byte by byte.
 * Otherwise control characters other than LF and TAB are dropped, so that no
 * answer of an agent can drive the terminal. */
void terminal_write(FILE *out, const char *bytes, size_t length, bool raw);

/* Redraws, or takes away, the progress line on stderr; nothing happens when
 * stderr is no terminal. `words` are ours, never a stranger's. */
void terminal_progress(struct terminal *terminal, const char *words,
		       unsigned elapsed_s);
void terminal_progress_end(struct terminal *terminal);

/* Full screen with single keys, and back. Ctrl-C stays a signal. */
bool terminal_keys_on(struct terminal *terminal);
void terminal_keys_off(struct terminal *terminal);

/* Size of stdout's terminal; 80 by 24 when it does not say. */
void terminal_size(int *columns_r, int *rows_r);

#endif
