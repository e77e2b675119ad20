/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/prove.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "audit/folder.h"
#include "audit/segment_read.h"
#include "core/memory.h"

struct proving {
	const char *path;
	uint64_t sequence;
	const struct verify_unsealer *unsealer;
	struct record_proof *proof;
	struct atom_error *err;

	struct tree_source source; /* from a signed head before the record */
	uint8_t (*leaves)[TREE_HASH];
	uint64_t room;
	bool has_record, done;
	struct buffer sealed, plain;
};

static atom_status no_memory(struct proving *p)
{
	return atom_fail(p->err, ATOM_ENOMEM, "no memory for the proof");
}

static atom_status not_as_written(struct proving *p, uint64_t number)
{
	char name[FOLDER_NAME_MAX];

	folder_segment_name(number, name);
	return atom_fail(p->err, ATOM_EDATALOSS,
			 "%s/%s is not what was written; atomctl audit verify "
			 "says more",
			 p->path, name);
}

/* --- records -------------------------------------------------------------- */

static atom_status take_record(struct proving *p, uint64_t number,
			       const struct segment_record *record)
{
	uint64_t have = p->source.before.size + p->source.leaf_count;

	if (record->sequence != have + 1)
		return not_as_written(p, number);
	if (p->source.leaf_count == p->room) {
		uint64_t room = p->room ? 2 * p->room : 1024;
		uint8_t(*leaves)[TREE_HASH] =
			mem_realloc(p->leaves, room * TREE_HASH);

		if (leaves == NULL)
			return no_memory(p);
		p->leaves = leaves;
		p->room = room;
	}
	p->source.leaves = (const uint8_t(*)[TREE_HASH])p->leaves;
	if (!tree_leaf(record->json.bytes, record->json.length,
		       p->leaves[p->source.leaf_count]))
		return no_memory(p);
	if (record->sequence == p->sequence) {
		memcpy(p->proof->leaf, p->leaves[p->source.leaf_count],
		       TREE_HASH);
		if (buffer_append(&p->proof->record, record->json.bytes,
				  record->json.length) != ATOM_OK)
			return no_memory(p);
		p->has_record = true;
	}
	p->source.leaf_count++;
	return ATOM_OK;
}

static atom_status take_plain(struct proving *p, uint64_t number)
{
	const char *at = p->plain.bytes, *end = at + p->plain.length;
	atom_status status = ATOM_OK;

	while (status == ATOM_OK && at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		struct atom_span line = { at, stop ? (size_t)(stop - at) : 0 };
		struct segment_record record;

		if (stop == NULL || !segment_record_parse(&line, &record))
			return not_as_written(p, number);
		status = take_record(p, number, &record);
		at = stop + 1;
	}
	return status;
}

static atom_status take_frame(struct proving *p, uint64_t number,
			      const struct segment_frame *frame)
{
	const struct verify_unsealer *unsealer = p->unsealer;
	char name[SEGMENT_IDENTITY_MAX];
	struct atom_span identity = { name, 0 }, sealed;
	size_t room = frame->base64.length + 4, length;
	atom_status status;

	if (unsealer == NULL)
		return atom_fail(p->err, ATOM_ENOTSUP,
				 "record %" PRIu64 " stands in a sealed "
				 "segment: the keyring is needed",
				 p->sequence);
	buffer_clear(&p->sealed);
	buffer_clear(&p->plain);
	if (buffer_reserve(&p->sealed, room) != ATOM_OK ||
	    buffer_reserve(&p->plain, room) != ATOM_OK)
		return no_memory(p);
	if (!segment_frame_decode(frame, (uint8_t *)p->sealed.bytes, &length))
		return not_as_written(p, number);
	segment_frame_identity(frame, number, name);
	identity.length = strlen(name);
	sealed = (struct atom_span){ p->sealed.bytes, length };
	status = unsealer->open(unsealer->argument, &identity, &sealed,
				p->plain.bytes, &length, p->err);
	if (status != ATOM_OK)
		return status;
	p->plain.length = length;
	return take_plain(p, number);
}

static void take_checkpoint(struct proving *p,
			    const struct segment_checkpoint *checkpoint)
{
	if (checkpoint->sequence < p->sequence)
		return;
	memcpy(p->proof->note, checkpoint->note, checkpoint->note_length + 1);
	p->proof->note_length = checkpoint->note_length;
	p->done = true;
}

