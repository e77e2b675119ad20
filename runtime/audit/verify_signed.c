/* SPDX-License-Identifier: Apache-2.0 */

/* What is signed, and the small files: key, head, tombstones, reserve. */

#include "audit/verify_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TOMBSTONES_MAX ((size_t)64 * 1024 * 1024)

static void at_file(struct walk *walk, const char *name)
{
	(void)snprintf(walk->file, sizeof(walk->file), "%s", name);
	walk->offset = 0;
}

/* A file of the folder; *has_r: there is one. */
static atom_status read_file(struct walk *walk, const char *name,
			     struct buffer *out, bool *has_r)
{
	struct atom_error why = ATOM_ERROR_INIT;
	atom_status status = folder_read(walk->request->path, name, out, &why);

	at_file(walk, name);
	*has_r = status == ATOM_OK;
	if (status == ATOM_OK || status == ATOM_ENOENT)
		return ATOM_OK;
	if (status == ATOM_EDATALOSS)
		return verify_bad(walk, VERIFY_TAMPERED, 0, "%s", why.message);
	return atom_fail(walk->err, status, "%s", why.message);
}

/* --- key and head --------------------------------------------------------- */

atom_status verify_read_key(struct walk *walk)
{
	struct buffer text = BUFFER_INIT(NOTE_VERIFIER_MAX);
	struct atom_error why = ATOM_ERROR_INIT;
	struct note_verifier found;
	bool has;
	atom_status status = read_file(walk, FOLDER_KEY, &text, &has);

	if (walk->request->key != NULL) {
		walk->key = *walk->request->key;
		walk->has_key = true;
	}
	if (status != ATOM_OK || !has)
		goto out;
	if (text.length < 2 || text.bytes[text.length - 1] != '\n' ||
	    memchr(text.bytes, '\0', text.length) != NULL) {
		status = verify_bad(walk, VERIFY_TAMPERED, 1,
				    "expected one line, a verifier key");
		goto out;
	}
	text.bytes[text.length - 1] = '\0';
	if (note_verifier_parse(text.bytes, &found, &why) != ATOM_OK)
		status =
			verify_bad(walk, VERIFY_TAMPERED, 1, "%s", why.message);
	else if (walk->has_key &&
		 (strcmp(found.name, walk->key.name) != 0 ||
		  memcmp(found.key, walk->key.key, sizeof(found.key)) != 0))
		status = verify_bad(walk, VERIFY_TAMPERED, 1,
				    "the key in the folder, of %s, is not the "
				    "one that was given, of %s",
				    found.name, walk->key.name);
	else
		walk->key = found;
	walk->has_key = walk->has_key || status == ATOM_OK;
out:
	if (status == ATOM_OK && walk->has_key)
		note_verifier_text(&walk->key, walk->key_text);
	buffer_fini(&text);
	return status;
}

/* Without a key, and needing one.  The first signed head of a log comes right
 * behind the key: where that was looked for before both, all is looked at
 * again. */
static atom_status no_key(struct walk *walk, uint64_t first_bad,
			  const char *needed_by)
{
	struct buffer text = BUFFER_INIT(NOTE_VERIFIER_MAX);
	struct atom_error why = ATOM_ERROR_INIT;
	atom_status status =
		folder_read(walk->request->path, FOLDER_KEY, &text, &why);

	buffer_fini(&text);
	if (status == ATOM_OK)
		return atom_fail(walk->err, ATOM_EBUSY,
				 "the log was signed for the first time while "
				 "it was read; try again");
	return verify_bad(walk, VERIFY_INCOMPLETE, first_bad,
			  "%s " FOLDER_KEY
			  " to verify it by; --public-key gives one",
			  needed_by);
}

atom_status verify_read_head(struct walk *walk)
{
	struct atom_error why = ATOM_ERROR_INIT;
	atom_status status =
		read_file(walk, FOLDER_HEAD, &walk->head, &walk->has_head);
	struct note_head head;

	if (status != ATOM_OK || !walk->has_head)
		return status;
	if (!walk->has_key)
		return no_key(walk, 1, "there is no");
	if (note_verify(walk->head.bytes, walk->head.length, &walk->key, &head,
			&why) != ATOM_OK)
		return verify_bad(walk, VERIFY_TAMPERED, 1, "%s", why.message);
	walk->head_size = head.size;
	return ATOM_OK;
}

