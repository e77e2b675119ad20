/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MONITOR_HISTORY_PRIV_H
#define MONITOR_HISTORY_PRIV_H

/*
 * Behind history.h: history.c has the life and the clock, history_series.c the
 * series and how the registry's are rolled up into them, history_keep.c what a
 * row goes through (chunks, segments, five minutes), history_load.c what a
 * start takes up, history_read.c and history_match.c the readers.
 */

#include <pthread.h>
#include <regex.h>

#include "core/metric.h"
#include "core/table.h"
#include "monitor/chunk.h"
#include "monitor/history.h"
#include "monitor/segment.h"

/* Full ones behind the one that grows: an hour at least. */
#define CHUNKS_MAX 4

/* Of a gauge in a rolled row. */
enum {
	ROLLED_LAST,
	ROLLED_LOWEST,
	ROLLED_HIGHEST,
	ROLLED_MEAN,
	ROLLED_GAUGE_WIDTH
};

struct history_series {
	uint32_t number;
	int32_t type; /* ATOM_METRIC_* */
	char *name;
	size_t label_count;
	char *label_names[FRAME_LABELS_MAX];
	char *label_values[FRAME_LABELS_MAX];
	double *bounds;
	size_t bound_count;
	uint32_t width;	 /* columns of a row: 1, or buckets and sum */
	uint32_t raw_at; /* the first of them */
	uint32_t rolled_width;
	uint32_t rolled_at;
	uint64_t seen_row;
	bool from_zero; /* its counters were 0 in the row before its first */
	/* What the five minutes under way have of a gauge. */
	double lowest, highest, sum;
	uint32_t rows;
	size_t key_length;
	char key[]; /* name, label names and values, each with its NUL */
};

/* One series of the registry behind a counter or histogram. */
struct history_source {
	struct history_series *series;
	uint64_t seen_row;
	size_t key_length;
	double *last; /* series->width of them */
	char key[];
};

struct history {
	pthread_mutex_t lock;
	bool running;

	/* --- the sampler's own --- */
	struct table sources;
	uint64_t row;	    /* number of the one under way */
	double *row_values; /* of it: raw columns */
	double *rolled;	    /* columns of a rolled row */
	int64_t period;	    /* the five minutes under way; 0 = none yet */
	int64_t period_last_ms;
	bool failed; /* the disk is known to */
	int64_t retry_ms;
	uint32_t raw_declared; /* series, in the segment that grows */
	uint32_t rolled_declared;
	uint32_t kept_series; /* those that memory knows */

	/* --- under the lock --- */
	struct table by_key;
	struct history_series *series[HISTORY_SERIES_MAX];
	uint32_t series_count;
	double *totals; /* raw columns: where counters are */
	uint32_t column_count, column_capacity;
	uint32_t rolled_count;
	struct chunk *chunks[CHUNKS_MAX + 1]; /* the newest last */
	size_t chunk_count;
	int64_t last_ms;
	int64_t rolled_last_ms;
	struct segments raw, rolled_files;

	/* --- constant --- */
	int32_t every_ms;
	struct segment_place place; /* folder NULL: memory alone */
	char *folder;
	metric_id dropped, failures, sample_seconds;
};

extern struct history history;

/* --- series (history_series.c) -------------------------------------------- */

/* Under the lock.  `taken_r`: there is one of that name and labels; NULL with
 * it: of another type or other bounds. */
struct history_series *history_series_find(const struct frame_series *is,
					   bool *taken_r);
/* One that is in no list; NULL: no memory. */
struct history_series *history_series_new(const struct frame_series *is);
/* Takes one that is not there yet, under the lock; NULL (and it is freed): no
 * room, no memory, or `series` is NULL. */
struct history_series *history_series_add(struct history_series *series);
void history_series_free(struct history_series *series);
void history_sources_free(void);
/* [sampler] Reads the registry into history.row_values. */
void history_take_row(void);
void history_describe(const struct history_series *series, bool rolled,
		      struct frame_series *is_r);

/* --- rows (history_keep.c) ------------------------------------------------ */

/* [sampler] history.row_values to memory. */
void history_keep_row(int64_t time_ms);
/* [sampler] And to the disk. */
void history_write_row(int64_t time_ms);
/* Which five minutes: a whole multiple of them is their end. */
static inline int64_t history_period_of(int64_t time_ms)
{
	return (time_ms - 1) / HISTORY_ROLLED_MS + 1;
}
/* The row into the five minutes; when they are over, they go to the disk. */
void history_roll_row(int64_t time_ms);
atom_status history_load(struct atom_error *err);

/* --- matching (history_match.c) ------------------------------------------- */

struct history_matcher {
	int32_t type;
	const char *label;
	const char *value;
	regex_t pattern;
	bool compiled;
};

struct history_match {
	const char *name; /* NULL = any */
	struct history_matcher matchers[ATOM_HISTORY_MATCHERS_MAX];
	size_t count;
};

atom_status history_match_init(struct history_match *match,
			       const struct atom_history_query *query,
			       struct atom_error *err);
void history_match_fini(struct history_match *match);
bool history_matches(const struct history_match *match, const char *name,
		     const struct atom_history_label *labels,
		     size_t label_count);

#endif
