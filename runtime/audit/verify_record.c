/* SPDX-License-Identifier: Apache-2.0 */

/* Records, sealed ones too, and what a crash leaves behind the last one. */

#include "audit/verify_priv.h"

#include <inttypes.h>
#include <string.h>

/* Zero bytes that no single flipped bit makes; what a disk writes at once. */
#define LOST_PAGE_MIN 16
#define SECTOR	      512

atom_status verify_record(struct walk *walk,
			  const struct segment_record *record)
{
	uint64_t expected = walk->sequence + 1;
	uint8_t hash[CHAIN_HASH], leaf[TREE_HASH];

	if (record->sequence != expected)
		return verify_bad(walk, VERIFY_TAMPERED, expected,
				  "expected record %" PRIu64 ", found %" PRIu64,
				  expected, record->sequence);
	memcpy(hash, walk->chain, sizeof(hash));
	if (!tree_leaf(record->json.bytes, record->json.length, leaf) ||
	    (walk->chain_known && !chain_step(hash, leaf)))
		return verify_no_memory(walk);
	if (walk->chain_known && memcmp(hash, record->hash, sizeof(hash)) != 0)
		return verify_bad(walk, VERIFY_TAMPERED, expected,
				  "record %" PRIu64
				  " and the hash that stands with it do not "
				  "fit",
				  expected);
	if (walk->tree_known && !tree_append(&walk->range, leaf))
		return verify_no_memory(walk);
	memcpy(walk->chain, record->hash, sizeof(walk->chain));
	walk->chain_known = true;
	walk->sequence = expected;
	walk->result->records++;
	return verify_outside(walk);
}

/* The R lines in walk->plain. */
static atom_status take_plain(struct walk *walk,
			      const struct segment_frame *frame)
{
	const char *at = walk->plain.bytes, *end = at + walk->plain.length;
	uint64_t last = frame->first + frame->count - 1;
	atom_status status = ATOM_OK;

	while (status == ATOM_OK && at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		struct atom_span line = { at, stop ? (size_t)(stop - at) : 0 };
		struct segment_record record;

		if (stop == NULL || !segment_record_parse(&line, &record) ||
		    record.sequence > last)
			return verify_bad(walk, VERIFY_TAMPERED,
					  walk->sequence + 1,
					  "a sealed line that holds something "
					  "else than the records it names");
		status = verify_record(walk, &record);
		at = stop + 1;
	}
	if (status == ATOM_OK && walk->sequence != last)
		return verify_bad(walk, VERIFY_TAMPERED, walk->sequence + 1,
				  "a sealed line with fewer records than it "
				  "names");
	return status;
}

static atom_status open_frame(struct walk *walk, uint64_t number,
			      const struct segment_frame *frame,
			      struct atom_error *err)
{
	const struct verify_unsealer *unsealer = walk->request->unsealer;
	char name[SEGMENT_IDENTITY_MAX];
	struct atom_span identity = { name, 0 }, sealed;
	size_t length;
	atom_status status;

	buffer_clear(&walk->sealed);
	buffer_clear(&walk->plain);
	if (buffer_reserve(&walk->sealed, frame->base64.length + 4) !=
		    ATOM_OK ||
	    buffer_reserve(&walk->plain, frame->base64.length + 4) != ATOM_OK)
		return ATOM_ENOMEM;
	if (!segment_frame_decode(frame, (uint8_t *)walk->sealed.bytes,
				  &length))
		return ATOM_EDATALOSS;
	if (unsealer == NULL)
		return ATOM_ENOTSUP;
	segment_frame_identity(frame, number, name);
	identity.length = strlen(name);
	sealed = (struct atom_span){ walk->sealed.bytes, length };
	status = unsealer->open(unsealer->argument, &identity, &sealed,
				walk->plain.bytes, &length, err);
	if (status == ATOM_OK)
		walk->plain.length = length;
	return status;
}

atom_status verify_frame(struct walk *walk, uint64_t number,
			 const struct segment_frame *frame)
{
	struct atom_error why = ATOM_ERROR_INIT;
	uint64_t expected = walk->sequence + 1;
	atom_status status;

	if (frame->first != expected)
		return verify_bad(walk, VERIFY_TAMPERED, expected,
				  "expected record %" PRIu64
				  ", found a sealed line from %" PRIu64,
				  expected, frame->first);
	status = open_frame(walk, number, frame, &why);
	switch (status) {
	case ATOM_OK:
		return take_plain(walk, frame);
	case ATOM_ENOTSUP:
		/* Where it ends is all that is known: the next signed head
		 * says how chain and tree go on. */
		walk->sequence += frame->count;
		walk->result->records += frame->count;
		walk->result->unread += frame->count;
		walk->chain_known = walk->tree_known = false;
		return verify_outside(walk);
	case ATOM_ENOMEM:
		return verify_no_memory(walk);
	default:
		return verify_bad(walk, VERIFY_TAMPERED, expected,
				  "a sealed line does not open%s%s",
				  why.message[0] ? ": " : "", why.message);
	}
}

/* --- tails ---------------------------------------------------------------- */

bool verify_line_is_whole(struct walk *walk, struct segment_reader *reader,
			  const struct atom_span *line)
{
	struct segment_record record;
	struct segment_frame frame;
	uint8_t hash[CHAIN_HASH], leaf[TREE_HASH];
	atom_status status;

	switch (segment_reader_feed(reader, line)) {
	case SEGMENT_MARK:
	case SEGMENT_CHECKPOINT:
		return true;
	case SEGMENT_RECORD:
		(void)segment_record_parse(line, &record);
		if (record.sequence != walk->sequence + 1 || !walk->chain_known)
			return false;
		/* What cannot be looked at is not taken for torn. */
		memcpy(hash, walk->chain, sizeof(hash));
		return !tree_leaf(record.json.bytes, record.json.length,
				  leaf) ||
		       !chain_step(hash, leaf) ||
		       memcmp(hash, record.hash, sizeof(hash)) == 0;
	case SEGMENT_SEALED:
		(void)segment_frame_parse(line, &frame);
		status = open_frame(walk, segment_reader_start(reader)->number,
				    &frame, NULL);
		return status == ATOM_OK || status == ATOM_ENOMEM;
	default:
		return false;
	}
}

static bool has_mark(const struct buffer *rest)
{
	const char *at = rest->bytes, *end = at + rest->length;
	const size_t digits = 2 * (size_t)CHAIN_HASH;

	while ((at = memmem(at, (size_t)(end - at), "\nS ", 3)) != NULL) {
		size_t i = 0;

		at += 3;
		while (i < digits && at + i < end &&
		       strchr("0123456789abcdef", at[i]) != NULL &&
		       at[i] != '\0')
			i++;
		if (i == digits && at + i < end && at[i] == '\n')
			return true;
	}
	return false;
}

static bool has_lost_page(const struct buffer *rest, uint64_t offset)
{
	for (size_t i = 0; i < rest->length; i++) {
		size_t begin = i;

		while (i < rest->length && rest->bytes[i] == '\0')
			i++;
		if (i - begin >= LOST_PAGE_MIN &&
		    (i == rest->length || (offset + i) % SECTOR == 0))
			return true;
	}
	return false;
}

bool verify_is_torn(const struct buffer *rest, uint64_t offset)
{
	return !has_mark(rest) &&
	       (has_lost_page(rest, offset) ||
		memchr(rest->bytes, '\n', rest->length) == NULL);
}