/* --- signed heads in segments --------------------------------------------- */

atom_status verify_signed_head(struct walk *walk,
			       const struct segment_checkpoint *checkpoint,
			       uint64_t first_bad, struct note_head *head_r)
{
	struct atom_error why = ATOM_ERROR_INIT;
	struct tree_range range;
	uint8_t root[TREE_HASH];

	if (!walk->has_key)
		return no_key(walk, first_bad, "a signed head, and no");
	/* The head of a segment repeats the line before it. */
	if (walk->note_length == checkpoint->note_length &&
	    memcmp(walk->note, checkpoint->note, walk->note_length) == 0)
		*head_r = walk->note_head;
	else if (note_verify(checkpoint->note, checkpoint->note_length,
			     &walk->key, head_r, &why) != ATOM_OK)
		return verify_bad(walk, VERIFY_TAMPERED, first_bad, "%s",
				  why.message);
	walk->note_length = checkpoint->note_length;
	memcpy(walk->note, checkpoint->note, walk->note_length);
	walk->note_head = *head_r;
	if (head_r->size != checkpoint->sequence)
		return verify_bad(walk, VERIFY_TAMPERED, first_bad,
				  "a signed head of %" PRIu64
				  " records stands for %" PRIu64,
				  head_r->size, checkpoint->sequence);
	segment_checkpoint_range(checkpoint, &range);
	if (!tree_root(&range, root))
		return verify_no_memory(walk);
	if (memcmp(root, head_r->root, sizeof(root)) != 0)
		return verify_bad(walk, VERIFY_TAMPERED, first_bad,
				  "the range and the root of the signed head "
				  "of %" PRIu64 " records do not fit",
				  head_r->size);
	if (walk->has_head && walk->head_size == head_r->size &&
	    checkpoint->note_length == walk->head.length &&
	    memcmp(checkpoint->note, walk->head.bytes, walk->head.length) == 0)
		walk->head_found = true;
	return ATOM_OK;
}

atom_status verify_checkpoint(struct walk *walk,
			      const struct segment_checkpoint *checkpoint)
{
	uint64_t first_bad = verify_uncovered(walk);
	struct note_head head = { 0 };
	uint8_t root[TREE_HASH];
	atom_status status;

	if (checkpoint->sequence != walk->sequence)
		return verify_bad(walk, VERIFY_TAMPERED, walk->sequence + 1,
				  "a signed head of %" PRIu64
				  " records stands behind record %" PRIu64,
				  checkpoint->sequence, walk->sequence);
	status = verify_signed_head(walk, checkpoint, first_bad, &head);
	if (status != ATOM_OK)
		return status;
	if (walk->tree_known) {
		if (!tree_root(&walk->range, root))
			return verify_no_memory(walk);
		if (memcmp(root, head.root, sizeof(root)) != 0)
			return verify_bad(walk, VERIFY_TAMPERED, first_bad,
					  "the records up to %" PRIu64
					  " do not make the root that was "
					  "signed",
					  walk->sequence);
	}
	if (walk->chain_known && walk->sequence > 0 &&
	    memcmp(walk->chain, head.chain, CHAIN_HASH) != 0)
		return verify_bad(walk, VERIFY_TAMPERED, first_bad,
				  "the chain up to record %" PRIu64
				  " is not the one that was signed",
				  walk->sequence);
	/* Where records could not be read, signed heads are where chain and
	 * tree go on. */
	if (!walk->tree_known) {
		segment_checkpoint_range(checkpoint, &walk->range);
		walk->tree_known = true;
	}
	if (!walk->chain_known) {
		memcpy(walk->chain, head.chain, CHAIN_HASH);
		walk->chain_known = true;
	}
	walk->signed_sequence = walk->sequence;
	return verify_outside(walk);
}

/* --- tombstones ----------------------------------------------------------- */

