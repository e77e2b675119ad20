/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log that could not be looked at as a whole is never called sound: memory,
 * OpenSSL and the disk fail, files go meanwhile, and an unsealer lies.
 */
#include "file_sink_fixture.h"
#include "segment_forge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/outside.h"
#include "audit/verify.h"
#include "core/memory.h"
#include "failing_memory.h"
#include "failing_openssl.h"
#include "fails_closed.h"

#define OK(call) cr_assert_eq(call, ATOM_OK, "%s", audit_err.message)

static struct verify_result result;
static struct verify_unsealer unsealer = { .open = audit_unseal };
static struct outside_notes notes;
static struct atom_error err;

static void fill(size_t rounds)
{
	for (size_t i = 0; i < rounds; i++) {
		audit_fill(17 + i % 7);
		audit_now_ms += 1000;
		OK(audit_checkpoint());
	}
}

static void keep_note(void)
{
	char note[NOTE_TEXT_MAX];
	size_t length = audit_note(note);

	OK(outside_add_text(&notes, "kept", note, length, &audit_err));
}

#define NEWEST FORGE_SEGMENT(5)

/* Pruned, with segments 2 to 5, and a tail that is not signed. */
static void make_log(bool sealed)
{
	uint64_t removed;

	audit_options.segment_size = 4096;
	audit_options.encrypt = sealed;
	OK(audit_open());
	fill(2);
	keep_note();
	OK(audit_ops->prune(audit_sink, 20, &removed, &audit_err));
	cr_assert_gt(removed, 0);
	fill(2);
	keep_note();
	audit_fill(5);
	audit_close();
	forge_keep();
}

static void begin(void)
{
	audit_load();
	audit_begin();
}

static void finish(void)
{
	verify_result_fini(&result);
	outside_fini(&notes);
	audit_end();
}

TestSuite(audit_closed_log, .init = begin, .fini = finish, .timeout = 240);

static atom_status look(bool with_notes)
{
	struct verify_request request = {
		.path = audit_path,
		.unsealer = &unsealer,
		.outside = with_notes ? &notes : NULL,
	};

	verify_result_fini(&result);
	err = (struct atom_error)ATOM_ERROR_INIT;
	return verify_log(&request, &result, &err);
}

static bool is_sound(void)
{
	return look(true) == ATOM_OK && result.verdict == VERIFY_SOUND;
}

static void expect(enum verify_verdict verdict, const char *word)
{
	cr_assert_eq(look(false), ATOM_OK, "%s", err.message);
	cr_assert_eq(result.verdict, verdict, "%s in %s: %s",
		     verify_verdict_name(result.verdict), result.file,
		     result.reason);
	cr_assert_not_null(strstr(result.reason, word), "\"%s\" lacks \"%s\"",
			   result.reason, word);
}

/* --- failures ------------------------------------------------------------------ */

static struct os whole_os;
static unsigned int left; /* until it fails, once; 0 = it does not */
static int failure;
static const char *of; /* what the path ends in, for open; NULL: any */

static bool fails_now(void)
{
	errno = failure;
	return left > 0 && --left == 0;
}

static int failing_open(const char *path, int flags, mode_t mode)
{
	if ((of == NULL || strstr(path, of) != NULL) && fails_now())
		return -1;
	return whole_os.open(path, flags, mode);
}

static ssize_t failing_read(int fd, void *bytes, size_t length)
{
	return fails_now() ? -1 : whole_os.read(fd, bytes, length);
}

static int failing_fstat(int fd, struct stat *st)
{
	return fails_now() ? -1 : whole_os.fstat(fd, st);
}

static void failing_begin(unsigned int n)
{
	left = n;
	whole_os = os;
}

static bool failing_end(void)
{
	os = whole_os;
	return left == 0;
}

static void failing_open_begin(unsigned int n)
{
	failing_begin(n);
	os.open = failing_open;
}

static bool failing_open_end(void)
{
	return failing_end();
}

static void failing_read_begin(unsigned int n)
{
	failing_begin(n);
	os.read = failing_read;
}

