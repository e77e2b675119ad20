/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits under many threads: exactly as many pass as there are, and what is
 * given back is there again, whole.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "core/loop.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "limit/limiter.h"
#include "limit/named.h"
#include "tap.h"

#define THREADS 8
#define ROUNDS	200
#define S	INT64_C(1000000000)
#define NOW	(INT64_C(5000) * S) /* stands still where a test says so */

static struct limiter limiter;
static pthread_barrier_t barrier;
static _Atomic int64_t passed;

static void begin(int64_t requests, int64_t tokens, int64_t concurrent)
{
	const struct config_limits limits = { requests, tokens, concurrent };

	memset(&limiter, 0, sizeof(limiter));
	limiter_set(&limiter, &limits, NOW);
	atomic_store(&passed, 0);
}

static void in_threads(void *(*run)(void *argument))
{
	pthread_t threads[THREADS];

	CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, run,
				     (void *)(uintptr_t)i) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(pthread_barrier_destroy(&barrier) == 0);
}

static int64_t left(const struct rate *rate)
{
	struct rate_view view;

	rate_view(rate, NOW, &view);
	return view.remaining;
}

/* --- N never pass a limit of N-1 --------------------------------------------- */

static void *take_one(void *argument)
{
	struct limit_refusal refusal;
	struct limit_hold hold;

	(void)argument;
	(void)pthread_barrier_wait(&barrier);
	if (limiter_take(&limiter, 1, NOW, &hold, &refusal))
		atomic_fetch_add(&passed, 1);
	return NULL;
}

static void as_many_pass_as_there_are(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		begin(THREADS - 1, 0, 0);
		in_threads(take_one);
		CHECK(atomic_load(&passed) == THREADS - 1);
		begin(0, THREADS - 1, 0);
		in_threads(take_one);
		CHECK(atomic_load(&passed) == THREADS - 1);
		begin(0, 0, THREADS - 1);
		in_threads(take_one);
		CHECK(atomic_load(&passed) == THREADS - 1);
		CHECK(atomic_load(&limiter.calls) == THREADS - 1);
	}
}

static void *take_many(void *argument)
{
	struct limit_refusal refusal;
	struct limit_hold hold;

	(void)argument;
	(void)pthread_barrier_wait(&barrier);
	for (int i = 0; i < 20000; i++)
		if (limiter_take(&limiter, 3, NOW, &hold, &refusal))
			atomic_fetch_add(&passed, 1);
	return NULL;
}

static void a_burst_of_all_is_exact(void)
{
	begin(50021, 0, 0);
	in_threads(take_many);
	CHECK(atomic_load(&passed) == 50021);
	begin(0, 100000, 0);
	in_threads(take_many);
	CHECK(atomic_load(&passed) == 33333);
}

/* --- and nothing is lost --------------------------------------------------------- */

static void *take_and_give(void *argument)
{
	unsigned int random = (unsigned int)(uintptr_t)argument + 1;
	struct limit_refusal refusal;
	struct limit_hold hold;

	(void)pthread_barrier_wait(&barrier);
	for (int i = 0; i < 20000; i++) {
		int64_t tokens = 1 + (int64_t)(random % 50);

		random = random * 1103515245u + 12345u;
		if (!limiter_take(&limiter, tokens, NOW, &hold, &refusal))
			continue;
		CHECK(atomic_load(&limiter.calls) <= 5);
		if (random % 7 == 0) {
			limiter_undo(&hold, NOW);
			continue;
		}
		limiter_leave(&hold);
		limiter_settle(&hold, 1, NOW);
		atomic_fetch_add(&passed, 1);
	}
	return NULL;
}

static void what_is_settled_adds_up(void)
{
	begin(1000000, 1000000, 5);
	in_threads(take_and_give);
	CHECK(atomic_load(&passed) > 0);
	CHECK(atomic_load(&limiter.calls) == 0);
	CHECK(left(&limiter.requests) == 1000000 - atomic_load(&passed));
	CHECK(left(&limiter.tokens) == 1000000 - atomic_load(&passed));
}

static void *change_or_take(void *argument)
{
	static const int64_t limits[] = { 400000, 1000000, 200000, 800000 };
	struct limit_refusal refusal;
	struct limit_hold hold;

	(void)pthread_barrier_wait(&barrier);
	for (size_t i = 0; argument == NULL && i < 2000; i++)
		rate_set(&limiter.requests, limits[i % 4], NOW);
	for (int i = 0; argument != NULL && i < 10000; i++)
		if (limiter_take(&limiter, 1, NOW, &hold, &refusal))
			atomic_fetch_add(&passed, 1);
	return NULL;
}

