/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/segment_read.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "core/memory.h"
#include "core/text.h"

#define DIGEST_DIGITS (2 * (size_t)CHAIN_HASH)

struct segment_reader {
	EVP_MD_CTX *running;
	EVP_MD_CTX *now;
	unsigned int lines; /* of the head so far */
	bool whole;	    /* the head is */
	bool wrong;
	struct segment_start start;
	struct segment_checkpoint checkpoint;
};

/* --- life, digest --------------------------------------------------------- */

struct segment_reader *segment_reader_new(void)
{
	struct segment_reader *reader = mem_zalloc(sizeof(*reader));

	if (reader == NULL)
		return NULL;
	reader->running = EVP_MD_CTX_new();
	reader->now = EVP_MD_CTX_new();
	if (!segment_reader_reset(reader))
		segment_reader_free(&reader);
	return reader;
}

void segment_reader_free(struct segment_reader **reader)
{
	if (*reader == NULL)
		return;
	EVP_MD_CTX_free((*reader)->running);
	EVP_MD_CTX_free((*reader)->now);
	mem_free(*reader);
	*reader = NULL;
}

bool segment_reader_reset(struct segment_reader *reader)
{
	reader->lines = 0;
	reader->whole = reader->wrong = false;
	memset(&reader->start, 0, sizeof(reader->start));
	reader->checkpoint.note_length = 0;
	return reader->running != NULL && reader->now != NULL &&
	       EVP_DigestInit_ex(reader->running, EVP_sha256(), NULL) == 1;
}

const struct segment_start *segment_reader_start(
	const struct segment_reader *reader)
{
	return &reader->start;
}

const struct segment_checkpoint *segment_reader_checkpoint(
	const struct segment_reader *reader)
{
	return &reader->checkpoint;
}

bool segment_reader_digest(const struct segment_reader *reader,
			   uint8_t digest_r[CHAIN_HASH])
{
	return EVP_MD_CTX_copy_ex(reader->now, reader->running) == 1 &&
	       EVP_DigestFinal_ex(reader->now, digest_r, NULL) == 1;
}

static bool add(struct segment_reader *reader, const void *bytes, size_t length)
{
	return EVP_DigestUpdate(reader->running, bytes, length) == 1;
}

static bool add_line(struct segment_reader *reader,
		     const struct atom_span *line)
{
	return add(reader, line->bytes, line->length) && add(reader, "\n", 1);
}

/* --- words of a line ------------------------------------------------------ */

/* Up to the next space, which is taken as well; false when there is none. */
static bool next_word(struct atom_span *rest, struct atom_span *word_r)
{
	const char *space =
		rest->length ? memchr(rest->bytes, ' ', rest->length) : NULL;

	if (space == NULL)
		return false;
	word_r->bytes = rest->bytes;
	word_r->length = (size_t)(space - rest->bytes);
	rest->length -= word_r->length + 1;
	rest->bytes = space + 1;
	return true;
}

static bool equals(const struct atom_span *span, const char *text)
{
	return strlen(text) == span->length &&
	       memcmp(span->bytes, text, span->length) == 0;
}

static bool starts(struct atom_span *rest, const char *with)
{
	size_t length = strlen(with);

	if (rest->length < length || memcmp(rest->bytes, with, length) != 0)
		return false;
	rest->bytes += length;
	rest->length -= length;
	return true;
}

static bool number_of(const struct atom_span *span, uint64_t *number_r)
{
	char text[24], again[24];
	int64_t number;

	if (span->length == 0 || span->length >= 20)
		return false;
	memcpy(text, span->bytes, span->length);
	text[span->length] = '\0';
	if (!text_to_int(text, &number) || number < 0)
		return false;
	(void)snprintf(again, sizeof(again), "%" PRId64, number);
	*number_r = (uint64_t)number;
	/* Of bytes, not of text: a NUL behind the digits is none of it. */
	return equals(span, again);
}

