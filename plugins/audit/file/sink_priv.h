/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_FILE_SINK_PRIV_H
#define AUDIT_FILE_SINK_PRIV_H

/*
 * One configured sink and its folder.
 *
 *	segment-00000001.log ...  records; the newest is being written
 *	head                      the newest signed head, a note
 *	verifier.pub              the key that it is verified by
 *	tombstones                what was pruned
 *	reserve                   room for the last records of a full disk
 *	NAME.new                  being made, then renamed to NAME
 *
 * Life of the newest segment:
 *
 *	      segment_ready            size or age passed, at a checkpoint
 *	none ---------------> open ------------------------------> none
 *	                       |  a write or a sync failed
 *	                       +--------------------------> none, `reason`
 *
 * A segment that has failed is never written or synced again: what was synced
 * of it stays, cut off behind that, and the next one begins with the record
 * after the last that was.
 */

#include "digest.h"
#include "disk.h"
#include "line.h"
#include "text.h"

#include <stdbool.h>

struct file_options {
	const char *path;
	int64_t segment_size; /* bytes */
	int64_t segment_age;  /* ms */
	int64_t retention;    /* ms, 0 = for ever */
	int64_t keep_size;    /* bytes, 0 = all */
	int64_t low_space;    /* bytes */
	int32_t encrypt;
	int32_t sync;
};

struct position {
	uint64_t sequence;
	bool has_hash; /* not of record 0 */
	uint8_t hash[DIGEST_BYTES];
};

/* How full the disk is; the numbers are the metric's. */
enum space_stage {
	SPACE_NORMAL = 0,
	SPACE_LOW = 1,	   /* under low_space */
	SPACE_RESERVE = 2, /* the reserve is being used up */
	SPACE_FULL = 3	   /* nothing can be written */
};

struct sink {
	const struct atom_host *host;
	const struct file_options *options;
	const struct atom_log *log;	  /* may be NULL */
	const struct atom_metric *metric; /* may be NULL */
	const struct atom_clock *clock;	  /* may be NULL */
	const struct atom_seal *seal;	  /* NULL: nothing is sealed */
	char path[4096];
	int folder;
	bool recovered;

	int fd;			  /* the open segment's, or -1 */
	struct segment_head head; /* of the newest segment */
	struct digest *digest;	  /* over its bytes */
	off_t length;
	off_t synced_length;
	uint8_t synced_digest[DIGEST_BYTES];
	bool mark_due;	    /* the next line comes after a sync */
	bool at_checkpoint; /* its last line is one */
	bool has_segment;   /* `head` holds one, open or not */

	char reason[LINE_REASON_MAX]; /* for the next segment */
	struct position written, synced;
	uint64_t owed; /* a failure lost records up to this one */

	struct signed_head kept; /* the newest checkpoint */
	struct signed_head next; /* the one being written */
	char verifier[LINE_VERIFIER_MAX];
	bool has_key_file;

	struct text lines, plain; /* being put together */
	struct text covered;	  /* of R lines: what the digest has of them */

	enum space_stage stage;
	bool has_reserve;
	int64_t next_retention_ms;
	bool has_series;
	uint32_t free_series, stage_series, failed_series;
};

/* --- folder.c: names and whole files -------------------------------------- */

#define SEGMENT_NAME_MAX 64
#define HEAD_NAME	 "head"
#define KEY_NAME	 "verifier.pub"
#define TOMBSTONES_NAME	 "tombstones"
#define RESERVE_NAME	 "reserve"

atom_status folder_open(struct sink *sink, struct atom_error *err);
void segment_name(uint64_t number, char out[SEGMENT_NAME_MAX]);
/* Numbers of the segments there are, rising; the caller free()s. */
atom_status folder_segments(const struct sink *sink, uint64_t **numbers_r,
			    size_t *count_r, struct atom_error *err);
/* Removes what a crash left half made. */
atom_status folder_clean(const struct sink *sink, struct atom_error *err);
/* Writes NAME.new, syncs it and renames it to NAME.  *fd_r, unless NULL,
 * stays open. */
atom_status folder_replace(const struct sink *sink, const char *name,
			   const char *bytes, size_t length, int *fd_r,
			   struct atom_error *err);
/* A whole small file, behind `text`; ATOM_ENOENT. */
atom_status folder_read(const struct sink *sink, const char *name,
			struct text *text, struct atom_error *err);
/* All of it or a failure with errno. */
bool write_all(int fd, const char *bytes, size_t length, off_t at);

/* --- segment.c: the newest segment ---------------------------------------- */

/* A segment is open and may be written to. */
atom_status segment_ready(struct sink *sink, struct atom_error *err);
/* Empties sink->lines and sink->covered, but for the room of a mark where one is due. */
void segment_begin_lines(struct sink *sink);
/* Writes sink->lines, a digest and line end behind them where asked for.  On
 * failure nothing of them counts. */
atom_status segment_append(struct sink *sink, bool with_digest,
			   struct atom_error *err);
atom_status segment_sync(struct sink *sink, struct atom_error *err);
void segment_close(struct sink *sink);

/* --- recover.c ------------------------------------------------------------ */

atom_status sink_recover(struct sink *sink, struct atom_error *err);

/* --- read.c --------------------------------------------------------------- */

/* Opens a segment and reads its head; *fd_r is the caller's. */
atom_status segment_open(const struct sink *sink, uint64_t number,
			 struct segment_head *head_r, int *fd_r,
			 struct atom_error *err);
/* The R lines of a sealed one, behind sink->plain (cleared first). */
atom_status segment_unseal(struct sink *sink, uint64_t number,
			   const struct sealed_line *sealed,
			   struct atom_error *err);
atom_status sink_read(void *self, uint64_t after, uint64_t limit,
		      atom_audit_visit visit, void *argument,
		      struct atom_error *err);
/* What an error about a place in a segment says. */
atom_status damaged(const struct sink *sink, uint64_t number, off_t offset,
		    struct atom_error *err, const char *what);

/* --- record.c: what a record says of itself ------------------------------- */

struct record_members {
	char category[64];
	char event_type[64];
	int32_t severity;
	int64_t time_ms;
};

void record_members(const struct atom_span *json,
		    struct record_members *members_r);

/* --- prune.c -------------------------------------------------------------- */

atom_status sink_prune(void *self, uint64_t sequence, uint64_t *removed_r,
		       struct atom_error *err);
/* What the options say may go; now and then. */
void prune_by_options(struct sink *sink, int64_t now_ms);
/* Ends a removal that a crash cut short. */
atom_status prune_finish(struct sink *sink, struct atom_error *err);

/* --- space.c -------------------------------------------------------------- */

void space_begin(struct sink *sink);
/* After each checkpoint: is there room? */
void space_check(struct sink *sink);
/* A write has failed with this errno; frees the reserve for the next. */
void space_failed(struct sink *sink, int why);
void space_segment_failed(struct sink *sink);

int64_t sink_now_ms(const struct sink *sink);
ATOM_PRINTF(4, 5)
void sink_log(const struct sink *sink, int32_t level, const char *event,
	      const char *format, ...);

#endif