static bool failing_read_end(void)
{
	return failing_end();
}

static void failing_fstat_begin(unsigned int n)
{
	failing_begin(n);
	os.fstat = failing_fstat;
}

static bool failing_fstat_end(void)
{
	return failing_end();
}

static void expect_closed(void)
{
	failure = EACCES;
	FAILS_CLOSED(failing_open, is_sound());
	failure = EIO;
	FAILS_CLOSED(failing_read, is_sound());
	FAILS_CLOSED(failing_fstat, is_sound());
	FAILS_CLOSED(failing_memory, is_sound());
	FAILS_CLOSED(failing_openssl, is_sound());
}

Test(audit_closed_log, a_plain_log_is_not_sound_where_a_call_fails)
{
	make_log(false);
	expect_closed();
}

Test(audit_closed_log, a_sealed_log_is_not_sound_where_a_call_fails)
{
	make_log(true);
	expect_closed();
}

Test(audit_closed_log, a_tail_is_not_sound_where_a_call_fails)
{
	OK(audit_open());
	fill(1);
	keep_note();
	audit_fill(2);
	audit_close();
	forge_append(FORGE_SEGMENT(1), "R 9", 3);
	expect_closed();
}

/* --- files that go ---------------------------------------------------------------- */

Test(audit_closed_log, a_segment_that_goes_meanwhile_is_looked_for_again)
{
	make_log(false);
	whole_os = os;
	os.open = failing_open;
	failure = ENOENT;
	of = "segment-";
	for (unsigned int n = 1; n <= 3; n++) {
		left = n;
		cr_assert(is_sound(), "%s", result.reason);
		cr_assert_eq(left, 0);
	}
	os = whole_os;
}

static int no_segment(const char *path, int flags, mode_t mode)
{
	if (strstr(path, "segment-") != NULL) {
		errno = ENOENT;
		return -1;
	}
	return whole_os.open(path, flags, mode);
}

static int opened;

/* A folder, when the segment is opened for the third time. */
static int swapped_open(const char *path, int flags, mode_t mode)
{
	if (strstr(path, NEWEST) != NULL && ++opened == 3)
		path = "/";
	return whole_os.open(path, flags, mode);
}

Test(audit_closed_log, a_segment_that_is_another_file_meanwhile_is_an_error)
{
	make_log(false);
	forge_append(NEWEST, "X\n", 2);
	whole_os = os;
	os.open = swapped_open;
	cr_assert_eq(look(false), ATOM_EDATALOSS);
	cr_assert_not_null(strstr(err.message, "no regular file"));
	os = whole_os;
}

static const char *shrinks;
static uint64_t shrinks_to;

/* The file is cut when it is opened for the second time. */
static int shrinking_open(const char *path, int flags, mode_t mode)
{
	if (strstr(path, shrinks) != NULL && ++opened == 2)
		cr_assert_eq(truncate(path, (off_t)shrinks_to), 0);
	return whole_os.open(path, flags, mode);
}

Test(audit_closed_log, a_log_that_never_stands_still_has_no_verdict)
{
	size_t length;

	make_log(false);
	whole_os = os;
	os.open = no_segment;
	cr_assert_eq(look(false), ATOM_EBUSY);
	/* A wrong line that is gone when it is looked at again, and more. */
	free(audit_file(NEWEST, &length));
	for (size_t cut = 0; cut <= 20; cut += 20) {
		os = whole_os;
		forge_restore();
		forge_append(NEWEST, "X\n", 2);
		shrinks = NEWEST;
		shrinks_to = length - cut;
		opened = -1; /* by the look ahead */
		os.open = shrinking_open;
		if (cut == 0) {
			expect(VERIFY_SOUND, "");
			cr_assert_eq(result.torn_bytes, 0);
		} else {
			cr_assert_eq(look(false), ATOM_EIO);
			cr_assert_not_null(strstr(err.message, "shorter"));
		}
	}
	os = whole_os;
}

/* --- tails -------------------------------------------------------------------------- */

