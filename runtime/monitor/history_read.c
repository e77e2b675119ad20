/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reading: the last hour from the chunks, what is older from the segments, both
 * into the same series.  A histogram is told as its parts, each a series.
 *
 *	subject   a series of the history that has something to tell
 *	part      what is visited: its value, one bucket, the sum, the count
 */

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/text.h"
#include "monitor/history_priv.h"

/* A metric's name (200 bytes at most), "_bucket" and its NUL. */
#define NAME_MAX_BYTES 208
#define RAW_KEPT_MS    (6 * 3600 * 1000ll)

enum part_kind {
	PART_VALUE,
	PART_BUCKET,
	PART_COUNT,
	PART_SUM
};

struct part {
	enum part_kind kind;
	uint32_t bucket;
	size_t order; /* of its making */
	const struct history_series *series;
	char name[NAME_MAX_BYTES];
	char le[METRIC_NUMBER_MAX];
	struct atom_history_label labels[FRAME_LABELS_MAX + 1];
	size_t label_count;
	struct atom_history_sample *samples;
	size_t count;
	size_t capacity;
	uint32_t weight; /* of the last sample's mean: raw rows */
};

struct subject {
	struct history_series *series;
	bool owned;
	size_t first; /* of its parts */
	size_t count;
};

struct reading {
	struct history_match match;
	int64_t from_ms, to_ms, step_ms;
	struct table by_key; /* of subjects */
	struct subject **subjects;
	size_t subject_count, subject_capacity;
	struct part **parts;
	size_t part_count, part_capacity;
	size_t sample_count;
};

/* --- parts --------------------------------------------------------------- */

static bool room(void **array, size_t *capacity, size_t count)
{
	size_t larger = count * 2 + 32;
	void *all;

	if (count < *capacity)
		return true;
	all = mem_realloc(*array, larger * sizeof(void *));
	if (!all)
		return false;
	*array = all;
	*capacity = larger;
	return true;
}

static atom_status add_part(struct reading *r, const struct history_series *s,
			    enum part_kind kind, uint32_t bucket)
{
	static const char *const suffixes[] = {
		[PART_VALUE] = "",
		[PART_BUCKET] = "_bucket",
		[PART_COUNT] = "_count",
		[PART_SUM] = "_sum",
	};
	struct part part = { .kind = kind,
			     .bucket = bucket,
			     .order = r->part_count,
			     .series = s,
			     .label_count = s->label_count };
	struct part *kept;

	(void)snprintf(part.name, sizeof(part.name), "%s%s", s->name,
		       suffixes[kind]);
	if (kind == PART_BUCKET)
		metric_format_number(bucket < s->bound_count ? s->bounds[bucket]
							     : INFINITY,
				     part.le);
	for (size_t i = 0; i < s->label_count; i++)
		part.labels[i] =
			(struct atom_history_label){ s->label_names[i],
						     s->label_values[i] };
	if (kind == PART_BUCKET)
		part.labels[part.label_count++] =
			(struct atom_history_label){ "le", part.le };
	if (!history_matches(&r->match, part.name, part.labels,
			     part.label_count))
		return ATOM_OK;
	if (!room((void **)&r->parts, &r->part_capacity, r->part_count))
		return ATOM_ENOMEM;
	kept = mem_alloc(sizeof(*kept));
	if (!kept)
		return ATOM_ENOMEM;
	*kept = part;
	if (kind == PART_BUCKET)
		kept->labels[kept->label_count - 1].value = kept->le;
	r->parts[r->part_count++] = kept;
	return ATOM_OK;
}

static atom_status add_parts(struct reading *r, const struct history_series *s)
{
	atom_status status = ATOM_OK;

	if (s->type != ATOM_METRIC_HISTOGRAM)
		return add_part(r, s, PART_VALUE, 0);
	for (uint32_t i = 0; i <= s->bound_count && status == ATOM_OK; i++)
		status = add_part(r, s, PART_BUCKET, i);
	if (status == ATOM_OK)
		status = add_part(r, s, PART_COUNT, 0);
	if (status == ATOM_OK)
		status = add_part(r, s, PART_SUM, 0);
	return status;
}

