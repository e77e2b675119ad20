/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ctrl-C as something to wait for.
 *
 * For the commands that must end in good order (a conversation goes on, a
 * terminal is put back, a JSON list is closed): the signals are blocked and
 * read from a descriptor.
 */
#ifndef CTL_INTERRUPT_H
#define CTL_INTERRUPT_H

#include <stdbool.h>

/* Blocks SIGINT and SIGTERM, and SIGWINCH when `resize`; answers a descriptor
 * that is readable when one came, or -1. Close it with close(). */
int interrupt_open(bool resize);

/* Takes one signal: its number, 0 when none waits. */
int interrupt_take(int descriptor);

#endif
