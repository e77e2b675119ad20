/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer: one thread that takes what waits in the queue, up to a batch,
 * and has the store make it durable by one sync.
 *
 *	well ── a commit failed, or a read found damage ──► degraded
 *	 ▲                                                   │   ▲
 *	 └───── `check` succeeded ── retry_ns has come ──────┴───┘ it failed
 *
 * After a failure batches begin with one transaction and double with every
 * success, so that one that the store cannot take does not hold up the others
 * for ever, and the wait between checks only shrinks again when something was
 * stored.
 */
#include "state/state_priv.h"

#include <stdio.h>
#include <time.h>

#include "core/health.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"

/* --- health -------------------------------------------------------------- */

static void set_health(bool degraded, atom_status status, const char *message)
{
	struct state_health *health = &state.health;

	if (health->degraded != degraded)
		health->since_ms = os.realtime_ms();
	health->degraded = degraded;
	health->status = status;
	if (message)
		(void)snprintf(health->message, sizeof(health->message), "%s",
			       message);
	metrics_up(!degraded);
}

/* True when it was well before. [lock held] */
static bool degrade(atom_status status, const struct atom_error *error)
{
	bool was_well = !state.health.degraded;

	state.delay_ms =
		state.delay_ms ? state.delay_ms * 2 : STATE_RETRY_FIRST_MS;
	if (state.delay_ms > STATE_RETRY_MAX_MS)
		state.delay_ms = STATE_RETRY_MAX_MS;
	state.retry_ns = os.monotonic_ns() + state.delay_ms * 1000000;
	state.failures++;
	state.batch_most = 1;
	set_health(true, status, error->message);
	(void)pthread_cond_broadcast(&state.ended);
	return was_well;
}

/* The log has the first failure of a series, the health the last. */
static void say_degraded(bool first, const struct atom_error *error)
{
	if (first)
		log_line(ATOM_LOG_ERROR, "state_degraded", error->message,
			 LOG_NUMBER("status", error->status));
	health_report("state", HEALTH_DEGRADED, true, error->message);
}

static void say_recovered(void)
{
	log_printf(ATOM_LOG_INFO, "state_recovered",
		   "the state store can be written to again");
	health_report("state", HEALTH_OK, true, NULL);
}

void writer_degrade(atom_status status, const struct atom_error *error)
{
	bool first;

	(void)pthread_mutex_lock(&state.lock);
	first = degrade(status, error);
	(void)pthread_mutex_unlock(&state.lock);
	say_degraded(first, error);
}

void writer_suspect(void)
{
	(void)pthread_mutex_lock(&state.lock);
	state.suspect = true;
	writer_wake();
	(void)pthread_mutex_unlock(&state.lock);
}

/* --- the queue ----------------------------------------------------------- */

void writer_enqueue(struct state_transaction *transaction)
{
	transaction->next = NULL;
	transaction->store_failed = false;
	if (state.last)
		state.last->next = transaction;
	else
		state.first = transaction;
	state.last = transaction;
	state.enqueued++;
}

void writer_wake(void)
{
	(void)pthread_cond_signal(&state.wake);
}

/* The first ones of the queue, at least one and at most a batch. */
static size_t take_batch(struct state_transaction **batch)
{
	size_t bytes = 0;
	size_t count = 0;

	while (state.first && count < state.batch_most &&
	       (count == 0 || bytes < STATE_BATCH_BYTES_MAX)) {
		struct state_transaction *t = state.first;

		state.first = t->next;
		if (!state.first)
			state.last = NULL;
		bytes += t->bytes;
		batch[count++] = t;
	}
	return count;
}

/* The end of one whose store call gave `status`. [lock not held] */
static void finish(struct state_transaction *t, atom_status status,
		   const struct atom_error *error)
{
	struct atom_error own = ATOM_ERROR_INIT;

	t->store_failed = status != ATOM_OK;
	if (status == ATOM_OK) {
		status = t->store.status_r;
		if (status == ATOM_ECONFLICT)
			(void)atom_fail(&own, status,
					"the record was changed meanwhile");
		else if (status != ATOM_OK)
			(void)atom_fail(&own, status,
					"the store refused the transaction");
		error = &own;
	}
	t->end(t, status, status == ATOM_OK ? NULL : error);
}

/* [lock held] Many have ended. */
static void count_ended(size_t count)
{
	state.ended_count += count;
	(void)pthread_cond_broadcast(&state.ended);
}

/* The store is unwell: nobody waits for what it will not do. What was written
 * behind goes back to those that wait. [lock held, but not throughout] */
static void fail_queue(atom_status status, const struct atom_error *error)
{
	struct state_transaction *t = state.first;
	size_t count = 0;

	state.first = NULL;
	state.last = NULL;
	(void)pthread_mutex_unlock(&state.lock);
	while (t) {
		struct state_transaction *next = t->next;

		finish(t, status, error);
		t = next;
		count++;
	}
	(void)pthread_mutex_lock(&state.lock);
	count_ended(count);
}

