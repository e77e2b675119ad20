/* SPDX-License-Identifier: Apache-2.0 */
#include "deadline.h"

#include <stdio.h>
#include <stdlib.h>

static void put(struct deadlines *all, size_t place, struct deadline *d)
{
	all->heap[place - 1] = d;
	d->place = place;
}

/* Finds the place of `d`, which now stands at `place`, upwards and down. */
static void settle(struct deadlines *all, size_t place, struct deadline *d)
{
	while (place > 1 && all->heap[place / 2 - 1]->due_ns > d->due_ns) {
		put(all, place, all->heap[place / 2 - 1]);
		place /= 2;
	}
	for (;;) {
		size_t child = place * 2;

		if (child > all->count)
			break;
		if (child < all->count &&
		    all->heap[child]->due_ns < all->heap[child - 1]->due_ns)
			child++;
		if (all->heap[child - 1]->due_ns >= d->due_ns)
			break;
		put(all, place, all->heap[child - 1]);
		place = child;
	}
	put(all, place, d);
}

void deadline_set(struct deadlines *all, struct deadline *d, uint64_t due_ns)
{
	d->due_ns = due_ns;
	if (d->place == 0) {
		if (all->count == all->capacity) {
			size_t capacity = all->capacity * 2 + 64;
			struct deadline **heap =
				realloc(all->heap,
					capacity * sizeof(struct deadline *));

			if (heap == NULL) {
				fprintf(stderr, "no memory for deadlines\n");
				exit(1);
			}
			all->heap = heap;
			all->capacity = capacity;
		}
		d->place = ++all->count;
	}
	settle(all, d->place, d);
}

void deadline_drop(struct deadlines *all, struct deadline *d)
{
	size_t place = d->place;
	struct deadline *last;

	if (place == 0)
		return;
	last = all->heap[--all->count];
	d->place = 0;
	if (last != d)
		settle(all, place, last);
}

struct deadline *deadline_first(const struct deadlines *all)
{
	return all->count > 0 ? all->heap[0] : NULL;
}
