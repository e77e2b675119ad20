/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The sequencer: the one thread that gives records their numbers, and the
 * required sink's own.
 *
 *	OPENING ─► WELL ◄──── the batch is durable ────┐
 *	   │        └── write or sync failed twice ─► FAILING (0.1 s to 5 s,
 *	   └─► BROKEN: the log cannot be taken up                 then again)
 *
 * A batch once numbered is never numbered again: after a failure the very same
 * bytes are offered until the sink takes them, and the sink sees to it that
 * they go to a fresh file.  Those who wait for it are told at once that it is
 * not durable.
 *
 * Lingering: where several waited for the last batch, most of them come back
 * at once with their next record.  The next batch waits up to 1 ms for as
 * many; a single caller never waits.
 */

#include <signal.h>
#include <string.h>
#include <time.h>

#include "audit/sequencer_priv.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"

#define LINGER_NS ((int64_t)1000000)
/* Failures in a row after which a stop gives up. */
#define STOP_TRIES 5
#define NEVER	   INT64_MAX

struct sequencer seq;

/* --- waiting ------------------------------------------------------------------ */

void audit_wait(pthread_cond_t *condition, int64_t until_ns)
{
	struct timespec at = { .tv_sec = until_ns / 1000000000,
			       .tv_nsec = until_ns % 1000000000 };

	if (until_ns == NEVER)
		(void)pthread_cond_wait(condition, &audit.lock);
	else
		(void)pthread_cond_timedwait(condition, &audit.lock, &at);
}

static void deliver(struct loop *loop, struct message *message)
{
	struct audit_waiter *waiter =
		CONTAINER_OF(message, struct audit_waiter, message);

	(void)loop;
	waiter->done(waiter, waiter->status);
}

void audit_tell(struct audit_waiter *waiter, atom_status status)
{
	waiter->status = status;
	waiter->message.deliver = deliver;
	loop_post(waiter->loop, &waiter->message);
}

static void append(struct message **first, struct message **last,
		   struct message *message)
{
	message->next = NULL;
	if (*first == NULL)
		*first = message;
	else
		(*last)->next = message;
	*last = message;
}

static struct message *take_first(struct message **first)
{
	struct message *message = *first;

	if (message != NULL)
		*first = message->next;
	return message;
}

/* All that was posted.  Jobs first: a search finds what its giver posted before
 * it, for that is taken with it then. */
static void collect(void)
{
	struct message *message;

	while ((message = mailbox_take(&audit.jobs)) != NULL)
		append(&seq.job_first, &seq.job_last, message);
	while ((message = mailbox_take(&audit.entries)) != NULL) {
		append(&seq.first, &seq.last, message);
		seq.queued++;
		seq.waiting +=
			CONTAINER_OF(message, struct audit_entry, message)
				->waiter != NULL;
	}
}

bool sequencer_has_unsigned(void)
{
	return audit.log.sequence > audit.log.signed_sequence;
}

bool sequencer_is_failing(void)
{
	return atomic_load(&audit.state) == AUDIT_FAILING;
}

/* When there will be something to do if nobody asks for anything.  [lock] */
static int64_t next_deadline(void)
{
	int64_t at = NEVER;

	/* A batch that was refused, or that there was no memory for. */
	if (sequencer_is_failing() || seq.first != NULL)
		return seq.retry_ns;
	if (audit.batched)
		at = audit.batched_ns;
	if (sequencer_has_unsigned() && seq.head_ns < at)
		at = seq.head_ns;
	return at;
}

/* Returns when there is something to do; true when the end was asked for. */
static bool wait_for_work(void)
{
	bool stopping;

	(void)pthread_mutex_lock(&audit.lock);
	for (;;) {
		int64_t until = next_deadline();
		bool asked = audit.urgent || audit.stopping;

		/* What is posted while the sink fails waits for the next
		 * try, but its waiters are told. */
		if (asked || seq.job_first != NULL ||
		    mailbox_waiting(&audit.jobs) || os.monotonic_ns() >= until)
			break;
		audit_wait(&audit.wake, until);
	}
	audit.urgent = false;
	audit.batched = false;
	stopping = audit.stopping;
	(void)pthread_mutex_unlock(&audit.lock);
	collect();
	return stopping;
}

/* Up to 1 ms for as many waiters as the last batch had. */
static void linger(void)
{
	const int64_t until = os.monotonic_ns() + LINGER_NS;

	if (seq.waiting == 0 || seq.waiting >= seq.expected)
		return;
	(void)pthread_mutex_lock(&audit.lock);
	audit.lingers_for = seq.expected;
	while (atomic_load(&audit.waiters) < seq.expected && !audit.stopping &&
	       os.monotonic_ns() < until)
		audit_wait(&audit.wake, until);
	audit.lingers_for = 0;
	audit.urgent = false;
	(void)pthread_mutex_unlock(&audit.lock);
	collect();
}

/* --- the thread ----------------------------------------------------------------- */

/* All that was collected. What is posted meanwhile waits for its own time,
 * or calls would get a sync every few records. */
