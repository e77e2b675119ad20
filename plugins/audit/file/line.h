/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_FILE_LINE_H
#define AUDIT_FILE_LINE_H

/*
 * The lines of a segment, written and read; docs/audit-format.md is their
 * specification.  A segment begins with a head:
 *
 *	atomd-audit-segment/1
 *	segment <number>
 *	begun <time>
 *	reason <why it was begun>
 *	previous - | <number> <bytes> <digest of those bytes>
 *	before <sequence> - | <hash of that record>
 *	sealed yes | no
 *	key - | <verifier key>
 *	checkpoint - | <signed head>
 *	end <digest>
 *
 * Behind it stand, each a line:
 *
 *	R <sequence> <hash> <record>                a record
 *	E <first sequence> <records> <base64>       sealed R lines
 *	S <digest>              all before this line had been made durable
 *	C <signed head> <digest>                    a checkpoint
 *
 * where <signed head> is `<sequence> <range> <note>`, the range in hexadecimal
 * or `-`, the note with its line ends as "\n"; and <digest> is SHA-256 over
 * all bytes of the file before it, but the records of R lines with their line
 * ends: their hashes, which stand before them, cover those.  Record 1 is
 * covered whole, for its hash follows from the log's id, which a sink is not
 * told.
 */

#include "digest.h"
#include "text.h"

#include <atomd/audit.h>

#include <sys/types.h>

#define LINE_NOTE_MAX	  8192
#define LINE_VERIFIER_MAX 256
#define LINE_REASON_MAX	  400
/* The longest line: a sealed frame with one record of the largest size. */
#define LINE_RECORD_MAX ((size_t)1024 * 1024)
#define LINE_MAX	((size_t)4 * 1024 * 1024)

#define LINE_MAGIC "atomd-audit-segment/1"

/* A signed head as the host gave it; sequence 0 and no note: none yet. */
struct signed_head {
	uint64_t sequence;
	uint32_t range_count;
	uint8_t range[ATOM_AUDIT_RANGE_MAX][DIGEST_BYTES];
	size_t note_length;
	char note[LINE_NOTE_MAX];
};

struct segment_head {
	uint64_t number;
	int64_t begun_ms;
	char reason[LINE_REASON_MAX];
	bool has_previous;
	uint64_t previous; /* its number, and what of it is valid */
	off_t previous_length;
	uint8_t previous_digest[DIGEST_BYTES];
	uint64_t before; /* the record before the first of this segment */
	bool has_hash;	 /* not of record 0: the log's id is not known here */
	uint8_t hash[DIGEST_BYTES];
	bool sealed;
	char verifier[LINE_VERIFIER_MAX];
	struct signed_head checkpoint;
	off_t length; /* of the head in the file */
};

struct record_line {
	uint64_t sequence;
	uint8_t hash[DIGEST_BYTES];
	struct atom_span json;
};

struct sealed_line {
	uint64_t first;
	uint64_t count;
	struct atom_span base64;
};

/* --- writing: behind `text`, line end included ---------------------------- */

/* False: no memory.  `digest` is begun anew and has the head's bytes after. */
bool line_write_segment_head(struct text *text, struct digest *digest,
			     const struct segment_head *head);
/* What a digest covers of it goes behind `covered`, unless that is NULL. */
void line_write_record(struct text *text, struct text *covered,
		       const struct atom_audit_record *record);
void line_write_sealed(struct text *text, uint64_t first, uint64_t count,
		       const char *bytes, size_t length);
void line_write_signed_head(struct text *text, const struct signed_head *head);
/* Ends a line whose first byte is at `start` of the text with the digest;
 * `digest` has all before that byte, and has the line as well after. */
bool line_write_digest(struct text *text, size_t start, struct digest *digest);

/* --- reading: a line without its end -------------------------------------- */

bool line_read_record(const struct atom_span *line,
		      struct record_line *record_r);
bool line_read_sealed(const struct atom_span *line,
		      struct sealed_line *sealed_r);
bool line_read_signed_head(const struct atom_span *text,
			   struct signed_head *head_r);
/* A line that ends in a digest: *body_r is what stands between the letter and
 * the digest.  The digest must be the right one; `digest` has all before the
 * line, and has the line with its end after, if it is right; else it is as it
 * was. */
bool line_read_digest(const struct atom_span *line, struct digest *digest,
		      struct atom_span *body_r);

/* One line after the other, until the head is whole. */
enum head_state {
	HEAD_MORE,
	HEAD_WHOLE,
	HEAD_WRONG
};
enum head_state line_read_segment_head(struct segment_head *head,
				       unsigned int number,
				       const struct atom_span *line,
				       struct digest *digest);

#endif
