/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/audit/http/http_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "plugins/audit/remote/deadline.h"

/* --- a batch that went one way or the other, with the lock held -------------- */

static void store_position(struct http_sink *sink)
{
	struct atom_error error = ATOM_ERROR_INIT;

	if (position_store(&sink->position_file, &sink->position, &error) !=
	    ATOM_OK)
		report_log(&sink->report, ATOM_LOG_WARN,
			   "audit_position_not_kept", error.message, "sequence",
			   (int64_t)sink->position.sequence);
}

/* All entries of the first `length` bytes of `pack` are delivered or on disk.
 */
static void note_taken(struct http_sink *sink, const struct pack *pack,
		       size_t length)
{
	struct position *position = &sink->position;
	struct entry entry;

	for (size_t at = 0, size;
	     at < length && entry_decode(pack->bytes + at, length - at, &entry,
					 &size) == ATOM_OK;
	     at += size) {
		position->taken = entry.ordinal;
		position->sequence = entry.sequence;
		memcpy(position->hash, entry.hash, sizeof(position->hash));
		if (entry.kind != ENTRY_CHECKPOINT)
			continue;
		position->checkpoint = entry.sequence;
		position->range_count = entry.range_count;
		memcpy(position->range, entry.range,
		       (size_t)entry.range_count * 32);
	}
}

static void succeeded(struct http_sink *sink, const struct body *body)
{
	size_t whole = (size_t)sink->options->batch_records;

	sink->position.delivered = body->last_ordinal;
	backoff_succeeded(&sink->backoff);
	if (sink->batch_records < whole)
		sink->batch_records = sink->batch_records * 2 < whole
					      ? sink->batch_records * 2
					      : whole;
	report_succeeded(&sink->report);
	report_add(&sink->report, REPORT_SENT, body->count);
}

/* A receiver that refuses for good is asked again all the same, slowly: its
 * reason is mostly a setting that somebody will correct, and audit records
 * are not to be thrown away. */
static void failed(struct http_sink *sink, const struct body *body,
		   atom_status status, const struct atom_error *why)
{
	struct atom_error error = ATOM_ERROR_INIT;
	int64_t at_least = why->retry_after_ms;

	if (status == ATOM_ECANCELED)
		return;
	if (status == ATOM_ELIMIT && body->count > 1)
		sink->batch_records = (body->count + 1) / 2;
	else if (status == ATOM_EPERM || status == ATOM_ELIMIT)
		at_least = at_least > sink->options->retry_max
				   ? at_least
				   : sink->options->retry_max;
	backoff_failed(&sink->backoff, at_least);
	(void)atom_fail(&error, status, "audit receiver %s: %s",
			sink->report.target, why->message);
	error.retry_after_ms = backoff_left(&sink->backoff);
	report_failed(&sink->report, &error);
}

/* --- the sink's own thread --------------------------------------------------- */

bool delivery_has_room(const struct http_sink *sink, size_t length)
{
	return sink->pending.count == 0 ||
	       (sink->pending.count < (size_t)sink->options->batch_records &&
		sink->pending.length + length <=
			(size_t)sink->options->batch_size);
}

/* May this thread post?  While the spill is empty only it can fill it, so the
 * answer lasts. */
static bool may_post(struct http_sink *sink, size_t *records_r)
{
	bool may;

	(void)pthread_mutex_lock(&sink->lock);
	may = spill_is_empty(&sink->spill) && backoff_left(&sink->backoff) == 0;
	*records_r = sink->batch_records;
	(void)pthread_mutex_unlock(&sink->lock);
	return may;
}

