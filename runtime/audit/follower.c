/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A sink beside the required one: a thread that takes what the window has,
 * writes, syncs, and goes on.  It owns its pace; nobody waits for it.
 *
 *	        ┌── batch ──► write ... sync ──┐
 *	opening ├── head ───► checkpoint ──────┼──► again
 *	        └── behind ─► fetch, write ────┘
 *	   a failure: back to what is synced, wait (0.2 s to 5 s), again
 *
 * A sink that cannot say what is durable (its sync: ATOM_ENOTSUP) does not fail
 * by that: what it has taken is all that one can know.
 */

#include "audit/audit_priv.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"

#define DELAY_FIRST_NS ((int64_t)200 * 1000000)
/* Whoever mends a sink watches it come back. */
#define DELAY_MAX_NS ((int64_t)5 * 1000000000)
/* Batches between two syncs, at most. */
#define UNSYNCED_MAX 16
#define FETCH_MAX    512

static void set_cursor(struct audit_sink *sink, uint64_t sequence)
{
	atomic_store(&sink->cursor, sequence);
}

static uint64_t cursor_of(const struct audit_sink *sink)
{
	return atomic_load(&sink->cursor);
}

/* Where it goes on: where it says that it stands, when that can be. */
static atom_status find_place(struct audit_sink *sink, struct atom_error *err)
{
	struct atom_audit_position p = { .struct_size = sizeof(p) };
	const uint64_t now = atomic_load(&audit.sequence);
	atom_status status = ATOM_OK;

	p.sequence = now;
	if (sink->ops->last != NULL)
		status = sink->ops->last(sink->self, &p, err);
	if (status != ATOM_OK)
		return status;
	if (p.sequence > now) {
		log_line(ATOM_LOG_WARN, "audit_sink_ahead",
			 "the sink has records of another log; it goes on from "
			 "this one's end",
			 LOG_TEXT("sink", sink->name),
			 LOG_NUMBER("sequence", p.sequence));
		p.sequence = now;
	}
	sink->synced = p.sequence;
	sink->head = p.sequence;
	set_cursor(sink, p.sequence);
	return ATOM_OK;
}

static atom_status sync_now(struct audit_sink *sink, struct atom_error *err)
{
	const uint64_t cursor = cursor_of(sink);
	const double count = (double)(cursor - sink->synced);
	atom_status status;

	if (cursor == sink->synced)
		return ATOM_OK;
	status = sink_sync(sink, err);
	if (status != ATOM_OK && status != ATOM_ENOTSUP) {
		metric_add(sink->failed, count);
		return status;
	}
	if (status == ATOM_ENOTSUP)
		sink_note_lossy(sink, err);
	metric_add(status == ATOM_OK ? sink->written : sink->taken, count);
	sink->synced = cursor;
	sink->unsynced = 0;
	sink_success(sink);
	return ATOM_OK;
}

static atom_status take_batch(struct audit_sink *sink,
			      const struct audit_batch *batch,
			      struct atom_error *err)
{
	const uint64_t cursor = cursor_of(sink), first = batch_first(batch);
	const size_t from = cursor >= first ? cursor + 1 - first : 0;
	atom_status status = sink_write(sink, batch, from, err);

	if (status != ATOM_OK)
		return status;
	set_cursor(sink, batch_last(batch));
	return ++sink->unsynced < UNSYNCED_MAX ? ATOM_OK : sync_now(sink, err);
}

static atom_status take_head(struct audit_sink *sink,
			     const struct audit_head *head,
			     struct atom_error *err)
{
	atom_status status = sync_now(sink, err);

	if (status == ATOM_OK)
		status = sink_head(sink, head, err);
	if (status == ATOM_OK) {
		sink->head = head->checkpoint.sequence;
		sink_success(sink);
	}
	return status;
}

/* --- what the window no longer has ----------------------------------------- */

