/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reclamation: nothing is freed while a loop may hold it, and nobody who has
 * let go, or sleeps, holds it back.
 */
#include "core/qsbr.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/os.h"
#include "tap.h"

#define ALIVE 0x600df00du
#define FREED 0xdeadbeefu

struct snapshot {
	unsigned int state;
	unsigned int number;
};

static _Atomic(struct snapshot *) published;
static unsigned int released;

static struct snapshot *snapshot_new(unsigned int number)
{
	struct snapshot *s = mem_alloc(sizeof(*s));

	CHECK(s);
	s->state = ALIVE;
	s->number = number;
	return s;
}

static void release(void *object)
{
	struct snapshot *s = object;

	CHECK(loop_is_control() && s->state == ALIVE);
	s->state = FREED;
	mem_free(s);
	released++;
}

static void publish(unsigned int number)
{
	struct snapshot *old = atomic_exchange_explicit(
		&published, snapshot_new(number), memory_order_acq_rel);

	if (old)
		qsbr_retire(release, old);
}

static void start(unsigned int serving)
{
	struct atom_error err = ATOM_ERROR_INIT;

	released = 0;
	CHECK(loops_init(serving, &err) == ATOM_OK);
	CHECK(loops_start(&err) == ATOM_OK);
}

static void run_to_the_end(void)
{
	loops_run_control();
	loops_fini();
	mem_free(atomic_exchange(&published, NULL));
}

/* --- readers against a writer -------------------------------------------- */

#define READERS	     3
#define REPLACEMENTS 2000

static _Atomic bool finished;
static unsigned int last_seen[READERS];
static _Atomic unsigned int reads;

static void read_again(struct loop *loop, struct message *message)
{
	const struct snapshot *s =
		atomic_load_explicit(&published, memory_order_acquire);
	unsigned int index = loop_index(loop);

	/* As long as one callback lasts it stays what it is. */
	for (int i = 0; i < 50; i++)
		CHECK(s->state == ALIVE);
	CHECK(s->number >= last_seen[index]);
	last_seen[index] = s->number;
	atomic_fetch_add(&reads, 1);
	if (!atomic_load(&finished))
		loop_post(loop, message);
}

static unsigned int replaced;
static struct message replace_message;

static void replace_again(struct loop *loop, struct message *message)
{
	publish(++replaced);
	if (replaced < REPLACEMENTS) {
		loop_post(loop, message);
		return;
	}
	atomic_store(&finished, true);
	loops_stop();
}

static void readers_never_see_what_was_freed(void)
{
	struct message messages[READERS];

	publish(0);
	start(READERS);
	for (unsigned int i = 0; i < READERS; i++) {
		messages[i].deliver = read_again;
		loop_post(loops_get(i), &messages[i]);
	}
	replace_message.deliver = replace_again;
	loop_post(loop_control(), &replace_message);
	run_to_the_end();
	CHECK(released == REPLACEMENTS && reads >= READERS);
}

/* --- who holds back and who does not ------------------------------------- */

static struct timer look;

static void stop_when_released(struct timer *timer)
{
	if (released)
		loops_stop();
	else
		CHECK(timer_set(loop_control(), timer, 1) == ATOM_OK);
}

static void retire_one(struct loop *loop, struct message *message)
{
	(void)loop;
	(void)message;
	publish(1);
	/* Never before retire has returned: our caller may still look at it. */
	CHECK(released == 0);
}

static void idle_loops_hold_nothing_back(void)
{
	struct message message = { .deliver = retire_one };

	publish(0);
	start(4);
	look = (struct timer){ .fire = stop_when_released };
	CHECK(timer_set(loop_control(), &look, 0) == ATOM_OK);
	loop_post(loop_control(), &message);
	run_to_the_end();
	CHECK(released == 1);
}

static sem_t holds, let_go;
static unsigned int looks;

static void hold(struct loop *loop, struct message *message)
{
	const struct snapshot *s =
		atomic_load_explicit(&published, memory_order_acquire);

	(void)loop;
	(void)message;
	sem_post(&holds);
	while (sem_wait(&let_go) != 0 && errno == EINTR)
		continue;
	CHECK(s->state == ALIVE && s->number == 0);
}

