/* SPDX-License-Identifier: Apache-2.0 */
#include "bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALLEST 512

void bytes_fini(struct bytes *b)
{
	free(b->at);
	*b = (struct bytes){ 0 };
}

void bytes_clear(struct bytes *b, size_t keep)
{
	if (b->capacity > keep)
		bytes_fini(b);
	b->start = b->end = 0;
}

char *bytes_room(struct bytes *b, size_t length)
{
	size_t used = bytes_left(b), capacity = SMALLEST;
	char *at;

	if (length > BYTES_MAX || used > BYTES_MAX - length)
		return NULL;
	if (b->capacity - b->end >= length && b->at != NULL)
		return b->at + b->end;
	if (b->start > 0 && b->at != NULL) {
		memmove(b->at, b->at + b->start, used);
		b->start = 0;
		b->end = used;
	}
	while (capacity < used + length)
		capacity *= 2;
	if (capacity > b->capacity) {
		at = realloc(b->at, capacity);
		if (at == NULL) {
			fprintf(stderr, "no memory for %zu bytes\n", capacity);
			exit(1);
		}
		b->at = at;
		b->capacity = capacity;
	}
	return b->at + b->end;
}

bool bytes_add(struct bytes *b, const char *from, size_t length)
{
	char *to = bytes_room(b, length);

	if (to == NULL)
		return false;
	memcpy(to, from, length);
	b->end += length;
	return true;
}

void bytes_drop(struct bytes *b, size_t length)
{
	b->start += length;
	if (b->start == b->end)
		b->start = b->end = 0;
}
