/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/desk.h"

#include <stdalign.h>

#include "core/memory.h"
#include "gateway/exchange.h"

/* Escaped, the largest emit is six times as long. */
#define SCRATCH_MAX  ((size_t)64 * 1024 * 1024)
#define SCRATCH_KEEP ((size_t)256 * 1024)
#define LOGGED_MAX   20

static struct {
	alignas(64) struct desk desk;
} desks[LOOP_MAX + 1];

struct desk *desk_of(const struct loop *loop)
{
	return &desks[loop_index(loop)].desk;
}

struct buffer *desk_scratch(struct desk *desk)
{
	struct buffer *scratch = &desk->scratch;

	scratch->max = SCRATCH_MAX;
	if (scratch->capacity > SCRATCH_KEEP)
		buffer_fini(scratch);
	else
		buffer_clear(scratch);
	return scratch;
}

bool desk_may_log(struct desk *desk, const struct loop *loop)
{
	int64_t now_ms = loop_now_ms(loop);

	if (now_ms - desk->logged_ms >= 1000) {
		desk->logged_ms = now_ms;
		desk->logged = 0;
	}
	return desk->logged++ < LOGGED_MAX;
}

uint64_t desks_active(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < ARRAY_SIZE(desks); i++)
		sum += atomic_load_explicit(&desks[i].desk.active,
					    memory_order_relaxed);
	return sum;
}

void desks_fini(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(desks); i++) {
		struct desk *desk = &desks[i].desk;

		exchanges_free(desk);
		buffer_fini(&desk->scratch);
		desk->admitted = NULL;
	}
}
