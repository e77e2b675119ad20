/* SPDX-License-Identifier: Apache-2.0 */

/* One segment after the other. */

#include "audit/verify_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* What of the newest segment may be looked at to judge its tail. */
#define TAIL_MAX ((size_t)512 * 1024 * 1024)

/* Which bytes of the segment count; without `next` all, but for a torn tail. */
struct part {
	uint64_t number;
	const struct segment_start *next;
	bool was_wrong; /* its head, when the one before looked ahead */
};

static void at_file(struct walk *walk, uint64_t number)
{
	folder_segment_name(number, walk->file);
	walk->offset = 0;
}

/* --- heads ---------------------------------------------------------------- */

/* Feeds the lines of the head; EDATALOSS without a verdict: it is wrong. */
static atom_status read_start(struct walk *walk, struct folder_lines *lines,
			      struct segment_reader *reader)
{
	enum segment_item item = SEGMENT_START_PART;
	struct atom_span line;

	if (!segment_reader_reset(reader))
		return verify_no_memory(walk);
	while (item == SEGMENT_START_PART) {
		uint64_t offset = lines->offset;

		switch (folder_lines_next(lines, &line)) {
		case FOLDER_LINE:
			item = segment_reader_feed(reader, &line);
			break;
		case FOLDER_FAILED:
			return atom_fail(walk->err, ATOM_EIO,
					 "cannot read %s/%s: %s",
					 walk->request->path, walk->file,
					 strerror(errno));
		default:
			item = SEGMENT_WRONG;
		}
		if (item == SEGMENT_WRONG)
			walk->offset = offset;
	}
	return item == SEGMENT_START ? ATOM_OK : ATOM_EDATALOSS;
}

/* What a missing or unreadable file means. */
static atom_status not_opened(struct walk *walk, atom_status status)
{
	if (status == ATOM_ENOENT)
		return ATOM_EBUSY; /* it was listed: pruned meanwhile */
	if (status == ATOM_EDATALOSS)
		return verify_bad(walk, VERIFY_TAMPERED, walk->sequence + 1,
				  "%s is no regular file", walk->file);
	return status;
}

/* The head of the segment behind, to know where this one ends.  Whether it is
 * right is looked at when its turn comes. */
static atom_status peek(struct walk *walk, uint64_t number,
			struct segment_reader *reader, bool *right_r)
{
	char name[FOLDER_NAME_MAX];
	uint64_t offset = walk->offset;
	struct folder_lines lines;
	atom_status status;

	folder_segment_name(number, name);
	*right_r = false;
	status =
		folder_lines_open(&lines, walk->request->path, name, walk->err);
	if (status == ATOM_OK)
		status = read_start(walk, &lines, reader);
	else if (status == ATOM_ENOENT)
		status = ATOM_EBUSY;
	folder_lines_close(&lines);
	walk->offset = offset;
	*right_r = status == ATOM_OK;
	return status == ATOM_EDATALOSS ? ATOM_OK : status;
}

static atom_status missing(struct walk *walk, uint64_t number)
{
	at_file(walk, number);
	return verify_bad(walk, VERIFY_INCOMPLETE, walk->sequence + 1,
			  "%s is missing", walk->file);
}

/* --- where the walk begins ------------------------------------------------ */

static atom_status begin_at_first(struct walk *walk)
{
	walk->sequence = 0;
	walk->tree_known = tree_range_load(&walk->range, 0, NULL, 0);
	walk->chain_known = walk->has_key;
	if (walk->has_key &&
	    !chain_genesis(walk->key.name + NOTE_NAME_LENGTH - CHAIN_LOG_ID,
			   walk->chain))
		return verify_no_memory(walk);
	return ATOM_OK;
}

static atom_status begin_behind_grave(struct walk *walk,
				      const struct segment_start *start)
{
	const struct segment_tombstone *grave = &walk->grave;
	uint64_t buried = walk->has_grave ? grave->first + grave->count - 1 : 0;

	if (!walk->has_grave || grave->last_segment + 1 < start->number) {
		walk->sequence = buried;
		return missing(walk,
			       walk->has_grave ? grave->last_segment + 1 : 1);
	}
	walk->sequence = start->before;
	if (grave->last_segment + 1 == start->number &&
	    (buried != start->before ||
	     memcmp(grave->hash_after, start->hash, CHAIN_HASH) != 0 ||
	     grave->checkpoint.sequence != start->checkpoint.sequence ||
	     strcmp(grave->checkpoint.note, start->checkpoint.note) != 0))
		return verify_bad(walk, VERIFY_TAMPERED, start->before + 1,
				  "the head does not go on where the last "
				  "tombstone ends");
	memcpy(walk->chain, start->hash, sizeof(walk->chain));
	walk->chain_known = true;
	/* A removal that was cut short may have left one that was begun after
	 * a failure: the next signed head is where the tree goes on. */
	walk->tree_known = start->checkpoint.note_length > 0 &&
			   start->checkpoint.sequence == start->before;
	if (walk->tree_known)
		segment_checkpoint_range(&start->checkpoint, &walk->range);
	return ATOM_OK;
}

