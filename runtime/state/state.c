/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attach, detach, commit, health.
 */
#include "state/state_priv.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

#include "core/health.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"

struct state state = { .lock = PTHREAD_MUTEX_INITIALIZER };

atom_status state_usable(struct atom_error *err)
{
	if (state.ops && !state.stopping)
		return ATOM_OK;
	return atom_fail(err, ATOM_EUNAVAILABLE,
			 "there is no state store: it failed at the start, "
			 "which the daemon's status explains, or the daemon "
			 "is stopping");
}

atom_status state_attached(struct atom_error *err)
{
	atom_status status;

	(void)pthread_mutex_lock(&state.lock);
	status = state_usable(err);
	(void)pthread_mutex_unlock(&state.lock);
	return status;
}

atom_status state_refuse(struct atom_error *err)
{
	int64_t wait_ns = state.retry_ns - os.monotonic_ns();
	atom_status status = state.health.status;

	/* It was another one for whom there was no memory. */
	if (status == ATOM_ENOMEM)
		status = ATOM_EUNAVAILABLE;
	status = atom_fail(err, status != ATOM_OK ? status : ATOM_EIO, "%s",
			   state.health.message);
	if (err && wait_ns > 0)
		err->retry_after_ms = (int32_t)(wait_ns / 1000000) + 1;
	return status;
}

/* --- commit -------------------------------------------------------------- */

/* [lock held] */
static atom_status admit(struct state_transaction *t, struct atom_error *err)
{
	atom_status status = state_usable(err);

	if (status != ATOM_OK)
		return status;
	if (state.health.degraded)
		return state_refuse(err);
	if (state.queued >= STATE_QUEUE_MAX ||
	    (state.queued > 0 &&
	     state.queued_bytes + t->bytes > STATE_QUEUE_BYTES_MAX))
		return atom_fail(err, ATOM_EBUSY,
				 "%zu transactions of %zu bytes wait for the "
				 "state store already",
				 state.queued, state.queued_bytes);
	behind_yield(t);
	t->queued_ns = os.monotonic_ns();
	writer_enqueue(t);
	state.queued++;
	state.queued_bytes += t->bytes;
	metrics_queue(state.queued);
	writer_wake();
	return ATOM_OK;
}

/* [lock held] */
static void leave_queue(const struct state_transaction *t)
{
	state.queued--;
	state.queued_bytes -= t->bytes;
	metrics_queue(state.queued);
}

static void count(const struct state_transaction *t, atom_status status)
{
	if (status == ATOM_OK) {
		metrics_count(STATE_RESULT_OK);
		metrics_observe(os.monotonic_ns() - t->queued_ns);
	} else if (status == ATOM_ECONFLICT) {
		metrics_count(STATE_RESULT_CONFLICT);
	} else {
		metrics_count(STATE_RESULT_FAILED);
	}
}

/* [lock held] */
static void owe(struct ask *ask)
{
	ask->next = state.asks;
	if (ask->next)
		ask->next->previous = ask;
	state.asks = ask;
}

static void owe_no_more(struct ask *ask)
{
	if (ask->previous)
		ask->previous->next = ask->next;
	else
		state.asks = ask->next;
	if (ask->next)
		ask->next->previous = ask->previous;
}

static void answer(struct ask *ask)
{
	ask->done(ask->argument, ask->status, ask->transaction,
		  ask->status == ATOM_OK ? NULL : &ask->error);
	state_transaction_free(&ask->transaction);
	mem_free(ask);
}

static void deliver(struct loop *loop, struct message *message)
{
	struct ask *ask = CONTAINER_OF(message, struct ask, message);

	(void)loop;
	(void)pthread_mutex_lock(&state.lock);
	owe_no_more(ask);
	(void)pthread_mutex_unlock(&state.lock);
	answer(ask);
}

static void ask_ended(struct state_transaction *t, atom_status status,
		      const struct atom_error *error)
{
	struct ask *ask = t->owner;

	count(t, status);
	ask->status = status;
	if (error)
		ask->error = *error;
	(void)pthread_mutex_lock(&state.lock);
	leave_queue(t);
	ask->ended = true;
	/* Before the loop can see that it has ended, and end itself. */
	if (ask->loop)
		loop_post(ask->loop, &ask->message);
	(void)pthread_cond_broadcast(&state.ended);
	(void)pthread_mutex_unlock(&state.lock);
}

