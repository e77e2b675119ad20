/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_DEADLINE_H
#define BENCH_DEADLINE_H

/*
 * What is due next, of many: a binary heap of times.  A struct deadline is
 * embedded in what waits; zero it first.
 */

#include <stddef.h>
#include <stdint.h>

struct deadline {
	uint64_t due_ns;
	size_t place; /* in the heap, from 1; 0: not in it */
};

struct deadlines {
	struct deadline **heap;
	size_t count;
	size_t capacity;
};

/* Also moves one that is in the heap already. */
void deadline_set(struct deadlines *all, struct deadline *d, uint64_t due_ns);
void deadline_drop(struct deadlines *all, struct deadline *d);
/* The one that is due first; NULL: none. */
struct deadline *deadline_first(const struct deadlines *all);

#endif
