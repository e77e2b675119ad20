/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/handle.h"

#include <stdatomic.h>
#include <stddef.h>

#include "core/memory.h"

#define CHUNK_SLOTS 1024u
#define CHUNKS_MAX  1024u /* a million calls a loop */
#define NO_SLOT	    UINT32_MAX

struct slot {
	_Atomic uint32_t generation; /* odd while in use */
	uint32_t next_free;
	void *_Atomic object;
};

struct chunk {
	struct slot slots[CHUNK_SLOTS];
};

/* One a loop; only that loop takes and gives back slots. */
struct space {
	struct chunk *_Atomic chunks[CHUNKS_MAX];
	uint32_t chunk_count;
	uint32_t free_first;
};

static struct space *_Atomic spaces[LOOP_MAX + 1];

static struct slot *slot_at(struct space *space, uint32_t index)
{
	uint32_t at = index / CHUNK_SLOTS;
	struct chunk *chunk;

	if (at >= CHUNKS_MAX)
		return NULL;
	chunk = atomic_load_explicit(&space->chunks[at], memory_order_acquire);
	return chunk != NULL ? &chunk->slots[index % CHUNK_SLOTS] : NULL;
}

static bool space_grow(struct space *space)
{
	struct chunk *chunk;
	uint32_t base = space->chunk_count * CHUNK_SLOTS;

	if (space->chunk_count == CHUNKS_MAX)
		return false;
	chunk = mem_zalloc(sizeof(*chunk));
	if (chunk == NULL)
		return false;
	for (uint32_t i = 0; i < CHUNK_SLOTS; i++)
		chunk->slots[i].next_free =
			i + 1 < CHUNK_SLOTS ? base + i + 1 : space->free_first;
	space->free_first = base;
	atomic_store_explicit(&space->chunks[space->chunk_count++], chunk,
			      memory_order_release);
	return true;
}

uint64_t handle_new(struct loop *loop, void *object)
{
	unsigned int index = loop_index(loop);
	struct space *space = atomic_load(&spaces[index]);
	struct slot *slot;
	uint32_t at, generation;

	if (space == NULL) {
		space = mem_zalloc(sizeof(*space));
		if (space == NULL)
			return 0;
		space->free_first = NO_SLOT;
		atomic_store(&spaces[index], space);
	}
	if (space->free_first == NO_SLOT && !space_grow(space))
		return 0;
	at = space->free_first;
	slot = slot_at(space, at);
	space->free_first = slot->next_free;
	atomic_store_explicit(&slot->object, object, memory_order_relaxed);
	generation =
		atomic_load_explicit(&slot->generation, memory_order_relaxed) +
		1;
	atomic_store_explicit(&slot->generation, generation,
			      memory_order_release);
	return (uint64_t)index << 56 | (uint64_t)at << 32 | generation;
}

static struct slot *slot_of(uint64_t handle)
{
	unsigned int index = (unsigned int)(handle >> 56);
	struct space *space;
	struct slot *slot;

	if (index > LOOP_MAX)
		return NULL;
	space = atomic_load_explicit(&spaces[index], memory_order_acquire);
	if (space == NULL)
		return NULL;
	slot = slot_at(space, (uint32_t)(handle >> 32) & 0xffffffu);
	if (slot == NULL)
		return NULL;
	if (atomic_load_explicit(&slot->generation, memory_order_acquire) !=
	    (uint32_t)handle)
		return NULL;
	return slot;
}

void *handle_get(uint64_t handle)
{
	struct slot *slot = slot_of(handle);

	return slot != NULL ? atomic_load_explicit(&slot->object,
						   memory_order_relaxed)
			    : NULL;
}

void handle_free(uint64_t handle)
{
	struct slot *slot = slot_of(handle);
	struct space *space;

	if (slot == NULL)
		return;
	space = atomic_load(&spaces[handle >> 56]);
	atomic_fetch_add_explicit(&slot->generation, 1, memory_order_release);
	atomic_store_explicit(&slot->object, NULL, memory_order_relaxed);
	slot->next_free = space->free_first;
	space->free_first = (uint32_t)(handle >> 32) & 0xffffffu;
}

void handles_fini(void)
{
	for (unsigned int i = 0; i <= LOOP_MAX; i++) {
		struct space *space = atomic_exchange(&spaces[i], NULL);

		for (uint32_t c = 0; space != NULL && c < space->chunk_count;
		     c++)
			mem_free(atomic_load(&space->chunks[c]));
		mem_free(space);
	}
}
