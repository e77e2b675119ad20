/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_LOOP_H
#define CORE_LOOP_H

/*
 * Event loops: N that serve connections and calls, and the control loop,
 * which runs on the main thread.  Each owns a libuv loop, a mailbox, timers,
 * a metric shard and a place in the quiescent-state bookkeeping (qsbr.h).
 *
 * No thread waits for another: what concerns another loop is posted to it as
 * a message.  A message is part of some object (intrusive), is owned by the
 * receiver from loop_post() on, and is delivered in order of posting by one
 * poster.
 */

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include <atomd/plugin.h>

#define LOOP_MAX 64 /* serving loops */

struct loop;

struct message {
	struct message *next; /* the mailbox's own */
	void (*deliver)(struct loop *loop, struct message *message);
};

/* Makes `serving` loops (0 = one for each CPU this process may run on) and the control loop, which
 * belongs to the calling thread.  Threads do not run yet. */
atom_status loops_init(unsigned int serving, struct atom_error *err);
/* Start the threads of the serving loops. */
atom_status loops_start(struct atom_error *err);
/* [control] Run the control loop until loops_stop(). */
void loops_run_control(void);
/* [any] Ask every loop to end.  Serving loops run their loop_at_stop()
 * callbacks, go on until no handle or work but their own is left on any of
 * them, and end; then control does the same and loops_run_control() returns.
 * What is still open on a loop after 5 s is logged and closed. */
void loops_stop(void);
/* Frees everything; after loops_run_control() has returned, or instead of it
 * when the start failed.  No thread may post any more.  Callbacks of loops
 * that never ran are called here. */
void loops_fini(void);

/* [control] Nobody has asked them to end: what control posts to a serving loop
 * is delivered. */
bool loops_running(void);

/* A loop has ended without work of its own that the pool has not given back:
 * what that points to stays, and so does its thread.  After
 * loops_run_control() or loops_fini(). */
bool loops_stuck(void);

unsigned int loops_serving(void);	    /* how many serve */
struct loop *loops_get(unsigned int index); /* index < loops_serving() */
struct loop *loop_control(void);
struct loop *loop_current(void); /* NULL on a thread that is no loop */
bool loop_is_control(void);

/* 0 .. serving-1; the control loop's is `serving`. */
unsigned int loop_index(const struct loop *loop);
uv_loop_t *loop_uv(struct loop *loop);
/* The loop's cached time: monotonic ms, updated once an iteration. */
int64_t loop_now_ms(const struct loop *loop);
/* Callback at the loop's end, before its handles must be closed.  Called
 * once on the loop's thread, in reverse order of adding.  ATOM_ECANCELED once
 * the loop ends, ATOM_ENOMEM.  [loop], or before loops_start. */
atom_status loop_at_stop(struct loop *loop, void (*run)(void *argument),
			 void *argument);

/* [any] Deliver later on that loop's thread; never inline.  What is posted
 * to a loop after its end is not delivered: control, which goes on after the
 * serving loops, asks loops_running() first, and other threads ask control. */
void loop_post(struct loop *loop, struct message *message);

/* --- timers: thousands of them, cheap to set and to cancel --------------- */

/* Zero it, set `fire`.  Lives in the caller's object; must be stopped before
 * that goes away.  [loop] one loop only. */
struct timer {
	void (*fire)(struct timer *timer);
	struct loop *loop; /* set while pending, else NULL */
	int64_t at_ms;
	uint32_t heap_index;
	uint32_t order; /* among those of one millisecond */
};

/* Fire once, `after_ms` from now (at least 0); moves a pending one.  Timers
 * fire in the order of their times, those of one time in the order in which
 * they were set; what a timer's callback sets fires 1 ms later at the
 * soonest, so that the loop does its I/O in between.  `fire` may set and stop any timer
 * of the loop and free its own.
 * ATOM_ENOMEM when the heap cannot grow (never for one that is pending). */
atom_status timer_set(struct loop *loop, struct timer *timer, int64_t after_ms);
void timer_stop(struct timer *timer);
static inline bool timer_pending(const struct timer *timer)
{
	return timer->loop != NULL;
}

/* --- work that may block ------------------------------------------------- */

/* Zero it, set `run` and `done`; lives until `done`. */
struct work {
	uv_work_t uv;
	struct loop *loop;
	struct work *next, **previous;	/* the loop's own */
	void (*run)(struct work *work); /* [pool] */
	void (*done)(struct work *work, atom_status status); /* [loop] */
};

/* [loop] Run on the pool, then `done` on this loop: exactly once, with
 * ATOM_ECANCELED when it never ran because the loops had to end. */
atom_status work_submit(struct loop *loop, struct work *work);

#endif