/* [lock held, but not throughout] */
static void write_batch(void)
{
	struct state_transaction *batch[STATE_BATCH_MAX];
	struct atom_store_transaction *stored[STATE_BATCH_MAX];
	struct atom_error error = ATOM_ERROR_INIT;
	size_t count = take_batch(batch);
	bool first = false;
	atom_status status;

	(void)pthread_mutex_unlock(&state.lock);
	status = seal_batch(batch, count, stored, &error);
	if (status == ATOM_OK) {
		status = state.ops->commit(state.self, stored, count, &error);
		seal_batch_end(batch, count, stored);
	}
	error.status = status;

	/* Whoever is told of a failure finds it in the health too. */
	(void)pthread_mutex_lock(&state.lock);
	if (status != ATOM_OK) {
		first = degrade(status, &error);
	} else {
		state.delay_ms = 0;
		if (state.batch_most < STATE_BATCH_MAX)
			state.batch_most *= 2;
	}
	(void)pthread_mutex_unlock(&state.lock);
	if (status != ATOM_OK)
		say_degraded(first, &error);
	for (size_t i = 0; i < count; i++)
		finish(batch[i], status, &error);
	(void)pthread_mutex_lock(&state.lock);
	count_ended(count);
	if (status != ATOM_OK)
		fail_queue(status, &error);
}

/* Ask the store whether it can be written to. [lock held, but not during
 * the call] */
static void check_store(void)
{
	struct atom_error error = ATOM_ERROR_INIT;
	bool changed;
	atom_status status;

	state.suspect = false;
	if (state.stopping && state.tries > 0)
		state.tries--;
	(void)pthread_mutex_unlock(&state.lock);
	status = state.ops->check(state.self, &error);
	(void)pthread_mutex_lock(&state.lock);
	if (status != ATOM_OK) {
		changed = degrade(status, &error);
	} else {
		changed = state.health.degraded;
		if (changed)
			set_health(false, ATOM_OK, NULL);
	}
	(void)pthread_mutex_unlock(&state.lock);
	if (status != ATOM_OK)
		say_degraded(changed, &error);
	else if (changed)
		say_recovered();
	(void)pthread_mutex_lock(&state.lock);
	/* What came while it was asked. */
	if (status != ATOM_OK)
		fail_queue(status, &error);
}

/* --- the thread ---------------------------------------------------------- */

/* When does the thread have to do something on its own? */
static int64_t next_ns(void)
{
	if (state.health.degraded)
		return state.retry_ns;
	return state.first || state.suspect ? 0 : behind_due_ns();
}

static void sleep_until(int64_t at_ns)
{
	const struct timespec at = {
		.tv_sec = (time_t)(at_ns / 1000000000),
		.tv_nsec = (long)(at_ns % 1000000000),
	};

	if (at_ns == INT64_MAX)
		(void)pthread_cond_wait(&state.wake, &state.lock);
	else
		(void)pthread_cond_timedwait(&state.wake, &state.lock, &at);
}

static void *run(void *unused)
{
	(void)unused;
	(void)pthread_mutex_lock(&state.lock);
	for (;;) {
		int64_t at = next_ns();
		int64_t now = os.monotonic_ns();

		if (state.stopping && state.health.degraded && state.tries == 0)
			break;
		if (!state.stopping && at > now) {
			sleep_until(at);
			continue;
		}
		if (state.suspect || state.health.degraded) {
			check_store();
			continue;
		}
		if (state.stopping || behind_due_ns() <= now)
			behind_enqueue(STATE_BATCH_MAX);
		if (!state.first)
			break;
		write_batch();
	}
	(void)pthread_mutex_unlock(&state.lock);
	return NULL;
}

static void init_conditions(void)
{
	pthread_condattr_t monotonic;

	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&state.wake, &monotonic);
	(void)pthread_cond_init(&state.ended, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
}

void writer_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, init_conditions);
	state.stopping = false;
	state.suspect = false;
	state.delay_ms = 0;
	state.batch_most = STATE_BATCH_MAX;
}

atom_status writer_start(struct atom_error *err)
{
	int why = pthread_create(&state.thread, NULL, run, NULL);

	if (why != 0)
		return atom_fail(err, ATOM_ENOMEM,
				 "cannot start the writer of the state store: "
				 "%s",
				 strerror(why));
	(void)pthread_setname_np(state.thread, "state");
	return ATOM_OK;
}

void writer_join(void)
{
	(void)pthread_join(state.thread, NULL);
}

void writer_barrier(void)
{
	uint64_t until;

	(void)pthread_mutex_lock(&state.lock);
	until = state.enqueued;
	while (state.ended_count < until)
		(void)pthread_cond_wait(&state.ended, &state.lock);
	(void)pthread_mutex_unlock(&state.lock);
}

atom_status writer_flush(struct atom_error *err)
{
	atom_status status;
	uint64_t failures;
	uint64_t until;

	(void)pthread_mutex_lock(&state.lock);
	status = state_usable(err);
	if (status != ATOM_OK || state.behind.count == 0)
		goto out;
	if (state.health.degraded) {
		status = state_refuse(err);
		goto out;
	}
	behind_enqueue(SIZE_MAX);
	writer_wake();
	until = state.enqueued;
	failures = state.failures;
	while (state.ended_count < until && state.failures == failures)
		(void)pthread_cond_wait(&state.ended, &state.lock);
	if (state.failures != failures)
		status = state_refuse(err);
out:
	(void)pthread_mutex_unlock(&state.lock);
	return status;
}