static void look_often(struct timer *timer)
{
	/* By the tenth time the other loops have long been quiet. */
	if (++looks < 10) {
		CHECK(released == 0 && qsbr_collect() == 1);
	} else if (looks == 10) {
		sem_post(&let_go);
	} else if (released) {
		loops_stop();
		return;
	}
	CHECK(timer_set(loop_control(), timer, 1) == ATOM_OK);
}

static void retire_and_look(struct loop *loop, struct message *message)
{
	retire_one(loop, message);
	CHECK(timer_set(loop, &look, 1) == ATOM_OK);
}

static void a_loop_in_a_callback_keeps_what_it_may_hold(void)
{
	struct message holding = { .deliver = hold };
	struct message retiring = { .deliver = retire_and_look };

	CHECK(sem_init(&holds, 0, 0) == 0 && sem_init(&let_go, 0, 0) == 0);
	looks = 0;
	publish(0);
	start(3);
	loop_post(loops_get(1), &holding);
	while (sem_wait(&holds) != 0 && errno == EINTR)
		continue;
	look = (struct timer){ .fire = look_often };
	loop_post(loop_control(), &retiring);
	run_to_the_end();
	CHECK(released == 1 && looks > 10);
}

/* --- unpublished within the callback that retires -------------------------- */

static struct timer first_turn, second_turn;

static void hold_now(struct timer *timer)
{
	(void)timer;
	hold(NULL, NULL);
}

static void turn_again(struct timer *timer)
{
	(void)timer;
	CHECK(timer_set(loops_get(1), &second_turn, 1) == ATOM_OK);
}

/* Between two turns of timers there is a quiet point. */
static void hold_after_a_quiet_point(struct loop *loop, struct message *message)
{
	(void)message;
	CHECK(timer_set(loop, &first_turn, 1) == ATOM_OK);
}

static void retire_before_unpublishing(struct loop *loop,
				       struct message *message)
{
	static struct message holding = { .deliver = hold_after_a_quiet_point };
	struct snapshot *old = atomic_load(&published);

	(void)message;
	qsbr_retire(release, old);
	loop_post(loops_get(1), &holding);
	while (sem_wait(&holds) != 0 && errno == EINTR)
		continue;
	CHECK(atomic_exchange(&published, snapshot_new(1)) == old);
	CHECK(timer_set(loop, &look, 1) == ATOM_OK);
}

static void who_took_it_before_it_was_unpublished_keeps_it(void)
{
	struct message retiring = { .deliver = retire_before_unpublishing };

	CHECK(sem_init(&holds, 0, 0) == 0 && sem_init(&let_go, 0, 0) == 0);
	looks = 0;
	publish(0);
	start(3);
	first_turn.fire = turn_again;
	second_turn.fire = hold_now;
	look = (struct timer){ .fire = look_often };
	loop_post(loop_control(), &retiring);
	run_to_the_end();
	CHECK(released == 1 && looks > 10);
}

/* --- without memory ------------------------------------------------------ */

static _Atomic bool no_memory;
static void *(*real_alloc)(size_t size);

static void *alloc_or_not(size_t size)
{
	return atomic_load(&no_memory) && loop_is_control() ? NULL
							    : real_alloc(size);
}

static void retire_without_memory(struct loop *loop, struct message *message)
{
	struct snapshot *old = atomic_exchange(&published, NULL);

	(void)loop;
	(void)message;
	atomic_store(&no_memory, true);
	qsbr_retire(release, old);
	atomic_store(&no_memory, false);
	CHECK(released == 1);
	loops_stop();
}

static void without_memory_it_waits_and_frees(void)
{
	struct message message = { .deliver = retire_without_memory };

	real_alloc = os.alloc;
	os.alloc = alloc_or_not;
	publish(0);
	start(3);
	loop_post(loop_control(), &message);
	run_to_the_end();
	os.alloc = real_alloc;
}

int main(void)
{
	static const struct tap_test tests[] = {
		TAP_TEST(readers_never_see_what_was_freed),
		TAP_TEST(idle_loops_hold_nothing_back),
		TAP_TEST(a_loop_in_a_callback_keeps_what_it_may_hold),
		TAP_TEST(who_took_it_before_it_was_unpublished_keeps_it),
		TAP_TEST(without_memory_it_waits_and_frees),
	};

	log_set_descriptor(-1);
	return tap_main(tests, ARRAY_SIZE(tests));
}
