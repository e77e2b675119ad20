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

#include <limits.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "audit/audit_priv.h"
#include "core/health.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"

#define BATCH_RECORDS  512
#define BATCH_BYTES    ((size_t)256 * 1024)
#define LINGER_NS      ((int64_t)1000000)
#define HEAD_EVERY_NS  ((int64_t)1000000000)
#define DELAY_FIRST_NS ((int64_t)100 * 1000000)
#define DELAY_MAX_NS   ((int64_t)5 * 1000000000)
/* Failures in a row after which a stop gives up. */
#define STOP_TRIES 5
#define NEVER	   INT64_MAX

static struct {
	/* Taken from the mailbox, in order. */
	struct message *first, *last;
	struct message *job_first, *job_last;
	/* The batch that is being made durable, and those who wait. */
	struct audit_batch *batch;
	struct audit_waiter *waiters[BATCH_RECORDS];
	size_t waiter_count;
	size_t expected; /* waiters of the batch before */
	int64_t head_ns; /* when the next head is due */
	int64_t retry_ns;
	int64_t delay_ns;
	unsigned int tries;
	bool head_failed;
} seq;

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

/* All that was posted. */
static void collect(void)
{
	struct message *message;

	while ((message = mailbox_take(&audit.entries)) != NULL)
		append(&seq.first, &seq.last, message);
	while ((message = mailbox_take(&audit.jobs)) != NULL)
		append(&seq.job_first, &seq.job_last, message);
}

static bool unsigned_records(void)
{
	return audit.log.sequence > audit.log.signed_sequence;
}

static bool is_failing(void)
{
	return atomic_load(&audit.state) == AUDIT_FAILING;
}

/* When there will be something to do if nobody asks for anything.  [lock] */
static int64_t next_deadline(void)
{
	int64_t at = NEVER;

	/* A batch that was refused, or that there was no memory for. */
	if (is_failing() || seq.first != NULL)
		return seq.retry_ns;
	if (audit.batched)
		at = audit.batched_ns;
	if (unsigned_records() && seq.head_ns < at)
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

	for (;;) {
		size_t waiting = 0, count = 0;

		for (struct message *m = seq.first;
		     m != NULL && count < BATCH_RECORDS; m = m->next, count++)
			waiting += CONTAINER_OF(m, struct audit_entry, message)
					   ->waiter != NULL;
		if (waiting == 0 || waiting >= seq.expected ||
		    count == BATCH_RECORDS || os.monotonic_ns() >= until)
			return;
		(void)pthread_mutex_lock(&audit.lock);
		if (!audit.urgent)
			audit_wait(&audit.wake, until);
		audit.urgent = false;
		(void)pthread_mutex_unlock(&audit.lock);
		collect();
	}
}

/* --- one batch ------------------------------------------------------------------ */

static void entry_done(struct audit_entry *entry)
{
	atomic_fetch_sub(&audit.waiting_bytes, (size_t)entry->head_length +
						       entry->tail_length +
						       sizeof(*entry));
	atomic_fetch_sub(&audit.waiting, 1);
	mem_free(entry);
}

/* Numbers the entry, behind the batch.  False: no memory, it waits. */
static bool number(struct audit_batch *batch, const struct audit_entry *entry)
{
	const size_t start = batch->json.length;
	struct atom_audit_record *record = &batch->records[batch->count];

	*record = (struct atom_audit_record){
		.struct_size = sizeof(*record),
		.severity = entry->row->severity,
		.sequence = audit.log.sequence + 1,
		.time_ms = os.realtime_ms(),
		.category = audit_category_name(entry->row->category),
		.event_type = entry->row->name,
	};
	if (audit_entry_write(entry, record->sequence, record->time_ms,
			      &batch->json) != ATOM_OK)
		return false;
	record->json = (struct atom_span){ batch->json.bytes + start,
					   batch->json.length - start };
	if (!log_step(&audit.log, record)) {
		batch->json.length = start;
		return false;
	}
	batch->starts[batch->count++] = start;
	return true;
}

