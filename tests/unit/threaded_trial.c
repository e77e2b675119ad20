/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trial is counted on many threads at once: nothing is lost, a session
 * counts once however many of its calls end together, what is closed draws
 * nobody, and an hour's tokens are all there.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "agent/directory.h"
#include "agent/token_hour.h"
#include "agent/trial.h"
#include "core/memory.h"
#include "tap.h"

#define THREADS	 4
#define CALLS	 20000
#define SESSIONS 500

static struct trial *trial;
static int32_t cell;
static _Atomic int64_t counted[THREADS];

static void *count_calls(void *argument)
{
	size_t self = (size_t)(uintptr_t)argument;
	struct revision_outcome outcome = {
		.http_status = 502,
		.called = true,
		.began_ns = 1,
		.ended_ns = 2,
	};

	for (int i = 0; i < CALLS; i++) {
		struct assignment to = { .trial = trial,
					 .cell = cell,
					 .is_new = i % 2 == 0 };

		trial_ref(trial);
		(void)trial_count(&to, &outcome);
		trial_unref(trial);
	}
	/* The same sessions on every thread. */
	for (int i = 0; i < SESSIONS; i++) {
		struct assignment to = { .trial = trial, .cell = cell };
		char name[24];

		(void)snprintf(name, sizeof(name), "s%d", i);
		to.session = trial_session(trial, "key:a", name);
		counted[self] += trial_count(&to, &outcome);
		trial_note_new(trial);
	}
	return NULL;
}

static void nothing_is_lost_and_a_session_counts_once(void)
{
	static const struct config_bad_events bad = { .error = true };
	struct atom_cell cells[4];
	pthread_t threads[THREADS];
	int64_t sessions = 0;
	size_t n;

	trial = trial_new(7, &bad);
	CHECK(trial != NULL);
	cell = trial_weight(trial, 2500);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, count_calls,
				     (void *)(uintptr_t)i) == 0);
	/* Control reads meanwhile: never more bad ones than calls. */
	for (int i = 0; i < 1000; i++) {
		n = trial_cells(trial, cells, ARRAY_SIZE(cells));
		for (size_t c = 0; c < n; c++)
			CHECK(cells[c].bad[ATOM_BAD_ERROR] <= cells[c].calls);
	}
	for (size_t i = 0; i < THREADS; i++) {
		CHECK(pthread_join(threads[i], NULL) == 0);
		sessions += counted[i];
	}
	n = trial_cells(trial, cells, ARRAY_SIZE(cells));
	CHECK(n == 2);
	CHECK(cells[1].calls == THREADS * CALLS / 2);
	CHECK(cells[1].bad[ATOM_BAD_ERROR] == cells[1].calls);
	CHECK(cells[0].calls == (uint64_t)(THREADS * CALLS / 2 + sessions));
	/* Two may share a bit. */
	CHECK(sessions <= SESSIONS && sessions > SESSIONS * 99 / 100);
	trial_unref(trial);
}

static void *close_it(void *argument)
{
	(void)argument;
	trial_close(trial);
	return NULL;
}

static void what_is_closed_on_one_thread_is_seen_on_another(void)
{
	static const struct config_bad_events bad = { .error = true };
	pthread_t closer;

	trial = trial_new(7, &bad);
	CHECK(trial != NULL && !trial_is_closed(trial));
	CHECK(pthread_create(&closer, NULL, close_it, NULL) == 0);
	while (!trial_is_closed(trial))
		trial_note_new(trial);
	CHECK(pthread_join(closer, NULL) == 0);
	trial_unref(trial);
}

#define BEGUN 100000 /* minutes */

static struct token_hour hour;
static _Atomic int64_t came;

static void meet(int64_t times)
{
	atomic_fetch_add(&came, 1);
	for (int turns = 0; atomic_load(&came) < 2 * times; turns++)
		if (turns > 1000)
			(void)sched_yield();
}

static void spend(int64_t minute)
{
	meet(2 * minute + 1);
	token_hour_spend(&hour, 1, minute * 60000);
	meet(2 * minute + 2);
}

static void *spend_each_minute(void *argument)
{
	(void)argument;
	for (int64_t minute = 0; minute < BEGUN; minute++)
		spend(minute);
	return NULL;
}

static void two_that_begin_a_minute_at_once_lose_nothing(void)
{
	pthread_t other;

	CHECK(pthread_create(&other, NULL, spend_each_minute, NULL) == 0);
	for (int64_t minute = 0; minute < BEGUN; minute++) {
		spend(minute);
		CHECK(token_hour_sum(&hour, minute * 60000) ==
		      2 * (minute < TOKEN_HOUR_MINUTES ? minute + 1
						       : TOKEN_HOUR_MINUTES));
	}
	CHECK(pthread_join(other, NULL) == 0);
}

int main(void)
{
	static const struct tap_test tests[] = {
		TAP_TEST(nothing_is_lost_and_a_session_counts_once),
		TAP_TEST(what_is_closed_on_one_thread_is_seen_on_another),
		TAP_TEST(two_that_begin_a_minute_at_once_lose_nothing),
	};

	return tap_main(tests, ARRAY_SIZE(tests));
}
