/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a start takes up: the last hour into memory, the five minutes that were
 * under way, and where the counters were, so that they carry on from there.
 */

#include <string.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "monitor/history_priv.h"

static const struct segment_kind raw_kind = {
	.word = "raw",
	.span_ms = 3600 * 1000ll,
	.keep_ms = 6 * 3600 * 1000ll,
	.bytes_max = 64ll * 1024 * 1024,
};

static const struct segment_kind rolled_kind = {
	.word = "rolled",
	.span_ms = 24 * 3600 * 1000ll,
	.keep_ms = 30 * 24 * 3600 * 1000ll,
	.bytes_max = 256ll * 1024 * 1024,
};

struct loading {
	bool rolled;
	int64_t now_ms;
	int64_t before_ms; /* later ones are in the next segment */
	struct history_series *series[HISTORY_SERIES_MAX];
	/* Nothing of it was found yet, and it is in no list. */
	bool unseen[HISTORY_SERIES_MAX];
	bool from_zero[HISTORY_SERIES_MAX];
	uint32_t at[HISTORY_SERIES_MAX]; /* columns of the segment */
	uint32_t count;
	uint32_t columns;
};

static atom_status on_series(void *argument, const struct frame_series *is)
{
	struct loading *l = argument;
	const uint32_t i = l->count;
	bool taken;

	if (i == HISTORY_SERIES_MAX)
		return ATOM_EDATALOSS;
	l->series[i] = history_series_find(is, &taken);
	l->unseen[i] = !taken;
	if (!taken)
		l->series[i] = history_series_new(is);
	l->from_zero[i] = !l->rolled && (is->flags & FRAME_FROM_ZERO);
	l->at[i] = l->columns;
	l->columns += is->width;
	l->count++;
	return ATOM_OK;
}

/* The i-th, where the row has something of it; NULL: nothing.  What a segment
 * declares and has nothing of went before it began: it takes no place. */
static struct history_series *series_in_row(struct loading *l, uint32_t i,
					    const double *columns)
{
	if (!l->series[i] || chunk_is_absent(columns[l->at[i]]))
		return NULL;
	if (l->unseen[i]) {
		l->series[i] = history_series_add(l->series[i]);
		l->unseen[i] = false;
		if (l->series[i])
			l->series[i]->from_zero = l->from_zero[i];
	}
	return l->series[i];
}

static void forget_unseen(struct loading *l)
{
	for (uint32_t i = 0; i < l->count; i++)
		if (l->unseen[i])
			history_series_free(l->series[i]);
	l->count = 0;
}

static void take_totals(struct history_series *s, const double *from)
{
	if (s->type != ATOM_METRIC_GAUGE)
		memcpy(history.totals + s->raw_at, from,
		       s->width * sizeof(*from));
}

static atom_status on_rolled(void *argument, int64_t time_ms,
			     const double *columns, uint32_t column_count)
{
	struct loading *l = argument;

	(void)column_count;
	for (uint32_t i = 0; i < l->count; i++) {
		struct history_series *s = series_in_row(l, i, columns);

		if (s)
			take_totals(s, columns + l->at[i]);
	}
	if (time_ms <= l->now_ms && time_ms < l->before_ms)
		history.rolled_last_ms = time_ms;
	return ATOM_OK;
}

static atom_status on_raw(void *argument, int64_t time_ms,
			  const double *columns, uint32_t column_count)
{
	struct loading *l = argument;

	(void)column_count;
	if (time_ms <= history.last_ms || time_ms > l->now_ms ||
	    time_ms >= l->before_ms)
		return ATOM_OK;
	for (uint32_t i = 0; i < history.column_count; i++)
		history.row_values[i] = chunk_absent();
	for (uint32_t i = 0; i < l->count; i++) {
		struct history_series *s = series_in_row(l, i, columns);

		if (!s)
			continue;
		memcpy(history.row_values + s->raw_at, columns + l->at[i],
		       s->width * sizeof(*columns));
		take_totals(s, columns + l->at[i]);
	}
	history.row++;
	history_keep_row(time_ms);
	for (uint32_t i = 0; i < history.series_count; i++)
		history.series[i]->from_zero = false;
	if (history_period_of(time_ms) >
	    history_period_of(history.rolled_last_ms))
		history_roll_row(time_ms);
	return ATOM_OK;
}

static atom_status load(struct segments *segments, bool rolled, size_t from,
			struct atom_error *err)
{
	struct loading *l = mem_alloc(sizeof(*l));
	atom_status status = ATOM_OK;

	if (!l)
		return atom_fail(err, ATOM_ENOMEM, "history: no memory");
	/* The five minutes that end meanwhile may add to the rolled ones. */
	for (size_t i = from; i < segments->count && status == ATOM_OK; i++) {
		const struct segment_reader reader = {
			.declare = on_series,
			.frame = rolled ? on_rolled : on_raw,
			.argument = l,
		};

		*l = (struct loading){
			.rolled = rolled,
			.now_ms = os.realtime_ms(),
			.before_ms = i + 1 < segments->count
					     ? segments->list[i + 1].start_ms
					     : INT64_MAX,
		};
		status = segment_read(segments->kind, &history.place,
				      segments->list[i].start_ms, &reader, err);
		forget_unseen(l);
	}
	mem_free(l);
	return status;
}

atom_status history_load(struct atom_error *err)
{
	const int64_t hour_ago_ms =
		os.realtime_ms() - CHUNKS_MAX * CHUNK_ROWS * HISTORY_RAW_MS;
	atom_status status;
	size_t first;

	status = segments_open(&history.raw, &raw_kind, &history.place, err);
	if (status == ATOM_OK)
		status = segments_open(&history.rolled_files, &rolled_kind,
				       &history.place, err);
	if (status != ATOM_OK)
		return status;
	segments_prune(&history.raw, &history.place, os.realtime_ms());
	segments_prune(&history.rolled_files, &history.place, os.realtime_ms());
	first = history.rolled_files.count;
	status = load(&history.rolled_files, true, first > 0 ? first - 1 : 0,
		      err);
	/* The last one whatever its age: counters carry on from there. */
	first = history.raw.count > 0 ? history.raw.count - 1 : 0;
	while (first > 0 &&
	       history.raw.list[first - 1].start_ms + raw_kind.span_ms >
		       hour_ago_ms)
		first--;
	if (status == ATOM_OK)
		status = load(&history.raw, false, first, err);
	return status;
}