static bool fetch_step(struct audit_job *job)
{
	struct audit_sink *sink = CONTAINER_OF(job, struct audit_sink, fetch);
	struct atom_error err = ATOM_ERROR_INIT;
	struct audit_batch *batch = NULL;
	atom_status status = audit_read(cursor_of(sink), sink->fetch_before,
					FETCH_MAX, &batch, &err);

	(void)pthread_mutex_lock(&audit.lock);
	sink->fetched = batch;
	sink->fetch_status = status;
	sink->fetching = false;
	(void)pthread_cond_broadcast(&audit.changed);
	(void)pthread_mutex_unlock(&audit.lock);
	return true;
}

/* It will never have these: that is counted, and recorded. */
static void skip(struct audit_sink *sink, uint64_t to)
{
	struct audit_record record = AUDIT_RECORD(AUDIT_SINK_GAP);
	const uint64_t from = cursor_of(sink) + 1;

	audit_number(&record, "count", (int64_t)(to - from + 1));
	audit_number(&record, "from", (int64_t)from);
	audit_text(&record, "sink", sink->name);
	audit_number(&record, "to", (int64_t)to);
	(void)audit_post(&record, AUDIT_SOON, NULL);
	metric_add(sink->dropped, (double)(to - from + 1));
	set_cursor(sink, to);
	sink->synced = to;
}

static void wait_for_end(const struct audit_sink *sink)
{
	(void)pthread_mutex_lock(&audit.lock);
	while (!sink->stopping)
		(void)pthread_cond_wait(&audit.changed, &audit.lock);
	(void)pthread_mutex_unlock(&audit.lock);
}

static atom_status catch_up(struct audit_sink *sink, uint64_t before,
			    struct atom_error *err)
{
	struct audit_batch *batch;
	atom_status status = sync_now(sink, err);
	bool stopping;

	if (status != ATOM_OK)
		return status;
	sink->fetch.step = fetch_step;
	sink->fetch_before = before;
	(void)pthread_mutex_lock(&audit.lock);
	sink->fetching = true;
	(void)pthread_mutex_unlock(&audit.lock);
	if (!sequencer_give(&sink->fetch)) {
		/* So will this one; its next start goes on from here. */
		wait_for_end(sink);
		return ATOM_OK;
	}
	(void)pthread_mutex_lock(&audit.lock);
	while (sink->fetching)
		(void)pthread_cond_wait(&audit.changed, &audit.lock);
	batch = TAKE(sink->fetched);
	status = sink->fetch_status;
	stopping = sink->stopping;
	(void)pthread_mutex_unlock(&audit.lock);
	if (batch != NULL && batch->count > 0) {
		if (batch_first(batch) > cursor_of(sink) + 1)
			skip(sink, batch_first(batch) - 1);
		status = take_batch(sink, batch, err);
	} else if (!stopping) {
		/* Pruned, or it cannot be read. */
		status = ATOM_OK;
		skip(sink, before);
	}
	batch_unref(&batch);
	return status;
}

/* --- the thread ------------------------------------------------------------- */

/* False when it shall end. */
static bool pause_for(struct audit_sink *sink, int64_t ns)
{
	const int64_t until = os.monotonic_ns() + ns;
	bool go_on;

	(void)pthread_mutex_lock(&audit.lock);
	while (!sink->stopping && os.monotonic_ns() < until)
		audit_wait(&audit.changed, until);
	go_on = !sink->stopping;
	(void)pthread_mutex_unlock(&audit.lock);
	return go_on;
}

/* After a failure; false when it shall end.  A sink that counts for itself says
 * when it takes something again: any other wait would come on top of its
 * own. */
static bool pause_after(struct audit_sink *sink, const struct atom_error *err,
			int64_t *delay_ns)
{
	const int64_t asked_ns = (int64_t)err->retry_after_ms * 1000000;
	int64_t ns = *delay_ns;

	if (asked_ns > 0)
		ns = asked_ns > DELAY_FIRST_NS ? asked_ns : DELAY_FIRST_NS;
	*delay_ns = *delay_ns * 2 < DELAY_MAX_NS ? *delay_ns * 2 : DELAY_MAX_NS;
	return pause_for(sink, ns);
}