static atom_status take_tombstone(struct walk *walk,
				  const struct segment_tombstone *next)
{
	struct segment_tombstone *grave = &walk->grave;
	uint64_t last = next->first + next->count - 1;
	struct note_head head;
	atom_status status;
	bool follows;

	if (walk->has_grave)
		follows = next->first_segment == grave->last_segment + 1 &&
			  next->first == grave->first + grave->count &&
			  memcmp(next->hash_before, grave->hash_after,
				 CHAIN_HASH) == 0;
	else
		follows = next->first_segment == 1 && next->first == 1;
	if (!follows)
		return verify_bad(walk, VERIFY_TAMPERED, next->first,
				  "a tombstone that does not go on where the "
				  "one before ends");
	status =
		verify_signed_head(walk, &next->checkpoint, next->first, &head);
	if (status != ATOM_OK)
		return status;
	if (memcmp(head.chain, next->hash_after, CHAIN_HASH) != 0)
		return verify_bad(walk, VERIFY_TAMPERED, next->first,
				  "the hash of record %" PRIu64
				  " is not the one that was signed",
				  last);
	*grave = *next;
	walk->has_grave = true;
	walk->result->pruned = last;
	walk->signed_sequence = last;
	return verify_outside_grave(walk);
}

atom_status verify_tombstones(struct walk *walk)
{
	struct buffer text = BUFFER_INIT(TOMBSTONES_MAX);
	struct segment_reader *reader = segment_reader_new();
	struct segment_tombstone next;
	atom_status status;
	bool has;

	if (reader == NULL)
		return verify_no_memory(walk);
	status = read_file(walk, FOLDER_TOMBSTONES, &text, &has);
	for (size_t at = 0; status == ATOM_OK && has && at < text.length;) {
		const char *begin = text.bytes + at;
		const char *end = memchr(begin, '\n', text.length - at);
		struct atom_span line = { begin,
					  end ? (size_t)(end - begin) : 0 };

		walk->offset = at;
		if (end == NULL ||
		    !segment_reader_tombstone(reader, &line, &next))
			status = verify_bad(walk, VERIFY_TAMPERED,
					    walk->result->pruned + 1,
					    "a line that is not what was "
					    "written");
		else
			status = take_tombstone(walk, &next);
		at += line.length + 1;
	}
	if (status == ATOM_OK && has && !walk->has_grave)
		status = verify_bad(walk, VERIFY_TAMPERED, 1,
				    "a file of tombstones without any");
	segment_reader_free(&reader);
	buffer_fini(&text);
	return status;
}

/* --- the reserve ---------------------------------------------------------- */

atom_status verify_reserve(struct walk *walk)
{
	struct buffer bytes = BUFFER_INIT(FOLDER_RESERVE_BYTES);
	bool has;
	atom_status status = read_file(walk, FOLDER_RESERVE, &bytes, &has);
	size_t zeros = bytes.length;

	if (zeros > 0 && (bytes.bytes[0] != '\0' ||
			  memcmp(bytes.bytes, bytes.bytes + 1, zeros - 1) != 0))
		for (zeros = 0; bytes.bytes[zeros] == '\0';)
			zeros++;
	walk->offset = zeros;
	if (status == ATOM_OK && has && zeros != FOLDER_RESERVE_BYTES)
		status = verify_bad(walk, VERIFY_TAMPERED, 0,
				    "expected %d zero bytes, found %zu",
				    FOLDER_RESERVE_BYTES, zeros);
	buffer_fini(&bytes);
	return status;
}

/* --- notes kept outside --------------------------------------------------- */

atom_status verify_outside_signatures(struct walk *walk)
{
	struct outside_notes *notes = walk->request->outside;

	at_file(walk, "");
	for (size_t i = 0; notes != NULL && i < notes->count; i++) {
		struct atom_error why = ATOM_ERROR_INIT;
		struct note_head head;

		notes->items[i].checked = false;
		if (!walk->has_key)
			return verify_bad(walk, VERIFY_INCOMPLETE, 1,
					  "signed heads kept outside, and no "
					  "key to verify them by");
		if (note_verify(notes->items[i].text, notes->items[i].length,
				&walk->key, &head, &why) != ATOM_OK)
			return verify_bad(walk, VERIFY_TAMPERED, 1,
					  "kept outside: %s", why.message);
	}
	return ATOM_OK;
}

/* They are few beside the records, and sorted: the next one is found by
 * halves. */
