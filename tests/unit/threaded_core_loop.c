/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loops: messages between them, timers, work that blocks, and the
 * orderly end.
 */
#include "core/loop.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "core/id.h"
#include "core/log.h"
#include "core/loop_priv.h"
#include "core/memory.h"
#include "core/os.h"
#include "tap.h"

static void start(unsigned int serving)
{
	struct atom_error err = ATOM_ERROR_INIT;

	CHECK(loops_init(serving, &err) == ATOM_OK);
	CHECK(loops_start(&err) == ATOM_OK);
}

static void run_to_the_end(void)
{
	loops_run_control();
	loops_fini();
}

/* --- messages ------------------------------------------------------------ */

#define POSTERS	   4
#define PER_POSTER 20000

struct numbered {
	struct message message;
	unsigned int poster;
	unsigned int number;
};

static struct numbered numbered[POSTERS][PER_POSTER];
/* By loop and poster; each written by its loop alone. */
static unsigned int next_number[2][POSTERS];
static _Atomic unsigned int received;

static void receive_numbered(struct loop *loop, struct message *message)
{
	struct numbered *n = CONTAINER_OF(message, struct numbered, message);
	unsigned int index = loop_index(loop);

	CHECK(loop == loop_current());
	/* A poster's even numbers go to loop 0, its odd ones to loop 1. */
	CHECK(n->number == 2 * next_number[index][n->poster] + index);
	next_number[index][n->poster]++;
	if (atomic_fetch_add(&received, 1) + 1 == POSTERS * PER_POSTER)
		loops_stop();
}

static void *post_numbered(void *argument)
{
	unsigned int poster = *(const unsigned int *)argument;

	for (unsigned int i = 0; i < PER_POSTER; i++) {
		struct numbered *n = &numbered[poster][i];

		n->message.deliver = receive_numbered;
		n->poster = poster;
		n->number = i;
		loop_post(loops_get(i % 2), &n->message);
	}
	return NULL;
}

static void every_message_arrives_in_its_posters_order(void)
{
	static const unsigned int posters[POSTERS] = { 0, 1, 2, 3 };
	pthread_t threads[POSTERS];

	start(2);
	for (unsigned int i = 0; i < POSTERS; i++)
		CHECK(pthread_create(&threads[i], NULL, post_numbered,
				     (void *)(uintptr_t)&posters[i]) == 0);
	loops_run_control();
	for (unsigned int i = 0; i < POSTERS; i++)
		pthread_join(threads[i], NULL);
	loops_fini();
	CHECK(received == POSTERS * PER_POSTER);
}

#define BALLS 8
#define HOPS  5000

struct ball {
	struct message message;
	unsigned int hops;
};

static struct ball balls[BALLS];
static _Atomic unsigned int balls_down;

static void throw_on(struct loop *loop, struct message *message)
{
	struct ball *ball = CONTAINER_OF(message, struct ball, message);
	unsigned int next = (loop_index(loop) + 1) % (loops_serving() + 1);

	if (++ball->hops == HOPS) {
		if (atomic_fetch_add(&balls_down, 1) + 1 == BALLS)
			loops_stop();
		return;
	}
	loop_post(next == loops_serving() ? loop_control() : loops_get(next),
		  message);
}

/* Each loop is asleep most of the time: a wake-up that is lost stops a ball
 * for good. */
static void sleeping_loops_are_always_woken(void)
{
	start(3);
	for (int i = 0; i < BALLS; i++) {
		balls[i].message.deliver = throw_on;
		loop_post(loops_get(0), &balls[i].message);
	}
	run_to_the_end();
	CHECK(balls_down == BALLS);
}

static _Atomic bool io_seen;
static uv_pipe_t pipe_end;
static unsigned int floods;

static void flood(struct loop *loop, struct message *message)
{
	floods++;
	if (!atomic_load(&io_seen))
		loop_post(loop, message);
}

static void allocate_read(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
	static char bytes[16];

	(void)handle;
	(void)size;
	*buffer = uv_buf_init(bytes, sizeof(bytes));
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
	(void)buffer;
	CHECK(length == 1);
	atomic_store(&io_seen, true);
	uv_close((uv_handle_t *)stream, NULL);
	loops_stop();
}

static void messages_do_not_starve_io(void)
{
	struct message messages[4] = { { .deliver = flood },
				       { .deliver = flood },
				       { .deliver = flood },
				       { .deliver = flood } };
	struct atom_error err = ATOM_ERROR_INIT;
	int fds[2];

	CHECK(loops_init(1, &err) == ATOM_OK);
	CHECK(os.pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0);
	CHECK(uv_pipe_init(loop_uv(loop_control()), &pipe_end, 0) == 0);
	CHECK(uv_pipe_open(&pipe_end, fds[0]) == 0);
	CHECK(uv_read_start((uv_stream_t *)&pipe_end, allocate_read, on_read) ==
	      0);
	CHECK(os.write(fds[1], "x", 1) == 1);
	for (int i = 0; i < 4; i++)
		loop_post(loop_control(), &messages[i]);
	CHECK(loops_start(&err) == ATOM_OK);
	run_to_the_end();
	CHECK(os.close(fds[1]) == 0);
	CHECK(io_seen && floods >= 4);
}