/* The first ask of the loop that has not ended. [lock held] */
static struct ask *owed_to(const struct loop *loop)
{
	for (struct ask *ask = state.asks; ask; ask = ask->next)
		if (ask->loop == loop && !ask->ended)
			return ask;
	return NULL;
}

/* The loop ends: it asks no more, and waits until what it has asked is on
 * its way.  When the disk hangs, state_detach() answers instead. */
static void close_lane(void *argument)
{
	struct loop *loop = argument;
	int64_t until_ns = os.monotonic_ns() + STATE_STOP_MS * 1000000LL;
	const struct timespec until = {
		.tv_sec = (time_t)(until_ns / 1000000000),
		.tv_nsec = (long)(until_ns % 1000000000),
	};
	struct ask *ask;
	int rc = 0;

	(void)pthread_mutex_lock(&state.lock);
	state.closed[loop_index(loop)] = true;
	while (rc != ETIMEDOUT && owed_to(loop))
		rc = pthread_cond_timedwait(&state.ended, &state.lock, &until);
	while ((ask = owed_to(loop)))
		ask->loop = NULL;
	(void)pthread_mutex_unlock(&state.lock);
}

static atom_status open_lanes(struct atom_error *err)
{
	atom_status status = ATOM_OK;

	memset(state.closed, 0, sizeof(state.closed));
	for (unsigned int i = 0; status == ATOM_OK && i < loops_serving(); i++)
		status = loop_at_stop(loops_get(i), close_lane, loops_get(i));
	if (status == ATOM_OK)
		status = loop_at_stop(loop_control(), close_lane,
				      loop_control());
	return status == ATOM_OK ? ATOM_OK
				 : atom_fail(err, status,
					     "no memory for the state store");
}

atom_status state_commit(struct state_transaction **transaction,
			 state_committed done, void *argument,
			 struct atom_error *err)
{
	struct loop *loop = loop_current();
	struct ask *ask;
	atom_status status;

	assert(loop);
	ask = mem_zalloc(sizeof(*ask));
	if (!ask)
		return atom_fail(err, ATOM_ENOMEM, "no memory for a commit");
	ask->message.deliver = deliver;
	ask->loop = loop;
	ask->transaction = *transaction;
	ask->done = done;
	ask->argument = argument;
	(*transaction)->end = ask_ended;
	(*transaction)->owner = ask;
	(void)pthread_mutex_lock(&state.lock);
	status = state.closed[loop_index(loop)]
			 ? atom_fail(err, ATOM_EUNAVAILABLE,
				     "nothing is stored any more: the daemon "
				     "stops")
			 : admit(*transaction, err);
	if (status == ATOM_OK)
		owe(ask);
	(void)pthread_mutex_unlock(&state.lock);
	if (status == ATOM_OK) {
		*transaction = NULL;
	} else {
		metrics_count(STATE_RESULT_REFUSED);
		mem_free(ask);
	}
	return status;
}

/* One who waits on the spot. */
struct wait {
	bool over;
	atom_status status;
	struct atom_error error;
};

static void wait_ended(struct state_transaction *t, atom_status status,
		       const struct atom_error *error)
{
	struct wait *wait = t->owner;

	count(t, status);
	(void)pthread_mutex_lock(&state.lock);
	leave_queue(t);
	wait->status = status;
	if (error)
		wait->error = *error;
	wait->over = true;
	(void)pthread_cond_broadcast(&state.ended);
	(void)pthread_mutex_unlock(&state.lock);
}

/* [lock held] Until it has ended. */
static atom_status wait_for(struct state_transaction *t, struct wait *wait,
			    atom_status status, struct atom_error *err)
{
	while (status == ATOM_OK && !wait->over)
		(void)pthread_cond_wait(&state.ended, &state.lock);
	t->owner = NULL;
	if (!wait->over)
		metrics_count(STATE_RESULT_REFUSED);
	else if (wait->status != ATOM_OK)
		status =
			atom_fail(err, wait->status, "%s", wait->error.message);
	return status;
}

static atom_status admit_to_wait(struct state_transaction *t, struct wait *wait,
				 struct atom_error *err)
{
	*wait = (struct wait){ .over = false };
	t->end = wait_ended;
	t->owner = wait;
	return admit(t, err);
}

