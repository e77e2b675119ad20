/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_SEGMENT_READ_H
#define AUDIT_SEGMENT_READ_H

/*
 * The lines of a segment of the `file` sink, read by docs/audit-format.md and
 * by nothing of the plugin that wrote them: what verifies shares no mistake
 * with what it verifies.
 *
 * A reader is fed one line after the other and says what each is.  It looks
 * at one segment alone: at its form, its order, and its digests.  Whether the
 * hashes, the tree and the signatures fit is verify.h's to say.  Strict: each
 * value has one way to be written.  Memory is the reader's own, spans point
 * into the line.  Owned by one thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/host.h>

#include "audit/chain.h"
#include "audit/note.h"
#include "audit/tree.h"

/* The longest line that a sink writes. */
#define SEGMENT_LINE_MAX   ((size_t)4 * 1024 * 1024)
#define SEGMENT_REASON_MAX 400

/* A signed head with the range of its tree. */
struct segment_checkpoint {
	uint64_t sequence;
	uint32_t range_count;
	uint8_t range[TREE_RANGE_MAX][TREE_HASH];
	size_t note_length; /* 0: there is none */
	char note[NOTE_READ_MAX + 1];
};

struct segment_start {
	uint64_t number;
	int64_t begun_ms;
	char reason[SEGMENT_REASON_MAX];
	bool has_previous;
	uint64_t previous_length; /* bytes of the segment before that count */
	uint8_t previous_digest[CHAIN_HASH]; /* of those */
	uint64_t before; /* sequence of the record before the first */
	bool has_hash;	 /* and its hash; not of record 0 */
	uint8_t hash[CHAIN_HASH];
	bool sealed;
	char verifier[NOTE_VERIFIER_MAX]; /* "" = none yet */
	struct segment_checkpoint checkpoint;
};

enum segment_item {
	SEGMENT_WRONG,	    /* not a line of this format, or not here */
	SEGMENT_START_PART, /* a line of the head */
	SEGMENT_START,	    /* its last line: `start` is whole */
	SEGMENT_RECORD,
	SEGMENT_SEALED,
	SEGMENT_MARK, /* all before the line had been synced */
	SEGMENT_CHECKPOINT,
};

struct segment_reader;

/* NULL: no memory. */
struct segment_reader *segment_reader_new(void);
void segment_reader_free(struct segment_reader **reader);
/* As new. */
bool segment_reader_reset(struct segment_reader *reader);

/* The next line, without its '\n'.  A line that ends in a digest is WRONG
 * where the digest is.  After WRONG only reset and free may follow, and the
 * functions below say what was before. */
enum segment_item segment_reader_feed(struct segment_reader *reader,
				      const struct atom_span *line);

/* After SEGMENT_START. */
const struct segment_start *segment_reader_start(
	const struct segment_reader *reader);
/* What a digest is that stands here: SHA-256 over all bytes so far, but for
 * records behind the first one. */
bool segment_reader_digest(const struct segment_reader *reader,
			   uint8_t digest_r[CHAIN_HASH]);
/* The last checkpoint line; its note_length is 0 before the first. */
const struct segment_checkpoint *segment_reader_checkpoint(
	const struct segment_reader *reader);

/* Its range, which has the nodes that its sequence asks for, or it had not
 * been read. */
void segment_checkpoint_range(const struct segment_checkpoint *checkpoint,
			      struct tree_range *range_r);

struct segment_record {
	uint64_t sequence;
	uint8_t hash[CHAIN_HASH];
	struct atom_span json;
};

/* A line that `feed` has called SEGMENT_RECORD, or one inside of a frame. */
bool segment_record_parse(const struct atom_span *line,
			  struct segment_record *record_r);

struct segment_frame {
	uint64_t first, count; /* records */
	struct atom_span base64;
};

bool segment_frame_parse(const struct atom_span *line,
			 struct segment_frame *frame_r);
/* The sealed bytes; `out` has room for base64.length.  False: no base64. */
bool segment_frame_decode(const struct segment_frame *frame, uint8_t *out,
			  size_t *length_r);

#define SEGMENT_IDENTITY_MAX 96

/* What the frame was sealed as. */
void segment_frame_identity(const struct segment_frame *frame, uint64_t number,
			    char out[SEGMENT_IDENTITY_MAX]);

/* --- what tombstones have in common with segments ------------------------- */

struct segment_tombstone {
	uint64_t first_segment, last_segment;
	uint64_t first, count; /* records */
	bool has_hash_before;
	uint8_t hash_before[CHAIN_HASH];
	uint8_t hash_after[CHAIN_HASH];
	int64_t time_ms;
	struct segment_checkpoint checkpoint;
};

/* A reader that was reset and is fed nothing else goes through a file of
 * tombstones; false as WRONG above. */
bool segment_reader_tombstone(struct segment_reader *reader,
			      const struct atom_span *line,
			      struct segment_tombstone *tombstone_r);

#endif
