/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/monitor/alerts/arena.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE 4096
#define ALIGNMENT  (sizeof(max_align_t))

struct arena_block {
	struct arena_block *next;
	size_t used;
	size_t size;
	max_align_t bytes[];
};

struct arena_end {
	struct arena_end *next;
	void (*end)(void *argument);
	void *argument;
};

void *arena_take(struct arena *arena, size_t size)
{
	struct arena_block *block = arena->blocks;
	char *taken;

	if (size > arena->max)
		return NULL;
	size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	if (block == NULL || block->size - block->used < size) {
		size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;

		if (arena->used + room > arena->max)
			return NULL;
		block = malloc(sizeof(*block) + room);
		if (block == NULL)
			return NULL;
		block->next = arena->blocks;
		block->used = 0;
		block->size = room;
		arena->blocks = block;
		arena->used += room;
	}
	taken = (char *)block->bytes + block->used;
	block->used += size;
	memset(taken, 0, size);
	return taken;
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
	if (size != 0 && count > arena->max / size)
		return NULL;
	return arena_take(arena, count * size);
}

char *arena_text(struct arena *arena, const char *bytes, size_t length)
{
	char *text = length < arena->max ? arena_take(arena, length + 1) : NULL;

	if (text != NULL && length > 0)
		memcpy(text, bytes, length);
	return text;
}

int arena_at_end(struct arena *arena, void (*end)(void *argument),
		 void *argument)
{
	struct arena_end *one = arena_take(arena, sizeof(*one));

	if (one == NULL)
		return 0;
	one->next = arena->ends;
	one->end = end;
	one->argument = argument;
	arena->ends = one;
	return 1;
}

void arena_fini(struct arena *arena)
{
	struct arena_block *next;

	for (struct arena_end *one = arena->ends; one != NULL; one = one->next)
		one->end(one->argument);
	for (struct arena_block *block = arena->blocks; block != NULL;
	     block = next) {
		next = block->next;
		free(block);
	}
	arena->blocks = NULL;
	arena->ends = NULL;
	arena->used = 0;
}
