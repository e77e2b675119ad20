/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The series of the history, and how the registry's become them: those that
 * differ in `revision` alone are one.  What is added up must not fall when one
 * part of it goes, or starts again from 0; so of each counter what it grew is
 * added, never what it is.
 */

#include <math.h>
#include <string.h>

#include "core/memory.h"
#include "monitor/history_priv.h"

#define KEY_MAX ((size_t)8 * 1024)

/* --- one series ---------------------------------------------------------- */

static void make_key(const struct frame_series *is, struct buffer *key)
{
	buffer_append(key, is->name, strlen(is->name) + 1);
	for (size_t i = 0; i < is->label_count; i++) {
		buffer_append(key, is->label_names[i],
			      strlen(is->label_names[i]) + 1);
		buffer_append(key, is->label_values[i],
			      strlen(is->label_values[i]) + 1);
	}
}

void history_series_free(struct history_series *series)
{
	if (series)
		mem_free(series->bounds);
	mem_free(series);
}

/* Its texts are those of its key. */
struct history_series *history_series_new(const struct frame_series *is)
{
	struct buffer key = BUFFER_INIT(KEY_MAX);
	struct history_series *s = NULL;
	char *text;

	make_key(is, &key);
	if (!key.failed)
		s = mem_zalloc(sizeof(*s) + key.length);
	if (s && is->bound_count > 0) {
		s->bounds = mem_array(is->bound_count, sizeof(*s->bounds));
		if (!s->bounds)
			mem_free(TAKE(s));
	}
	if (!s)
		goto out;
	memcpy(s->key, key.bytes, key.length);
	s->key_length = key.length;
	s->type = is->type;
	s->name = text = s->key;
	s->label_count = is->label_count;
	for (size_t i = 0; i < is->label_count; i++) {
		text += strlen(text) + 1;
		s->label_names[i] = text;
		text += strlen(text) + 1;
		s->label_values[i] = text;
	}
	s->bound_count = is->bound_count;
	if (s->bounds)
		memcpy(s->bounds, is->bounds,
		       is->bound_count * sizeof(*s->bounds));
	s->width = is->type == ATOM_METRIC_HISTOGRAM
			   ? (uint32_t)is->bound_count + 2
			   : 1;
	s->rolled_width =
		is->type == ATOM_METRIC_GAUGE ? ROLLED_GAUGE_WIDTH : s->width;
out:
	buffer_fini(&key);
	return s;
}

void history_describe(const struct history_series *series, bool rolled,
		      struct frame_series *is_r)
{
	*is_r = (struct frame_series){
		.type = series->type,
		.flags = series->from_zero && !rolled ? FRAME_FROM_ZERO : 0,
		.width = rolled ? series->rolled_width : series->width,
		.name = series->name,
		.label_count = series->label_count,
		.bound_count = series->bound_count,
		.bounds = series->bounds,
	};
	for (size_t i = 0; i < series->label_count; i++) {
		is_r->label_names[i] = series->label_names[i];
		is_r->label_values[i] = series->label_values[i];
	}
}

/* --- all of them --------------------------------------------------------- */

static bool same_bounds(const struct history_series *series,
			const struct frame_series *is)
{
	if (series->type != is->type || series->bound_count != is->bound_count)
		return false;
	for (size_t i = 0; i < is->bound_count; i++)
		if (series->bounds[i] < is->bounds[i] ||
		    series->bounds[i] > is->bounds[i])
			return false;
	return true;
}

static bool grow(double **array, size_t count)
{
	double *larger = mem_realloc(*array, count * sizeof(*larger));

	if (larger)
		*array = larger;
	return larger != NULL;
}

static bool room_for(const struct history_series *s)
{
	const uint32_t rolled = history.rolled_count + s->rolled_width;
	uint32_t count = history.column_count + s->width;

	if (count < rolled)
		count = rolled;
	if (history.series_count == HISTORY_SERIES_MAX ||
	    count > FRAME_COLUMNS_MAX)
		return false;
	if (count <= history.column_capacity)
		return true;
	count += count / 4;
	if (!grow(&history.totals, count) ||
	    !grow(&history.row_values, count) || !grow(&history.rolled, count))
		return false;
	history.column_capacity = count;
	return true;
}

struct history_series *history_series_find(const struct frame_series *is,
					   bool *taken_r)
{
	struct buffer key = BUFFER_INIT(KEY_MAX);
	struct history_series *s = NULL;

	make_key(is, &key);
	if (!key.failed)
		s = table_get(&history.by_key, key.bytes, key.length);
	buffer_fini(&key);
	*taken_r = s != NULL;
	return s && same_bounds(s, is) ? s : NULL;
}

struct history_series *history_series_add(struct history_series *s)
{
	if (!s || !room_for(s) ||
	    table_set(&history.by_key, s->key, s->key_length, s, NULL)) {
		history_series_free(s);
		return NULL;
	}
	s->number = history.series_count;
	s->raw_at = history.column_count;
	s->rolled_at = history.rolled_count;
	for (uint32_t i = 0; i < s->width; i++) {
		history.totals[s->raw_at + i] = 0;
		history.row_values[s->raw_at + i] = chunk_absent();
	}
	for (uint32_t i = 0; i < s->rolled_width; i++)
		history.rolled[s->rolled_at + i] = chunk_absent();
	history.column_count += s->width;
	history.rolled_count += s->rolled_width;
	history.series[history.series_count++] = s;
	return s;
}