static size_t first_from(const struct outside_notes *notes, uint64_t size)
{
	size_t low = 0, high = notes->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (notes->items[middle].head.size < size)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static atom_status compare(struct walk *walk, uint64_t size,
			   const uint8_t root[TREE_HASH],
			   const uint8_t chain[CHAIN_HASH], uint64_t first_bad)
{
	struct outside_notes *notes = walk->request->outside;

	for (size_t i = first_from(notes, size);
	     i < notes->count && notes->items[i].head.size == size; i++) {
		struct outside_note *note = &notes->items[i];

		if (memcmp(note->head.root, root, TREE_HASH) != 0 ||
		    (size > 0 &&
		     memcmp(note->head.chain, chain, CHAIN_HASH) != 0))
			return verify_bad(walk, VERIFY_TAMPERED, first_bad,
					  "the first %" PRIu64
					  " records are not those of the "
					  "signed head kept outside: the log "
					  "was written anew",
					  size);
		if (!note->checked)
			walk->result->notes++;
		note->checked = true;
	}
	return ATOM_OK;
}

/* The first record behind the last note that agreed. */
static uint64_t behind_agreed(const struct walk *walk)
{
	const struct outside_notes *notes = walk->request->outside;
	size_t i = first_from(notes, walk->sequence);

	while (i > 0 && !notes->items[i - 1].checked)
		i--;
	return (i > 0 ? notes->items[i - 1].head.size : walk->result->pruned) +
	       1;
}

atom_status verify_outside(struct walk *walk)
{
	const struct outside_notes *notes = walk->request->outside;
	uint8_t root[TREE_HASH];
	size_t i;

	if (notes == NULL || !walk->tree_known)
		return ATOM_OK;
	i = first_from(notes, walk->sequence);
	if (i == notes->count || notes->items[i].head.size != walk->sequence)
		return ATOM_OK;
	if (!tree_root(&walk->range, root))
		return verify_no_memory(walk);
	/* Notes without a key were refused: with one the chain goes on where
	 * the tree does. */
	assert(walk->chain_known);
	return compare(walk, walk->sequence, root, walk->chain,
		       behind_agreed(walk));
}

atom_status verify_outside_grave(struct walk *walk)
{
	const struct segment_tombstone *grave = &walk->grave;
	struct tree_range range;
	uint8_t root[TREE_HASH];

	if (walk->request->outside == NULL)
		return ATOM_OK;
	segment_checkpoint_range(&grave->checkpoint, &range);
	if (!tree_root(&range, root))
		return verify_no_memory(walk);
	return compare(walk, grave->checkpoint.sequence, root,
		       grave->hash_after, 1);
}

/* --- the end of the log --------------------------------------------------- */

atom_status verify_end(struct walk *walk)
{
	struct outside_notes *notes = walk->request->outside;
	struct verify_result *result = walk->result;

	at_file(walk, FOLDER_HEAD);
	if (walk->has_head && walk->head_size > walk->sequence)
		return verify_bad(walk, VERIFY_INCOMPLETE, walk->sequence + 1,
				  "it covers %" PRIu64
				  " records, but the log ends with %" PRIu64,
				  walk->head_size, walk->sequence);
	if (walk->has_head && !walk->head_found)
		return verify_bad(walk, VERIFY_INCOMPLETE,
				  verify_uncovered(walk),
				  "no segment has this signed head of %" PRIu64
				  " records any more",
				  walk->head_size);
	/* It is written after the line in the segment: a kill between the two
	 * may have come before the first one. */
	if (!walk->has_head && (walk->checkpoints > 1 || walk->has_grave))
		return verify_bad(walk, VERIFY_INCOMPLETE, walk->sequence + 1,
				  "there is no signed head in the folder");
	at_file(walk, "");
	for (size_t i = 0; notes != NULL && i < notes->count; i++) {
		if (notes->items[i].head.size > walk->sequence)
			return verify_bad(
				walk, VERIFY_INCOMPLETE, walk->sequence + 1,
				"a signed head kept outside covers "
				"%" PRIu64 " records, but the log "
				"ends with %" PRIu64 ": it was cut",
				notes->items[i].head.size, walk->sequence);
		result->notes_unchecked += !notes->items[i].checked;
	}
	if (result->unread > 0)
		return verify_bad(walk, VERIFY_INCOMPLETE, 0,
				  "%" PRIu64 " records are sealed and were "
				  "not read: the keyring is needed; all else "
				  "fits",
				  result->unread);
	if (!walk->has_key && walk->sequence > 0)
		(void)snprintf(result->reason, sizeof(result->reason),
			       "nothing is signed yet: a log is, a second "
			       "after its first record");
	return ATOM_OK;
}
