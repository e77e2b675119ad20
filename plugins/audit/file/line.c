/* SPDX-License-Identifier: Apache-2.0 */
#include "line.h"

#include <inttypes.h>
#include <string.h>

/* --- writing ------------------------------------------------------------- */

/* Letter, number, hash, three spaces and the line's end. */
#define RECORD_HEAD_MAX ((size_t)2 + 20 + 1 + 2 * DIGEST_BYTES + 1 + 1)

void line_write_record(struct text *text, struct text *covered,
		       const struct atom_audit_record *record)
{
	const size_t start = text->length;
	size_t length;

	/* Asked for once: this is done for each call. */
	if (text_room(text, RECORD_HEAD_MAX + record->json.length) == NULL)
		return;
	text_put(text, "R ", 2);
	text_put_number(text, record->sequence);
	text_put(text, " ", 1);
	text_put_hex(text, record->hash, sizeof(record->hash));
	text_put(text, " ", 1);
	length = text->length;
	text_put(text, record->json.bytes, record->json.length);
	text_put(text, "\n", 1);
	if (covered == NULL)
		return;
	if (record->sequence == 1)
		length = text->length;
	text_add(covered, text->bytes + start, length - start);
}

void line_write_sealed(struct text *text, uint64_t first, uint64_t count,
		       const char *bytes, size_t length)
{
	text_printf(text, "E %" PRIu64 " %" PRIu64 " ", first, count);
	text_add_base64(text, bytes, length);
	text_add(text, "\n", 1);
}

void line_write_signed_head(struct text *text, const struct signed_head *head)
{
	text_printf(text, "%" PRIu64 " ", head->sequence);
	if (head->range_count == 0)
		text_add(text, "-", 1);
	text_add_hex(text, head->range[0],
		     (size_t)head->range_count * DIGEST_BYTES);
	text_add(text, " ", 1);
	text_add_escaped(text, head->note, head->note_length);
}

bool line_write_digest(struct text *text, size_t start, struct digest *digest)
{
	uint8_t hash[DIGEST_BYTES];
	size_t end = text->length;

	if (text->failed ||
	    !digest_add(digest, text->bytes + start, end - start) ||
	    !digest_now(digest, hash))
		return false;
	text_add_hex(text, hash, sizeof(hash));
	text_add(text, "\n", 1);
	return !text->failed &&
	       digest_add(digest, text->bytes + end, text->length - end);
}

bool line_write_segment_head(struct text *text, struct digest *digest,
			     const struct segment_head *head)
{
	size_t start = text->length;
	char begun[TEXT_TIME_MAX];

	text_of_time(head->begun_ms, begun);
	text_printf(text, LINE_MAGIC "\nsegment %" PRIu64 "\nbegun %s\nreason ",
		    head->number, begun);
	text_add_escaped(text, head->reason, strlen(head->reason));
	if (head->has_previous) {
		text_printf(text, "\nprevious %" PRIu64 " %" PRIu64 " ",
			    head->previous, (uint64_t)head->previous_length);
		text_add_hex(text, head->previous_digest,
			     sizeof(head->previous_digest));
	} else {
		text_printf(text, "\nprevious -");
	}
	text_printf(text, "\nbefore %" PRIu64 " ", head->before);
	if (head->has_hash)
		text_add_hex(text, head->hash, sizeof(head->hash));
	else
		text_add(text, "-", 1);
	text_printf(text, "\nsealed %s\nkey %s\ncheckpoint ",
		    head->sealed ? "yes" : "no",
		    head->verifier[0] ? head->verifier : "-");
	if (head->checkpoint.note_length > 0)
		line_write_signed_head(text, &head->checkpoint);
	else
		text_add(text, "-", 1);
	text_printf(text, "\nend ");
	return digest_reset(digest) && line_write_digest(text, start, digest);
}

/* --- reading ------------------------------------------------------------- */

/* The letter and the space that a line begins with. */
static bool begins(struct atom_span *text, char letter)
{
	if (text->length < 2 || text->bytes[0] != letter ||
	    text->bytes[1] != ' ')
		return false;
	text->bytes += 2;
	text->length -= 2;
	return true;
}

bool line_read_record(const struct atom_span *line,
		      struct record_line *record_r)
{
	struct atom_span text = *line, word;

	if (!begins(&text, 'R') || !text_word(&text, &word) ||
	    !text_to_number(&word, &record_r->sequence) ||
	    !text_word(&text, &word) ||
	    !text_to_hex(&word, record_r->hash, sizeof(record_r->hash)))
		return false;
	record_r->json = text;
	return text.length > 0;
}

bool line_read_sealed(const struct atom_span *line,
		      struct sealed_line *sealed_r)
{
	struct atom_span text = *line, word;

	if (!begins(&text, 'E') || !text_word(&text, &word) ||
	    !text_to_number(&word, &sealed_r->first) ||
	    !text_word(&text, &word) ||
	    !text_to_number(&word, &sealed_r->count))
		return false;
	sealed_r->base64 = text;
	return sealed_r->count > 0 && text.length > 0;
}

static bool read_range(const struct atom_span *word, struct signed_head *head)
{
	size_t count = word->length / ((size_t)2 * DIGEST_BYTES);

	head->range_count = 0;
	if (text_is(word, "-"))
		return head->sequence == 0;
	if (count > ATOM_AUDIT_RANGE_MAX ||
	    count != (size_t)__builtin_popcountll(head->sequence))
		return false;
	head->range_count = (uint32_t)count;
	return text_to_hex(word, head->range[0], count * DIGEST_BYTES);
}