static void a_limit_changes_under_load_and_loses_nothing(void)
{
	int64_t used;

	begin(800000, 0, 0);
	in_threads(change_or_take);
	rate_set(&limiter.requests, 1000000, NOW);
	CHECK(atomic_load(&passed) == (THREADS - 1) * 10000);
	used = 1000000 - left(&limiter.requests);
	/* A conversion rounds to a nanosecond: a thousandth of a request, the
	 * sum of 2,000 at most two. */
	CHECK(used >= atomic_load(&passed) - 2);
	CHECK(used <= atomic_load(&passed) + 3);
}

/* --- limiters by name -------------------------------------------------------------- */

#define LOOPS 4
#define NAMES 200
#define TURNS 2000

static _Atomic int64_t clock_ns;
static _Atomic int64_t taken[NAMES];
static _Atomic int finished;
static _Atomic size_t swept;
static int64_t swept_most;

static int64_t virtual_ns(void)
{
	return atomic_load(&clock_ns);
}

struct turn {
	struct message message;
	unsigned int random;
	int left;
};
static struct turn turns[LOOPS];

static void take_of_a_name(unsigned int which)
{
	struct limit_refusal refusal;
	struct named_limiter *named;
	struct limit_hold hold;
	char name[32];

	(void)snprintf(name, sizeof(name), "jwt:%u", which);
	named = named_limiter_of(name);
	if (limiter_take(named_limiter(named), 1, virtual_ns(), &hold,
			 &refusal)) {
		limiter_leave(&hold);
		atomic_fetch_add(&taken[which], 1);
	}
	named_limiter_release(named);
}

/* A few each turn, so that quiet points and sweeps come between; the end waits
 * for a sweep, if control was that late. */
static void on_turn(struct loop *loop, struct message *message)
{
	struct turn *turn = CONTAINER_OF(message, struct turn, message);

	for (int i = 0; i < 20 && turn->left > 0; i++) {
		turn->random = turn->random * 1103515245u + 12345u;
		take_of_a_name(turn->random / 65536 % NAMES);
	}
	if (turn->left > 0)
		turn->left--;
	if (turn->left > 0 || atomic_load(&swept) == 0)
		loop_post(loop, message);
	else if (atomic_fetch_add(&finished, 1) + 1 == LOOPS)
		loops_stop();
}

static struct timer sweeper;

static void on_sweep(struct timer *timer)
{
	size_t now = named_limiters_sweep();

	swept++;
	if ((int64_t)now > swept_most)
		swept_most = (int64_t)now;
	(void)timer_set(loop_control(), timer, 1);
}

static void run_loops(const struct config_limits *limits)
{
	struct atom_error err = ATOM_ERROR_INIT;

	atomic_store(&finished, 0);
	for (int i = 0; i < NAMES; i++)
		atomic_store(&taken[i], 0);
	CHECK(loops_init(LOOPS, &err) == ATOM_OK);
	CHECK(metric_init(LOOPS) == ATOM_OK);
	CHECK(named_limiters_apply(limits, &err) == ATOM_OK);
	CHECK(loops_start(&err) == ATOM_OK);
	for (unsigned int i = 0; i < LOOPS; i++) {
		turns[i] =
			(struct turn){ { NULL, on_turn }, 77 * i + 1, TURNS };
		loop_post(loops_get(i), &turns[i].message);
	}
	sweeper.fire = on_sweep;
	(void)timer_set(loop_control(), &sweeper, 0);
	loops_run_control();
	timer_stop(&sweeper);
}

/* While time stands still nothing drains: no sweep may take one out, and of
 * each name exactly the limit passes, whichever loop came first. */
static void a_name_has_one_limiter(void)
{
	const struct config_limits limits = { 13, 0, 0 };

	atomic_store(&clock_ns, NOW);
	os.monotonic_ns = virtual_ns;
	run_loops(&limits);
	for (int i = 0; i < NAMES; i++)
		CHECK(atomic_load(&taken[i]) == 13);
	CHECK(swept > 0 && named_limiters_sweep() == NAMES);
	atomic_store(&clock_ns, NOW + 61 * S);
	CHECK(named_limiters_sweep() == 0);
	named_limiters_fini();
	loops_fini();
	metric_fini();
}

/* Without a rate each is idle between two calls: sweeps and loops fight for
 * the same ones. */
