/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A loop's timers: a binary heap of pointers into their owners' objects, on
 * one libuv timer.  Most timers are deadlines that never fire, so setting and
 * stopping them touches the heap only: the libuv timer is moved when the
 * nearest comes nearer, and left alone when it goes away.
 */

#include <assert.h>

#include "core/loop_priv.h"
#include "core/memory.h"

#define FIRST_CAPACITY 64

static bool is_before(const struct timer *a, const struct timer *b)
{
	if (a->at_ms != b->at_ms)
		return a->at_ms < b->at_ms;
	return (int32_t)(a->order - b->order) < 0;
}

static void place(struct loop *loop, uint32_t at, struct timer *timer)
{
	loop->timers[at] = timer;
	timer->heap_index = at;
}

/* Puts `timer` where it belongs, from the free place `at` on. */
static void sift(struct loop *loop, uint32_t at, struct timer *timer)
{
	while (at > 0) {
		uint32_t parent = (at - 1) / 2;

		if (!is_before(timer, loop->timers[parent]))
			break;
		place(loop, at, loop->timers[parent]);
		at = parent;
	}
	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child + 1 < loop->timer_count &&
		    is_before(loop->timers[child + 1], loop->timers[child]))
			child++;
		if (child >= loop->timer_count ||
		    !is_before(loop->timers[child], timer))
			break;
		place(loop, at, loop->timers[child]);
		at = child;
	}
	place(loop, at, timer);
}

static void remove_timer(struct loop *loop, struct timer *timer)
{
	uint32_t at = timer->heap_index;
	struct timer *moved = loop->timers[--loop->timer_count];

	if (moved != timer)
		sift(loop, at, moved);
	timer->loop = NULL;
}

static void on_clock(uv_timer_t *clock);

/* Sets the clock for the nearest timer, unless it comes early enough. */
static void set_clock(struct loop *loop)
{
	if (loop->timer_count == 0 || loop->clock_ms <= loop->timers[0]->at_ms)
		return;

	int64_t at_ms = loop->timers[0]->at_ms;
	int64_t after_ms = at_ms - loop_now_ms(loop);

	uv_timer_start(&loop->clock, on_clock,
		       (uint64_t)(after_ms > 0 ? after_ms : 0), 0);
	loop->clock_ms = at_ms;
}

static void on_clock(uv_timer_t *clock)
{
	struct loop *loop = clock->data;
	const int64_t now_ms = loop_now_ms(loop);

	loop->clock_ms = INT64_MAX;
	loop->firing = true;
	while (loop->timer_count && loop->timers[0]->at_ms <= now_ms) {
		struct timer *timer = loop->timers[0];

		remove_timer(loop, timer);
		timer->fire(timer);
	}
	loop->firing = false;
	set_clock(loop);
}

static bool make_room(struct loop *loop)
{
	if (loop->timer_count < loop->timer_capacity)
		return true;

	uint32_t capacity = loop->timer_capacity ? loop->timer_capacity * 2
						 : FIRST_CAPACITY;
	struct timer **timers =
		mem_realloc(loop->timers, capacity * sizeof(struct timer *));

	if (!timers)
		return false;
	loop->timers = timers;
	loop->timer_capacity = capacity;
	return true;
}

atom_status timer_set(struct loop *loop, struct timer *timer, int64_t after_ms)
{
	assert(loop_is_mine(loop) && timer->fire);
	assert(!timer->loop || timer->loop == loop);

	/* Nobody else moves the cached time before the loop runs. */
	if (!loop->running)
		uv_update_time(&loop->uv);

	int64_t now_ms = loop_now_ms(loop);
	uint32_t at = timer->heap_index;

	if (!timer->loop) {
		if (!make_room(loop))
			return ATOM_ENOMEM;
		at = loop->timer_count++;
	}
	/* A callback that sets timers of 0 would keep the I/O waiting: both
	 * here and in libuv they would fire within the same round. */
	if (after_ms < loop->firing)
		after_ms = loop->firing;
	timer->loop = loop;
	timer->at_ms =
		after_ms < INT64_MAX - now_ms ? now_ms + after_ms : INT64_MAX;
	timer->order = loop->timer_order++;
	sift(loop, at, timer);
	if (!loop->firing)
		set_clock(loop);
	return ATOM_OK;
}

void timer_stop(struct timer *timer)
{
	if (!timer->loop)
		return;
	assert(loop_is_mine(timer->loop));
	remove_timer(timer->loop, timer);
}

void timers_init(struct loop *loop)
{
	loop->clock.data = loop;
	loop->clock_ms = INT64_MAX;
}

void timers_fini(struct loop *loop)
{
	for (uint32_t i = 0; i < loop->timer_count; i++)
		loop->timers[i]->loop = NULL;
	loop->timer_count = loop->timer_capacity = 0;
	mem_free(TAKE(loop->timers));
}
