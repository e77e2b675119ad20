/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A component and its host: what it is told, what becomes of its options, and
 * what runs for it on loops and threads ends with it.
 */
#include <stdatomic.h>
#include <string.h>

#include "core/loop.h"
#include "plugin/host_priv.h"
#include "sample_component.h"

static void a_component_knows_its_host(void)
{
	const struct atom_host *host = configured_host(one);

	CHECK(given_host == host && given_options->count == 1);
	CHECK(host->abi_major == ATOM_ABI_MAJOR);
	CHECK(strcmp(host->directory, "/etc/somewhere") == 0);
	CHECK(strcmp(host_component_name(host), "scaling/sample") == 0);
	CHECK(strcmp(host_agent(host), "chat") == 0);
	CHECK(host_configured(host) == one);
	CHECK(atom_service(host, "atom.telepathy/1") == NULL);
	next_step();
}

static void init_is_offered_less(void)
{
	struct configured *shell = NULL;

	CHECK(host_for_init("p", &shell, NULL) == ATOM_OK);
	CHECK(atom_service(&shell->host, ATOM_LOG) != NULL);
	CHECK(atom_service(&shell->host, ATOM_METRIC) != NULL);
	CHECK(atom_service(&shell->host, ATOM_TIMER) == NULL);
	CHECK(atom_service(&shell->host, ATOM_STATE) == NULL);
	configured_shell_free(&shell);
	next_step();
}

static void a_failed_create_leaves_nothing(void)
{
	struct atom_error err = ATOM_ERROR_INIT;

	CHECK(configure(7, &err) == NULL);
	CHECK(strcmp(err.message, "scaling/sample: seven is not to be had") ==
	      0);
	next_step();
}

static void new_options_reach_it_or_the_old_ones_stay(void)
{
	struct atom_error err = ATOM_ERROR_INIT;
	const struct sample_options *old = given_options;

	CHECK(update(2, &err) == ATOM_OK);
	CHECK(given_options->count == 2 && old->count == 1);
	CHECK(update(8, &err) == ATOM_EINVAL);
	CHECK(given_options->count == 2);
	CHECK(update(99, &err) == ATOM_EINVAL);
	CHECK(given_options->count == 2);
	for (int i = 0; i < 600; i++)
		CHECK(update(i % 3, &err) == ATOM_OK);
	next_step();
}

/* --- timer ---------------------------------------------------------------- */

static struct atom_timer_handle *timer;
static int fired;

static void on_timer(void *argument)
{
	const struct atom_timer *timers = service(ATOM_TIMER);

	CHECK(argument == &fired && loop_is_control());
	if (++fired < 3)
		return;
	timers->free(&timer);
	CHECK(timer == NULL);
	next_step();
}

static void a_timer_repeats_until_it_is_freed_in_its_callback(void)
{
	const struct atom_timer *timers = service(ATOM_TIMER);

	CHECK(timers->create(configured_host(one), on_timer, &fired, &timer,
			     NULL) == ATOM_OK);
	timers->set(timer, 1, 1);
}

static atomic_bool is_gone;

static void on_left(void *argument)
{
	(void)argument;
	CHECK(!atomic_load(&is_gone));
}

static struct message on_loop;

static void leave_timer_on_loop(struct loop *loop, struct message *message)
{
	const struct atom_timer *timers = service(ATOM_TIMER);
	struct atom_timer_handle *left = NULL;

	(void)message;
	CHECK(!loop_is_control() && loop == loops_get(0));
	CHECK(timers->create(configured_host(one), on_left, NULL, &left,
			     NULL) == ATOM_OK);
	timers->set(left, 1, 1);
	next_step();
}

static void a_timer_is_left_on_a_loop(void)
{
	on_loop.deliver = leave_timer_on_loop;
	loop_post(loops_get(0), &on_loop);
}

static void after_a_while(void *argument)
{
	const struct atom_timer *timers = service(ATOM_TIMER);

	(void)argument;
	timers->free(&timer);
	next_step();
}

/* Were it not, it would fire twenty times before the next step. */
static void what_is_left_behind_is_ended_with_its_component(void)
{
	const struct atom_timer *timers = service(ATOM_TIMER);
	int before = destroyed;

	configured_free(&one);
	atomic_store(&is_gone, true);
	CHECK(destroyed == before + 1);
	one = configure(1, NULL);
	CHECK(one != NULL);
	CHECK(timers->create(configured_host(one), after_a_while, NULL, &timer,
			     NULL) == ATOM_OK);
	timers->set(timer, 20, 0);
}

/* --- work ----------------------------------------------------------------- */

static atomic_bool ran_on_pool;

static void work_run(void *argument)
{
	CHECK(argument == &ran_on_pool);
	CHECK(loop_current() == NULL);
	atomic_store(&ran_on_pool, true);
}

