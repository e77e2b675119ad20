/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_BYTES_H
#define BENCH_BYTES_H

/*
 * A growing row of bytes: taken in at the end, given out at the front.  What
 * a mock has still to send, what a generator has got of an event.  It never
 * grows beyond BYTES_MAX; running out of memory ends the program, which has
 * nothing else to do then.
 */

#include <stdbool.h>
#include <stddef.h>

#define BYTES_MAX ((size_t)64 * 1024 * 1024)

struct bytes {
	char *at;
	size_t start; /* given out */
	size_t end;
	size_t capacity;
};

static inline size_t bytes_left(const struct bytes *b)
{
	return b->end - b->start;
}

static inline const char *bytes_front(const struct bytes *b)
{
	return b->at + b->start;
}

void bytes_fini(struct bytes *b);
/* Empty again; what it has grown to beyond `keep` goes back. */
void bytes_clear(struct bytes *b, size_t keep);
/* Room for `length` more at the end; the caller adds to b->end what it wrote.
 * NULL beyond BYTES_MAX. */
char *bytes_room(struct bytes *b, size_t length);
/* false beyond BYTES_MAX */
bool bytes_add(struct bytes *b, const char *from, size_t length);
/* Gives `length` bytes out at the front. */
void bytes_drop(struct bytes *b, size_t length);

#endif
