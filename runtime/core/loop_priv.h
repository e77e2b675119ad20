/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_LOOP_PRIV_H
#define CORE_LOOP_PRIV_H

#include "core/loop.h"
#include "core/mailbox.h"

struct at_stop;

struct loop {
	struct mailbox mailbox;

	uv_loop_t uv;
	uv_async_t wake;    /* the one that keeps an idle loop alive */
	uv_prepare_t quiet; /* before each poll */
	uv_timer_t clock;   /* for the nearest of the timers */
	unsigned int index;
	bool threaded; /* a thread runs or ran it */
	bool running;
	bool stopping; /* its at_stop callbacks have run */
	bool stuck;    /* work on the pool never came back */
	uv_thread_t thread;
	struct at_stop *at_stop; /* last added first */
	struct timer deadline;
	unsigned int deadlines; /* how many have passed */

	/* timer.c: a binary heap, the nearest at [0] */
	struct timer **timers;
	uint32_t timer_count;
	uint32_t timer_capacity;
	uint32_t timer_order;
	int64_t clock_ms; /* when the clock is due; INT64_MAX = not set */
	bool firing;

	struct work *works; /* submitted, not done */
};

/* How long handles may stay open after loops_stop(); tests shorten it. */
extern int64_t loop_stop_deadline_ms;

/* Deliver at most so many messages. */
void loop_deliver(struct loop *loop, unsigned int most);
/* Runs the at_stop callbacks, then loop_let_go(). */
void loop_begin_stop(struct loop *loop);
/* From now on the loop lives as long as its other handles, and no longer than
 * the deadline. */
void loop_let_go(struct loop *loop);
/* Runs until nothing but the loop's own is left, mailbox included. */
void loop_drain(struct loop *loop);

/* May the calling thread touch what belongs to the loop? */
bool loop_is_mine(const struct loop *loop);

void timers_init(struct loop *loop);
void timers_fini(struct loop *loop);
/* Are there the two descriptors that libuv wants for signals before its first
 * loop, or calls abort()?  0, or libuv's error. */
int loop_look_for_room(void);
/* Room for the descriptors to come; 0, or libuv's error.  Before anything
 * else is open on the loop. */
int loop_take_room(uv_loop_t *uv);
/* Makes the pool's threads. */
atom_status works_begin(struct loop *loop);
/* Cancels what no pool thread has begun. */
void works_cancel(struct loop *loop);

#endif