/* The subject that a series is, where some part of it matches; else NULL, with
 * ATOM_OK. */
static atom_status add_subject(struct reading *r, struct history_series *series,
			       struct subject **subject_r)
{
	const size_t first = r->part_count;
	atom_status status = add_parts(r, series);
	struct subject *subject;

	*subject_r = NULL;
	if (status != ATOM_OK || r->part_count == first)
		return status;
	subject = mem_zalloc(sizeof(*subject));
	if (!subject)
		return ATOM_ENOMEM;
	*subject = (struct subject){ .series = series,
				     .first = first,
				     .count = r->part_count - first };
	if (!room((void **)&r->subjects, &r->subject_capacity,
		  r->subject_count) ||
	    table_set(&r->by_key, series->key, series->key_length, subject,
		      NULL) != ATOM_OK) {
		mem_free(subject);
		return ATOM_ENOMEM;
	}
	r->subjects[r->subject_count++] = subject;
	*subject_r = subject;
	return ATOM_OK;
}

/* --- samples ------------------------------------------------------------- */

static atom_status append(struct reading *r, struct part *part,
			  const struct atom_history_sample *sample,
			  uint32_t weight)
{
	if (++r->sample_count > HISTORY_SAMPLES_MAX)
		return ATOM_ELIMIT;
	if (part->count == part->capacity) {
		size_t capacity = part->capacity * 2 + 16;
		struct atom_history_sample *samples =
			mem_realloc(part->samples, capacity * sizeof(*samples));

		if (!samples)
			return ATOM_ENOMEM;
		part->samples = samples;
		part->capacity = capacity;
	}
	part->samples[part->count++] = *sample;
	part->weight = weight;
	return ATOM_OK;
}

/* Into the last sample, which is of the same step. */
static void fold(struct part *part, const struct atom_history_sample *sample,
		 uint32_t weight)
{
	struct atom_history_sample *last = &part->samples[part->count - 1];

	last->value = sample->value;
	if (sample->lowest < last->lowest)
		last->lowest = sample->lowest;
	if (sample->highest > last->highest)
		last->highest = sample->highest;
	part->weight += weight;
	last->mean += (sample->mean - last->mean) * weight / part->weight;
}

/* `spread`: the columns of a gauge's five minutes; NULL: `value` is all. */
static atom_status push(struct reading *r, struct part *part, int64_t time_ms,
			double value, const double *spread)
{
	struct atom_history_sample sample = { time_ms, value, value, value,
					      value };
	const struct atom_history_sample *last =
		part->count > 0 ? &part->samples[part->count - 1] : NULL;
	uint32_t weight = 1;

	if (spread != NULL) {
		weight = (uint32_t)(HISTORY_ROLLED_MS / history.every_ms);
		sample.lowest = spread[ROLLED_LOWEST];
		sample.highest = spread[ROLLED_HIGHEST];
		sample.mean = spread[ROLLED_MEAN];
	}
	if (r->step_ms > 0)
		sample.time_ms =
			(time_ms + r->step_ms - 1) / r->step_ms * r->step_ms;
	if (!last || sample.time_ms > last->time_ms)
		return append(r, part, &sample, weight);
	if (r->step_ms > 0 && sample.time_ms == last->time_ms)
		fold(part, &sample, weight);
	return ATOM_OK;
}

/* One row of one series: `v` are its columns. */
static atom_status feed(struct reading *r, const struct subject *subject,
			int64_t time_ms, const double *v, bool rolled)
{
	const struct history_series *s = subject->series;
	atom_status status = ATOM_OK;
	double below = 0;
	uint32_t next = 0;

	if (time_ms < r->from_ms || time_ms > r->to_ms)
		return ATOM_OK;
	for (size_t i = 0; i < subject->count && status == ATOM_OK; i++) {
		struct part *part = r->parts[subject->first + i];
		const uint32_t buckets = part->kind == PART_BUCKET
						 ? part->bucket + 1
						 : (uint32_t)s->bound_count + 1;

		if (part->kind == PART_VALUE) {
			status = push(r, part, time_ms, *v,
				      rolled && s->type == ATOM_METRIC_GAUGE
					      ? v
					      : NULL);
			continue;
		}
		if (part->kind == PART_SUM) {
			status = push(r, part, time_ms, v[s->width - 1], NULL);
			continue;
		}
		/* Parts are in order of their buckets, the count behind. */
		while (next < buckets)
			below += v[next++];
		status = push(r, part, time_ms, below, NULL);
	}
	return status;
}

