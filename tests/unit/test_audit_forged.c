/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log that somebody has changed who has no key, with every digest made right
 * again: the table of docs/audit-format.md of what finds what.
 */
#include "file_sink_fixture.h"
#include "segment_forge.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "audit/verify.h"
#include "core/memory.h"

#define OK(call) cr_assert_eq(call, ATOM_OK, "%s", audit_err.message)

#define S4     FORGE_SEGMENT(4)
#define S5     FORGE_SEGMENT(5)
#define S6     FORGE_SEGMENT(6)
#define S7     FORGE_SEGMENT(7)
#define S8     FORGE_SEGMENT(8)
#define GRAVES "tombstones"
#define HASH64                             \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static struct verify_result result;

static void look(enum verify_verdict verdict, const char *word,
		 const char *what)
{
	struct verify_request request = { .path = audit_path };
	struct atom_error err = ATOM_ERROR_INIT;

	verify_result_fini(&result);
	cr_assert_eq(verify_log(&request, &result, &err), ATOM_OK, "%s: %s",
		     what, err.message);
	cr_assert_eq(result.verdict, verdict, "%s: %s in %s: %s", what,
		     verify_verdict_name(result.verdict), result.file,
		     result.reason);
	cr_assert_not_null(strstr(result.reason, word),
			   "%s: \"%s\" lacks \"%s\"", what, result.reason,
			   word);
}

static void fill(size_t rounds)
{
	for (size_t i = 0; i < rounds; i++) {
		audit_fill(17 + i % 7);
		audit_now_ms += 1000;
		OK(audit_checkpoint());
	}
}

/* Segments 4 to 8 are there: two removals, of segment 1 with 35 records and of
 * 2 and 3 with 82.  4 has records 118 to 157, 8 those from 265 to 283. */
static void begin(void)
{
	uint64_t removed;

	audit_load();
	audit_begin();
	audit_options.segment_size = 8192;
	OK(audit_open());
	fill(9);
	OK(audit_ops->prune(audit_sink, 40, &removed, &audit_err));
	cr_assert_eq(removed, 35);
	fill(3);
	OK(audit_ops->prune(audit_sink, 120, &removed, &audit_err));
	cr_assert_eq(removed, 82);
	fill(3);
	audit_close();
	look(VERIFY_SOUND, "", "as it was written");
	cr_assert_eq(result.last, 283);
	forge_keep();
}

static void end(void)
{
	verify_result_fini(&result);
	audit_end();
}

TestSuite(audit_forged, .init = begin, .fini = end, .timeout = 240);

struct forgery {
	const char *what;
	struct forge_edit edits[3];
	enum verify_verdict verdict;
	const char *word; /* of the reason */
};

static void try(const struct forgery *forgery, bool whole_log)
{
	forge_restore();
	for (size_t i = 0; i < 3 && forgery->edits[i].file != NULL; i++)
		forge_edit(&forgery->edits[i]);
	for (size_t i = 0; i < 3 && forgery->edits[i].file != NULL; i++)
		forge_digests(forgery->edits[i].file);
	if (whole_log)
		forge_log();
	look(forgery->verdict, forgery->word, forgery->what);
}