static atom_status check_start(struct walk *walk, bool first,
			       const struct segment_start *start,
			       uint64_t number)
{
	atom_status status = ATOM_OK;
	struct note_head head;

	if (start->number != number)
		return verify_bad(walk, VERIFY_TAMPERED, walk->sequence + 1,
				  "it says that it is segment %" PRIu64,
				  start->number);
	if (first)
		status = number == 1 ? begin_at_first(walk)
				     : begin_behind_grave(walk, start);
	if (status != ATOM_OK)
		return status;
	if (start->before != walk->sequence ||
	    (start->has_hash && walk->chain_known &&
	     memcmp(start->hash, walk->chain, CHAIN_HASH) != 0))
		return verify_bad(walk, VERIFY_TAMPERED, walk->sequence + 1,
				  "it does not go on behind record %" PRIu64,
				  walk->sequence);
	if (walk->key_text[0] && start->verifier[0] &&
	    strcmp(walk->key_text, start->verifier) != 0)
		return verify_bad(walk, VERIFY_TAMPERED, walk->sequence + 1,
				  "its key is not the one of the log");
	if (start->checkpoint.note_length == 0)
		return ATOM_OK;
	if (start->checkpoint.sequence == walk->sequence)
		return verify_checkpoint(walk, &start->checkpoint);
	return verify_signed_head(walk, &start->checkpoint, walk->sequence + 1,
				  &head);
}

/* --- lines ---------------------------------------------------------------- */

static atom_status wrong_line(struct walk *walk, const struct atom_span *line)
{
	bool signs = line->length > 0 &&
		     (line->bytes[0] == 'C' || line->bytes[0] == 'S');

	return verify_bad(walk, VERIFY_TAMPERED,
			  signs ? verify_uncovered(walk) : walk->sequence + 1,
			  "a line behind record %" PRIu64
			  " that is not what was written",
			  walk->sequence);
}

static atom_status take_line(struct walk *walk, struct segment_reader *reader,
			     const struct atom_span *line, bool *wrong_r)
{
	struct segment_record record;
	struct segment_frame frame;

	*wrong_r = false;
	switch (segment_reader_feed(reader, line)) {
	case SEGMENT_RECORD:
		(void)segment_record_parse(line, &record);
		return verify_record(walk, &record);
	case SEGMENT_SEALED:
		(void)segment_frame_parse(line, &frame);
		return verify_frame(walk, segment_reader_start(reader)->number,
				    &frame);
	case SEGMENT_MARK:
		return ATOM_OK;
	case SEGMENT_CHECKPOINT:
		walk->checkpoints++;
		return verify_checkpoint(walk,
					 segment_reader_checkpoint(reader));
	default:
		*wrong_r = true;
		return ATOM_OK;
	}
}

/* --- the end of a segment ------------------------------------------------- */

/* From that byte on, and by a look of its own: gone, it was pruned. */
static atom_status read_rest(struct walk *walk, struct folder_lines *lines,
			     uint64_t from, struct buffer *out)
{
	atom_status status = folder_lines_rest(
		lines, walk->request->path, walk->file, from, out, walk->err);

	return status == ATOM_ENOENT ? ATOM_EBUSY : status;
}

/* One that has a successor. */
static atom_status end_part(struct walk *walk, struct folder_lines *lines,
			    struct segment_reader *reader,
			    const struct part *part)
{
	const struct segment_start *next = part->next;
	bool failed = strncmp(next->reason, "failed", 6) == 0;
	struct buffer rest = BUFFER_INIT(TAIL_MAX);
	uint8_t digest[CHAIN_HASH];
	atom_status status = ATOM_OK;

	walk->offset = lines->offset;
	if (lines->offset != next->previous_length)
		return verify_bad(walk, VERIFY_INCOMPLETE, walk->sequence + 1,
				  "it ends at byte %" PRIu64
				  ", but the next segment says that it has "
				  "%" PRIu64,
				  lines->offset, next->previous_length);
	if (!segment_reader_digest(reader, digest))
		return verify_no_memory(walk);
	if (memcmp(digest, next->previous_digest, sizeof(digest)) != 0)
		return verify_bad(walk, VERIFY_TAMPERED, verify_uncovered(walk),
				  "the digest that the next segment has of "
				  "it does not fit");
	status = read_rest(walk, lines, next->previous_length, &rest);
	if (status == ATOM_OK && rest.length > 0 && !failed)
		status = verify_bad(walk, VERIFY_TAMPERED, walk->sequence + 1,
				    "%zu bytes behind its end", rest.length);
	else if (status == ATOM_OK)
		walk->result->remains_bytes += rest.length;
	buffer_fini(&rest);
	return status;
}