/* --- from memory --------------------------------------------------------- */

/* Under the lock. */
static atom_status read_chunk(struct reading *r, const struct chunk *chunk,
			      const struct subject *subject, int64_t after_ms)
{
	const struct history_series *s = subject->series;
	double values[FRAME_WIDTH_MAX][CHUNK_ROWS] = { { 0 } };
	double row[FRAME_WIDTH_MAX] = { 0 };
	atom_status status = ATOM_OK;

	if (s->width == 0 || chunk->rows == 0 ||
	    chunk->times_ms[0] > r->to_ms ||
	    chunk->times_ms[chunk->rows - 1] < r->from_ms)
		return ATOM_OK;
	for (uint32_t i = 0; i < s->width; i++)
		chunk_column_values(chunk, s->raw_at + i, values[i]);
	for (unsigned int k = 0; k < chunk->rows && status == ATOM_OK; k++) {
		if (chunk->times_ms[k] <= after_ms ||
		    chunk_is_absent(values[0][k]))
			continue;
		for (uint32_t i = 0; i < s->width; i++)
			row[i] = values[i][k];
		status = feed(r, subject, chunk->times_ms[k], row, false);
	}
	return status;
}

static atom_status read_memory(struct reading *r, int64_t after_ms)
{
	atom_status status = ATOM_OK;

	pthread_mutex_lock(&history.lock);
	for (size_t i = 0; i < r->subject_count && status == ATOM_OK; i++)
		for (size_t c = 0; !r->subjects[i]->owned &&
				   c < history.chunk_count && status == ATOM_OK;
		     c++)
			status = read_chunk(r, history.chunks[c],
					    r->subjects[i], after_ms);
	pthread_mutex_unlock(&history.lock);
	return status;
}

/* --- from segments ------------------------------------------------------- */

struct segment_part {
	const struct subject *subject; /* NULL: not asked for */
	uint32_t at;
	uint32_t width;
	bool from_zero; /* and that is not told yet */
};

struct segment_reading {
	struct reading *reading;
	bool rolled;
	int64_t before_ms; /* later ones come from memory */
	int64_t previous_ms;
	struct segment_part parts[HISTORY_SERIES_MAX];
	uint32_t count;
	uint32_t columns;
};

static atom_status find_subject(struct reading *r,
				const struct frame_series *is,
				const struct subject **subject_r)
{
	struct history_series *s = history_series_new(is);
	struct subject *subject;
	atom_status status = ATOM_OK;

	*subject_r = NULL;
	if (!s)
		return ATOM_ENOMEM;
	subject = table_get(&r->by_key, s->key, s->key_length);
	if (!subject) {
		status = add_subject(r, s, &subject);
		if (subject) {
			subject->owned = true;
			s = NULL;
		}
	} else if (subject->series->width != s->width ||
		   subject->series->type != s->type) {
		subject = NULL; /* it was something else then */
	}
	if (status == ATOM_OK)
		*subject_r = subject;
	history_series_free(s);
	return status;
}

static atom_status on_series(void *argument, const struct frame_series *is)
{
	struct segment_reading *sr = argument;
	struct segment_part *part;

	if (sr->count == HISTORY_SERIES_MAX)
		return ATOM_EDATALOSS;
	part = &sr->parts[sr->count++];
	part->at = sr->columns;
	part->width = is->width;
	part->from_zero = is->flags & FRAME_FROM_ZERO;
	sr->columns += is->width;
	return find_subject(sr->reading, is, &part->subject);
}