Test(audit_forged, heads_of_segments_have_to_fit_what_is_before_them)
{
	static const struct forgery rows[] = {
		{ "another number",
		  { { S5, "segment ", 0, 1, "6" },
		    { S5, "previous ", 0, 1, "5" } },
		  VERIFY_TAMPERED,
		  "says that it is segment 6" },
		{ "another number of records before",
		  { { S5, "before ", 0, 1, "158" } },
		  VERIFY_TAMPERED,
		  "does not go on behind record 157" },
		{ "another hash before",
		  { { S5, "before ", 0, 2, "~" } },
		  VERIFY_TAMPERED,
		  "does not go on behind record 157" },
		{ "another key",
		  { { S5, "key ", 0, 1, "~" } },
		  VERIFY_TAMPERED,
		  "key is not the one" },
		{ "another note",
		  { { S5, "checkpoint ", 0, 3, "~" } },
		  VERIFY_TAMPERED,
		  "signed note" },
		{ "another range",
		  { { S5, "checkpoint ", 0, 2, "~" } },
		  VERIFY_TAMPERED,
		  "range and the root" },
		{ "no head at all",
		  { { S5, "segment ", 0, 0, "-" } },
		  VERIFY_TAMPERED,
		  "head is not what was written" },
		{ "no number of records before",
		  { { S5, "before ", 0, 1, "x" } },
		  VERIFY_TAMPERED,
		  "head is not what was written" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		try(&rows[i], false);
}

Test(audit_forged, segments_end_where_the_next_one_says)
{
	static const struct forgery rows[] = {
		{ "another digest of the one before",
		  { { S5, "previous ", 0, 3, "~" } },
		  VERIFY_TAMPERED,
		  "digest that the next segment has" },
		{ "more bytes of the one before",
		  { { S5, "previous ", 0, 2, "99999" } },
		  VERIFY_INCOMPLETE,
		  "it ends at byte" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		try(&rows[i], false);
	forge_restore();
	forge_append(S5, "x\n", 2);
	look(VERIFY_TAMPERED, "2 bytes behind its end", "bytes behind the end");
	/* Unless a failure had left them there. */
	forge_edit(&(struct forge_edit){ S6, "reason ", 0, 1, "failed:" });
	forge_log();
	forge_restore();
	forge_edit(&(struct forge_edit){ S6, "reason ", 0, 1, "failed:" });
	forge_log();
	forge_append(S5, "x\n", 2);
	look(VERIFY_SOUND, "", "bytes behind a failure");
	cr_assert_eq(result.remains_bytes, 2);
}

Test(audit_forged, lines_are_those_that_were_written)
{
	static const struct forgery rows[] = {
		{ "an empty line",
		  { { S5, "R ", 3, 0, "+" } },
		  VERIFY_TAMPERED,
		  "a line behind record 160" },
		{ "a line of another kind",
		  { { S5, "R ", 3, 0, "X" } },
		  VERIFY_TAMPERED,
		  "a line behind record 160" },
		{ "a record that is gone",
		  { { S5, "R ", 3, 0, "-" } },
		  VERIFY_TAMPERED,
		  "expected record 161, found 162" },
		{ "a signed head before its last record",
		  { { S8, "R 283 ", 0, 0, "-" } },
		  VERIFY_TAMPERED,
		  "283" },
		{ "an older note in a signed head",
		  { { S7, "C ", 1, 3, "^" } },
		  VERIFY_TAMPERED,
		  "a signed head of 246 records stands for 264" },
		{ "another note",
		  { { S8, "C ", 0, 3, "~" } },
		  VERIFY_TAMPERED,
		  "signed note" },
		{ "another range",
		  { { S8, "C ", 0, 2, "~" } },
		  VERIFY_TAMPERED,
		  "range and the root" },
	};
	struct forge_edit mark = { S5, "S ", 1, 1, "~" };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		try(&rows[i], true);
	/* A mark's digest alone. */
	forge_restore();
	forge_edit(&mark);
	look(VERIFY_TAMPERED, "a line behind record", "another digest");
	cr_assert_leq(result.first_bad, 175);
}

Test(audit_forged, records_have_to_make_the_root_that_was_signed)
{
	forge_restore();
	forge_record(S8, 270);
	forge_log();
	look(VERIFY_TAMPERED, "do not make the root", "another record");
	cr_assert_eq(result.first_bad, 265);
}

/* --- tombstones ---------------------------------------------------------------- */

Test(audit_forged, tombstones_follow_each_other_and_are_signed)
{
	static const struct forgery rows[] = {
		{ "a segment left out",
		  { { GRAVES, "T ", 1, 1, "3" } },
		  VERIFY_TAMPERED,
		  "does not go on" },
		{ "a record left out",
		  { { GRAVES, "T ", 1, 3, "37" },
		    { GRAVES, "T ", 1, 4, "81" } },
		  VERIFY_TAMPERED,
		  "does not go on" },
		{ "another hash before",
		  { { GRAVES, "T ", 1, 5, "~" } },
		  VERIFY_TAMPERED,
		  "does not go on" },
		{ "the first segment left out",
		  { { GRAVES, "T ", 0, 1, "2" }, { GRAVES, "T ", 0, 2, "2" } },
		  VERIFY_TAMPERED,
		  "does not go on" },
		{ "the first record left out",
		  { { GRAVES, "T ", 0, 3, "2" },
		    { GRAVES, "T ", 0, 4, "34" },
		    { GRAVES, "T ", 0, 5, HASH64 } },
		  VERIFY_TAMPERED,
		  "does not go on" },
		{ "another hash after",
		  { { GRAVES, "T ", 1, 6, "~" } },
		  VERIFY_TAMPERED,
		  "not the one that was signed" },
		{ "another note",
		  { { GRAVES, "T ", 1, 10, "~" } },
		  VERIFY_TAMPERED,
		  "signed note" },
		{ "a line of another kind",
		  { { GRAVES, "T ", 1, 0, "X" } },
		  VERIFY_TAMPERED,
		  "not what was written" },
		{ "the newer one gone",
		  { { GRAVES, "T ", 1, 0, "-" } },
		  VERIFY_INCOMPLETE,
		  "is missing" },
		{ "both gone",
		  { { GRAVES, "T ", 1, 0, "-" }, { GRAVES, "T ", 0, 0, "-" } },
		  VERIFY_TAMPERED,
		  "without any" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		try(&rows[i], false);
	forge_restore();
	forge_append(GRAVES, "T", 1);
	look(VERIFY_TAMPERED, "not what was written", "a line without an end");
}

Test(audit_forged, the_first_segment_goes_on_where_the_tombstone_ends)
{
	static const char why[] = "go on where the last tombstone ends";
	static const struct forgery rows[] = {
		{ "more records before",
		  { { S4, "before ", 0, 1, "118" } },
		  VERIFY_TAMPERED,
		  why },
		{ "another hash before",
		  { { S4, "before ", 0, 2, "~" } },
		  VERIFY_TAMPERED,
		  why },
		{ "another signed head's number",
		  { { S4, "checkpoint ", 0, 1, "115" } },
		  VERIFY_TAMPERED,
		  why },
		{ "another note",
		  { { S4, "checkpoint ", 0, 3, "~" } },
		  VERIFY_TAMPERED,
		  why },
		{ "no signed head",
		  { { S4, "checkpoint ", 0, 1, "!" } },
		  VERIFY_TAMPERED,
		  why },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		try(&rows[i], false);
}

/* --- files beside the segments --------------------------------------------------- */

static void put_reserve(void)
{
	size_t length;
	char *zeros = audit_file("reserve", &length);

	zeros[0] = 1;
	audit_put_file("reserve", zeros, length);
	free(zeros);
}

static void put_key(const char *text, size_t length)
{
	forge_restore();
	audit_put_file("verifier.pub", text, length);
	look(VERIFY_TAMPERED, "one line, a verifier key", text);
	cr_assert_str_eq(result.file, "verifier.pub");
}

Test(audit_forged, files_are_files_of_their_kind)
{
	static const char *const names[] = { "reserve", "verifier.pub",
					     "tombstones", "head", S5 };
	struct forge_edit head = { "head", "chain ", 0, 1, "~" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		forge_restore();
		forge_folder(names[i]);
		look(VERIFY_TAMPERED, "no regular file", names[i]);
		cr_assert_str_eq(result.file, names[i]);
	}
	forge_restore();
	put_reserve();
	look(VERIFY_TAMPERED, "found 0", "a reserve that begins otherwise");
	put_key("", 0);
	put_key("a", 1);
	put_key("ab", 2);
	put_key("a\0b\n", 4);
	forge_restore();
	forge_edit(&head);
	look(VERIFY_TAMPERED, "not signed by the key", "another head");
	forge_restore();
	forge_remove("verifier.pub");
	look(VERIFY_INCOMPLETE, "verifier.pub", "no key");
}

/* Good ones by the log's own key, but not the one that is in the log. */
Test(audit_forged, the_head_is_one_that_a_segment_has)
{
	static const char witness[] =
		"\xe2\x80\x94 witness.example/w1 AAAAAAAAAAAA\n";
	char note[NOTE_TEXT_MAX];
	size_t length;

	audit_now_ms += 1000;
	length = audit_note(note);
	audit_put_file("head", note, length);
	look(VERIFY_INCOMPLETE, "no segment has this signed head",
	     "of another time");
	forge_restore();
	forge_append("head", witness, sizeof(witness) - 1);
	look(VERIFY_INCOMPLETE, "no segment has this signed head",
	     "with a witness");
}

Test(audit_forged, a_key_of_the_log_s_name_is_not_its_key)
{
	struct verify_request request = { .path = audit_path };
	struct note_verifier other = audit_log.signer.verifier;
	struct atom_error err = ATOM_ERROR_INIT;

	other.key[0] ^= 1;
	request.key = &other;
	cr_assert_eq(verify_log(&request, &result, &err), ATOM_OK);
	cr_assert_eq(result.verdict, VERIFY_TAMPERED);
	cr_assert_not_null(strstr(result.reason, "not the one that was given"));
}

Test(audit_forged, no_segment_at_all_is_told)
{
	static const char *const names[] = { S4, S5, S6, S7, S8 };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		forge_remove(names[i]);
	look(VERIFY_INCOMPLETE, "segment-00000004.log is missing",
	     "no segment");
	cr_assert_eq(result.first_bad, 118);
	forge_remove(GRAVES);
	look(VERIFY_INCOMPLETE, "segment-00000001.log is missing", "and none");
	forge_remove("head");
	look(VERIFY_INCOMPLETE, "segment-00000001.log is missing", "a key");
}

/* --- a removal that was cut short ------------------------------------------------- */

#define S2 FORGE_SEGMENT(2)
#define S3 FORGE_SEGMENT(3)

/* A tombstone covers 2 and 3, and they are still there. */
static void begin_cut_short(void)
{
	size_t lengths[2];
	char *bytes[2];
	uint64_t removed;

	audit_load();
	audit_begin();
	audit_options.segment_size = 8192;
	OK(audit_open());
	fill(9);
	OK(audit_ops->prune(audit_sink, 40, &removed, &audit_err));
	bytes[0] = audit_file(S2, &lengths[0]);
	bytes[1] = audit_file(S3, &lengths[1]);
	OK(audit_ops->prune(audit_sink, 120, &removed, &audit_err));
	audit_close();
	audit_put_file(S2, bytes[0], lengths[0]);
	audit_put_file(S3, bytes[1], lengths[1]);
	free(bytes[0]);
	free(bytes[1]);
	look(VERIFY_SOUND, "", "as a crash leaves it");
	cr_assert_eq(result.first, 36);
	forge_keep();
}

Test(audit_forged, segments_that_are_still_there_are_verified,
     .init = begin_cut_short)
{
	static const struct forgery rows[] = {
		{ "another hash before",
		  { { S2, "before ", 0, 2, "~" } },
		  VERIFY_TAMPERED,
		  "up to record 35 is not the one that was signed" },
		/* As it stands in a segment that was begun after a failure. */
		{ "no signed head",
		  { { S2, "checkpoint ", 0, 1, "!" } },
		  VERIFY_SOUND,
		  "" },
	};
	size_t length;
	char *text, *head;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		try(&rows[i], true);
	/* Both, and a chain that fits. */
	forge_restore();
	forge_edit(&rows[0].edits[0]);
	forge_edit(&rows[1].edits[0]);
	forge_chain(S2);
	forge_log();
	look(VERIFY_TAMPERED, "is not the one that was signed",
	     "a whole chain");
	/* With the signed head of the one before, as behind a failure. */
	forge_restore();
	text = audit_file(S2, &length);
	head = strstr(text, "\ncheckpoint ") + strlen("\ncheckpoint ");
	*strchr(head, '\n') = '\0';
	forge_remove(S2);
	forge_edit(&(struct forge_edit){ S3, "checkpoint ", 0, 1, "!" });
	forge_edit(&(struct forge_edit){ S3, "checkpoint ", 0, 1, head });
	forge_log();
	look(VERIFY_SOUND, "", "an older signed head");
	free(text);
	/* A segment of those is gone, the one in front of it not. */
	forge_restore();
	forge_remove(S3);
	look(VERIFY_INCOMPLETE, "segment-00000003.log is missing", "one gone");
}
