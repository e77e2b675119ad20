/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_VERIFY_PRIV_H
#define AUDIT_VERIFY_PRIV_H

/*
 * The walk through a log.  Functions give ATOM_OK to go on, ATOM_EDATALOSS
 * when a verdict has been found (verify_bad), anything else when the log
 * cannot be looked at.
 */

#include "audit/segment_read.h"
#include "audit/tree.h"
#include "audit/verify.h"

struct walk {
	const struct verify_request *request;
	struct verify_result *result;
	struct atom_error *err;

	struct note_verifier key;
	bool has_key;
	char key_text[NOTE_VERIFIER_MAX];
	struct buffer head; /* the folder's signed head */
	bool has_head, head_found;
	uint64_t head_size;

	bool has_grave; /* the last tombstone */
	struct segment_tombstone grave;

	/* After the record `sequence`. */
	uint64_t sequence;
	bool chain_known, tree_known;
	uint8_t chain[CHAIN_HASH];
	struct tree_range range;
	uint64_t signed_sequence;
	struct note_head note_head; /* of `note`, the last one verified */
	size_t note_length;
	char note[NOTE_READ_MAX + 1];
	uint64_t checkpoints; /* lines, not those in heads of segments */

	char file[FOLDER_NAME_MAX]; /* being read */
	uint64_t offset;	    /* of the line */
	struct buffer sealed, plain;
};

/* --- verify.c ------------------------------------------------------------- */

/* Notes the verdict, once; ATOM_EDATALOSS. */
ATOM_PRINTF(4, 5)
atom_status verify_bad(struct walk *walk, enum verify_verdict verdict,
		       uint64_t first_bad, const char *format, ...);
/* Of a bad checkpoint or mark: the first record it should have covered. */
uint64_t verify_uncovered(const struct walk *walk);
atom_status verify_no_memory(struct walk *walk);

/* --- verify_signed.c: heads, key, tombstones, reserve ---------------------- */

/* Reads key and head of the folder, before anything else of it: all that they
 * cover is then there. */
atom_status verify_read_key(struct walk *walk);
atom_status verify_read_head(struct walk *walk);
/* The note is signed, is of so many records, and its root is the range's. */
atom_status verify_signed_head(struct walk *walk,
			       const struct segment_checkpoint *checkpoint,
			       uint64_t first_bad, struct note_head *head_r);
/* The same, and it is what the walk has come to. */
atom_status verify_checkpoint(struct walk *walk,
			      const struct segment_checkpoint *checkpoint);
atom_status verify_tombstones(struct walk *walk);
atom_status verify_reserve(struct walk *walk);
/* Outside notes of what the walk has come to. */
atom_status verify_outside(struct walk *walk);
atom_status verify_outside_signatures(struct walk *walk);
/* A tombstone's root is known, too. */
atom_status verify_outside_grave(struct walk *walk);
/* After the last record. */
atom_status verify_end(struct walk *walk);

/* --- verify_segment.c ----------------------------------------------------- */

atom_status verify_segments(struct walk *walk, const struct folder *folder);

/* --- verify_record.c ------------------------------------------------------ */

atom_status verify_record(struct walk *walk,
			  const struct segment_record *record);
atom_status verify_frame(struct walk *walk, uint64_t number,
			 const struct segment_frame *frame);
/* Would this line, but for its end, have been whole? */
bool verify_line_is_whole(struct walk *walk, struct segment_reader *reader,
			  const struct atom_span *line);
/* What stands behind the last whole line: torn by a crash, or changed? */
bool verify_is_torn(const struct buffer *rest, uint64_t offset);

#endif