static atom_status on_frame(void *argument, int64_t time_ms,
			    const double *columns, uint32_t column_count)
{
	static const double zeros[FRAME_WIDTH_MAX];
	struct segment_reading *sr = argument;
	struct reading *r = sr->reading;
	atom_status status = ATOM_OK;

	(void)column_count;
	if (time_ms > r->to_ms || time_ms >= sr->before_ms)
		return ATOM_ECANCELED; /* enough */
	for (uint32_t i = 0; i < sr->count && status == ATOM_OK; i++) {
		struct segment_part *part = &sr->parts[i];

		if (!part->subject || chunk_is_absent(columns[part->at]))
			continue;
		if (part->from_zero && sr->previous_ms > 0)
			status = feed(r, part->subject, sr->previous_ms, zeros,
				      false);
		part->from_zero = false;
		if (status == ATOM_OK)
			status = feed(r, part->subject, time_ms,
				      columns + part->at, sr->rolled);
	}
	sr->previous_ms = time_ms;
	return status;
}

/* Those that may hold something of the range. */
static atom_status read_segments(struct reading *r, struct segments *segments,
				 bool rolled, int64_t before_ms,
				 struct atom_error *err)
{
	struct segment_reading *sr = mem_alloc(sizeof(*sr));
	size_t count = 0;
	int64_t *starts = segments_starts(segments, &count);
	atom_status status = sr && starts ? ATOM_OK : ATOM_ENOMEM;

	for (size_t i = 0; status == ATOM_OK && i < count; i++) {
		const struct segment_reader reader = { on_series, on_frame,
						       sr };

		if (starts[i] > r->to_ms || starts[i] >= before_ms ||
		    (i + 1 < count && starts[i + 1] <= r->from_ms))
			continue;
		sr->reading = r;
		sr->rolled = rolled;
		sr->before_ms = before_ms;
		/* Where the clock was set back, the next one says what was. */
		if (i + 1 < count && starts[i + 1] < before_ms)
			sr->before_ms = starts[i + 1];
		sr->previous_ms = 0;
		sr->count = sr->columns = 0;
		status = segment_read(segments->kind, &history.place, starts[i],
				      &reader, err);
		if (status == ATOM_ENOENT || status == ATOM_ECANCELED)
			status = ATOM_OK;
	}
	mem_free(starts);
	mem_free(sr);
	return status;
}

/* --- one reading --------------------------------------------------------- */

static atom_status begin(struct reading *r,
			 const struct atom_history_query *query,
			 struct atom_error *err)
{
	atom_status status;

	*r = (struct reading){ .from_ms = query->from_ms,
			       .to_ms = query->to_ms,
			       .step_ms = query->step_ms };
	if (query->from_ms > query->to_ms || query->from_ms < 0 ||
	    query->to_ms > INT64_MAX / 2 || query->step_ms < 0 ||
	    query->step_ms > INT64_MAX / 4)
		return atom_fail(err, ATOM_EINVAL,
				 "expected 0 <= from_ms <= to_ms and a step of "
				 "0 or more, found %" PRId64 ", %" PRId64
				 ", %" PRId64,
				 query->from_ms, query->to_ms, query->step_ms);
	status = history_match_init(&r->match, query, err);
	if (status != ATOM_OK)
		return status;
	pthread_mutex_lock(&history.lock);
	for (uint32_t i = 0; i < history.series_count && status == ATOM_OK;
	     i++) {
		struct subject *subject;

		status = add_subject(r, history.series[i], &subject);
	}
	pthread_mutex_unlock(&history.lock);
	return status;
}

static void end(struct reading *r)
{
	history_match_fini(&r->match);
	for (size_t i = 0; i < r->part_count; i++) {
		mem_free(r->parts[i]->samples);
		mem_free(r->parts[i]);
	}
	for (size_t i = 0; i < r->subject_count; i++) {
		if (r->subjects[i]->owned)
			history_series_free(r->subjects[i]->series);
		mem_free(r->subjects[i]);
	}
	mem_free((void *)r->parts);
	mem_free((void *)r->subjects);
	table_fini(&r->by_key);
}

