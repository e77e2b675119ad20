/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The routing snapshot, with 1, 1,000 and 10,000 agents: what a look-up costs
 * a serving loop, what publishing another snapshot and freeing the old one
 * costs control, and what look-ups cost while snapshots are swapped without a
 * pause.
 *
 *	route [--rounds N]
 *
 * Names are looked up in no order, so that with many agents memory has its
 * share.  Exit status 1 when an agent was not found, or a snapshot was not
 * freed.
 */

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agents_priv.h"
#include "agent/directory.h"
#include "agent/directory_priv.h"
#include "core/memory.h"
#include "core/qsbr.h"
#include "rounds.h"

#define LOOKUPS	   400000
#define AT_ONCE	   64 /* look-ups between two quiet points */
#define SWAPS	   20
#define AGENTS_MAX 10000

static const size_t counts[] = { 1, 1000, AGENTS_MAX };

static struct agent agents[AGENTS_MAX];
static struct config_agent texts[AGENTS_MAX];
static struct revision revisions[AGENTS_MAX];
static struct split splits[AGENTS_MAX];
static char names[AGENTS_MAX][16];
static uint32_t order[LOOKUPS];
static _Atomic bool looking, over;
static _Atomic long lost;

static void die(const char *what)
{
	(void)fprintf(stderr, "route: %s\n", what);
	exit(1);
}

static void make_agents(void)
{
	for (size_t i = 0; i < AGENTS_MAX; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "agent-%05zu", i);
		agents[i].name = names[i];
		texts[i].name = names[i];
		revisions[i].agent = &texts[i];
		/* One reference that nobody gives back. */
		atomic_init(&revisions[i].refs, 1);
		splits[i].stable = &revisions[i];
	}
}

/* Numerical Recipes' linear congruence. */
static void make_order(size_t count)
{
	uint32_t state = 1;

	for (size_t i = 0; i < LOOKUPS; i++) {
		state = state * 1664525u + 1013904223u;
		order[i] = (uint32_t)((state >> 8) % count);
	}
}

/* --- a serving loop ------------------------------------------------------ */

static void look_up(uint32_t index)
{
	struct assignment assignment;
	struct revision *revision;
	struct route_wish wish = {
		.agent = names[index],
		.agent_length = strlen(names[index]),
		.principal = "bench",
	};

	if (directory_route(&wish, &revision, &assignment) != ROUTE_FOUND ||
	    revision != &revisions[index]) {
		atomic_fetch_add(&lost, 1);
		return;
	}
	revision_unref(revision);
}

/* All look-ups, and on until it is told that it is over.  CPU ns of each of
 * the first. */
static void *serve(void *argument)
{
	double *ns = argument, began;

	qsbr_online(0);
	atomic_store(&looking, true);
	began = cpu_ns();
	for (size_t i = 0; i < LOOKUPS; i++) {
		look_up(order[i]);
		if (i % AT_ONCE == 0)
			qsbr_quiet(0);
	}
	*ns = (cpu_ns() - began) / LOOKUPS;
	atomic_store(&looking, false);
	while (!atomic_load(&over)) {
		qsbr_quiet(0);
		sched_yield();
	}
	qsbr_offline(0);
	return NULL;
}

static void wake(unsigned int loop)
{
	(void)loop; /* It never sleeps. */
}

/* --- control ------------------------------------------------------------- */

struct swap {
	double publish_us; /* CPU time: another snapshot is in force */
	double free_us;	   /* and the old one is freed */
	double wait_us;	   /* until no loop holds it any more */
};

static struct swap swap(size_t count)
{
	struct swap took;
	double began = cpu_ns(), before = 0;

	if (directory_publish(splits, count) != ATOM_OK)
		die("no memory for a snapshot");
	took.publish_us = (cpu_ns() - began) / 1e3;
	began = wall_ns();
	for (;;) {
		before = cpu_ns();
		if (qsbr_collect() == 0)
			break;
		sched_yield();
	}
	took.free_us = (cpu_ns() - before) / 1e3;
	took.wait_us = (wall_ns() - began) / 1e3 - took.free_us;
	return took;
}

struct figures {
	double alone[ROUNDS_MAX], beside[ROUNDS_MAX];
	double publish[ROUNDS_MAX * SWAPS], wait[ROUNDS_MAX * SWAPS],
		freeing[ROUNDS_MAX * SWAPS];
	int swaps;
};

static void begin(pthread_t *thread, double *ns)
{
	atomic_store(&over, false);
	atomic_store(&looking, false);
	if (pthread_create(thread, NULL, serve, ns) != 0)
		die("a thread cannot be made");
	while (!atomic_load(&looking))
		sched_yield();
}

static void end(pthread_t thread)
{
	atomic_store(&over, true);
	(void)pthread_join(thread, NULL);
}

static void round_of(size_t count, struct figures *f, int round)
{
	pthread_t thread;

	begin(&thread, &f->alone[round]);
	while (atomic_load(&looking))
		sched_yield();
	end(thread);
	begin(&thread, &f->beside[round]);
	for (int i = 0; atomic_load(&looking); i++) {
		struct swap took = swap(count);

		if (i >= SWAPS)
			continue;
		f->publish[f->swaps] = took.publish_us;
		f->wait[f->swaps] = took.wait_us;
		f->freeing[f->swaps++] = took.free_us;
	}
	end(thread);
}

static void measure(size_t count, int rounds)
{
	static struct figures f;

	f.swaps = 0;
	make_order(count);
	(void)swap(count);
	for (int i = 0; i < rounds; i++)
		round_of(count, &f, i);
	printf("route: %5zu agents: a look-up %5.1f ns, %5.1f beside swaps; a "
	       "swap %7.1f us CPU to publish, %6.1f to free, %6.1f us until "
	       "no loop holds the old one\n",
	       count, median(f.alone, rounds), median(f.beside, rounds),
	       median(f.publish, f.swaps), median(f.freeing, f.swaps),
	       median(f.wait, f.swaps));
}

/* Every reference of a snapshot is back. */
static bool all_free(void)
{
	(void)swap(0);
	for (size_t i = 0; i < AGENTS_MAX; i++)
		if (atomic_load(&revisions[i].refs) != 1)
			return false;
	return true;
}

int main(int argc, char **argv)
{
	const int rounds = rounds_argument(argc, argv, 9);

	qsbr_init(1, wake);
	make_agents();
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		measure(counts[i], rounds);
	if (atomic_load(&lost) == 0 && all_free())
		return 0;
	printf("route: an agent was not found, or a snapshot is still there\n");
	return 1;
}