bool line_read_signed_head(const struct atom_span *text,
			   struct signed_head *head_r)
{
	struct atom_span rest = *text, word;

	return text_word(&rest, &word) &&
	       text_to_number(&word, &head_r->sequence) &&
	       text_word(&rest, &word) && read_range(&word, head_r) &&
	       text_unescape(&rest, head_r->note, sizeof(head_r->note),
			     &head_r->note_length) &&
	       head_r->note_length > 0;
}

bool line_read_digest(const struct atom_span *line, struct digest *digest,
		      struct atom_span *body_r)
{
	const size_t tail = (size_t)2 * DIGEST_BYTES;
	uint8_t said[DIGEST_BYTES], found[DIGEST_BYTES];
	struct atom_span word;
	size_t before;

	if (line->length < tail + 2)
		return false;
	before = line->length - tail;
	word = (struct atom_span){ line->bytes + before, tail };
	if (line->bytes[before - 1] != ' ' ||
	    !text_to_hex(&word, said, sizeof(said)) ||
	    !digest_with(digest, line->bytes, before, found) ||
	    memcmp(said, found, sizeof(said)) != 0 ||
	    !digest_add(digest, line->bytes, line->length) ||
	    !digest_add(digest, "\n", 1))
		return false;
	body_r->bytes = line->bytes + 2;
	body_r->length = before > 3 ? before - 3 : 0;
	return true;
}

/* --- the head of a segment ------------------------------------------------ */

static bool read_time(struct atom_span *rest, struct segment_head *head)
{
	return text_to_time(rest, &head->begun_ms);
}

static bool read_number(struct atom_span *rest, struct segment_head *head)
{
	return text_to_number(rest, &head->number) && head->number > 0;
}

static bool read_reason(struct atom_span *rest, struct segment_head *head)
{
	size_t length;

	return text_unescape(rest, head->reason, sizeof(head->reason), &length);
}

static bool read_previous(struct atom_span *rest, struct segment_head *head)
{
	struct atom_span word;
	uint64_t length;

	if (text_is(rest, "-"))
		return head->number == 1;
	head->has_previous = true;
	if (!text_word(rest, &word) ||
	    !text_to_number(&word, &head->previous) ||
	    !text_word(rest, &word) || !text_to_number(&word, &length) ||
	    length > INT64_MAX)
		return false;
	head->previous_length = (off_t)length;
	return text_to_hex(rest, head->previous_digest,
			   sizeof(head->previous_digest)) &&
	       head->previous + 1 == head->number;
}

static bool read_before(struct atom_span *rest, struct segment_head *head)
{
	struct atom_span word;

	if (!text_word(rest, &word) || !text_to_number(&word, &head->before))
		return false;
	head->has_hash = !text_is(rest, "-");
	return head->has_hash
		       ? text_to_hex(rest, head->hash, sizeof(head->hash))
		       : head->before == 0;
}

static bool read_sealed(struct atom_span *rest, struct segment_head *head)
{
	head->sealed = text_is(rest, "yes");
	return head->sealed || text_is(rest, "no");
}

static bool read_key(struct atom_span *rest, struct segment_head *head)
{
	if (rest->length == 0 || rest->length >= sizeof(head->verifier))
		return false;
	if (text_is(rest, "-"))
		return true;
	memcpy(head->verifier, rest->bytes, rest->length);
	head->verifier[rest->length] = '\0';
	return true;
}

static bool read_checkpoint(struct atom_span *rest, struct segment_head *head)
{
	if (text_is(rest, "-"))
		return true;
	return line_read_signed_head(rest, &head->checkpoint) &&
	       head->checkpoint.sequence <= head->before;
}

enum head_state line_read_segment_head(struct segment_head *head,
				       unsigned int number,
				       const struct atom_span *line,
				       struct digest *digest)
{
	static const struct {
		const char *word;
		bool (*read)(struct atom_span *rest, struct segment_head *);
	} rows[] = {
		{ "segment", read_number }, { "begun", read_time },
		{ "reason", read_reason },  { "previous", read_previous },
		{ "before", read_before },  { "sealed", read_sealed },
		{ "key", read_key },	    { "checkpoint", read_checkpoint },
	};
	const unsigned int count = sizeof(rows) / sizeof(rows[0]);
	struct atom_span rest = *line, word;

	if (number == 0) {
		memset(head, 0, sizeof(*head));
		if (!digest_reset(digest) || !text_is(line, LINE_MAGIC))
			return HEAD_WRONG;
	} else if (!text_word(&rest, &word)) {
		return HEAD_WRONG;
	} else if (number <= count) {
		if (!text_is(&word, rows[number - 1].word) ||
		    !rows[number - 1].read(&rest, head))
			return HEAD_WRONG;
	} else {
		head->length += (off_t)line->length + 1;
		return text_is(&word, "end") &&
				       line_read_digest(line, digest, &rest)
			       ? HEAD_WHOLE
			       : HEAD_WRONG;
	}
	head->length += (off_t)line->length + 1;
	return digest_add(digest, line->bytes, line->length) &&
			       digest_add(digest, "\n", 1)
		       ? HEAD_MORE
		       : HEAD_WRONG;
}