/* --- timers -------------------------------------------------------------- */

#define TIMERS 5000

struct ticking {
	struct timer timer;
	unsigned int number;
	int64_t after_ms;
	bool fired;
};

static struct ticking ticking[TIMERS];
static int64_t last_fired_ms;
static unsigned int last_fired_number;
static unsigned int to_fire;

static void note_fired(struct timer *timer)
{
	struct ticking *t = CONTAINER_OF(timer, struct ticking, timer);

	CHECK(!timer_pending(timer) && !t->fired);
	CHECK(timer->at_ms <= loop_now_ms(loop_control()));
	CHECK(timer->at_ms >= last_fired_ms);
	if (timer->at_ms == last_fired_ms)
		CHECK(t->number > last_fired_number);
	last_fired_ms = timer->at_ms;
	last_fired_number = t->number;
	t->fired = true;
	if (--to_fire == 0)
		loops_stop();
}

static void timers_fire_in_order_and_stopped_ones_never(void)
{
	start(1);
	uv_update_time(loop_uv(loop_control()));
	for (unsigned int i = 0; i < TIMERS; i++) {
		ticking[i].timer.fire = note_fired;
		ticking[i].number = i;
		CHECK(timer_set(loop_control(), &ticking[i].timer,
				(int64_t)(id_random() % 40)) == ATOM_OK);
	}
	for (unsigned int i = 0; i < TIMERS; i++) {
		if (i % 3 == 0)
			timer_stop(&ticking[i].timer);
		else
			to_fire++;
		CHECK(timer_pending(&ticking[i].timer) == (i % 3 != 0));
	}
	run_to_the_end();
	for (unsigned int i = 0; i < TIMERS; i++)
		CHECK(ticking[i].fired == (i % 3 != 0));
}

static struct timer chain[4];
static unsigned int chain_fired[4];

static void fire_first(struct timer *timer)
{
	chain_fired[0]++;
	/* Both are due in this very round. */
	timer_stop(&chain[1]);
	CHECK(timer_set(loop_control(), &chain[2], 20) == ATOM_OK);
	CHECK(chain[2].at_ms > timer->at_ms);
}

static void fire_stopped(struct timer *timer)
{
	(void)timer;
	chain_fired[1]++;
}

static void fire_moved(struct timer *timer)
{
	CHECK(timer->at_ms <= loop_now_ms(loop_control()));
	chain_fired[2]++;
	CHECK(timer_set(loop_control(), &chain[3], 0) == ATOM_OK);
}

static void fire_again(struct timer *timer)
{
	if (++chain_fired[3] < 3)
		CHECK(timer_set(loop_control(), timer, 0) == ATOM_OK);
	else
		loops_stop();
}

static void a_timer_may_stop_and_set_others(void)
{
	start(1);
	chain[0].fire = fire_first;
	chain[1].fire = fire_stopped;
	chain[2].fire = fire_moved;
	chain[3].fire = fire_again;
	for (int i = 0; i < 3; i++)
		CHECK(timer_set(loop_control(), &chain[i], 5) == ATOM_OK);
	run_to_the_end();
	CHECK(chain_fired[0] == 1 && chain_fired[1] == 0);
	CHECK(chain_fired[2] == 1 && chain_fired[3] == 3);
}

static void *no_memory(void *old, size_t size)
{
	(void)old;
	(void)size;
	return NULL;
}

static void a_timer_without_memory_says_so(void)
{
	static struct timer timer = { .fire = fire_stopped };
	void *(*real)(void *old, size_t size) = os.realloc;
	struct atom_error err = ATOM_ERROR_INIT;

	CHECK(loops_init(1, &err) == ATOM_OK);
	os.realloc = no_memory;
	CHECK(timer_set(loop_control(), &timer, 1) == ATOM_ENOMEM);
	CHECK(!timer_pending(&timer));
	os.realloc = real;
	CHECK(timer_set(loop_control(), &timer, 1) == ATOM_OK);
	CHECK(timer_pending(&timer));
	timer_stop(&timer);
	CHECK(!timer_pending(&timer));
	loops_fini();
}

/* --- room ---------------------------------------------------------------- */

static unsigned int threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *task;
	unsigned int count = 0;

	CHECK(tasks);
	while ((task = readdir(tasks)) != NULL)
		count += task->d_name[0] != '.';
	(void)closedir(tasks);
	return count;
}

