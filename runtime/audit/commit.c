/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One batch: numbered, chained, made durable; and the head signed behind it.
 * The other half of the sequencer.
 */

#include <string.h>

#include "audit/sequencer_priv.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"

#define BATCH_BYTES	  ((size_t)256 * 1024)
#define BATCH_BYTES_CALLS ((size_t)1024 * 1024)
#define DELAY_MAX_NS	  ((int64_t)5 * 1000000000)

/* --- one batch ------------------------------------------------------------------ */

void commit_entry_done(struct audit_entry *entry)
{
	seq.ended++;
	seq.ended_bytes += audit_entry_size(entry);
	audit_entry_free(entry);
}

void commit_settle(void)
{
	atomic_fetch_sub(&audit.waiting_bytes, seq.ended_bytes);
	atomic_fetch_sub(&audit.waiting, seq.ended);
	seq.ended = seq.ended_bytes = 0;
}

/* When a batch was made: the time of its records, and how that is written. */
struct moment {
	int64_t ms;
	char text[TEXT_TIME_MAX];
};

/* Numbers the entry, behind the batch.  False: no memory, it waits. */
static bool number(struct audit_batch *batch, const struct audit_entry *entry,
		   const struct moment *now)
{
	const size_t start = batch->json.length;
	struct atom_audit_record *record = &batch->records[batch->count];

	*record = (struct atom_audit_record){
		.struct_size = sizeof(*record),
		.severity = entry->row->severity,
		.sequence = audit.log.sequence + 1,
		.time_ms = now->ms,
		.category = audit_category_name(entry->row->category),
		.event_type = entry->row->name,
	};
	if (audit_entry_write(entry, record->sequence, now->text,
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
	atomic_fetch_add(&audit.waiting_bytes, audit_entry_size(entry));
	atomic_fetch_add(&audit.waiting, 1);
	seq.queued++;
	entry->message.next = seq.first;
	if (seq.first == NULL)
		seq.last = &entry->message;
	seq.first = &entry->message;
}

/* Whoever waits for a record of it waits for all of it. */
static bool has_room(const struct audit_batch *batch)
{
	const bool waits = seq.waiter_count > 0;

	return batch->count < (waits ? BATCH_RECORDS : batch->room) &&
	       batch->json.length < (waits ? BATCH_BYTES : BATCH_BYTES_CALLS);
}

bool commit_make_batch(void)
{
	struct moment now = { .ms = os.realtime_ms() };
	struct message *message;

	tell_gap();
	if (seq.first == NULL)
		return false;
	text_of_time(now.ms, now.text);
	seq.batch =
		batch_new(seq.queued <= BATCH_RECORDS ? BATCH_RECORDS
						      : BATCH_RECORDS_CALLS);
	seq.waiter_count = 0;
	while (seq.batch != NULL && has_room(seq.batch) &&
	       (message = seq.first) != NULL) {
		struct audit_entry *entry =
			CONTAINER_OF(message, struct audit_entry, message);

		if (!number(seq.batch, entry, &now))
			break;
		seq.first = message->next;
		seq.queued--;
		if (entry->waiter != NULL) {
			seq.waiters[seq.waiter_count++] = entry->waiter;
			seq.waiting--;
		}
		commit_entry_done(entry);
	}
	atomic_fetch_sub(&audit.waiters, seq.waiter_count);
	commit_settle();
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

static void tell(struct audit_waiter *waiter, atom_status status)
{
	const bool controls = waiter->loop == loop_control();

	audit_tell(waiter, status);
	if (controls)
		audit_paid();
}

static void tell_waiters(atom_status status)
{
	for (size_t i = 0; i < seq.waiter_count; i++)
		tell(seq.waiters[i], status);
	seq.waiter_count = 0;
}

void commit_release_waiting(void)
{
	for (struct message *m = seq.first; m != NULL; m = m->next) {
		struct audit_entry *entry =
			CONTAINER_OF(m, struct audit_entry, message);

		if (entry->waiter != NULL)
			tell(TAKE(entry->waiter), ATOM_EUNAVAILABLE);
	}
	atomic_fetch_sub(&audit.waiters, seq.waiting);
	seq.waiting = 0;
}

static atom_status store(const struct audit_batch *batch,
			 struct atom_error *err)
{
	atom_status status = ATOM_OK;

	/* A handover that failed could not open it again. */
	if (audit.required->configured == NULL)
		status = sink_open(audit.required, err);
	if (status == ATOM_OK)
		status = sink_write(audit.required, batch, 0, err);

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
	if (sequencer_is_failing())
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
	commit_release_waiting();
	sink_failure(audit.required, err);
}

/* Makes seq.batch durable, by a second try where the first one fails: then
 * the sink has gone on to a fresh file. */
bool commit_batch(void)
{
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status = store(seq.batch, &err);

	if (status != ATOM_OK && !sequencer_is_failing()) {
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

struct audit_head *commit_make_head(struct atom_error *err)
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
void commit_head(void)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct audit_head *head;
	atom_status status;

	seq.head_ns = os.monotonic_ns() + HEAD_EVERY_NS;
	if (!sequencer_has_unsigned() || audit.required->configured == NULL)
		return;
	head = commit_make_head(&err);
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
