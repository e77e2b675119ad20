/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of segments: each value has one way to be written, and a line
 * that is none of them ends it.
 *
 * In the lines below `@` is the digest that belongs there, `#` 64 digits of
 * one, `=` 128, and `$` a NUL.
 */
#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "audit/segment_read.h"
#include "core/memory.h"
#include "core/text.h"
#include "failing_memory.h"
#include "failing_openssl.h"
#include "fails_closed.h"

#define LINE_MAX_HERE 4096
#define DIGITS	      64
#define TIME	      "2026-01-02T03:04:05.678Z"
#define BEGUN	      "begun " TIME

static struct segment_reader *reader;
static EVP_MD_CTX *running;

static void begin(void)
{
	reader = segment_reader_new();
	running = EVP_MD_CTX_new();
	cr_assert_not_null(reader);
	cr_assert_not_null(running);
}

static void restart(void)
{
	cr_assert(segment_reader_reset(reader));
	cr_assert_eq(EVP_DigestInit_ex(running, EVP_sha256(), NULL), 1);
}

static void end(void)
{
	segment_reader_free(&reader);
	segment_reader_free(&reader); /* of nothing: nothing */
	EVP_MD_CTX_free(running);
}

TestSuite(segment, .init = begin, .fini = end);

static size_t put_digest(const char *line, size_t length, char *out)
{
	EVP_MD_CTX *now = EVP_MD_CTX_new();
	uint8_t hash[32];

	cr_assert_eq(EVP_MD_CTX_copy_ex(now, running), 1);
	cr_assert_eq(EVP_DigestUpdate(now, line, length), 1);
	cr_assert_eq(EVP_DigestFinal_ex(now, hash, NULL), 1);
	EVP_MD_CTX_free(now);
	text_to_hex(hash, sizeof(hash), out);
	return DIGITS;
}

/* The line that the template stands for; it counts in the digests behind. */
static struct atom_span line_of(const char *template)
{
	static char line[LINE_MAX_HERE];
	size_t length = 0, counted;

	for (const char *c = template; *c != '\0'; c++) {
		cr_assert_lt(length, sizeof(line) - 130);
		if (*c == '@') {
			length += put_digest(line, length, line + length);
		} else if (*c == '#' || *c == '=') {
			size_t n = *c == '#' ? DIGITS : (size_t)2 * DIGITS;

			memset(line + length, 'a', n);
			length += n;
		} else {
			line[length++] = *c == '$' ? '\0' : *c;
		}
	}
	counted = length;
	if (strncmp(template, "R ", 2) == 0 && template[2] != '1')
		counted = 4 + DIGITS + 1 < length ? 4 + DIGITS + 1 : length;
	line[length] = '\n';
	cr_assert_eq(EVP_DigestUpdate(running, line,
				      counted == length ? length + 1 : counted),
		     1);
	return (struct atom_span){ line, length };
}

static enum segment_item feed(const char *template)
{
	struct atom_span line = line_of(template);

	return segment_reader_feed(reader, &line);
}

#define HEAD_LINES 10

/* Of segment 1, plain; and of one behind it, sealed. */
static const char *const first_head[HEAD_LINES] = {
	"atomd-audit-segment/1",
	"segment 1",
	BEGUN,
	"reason first",
	"previous -",
	"before 0 -",
	"sealed no",
	"key -",
	"checkpoint -",
	"end @",
};
static const char *const later_head[HEAD_LINES] = {
	"atomd-audit-segment/1",
	"segment 3",
	BEGUN,
	"reason a\\nb\\\\c",
	"previous 2 4711 #",
	"before 5 #",
	"sealed yes",
	"key a+b+c",
	"checkpoint 5 = note\\n",
	"end @",
};

/* The head with another line `at`; what the reader says of that one. */
static enum segment_item head_with(const char *const head[HEAD_LINES],
				   size_t at, const char *other)
{
	restart();
	for (size_t i = 0; i < HEAD_LINES; i++) {
		enum segment_item item = feed(i == at ? other : head[i]);

		if (i == at)
			return item;
		cr_assert_eq(item,
			     i + 1 < HEAD_LINES ? SEGMENT_START_PART
						: SEGMENT_START,
			     "%s", head[i]);
	}
	return SEGMENT_START;
}

static void whole_head(const char *const head[HEAD_LINES])
{
	cr_assert_eq(head_with(head, HEAD_LINES, NULL), SEGMENT_START);
}