#define ONLY FORGE_SEGMENT(1)
#define HEX64                              \
	"0123456789abcdef0123456789abcdef" \
	"0123456789abcdef0123456789abcdef"

/* The last byte of the file, a line's end, is another one. */
static void spoil_end(const char *file)
{
	size_t length;
	char *text = audit_file(file, &length);

	cr_assert_eq(text[length - 1], '\n');
	text[length - 1] = '!';
	audit_put_file(file, text, length);
	free(text);
}

Test(audit_closed_log, a_line_whose_end_alone_is_wrong_was_not_torn)
{
	OK(audit_open());
	fill(1);
	audit_close();
	forge_keep();
	spoil_end(ONLY); /* of a signed head */
	expect(VERIFY_TAMPERED, "a line behind record 17");
	forge_restore();
	forge_append(ONLY, "S " HEX64 "\n", 3 + 64);
	forge_digests(ONLY);
	expect(VERIFY_SOUND, "");
	spoil_end(ONLY); /* of a mark */
	expect(VERIFY_TAMPERED, "a line behind record 17");
}

Test(audit_closed_log, a_record_without_its_end_is_whole_by_its_hash)
{
	OK(audit_open());
	audit_fill(3);
	audit_close();
	forge_keep();
	spoil_end(ONLY);
	expect(VERIFY_TAMPERED, "a line behind record 2");
	/* One that could not be looked at is not passed over in silence. */
	for (unsigned int n = 1, failed = 1; failed; n++) {
		failing_openssl_begin(n);
		cr_assert(look(false) != ATOM_OK ||
			  result.verdict == VERIFY_TAMPERED ||
			  result.torn_bytes > 0);
		failed = failing_openssl_end();
	}
	forge_restore();
	forge_append(ONLY, "R 4 " HEX64 " {}!", 4 + 64 + 4);
	expect(VERIFY_SOUND, "");
	cr_assert_eq(result.torn_bytes, 4 + 64 + 4);
	forge_restore();
	forge_append(ONLY, "R 9 " HEX64 " {}!", 4 + 64 + 4);
	expect(VERIFY_SOUND, "");
	/* The first one of a log without a key: what its hash follows from is
	 * not known. */
	forge_restore();
	forge_edit(&(struct forge_edit){ ONLY, "R 3 ", 0, 0, "-" });
	forge_edit(&(struct forge_edit){ ONLY, "R 2 ", 0, 0, "-" });
	forge_edit(&(struct forge_edit){ ONLY, "S ", 0, 0, "-" });
	spoil_end(ONLY);
	expect(VERIFY_SOUND, "");
	cr_assert_eq(result.records, 0);
}

Test(audit_closed_log, a_sealed_line_without_its_end_is_whole_if_it_opens)
{
	audit_options.encrypt = 1;
	OK(audit_open());
	audit_fill(3);
	audit_close();
	forge_keep();
	spoil_end(ONLY);
	expect(VERIFY_TAMPERED, "a line behind record");
	forge_restore();
	forge_append(ONLY, "E 4 1 AAAA!", 11);
	expect(VERIFY_SOUND, "");
	cr_assert_eq(result.torn_bytes, 11);
}