/* --- segments ------------------------------------------------------------- */

/* Opens a segment and feeds its head. */
static atom_status open_segment(struct proving *p, uint64_t number,
				struct segment_reader *reader,
				struct folder_lines *lines)
{
	enum segment_item item = SEGMENT_START_PART;
	char name[FOLDER_NAME_MAX];
	struct atom_span line;
	atom_status status;

	folder_segment_name(number, name);
	status = folder_lines_open(lines, p->path, name, p->err);
	if (status != ATOM_OK)
		return status;
	if (!segment_reader_reset(reader))
		return no_memory(p);
	while (item == SEGMENT_START_PART)
		item = folder_lines_next(lines, &line) == FOLDER_LINE
			       ? segment_reader_feed(reader, &line)
			       : SEGMENT_WRONG;
	return item == SEGMENT_START ? ATOM_OK : not_as_written(p, number);
}

static atom_status take_lines(struct proving *p, uint64_t number,
			      struct segment_reader *reader,
			      struct folder_lines *lines, uint64_t end)
{
	atom_status status = ATOM_OK;
	struct atom_span line;

	while (status == ATOM_OK && !p->done && lines->offset < end &&
	       folder_lines_next(lines, &line) == FOLDER_LINE) {
		struct segment_record record;
		struct segment_frame frame;

		switch (segment_reader_feed(reader, &line)) {
		case SEGMENT_RECORD:
			(void)segment_record_parse(&line, &record);
			status = take_record(p, number, &record);
			break;
		case SEGMENT_SEALED:
			(void)segment_frame_parse(&line, &frame);
			status = take_frame(p, number, &frame);
			break;
		case SEGMENT_CHECKPOINT:
			take_checkpoint(p, segment_reader_checkpoint(reader));
			break;
		case SEGMENT_MARK:
			break;
		default:
			status = not_as_written(p, number);
		}
	}
	return status;
}

/* Where a tree can be begun that has the record before it: the last segment
 * that begins right behind a signed head, or is the first of all. */
static atom_status find_start(struct proving *p, const struct folder *folder,
			      struct segment_reader *reader, size_t *index_r)
{
	for (size_t i = folder->segment_count; i-- > 0;) {
		const struct segment_start *start =
			segment_reader_start(reader);
		const struct segment_checkpoint *checkpoint =
			&start->checkpoint;
		struct folder_lines lines;
		atom_status status;

		status = open_segment(p, folder->segments[i], reader, &lines);
		folder_lines_close(&lines);
		if (status != ATOM_OK)
			return status;
		if (start->before >= p->sequence)
			continue;
		*index_r = i;
		if (start->before == 0 && start->number == 1)
			return ATOM_OK;
		if (checkpoint->note_length > 0 &&
		    checkpoint->sequence == start->before &&
		    tree_range_load(&p->source.before, start->before,
				    checkpoint->range[0],
				    checkpoint->range_count))
			return ATOM_OK;
	}
	return atom_fail(p->err, ATOM_ENOENT,
			 "record %" PRIu64 " is no longer in %s: it was pruned",
			 p->sequence, p->path);
}

static atom_status walk(struct proving *p, const struct folder *folder,
			struct segment_reader *reader)
{
	struct segment_reader *ahead = segment_reader_new();
	struct folder_lines lines;
	size_t i = 0;
	atom_status status =
		ahead ? find_start(p, folder, reader, &i) : no_memory(p);

	for (; status == ATOM_OK && !p->done && i < folder->segment_count;
	     i++) {
		uint64_t end = UINT64_MAX;

		if (i + 1 < folder->segment_count) {
			status = open_segment(p, folder->segments[i + 1], ahead,
					      &lines);
			folder_lines_close(&lines);
			end = segment_reader_start(ahead)->previous_length;
		}
		if (status != ATOM_OK)
			break;
		status = open_segment(p, folder->segments[i], reader, &lines);
		if (status == ATOM_OK)
			status = take_lines(p, folder->segments[i], reader,
					    &lines, end);
		folder_lines_close(&lines);
	}
	segment_reader_free(&ahead);
	if (status != ATOM_OK || (p->done && p->has_record))
		return status;
	if (p->has_record)
		return atom_fail(p->err, ATOM_ENOENT,
				 "no signed head covers record %" PRIu64
				 " yet: one is made after each second that "
				 "has records, and at stop",
				 p->sequence);
	return atom_fail(p->err, ATOM_ENOENT,
			 "%s has no record %" PRIu64
			 ": the last one is %" PRIu64,
			 p->path, p->sequence,
			 p->source.before.size + p->source.leaf_count);
}