atom_status state_commit_now(struct state_transaction *transaction,
			     struct atom_error *err)
{
	struct wait wait;
	atom_status status;

	(void)pthread_mutex_lock(&state.lock);
	status = admit_to_wait(transaction, &wait, err);
	status = wait_for(transaction, &wait, status, err);
	(void)pthread_mutex_unlock(&state.lock);
	return status;
}

void state_commit_each(struct state_transaction **transactions, size_t count,
		       atom_status *statuses, struct atom_error *err)
{
	struct wait *waits = mem_array(count, sizeof(*waits));

	if (!waits) {
		for (size_t i = 0; i < count; i++)
			statuses[i] = ATOM_ENOMEM;
		(void)atom_fail(err, ATOM_ENOMEM, "no memory for a commit");
		return;
	}
	(void)pthread_mutex_lock(&state.lock);
	for (size_t i = 0; i < count; i++)
		statuses[i] = admit_to_wait(transactions[i], &waits[i], err);
	for (size_t i = 0; i < count; i++)
		statuses[i] =
			wait_for(transactions[i], &waits[i], statuses[i], err);
	(void)pthread_mutex_unlock(&state.lock);
	mem_free(waits);
}

/* --- life-cycle ---------------------------------------------------------- */

static bool complete(const struct atom_store_ops *ops)
{
	return ATOM_HAS(ops, buckets) && ops->commit && ops->get && ops->scan &&
	       ops->check && ops->buckets;
}

static void set_store(const struct atom_store_ops *ops, void *self)
{
	(void)pthread_mutex_lock(&state.lock);
	state.ops = ops;
	state.self = self;
	(void)pthread_mutex_unlock(&state.lock);
}

atom_status state_attach(const struct atom_store_ops *ops, void *self,
			 struct atom_error *err)
{
	struct atom_error why = ATOM_ERROR_INIT;
	atom_status status;

	if (state.ops)
		return atom_fail(err, ATOM_ESTATE,
				 "a state store is attached already");
	if (!complete(ops))
		return atom_fail(err, ATOM_EINVAL,
				 "the state store lacks one of commit, get, "
				 "scan, check, buckets");
	status = open_lanes(err);
	if (status != ATOM_OK)
		return status;
	metrics_declare();
	metrics_up(true);
	writer_init();
	state.health = (struct state_health){ .since_ms = os.realtime_ms() };
	status = ops->check(self, &why);
	if (status == ATOM_OK)
		health_report("state", HEALTH_OK, true, NULL);
	else
		writer_degrade(status, &why);
	set_store(ops, self);
	status = writer_start(err);
	if (status != ATOM_OK)
		set_store(NULL, NULL);
	return status;
}

/* The loops are gone: what they are still owed is said here. */
static void answer_all(void)
{
	struct ask *ask;

	while ((ask = state.asks)) {
		owe_no_more(ask);
		answer(ask);
	}
}

atom_status state_detach(struct atom_error *err)
{
	atom_status status = ATOM_OK;
	size_t bytes, lost;

	(void)pthread_mutex_lock(&state.lock);
	status = state_usable(err);
	if (status != ATOM_OK) {
		(void)pthread_mutex_unlock(&state.lock);
		return status;
	}
	state.stopping = true;
	state.tries = 2;
	writer_wake();
	while (state.reads > 0)
		(void)pthread_cond_wait(&state.ended, &state.lock);
	(void)pthread_mutex_unlock(&state.lock);
	writer_join();
	answer_all();
	rewrap_fini();
	bytes = state.behind_bytes;
	lost = behind_drop();
	if (lost > 0) {
		status = atom_fail(err, ATOM_EIO,
				   "%zu values (%zu bytes) that were written "
				   "behind are lost: %s",
				   lost, bytes, state.health.message);
		log_line(ATOM_LOG_ERROR, "state_lost", state.health.message,
			 LOG_NUMBER("values", lost),
			 LOG_NUMBER("bytes", bytes));
	}
	metrics_up(false);
	set_store(NULL, NULL);
	state_use_keyring(NULL);
	return status;
}

void state_health(struct state_health *health_r)
{
	(void)pthread_mutex_lock(&state.lock);
	*health_r = state.health;
	health_r->attached = state.ops != NULL;
	(void)pthread_mutex_unlock(&state.lock);
}
