/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log that could not be looked at as a whole is never called sound: memory,
 * OpenSSL and the disk fail, and files go meanwhile.
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

TestSuite(audit_closed_log, .init = begin, .fini = finish, .timeout = 600);

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
