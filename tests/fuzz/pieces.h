/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FUZZ_PIECES_H
#define FUZZ_PIECES_H

/*
 * Bytes cut in pieces, each in an allocation of its own and no longer than it
 * says, so that a reader that looks beyond one is caught.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct pieces {
	const uint8_t *at;
	const uint8_t *end;
	uint8_t seed;
	char *piece; /* the current one */
};

/* `seed` 0: all at once. */
static inline struct pieces pieces_of(const uint8_t *bytes, size_t size,
				      uint8_t seed)
{
	return (struct pieces){ bytes, bytes + size, seed, NULL };
}

/* NULL at the end.  The piece before it is freed. */
static inline char *pieces_next(struct pieces *p, size_t *length_r)
{
	size_t length = (size_t)(p->end - p->at);

	free(p->piece);
	p->piece = NULL;
	if (length == 0)
		return NULL;
	if (p->seed != 0) {
		size_t wanted = 1 + p->seed % 13u;

		p->seed = (uint8_t)(p->seed * 37u + 1);
		if (p->seed == 0)
			p->seed = 1;
		length = wanted < length ? wanted : length;
	}
	p->piece = malloc(length);
	if (p->piece == NULL)
		abort();
	memcpy(p->piece, p->at, length);
	p->at += length;
	*length_r = length;
	return p->piece;
}

#endif
