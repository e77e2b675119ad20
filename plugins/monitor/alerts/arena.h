/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ALERTS_ARENA_H
#define ALERTS_ARENA_H

/*
 * Memory that is freed all at once: one arena holds a parsed rule file, one
 * the values of an evaluation.  A maximum bounds what an expression may take.
 * One thread at a time.
 */

#include <stddef.h>

struct arena_block;
struct arena_end;

struct arena {
	struct arena_block *blocks;
	struct arena_end *ends;
	size_t used; /* bytes taken from the system */
	size_t max;
};

/* Nothing is allocated before it is asked for. */
#define ARENA_INIT(most)       \
	{                      \
		.max = (most), \
	}

/* `size` zero bytes, aligned for any type; NULL: out of memory, or over the
 * maximum.  Lives until arena_fini(). */
void *arena_take(struct arena *arena, size_t size);
/* The same for an array, without overflow. */
void *arena_array(struct arena *arena, size_t count, size_t size);
/* A copy of `length` bytes and a NUL; NULL as above. */
char *arena_text(struct arena *arena, const char *bytes, size_t length);
/* Calls `end(argument)` in arena_fini(), latest first, for what owns more
 * than memory.  0: out of memory, and `end` will not be called. */
int arena_at_end(struct arena *arena, void (*end)(void *argument),
		 void *argument);
/* Frees all; the arena may be used again. */
void arena_fini(struct arena *arena);

#endif