static atom_status read_key(struct proving *p)
{
	struct buffer text = BUFFER_INIT(NOTE_VERIFIER_MAX);
	atom_status status = folder_read(p->path, FOLDER_KEY, &text, p->err);

	if (status == ATOM_OK)
		status = note_verifier_parse(text.bytes ? text.bytes : "",
					     &p->proof->key, p->err);
	buffer_fini(&text);
	return status;
}

static atom_status make_path(struct proving *p)
{
	struct note_head head;
	atom_status status = note_parse(p->proof->note, p->proof->note_length,
					&head, p->err);

	if (status == ATOM_OK)
		status = tree_prove_inclusion(&p->source, p->sequence - 1,
					      head.size, &p->proof->path,
					      p->err);
	if (status == ATOM_OK)
		status = prove_check(p->proof, &p->proof->key, &head, p->err);
	return status;
}

atom_status prove_record(const char *path, uint64_t sequence,
			 const struct verify_unsealer *unsealer,
			 struct record_proof *proof_r, struct atom_error *err)
{
	struct proving p = { .path = path,
			     .sequence = sequence,
			     .unsealer = unsealer,
			     .proof = proof_r,
			     .err = err };
	struct segment_reader *reader = segment_reader_new();
	struct folder folder = { 0 };
	atom_status status;

	memset(proof_r, 0, sizeof(*proof_r));
	proof_r->sequence = sequence;
	buffer_init(&proof_r->record, SEGMENT_LINE_MAX);
	buffer_init(&p.sealed, 2 * SEGMENT_LINE_MAX);
	buffer_init(&p.plain, 2 * SEGMENT_LINE_MAX);
	status = reader ? folder_list(&folder, path, err) : no_memory(&p);
	if (status == ATOM_OK && folder.segment_count == 0)
		status = atom_fail(err, ATOM_ENOENT, "%s holds no audit log",
				   path);
	if (status == ATOM_OK)
		status = read_key(&p);
	if (status == ATOM_OK)
		status = walk(&p, &folder, reader);
	if (status == ATOM_OK)
		status = make_path(&p);
	if (status != ATOM_OK)
		record_proof_fini(proof_r);
	segment_reader_free(&reader);
	folder_fini(&folder);
	buffer_fini(&p.sealed);
	buffer_fini(&p.plain);
	mem_free(p.leaves);
	return status;
}

atom_status prove_check(const struct record_proof *proof,
			const struct note_verifier *key,
			struct note_head *head_r, struct atom_error *err)
{
	atom_status status =
		note_verify(proof->note, proof->note_length, key, head_r, err);
	uint8_t leaf[TREE_HASH];

	if (status == ATOM_EINVAL)
		return atom_fail(err, ATOM_EDATALOSS,
				 "the note of the proof is no signed head");
	if (status != ATOM_OK)
		return status;
	if (proof->sequence == 0 || proof->sequence > head_r->size)
		return atom_fail(err, ATOM_EDATALOSS,
				 "the signed head covers %" PRIu64
				 " records, not number %" PRIu64,
				 head_r->size, proof->sequence);
	if (!tree_leaf(proof->record.bytes, proof->record.length, leaf))
		return atom_fail(err, ATOM_ENOMEM, "no memory to hash with");
	if (memcmp(leaf, proof->leaf, sizeof(leaf)) != 0)
		return atom_fail(err, ATOM_EDATALOSS,
				 "the record is not the one of the leaf hash");
	if (!tree_verify_inclusion(proof->sequence - 1, head_r->size, leaf,
				   head_r->root, &proof->path))
		return atom_fail(err, ATOM_EDATALOSS,
				 "the path does not lead from record %" PRIu64
				 " to the root that was signed",
				 proof->sequence);
	return ATOM_OK;
}

void record_proof_fini(struct record_proof *proof)
{
	buffer_fini(&proof->record);
}