static bool hex_of(const struct atom_span *span, uint8_t *bytes_r,
		   size_t length)
{
	static const char digits[] = "0123456789abcdef";

	if (span->length != 2 * length)
		return false;
	for (size_t i = 0; i < span->length; i++) {
		const char *digit =
			span->bytes[i] ? strchr(digits, span->bytes[i]) : NULL;

		if (digit == NULL)
			return false;
		if (i % 2 == 0)
			bytes_r[i / 2] = 0;
		bytes_r[i / 2] = (uint8_t)(bytes_r[i / 2] << 4 |
					   (uint8_t)(digit - digits));
	}
	return true;
}

static bool time_of(const struct atom_span *span, int64_t *time_ms_r)
{
	char text[TEXT_TIME_MAX], again[TEXT_TIME_MAX];

	if (span->length >= sizeof(text))
		return false;
	memcpy(text, span->bytes, span->length);
	text[span->length] = '\0';
	if (!text_to_time(text, time_ms_r))
		return false;
	text_of_time(*time_ms_r, again);
	return strcmp(text, again) == 0;
}

/* "\n" and "\\" are line ends and backslashes; `out` gets a NUL. */
static bool unescape(const struct atom_span *span, char *out, size_t size,
		     size_t *length_r)
{
	size_t used = 0;

	for (size_t i = 0; i < span->length; i++) {
		char c = span->bytes[i];

		if (c == '\\') {
			i++;
			if (i == span->length ||
			    (span->bytes[i] != 'n' && span->bytes[i] != '\\'))
				return false;
			c = span->bytes[i] == 'n' ? '\n' : '\\';
		}
		if (c == '\0' || used + 1 >= size)
			return false;
		out[used++] = c;
	}
	out[used] = '\0';
	*length_r = used;
	return true;
}

/* <sequence> <range> <note> */
static bool checkpoint_of(struct atom_span rest,
			  struct segment_checkpoint *checkpoint_r)
{
	struct atom_span word;

	if (!next_word(&rest, &word) ||
	    !number_of(&word, &checkpoint_r->sequence) ||
	    !next_word(&rest, &word))
		return false;
	checkpoint_r->range_count = tree_range_count(checkpoint_r->sequence);
	if (checkpoint_r->sequence == 0
		    ? !equals(&word, "-")
		    : !hex_of(&word, checkpoint_r->range[0],
			      (size_t)checkpoint_r->range_count * TREE_HASH))
		return false;
	return unescape(&rest, checkpoint_r->note, sizeof(checkpoint_r->note),
			&checkpoint_r->note_length) &&
	       checkpoint_r->note_length > 0;
}

void segment_checkpoint_range(const struct segment_checkpoint *checkpoint,
			      struct tree_range *range_r)
{
	bool fits =
		tree_range_load(range_r, checkpoint->sequence,
				checkpoint->range[0], checkpoint->range_count);

	assert(fits);
}

/* The digest at the end of a line, and that it is the right one; the rest of
 * the line, without the space, stays in *body_r. */
static bool ends_in_digest(struct segment_reader *reader,
			   const struct atom_span *line,
			   struct atom_span *body_r)
{
	uint8_t said[CHAIN_HASH], found[CHAIN_HASH];
	struct atom_span digits;

	if (line->length < DIGEST_DIGITS + 1)
		return false;
	digits.bytes = line->bytes + line->length - DIGEST_DIGITS;
	digits.length = DIGEST_DIGITS;
	body_r->bytes = line->bytes;
	body_r->length = line->length - DIGEST_DIGITS - 1;
	return digits.bytes[-1] == ' ' && hex_of(&digits, said, sizeof(said)) &&
	       add(reader, line->bytes, line->length - DIGEST_DIGITS) &&
	       segment_reader_digest(reader, found) &&
	       memcmp(said, found, sizeof(said)) == 0 &&
	       add_line(reader, &digits);
}

/* --- the head ------------------------------------------------------------- */

static bool read_previous(struct atom_span rest, struct segment_start *start)
{
	struct atom_span word;
	uint64_t number;

	if (equals(&rest, "-"))
		return start->number == 1;
	start->has_previous = true;
	return next_word(&rest, &word) && number_of(&word, &number) &&
	       number + 1 == start->number && next_word(&rest, &word) &&
	       number_of(&word, &start->previous_length) &&
	       hex_of(&rest, start->previous_digest,
		      sizeof(start->previous_digest));
}