/* libuv would end the process later, for want of memory or threads. */
static void room_is_taken_at_the_start(void)
{
	struct rlimit limit;

	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	start(1);
	for (unsigned int i = 0; i < 2; i++) {
		const uv_loop_t *uv =
			loop_uv(i ? loop_control() : loops_get(0));

		CHECK(uv->nwatchers >= 4094 || uv->nwatchers >= limit.rlim_cur);
		CHECK(uv->nfds <= 2);
	}
	/* This one, the loop's, and libuv's pool. */
	CHECK(threads() >= 1 + 1 + 4);
	loops_stop();
	run_to_the_end();
}

static void *no_block(size_t size)
{
	return size < 65536 ? malloc(size) : NULL;
}

static void without_room_there_are_no_loops(void)
{
	struct atom_error err = ATOM_ERROR_INIT;

	os.alloc = no_block;
	CHECK(loops_init(1, &err) == ATOM_EIO);
	CHECK(strstr(err.message, "memory"));
	os.alloc = malloc;
	start(1);
	loops_stop();
	run_to_the_end();
}

/* --- work ---------------------------------------------------------------- */

#define WORKS 64

static struct work works[WORKS];
static _Atomic unsigned int works_run;
static _Atomic unsigned int works_done;

static void run_work(struct work *work)
{
	sigset_t blocked;

	CHECK(loop_current() == NULL);
	CHECK(pthread_sigmask(SIG_SETMASK, NULL, &blocked) == 0);
	CHECK(sigismember(&blocked, SIGTERM) == 1);
	atomic_fetch_add(&works_run, 1);
	(void)work;
}

static void work_done(struct work *work, atom_status status)
{
	CHECK(status == ATOM_OK && loop_current() == work->loop);
	if (atomic_fetch_add(&works_done, 1) + 1 == WORKS)
		loops_stop();
}

static void submit_half(struct loop *loop, struct message *message)
{
	sigset_t blocked;

	(void)message;
	if (!loop_is_control()) {
		CHECK(pthread_sigmask(SIG_SETMASK, NULL, &blocked) == 0);
		CHECK(sigismember(&blocked, SIGTERM) == 1);
	}
	for (unsigned int i = loop_is_control(); i < WORKS; i += 2) {
		works[i].run = run_work;
		works[i].done = work_done;
		CHECK(work_submit(loop, &works[i]) == ATOM_OK);
	}
}

static void work_runs_on_the_pool_and_ends_on_its_loop(void)
{
	struct message messages[2] = { { .deliver = submit_half },
				       { .deliver = submit_half } };

	start(1);
	loop_post(loops_get(0), &messages[0]);
	loop_post(loop_control(), &messages[1]);
	run_to_the_end();
	CHECK(works_run == WORKS && works_done == WORKS);
}

/* --- the end ------------------------------------------------------------- */

static unsigned int stops;
static struct message late_message;
static bool late_delivered;

static void take_late(struct loop *loop, struct message *message)
{
	(void)message;
	CHECK(loop == loops_get(0));
	late_delivered = true;
}

static void stop_too_late(void *argument)
{
	(void)argument;
	CHECK(false);
}

static void stop_first(void *argument)
{
	CHECK(loop_current() == argument && stops == 2);
	stops++;
	/* What is begun from now on has no end to wait for. */
	CHECK(loop_at_stop(argument, stop_too_late, NULL) == ATOM_ECANCELED);
}

static void stop_second(void *argument)
{
	CHECK(loop_current() == argument && stops == 1);
	stops++;
}

static void stop_other(void *argument)
{
	CHECK(loop_current() == argument);
	/* Loop 0 may have nothing left by now, but it has not ended. */
	late_message.deliver = take_late;
	loop_post(loops_get(0), &late_message);
}

static void stop_control(void *argument)
{
	CHECK(loop_current() == argument && stops == 3 && late_delivered);
	stops++;
}

static void stop_last_added(void *argument)
{
	CHECK(loop_current() == argument && stops == 0);
	stops++;
}

static void the_end_runs_callbacks_in_order_on_their_threads(void)
{
	struct atom_error err = ATOM_ERROR_INIT;

	stops = 0;
	late_delivered = false;
	CHECK(loops_init(2, &err) == ATOM_OK);
	CHECK(loop_at_stop(loops_get(0), stop_first, loops_get(0)) == ATOM_OK);
	CHECK(loop_at_stop(loops_get(0), stop_second, loops_get(0)) == ATOM_OK);
	CHECK(loop_at_stop(loops_get(0), stop_last_added, loops_get(0)) ==
	      ATOM_OK);
	CHECK(loop_at_stop(loops_get(1), stop_other, loops_get(1)) == ATOM_OK);
	CHECK(loop_at_stop(loop_control(), stop_control, loop_control()) ==
	      ATOM_OK);
	CHECK(loops_start(&err) == ATOM_OK);
	loops_stop();
	run_to_the_end();
	CHECK(stops == 4);
}

