/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Another required sink, by a reload: the log goes on in it, and nothing is
 * let go before it is known to do.
 *
 *	control                       sequencer, between two batches
 *	-------                       ------------------------------
 *	the sink, if it follows
 *	already, is asked to end
 *	job ────────────────────────► head signed in the old one
 *	waits, at most 10 s           new one: opened, able to be durable,
 *	                              at the log's end or before it and of the
 *	                              same chain, given what it lacks, synced,
 *	                              given the head
 *	                              ── from here on it is the required one ──
 *	◄──────────────────────────── old one: closed
 *
 * A folder has one owner at a time: where the new one is of the same plugin
 * and finds its place taken (ATOM_EBUSY), the old one is closed first, and
 * opened again if the new one fails.  Records wait meanwhile; after any
 * failure they go on into the old one.
 */

#include <string.h>

#include "audit/sequencer_priv.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"

#define WAIT_NS ((int64_t)10 * 1000000000)
/* Records that it may lack; with more it shall follow for a while. */
#define LACK_MAX   20000
#define READ_MAX   512
#define REOPEN_MAX 3

struct handover {
	struct audit_job job;
	struct audit_sink *next;
	struct audit_sink *former; /* taken out */
	/* [audit.lock] */
	bool given_up;	/* nobody waits: it must not happen any more */
	bool committed; /* it happens */
	bool over;
	atom_status status;
	struct atom_error error;
};

/* --- on the sequencer ------------------------------------------------------------ */

/* Is the record where it stands the log's? */
static atom_status check_place(const struct atom_audit_position *p,
			       struct atom_error *err)
{
	const struct audit_log *log = &audit.log;
	struct audit_batch *batch = NULL;
	atom_status status = ATOM_OK;
	bool same;

	if (p->sequence == 0)
		return ATOM_OK;
	if (p->sequence > log->sequence)
		return atom_fail(err, ATOM_EDATALOSS,
				 "it has %llu records, and the log %llu: they "
				 "are of another log",
				 (unsigned long long)p->sequence,
				 (unsigned long long)log->sequence);
	if (p->sequence == log->sequence) {
		same = memcmp(p->hash, log->hash, sizeof(p->hash)) == 0;
	} else {
		status = audit_read(p->sequence - 1, p->sequence, 1, &batch,
				    err);
		same = status == ATOM_OK && batch->count == 1 &&
		       batch_first(batch) == p->sequence &&
		       memcmp(p->hash, batch->records[0].hash,
			      sizeof(p->hash)) == 0;
		batch_unref(&batch);
	}
	if (status == ATOM_OK && !same)
		status = atom_fail(err, ATOM_EDATALOSS,
				   "its record %llu is not the log's: it is of "
				   "another log",
				   (unsigned long long)p->sequence);
	return status;
}

/* What the old one has and the new one has not. */
static atom_status give_rest(struct audit_sink *next, uint64_t from,
			     struct atom_error *err)
{
	const uint64_t end = audit.log.sequence;
	atom_status status = ATOM_OK;

	if (end - from > LACK_MAX)
		return atom_fail(
			err, ATOM_EBUSY,
			"it lacks %llu records; add it as a sink that is not `required` first, and reload again once it has them (see `audit` in the status)",
			(unsigned long long)(end - from));
	while (status == ATOM_OK && from < end) {
		struct audit_batch *batch;

		status = audit_read(from, end, READ_MAX, &batch, err);
		if (status != ATOM_OK)
			break;
		if (batch->count == 0)
			status = atom_fail(err, ATOM_EIO,
					   "the records after %llu cannot be "
					   "read from the sink before it",
					   (unsigned long long)from);
		else
			status = sink_write(next, batch, 0, err);
		if (status == ATOM_OK)
			from = batch_last(batch);
		batch_unref(&batch);
	}
	return status;
}

static atom_status give_head(struct audit_sink *next, struct atom_error *err)
{
	struct audit_head *head;
	atom_status status;

	if (audit.log.sequence == 0)
		return ATOM_OK;
	head = commit_make_head(err);
	if (head == NULL)
		return ATOM_ENOMEM;
	status = sink_head(next, head, err);
	head_unref(&head);
	return status;
}

/* The new one, opened, has to be where the log is. */
static atom_status bring_up(struct audit_sink *next, struct atom_error *err)
{
	struct atom_audit_position p = { .struct_size = sizeof(p) };
	atom_status status = sink_must_be_durable(next, err);

	if (status == ATOM_OK)
		status = next->ops->last(next->self, &p, err);
	if (status == ATOM_OK)
		status = check_place(&p, err);
	if (status == ATOM_OK && p.sequence < audit.log.sequence)
		status = give_rest(next, p.sequence, err);
	if (status == ATOM_OK)
		status = sink_sync(next, err);
	if (status == ATOM_OK && p.checkpoint < audit.log.sequence)
		status = give_head(next, err);
	return status;
}