static int destroyed_before;

static void after_destroy(struct loop *loop, struct message *message)
{
	(void)loop;
	(void)message;
	CHECK(destroyed == destroyed_before + 1);
	one = configure(1, NULL);
	CHECK(one != NULL);
	next_step();
}

static struct message later;

/* Once round: the message that destroys stands between. */
static void go_round(struct loop *loop, struct message *message)
{
	message->deliver = after_destroy;
	loop_post(loop, message);
}

static void work_done(void *argument, atom_status status)
{
	CHECK(argument == &ran_on_pool && status == ATOM_OK);
	CHECK(atomic_load(&ran_on_pool) && loop_is_control());
	/* Freed meanwhile, but this still runs in a living component. */
	CHECK(destroyed == destroyed_before);
	later.deliver = go_round;
	loop_post(loop_control(), &later);
}

static void work_holds_its_component(void)
{
	const struct atom_work *work = service(ATOM_WORK);

	destroyed_before = destroyed;
	CHECK(work->submit(configured_host(one), work_run, work_done,
			   &ran_on_pool, NULL) == ATOM_OK);
	configured_free(&one);
	CHECK(destroyed == destroyed_before);
}

static struct message meanwhile;

static void later_work_done(void *argument, atom_status status)
{
	CHECK(argument == &ran_on_pool && status == ATOM_OK);
	CHECK(destroyed == destroyed_before);
	later.deliver = go_round;
	loop_post(loop_control(), &later);
}

/* Its last release has said that it may end, but that is not yet heard. */
static void begin_anew(struct loop *loop, struct message *message)
{
	const struct atom_work *work = atom_service(given_host, ATOM_WORK);

	(void)loop;
	(void)message;
	CHECK(destroyed == destroyed_before);
	host_hold(given_host);
	host_release(given_host);
	CHECK(work->submit(given_host, work_run, later_work_done, &ran_on_pool,
			   NULL) == ATOM_OK);
}

static void first_work_done(void *argument, atom_status status)
{
	CHECK(argument == &ran_on_pool && status == ATOM_OK);
	meanwhile.deliver = begin_anew;
	loop_post(loop_control(), &meanwhile);
}

static void what_it_begins_between_release_and_end_holds_it_too(void)
{
	const struct atom_work *work = service(ATOM_WORK);

	destroyed_before = destroyed;
	CHECK(work->submit(configured_host(one), work_run, first_work_done,
			   &ran_on_pool, NULL) == ATOM_OK);
	configured_free(&one);
}

/* --- threads -------------------------------------------------------------- */

static const struct atom_thread *threads;
static atomic_int seen_on_thread;

static void on_thread(void *argument)
{
	const struct atom_timer *timers = service(ATOM_TIMER);
	struct atom_timer_handle *none = NULL;

	CHECK(argument == &seen_on_thread);
	CHECK(!threads->is_control(configured_host(one)));
	CHECK(!threads->is_loop(configured_host(one)));
#ifndef ATOMD_DEBUG_THREADS
	CHECK(timers->create(configured_host(one), on_left, NULL, &none,
			     NULL) == ATOM_ESTATE);
#endif
	(void)timers;
	CHECK(none == NULL);
	atomic_fetch_add(&seen_on_thread, 1);
}

static void threads_of_its_own_run_and_are_joined(void)
{
	struct atom_thread_handle *started[4] = { NULL };

	threads = service(ATOM_THREAD);
	CHECK(threads->is_control(configured_host(one)));
	for (int i = 0; i < 4; i++)
		CHECK(threads->create(configured_host(one),
				      "a-long-thread-name", on_thread,
				      &seen_on_thread, &started[i],
				      NULL) == ATOM_OK);
	for (int i = 0; i < 4; i++)
		threads->join(configured_host(one), &started[i]);
	CHECK(atomic_load(&seen_on_thread) == 4 && started[3] == NULL);
	next_step();
}

static const struct tap_test steps[] = {
	TAP_TEST(a_component_knows_its_host),
	TAP_TEST(init_is_offered_less),
	TAP_TEST(a_failed_create_leaves_nothing),
	TAP_TEST(new_options_reach_it_or_the_old_ones_stay),
	TAP_TEST(a_timer_repeats_until_it_is_freed_in_its_callback),
	TAP_TEST(a_timer_is_left_on_a_loop),
	TAP_TEST(what_is_left_behind_is_ended_with_its_component),
	TAP_TEST(work_holds_its_component),
	TAP_TEST(what_it_begins_between_release_and_end_holds_it_too),
	TAP_TEST(threads_of_its_own_run_and_are_joined),
};

int main(void)
{
	return run_steps(steps, (int)(sizeof(steps) / sizeof(steps[0])));
}
