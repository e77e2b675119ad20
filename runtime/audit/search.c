/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reading the required sink, which only its own thread may do: a piece at a
 * time between batches, so that nobody who waits for a batch waits for a long
 * search.
 *
 * A search goes from the end backwards, a piece of numbers at a time, until it
 * has as many as were asked for.  Records are canonical, so that a member is
 * found by its text: `"user":"key:abc"` stands nowhere but at that member,
 * because a quotation mark inside a string is escaped.
 */

#include <stdio.h>
#include <string.h>

#include "audit/audit_priv.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/text.h"

#define PIECE	     1024
#define SEARCHES_MAX 16
#define LINES_MAX    ((size_t)64 * 1024 * 1024)

/* --- reading into a batch --------------------------------------------------- */

struct reading {
	struct audit_batch *batch;
	uint64_t until;
	bool failed;
};

static int32_t keep(void *argument, const struct atom_audit_record *record)
{
	struct reading *r = argument;
	struct audit_batch *b = r->batch;
	const size_t start = b->json.length;

	if (record->sequence > r->until || b->count == b->room)
		return 1;
	if (buffer_append(&b->json, record->json.bytes, record->json.length) !=
	    ATOM_OK) {
		r->failed = true;
		return 1;
	}
	b->starts[b->count] = start;
	b->records[b->count] = *record;
	b->records[b->count].struct_size = sizeof(*record);
	/* The words live during the visit only: those of our own tables stay.
	 */
	b->records[b->count].category = "";
	b->records[b->count].event_type = "";
	b->count++;
	return 0;
}

/* `category` and `event_type` of a record that was read, from its line. */
static void name_record(struct atom_audit_record *record)
{
	for (int i = AUDIT_NONE + 1; i < AUDIT_EVENT_COUNT; i++) {
		const struct audit_event_row *row =
			audit_event_row((enum audit_event)i);

		if (memmem(record->json.bytes, record->json.length, row->text,
			   strlen(row->text)) != NULL) {
			record->event_type = row->name;
			record->category = audit_category_name(row->category);
			return;
		}
	}
}

atom_status audit_read(uint64_t after, uint64_t until, uint64_t limit,
		       struct audit_batch **batch_r, struct atom_error *err)
{
	const struct audit_sink *sink = audit.required;
	struct reading r = { .until = until };
	atom_status status;

	*batch_r = NULL;
	if (sink == NULL || sink->self == NULL || sink->ops->read == NULL)
		return atom_fail(err, ATOM_ENOTSUP,
				 "the required audit sink cannot be read");
	r.batch = batch_new(limit);
	if (r.batch == NULL)
		return atom_fail(err, ATOM_ENOMEM, "no memory to read");
	status = sink->ops->read(sink->self, after, limit, keep, &r, err);
	if (status == ATOM_OK && r.failed)
		status = atom_fail(err, ATOM_ENOMEM, "no memory to read");
	if (status != ATOM_OK) {
		batch_unref(&r.batch);
		return status;
	}
	batch_seal(r.batch);
	for (size_t i = 0; i < r.batch->count; i++)
		name_record(&r.batch->records[i]);
	*batch_r = r.batch;
	return ATOM_OK;
}

/* --- search ----------------------------------------------------------------- */

/* `"name":"value"`, or as a prefix without the last quotation mark. */
static bool has_member(const struct atom_span *json, const char *name,
		       const char *value, bool prefix)
{
	struct buffer text = BUFFER_INIT(2048);
	bool found;

	if (value[0] == '\0')
		return true;
	buffer_printf(&text, "\"%s\":\"", name);
	buffer_append_json(&text, value, strlen(value));
	if (!prefix)
		buffer_append_char(&text, '"');
	found = !text.failed && memmem(json->bytes, json->length, text.bytes,
				       text.length) != NULL;
	buffer_fini(&text);
	return found;
}

static bool fits(const struct audit_query *q,
		 const struct atom_audit_record *record)
{
	const struct atom_span *json = &record->json;
	const size_t length = strlen(q->type);

	return record->sequence > q->after &&
	       (q->since_ms == 0 || record->time_ms >= q->since_ms) &&
	       (q->until_ms == 0 || record->time_ms < q->until_ms) &&
	       has_member(json, "user", q->user, false) &&
	       has_member(json, "event_type", q->type,
			  length > 0 && q->type[length - 1] == '.') &&
	       has_member(json, "category", q->category, false) &&
	       has_member(json, "request_id", q->request, false);
}

/* The piece's lines in front of those of later pieces; its last ones where
 * there are more than are wanted. */
static bool add_lines(struct audit_search *search,
		      const struct audit_batch *batch)
{
	struct buffer out = BUFFER_INIT(LINES_MAX);
	uint64_t wanted = search->query.limit - search->count, found = 0;
	size_t first = batch->count;

	while (first > 0 && found < wanted)
		found += fits(&search->query, &batch->records[--first]);
	for (size_t i = first; i < batch->count; i++) {
		const struct atom_audit_record *record = &batch->records[i];

		if (!fits(&search->query, record))
			continue;
		buffer_append(&out, record->json.bytes, record->json.length);
		buffer_append_char(&out, '\n');
	}
	if (search->lines.length > 0)
		buffer_append(&out, search->lines.bytes, search->lines.length);
	if (out.failed) {
		buffer_fini(&out);
		return false;
	}
	buffer_fini(&search->lines);
	search->lines = out;
	search->count += found;
	return true;
}