static bool read_before(struct atom_span rest, struct segment_start *start)
{
	struct atom_span word;

	if (!next_word(&rest, &word) || !number_of(&word, &start->before))
		return false;
	if (equals(&rest, "-"))
		return start->before == 0;
	start->has_hash = true;
	return start->before > 0 &&
	       hex_of(&rest, start->hash, sizeof(start->hash));
}

static bool read_key(const struct atom_span *rest, struct segment_start *start)
{
	if (equals(rest, "-"))
		return true;
	if (rest->length == 0 || rest->length >= sizeof(start->verifier) ||
	    memchr(rest->bytes, '\0', rest->length) != NULL)
		return false;
	memcpy(start->verifier, rest->bytes, rest->length);
	return true;
}

static bool read_checkpoint(struct atom_span rest, struct segment_start *start)
{
	if (equals(&rest, "-"))
		return true;
	return checkpoint_of(rest, &start->checkpoint) &&
	       start->checkpoint.sequence <= start->before &&
	       start->verifier[0] != '\0';
}

static bool read_start_line(struct segment_start *start, unsigned int line,
			    struct atom_span rest)
{
	size_t length;

	switch (line) {
	case 0:
		return equals(&rest, "atomd-audit-segment/1");
	case 1:
		return starts(&rest, "segment ") &&
		       number_of(&rest, &start->number) && start->number > 0;
	case 2:
		return starts(&rest, "begun ") &&
		       time_of(&rest, &start->begun_ms);
	case 3:
		return starts(&rest, "reason ") &&
		       unescape(&rest, start->reason, sizeof(start->reason),
				&length);
	case 4:
		return starts(&rest, "previous ") && read_previous(rest, start);
	case 5:
		return starts(&rest, "before ") && read_before(rest, start);
	case 6:
		if (!starts(&rest, "sealed "))
			return false;
		start->sealed = equals(&rest, "yes");
		return start->sealed || equals(&rest, "no");
	case 7:
		return starts(&rest, "key ") && read_key(&rest, start);
	default:
		return starts(&rest, "checkpoint ") &&
		       read_checkpoint(rest, start);
	}
}

static enum segment_item feed_start(struct segment_reader *reader,
				    const struct atom_span *line)
{
	const unsigned int last = 9;
	struct atom_span body;

	if (reader->lines == last) {
		if (!ends_in_digest(reader, line, &body) ||
		    !equals(&body, "end"))
			return SEGMENT_WRONG;
		reader->whole = true;
		return SEGMENT_START;
	}
	if (!read_start_line(&reader->start, reader->lines, *line) ||
	    !add_line(reader, line))
		return SEGMENT_WRONG;
	reader->lines++;
	return SEGMENT_START_PART;
}

/* --- lines ---------------------------------------------------------------- */

bool segment_record_parse(const struct atom_span *line,
			  struct segment_record *record_r)
{
	struct atom_span rest = *line, word;

	if (!starts(&rest, "R ") || !next_word(&rest, &word) ||
	    !number_of(&word, &record_r->sequence) ||
	    !next_word(&rest, &word) ||
	    !hex_of(&word, record_r->hash, sizeof(record_r->hash)))
		return false;
	record_r->json = rest;
	return record_r->sequence > 0 && rest.length > 0;
}

bool segment_frame_parse(const struct atom_span *line,
			 struct segment_frame *frame_r)
{
	struct atom_span rest = *line, word;

	if (!starts(&rest, "E ") || !next_word(&rest, &word) ||
	    !number_of(&word, &frame_r->first) || !next_word(&rest, &word) ||
	    !number_of(&word, &frame_r->count))
		return false;
	frame_r->base64 = rest;
	return frame_r->first > 0 && frame_r->count > 0 && rest.length > 0;
}

/* OpenSSL forgives stray bits: what it makes of the text must make the text. */
static bool is_canonical(const struct atom_span *text, const uint8_t *bytes,
			 size_t length)
{
	const size_t step = 48; /* bytes, 64 digits */
	unsigned char again[65];

	for (size_t at = 0; at < length; at += step) {
		size_t part = length - at < step ? length - at : step;
		int digits = EVP_EncodeBlock(again, bytes + at, (int)part);

		if (memcmp(again, text->bytes + at / 3 * 4, (size_t)digits) !=
		    0)
			return false;
	}
	return true;
}