struct turn {
	enum window_next what;
	struct audit_batch *batch;
	struct audit_head *head;
	uint64_t before;
	bool stopping;
};

/* Waits until there is something, unless something is still to be synced. */
static struct turn next_turn(struct audit_sink *sink)
{
	struct turn t = { .what = WINDOW_NOTHING };

	(void)pthread_mutex_lock(&audit.lock);
	for (;;) {
		t.what = window_next(cursor_of(sink), sink->head, &t.batch,
				     &t.head, &t.before);
		t.stopping = sink->stopping;
		if (t.what != WINDOW_NOTHING || t.stopping ||
		    sink->unsynced > 0)
			break;
		(void)pthread_cond_wait(&audit.changed, &audit.lock);
	}
	(void)pthread_mutex_unlock(&audit.lock);
	return t;
}

static atom_status do_turn(struct audit_sink *sink, struct turn *t,
			   struct atom_error *err)
{
	atom_status status = ATOM_OK;

	switch (t->what) {
	case WINDOW_NOTHING:
		status = sync_now(sink, err);
		break;
	case WINDOW_BATCH:
		status = take_batch(sink, t->batch, err);
		break;
	case WINDOW_HEAD:
		status = take_head(sink, t->head, err);
		break;
	case WINDOW_BEHIND:
		status = catch_up(sink, t->before, err);
		break;
	}
	batch_unref(&t->batch);
	head_unref(&t->head);
	return status;
}

static void follow(struct audit_sink *sink)
{
	int64_t delay_ns = DELAY_FIRST_NS;

	for (;;) {
		struct atom_error err = ATOM_ERROR_INIT;
		struct turn t = next_turn(sink);
		bool last = t.stopping && t.what == WINDOW_NOTHING &&
			    sink->unsynced == 0;

		/* What it lacks once it is asked to end it lacks for good. */
		if (last || (t.stopping && t.what == WINDOW_BEHIND))
			return;
		if (do_turn(sink, &t, &err) == ATOM_OK) {
			delay_ns = DELAY_FIRST_NS;
			continue;
		}
		sink_failure(sink, &err);
		set_cursor(sink, sink->synced);
		sink->unsynced = 0;
		if (!pause_after(sink, &err, &delay_ns))
			return;
	}
}

static void *run(void *argument)
{
	struct audit_sink *sink = argument;
	int64_t delay_ns = DELAY_FIRST_NS;
	struct atom_error err = ATOM_ERROR_INIT;
	bool go_on = true;
	atom_status status;

	do {
		status = sink_open(sink, &err);
		if (status == ATOM_OK) {
			status = find_place(sink, &err);
			if (status != ATOM_OK)
				sink_close(sink);
		}
		if (status != ATOM_OK) {
			sink_failure(sink, &err);
			go_on = pause_after(sink, &err, &delay_ns);
		}
	} while (status != ATOM_OK && go_on);
	if (status == ATOM_OK) {
		sink_success(sink);
		follow(sink);
		sink_close(sink);
	}
	atomic_fetch_sub(&audit.followers, 1);
	(void)pthread_mutex_lock(&audit.lock);
	sink->ended = true;
	(void)pthread_cond_broadcast(&audit.changed);
	(void)pthread_mutex_unlock(&audit.lock);
	return NULL;
}

atom_status follower_start(struct audit_sink *sink, struct atom_error *err)
{
	atom_status status;

	/* From here on the window keeps what comes. */
	atomic_fetch_add(&audit.followers, 1);
	status = audit_thread(&sink->thread, "audit-sink", run, sink, err);
	if (status != ATOM_OK)
		atomic_fetch_sub(&audit.followers, 1);
	return status;
}