/* Finds or adds, under the lock; NULL: no room or no memory. */
static struct history_series *series_of(const struct frame_series *is)
{
	bool taken;
	struct history_series *s = history_series_find(is, &taken);

	return taken ? s : history_series_add(history_series_new(is));
}

/* --- from the registry --------------------------------------------------- */

static void describe_view(const struct metric_view *view,
			  struct frame_series *is)
{
	*is = (struct frame_series){
		.type = view->type,
		.name = view->name,
		.bound_count = view->bound_count,
		.bounds = view->bounds,
	};
	for (size_t i = 0; i < view->label_count; i++) {
		if (strcmp(view->label_names[i], "revision") == 0)
			continue;
		is->label_names[is->label_count] = view->label_names[i];
		is->label_values[is->label_count++] = view->label_values[i];
	}
}

static struct history_source *source_new(const struct metric_view *view)
{
	const size_t name = strlen(view->name) + 1;
	const size_t labels = strlen(view->labels);
	struct history_source *source = NULL;
	struct history_series *series;
	struct frame_series is;
	uint32_t known;

	describe_view(view, &is);
	pthread_mutex_lock(&history.lock);
	known = history.series_count;
	series = series_of(&is);
	/* In the first row of all nobody knows what was before. */
	if (series && known < history.series_count)
		series->from_zero =
			history.row > 1 && series->type != ATOM_METRIC_GAUGE;
	pthread_mutex_unlock(&history.lock);
	if (series)
		source = mem_zalloc(sizeof(*source) + name + labels);
	if (source)
		source->last = mem_array(series->width, sizeof(double));
	if (!source || !source->last) {
		mem_free(source);
		return NULL;
	}
	source->series = series;
	memcpy(source->key, view->name, name);
	memcpy(source->key + name, view->labels, labels);
	source->key_length = name + labels;
	return source;
}

static void source_free(struct history_source *source)
{
	mem_free(source->last);
	mem_free(source);
}

static struct history_source *source_of(const struct metric_view *view)
{
	struct buffer key = BUFFER_INIT(KEY_MAX);
	struct history_source *source = NULL;

	buffer_append(&key, view->name, strlen(view->name) + 1);
	buffer_append_text(&key, view->labels);
	if (!key.failed)
		source = table_get(&history.sources, key.bytes, key.length);
	if (!key.failed && !source) {
		source = source_new(view);
		if (source && table_set(&history.sources, source->key,
					source->key_length, source, NULL)) {
			source_free(source);
			source = NULL;
		}
	}
	buffer_fini(&key);
	return source;
}

void history_sources_free(void)
{
	struct history_source *source;

	for (size_t at = 0;
	     (source = table_next(&history.sources, &at)) != NULL;)
		source_free(source);
	table_fini(&history.sources);
}

/* What the parts of a counter grew by; all of them from 0 where one fell. */
static void grow_by(struct history_source *source, const double *now,
		    uint32_t count)
{
	double *totals = history.totals + source->series->raw_at;
	bool again = false;

	for (uint32_t i = 0; i < count; i++)
		again |= now[i] < source->last[i];
	for (uint32_t i = 0; i < count; i++) {
		totals[i] += now[i] - (again ? 0 : source->last[i]);
		source->last[i] = now[i];
	}
}

static void take_histogram(struct history_source *source,
			   const struct metric_view *view)
{
	double now[FRAME_WIDTH_MAX];

	memcpy(now, view->counts, (view->bound_count + 1) * sizeof(*now));
	now[view->bound_count + 1] = view->value;
	grow_by(source, now, source->series->width);
}

/* Many numbers that never move say little: build, versions. */
static bool is_kept(const char *name)
{
	const size_t length = strlen(name);

	return length < 5 || strcmp(name + length - 5, "_info") != 0;
}

static void take_series(void *argument, const struct metric_view *view)
{
	struct history_source *source;
	struct history_series *s;
	double *row;

	(void)argument;
	if (!is_kept(view->name))
		return;
	source = source_of(view);
	if (!source) {
		metric_inc(history.dropped);
		return;
	}
	s = source->series;
	row = history.row_values + s->raw_at;
	source->seen_row = history.row;
	if (isnan(view->value))
		return;
	if (s->type == ATOM_METRIC_GAUGE) {
		row[0] =
			(s->seen_row == history.row ? row[0] : 0) + view->value;
	} else {
		if (s->type == ATOM_METRIC_HISTOGRAM)
			take_histogram(source, view);
		else
			grow_by(source, &view->value, 1);
		memcpy(row, history.totals + s->raw_at,
		       s->width * sizeof(*row));
	}
	s->seen_row = history.row;
}

void history_take_row(void)
{
	struct history_source *source;

	history.row++;
	for (uint32_t i = 0; i < history.column_count; i++)
		history.row_values[i] = chunk_absent();
	metric_visit(take_series, NULL);
	/* Where one comes back it begins anew. */
	for (size_t at = 0;
	     (source = table_next(&history.sources, &at)) != NULL;) {
		if (source->seen_row == history.row)
			continue;
		(void)table_remove(&history.sources, source->key,
				   source->key_length);
		source_free(source);
	}
}