static int by_name(const void *a, const void *b)
{
	const struct part *left = *(struct part *const *)a;
	const struct part *right = *(struct part *const *)b;
	int order = strcmp(left->name, right->name);

	if (order != 0)
		return order;
	return left->order < right->order ? -1 : left->order > right->order;
}

static void visit_all(struct reading *r, bool empty_too,
		      atom_history_visit visit, void *argument)
{
	if (r->part_count > 0)
		qsort((void *)r->parts, r->part_count, sizeof(*r->parts),
		      by_name);
	for (size_t i = 0; i < r->part_count; i++) {
		const struct part *part = r->parts[i];
		const struct atom_history_series series = {
			.struct_size = sizeof(series),
			.type = part->kind == PART_VALUE ? part->series->type
							 : ATOM_METRIC_COUNTER,
			.name = part->name,
			.labels = part->labels,
			.label_count = part->label_count,
		};

		if ((part->count > 0 || empty_too) &&
		    visit(argument, &series, part->samples,
			  sizeof(struct atom_history_sample), part->count) != 0)
			break;
	}
}

static bool wants_rolled(const struct atom_history_query *query)
{
	struct atom_history_extent extent;

	if (query->resolution != ATOM_HISTORY_BEST)
		return query->resolution == ATOM_HISTORY_ROLLED;
	history_extent(&extent);
	return extent.rolled_first_ms > 0 &&
	       extent.rolled_first_ms < extent.raw_first_ms &&
	       query->from_ms < extent.last_ms - RAW_KEPT_MS;
}

static atom_status read_all(struct reading *r,
			    const struct atom_history_query *query,
			    struct atom_error *err)
{
	const bool rolled = wants_rolled(query);
	int64_t memory_first, rolled_last;
	atom_status disk = ATOM_OK, status;

	pthread_mutex_lock(&history.lock);
	memory_first = history.chunk_count > 0 ? history.chunks[0]->times_ms[0]
					       : INT64_MAX;
	rolled_last = history.rolled_last_ms;
	pthread_mutex_unlock(&history.lock);
	if (!rolled) {
		if (query->from_ms < memory_first)
			disk = read_segments(r, &history.raw, false,
					     memory_first, err);
		status = disk == ATOM_EIO || disk == ATOM_OK
				 ? read_memory(r, INT64_MIN)
				 : disk;
		return status == ATOM_OK ? disk : status;
	}
	if (r->step_ms > 0 && r->step_ms < HISTORY_ROLLED_MS)
		r->step_ms = HISTORY_ROLLED_MS;
	disk = read_segments(r, &history.rolled_files, true, INT64_MAX, err);
	status = disk == ATOM_EIO ? ATOM_OK : disk;
	/* Five minutes that are not over yet. */
	if (status == ATOM_OK && r->step_ms > 0)
		status = read_memory(r, rolled_last);
	return status == ATOM_OK ? disk : status;
}

atom_status history_read(const struct atom_history_query *query,
			 atom_history_visit visit, void *argument,
			 struct atom_error *err)
{
	struct reading r;
	atom_status status = begin(&r, query, err);

	if (status == ATOM_OK)
		status = read_all(&r, query, err);
	if (status == ATOM_OK || status == ATOM_EIO)
		visit_all(&r, false, visit, argument);
	else if (status == ATOM_ELIMIT)
		(void)atom_fail(err, status,
				"more than %d samples: ask for fewer series, a "
				"shorter time or a longer step",
				HISTORY_SAMPLES_MAX);
	else if (status == ATOM_ENOMEM)
		(void)atom_fail(err, status, "history: no memory");
	end(&r);
	return status;
}

atom_status history_list(const struct atom_history_query *query,
			 atom_history_visit visit, void *argument,
			 struct atom_error *err)
{
	struct reading r;
	atom_status status = begin(&r, query, err);

	if (status == ATOM_OK)
		visit_all(&r, true, visit, argument);
	else if (status == ATOM_ENOMEM)
		(void)atom_fail(err, status, "history: no memory");
	end(&r);
	return status;
}
