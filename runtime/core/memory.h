/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_MEMORY_H
#define CORE_MEMORY_H

/*
 * Allocation through the seam.  Every function that allocates returns NULL
 * when there is no memory, and the caller checks.  mem_free(NULL) is fine.
 * [any]
 */

#include <stddef.h>

void *mem_alloc(size_t size);
void *mem_zalloc(size_t size); /* zeroed */
/* An array of `count` zeroed elements; NULL on overflow too. */
void *mem_array(size_t count, size_t size);
void *mem_realloc(void *old, size_t size);
void mem_free(void *old);
char *mem_strdup(const char *text);
/* Copies `length` bytes and adds a NUL. */
char *mem_strndup(const char *text, size_t length);
/* Overwrites, in a way no compiler removes; then frees. */
void mem_wipe_free(void *old, size_t length);

/* Bytes that somebody has; 0 where the C library does not tell.  Looks at all
 * that are spare: not each second. */
size_t mem_used(void);
/* What is spare, as far as it is whole pages, goes back to the system. */
void mem_give_back(void);
/*
 * Gives back what a start has touched and nobody needs: spare memory, and pages
 * of the program and of libraries that can be read again from their files.  The
 * first calls take those that they need anew, some 100 times half a
 * microsecond.  [any, while nobody is in a hurry]
 */
void mem_settle(void);

/* Moves ownership: the value, and the giver's pointer is cleared. */
#define TAKE(p)                             \
	__extension__({                     \
		__typeof__(p) taken_ = (p); \
		(p) = NULL;                 \
		taken_;                     \
	})

/* The struct of type `type` whose `member` is at `p`. */
#define CONTAINER_OF(p, type, member) \
	((type *)(void *)((char *)(p)-offsetof(type, member)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