/* The newest one: `offset` is behind the last whole line. */
static atom_status end_tail(struct walk *walk, struct folder_lines *lines,
			    struct segment_reader *reader, uint64_t offset,
			    bool partial)
{
	struct buffer rest = BUFFER_INIT(TAIL_MAX);
	atom_status status = ATOM_OK;
	struct atom_span line;
	bool torn;

	/* A daemon that writes on has more there by now: a line without an end
	 * is judged by the bytes that were seen. */
	if (!partial)
		status = read_rest(walk, lines, offset, &rest);
	else if (buffer_append(&rest, lines->window.bytes + lines->given,
			       lines->window.length - lines->given) != ATOM_OK)
		status = verify_no_memory(walk);
	line = (struct atom_span){ rest.bytes, rest.length };
	if (status != ATOM_OK || rest.length == 0)
		goto out;
	torn = verify_is_torn(&rest, offset);
	if (torn && partial && memchr(rest.bytes, '\0', rest.length) == NULL) {
		line.length--;
		torn = !verify_line_is_whole(walk, reader, &line);
	}
	walk->offset = offset;
	if (torn)
		walk->result->torn_bytes = rest.length;
	else
		status = wrong_line(walk, &line);
out:
	buffer_fini(&rest);
	return status;
}

static atom_status walk_lines(struct walk *walk, struct folder_lines *lines,
			      struct segment_reader *reader,
			      const struct part *part)
{
	uint64_t end = part->next ? part->next->previous_length : UINT64_MAX;
	atom_status status = ATOM_OK;

	while (status == ATOM_OK && lines->offset < end) {
		enum folder_line result;
		struct atom_span line;
		bool wrong;

		walk->offset = lines->offset;
		result = folder_lines_next(lines, &line);
		if (result == FOLDER_FAILED)
			return atom_fail(walk->err, ATOM_EIO,
					 "cannot read %s/%s: %s",
					 walk->request->path, walk->file,
					 strerror(errno));
		if (result == FOLDER_END)
			break;
		if (result == FOLDER_PARTIAL)
			return part->next ? end_part(walk, lines, reader, part)
					  : end_tail(walk, lines, reader,
						     walk->offset, true);
		status = take_line(walk, reader, &line, &wrong);
		if (!wrong)
			continue;
		/* The bad line's own bytes are looked at again: `line` goes. */
		return part->next ? wrong_line(walk, &line)
				  : end_tail(walk, lines, reader, walk->offset,
					     false);
	}
	if (status == ATOM_OK && part->next)
		status = end_part(walk, lines, reader, part);
	return status;
}

static atom_status walk_segment(struct walk *walk, bool first,
				struct segment_reader *reader,
				const struct part *part)
{
	struct folder_lines lines;
	atom_status status;

	at_file(walk, part->number);
	status = folder_lines_open(&lines, walk->request->path, walk->file,
				   walk->err);
	if (status != ATOM_OK) {
		status = not_opened(walk, status);
		goto out;
	}
	status = read_start(walk, &lines, reader);
	if (status == ATOM_EDATALOSS)
		status = verify_bad(walk, VERIFY_TAMPERED, walk->sequence + 1,
				    "its head is not what was written");
	/* By a shortage, for it is right: and so the one before was taken for
	 * the newest, whose end nobody vouches for. */
	if (status == ATOM_OK && part->was_wrong)
		status = verify_no_memory(walk);
	if (status == ATOM_OK)
		status = check_start(walk, first, segment_reader_start(reader),
				     part->number);
	if (status == ATOM_OK)
		status = walk_lines(walk, &lines, reader, part);
out:
	folder_lines_close(&lines);
	return status;
}

atom_status verify_segments(struct walk *walk, const struct folder *folder)
{
	struct segment_reader *reader = segment_reader_new();
	struct segment_reader *ahead = segment_reader_new();
	bool was_wrong = false;
	atom_status status = ATOM_OK;

	if (reader == NULL || ahead == NULL) {
		status = verify_no_memory(walk);
		goto out;
	}
	if (folder->segment_count == 0) {
		walk->sequence = walk->result->pruned;
		status = missing(walk, walk->has_grave
					       ? walk->grave.last_segment + 1
					       : 1);
	}
	for (size_t i = 0; status == ATOM_OK && i < folder->segment_count;
	     i++) {
		struct part part = { folder->segments[i], NULL, was_wrong };
		bool last = i + 1 == folder->segment_count;
		bool right = false;

		if (i > 0 && part.number != folder->segments[i - 1] + 1) {
			status = missing(walk, folder->segments[i - 1] + 1);
			break;
		}
		if (!last && folder->segments[i + 1] == part.number + 1) {
			status = peek(walk, part.number + 1, ahead, &right);
			was_wrong = !right;
		}
		if (right)
			part.next = segment_reader_start(ahead);
		if (status == ATOM_OK)
			status = walk_segment(walk, i == 0, reader, &part);
	}
out:
	segment_reader_free(&reader);
	segment_reader_free(&ahead);
	return status;
}
