/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUDIT_PROVE_H
#define AUDIT_PROVE_H

/*
 * One record of a log in a folder, with all that somebody needs who has
 * nothing but the log's verifier key to see that it is in the log: the path
 * through the tree (RFC 6962, 2.1.1) to the root of a signed head.
 *
 * The head is the first one that covers the record, so that no more of the log
 * is read than the segment it stands in and, at most, what follows up to that
 * head.
 */

#include <stddef.h>
#include <stdint.h>

#include "audit/note.h"
#include "audit/tree.h"
#include "audit/verify.h"
#include "core/buffer.h"

struct record_proof {
	uint64_t sequence;
	struct buffer record; /* canonical JSON */
	uint8_t leaf[TREE_HASH];
	struct tree_proof path;
	char note[NOTE_READ_MAX + 1];
	size_t note_length;
	struct note_verifier key; /* of the folder */
};

/* *proof_r is set on ATOM_OK only.  ATOM_ENOENT: there is no such record, it
 * is pruned, or no signed head covers it yet; ATOM_EDATALOSS: the log is
 * damaged, or does not prove it; ATOM_ENOTSUP: it is sealed and `unsealer` is
 * NULL; ATOM_EIO, ATOM_ENOMEM. */
atom_status prove_record(const char *path, uint64_t sequence,
			 const struct verify_unsealer *unsealer,
			 struct record_proof *proof_r, struct atom_error *err);
/* Does it hold under this key?  ATOM_EDATALOSS says what does not. */
atom_status prove_check(const struct record_proof *proof,
			const struct note_verifier *key,
			struct note_head *head_r, struct atom_error *err);
void record_proof_fini(struct record_proof *proof);

#endif
