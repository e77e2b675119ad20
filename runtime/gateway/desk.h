/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_DESK_H
#define GATEWAY_DESK_H

/*
 * What the gateway keeps for one loop: exchanges for the next calls, a
 * buffer to compose in, who has just been let in.  Each is touched by its
 * own loop alone (`active` is read by others).
 */

#include <stdatomic.h>
#include <stdint.h>

#include "core/buffer.h"
#include "core/loop.h"
#include "gateway/admission.h"

struct exchange;

struct desk {
	struct exchange *spare;
	unsigned int spare_count;
	/* For what is composed and handed over at once. */
	struct buffer scratch;
	/* The head seen last, and what was decided about it. */
	const struct http_request *admitted;
	int64_t admitted_ms;
	struct admission admission;
	/* Failures logged in the second that began at logged_ms. */
	int64_t logged_ms;
	unsigned int logged;
	_Atomic uint64_t active;
};

struct desk *desk_of(const struct loop *loop);
/* Empty and ready; after a large use it is given back. */
struct buffer *desk_scratch(struct desk *desk);
/* May another failure be logged in this second? */
bool desk_may_log(struct desk *desk, const struct loop *loop);

static inline void desk_enter(struct desk *desk)
{
	atomic_store_explicit(
		&desk->active,
		atomic_load_explicit(&desk->active, memory_order_relaxed) + 1,
		memory_order_relaxed);
}

static inline void desk_leave(struct desk *desk)
{
	atomic_store_explicit(
		&desk->active,
		atomic_load_explicit(&desk->active, memory_order_relaxed) - 1,
		memory_order_relaxed);
}

uint64_t desks_active(void);
/* After the loops have ended. */
void desks_fini(void);

#endif
