/* SPDX-License-Identifier: Apache-2.0 */

#include "plugins/scaling/formula/memory.h"

#include <string.h>

struct head {
	uint32_t word;
	uint32_t version;
	uint32_t size;
	uint32_t checksum;
};

/* FNV-1a of 32 bits (Fowler, Noll, Vo). */
static uint32_t checksum_of(const void *bytes, size_t size)
{
	const unsigned char *at = bytes;
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ at[i]) * 16777619u;
	return hash;
}

bool memory_read(const struct memory_kind *kind, const void *state,
		 size_t state_size, void *memory, size_t size)
{
	struct head head;
	const unsigned char *bytes = state;

	if (state_size != sizeof(head) + size)
		return false;
	memcpy(&head, bytes, sizeof(head));
	if (head.word != kind->word || head.version != kind->version ||
	    head.size != size ||
	    head.checksum != checksum_of(bytes + sizeof(head), size))
		return false;
	memcpy(memory, bytes + sizeof(head), size);
	return true;
}

void memory_write(const struct memory_kind *kind, const void *memory,
		  size_t size, void *state, size_t *state_size)
{
	struct head head = {
		.word = kind->word,
		.version = kind->version,
		.size = (uint32_t)size,
		.checksum = checksum_of(memory, size),
	};
	unsigned char *bytes = state;

	memcpy(bytes, &head, sizeof(head));
	memcpy(bytes + sizeof(head), memory, size);
	*state_size = sizeof(head) + size;
}
