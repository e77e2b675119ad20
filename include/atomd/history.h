/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATOMD_HISTORY_H
#define ATOMD_HISTORY_H

/*
 * atom.history/1: what the metrics were.  The host samples its registry, the
 * plugins' families included, each 15 s, or more often where the configuration
 * says so (`raw_every_ms`), and keeps two things over restarts:
 *
 *	raw	each sample, for 6 hours
 *	rolled	one of each 5 minutes, for 30 days
 *
 * A monitor's `metrics` is called after the sample it is given stands here.
 *
 * The series are those of /metrics but for these:
 *
 *   - Series that differ in the label `revision` alone are one, without that
 *     label: counters and histograms together grow by what each grew, gauges
 *     are added up.
 *   - A counter, and a histogram's parts, never go back: over a restart of the
 *     daemon, and when one of the series behind them goes, they carry on from
 *     where they were.  A difference of two samples is what happened between
 *     them.  A counter that comes up while the daemon runs has a sample of 0
 *     before its first.
 *   - A histogram shows as Prometheus shows it: `NAME_bucket` for each bound
 *     with the label `le`, last of the labels, counting up to "+Inf";
 *     `NAME_sum`; `NAME_count`.
 *   - At most 500 series, a histogram being one of them, those first that
 *     were first; atomd_history_samples_dropped_total counts what others
 *     had.  Families whose name ends in `_info` are left out.
 *
 * Units are those of the metric: the name ends in them (`_seconds`).
 */

#include <atomd/host.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ATOM_HISTORY "atom.history/1"

#define ATOM_HISTORY_MATCHERS_MAX 16
#define ATOM_HISTORY_PATTERN_MAX  256 /* bytes of a matcher's value */

enum {
	ATOM_HISTORY_EQUAL = 1,
	ATOM_HISTORY_NOT_EQUAL = 2,
	/* The whole value matches a POSIX extended regular expression without
	 * back references, or does not. */
	ATOM_HISTORY_MATCHES = 3,
	ATOM_HISTORY_NOT_MATCHES = 4
};

/* As Prometheus' `label OP "value"`: a label that a series has not is "". */
struct atom_history_matcher {
	uint32_t struct_size;
	int32_t type;
	const char *label;
	const char *value;
};

enum {
	ATOM_HISTORY_BEST = 0, /* raw as far as `from_ms` lies within */
	ATOM_HISTORY_RAW = 1,
	ATOM_HISTORY_ROLLED = 2
};

struct atom_history_query {
	uint32_t struct_size;
	int32_t resolution;   /* ATOM_HISTORY_BEST ... */
	const char *name;     /* `NAME_bucket` for a histogram; NULL = all */
	const void *matchers; /* struct atom_history_matcher, all of them */
	uint32_t matcher_stride;
	uint32_t matcher_count;
	/* Samples with from_ms <= time_ms <= to_ms, Unix time. */
	int64_t from_ms;
	int64_t to_ms;
	/* 0: the samples as they are kept.  Else one for each whole multiple
	 * of it, of the samples since the multiple before; none where there
	 * were none.  Rolled ones have a step of 5 minutes at least. */
	int64_t step_ms;
};

struct atom_history_label {
	const char *name;
	const char *value;
};

struct atom_history_series {
	uint32_t struct_size;
	/* ATOM_METRIC_COUNTER also for the parts of a histogram. */
	int32_t type;
	const char *name;
	/* In the order of declaration, `le` last; not escaped. */
	const struct atom_history_label *labels;
	size_t label_count;
};

/* The lowest, highest and mean of a gauge within the 5 minutes or the step;
 * all `value` for one raw sample and for counters. */
struct atom_history_sample {
	int64_t time_ms; /* of `value`, the last one within; or the multiple */
	double value;
	double lowest;
	double highest;
	double mean;
};

/* A series with its samples, rising in time; everything lives during the call.
 * `samples` has `sample_count` of them, `sample_stride` bytes apart.  Non-zero
 * ends the reading. */
typedef int32_t (*atom_history_visit)(void *argument,
				      const struct atom_history_series *series,
				      const void *samples, size_t sample_stride,
				      size_t sample_count);

/* What there is.  Times are 0 when there is no sample. */
struct atom_history_extent {
	uint32_t struct_size;
	int32_t raw_every_ms; /* 1,000 to 15,000; constant */
	int32_t rolled_every_ms;
	uint32_t series_count; /* a histogram is one */
	int64_t raw_first_ms;
	int64_t rolled_first_ms;
	int64_t last_ms; /* raw: the newest sample */
};

struct atom_history {
	uint32_t struct_size;
	uint32_t flags;
	/* [any] */
	void (*extent)(const struct atom_host *host,
		       struct atom_history_extent *extent_r);
	/* [pool] or a plugin's own thread: it may read files.  Each matching
	 * series that has a sample in the range is visited once, in order of
	 * name and then of making; no lock is held.  The last 240
	 * samples or more come from memory.
	 * ATOM_EINVAL: a matcher or a range that is none.  ATOM_ELIMIT: more
	 * than 500,000 samples; ask for less or with a step.  ATOM_EIO: what
	 * lies on disk could not be read; what is in memory was visited. */
	atom_status (*read)(const struct atom_host *host,
			    const struct atom_history_query *query,
			    atom_history_visit visit, void *argument,
			    struct atom_error *err);
	/* The same without samples (NULL, 0): which series there are since
	 * the daemon started or in the hour before, whatever the range. */
	atom_status (*list)(const struct atom_host *host,
			    const struct atom_history_query *query,
			    atom_history_visit visit, void *argument,
			    struct atom_error *err);
};

#ifdef __cplusplus
}
#endif

#endif
