/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCALING_FORMULA_MEMORY_H
#define SCALING_FORMULA_MEMORY_H

/*
 * A strategy's memory in the state bytes that the host keeps: a struct of
 * fixed size behind a head that names the strategy, the version and a
 * checksum.  Bytes of another strategy, of another version or damaged ones
 * are no memory, and the strategy begins anew.  The struct's own numbers are
 * the strategy's to check: a checksum says nothing of their sense.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct memory_kind {
	uint32_t word;	  /* four letters of the strategy */
	uint32_t version; /* of the struct */
};

#define MEMORY_WORD(a, b, c, d)                                           \
	((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | \
	 (uint32_t)(d))

/* False: there is none; `memory` stays. */
bool memory_read(const struct memory_kind *kind, const void *state,
		 size_t state_size, void *memory, size_t size);

/* `state` has room for ATOM_SCALING_STATE_MAX; `size` is far below it. */
void memory_write(const struct memory_kind *kind, const void *memory,
		  size_t size, void *state, size_t *state_size);

#endif