/* Records that were lost are told of in front of the next ones. */
static void tell_gap(void)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_GAP);
	uint64_t lost = atomic_exchange(&audit.gaps, 0);
	struct audit_entry *entry;

	if (lost == 0)
		return;
	audit_number(&record, "count", (int64_t)lost);
	entry = audit_entry_new(&record);
	if (entry == NULL) {
		atomic_fetch_add(&audit.gaps, lost);
		return;
	}
	atomic_fetch_add(&audit.waiting_bytes, (size_t)entry->head_length +
						       entry->tail_length +
						       sizeof(*entry));
	atomic_fetch_add(&audit.waiting, 1);
	entry->message.next = seq.first;
	if (seq.first == NULL)
		seq.last = &entry->message;
	seq.first = &entry->message;
}

/* Takes what waits into seq.batch; false when that was nothing. */
static bool make_batch(void)
{
	struct message *message;

	tell_gap();
	if (seq.first == NULL)
		return false;
	seq.batch = batch_new(BATCH_RECORDS);
	seq.waiter_count = 0;
	while (seq.batch != NULL && seq.batch->count < BATCH_RECORDS &&
	       seq.batch->json.length < BATCH_BYTES &&
	       (message = seq.first) != NULL) {
		struct audit_entry *entry =
			CONTAINER_OF(message, struct audit_entry, message);

		if (!number(seq.batch, entry))
			break;
		(void)take_first(&seq.first);
		if (entry->waiter != NULL)
			seq.waiters[seq.waiter_count++] = entry->waiter;
		entry_done(entry);
	}
	if (seq.batch != NULL && seq.batch->count == 0)
		batch_unref(&seq.batch);
	if (seq.batch == NULL) {
		seq.tries++;
		seq.retry_ns = os.monotonic_ns() + DELAY_FIRST_NS;
		return false;
	}
	batch_seal(seq.batch);
	seq.expected = seq.waiter_count;
	return true;
}

static void tell_waiters(atom_status status)
{
	for (size_t i = 0; i < seq.waiter_count; i++)
		audit_tell(seq.waiters[i], status);
	seq.waiter_count = 0;
}

/* Nobody shall wait for what may take for ever; the records stay. */
static void release_waiting(void)
{
	for (struct message *m = seq.first; m != NULL; m = m->next) {
		struct audit_entry *entry =
			CONTAINER_OF(m, struct audit_entry, message);

		if (entry->waiter != NULL)
			audit_tell(TAKE(entry->waiter), ATOM_EUNAVAILABLE);
	}
}

static atom_status store(const struct audit_batch *batch,
			 struct atom_error *err)
{
	atom_status status = sink_write(audit.required, batch, 0, err);

	return status == ATOM_OK ? sink_sync(audit.required, err) : status;
}

/* seq.batch is on the disk. */
static void stored(void)
{
	const uint64_t last = batch_last(seq.batch);

	metric_add(audit.required->written, (double)seq.batch->count);
	metric_set(audit.last_sequence, (double)last);
	window_add_batch(seq.batch);
	atomic_store(&audit.required->cursor, last);
	atomic_store(&audit.sequence, last);
	batch_unref(&seq.batch);
	seq.tries = 0;
	seq.delay_ns = DELAY_FIRST_NS;
	if (is_failing())
		atomic_store(&audit.state, AUDIT_WELL);
	tell_waiters(ATOM_OK);
	sink_success(audit.required);
}

static void failed(const struct atom_error *err)
{
	atomic_store(&audit.state, AUDIT_FAILING);
	seq.tries++;
	seq.retry_ns = os.monotonic_ns() + seq.delay_ns;
	seq.delay_ns = seq.delay_ns * 2 < DELAY_MAX_NS ? seq.delay_ns * 2
						       : DELAY_MAX_NS;
	tell_waiters(ATOM_EUNAVAILABLE);
	release_waiting();
	sink_failure(audit.required, err);
}

/* Makes seq.batch durable, by a second try where the first one fails: then
 * the sink has gone on to a fresh file. */
static bool commit(void)
{
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status = store(seq.batch, &err);

	if (status != ATOM_OK && !is_failing()) {
		log_line(ATOM_LOG_WARN, "audit_write_again", err.message,
			 LOG_TEXT("sink", audit.required->name));
		status = store(seq.batch, &err);
	}
	if (status == ATOM_OK)
		stored();
	else
		failed(&err);
	return status == ATOM_OK;
}

