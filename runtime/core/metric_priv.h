/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_METRIC_PRIV_H
#define CORE_METRIC_PRIV_H

/*
 * Behind metric.h: metric.c keeps the families and their series,
 * metric_family.c says what a family may be, metric_shard.c the numbers,
 * metric_bucket.h where a histogram counts a value,
 * metric_exemplar.c which calls they are of,
 * metric_render.c makes the text, metric_visit.c tells the numbers and
 * metric_process.c what every exporter says about its process.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/metric.h"
#include "core/metric_bucket.h"
#include "core/table.h"

#define METRIC_LABELS_MAX   4
#define METRIC_FAMILIES_MAX 2048
#define METRIC_SERIES_MAX   1000 /* of a family, by default */

/* --- numbers (metric_shard.c) -------------------------------------------- */

atom_status metric_shards_init(unsigned int serving_loops);
void metric_shards_fini(void);
/* Room for one series; a histogram's `buckets` live until
 * metric_shards_fini().  The caller holds the registry's lock.  0 when there is
 * no room. */
metric_id metric_cells_new(int type, const struct metric_buckets *buckets);
/* All to 0, before the id is used again. */
void metric_cells_clear(metric_id series);
/* Observations per bucket, bound_count + 1 of them, the last one +Inf. */
void metric_bucket_counts(metric_id series, double *counts);
/* A histogram's bounds. */
const double *metric_bounds(metric_id series, size_t *count_r);

/* --- exemplars (metric_exemplar.c) ---------------------------------------- */

struct exemplar {
	double value;
	int64_t time_ms; /* Unix time */
	char trace_id[32 + 8];
	char request_id[METRIC_REQUEST_ID_MAX + 1];
};

/* One of each bucket, made when first needed; mem_free() frees them. */
struct exemplar_slot;
void exemplar_put(_Atomic(struct exemplar_slot *) *slots, size_t count,
		  size_t bucket, double value, const struct metric_call *call);
/* False: there is none, or it is being written again and again. */
bool exemplar_get(struct exemplar_slot *slots, size_t bucket,
		  struct exemplar *is_r);
void exemplar_clear(struct exemplar_slot *slots, size_t count);
/* Of a histogram; NULL: none yet. (metric_shard.c) */
struct exemplar_slot *metric_exemplars(metric_id series);

/* --- families (metric_family.c) and their series (metric.c) --------------- */

struct series {
	metric_id id;
	double (*read)(void *argument); /* a callback gauge's, else NULL */
	void *argument;
	int64_t since_ms;    /* when it was made, Unix time */
	struct series *next; /* of those that wait to be freed */
	size_t key_length;
	const char *labels; /* `a="b",c="d"`, escaped; behind the key */
	char key[];	    /* label values, each with its NUL */
};

/* Ids of removed series, oldest first. */
struct spare {
	metric_id id;
	int64_t since_ms;
};

struct family {
	int type;
	uint32_t number;
	char *name;
	char *help;
	char *label_names[METRIC_LABELS_MAX];
	size_t label_count;
	struct metric_buckets *buckets; /* a histogram's, else NULL */
	const double *bounds;		/* in it */
	size_t bound_count;

	struct table by_labels;
	struct series **series; /* in order of their making */
	size_t series_count;
	size_t series_capacity;
	size_t series_max;
	struct spare *spares;
	size_t spare_count;
	size_t spare_capacity;
};

/* ATOM_EINVAL with a sentence. */
atom_status metric_family_check_name(const struct atom_metric_spec *spec,
				     struct atom_error *err);
atom_status metric_family_check_shape(const struct atom_metric_spec *spec,
				      struct atom_error *err);
/* Of a spec that has been checked; NULL without memory. */
struct family *metric_family_new(const struct atom_metric_spec *spec);
/* With its series. */
void metric_family_free(struct family *family);
bool metric_family_same(const struct family *family,
			const struct atom_metric_spec *spec);

/* The series of one family as they are now, to be read without the lock:
 * what is removed meanwhile is freed after metric_reading_end(). */
struct reading {
	const struct family *family;
	struct series **series;
	size_t count;
	size_t capacity;
};

void metric_reading_begin(struct reading *reading);
/* The next family: `number` from 0 on.  False behind the last. */
bool metric_reading_next(struct reading *reading, uint32_t number);
void metric_reading_end(struct reading *reading);

uint64_t metric_series_dropped(void);

/* --- every series as numbers (metric_visit.c) ----------------------------- */

#define METRIC_PLAIN_MAX 10

struct metric_plain {
	int type;
	const char *name;
	const char *help;
	const char *unit;
	double value;
	int64_t since_ms; /* a counter's; 0: not known */
};

/* What needs no family: the process's, and the registry's own. */
size_t metric_read_plain(struct metric_plain all[METRIC_PLAIN_MAX]);
double metric_read_series(const struct series *series);

/* --- the process (metric_process.c) --------------------------------------- */

struct process_numbers {
	double cpu_seconds;
	double start_time_seconds;
	double resident_bytes;
	double virtual_bytes;
	double virtual_max_bytes;
	double open_fds;
	double max_fds;
	double threads;
};

/* What could not be read is negative. */
void metric_read_process(struct process_numbers *numbers);

#endif