/* What stands behind the last line: a crash's, or somebody's. */
Test(audit_closed_log, a_tail_is_torn_by_its_end_or_by_lost_pages)
{
	static const struct {
		const char *what;
		const char *bytes;
		size_t length;
		size_t zeros; /* in front of them */
		bool page;    /* and as many as fill a sector */
		bool torn;
	} rows[] = {
		{ "no end", "X", 1, 0, false, true },
		{ "a line", "X\n", 2, 0, false, false },
		{ "zeros at the end", "", 0, 16, false, true },
		{ "a few zeros and a line", "X\n", 2, 15, false, false },
		{ "zeros and a line", "X\n", 2, 16, false, false },
		{ "a sector and a line", "X\n", 2, 16, true, true },
		{ "a sector and a mark", "\nS " HEX64 "\n", 68, 16, true,
		  false },
		{ "half a mark", "X\nS ab", 6, 0, false, false },
		{ "a mark without an end", "X\nS " HEX64, 68, 0, false, false },
		{ "a mark and more", "\nS " HEX64 "x\n", 69, 16, true, true },
		{ "a mark with a NUL", "\nS ab\0" HEX64 "\n", 71, 16, true,
		  true },
		{ "no mark", "\nS xb" HEX64 "\n", 70, 16, true, true },
	};
	size_t length, zeros;
	char *text;

	OK(audit_open());
	fill(1);
	audit_close();
	forge_keep();
	free(audit_file(ONLY, &length));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		zeros = rows[i].zeros;
		if (rows[i].page)
			zeros += 512 - (length + zeros) % 512;
		text = calloc(1, zeros + 1);
		forge_restore();
		forge_append(ONLY, text, zeros);
		forge_append(ONLY, rows[i].bytes, rows[i].length);
		free(text);
		cr_assert_eq(look(false), ATOM_OK);
		cr_assert_eq(result.verdict,
			     rows[i].torn ? VERIFY_SOUND : VERIFY_TAMPERED,
			     "%s: %s", rows[i].what, result.reason);
		cr_assert_eq(result.torn_bytes,
			     rows[i].torn ? zeros + rows[i].length : 0);
	}
}

/* --- an unsealer that lies ------------------------------------------------------------ */

static enum lie {
	TEXT,
	NO_END,
	FEWER,
	MORE,
	CHANGED,
	NO_MEMORY,
	REFUSED,
	REFUSED_WITH_REASON,
} lie;

static atom_status lie_about(void *argument, const struct atom_span *identity,
			     const struct atom_span *sealed, char *out,
			     size_t *length_r, struct atom_error *why)
{
	const char more[] = "R 9 " HEX64 " {}\n";
	atom_status status =
		audit_unseal(argument, identity, sealed, out, length_r, why);
	char *last;

	if (status != ATOM_OK)
		return status;
	switch (lie) {
	case TEXT:
		memcpy(out, "R one\n", *length_r = 6);
		break;
	case NO_END:
		--*length_r;
		break;
	case FEWER:
		last = memrchr(out, '\n', *length_r - 1);
		*length_r = last != NULL ? (size_t)(last + 1 - out) : 0;
		break;
	case MORE:
		memcpy(out, more, *length_r = sizeof(more) - 1);
		break;
	case CHANGED:
		out[*length_r - 3] ^= 1;
		break;
	case NO_MEMORY:
		return ATOM_ENOMEM;
	case REFUSED:
		return ATOM_EDATALOSS;
	default:
		return atom_fail(why, ATOM_EDATALOSS, "for a reason");
	}
	return ATOM_OK;
}

Test(audit_closed_log, what_was_sealed_is_what_the_line_names)
{
	static const struct {
		enum lie lie;
		const char *word;
	} rows[] = {
		{ TEXT, "something else than the records it names" },
		{ NO_END, "something else than the records it names" },
		{ MORE, "something else than the records it names" },
		{ FEWER, "fewer records than it names" },
		{ CHANGED, "and the hash that stands with it" },
		{ REFUSED, "does not open" },
		{ REFUSED_WITH_REASON, "does not open: for a reason" },
	};

	audit_options.encrypt = 1;
	OK(audit_open());
	audit_fill(3);
	audit_close();
	unsealer.open = lie_about;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		lie = rows[i].lie;
		expect(VERIFY_TAMPERED, rows[i].word);
	}
	lie = NO_MEMORY;
	cr_assert_eq(look(false), ATOM_ENOMEM);
}

/* --- notes kept outside, keys, heads -------------------------------------------------- */

static void expect_with_notes(enum verify_verdict verdict, const char *word)
{
	cr_assert_eq(look(true), ATOM_OK, "%s", err.message);
	cr_assert_eq(result.verdict, verdict, "%s", result.reason);
	cr_assert_not_null(strstr(result.reason, word), "%s", result.reason);
}

