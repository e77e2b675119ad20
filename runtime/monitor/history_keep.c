/* SPDX-License-Identifier: Apache-2.0 */

/* Where a row goes: into memory, to the disk, into its five minutes. */

#include <string.h>

#include "core/health.h"
#include "core/log.h"
#include "core/memory.h"
#include "monitor/history_priv.h"

/* After a write that failed. */
#define RETRY_MS 60000

/* --- memory -------------------------------------------------------------- */

static struct chunk *newest_chunk(void)
{
	return history.chunk_count > 0 ? history.chunks[history.chunk_count - 1]
				       : NULL;
}

/* The chunk for another row; NULL without memory. */
static struct chunk *chunk_for_row(void)
{
	struct chunk *chunk = newest_chunk();

	/* A counter that comes up is given a 0 in the row before: the chunk
	 * behind may be packed when there is one in this. */
	if (chunk && chunk->rows == 1 && history.chunk_count > 1)
		chunk_pack(history.chunks[history.chunk_count - 2]);
	if (chunk && chunk->rows < CHUNK_ROWS)
		return chunk;
	chunk = chunk_new();
	if (!chunk)
		return NULL;
	if (history.chunk_count == CHUNKS_MAX) {
		chunk_free(&history.chunks[0]);
		memmove((void *)history.chunks, (void *)(history.chunks + 1),
			--history.chunk_count * sizeof(*history.chunks));
	}
	history.chunks[history.chunk_count++] = chunk;
	return chunk;
}

static void set_from_zero(struct history_series *s)
{
	struct chunk *chunk = newest_chunk();

	for (uint32_t i = 0; chunk && i < s->width; i++)
		(void)chunk_set(chunk, s->raw_at + i, chunk->rows - 1, 0);
}

/* A value that there is no memory for is absent. */
void history_keep_row(int64_t time_ms)
{
	struct chunk *chunk;

	pthread_mutex_lock(&history.lock);
	for (; history.kept_series < history.series_count;
	     history.kept_series++)
		if (history.series[history.kept_series]->from_zero)
			set_from_zero(history.series[history.kept_series]);
	chunk = chunk_for_row();
	if (chunk) {
		chunk_add_row(chunk, time_ms);
		for (uint32_t i = 0; i < history.column_count; i++)
			if (!chunk_is_absent(history.row_values[i]))
				(void)chunk_set(chunk, i, chunk->rows - 1,
						history.row_values[i]);
	}
	history.last_ms = time_ms;
	pthread_mutex_unlock(&history.lock);
}

/* --- disk ---------------------------------------------------------------- */

static void told(atom_status status, int64_t now_ms,
		 const struct atom_error *err)
{
	if (status == ATOM_OK) {
		if (history.failed)
			log_line(ATOM_LOG_INFO, "history_written",
				 "the metric history is kept on disk again");
		if (history.failed)
			health_report("history", HEALTH_OK, false, NULL);
		history.failed = false;
		return;
	}
	metric_inc(history.failures);
	history.retry_ms = now_ms + RETRY_MS;
	if (!history.failed)
		log_line(ATOM_LOG_WARN, "history_not_written", err->message);
	history.failed = true;
	health_report("history", HEALTH_DEGRADED, false, err->message);
}

/* Appends a row, with the series that the segment has not yet. */
static void append(struct segments *segments, bool rolled, uint32_t *declared,
		   int64_t time_ms, const double *values, uint32_t column_count)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct frame_series *is = NULL;
	uint32_t first;
	atom_status status = ATOM_ENOMEM;

	if (!history.place.folder ||
	    (history.failed && time_ms < history.retry_ms))
		return;
	first = segments_at_begin(segments, time_ms) ? 0 : *declared;
	is = mem_array(history.series_count - first + 1, sizeof(*is));
	if (is) {
		for (uint32_t i = first; i < history.series_count; i++)
			history_describe(history.series[i], rolled,
					 &is[i - first]);
		status = segments_append(segments, &history.place, time_ms, is,
					 history.series_count - first, values,
					 column_count, &err);
	} else {
		(void)atom_fail(&err, status, "history: no memory");
	}
	if (status == ATOM_OK)
		*declared = history.series_count;
	told(status, time_ms, &err);
	mem_free(is);
}

void history_write_row(int64_t time_ms)
{
	append(&history.raw, false, &history.raw_declared, time_ms,
	       history.row_values, history.column_count);
	/* Their zero is told. */
	for (uint32_t i = 0; i < history.series_count; i++)
		history.series[i]->from_zero = false;
}

/* --- five minutes -------------------------------------------------------- */

static void end_period(void)
{
	for (uint32_t i = 0; i < history.series_count; i++) {
		struct history_series *s = history.series[i];
		double *to = history.rolled + s->rolled_at;

		if (s->type != ATOM_METRIC_GAUGE || s->rows == 0)
			continue;
		to[ROLLED_LOWEST] = s->lowest;
		to[ROLLED_HIGHEST] = s->highest;
		to[ROLLED_MEAN] = s->sum / s->rows;
	}
	append(&history.rolled_files, true, &history.rolled_declared,
	       history.period_last_ms, history.rolled, history.rolled_count);
	pthread_mutex_lock(&history.lock);
	history.rolled_last_ms = history.period_last_ms;
	pthread_mutex_unlock(&history.lock);
}

static void begin_period(int64_t period)
{
	history.period = period;
	for (uint32_t i = 0; i < history.rolled_count; i++)
		history.rolled[i] = chunk_absent();
	for (uint32_t i = 0; i < history.series_count; i++)
		history.series[i]->rows = 0;
}

static void roll_gauge(struct history_series *s, double value)
{
	if (s->rows++ == 0) {
		s->lowest = s->highest = s->sum = value;
		return;
	}
	if (value < s->lowest)
		s->lowest = value;
	if (value > s->highest)
		s->highest = value;
	s->sum += value;
}

void history_roll_row(int64_t time_ms)
{
	const int64_t period = history_period_of(time_ms);

	if (period != history.period) {
		if (history.period != 0)
			end_period();
		begin_period(period);
	}
	history.period_last_ms = time_ms;
	for (uint32_t i = 0; i < history.series_count; i++) {
		struct history_series *s = history.series[i];
		const double *from = history.row_values + s->raw_at;

		if (chunk_is_absent(from[0]))
			continue;
		if (s->type == ATOM_METRIC_GAUGE) {
			history.rolled[s->rolled_at + ROLLED_LAST] = from[0];
			roll_gauge(s, from[0]);
		} else {
			memcpy(history.rolled + s->rolled_at, from,
			       s->width * sizeof(*from));
		}
	}
}