static void idle_ones_come_and_go(void)
{
	const struct config_limits limits = { 0, 0, LOOPS };
	int64_t sum = 0;

	swept = 0;
	run_loops(&limits);
	for (int i = 0; i < NAMES; i++)
		sum += atomic_load(&taken[i]);
	CHECK(sum == (int64_t)LOOPS * TURNS * 20);
	CHECK(swept > 0);
	/* Each loop may have made one that it finds another has added. */
	CHECK(swept_most <= NAMES + LOOPS);
	CHECK(named_limiters_sweep() == 0);
	named_limiters_fini();
	loops_fini();
	metric_fini();
}

static bool takes_one(const char *prefix, int number)
{
	struct limit_refusal refusal;
	struct named_limiter *named;
	struct limit_hold hold;
	char name[160];
	bool took;

	(void)snprintf(name, sizeof(name), "%s:%d", prefix, number);
	named = named_limiter_of(name);
	took = limiter_take(named_limiter(named), 1, virtual_ns(), &hold,
			    &refusal);
	limiter_leave(&hold);
	named_limiter_release(named);
	return took;
}

/* What happens between a sweep's look at a limiter and its taking it out. */
bool __real_limiter_is_idle(const struct limiter *of, int64_t now_ns);
bool __wrap_limiter_is_idle(const struct limiter *of, int64_t now_ns);
static bool called_meanwhile;

bool __wrap_limiter_is_idle(const struct limiter *of, int64_t now_ns)
{
	bool idle = __real_limiter_is_idle(of, now_ns);

	if (idle && called_meanwhile) {
		called_meanwhile = false;
		CHECK(takes_one("meanwhile", 1));
	}
	return idle;
}

static void one_that_was_used_since_the_look_is_kept(void)
{
	const struct config_limits limits = { 1, 0, 0 };
	struct atom_error err = ATOM_ERROR_INIT;

	os.monotonic_ns = virtual_ns;
	CHECK(loops_init(1, &err) == ATOM_OK);
	CHECK(metric_init(1) == ATOM_OK);
	CHECK(named_limiters_apply(&limits, &err) == ATOM_OK);
	CHECK(takes_one("meanwhile", 1));
	atomic_fetch_add(&clock_ns, 61 * S);
	called_meanwhile = true;
	CHECK(named_limiters_sweep() == 1);
	CHECK(!called_meanwhile);
	CHECK(!takes_one("meanwhile", 1));
	atomic_fetch_add(&clock_ns, 61 * S);
	CHECK(named_limiters_sweep() == 0);
	named_limiters_fini();
	loops_fini();
	metric_fini();
}

static void those_that_find_no_room_share_one(void)
{
	const struct config_limits limits = { 1, 0, 0 };
	struct atom_error err = ATOM_ERROR_INIT;
	char longest[128] = "";

	CHECK(loops_init(1, &err) == ATOM_OK);
	CHECK(metric_init(1) == ATOM_OK);
	CHECK(named_limiters_apply(&limits, &err) == ATOM_OK);
	/* Two that differ where a name would be cut are not one by mistake,
	 * nor has either a new limiter each time. */
	memset(longest, 'x', sizeof(longest) - 1);
	CHECK(takes_one(longest, 1));
	CHECK(!takes_one(longest, 1) && !takes_one(longest, 2));
	atomic_fetch_add(&clock_ns, 61 * S);
	CHECK(named_limiters_sweep() == 0);
	for (int i = 0; i < NAMED_MAX; i++)
		CHECK(takes_one("a", i));
	CHECK(takes_one("b", 1));
	CHECK(!takes_one("b", 2));
	/* Those that are there are found. */
	CHECK(!takes_one("a", 7));
	CHECK(named_limiters_sweep() == NAMED_MAX);
	atomic_fetch_add(&clock_ns, 61 * S);
	CHECK(named_limiters_sweep() == 0);
	CHECK(takes_one("b", 1) && takes_one("b", 2));
	named_limiters_fini();
	loops_fini();
	metric_fini();
}

int main(void)
{
	static const struct tap_test tests[] = {
		TAP_TEST(as_many_pass_as_there_are),
		TAP_TEST(a_burst_of_all_is_exact),
		TAP_TEST(what_is_settled_adds_up),
		TAP_TEST(a_limit_changes_under_load_and_loses_nothing),
		TAP_TEST(a_name_has_one_limiter),
		TAP_TEST(idle_ones_come_and_go),
		TAP_TEST(one_that_was_used_since_the_look_is_kept),
		TAP_TEST(those_that_find_no_room_share_one),
	};

	return tap_main(tests, ARRAY_SIZE(tests));
}