/* The way back.  If it fails, too, the next batch tries again. */
static void reopen(struct audit_sink *old)
{
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status = ATOM_EIO;

	for (int i = 0; i < REOPEN_MAX && status != ATOM_OK; i++)
		status = sink_open(old, &err);
	if (status == ATOM_OK)
		return;
	atomic_store(&audit.state, AUDIT_FAILING);
	seq.retry_ns = os.monotonic_ns() + DELAY_FIRST_NS;
	sink_failure(old, &err);
}

/* From now on; false: it came too late. */
static bool commit(struct handover *h)
{
	bool committed;

	(void)pthread_mutex_lock(&audit.lock);
	committed = h->committed = !h->given_up;
	(void)pthread_mutex_unlock(&audit.lock);
	return committed;
}

static atom_status take_over(struct handover *h, struct atom_error *err)
{
	struct audit_sink *old = audit.required, *next = h->next;
	bool closed = false;
	atom_status status;

	if (sequencer_is_failing() || seq.batch != NULL)
		return atom_fail(err, ATOM_EBUSY,
				 "the required sink of before, %s, fails at "
				 "this time; its records would be lost",
				 old->name);
	commit_head();
	status = sink_open(next, err);
	if (status == ATOM_EBUSY && next->component == old->component) {
		sink_close(old);
		closed = true;
		status = sink_open(next, err);
	}
	if (status == ATOM_OK)
		status = bring_up(next, err);
	if (status == ATOM_OK && !commit(h))
		status = atom_fail(err, ATOM_ETIMEOUT, "it took too long");
	if (status != ATOM_OK) {
		sink_close(next);
		if (closed)
			reopen(old);
		return status;
	}
	next->thread = old->thread;
	atomic_store(&next->cursor, audit.log.sequence);
	h->former = old;
	audit.required = next;
	if (!closed)
		sink_close(old);
	return ATOM_OK;
}

static void handover_free(struct handover **handover)
{
	struct handover *h = TAKE(*handover);

	sink_free(&h->next);
	mem_free(h);
}

static bool step(struct audit_job *job)
{
	struct handover *h = CONTAINER_OF(job, struct handover, job);
	bool alone;

	(void)pthread_mutex_lock(&audit.lock);
	alone = h->given_up;
	(void)pthread_mutex_unlock(&audit.lock);
	if (!alone)
		h->status = take_over(h, &h->error);
	(void)pthread_mutex_lock(&audit.lock);
	h->over = true;
	alone = h->given_up;
	(void)pthread_cond_broadcast(&audit.changed);
	(void)pthread_mutex_unlock(&audit.lock);
	if (alone)
		handover_free(&h);
	return true;
}

/* --- on control -------------------------------------------------------------------- */

/* False: it has not ended within its time, and frees itself. */
static bool wait_for(struct handover *h)
{
	const int64_t until = os.monotonic_ns() + WAIT_NS;
	bool over;

	(void)pthread_mutex_lock(&audit.lock);
	/* What is committed ends at once. */
	while (!h->over && (h->committed || os.monotonic_ns() < until))
		audit_wait(&audit.changed, until);
	over = h->over;
	h->given_up = !over;
	(void)pthread_mutex_unlock(&audit.lock);
	return over;
}

atom_status handover_run(struct audit_sink **next, struct audit_sink **former_r,
			 struct atom_error *err)
{
	struct handover *h = mem_zalloc(sizeof(*h));
	atom_status status;

	if (h == NULL) {
		sink_free(next);
		return atom_fail(err, ATOM_ENOMEM, "no memory");
	}
	h->next = TAKE(*next);
	h->job.step = step;
	h->error = (struct atom_error)ATOM_ERROR_INIT;
	if (!sequencer_give(&h->job)) {
		handover_free(&h);
		return atom_fail(err, ATOM_EUNAVAILABLE, "the log has ended");
	}
	if (!wait_for(h))
		return atom_fail(err, ATOM_ETIMEOUT,
				 "it was not ready within 10 s");
	status = h->status;
	if (status == ATOM_OK) {
		h->next = NULL; /* the log's now */
		*former_r = h->former;
	} else {
		*err = h->error;
	}
	handover_free(&h);
	return status;
}