static void write_all(void)
{
	while (seq.batch != NULL || seq.first != NULL ||
	       atomic_load(&audit.gaps) != 0) {
		if (seq.batch == NULL) {
			linger();
			if (!commit_make_batch())
				return;
		}
		if (!commit_batch())
			return;
		if (os.monotonic_ns() >= seq.head_ns)
			commit_head();
	}
}

static void step_jobs(bool all)
{
	do {
		struct message *message = take_first(&seq.job_first);
		struct audit_job *job;

		if (message == NULL)
			return;
		job = CONTAINER_OF(message, struct audit_job, message);
		if (!job->step(job))
			append(&seq.job_first, &seq.job_last, message);
	} while (all);
}

/* What nobody will ever write. */
static void throw_away(void)
{
	struct message *message;
	uint64_t lost = 0;

	collect();
	commit_release_waiting();
	while ((message = take_first(&seq.first)) != NULL) {
		commit_entry_done(
			CONTAINER_OF(message, struct audit_entry, message));
		lost++;
	}
	seq.queued = 0;
	commit_settle();
	if (seq.batch != NULL)
		lost += seq.batch->count;
	batch_unref(&seq.batch);
	lost += atomic_exchange(&audit.gaps, 0);
	if (lost > 0)
		log_line(ATOM_LOG_ERROR, "audit_records_lost",
			 "records could not be kept before the end",
			 LOG_NUMBER("records", lost));
}

static void serve(void)
{
	bool stopping = false;

	seq.head_ns = os.monotonic_ns() + HEAD_EVERY_NS;
	seq.delay_ns = DELAY_FIRST_NS;
	while (!stopping || seq.first != NULL || seq.batch != NULL) {
		stopping = wait_for_work();
		if (sequencer_is_failing()) {
			commit_release_waiting();
			if (os.monotonic_ns() < seq.retry_ns && !stopping) {
				step_jobs(false);
				continue;
			}
		}
		if (stopping && seq.tries >= STOP_TRIES)
			break;
		write_all();
		if (!sequencer_is_failing() && os.monotonic_ns() >= seq.head_ns)
			commit_head();
		step_jobs(false);
	}
	if (!sequencer_is_failing())
		commit_head();
}

static atom_status take_up(struct atom_error *err)
{
	atom_status status = sink_open(audit.required, err);

	if (status == ATOM_OK)
		status = sink_must_be_durable(audit.required, err);
	if (status != ATOM_OK)
		return status;
	status = recovery_run(&audit.log, audit.required->ops,
			      audit.required->self, err);
	if (status == ATOM_OK) {
		note_verifier_text(&audit.log.signer.verifier,
				   audit.log.verifier);
		atomic_store(&audit.sequence, audit.log.sequence);
		atomic_store(&audit.required->cursor, audit.log.sequence);
		metric_set(audit.last_sequence, (double)audit.log.sequence);
	}
	return status;
}

static void *run(void *argument)
{
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status;

	(void)argument;
	/* Not before there is somebody to answer who waits. */
	atomic_store(&audit.state, AUDIT_OPENING);
	status = take_up(&err);
	(void)pthread_mutex_lock(&audit.lock);
	audit.error = err;
	atomic_store(&audit.state,
		     status == ATOM_OK ? AUDIT_WELL : AUDIT_BROKEN);
	audit.opened = true;
	(void)pthread_cond_broadcast(&audit.changed);
	(void)pthread_mutex_unlock(&audit.lock);
	if (status == ATOM_OK)
		serve();
	else
		while (!wait_for_work()) {
			throw_away();
			step_jobs(false);
		}
	/* What was given before it is done, and nothing is given after it. */
	(void)pthread_mutex_lock(&audit.lock);
	atomic_store(&audit.state, AUDIT_ENDED);
	(void)pthread_mutex_unlock(&audit.lock);
	throw_away();
	step_jobs(true);
	sink_close(audit.required);
	note_signer_wipe(&audit.log.signer);
	(void)pthread_mutex_lock(&audit.lock);
	audit.ended = true;
	(void)pthread_cond_broadcast(&audit.changed);
	(void)pthread_mutex_unlock(&audit.lock);
	return NULL;
}

atom_status audit_thread(pthread_t *thread, const char *name,
			 void *(*start)(void *argument), void *argument,
			 struct atom_error *err)
{
	sigset_t all, before;
	int failure;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	failure = pthread_create(thread, NULL, start, argument);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failure != 0)
		return atom_fail(err, ATOM_ENOMEM, "a thread for %s: %s", name,
				 strerror(failure));
	(void)pthread_setname_np(*thread, name);
	return ATOM_OK;
}

atom_status sequencer_start(struct atom_error *err)
{
	memset(&seq, 0, sizeof(seq));
	return audit_thread(&audit.required->thread, "audit", run, NULL, err);
}

bool sequencer_give(struct audit_job *job)
{
	bool given;

	(void)pthread_mutex_lock(&audit.lock);
	given = atomic_load(&audit.state) != AUDIT_ENDED;
	if (given) {
		(void)mailbox_put(&audit.jobs, &job->message);
		(void)pthread_cond_signal(&audit.wake);
	}
	(void)pthread_mutex_unlock(&audit.lock);
	return given;
}
