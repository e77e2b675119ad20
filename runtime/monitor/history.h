/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MONITOR_HISTORY_H
#define MONITOR_HISTORY_H

/*
 * What the metrics were: atomd/history.h says what is kept and how series look
 * to those who read it.
 *
 *	registry ── every so often, on the pool ──► rows of values
 *	    rows ──► chunks in memory, CHUNK_ROWS each: of 15 s the last
 *	         │   hour (chunk.h)
 *	         ├─► raw segments, 6 hours         (segment.h)
 *	         └─► rolled segments, 30 days, one row of 5 minutes
 *
 * One mutex covers series, chunks and the lists of segments.  It is held for
 * moments, by the sampler and by readers; files are read and written without
 * it.  Series, once there, live and keep their place until history_fini().
 *
 * A disk that fails or is full costs the rows of that time on disk, and is
 * told: in the log, by the component `history` and by
 * atomd_history_write_failures_total.
 */

#include <stdbool.h>
#include <stdint.h>

#include <atomd/history.h>

struct keyring;

/* The longest time between two samples, and what the steps of a reading are
 * whole multiples of. */
#define HISTORY_RAW_MS 15000
/* The shortest. */
#define HISTORY_RAW_LEAST_MS 1000
#define HISTORY_ROLLED_MS    300000
#define HISTORY_SERIES_MAX   500
#define HISTORY_SAMPLES_MAX  500000 /* of one reading */

/* [control, at start] `folder` (copied) is made; what is there is taken up.
 * Without a keyring, or where the folder cannot be used, memory alone is used
 * and the component `history` says so.  ATOM_ENOMEM, or a metric that cannot
 * be declared. */
atom_status history_init(const char *folder, struct keyring *keyring,
			 struct atom_error *err);
/* When no thread uses it any more. */
void history_fini(void);

/* [control] Samples each `every_ms` (HISTORY_RAW_LEAST_MS to HISTORY_RAW_MS), at
 * whole multiples of it, until the loops end.  `measure` (or NULL) is called before on control: the callbacks
 * of gauges find their numbers fresh; `sampled` (or NULL) after it, also on
 * control. */
atom_status history_run(int64_t every_ms, void (*measure)(void),
			void (*sampled)(void));
/* [pool] One sample now; one that is on time stands at its whole multiple, those not later than the one before are left out. */
void history_sample(void);

/* As struct atom_history has them. [pool] */
atom_status history_read(const struct atom_history_query *query,
			 atom_history_visit visit, void *argument,
			 struct atom_error *err);
atom_status history_list(const struct atom_history_query *query,
			 atom_history_visit visit, void *argument,
			 struct atom_error *err);
/* [any] */
void history_extent(struct atom_history_extent *extent_r);
/* [any] What the last hour takes, for tests and people. */
size_t history_memory_bytes(void);

/* [control] atom.history/1 for plugins. */
atom_status history_register(void);

#endif
