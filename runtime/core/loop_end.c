/* SPDX-License-Identifier: Apache-2.0 */

/* The end of one loop; the order among them is loop.c's. */

#include <assert.h>

#include "core/log.h"
#include "core/loop_priv.h"
#include "core/memory.h"

int64_t loop_stop_deadline_ms = 5000;

struct at_stop {
	struct at_stop *earlier;
	void (*run)(void *argument);
	void *argument;
};

atom_status loop_at_stop(struct loop *loop, void (*run)(void *argument),
			 void *argument)
{
	struct at_stop *added;

	assert(loop_is_mine(loop));
	if (loop->stopping)
		return ATOM_ECANCELED;
	added = mem_alloc(sizeof(*added));
	if (!added)
		return ATOM_ENOMEM;
	*added = (struct at_stop){ loop->at_stop, run, argument };
	loop->at_stop = added;
	return ATOM_OK;
}

static bool is_own_handle(const struct loop *loop, const uv_handle_t *handle)
{
	return handle == (const uv_handle_t *)&loop->wake ||
	       handle == (const uv_handle_t *)&loop->quiet ||
	       handle == (const uv_handle_t *)&loop->clock;
}

static void close_foreign(uv_handle_t *handle, void *argument)
{
	struct loop *loop = argument;

	if (is_own_handle(loop, handle) || uv_is_closing(handle))
		return;
	log_line(ATOM_LOG_WARN, "loop_handle_left",
		 "a handle was still open at the end and is closed",
		 LOG_TEXT("type", uv_handle_type_name(handle->type)),
		 LOG_NUMBER("loop", loop->index));
	uv_close(handle, NULL);
}

static void on_deadline(struct timer *timer)
{
	struct loop *loop = CONTAINER_OF(timer, struct loop, deadline);

	if (loop->deadlines++ == 0) {
		works_cancel(loop);
		uv_walk(&loop->uv, close_foreign, loop);
		(void)timer_set(loop, timer, loop_stop_deadline_ms);
		return;
	}
	/* What runs on the pool cannot be interrupted. */
	log_line(ATOM_LOG_ERROR, "loop_stuck",
		 "blocking work did not end; the loop ends without it",
		 LOG_NUMBER("loop", loop->index));
	loop->stuck = true;
	uv_stop(&loop->uv);
}

void loop_let_go(struct loop *loop)
{
	loop->deadline.fire = on_deadline;
	loop->deadlines = 0;
	if (timer_set(loop, &loop->deadline, loop_stop_deadline_ms))
		log_printf(ATOM_LOG_WARN, "loop_no_deadline",
			   "no memory for the deadline of the end");
	uv_unref((uv_handle_t *)&loop->wake);
}

void loop_begin_stop(struct loop *loop)
{
	struct at_stop *next;

	loop->stopping = true;
	for (; (next = loop->at_stop) != NULL; mem_free(next)) {
		loop->at_stop = next->earlier;
		next->run(next->argument);
	}
	loop_let_go(loop);
}

void loop_drain(struct loop *loop)
{
	do {
		loop_deliver(loop, UINT32_MAX);
		if (!loop->stuck)
			uv_run(&loop->uv, UV_RUN_DEFAULT);
	} while (mailbox_waiting(&loop->mailbox));
	timer_stop(&loop->deadline);
}