static void post_pending(struct http_sink *sink, int64_t deadline)
{
	atom_status status = ATOM_OK;
	size_t records;

	while (status == ATOM_OK && sink->pending.count > 0 &&
	       may_post(sink, &records)) {
		struct atom_error why = ATOM_ERROR_INIT;

		status = body_make(&sink->body, &sink->pending, records,
				   (size_t)sink->options->batch_size,
				   sink->settings.array, &why);
		if (status == ATOM_OK)
			status = poster_post(sink->poster, &sink->body,
					     deadline_left(deadline), &why);
		(void)pthread_mutex_lock(&sink->lock);
		if (status == ATOM_OK) {
			note_taken(sink, &sink->pending, sink->body.used);
			succeeded(sink, &sink->body);
			store_position(sink);
		} else {
			failed(sink, &sink->body, status, &why);
		}
		(void)pthread_mutex_unlock(&sink->lock);
		if (status == ATOM_OK)
			pack_shift(&sink->pending, sink->body.used,
				   sink->body.count);
	}
}

static atom_status spill_pending(struct http_sink *sink, struct atom_error *err)
{
	atom_status status;
	int32_t left;

	(void)pthread_mutex_lock(&sink->lock);
	/* What stands before the spill is told apart from a loss by the
	 * position, which therefore must not be behind. */
	if (spill_is_empty(&sink->spill))
		(void)fdatasync(sink->position_file.fd);
	status = spill_append(&sink->spill, &sink->pending, err);
	if (status == ATOM_OK) {
		note_taken(sink, &sink->pending, sink->pending.length);
		(void)pthread_cond_signal(&sink->changed);
	}
	left = backoff_left(&sink->backoff);
	report_waiting(&sink->report, sink->spill.bytes);
	(void)pthread_mutex_unlock(&sink->lock);
	if (status == ATOM_OK) {
		report_add(&sink->report, REPORT_SPILLED, sink->pending.count);
		pack_clear(&sink->pending);
	} else if (err != NULL) {
		err->retry_after_ms = left;
	}
	return status;
}

atom_status delivery_flush(struct http_sink *sink, int64_t deadline,
			   struct atom_error *err)
{
	post_pending(sink, deadline);
	return sink->pending.count > 0 ? spill_pending(sink, err) : ATOM_OK;
}

/* --- the courier ------------------------------------------------------------- */

static void wait_ms(struct http_sink *sink, int32_t ms)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000l;
	if (until.tv_nsec >= 1000000000l) {
		until.tv_nsec -= 1000000000l;
		until.tv_sec++;
	}
	(void)pthread_cond_timedwait(&sink->changed, &sink->lock, &until);
}

/* Posts the oldest entries; with the lock held, but while it posts. */
static void deliver_spilled(struct http_sink *sink)
{
	struct atom_error why = ATOM_ERROR_INIT;
	size_t bytes = (size_t)sink->options->batch_size;
	atom_status status = spill_peek(&sink->spill, sink->batch_records,
					bytes, &sink->courier_pack, &why);

	sink->courier_body.count = 0;
	if (status == ATOM_OK && sink->courier_pack.count == 0)
		return;
	if (status == ATOM_OK)
		status = body_make(&sink->courier_body, &sink->courier_pack,
				   SIZE_MAX, bytes, sink->settings.array, &why);
	if (status == ATOM_OK) {
		(void)pthread_mutex_unlock(&sink->lock);
		status = poster_post(sink->courier_poster, &sink->courier_body,
				     sink->options->timeout, &why);
		(void)pthread_mutex_lock(&sink->lock);
	}
	if (status != ATOM_OK) {
		failed(sink, &sink->courier_body, status, &why);
		return;
	}
	succeeded(sink, &sink->courier_body);
	/* In this order: a crash between the two repeats the batch. */
	store_position(sink);
	spill_consume(&sink->spill, sink->courier_body.last_ordinal);
	report_waiting(&sink->report, sink->spill.bytes);
}

void delivery_run_courier(void *argument)
{
	struct http_sink *sink = argument;

	(void)pthread_mutex_lock(&sink->lock);
	while (!atomic_load(&sink->stop)) {
		int32_t left = backoff_left(&sink->backoff);

		if (spill_is_empty(&sink->spill))
			(void)pthread_cond_wait(&sink->changed, &sink->lock);
		else if (left > 0)
			wait_ms(sink, left);
		else
			deliver_spilled(sink);
	}
	(void)pthread_mutex_unlock(&sink->lock);
}
