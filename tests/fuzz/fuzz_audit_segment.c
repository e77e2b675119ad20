/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a segment of the audit log, as its tombstones, and as a file of
 * signed heads that were kept elsewhere.  What a reader takes is what it would
 * write: each line that it calls a record is put together again from its parts
 * and compared.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/digest.h"
#include "audit/outside.h"
#include "audit/segment_read.h"
#include "core/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static bool next_line(const char **at, const char *end, struct atom_span *line)
{
	const char *stop =
		*at < end ? memchr(*at, '\n', (size_t)(end - *at)) : NULL;

	if (stop == NULL)
		return false;
	line->bytes = *at;
	line->length = (size_t)(stop - *at);
	*at = stop + 1;
	return true;
}

static void check_record(const struct atom_span *line)
{
	struct segment_record record;
	char hash[2 * CHAIN_HASH + 1], head[128];
	int length;

	if (!segment_record_parse(line, &record))
		abort();
	text_to_hex(record.hash, CHAIN_HASH, hash);
	length = snprintf(head, sizeof(head), "R %" PRIu64 " %s ",
			  record.sequence, hash);
	if ((size_t)length + record.json.length != line->length ||
	    memcmp(head, line->bytes, (size_t)length) != 0 ||
	    record.json.bytes + record.json.length !=
		    line->bytes + line->length)
		abort();
}

static void check_frame(const struct atom_span *line)
{
	struct segment_frame frame;
	char name[SEGMENT_IDENTITY_MAX];
	uint8_t *out;
	size_t length;

	if (!segment_frame_parse(line, &frame))
		abort();
	segment_frame_identity(&frame, 1, name);
	out = malloc(frame.base64.length);
	if (out != NULL && segment_frame_decode(&frame, out, &length) &&
	    (length > frame.base64.length || length == 0))
		abort();
	free(out);
}

static void read_segment(const char *at, const char *end)
{
	struct segment_reader *reader = segment_reader_new();
	enum segment_item item = SEGMENT_START_PART;
	const struct segment_checkpoint *checkpoint;
	struct atom_span line;

	if (reader == NULL)
		abort();
	while (item != SEGMENT_WRONG && next_line(&at, end, &line)) {
		item = segment_reader_feed(reader, &line);
		checkpoint = segment_reader_checkpoint(reader);
		if (item == SEGMENT_RECORD)
			check_record(&line);
		if (item == SEGMENT_SEALED)
			check_frame(&line);
		if (item == SEGMENT_CHECKPOINT &&
		    (checkpoint->note_length == 0 ||
		     strlen(checkpoint->note) != checkpoint->note_length ||
		     checkpoint->range_count !=
			     tree_range_count(checkpoint->sequence)))
			abort();
		if (item == SEGMENT_START &&
		    segment_reader_start(reader)->number == 0)
			abort();
	}
	segment_reader_free(&reader);
}

/* The digests at the ends of lines stop most inputs: what is behind them is
 * reached by making them right first. */
static char *with_digests(const char *at, const char *end, size_t *length_r)
{
	char *out = malloc(2 * (size_t)(end - at) + 128), *to = out;
	/* What digests cover: of records what stands before them. */
	char *seen = malloc(2 * (size_t)(end - at) + 128), *seen_to = seen;
	struct atom_span line;

	if (out == NULL || seen == NULL)
		abort();
	while (next_line(&at, end, &line)) {
		struct segment_record record;
		char hash[2 * CHAIN_HASH + 1];
		uint8_t digest[CHAIN_HASH];
		const size_t tail = sizeof(hash) - 1;

		memcpy(to, line.bytes, line.length);
		memcpy(seen_to, line.bytes, line.length);
		if (line.length > tail && strchr("eSCT", line.bytes[0]) &&
		    line.bytes[line.length - tail - 1] == ' ') {
			if (!digest_of(seen,
				       (size_t)(seen_to - seen) + line.length -
					       tail,
				       "", 0, digest))
				abort();
			text_to_hex(digest, sizeof(digest), hash);
			memcpy(to + line.length - tail, hash, tail);
			memcpy(seen_to + line.length - tail, hash, tail);
		}
		if (segment_record_parse(&line, &record) &&
		    record.sequence > 1) {
			seen_to += line.length - record.json.length;
		} else {
			seen_to += line.length;
			*seen_to++ = '\n';
		}
		to += line.length;
		*to++ = '\n';
	}
	free(seen);
	*length_r = (size_t)(to - out);
	return out;
}

static void read_tombstones(const char *at, const char *end)
{
	struct segment_reader *reader = segment_reader_new();
	struct segment_tombstone tombstone;
	struct atom_span line;

	if (reader == NULL)
		abort();
	while (next_line(&at, end, &line) &&
	       segment_reader_tombstone(reader, &line, &tombstone))
		if (tombstone.count == 0 ||
		    tombstone.first_segment > tombstone.last_segment)
			abort();
	segment_reader_free(&reader);
}

static void read_outside(const char *text, size_t length)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct outside_notes notes = { 0 };

	if (outside_add_text(&notes, "fuzz", text, length, &err) == ATOM_OK) {
		if (notes.count == 0)
			abort();
		for (size_t i = 1; i < notes.count; i++)
			if (notes.items[i].head.size <
			    notes.items[i - 1].head.size)
				abort();
	} else if (notes.count != 0 || err.message[0] == '\0') {
		abort();
	}
	outside_fini(&notes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const char *text = (const char *)bytes;
	size_t length;
	char *right;

	read_segment(text, text + size);
	read_outside(text, size);
	right = with_digests(text, text + size, &length);
	read_segment(right, right + length);
	read_tombstones(right, right + length);
	free(right);
	return 0;
}