bool segment_frame_decode(const struct segment_frame *frame, uint8_t *out,
			  size_t *length_r)
{
	const struct atom_span *text = &frame->base64;
	size_t length = text->length / 4 * 3;

	if (text->length == 0 || text->length % 4 != 0 ||
	    text->length > SEGMENT_LINE_MAX ||
	    EVP_DecodeBlock(out, (const unsigned char *)text->bytes,
			    (int)text->length) != (int)length)
		return false;
	if (text->bytes[text->length - 1] == '=')
		length--;
	if (text->bytes[text->length - 2] == '=')
		length--;
	*length_r = length;
	return is_canonical(text, out, length);
}

void segment_frame_identity(const struct segment_frame *frame, uint64_t number,
			    char out[SEGMENT_IDENTITY_MAX])
{
	(void)snprintf(out, SEGMENT_IDENTITY_MAX,
		       "segment %" PRIu64 " records %" PRIu64 " %" PRIu64,
		       number, frame->first, frame->count);
}

/* But for record 1 only what stands before it. */
static bool add_record(struct segment_reader *reader,
		       const struct atom_span *line,
		       const struct segment_record *record)
{
	return record->sequence == 1 ? add_line(reader, line)
				     : add(reader, line->bytes,
					   line->length - record->json.length);
}

static enum segment_item feed_line(struct segment_reader *reader,
				   const struct atom_span *line)
{
	struct segment_record record;
	struct segment_frame frame;
	struct atom_span body;

	switch (line->length > 0 ? line->bytes[0] : '\0') {
	case 'R':
		return !reader->start.sealed &&
				       segment_record_parse(line, &record) &&
				       add_record(reader, line, &record)
			       ? SEGMENT_RECORD
			       : SEGMENT_WRONG;
	case 'E':
		return reader->start.sealed &&
				       segment_frame_parse(line, &frame) &&
				       add_line(reader, line)
			       ? SEGMENT_SEALED
			       : SEGMENT_WRONG;
	case 'S':
		return ends_in_digest(reader, line, &body) && equals(&body, "S")
			       ? SEGMENT_MARK
			       : SEGMENT_WRONG;
	case 'C':
		return ends_in_digest(reader, line, &body) &&
				       starts(&body, "C ") &&
				       checkpoint_of(body, &reader->checkpoint)
			       ? SEGMENT_CHECKPOINT
			       : SEGMENT_WRONG;
	default:
		return SEGMENT_WRONG;
	}
}

enum segment_item segment_reader_feed(struct segment_reader *reader,
				      const struct atom_span *line)
{
	enum segment_item item;

	if (reader->wrong)
		return SEGMENT_WRONG;
	item = reader->whole ? feed_line(reader, line)
			     : feed_start(reader, line);
	reader->wrong = item == SEGMENT_WRONG;
	return item;
}

/* --- tombstones ----------------------------------------------------------- */

bool segment_reader_tombstone(struct segment_reader *reader,
			      const struct atom_span *line,
			      struct segment_tombstone *tombstone_r)
{
	struct segment_tombstone *t = tombstone_r;
	uint64_t *numbers[] = { &t->first_segment, &t->last_segment, &t->first,
				&t->count };
	struct atom_span rest, word;

	if (reader->wrong)
		return false;
	reader->wrong = true;
	if (!ends_in_digest(reader, line, &rest) || !starts(&rest, "T "))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (!next_word(&rest, &word) || !number_of(&word, numbers[i]))
			return false;
	if (!next_word(&rest, &word))
		return false;
	t->has_hash_before = !equals(&word, "-");
	if (t->has_hash_before &&
	    !hex_of(&word, t->hash_before, sizeof(t->hash_before)))
		return false;
	if (!next_word(&rest, &word) ||
	    !hex_of(&word, t->hash_after, sizeof(t->hash_after)) ||
	    !next_word(&rest, &word) || !time_of(&word, &t->time_ms) ||
	    !checkpoint_of(rest, &t->checkpoint))
		return false;
	reader->wrong = t->count == 0 || t->first_segment > t->last_segment ||
			t->has_hash_before != (t->first > 1) ||
			t->checkpoint.sequence != t->first + t->count - 1;
	return !reader->wrong;
}
