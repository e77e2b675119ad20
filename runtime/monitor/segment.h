/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MONITOR_SEGMENT_H
#define MONITOR_SEGMENT_H

/*
 * The files of the history: one folder, segments of frames (frame.h), each
 * frame sealed by the daemon's keyring (keyring/keyring.h), so that a frame
 * that was changed, cut, or moved to another place or segment does not open.
 *
 *	KIND-STARTMS.seg:  "atomd-history 1\n", then frames:
 *	                   u32 little-endian length | sealed bytes
 *
 * A segment ends at its first frame that does not open: what a kill or a full
 * disk has cut.  Nothing is appended to an older segment; a start, and a write
 * that failed, begin another.  A data key may be retired although segments were
 * sealed under it: they are a picture, and no reason to keep a key.  Frames are not synced: what an operating system
 * loses with its power is minutes of a picture, not a promise.
 *
 * Appending and pruning belong to one thread; reading runs beside them. [pool]
 */

#include <pthread.h>
#include <stdint.h>

#include "keyring/keyring.h"
#include "monitor/frame.h"

struct segment {
	int64_t start_ms;
	int64_t bytes;
};

struct segment_kind {
	const char *word;  /* "raw", "rolled" */
	int64_t span_ms;   /* of one segment */
	int64_t keep_ms;   /* after its end */
	int64_t bytes_max; /* of all; the oldest go first */
};

struct segments {
	const struct segment_kind *kind;
	pthread_mutex_t lock; /* for the list */
	struct segment *list; /* rising */
	size_t count;
	size_t capacity;
	int fd; /* of the last one, or -1: the next frame begins one */
	uint32_t frames;
	struct frame_state state;
};

/* Where they lie and what seals them; set once at start. */
struct segment_place {
	const char *folder; /* absolute */
	struct keyring *keyring;
};

/* Finds those that are there. */
atom_status segments_open(struct segments *segments,
			  const struct segment_kind *kind,
			  const struct segment_place *place,
			  struct atom_error *err);
void segments_close(struct segments *segments);
/* Is the frame of `time_ms` the first of a segment: has it to declare all? */
bool segments_at_begin(const struct segments *segments, int64_t time_ms);
/* Appends a frame; see frame_encode().  On failure the segment is closed. */
atom_status segments_append(struct segments *segments,
			    const struct segment_place *place, int64_t time_ms,
			    const struct frame_series *declared,
			    size_t declared_count, const double *values,
			    uint32_t column_count, struct atom_error *err);
/* The next frame begins another.  What an older one has of the time from that
 * on was in a future that never was; readers leave it out. */
void segments_end(struct segments *segments);
/* Removes what is older than is kept, and what begins after `now_ms` (the
 * clock was set back). */
void segments_prune(struct segments *segments,
		    const struct segment_place *place, int64_t now_ms);

/* The starts of all, rising, to be mem_free()d; NULL without memory.  At least
 * one is allocated. [any] */
int64_t *segments_starts(struct segments *segments, size_t *count_r);

struct segment_reader {
	/* The segment's next series. */
	atom_status (*declare)(void *argument, const struct frame_series *s);
	/* A frame: the values of all series so far, in order of declaration.
	 * Non-zero ends the reading with that. */
	atom_status (*frame)(void *argument, int64_t time_ms,
			     const double *columns, uint32_t column_count);
	void *argument;
};

/* Reads one segment to its end.  ATOM_ENOENT: it is gone (pruned meanwhile);
 * ATOM_EIO, ATOM_ENOMEM, or what `reader` said. */
atom_status segment_read(const struct segment_kind *kind,
			 const struct segment_place *place, int64_t start_ms,
			 const struct segment_reader *reader,
			 struct atom_error *err);

#endif