static void callbacks_run_even_when_the_loops_never_did(void)
{
	struct atom_error err = ATOM_ERROR_INIT;

	stops = 0;
	CHECK(loops_init(1, &err) == ATOM_OK);
	CHECK(loop_at_stop(loops_get(0), stop_last_added, loops_get(0)) ==
	      ATOM_OK);
	loops_fini();
	CHECK(stops == 1 && loop_current() == NULL);
}

static uv_timer_t left_open;
static struct work queued_work[16];
static sem_t begun_stuck, release_stuck;
static _Atomic unsigned int cancelled;

static void run_stuck(struct work *work)
{
	(void)work;
	(void)sem_post(&begun_stuck);
	while (sem_wait(&release_stuck) != 0 && errno == EINTR)
		continue;
}

static void count_cancelled(struct work *work, atom_status status)
{
	(void)work;
	cancelled += status == ATOM_ECANCELED;
}

static void on_left_open(uv_timer_t *timer)
{
	(void)timer;
}

static void leave_things_open(struct loop *loop, struct message *message)
{
	(void)message;
	CHECK(uv_timer_init(loop_uv(loop), &left_open) == 0);
	CHECK(uv_timer_start(&left_open, on_left_open, 1u << 30, 0) == 0);
	loops_stop();
}

static void hold_the_pool(struct loop *loop, struct message *message)
{
	(void)message;
	for (int i = 0; i < 16; i++) {
		queued_work[i].run = run_stuck;
		queued_work[i].done = count_cancelled;
		CHECK(work_submit(loop, &queued_work[i]) == ATOM_OK);
	}
}

static bool find_events(void *argument, const struct log_kept *line)
{
	unsigned int *found = argument;

	if (strstr(line->json, "\"loop_handle_left\""))
		found[0]++;
	if (strstr(line->json, "\"loop_stuck\""))
		found[1]++;
	return true;
}

static void what_stays_open_is_logged_and_left_behind(void)
{
	struct message messages[2] = { { .deliver = leave_things_open },
				       { .deliver = hold_the_pool } };
	unsigned int found[2] = { 0, 0 };

	CHECK(sem_init(&begun_stuck, 0, 0) == 0);
	CHECK(sem_init(&release_stuck, 0, 0) == 0);
	loop_stop_deadline_ms = 30;
	start(2);
	loop_post(loops_get(1), &messages[1]);
	/* What no thread has begun by the deadline is not stuck. */
	while (sem_wait(&begun_stuck) != 0 && errno == EINTR)
		continue;
	loop_post(loops_get(0), &messages[0]);
	loops_run_control();
	log_visit(0, find_events, found);
	CHECK(found[0] == 1 && found[1] == 1);
	/* Those that no thread of the pool had begun. */
	CHECK(cancelled > 0 && cancelled < 16);
	for (int i = 0; i < 16; i++)
		sem_post(&release_stuck);
	loops_fini();
	loop_stop_deadline_ms = 5000;
}

static void impossible_numbers_of_loops_are_refused(void)
{
	struct atom_error err = ATOM_ERROR_INIT;

	CHECK(loops_init(LOOP_MAX + 1, &err) == ATOM_EINVAL);
	CHECK(strstr(err.message, "65") && strstr(err.message, "64"));
	CHECK(loops_init(0, &err) == ATOM_OK);
	CHECK(loops_serving() >= 1 && loops_serving() <= LOOP_MAX);
	CHECK(loop_index(loop_control()) == loops_serving());
	loops_fini();
}

int main(void)
{
	static const struct tap_test tests[] = {
		TAP_TEST(impossible_numbers_of_loops_are_refused),
		TAP_TEST(every_message_arrives_in_its_posters_order),
		TAP_TEST(sleeping_loops_are_always_woken),
		TAP_TEST(messages_do_not_starve_io),
		TAP_TEST(timers_fire_in_order_and_stopped_ones_never),
		TAP_TEST(a_timer_may_stop_and_set_others),
		TAP_TEST(a_timer_without_memory_says_so),
		TAP_TEST(room_is_taken_at_the_start),
		TAP_TEST(without_room_there_are_no_loops),
		TAP_TEST(work_runs_on_the_pool_and_ends_on_its_loop),
		TAP_TEST(the_end_runs_callbacks_in_order_on_their_threads),
		TAP_TEST(callbacks_run_even_when_the_loops_never_did),
		/* Last: what is stuck stays so. */
		TAP_TEST(what_stays_open_is_logged_and_left_behind),
	};

	log_set_descriptor(-1);
	return tap_main(tests, ARRAY_SIZE(tests));
}
