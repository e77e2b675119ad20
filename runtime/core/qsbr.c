/* SPDX-License-Identifier: Apache-2.0 */
#include "core/qsbr.h"

#include <assert.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "core/loop.h"
#include "core/memory.h"

/*
 * Control counts epochs: the objects that one iteration retired begin one
 * together, when its callbacks have returned.  A loop copies the epoch that it
 * sees at each quiet point, so that a loop whose copy is at least the object's
 * epoch has forgotten the object.
 *
 * Why the orders below are enough:
 * - Control unpublished the object, then raises the epoch (release).  A loop
 *   that reads this epoch (acquire) sees every later load of the pointer give
 *   the new object.
 * - The loop's copy is a release store after its last use of the old object,
 *   and control reads it with acquire before it frees.
 */
static _Atomic uint64_t epoch = 1;

#define OFFLINE 0

/* A line of its own for each loop: they are written all the time. */
static struct {
	_Alignas(64) _Atomic uint64_t seen;
} words[LOOP_MAX];

struct note {
	struct note *next;
	uint64_t epoch;
	void (*release)(void *object);
	void *object;
};

/* Control's alone; the oldest first. */
static struct notes {
	struct note *first;
	struct note **last;
} fresh = { NULL, &fresh.first }, begun = { NULL, &begun.first };
static size_t waiting; /* of both */
static unsigned int loop_count;
static void (*wake_loop)(unsigned int loop_index);
static uint64_t woken[LOOP_MAX]; /* the epoch that it was last woken for */

void qsbr_init(unsigned int loops, void (*wake)(unsigned int loop_index))
{
	assert(loops <= LOOP_MAX);
	loop_count = loops;
	wake_loop = wake;
	memset(woken, 0, sizeof(woken));
	for (unsigned int i = 0; i < LOOP_MAX; i++)
		atomic_store(&words[i].seen, OFFLINE);
}

void qsbr_online(unsigned int loop_index)
{
	atomic_store(&words[loop_index].seen, atomic_load(&epoch));
}

void qsbr_quiet(unsigned int loop_index)
{
	_Atomic uint64_t *word = &words[loop_index].seen;
	uint64_t now = atomic_load_explicit(&epoch, memory_order_acquire);

	/* Nobody waits for it to be said twice, and the line stays shared. */
	if (atomic_load_explicit(word, memory_order_relaxed) != now)
		atomic_store_explicit(word, now, memory_order_release);
}

void qsbr_offline(unsigned int loop_index)
{
	atomic_store_explicit(&words[loop_index].seen, OFFLINE,
			      memory_order_release);
}

/* The epoch that every loop has seen. */
static uint64_t seen_by_all(void)
{
	uint64_t least = UINT64_MAX;

	for (unsigned int i = 0; i < loop_count; i++) {
		uint64_t seen = atomic_load_explicit(&words[i].seen,
						     memory_order_acquire);

		if (seen != OFFLINE && seen < least)
			least = seen;
	}
	return least;
}

/* Once an epoch: a loop that is busy needs no second push. */
static void wake_those_behind(uint64_t wanted)
{
	for (unsigned int i = 0; i < loop_count; i++) {
		uint64_t seen = atomic_load_explicit(&words[i].seen,
						     memory_order_acquire);

		if (seen != OFFLINE && seen < wanted && woken[i] < wanted) {
			woken[i] = wanted;
			wake_loop(i);
		}
	}
}

static uint64_t begin_epoch(void)
{
	return atomic_fetch_add_explicit(&epoch, 1, memory_order_acq_rel) + 1;
}

void qsbr_retire(void (*release)(void *object), void *object)
{
	struct note *note = mem_alloc(sizeof(*note));

	if (!note) {
		uint64_t mine = begin_epoch();

		wake_those_behind(mine);
		while (seen_by_all() < mine)
			sched_yield();
		release(object);
		return;
	}
	*note = (struct note){ NULL, 0, release, object };
	*fresh.last = note;
	fresh.last = &note->next;
	waiting++;
}

/* What has been retired since the last time begins to wait. */
static void begin_fresh(void)
{
	uint64_t mine;

	if (!fresh.first)
		return;
	mine = begin_epoch();
	for (struct note *note = fresh.first; note; note = note->next)
		note->epoch = mine;
	*begun.last = fresh.first;
	begun.last = fresh.last;
	fresh = (struct notes){ NULL, &fresh.first };
}

size_t qsbr_collect(void)
{
	uint64_t seen;

	if (waiting == 0)
		return 0;
	begin_fresh();
	seen = seen_by_all();
	while (begun.first && begun.first->epoch <= seen) {
		struct note *note = begun.first;

		begun.first = note->next;
		if (!begun.first)
			begun.last = &begun.first;
		waiting--;
		/* May retire more: those are fresh. */
		note->release(note->object);
		mem_free(note);
	}
	if (waiting)
		wake_those_behind(
			atomic_load_explicit(&epoch, memory_order_relaxed));
	return waiting;
}
