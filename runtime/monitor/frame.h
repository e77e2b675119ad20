/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MONITOR_FRAME_H
#define MONITOR_FRAME_H

/*
 * A sample of all series as bytes for the disk.  A segment is a run of frames
 * that needs nothing before it: series are declared in the frame that first
 * has them, and a value is told by how it differs from the frame before.
 *
 *	time        i64, Unix ms
 *	declared    u16, then as many declarations:
 *	  type u8 | flags u8 | width u8 | labels u8 | bounds u8
 *	  | name, label names and values: u16 length and bytes each
 *	  | bounds: f64 each
 *	columns     u32, all so far
 *	changed     one bit a column, the lowest first
 *	values      of each changed column: XOR with the value before, u8 of
 *	            leading (high) and trailing (low) zero bytes, the rest
 *
 * Numbers are little-endian.  Pure functions. [any]
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/host.h>

#include "core/buffer.h"
#include "core/metric.h"

#define FRAME_LABELS_MAX 4
#define FRAME_BOUNDS_MAX 32
#define FRAME_WIDTH_MAX	 (FRAME_BOUNDS_MAX + 2)
/* Columns of a segment. */
#define FRAME_COLUMNS_MAX 20000

/* Its counter was 0 in the frame before. */
#define FRAME_FROM_ZERO 1

struct frame_series {
	int32_t type; /* ATOM_METRIC_* */
	uint32_t flags;
	uint32_t width; /* columns */
	const char *name;
	size_t label_count;
	const char *label_names[FRAME_LABELS_MAX];
	const char *label_values[FRAME_LABELS_MAX];
	size_t bound_count;
	const double *bounds;
};

/* What the encoder or decoder knows between the frames of one segment. */
struct frame_state {
	double *columns; /* the values before */
	uint32_t column_count;
	uint32_t capacity;
};

void frame_state_clear(struct frame_state *state); /* a new segment */
void frame_state_fini(struct frame_state *state);

/* Appends a frame of `column_count` values; `declared` are the series that
 * are new in it.  On failure the state is that of no frame any more. */
atom_status frame_encode(struct frame_state *state, int64_t time_ms,
			 const struct frame_series *declared,
			 size_t declared_count, const double *values,
			 uint32_t column_count, struct buffer *out);

/* The next frame of the segment.  `declare` is told of each new series, which
 * lives during the call; non-zero ends it.  *time_r; values are in
 * state->columns.  ATOM_EDATALOSS: no frame. */
atom_status frame_decode(struct frame_state *state,
			 const struct atom_span *frame,
			 atom_status (*declare)(void *argument,
						const struct frame_series *s),
			 void *argument, int64_t *time_r);

#endif