Test(audit_closed_log, notes_need_a_key_and_are_signed_by_it)
{
	char note[NOTE_TEXT_MAX];
	size_t length;

	OK(audit_open());
	audit_fill(3);
	keep_note();
	expect_with_notes(VERIFY_INCOMPLETE, "no key to verify them by");
	OK(audit_checkpoint());
	audit_close();
	expect_with_notes(VERIFY_SOUND, "");
	cr_assert_eq(result.notes, 1);
	outside_fini(&notes);
	length = audit_note(note);
	note[length - 10] = note[length - 10] == 'A' ? 'B' : 'A';
	OK(outside_add_text(&notes, "kept", note, length, &audit_err));
	expect_with_notes(VERIFY_TAMPERED, "kept outside:");
}

/* Signed by the log's key: root and chain are looked at each for itself. */
Test(audit_closed_log, a_note_of_another_chain_is_of_another_log)
{
	struct note_head head = { .time_ms = audit_now_ms };
	char note[NOTE_TEXT_MAX];
	size_t length;

	OK(audit_open());
	OK(audit_checkpoint()); /* of no records */
	keep_note();
	fill(1);
	audit_close();
	expect_with_notes(VERIFY_SOUND, "");
	cr_assert_eq(result.notes, 1);
	memcpy(head.log_id, audit_log.signer.log_id, sizeof(head.log_id));
	head.size = audit_log.sequence;
	cr_assert(tree_root(&audit_log.range, head.root));
	memcpy(head.chain, audit_log.hash, sizeof(head.chain));
	head.chain[0] ^= 1;
	OK(note_make(&audit_log.signer, &head, note, &length, &audit_err));
	OK(outside_add_text(&notes, "kept", note, length, &audit_err));
	expect_with_notes(VERIFY_TAMPERED, "written anew");
}

Test(audit_closed_log, without_the_keyring_signed_heads_lead_on)
{
	struct verify_request request = { .path = audit_path,
					  .outside = &notes };

	make_log(true);
	cr_assert_eq(verify_log(&request, &result, &err), ATOM_OK);
	cr_assert_eq(result.verdict, VERIFY_INCOMPLETE);
	cr_assert_not_null(strstr(result.reason, "keyring"));
	cr_assert_gt(result.notes, 0);
	/* Even where the one at the end of a segment is gone: the next one's
	 * head has it. */
	forge_edit(&(struct forge_edit){ FORGE_SEGMENT(2), "C ", 0, 0, "-" });
	forge_log();
	verify_result_fini(&result);
	cr_assert_eq(verify_log(&request, &result, &err), ATOM_OK);
	cr_assert_eq(result.verdict, VERIFY_INCOMPLETE);
	cr_assert_not_null(strstr(result.reason, "keyring"), "%s",
			   result.reason);
}

Test(audit_closed_log, another_log_s_key_is_not_this_one_s)
{
	struct verify_request request = { .path = audit_path };
	struct note_signer other;
	uint8_t seed[NOTE_KEY_BYTES] = { 3 };

	make_log(false);
	OK(note_signer_init(&other, "ffffffffffffffff", seed, &audit_err));
	request.key = &other.verifier;
	cr_assert_eq(verify_log(&request, &result, &err), ATOM_OK);
	cr_assert_eq(result.verdict, VERIFY_TAMPERED);
	cr_assert_not_null(strstr(result.reason, "not the one that was given"));
}

Test(audit_closed_log, a_head_may_be_missing_behind_the_very_first_alone)
{
	OK(audit_open());
	fill(1);
	audit_close();
	forge_remove("head");
	expect(VERIFY_SOUND, "");
	audit_remove(audit_path);
	audit_end();
	audit_begin();
	make_log(false);
	forge_remove("head");
	expect(VERIFY_INCOMPLETE, "no signed head in the folder");
	/* What is kept has one of its own, and more were there before. */
	forge_remove(NEWEST);
	forge_remove(FORGE_SEGMENT(4));
	forge_remove(FORGE_SEGMENT(3));
	expect(VERIFY_INCOMPLETE, "no signed head in the folder");
}