/* --- heads ------------------------------------------------------------------------ */

static struct audit_head *make_head(struct atom_error *err)
{
	const struct audit_log *log = &audit.log;
	struct note_head head = { .size = log->sequence,
				  .time_ms = os.realtime_ms() };
	struct audit_head *h = mem_zalloc(sizeof(*h));
	size_t length;

	if (h == NULL || !tree_root(&log->range, head.root)) {
		mem_free(h);
		atom_fail(err, ATOM_ENOMEM, "no memory for a signed head");
		return NULL;
	}
	memcpy(head.log_id, log->signer.log_id, sizeof(head.log_id));
	memcpy(head.chain, log->hash, sizeof(head.chain));
	if (note_make(&log->signer, &head, h->note, &length, err) != ATOM_OK) {
		mem_free(h);
		return NULL;
	}
	h->references = 1;
	memcpy(h->verifier, log->verifier, sizeof(h->verifier));
	memcpy(h->range, log->range.nodes, sizeof(h->range));
	h->checkpoint = (struct atom_audit_checkpoint){
		.struct_size = sizeof(h->checkpoint),
		.range_count = tree_range_count(log->range.size),
		.sequence = log->sequence,
		.time_ms = head.time_ms,
		.range = h->range[0],
		.note = { h->note, length },
		.verifier = h->verifier,
	};
	memcpy(h->checkpoint.root, head.root, sizeof(head.root));
	memcpy(h->checkpoint.hash, head.chain, sizeof(head.chain));
	return h;
}

/* All that is numbered is durable. */
static void sign_head(void)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct audit_head *head;
	atom_status status;

	seq.head_ns = os.monotonic_ns() + HEAD_EVERY_NS;
	if (!unsigned_records())
		return;
	head = make_head(&err);
	status = head != NULL ? sink_head(audit.required, head, &err)
			      : ATOM_ENOMEM;
	if (status != ATOM_OK) {
		/* The records are durable: it is tried again in a second. */
		if (!seq.head_failed)
			sink_failure(audit.required, &err);
		seq.head_failed = true;
		head_unref(&head);
		return;
	}
	seq.head_failed = false;
	audit.log.signed_sequence = head->checkpoint.sequence;
	metric_inc(audit.checkpoints);
	window_add_head(head);
	if (head_file_write(audit.log.directory, head->note,
			    head->checkpoint.note.length, &err) != ATOM_OK)
		log_line(ATOM_LOG_WARN, "audit_head_not_kept", err.message);
	head_unref(&head);
	sink_success(audit.required);
}

/* --- the thread ----------------------------------------------------------------- */

static void write_all(void)
{
	while (seq.batch != NULL || seq.first != NULL ||
	       atomic_load(&audit.gaps) != 0) {
		if (seq.batch == NULL) {
			linger();
			if (!make_batch())
				return;
		}
		if (!commit())
			return;
		if (os.monotonic_ns() >= seq.head_ns)
			sign_head();
		collect();
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
	release_waiting();
	while ((message = take_first(&seq.first)) != NULL) {
		entry_done(CONTAINER_OF(message, struct audit_entry, message));
		lost++;
	}
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
		if (is_failing()) {
			release_waiting();
			if (os.monotonic_ns() < seq.retry_ns && !stopping) {
				step_jobs(false);
				continue;
			}
		}
		if (stopping && seq.tries >= STOP_TRIES)
			break;
		write_all();
		if (!is_failing() && os.monotonic_ns() >= seq.head_ns)
			sign_head();
		step_jobs(false);
	}
	if (!is_failing())
		sign_head();
}

static atom_status take_up(struct atom_error *err)
{
	atom_status status = sink_open(audit.required, err);

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
	atom_status status = take_up(&err);

	(void)argument;
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
	atomic_store(&audit.state, AUDIT_ENDED);
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

void sequencer_give(struct audit_job *job)
{
	(void)mailbox_put(&audit.jobs, &job->message);
	(void)pthread_mutex_lock(&audit.lock);
	(void)pthread_cond_signal(&audit.wake);
	(void)pthread_mutex_unlock(&audit.lock);
}