static bool end_search(struct audit_search *search, atom_status status)
{
	atomic_fetch_sub(&audit.searches, 1);
	audit_tell(&search->waiter, status);
	return true;
}

static bool search_step(struct audit_job *job)
{
	struct audit_search *search =
		CONTAINER_OF(job, struct audit_search, job);
	struct audit_query *q = &search->query;
	struct audit_batch *batch;
	uint64_t after;
	bool older = true;
	atom_status status;

	if (search->upper == UINT64_MAX)
		search->upper = search->last = atomic_load(&audit.sequence);
	if (search->upper <= q->after || search->count >= q->limit)
		return end_search(search, ATOM_OK);
	after = search->upper > PIECE ? search->upper - PIECE : 0;
	if (after < q->after)
		after = q->after;
	status =
		audit_read(after, search->upper, PIECE, &batch, &search->error);
	if (status != ATOM_OK)
		return end_search(search, status);
	/* Nothing is left below: pruned.  Times rise with the numbers but for
	 * a clock that was set back, by which a piece may be wrong. */
	if (batch->count == 0 ||
	    (q->since_ms != 0 &&
	     batch->records[batch->count - 1].time_ms < q->since_ms))
		older = false;
	if (batch->count > 0 && !add_lines(search, batch)) {
		batch_unref(&batch);
		atom_fail(&search->error, ATOM_ELIMIT,
			  "what was found is longer than %zu MiB; ask for less",
			  LINES_MAX >> 20);
		return end_search(search, ATOM_ELIMIT);
	}
	batch_unref(&batch);
	search->upper = after;
	return older ? false : end_search(search, ATOM_OK);
}

static atom_status begin(struct audit_job *job)
{
	int state = atomic_load(&audit.state);

	if (state == AUDIT_OFF)
		return ATOM_ENOENT;
	if (state == AUDIT_ENDED || audit.required == NULL)
		return ATOM_EUNAVAILABLE;
	if (audit.required->ops->read == NULL)
		return ATOM_ENOTSUP;
	if (atomic_fetch_add(&audit.searches, 1) >= SEARCHES_MAX) {
		atomic_fetch_sub(&audit.searches, 1);
		return ATOM_EBUSY;
	}
	if (!sequencer_give(job)) {
		atomic_fetch_sub(&audit.searches, 1);
		return ATOM_EUNAVAILABLE;
	}
	return ATOM_OK;
}

atom_status audit_search(struct audit_search *search)
{
	buffer_init(&search->lines, LINES_MAX);
	search->upper = UINT64_MAX;
	if (search->query.limit == 0 || search->query.limit > AUDIT_LIMIT_MAX)
		search->query.limit = AUDIT_LIMIT_MAX;
	search->job.step = search_step;
	return begin(&search->job);
}

void audit_search_fini(struct audit_search *search)
{
	buffer_fini(&search->lines);
}

/* --- prune -------------------------------------------------------------------- */

static bool end_prune(struct audit_prune *prune, atom_status status)
{
	atomic_fetch_sub(&audit.searches, 1);
	audit_tell(&prune->waiter, status);
	return true;
}

static bool prune_now(struct audit_prune *prune)
{
	const struct audit_sink *sink = audit.required;
	atom_status status = ATOM_OK;

	if (prune->sequence > 0)
		status = sink->ops->prune(sink->self, prune->sequence,
					  &prune->removed, &prune->error);
	return end_prune(prune, status);
}

/* One step of the search by halves: records up to `low` are before the time,
 * those above `high` are not. */
static bool halve(struct audit_prune *prune)
{
	const uint64_t middle = prune->low + (prune->high - prune->low) / 2;
	struct audit_batch *batch;
	atom_status status =
		audit_read(middle, UINT64_MAX, 1, &batch, &prune->error);

	if (status != ATOM_OK)
		return end_prune(prune, status);
	if (batch->count > 0 && batch->records[0].time_ms < prune->before_ms)
		prune->low = batch_first(batch);
	else
		prune->high = middle;
	batch_unref(&batch);
	return false;
}

static bool prune_step(struct audit_job *job)
{
	struct audit_prune *prune = CONTAINER_OF(job, struct audit_prune, job);

	if (audit.required->self == NULL)
		return end_prune(prune, ATOM_EUNAVAILABLE);
	if (prune->before_ms != 0) {
		if (prune->high == UINT64_MAX)
			prune->high = atomic_load(&audit.sequence);
		if (prune->low < prune->high)
			return halve(prune);
		prune->sequence = prune->low;
	}
	return prune_now(prune);
}

atom_status audit_prune(struct audit_prune *prune)
{
	if (audit_enabled() && audit.required != NULL &&
	    audit.required->ops->prune == NULL)
		return ATOM_ENOTSUP;
	prune->low = 0;
	prune->high = UINT64_MAX;
	prune->sequence =
		prune->before_sequence > 0 ? prune->before_sequence - 1 : 0;
	prune->removed = 0;
	prune->job.step = prune_step;
	return begin(&prune->job);
}