Test(segment, a_head_is_read_as_it_was_written)
{
	const struct segment_start *start = segment_reader_start(reader);

	whole_head(first_head);
	cr_assert_eq(start->number, 1);
	cr_assert_not(start->has_previous || start->has_hash || start->sealed);
	cr_assert_eq(start->checkpoint.note_length, 0);
	whole_head(later_head);
	cr_assert_eq(start->number, 3);
	cr_assert_eq(start->begun_ms, 1767323045678);
	cr_assert_str_eq(start->reason, "a\nb\\c");
	cr_assert(start->has_previous && start->has_hash && start->sealed);
	cr_assert_eq(start->previous_length, 4711);
	cr_assert_eq(start->previous_digest[31], 0xaa);
	cr_assert_eq(start->before, 5);
	cr_assert_str_eq(start->verifier, "a+b+c");
	cr_assert_eq(start->checkpoint.sequence, 5);
	cr_assert_eq(start->checkpoint.range_count, 2);
	cr_assert_str_eq(start->checkpoint.note, "note\n");
}

Test(segment, a_line_of_a_head_has_one_form)
{
	static const struct {
		const char *const *head;
		size_t at;
		const char *line;
	} wrong[] = {
		{ first_head, 0, "atomd-audit-segment/2" },
		{ first_head, 0, "" },
		{ first_head, 1, "segmen 1" },
		{ first_head, 1, "segment " },
		{ first_head, 1, "segment 0" },
		{ first_head, 1, "segment -1" },
		{ first_head, 1, "segment +1" },
		{ first_head, 1, "segment 01" },
		{ first_head, 1, "segment 1 " },
		{ first_head, 1, "segment 1$" },
		{ first_head, 1, "segment one" },
		{ first_head, 1, "segment 12345678901234567890" },
		{ first_head, 2, "began " TIME },
		{ first_head, 2, "begun yesterday" },
		{ first_head, 2, "begun 2026-01-02T03:04:05Z" },
		{ first_head, 2, "begun " TIME "2026-01-02T03:04:05" },
		{ first_head, 3, "why first" },
		{ first_head, 3, "reason a\\" },
		{ first_head, 3, "reason a\\x" },
		{ first_head, 3, "reason a$" },
		{ first_head, 3, "reason ======" },
		{ first_head, 4, "former -" },
		{ first_head, 4, "previous 0" },
		{ first_head, 4, "previous 1 5 #" },
		{ later_head, 4, "previous -" },
		{ later_head, 4, "previous 3 5 #" },
		{ later_head, 4, "previous two 5 #" },
		{ later_head, 4, "previous 2" },
		{ later_head, 4, "previous 2 5" },
		{ later_head, 4, "previous 2 five #" },
		{ later_head, 4, "previous 2 5 ab" },
		{ later_head, 4, "previous 2 5 #A" },
		{ later_head, 5, "behind 5 #" },
		{ later_head, 5, "before" },
		{ later_head, 5, "before 5" },
		{ later_head, 5, "before five #" },
		{ later_head, 5, "before 5 -" },
		{ later_head, 5, "before 0 #" },
		{ later_head, 5, "before 5 #a" },
		{ first_head, 6, "open no" },
		{ first_head, 6, "sealed maybe" },
		{ first_head, 7, "lock -" },
		{ first_head, 7, "key " },
		{ first_head, 7, "key a$b" },
		{ first_head, 7, "key ====" },
		{ first_head, 8, "signed -" },
		{ first_head, 8, "checkpoint " },
		{ first_head, 8, "checkpoint 0" },
		{ first_head, 8, "checkpoint 0 - note" }, /* by no key */
		{ later_head, 8, "checkpoint 6 = note" }, /* of a later one */
		{ later_head, 8, "checkpoint five = note" },
		{ later_head, 8, "checkpoint 5" },
		{ later_head, 8, "checkpoint 5 =" },
		{ later_head, 8, "checkpoint 5 # note" },
		{ later_head, 8, "checkpoint 5 = " },
		{ later_head, 8, "checkpoint 0 # note" },
		{ first_head, 9, "end" },
		{ first_head, 9, "END @" },
		{ first_head, 9, "end@" },
		{ first_head, 9, "end #" },
		{ first_head, 9, "checkpoint -" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		cr_assert_eq(
			head_with(wrong[i].head, wrong[i].at, wrong[i].line),
			SEGMENT_WRONG, "%s", wrong[i].line);
	/* Of no records: a tree without a node. */
	cr_assert_eq(head_with(later_head, 8, "checkpoint 0 - note"),
		     SEGMENT_START_PART);
}

Test(segment, digits_are_lower_case_and_no_NUL_is_one)
{
	char line[100] = "before 5 #";
	const char *const others = "Ag/`$";

	for (const char *other = others; *other != '\0'; other++) {
		char template[100] = "before 5 ";

		memset(template + 9, 'a', DIGITS);
		template[9 + 40] = *other;
		cr_assert_eq(head_with(later_head, 5, template), SEGMENT_WRONG,
			     "%c", *other);
	}
	cr_assert_eq(head_with(later_head, 5, line), SEGMENT_START_PART);
}

Test(segment, a_line_behind_the_head_has_one_form)
{
	static const struct {
		const char *const *head;
		const char *line;
		enum segment_item item;
	} rows[] = {
		{ first_head, "R 1 # {}", SEGMENT_RECORD },
		{ first_head, "R 2 # {}", SEGMENT_RECORD },
		{ first_head, "S @", SEGMENT_MARK },
		{ first_head, "C 5 = note @", SEGMENT_CHECKPOINT },
		{ first_head, "C 0 - note @", SEGMENT_CHECKPOINT },
		{ later_head, "E 6 2 AAAA", SEGMENT_SEALED },
		{ later_head, "S @", SEGMENT_MARK },
		{ first_head, "", SEGMENT_WRONG },
		{ first_head, "x", SEGMENT_WRONG },
		{ first_head, "R", SEGMENT_WRONG },
		{ first_head, "R ", SEGMENT_WRONG },
		{ first_head, "R 1", SEGMENT_WRONG },
		{ first_head, "R one # {}", SEGMENT_WRONG },
		{ first_head, "R 1 #", SEGMENT_WRONG },
		{ first_head, "R 1 # ", SEGMENT_WRONG },
		{ first_head, "R 1 ab {}", SEGMENT_WRONG },
		{ first_head, "R 0 # {}", SEGMENT_WRONG },
		{ first_head, "E 6 2 AAAA", SEGMENT_WRONG },
		{ first_head, "S x @", SEGMENT_WRONG },
		{ first_head, "S #", SEGMENT_WRONG },
		{ first_head, "S", SEGMENT_WRONG },
		{ first_head, "Cx @", SEGMENT_WRONG },
		{ first_head, "C @", SEGMENT_WRONG },
		{ first_head, "C 5 = note #", SEGMENT_WRONG },
		{ first_head, "C 5 # note @", SEGMENT_WRONG },
		{ later_head, "R 6 # {}", SEGMENT_WRONG },
		{ later_head, "E", SEGMENT_WRONG },
		{ later_head, "E ", SEGMENT_WRONG },
		{ later_head, "E 6", SEGMENT_WRONG },
		{ later_head, "E six 2 AAAA", SEGMENT_WRONG },
		{ later_head, "E 6 2", SEGMENT_WRONG },
		{ later_head, "E 6 two AAAA", SEGMENT_WRONG },
		{ later_head, "E 0 2 AAAA", SEGMENT_WRONG },
		{ later_head, "E 6 0 AAAA", SEGMENT_WRONG },
		{ later_head, "E 6 2 ", SEGMENT_WRONG },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		whole_head(rows[i].head);
		cr_assert_eq(feed(rows[i].line), rows[i].item, "%s",
			     rows[i].line);
		/* Behind a wrong line nothing is right. */
		cr_assert_eq(feed("S @"),
			     rows[i].item == SEGMENT_WRONG ? SEGMENT_WRONG
							   : SEGMENT_MARK,
			     "behind %s", rows[i].line);
	}
}

/* Of a record behind the first a digest covers what stands before it. */
Test(segment, a_mark_leaves_records_to_their_hashes)
{
	whole_head(first_head);
	cr_assert_eq(feed("R 1 # {}"), SEGMENT_RECORD);
	cr_assert_eq(feed("S @"), SEGMENT_MARK);
	cr_assert_eq(feed("R 2 # {}"), SEGMENT_RECORD);
	cr_assert_eq(feed("R 3 # {}"), SEGMENT_RECORD);
	cr_assert_eq(feed("S @"), SEGMENT_MARK);
	cr_assert_eq(feed("C 5 = note\\n @"), SEGMENT_CHECKPOINT);
	cr_assert_str_eq(segment_reader_checkpoint(reader)->note, "note\n");
}

Test(segment, a_tombstone_has_one_form)
{
	static const struct {
		const char *line;
		bool right;
	} rows[] = {
		{ "T 1 2 1 5 - # " TIME " 5 = note @", true },
		{ "T 2 2 3 3 # # " TIME " 5 = note @", true },
		{ "T 1 2 1 5 - # " TIME " 5 = note #", false },
		{ "X 1 2 1 5 - # " TIME " 5 = note @", false },
		{ "T @", false },
		{ "T 1 2 1 @", false },
		{ "T one 2 1 5 - # " TIME " 5 = note @", false },
		{ "T 1 2 1 5 @", false },
		{ "T 1 2 1 5 - @", false },
		{ "T 1 2 1 5 ab # " TIME " 5 = note @", false },
		{ "T 1 2 1 5 - ab " TIME " 5 = note @", false },
		{ "T 1 2 1 5 - # @", false },
		{ "T 1 2 1 5 - # noon @", false },
		{ "T 1 2 1 5 - # noon 5 = note @", false },
		{ "T 1 2 1 5 - # " TIME " five = note @", false },
		{ "T 1 2 1 0 - # " TIME " 0 - note @", false },
		{ "T 3 2 1 5 - # " TIME " 5 = note @", false },
		{ "T 1 2 2 4 - # " TIME " 5 = note @", false },
		{ "T 1 2 1 5 # # " TIME " 5 = note @", false },
		{ "T 1 2 1 4 - # " TIME " 5 = note @", false },
	};
	struct segment_tombstone found;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct atom_span line;

		restart();
		line = line_of(rows[i].line);
		cr_assert_eq(segment_reader_tombstone(reader, &line, &found),
			     rows[i].right, "%s", rows[i].line);
		/* Behind a wrong line nothing is right. */
		line = line_of(rows[0].line);
		cr_assert_eq(segment_reader_tombstone(reader, &line, &found),
			     rows[i].right, "behind %s", rows[i].line);
	}
}

static bool decodes(const char *text, size_t length)
{
	struct segment_frame frame = { .base64 = { text, length } };
	uint8_t *out = malloc(length + 4);
	bool right = segment_frame_decode(&frame, out, &length);

	free(out);
	return right;
}

Test(segment, a_frame_is_strict_base64)
{
	char *large = malloc(SEGMENT_LINE_MAX + 4);

	cr_assert(decodes("AAAA", 4));
	cr_assert(decodes("AAA=", 4));
	cr_assert(decodes("AA==", 4));
	cr_assert_not(decodes("", 0));
	cr_assert_not(decodes("AAA", 3));
	cr_assert_not(decodes("AAB=", 4), "stray bits");
	cr_assert_not(decodes("A-_A", 4));
	cr_assert_not(decodes(" AAA", 4));
	memset(large, 'A', SEGMENT_LINE_MAX + 4);
	cr_assert(decodes(large, SEGMENT_LINE_MAX));
	cr_assert_not(decodes(large, SEGMENT_LINE_MAX + 4));
	free(large);
}

/* --- without OpenSSL -------------------------------------------------------- */

static bool makes_reader(void)
{
	struct segment_reader *one = segment_reader_new();
	bool made = one != NULL;

	segment_reader_free(&one);
	return made;
}

static char lines[8][LINE_MAX_HERE];
static size_t lengths[8];

/* A head's end, a record, a mark and a checkpoint. */
static bool reads_lines(const char *const head[HEAD_LINES])
{
	bool right = segment_reader_reset(reader);

	for (size_t i = 0; right && i < HEAD_LINES - 1; i++) {
		struct atom_span line = { head[i], strlen(head[i]) };

		right = segment_reader_feed(reader, &line) != SEGMENT_WRONG;
	}
	for (size_t i = 0; right && lengths[i] > 0; i++) {
		struct atom_span line = { lines[i], lengths[i] };

		right = segment_reader_feed(reader, &line) != SEGMENT_WRONG;
	}
	return right;
}

static void keep(size_t at, const char *template)
{
	struct atom_span line = line_of(template);

	memcpy(lines[at], line.bytes, line.length);
	lengths[at] = line.length;
}

Test(segment, no_line_is_right_where_its_digest_was_not_made)
{
	const char *sealed_head[HEAD_LINES];
	uint8_t digest[CHAIN_HASH];

	FAILS_CLOSED(failing_openssl, makes_reader());
	FAILS_CLOSED(failing_memory, makes_reader());
	restart();
	for (size_t i = 0; i < HEAD_LINES - 1; i++)
		(void)line_of(first_head[i]);
	keep(0, "end @");
	keep(1, "R 1 # {}");
	keep(2, "R 2 # {}");
	keep(3, "S @");
	keep(4, "C 5 = note @");
	FAILS_CLOSED(failing_openssl, reads_lines(first_head));
	FAILS_CLOSED(failing_openssl, segment_reader_digest(reader, digest));
	memcpy(sealed_head, first_head, sizeof(sealed_head));
	sealed_head[6] = "sealed yes";
	memset(lengths, 0, sizeof(lengths));
	restart();
	for (size_t i = 0; i < HEAD_LINES - 1; i++)
		(void)line_of(sealed_head[i]);
	keep(0, "end @");
	keep(1, "E 1 2 AAAA");
	FAILS_CLOSED(failing_openssl, reads_lines(sealed_head));
}
