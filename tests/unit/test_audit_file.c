/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file sink as the daemon loads it: what it keeps, what it hands back,
 * what it refuses.
 */
#include "file_sink_fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void begin(void)
{
	audit_load();
	audit_begin();
}

TestSuite(audit_file, .init = begin, .fini = audit_end);

#define OK(call) cr_assert_eq(call, ATOM_OK, "%s", audit_err.message)

/* What a reading saw. */
struct seen {
	uint64_t first, last, count;
	uint64_t stop_at;
	bool wrong;
};

static int32_t see(void *argument, const struct atom_audit_record *record)
{
	struct seen *seen = argument;
	struct atom_audit_record expected = audit_record(record->sequence);

	if (seen->count++ == 0)
		seen->first = record->sequence;
	else if (record->sequence != seen->last + 1)
		seen->wrong = true;
	seen->last = record->sequence;
	if (record->json.length != expected.json.length ||
	    memcmp(record->json.bytes, expected.json.bytes,
		   expected.json.length) != 0 ||
	    strcmp(record->category, expected.category) != 0 ||
	    strcmp(record->event_type, expected.event_type) != 0 ||
	    record->severity != expected.severity ||
	    record->time_ms != expected.time_ms)
		seen->wrong = true;
	return seen->last == seen->stop_at;
}

static void expect_read(uint64_t after, uint64_t limit, uint64_t first,
			uint64_t last)
{
	struct seen seen = { 0 };

	OK(audit_ops->read(audit_sink, after, limit, see, &seen, &audit_err));
	cr_assert(!seen.wrong);
	cr_assert_eq(seen.count, last ? last - first + 1 : 0,
		     "%d of %d to %d, of %d", (int)seen.count, (int)first,
		     (int)last, (int)audit_log.sequence);
	cr_assert_eq(seen.last, last);
	if (last)
		cr_assert_eq(seen.first, first);
}

/* Records and a checkpoint, until there are so many segments. */
static void fill_segments(unsigned int segments)
{
	char name[64];
	struct stat st;
	char path[256];

	audit_options.segment_size = 8192;
	do {
		audit_fill(23);
		OK(audit_checkpoint());
		(void)snprintf(name, sizeof(name), "segment-%08u.log",
			       segments);
		(void)snprintf(path, sizeof(path), "%s/%s", audit_path, name);
	} while (stat(path, &st) != 0);
}

static void expect_mode(const char *name, mode_t mode)
{
	struct stat st;
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", audit_path, name);
	cr_assert_eq(stat(path, &st), 0, "%s", path);
	cr_assert_eq(st.st_mode & 07777, mode, "%s %o", name, st.st_mode);
}

Test(audit_file, keeps_records_over_a_restart)
{
	OK(audit_open());
	audit_fill(300);
	OK(audit_checkpoint());
	audit_fill(10);
	audit_close();
	OK(audit_open());
	struct audit_log before = audit_log;
	audit_log.sequence = 0;
	OK(audit_resume());
	cr_assert_eq(audit_log.sequence, 310);
	cr_assert_arr_eq(audit_log.hash, before.hash, 32);
	cr_assert_eq(audit_log.range.size, 310);
	audit_fill(5);
	OK(audit_checkpoint());
	expect_read(0, UINT64_MAX, 1, 315);
}

Test(audit_file, hands_back_the_signed_head_it_was_given)
{
	struct atom_audit_position position = { .struct_size =
							sizeof(position) };
	char note[NOTE_TEXT_MAX];
	size_t length;

	OK(audit_open());
	audit_fill(100);
	OK(audit_checkpoint());
	length = audit_note(note);
	audit_fill(3);
	audit_close();
	OK(audit_open());
	OK(audit_ops->last(audit_sink, &position, &audit_err));
	cr_assert_eq(position.sequence, 103);
	cr_assert_eq(position.checkpoint, 100);
	cr_assert_eq(position.note.length, length);
	cr_assert_arr_eq(position.note.bytes, note, length);
}

Test(audit_file, is_read_by_range_while_it_is_written)
{
	OK(audit_open());
	fill_segments(4);
	audit_fill(5);
	OK(audit_write(3)); /* not synced: nobody may see them */
	uint64_t last = audit_log.sequence - 3;
	expect_read(0, UINT64_MAX, 1, last);
	expect_read(0, 1, 1, 1);
	expect_read(last - 1, 100, last, last);
	expect_read(last, 100, 0, 0);
	for (uint64_t after = 0; after + 7 <= last; after += 11)
		expect_read(after, 7, after + 1, after + 7);
	struct seen seen = { .stop_at = 9 };
	OK(audit_ops->read(audit_sink, 4, 100, see, &seen, &audit_err));
	cr_assert_eq(seen.count, 5);
}

Test(audit_file, sealed_segments_read_the_same_and_show_nothing)
{
	size_t length;

	audit_options.encrypt = 1;
	OK(audit_open());
	fill_segments(3);
	audit_fill(7);
	expect_read(0, UINT64_MAX, 1, audit_log.sequence);
	expect_read(40, 31, 41, 71);
	char *text = audit_file("segment-00000001.log", &length);
	cr_assert(text);
	cr_assert_null(strstr(text, "test.record"));
	cr_assert_null(strstr(text, "security_events"));
	free(text);
	uint64_t last = audit_log.sequence;
	audit_close();
	OK(audit_open());
	OK(audit_resume());
	cr_assert_eq(audit_log.sequence, last);
}

Test(audit_file, sealing_begins_and_ends_with_a_segment)
{
	OK(audit_open());
	audit_fill(20);
	audit_close();
	audit_options.encrypt = 1;
	OK(audit_open());
	OK(audit_resume());
	audit_fill(20);
	OK(audit_checkpoint());
	audit_fill(20);
	OK(audit_checkpoint());
	audit_close();
	audit_options.encrypt = 0;
	OK(audit_open());
	OK(audit_resume());
	audit_fill(20);
	expect_read(0, UINT64_MAX, 1, 80);
	size_t length;
	char *text = audit_file("segment-00000002.log", &length);
	cr_assert(text && strstr(text, "\nreason encrypt\n"));
	cr_assert(strstr(text, "\nE 41 "));
	free(text);
	text = audit_file("segment-00000003.log", &length);
	cr_assert(text && strstr(text, "\nR 61 "));
	free(text);
}

Test(audit_file, does_not_seal_without_a_keyring)
{
	audit_options.encrypt = 1;
	audit_has_seal = false;
	cr_assert_eq(audit_open(), ATOM_ENOTSUP);
	cr_assert(strstr(audit_err.message, "atom.seal/1"), "%s",
		  audit_err.message);
}

Test(audit_file, files_are_for_nobody_else)
{
	OK(audit_open());
	audit_fill(3);
	OK(audit_checkpoint());
	expect_mode("", 0700);
	expect_mode("segment-00000001.log", 0600);
	expect_mode("head", 0600);
	expect_mode("verifier.pub", 0600);
	expect_mode("reserve", 0600);
}

Test(audit_file, a_folder_that_others_may_write_to_is_refused)
{
	cr_assert_eq(mkdir(audit_path, 0700), 0);
	cr_assert_eq(chmod(audit_path, 0770), 0);
	cr_assert_eq(audit_open(), ATOM_EPERM);
	cr_assert(strstr(audit_err.message, "chmod 0700"), "%s",
		  audit_err.message);
}

Test(audit_file, a_link_in_place_of_a_segment_is_not_followed)
{
	char path[256];

	OK(audit_open());
	audit_fill(3);
	audit_close();
	(void)snprintf(path, sizeof(path), "%s/segment-00000002.log",
		       audit_path);
	cr_assert_eq(symlink("segment-00000001.log", path), 0);
	OK(audit_open());
	cr_assert_eq(audit_resume(), ATOM_EIO);
	cr_assert(strstr(audit_err.message, "segment-00000002.log"), "%s",
		  audit_err.message);
}

Test(audit_file, has_one_writer)
{
	void *first;

	OK(audit_open());
	first = audit_sink;
	cr_assert_eq(audit_open(), ATOM_EBUSY);
	cr_assert(strstr(audit_err.message, "another writer"), "%s",
		  audit_err.message);
	audit_sink = first;
	audit_close();
	OK(audit_open());
}

Test(audit_file, refuses_what_does_not_follow)
{
	struct atom_audit_record record;

	OK(audit_open());
	audit_fill(5);
	record = audit_record(7);
	cr_assert_eq(audit_ops->write(audit_sink, &record, 1, sizeof(record),
				      &audit_err),
		     ATOM_EINVAL);
	record = audit_record(6);
	record.json = (struct atom_span){ "{}\n", 3 };
	cr_assert_eq(audit_ops->write(audit_sink, &record, 1, sizeof(record),
				      &audit_err),
		     ATOM_EINVAL);
	audit_fill(5);
	expect_read(0, UINT64_MAX, 1, 10);
}

Test(audit_file, a_foreign_key_is_refused)
{
	uint8_t seed[NOTE_KEY_BYTES] = { 1 };

	OK(audit_open());
	audit_fill(5);
	OK(audit_checkpoint());
	OK(note_signer_init(&audit_log.signer, "00112233445566aa", seed,
			    &audit_err));
	audit_fill(5);
	cr_assert_eq(audit_checkpoint(), ATOM_ESTATE);
	cr_assert(strstr(audit_err.message, "belongs to the log"), "%s",
		  audit_err.message);
}

Test(audit_file, a_segment_ends_by_age_too)
{
	size_t length;
	char *text;

	audit_options.segment_age = 60000;
	OK(audit_open());
	audit_fill(5);
	OK(audit_checkpoint());
	audit_now_ms += 60000;
	audit_fill(5);
	text = audit_file("segment-00000002.log", &length);
	cr_assert(text && strstr(text, "\nreason age\n"));
	cr_assert(strstr(text, "\nbefore 5 "));
	free(text);
}

/* --- crashes -------------------------------------------------------------- */

Test(audit_file, a_torn_tail_is_cut_off)
{
	size_t length;
	char *text;

	OK(audit_open());
	audit_fill(40);
	OK(audit_checkpoint());
	audit_fill(4);
	OK(audit_write(4));
	audit_close();
	text = audit_file("segment-00000001.log", &length);
	cr_assert(text);
	char *torn = strstr(text, "\nR 47 ");
	cr_assert(torn);
	for (size_t cut = (size_t)(torn + 1 - text); cut < length; cut += 13) {
		audit_put_file("segment-00000001.log", text, cut);
		OK(audit_open());
		OK(audit_resume());
		cr_assert_geq(audit_log.sequence, 46);
		audit_fill(3);
		expect_read(0, UINT64_MAX, 1, audit_log.sequence);
		audit_close();
	}
	free(text);
}

Test(audit_file, a_page_that_was_never_written_is_cut_off)
{
	size_t length;
	char *text;

	OK(audit_open());
	audit_fill(30);
	OK(audit_write(6));
	audit_close();
	text = audit_file("segment-00000001.log", &length);
	char *lost = strstr(text, "\nR 33 ");
	cr_assert(lost);
	memset(lost + 40, 0, length - (size_t)(lost + 40 - text));
	audit_put_file("segment-00000001.log", text, length);
	free(text);
	OK(audit_open());
	OK(audit_resume());
	cr_assert_eq(audit_log.sequence, 32);
	cr_assert_str_eq(audit_event, "audit_tail_cut");
}

static void expect_damage(const char *text, size_t length)
{
	audit_put_file("segment-00000001.log", text, length);
	OK(audit_open());
	cr_assert_eq(audit_resume(), ATOM_EDATALOSS);
	cr_assert(strstr(audit_err.message, "segment-00000001.log"), "%s",
		  audit_err.message);
	audit_close();
}

Test(audit_file, what_had_been_synced_is_never_cut_off)
{
	size_t length;
	char *text;

	OK(audit_open());
	audit_fill(30);
	OK(audit_checkpoint());
	audit_fill(9);
	audit_close();
	text = audit_file("segment-00000001.log", &length);
	/* A flipped bit of each line, its end included. */
	for (char *line = strchr(text, '\n') + 1; *line;) {
		char *end = strchr(line, '\n');

		line[(size_t)(end - line) / 2] ^= 4;
		expect_damage(text, length);
		line[(size_t)(end - line) / 2] ^= 4;
		*end ^= 32;
		expect_damage(text, length);
		*end ^= 32;
		line = end + 1;
	}
	free(text);
}

Test(audit_file, a_log_shorter_than_its_signed_head_is_refused)
{
	size_t length;
	char *text;

	OK(audit_open());
	audit_fill(30);
	OK(audit_checkpoint());
	audit_close();
	text = audit_file("segment-00000001.log", &length);
	audit_put_file("segment-00000001.log", text,
		       (size_t)(strstr(text, "\nR 20 ") + 1 - text));
	free(text);
	OK(audit_open());
	cr_assert_eq(audit_resume(), ATOM_EDATALOSS);
	cr_assert(strstr(audit_err.message, "covers 30 records"), "%s",
		  audit_err.message);
}

Test(audit_file, half_made_files_are_removed_at_the_start)
{
	size_t length;

	OK(audit_open());
	audit_fill(3);
	OK(audit_checkpoint());
	audit_close();
	audit_put_file("segment-00000002.log.new", "atomd-au", 8);
	audit_put_file("head.new", "at", 2);
	audit_put_file("notes.new", "mine", 4);
	OK(audit_open());
	OK(audit_resume());
	cr_assert_null(audit_file("segment-00000002.log.new", &length));
	cr_assert_null(audit_file("head.new", &length));
	char *kept = audit_file("notes.new", &length);
	cr_assert(kept);
	free(kept);
}

/* --- forgetting ----------------------------------------------------------- */

Test(audit_file, prunes_whole_segments_and_leaves_a_tombstone)
{
	uint64_t removed, again;
	size_t length;

	OK(audit_open());
	fill_segments(5);
	OK(audit_ops->prune(audit_sink, 150, &removed, &audit_err));
	cr_assert_gt(removed, 50);
	cr_assert_leq(removed, 150);
	expect_read(0, UINT64_MAX, removed + 1, audit_log.sequence);
	char *text = audit_file("tombstones", &length);
	cr_assert(text);
	cr_assert_eq(strncmp(text, "T 1 ", 4), 0);
	free(text);
	OK(audit_ops->prune(audit_sink, 150, &again, &audit_err));
	cr_assert_eq(again, 0);
	OK(audit_ops->prune(audit_sink, UINT64_MAX, &again, &audit_err));
	cr_assert_gt(again, 0);
	audit_fill(5);
	uint64_t last = audit_log.sequence;
	audit_close();
	OK(audit_open());
	OK(audit_resume());
	cr_assert_eq(audit_log.sequence, last);
	expect_read(0, UINT64_MAX, removed + again + 1, last);
}

Test(audit_file, a_removal_that_was_cut_short_is_ended_at_the_start)
{
	uint64_t removed;
	size_t length;
	char *first;

	OK(audit_open());
	fill_segments(4);
	first = audit_file("segment-00000001.log", &length);
	OK(audit_ops->prune(audit_sink, UINT64_MAX, &removed, &audit_err));
	audit_close();
	audit_put_file("segment-00000001.log", first, length);
	free(first);
	OK(audit_open());
	OK(audit_resume());
	cr_assert_null(audit_file("segment-00000001.log", &length));
	expect_read(0, UINT64_MAX, removed + 1, audit_log.sequence);
}

Test(audit_file, retention_removes_what_is_older)
{
	audit_options.retention = 3600000;
	OK(audit_open());
	fill_segments(3);
	audit_now_ms += 1800000;
	audit_fill(30);
	OK(audit_checkpoint());
	struct seen seen = { 0 };
	OK(audit_ops->read(audit_sink, 0, 1, see, &seen, &audit_err));
	cr_assert_eq(seen.first, 1);
	audit_now_ms += 1900000;
	OK(audit_checkpoint());
	seen = (struct seen){ 0 };
	OK(audit_ops->read(audit_sink, 0, 1, see, &seen, &audit_err));
	cr_assert_gt(seen.first, 1);
	cr_assert_str_eq(audit_event, "audit_pruned");
}

Test(audit_file, retention_goes_on_where_the_clock_was_ahead_once)
{
	const int64_t year_ms = INT64_C(31536000000);
	uint64_t ahead;

	audit_options.retention = 3600000;
	audit_now_ms += year_ms;
	OK(audit_open());
	fill_segments(3);
	ahead = audit_log.sequence;
	audit_now_ms -= year_ms;
	fill_segments(6);
	audit_now_ms += 7200000;
	audit_fill(30);
	OK(audit_checkpoint());
	struct seen seen = { 0 };
	OK(audit_ops->read(audit_sink, 0, 1, see, &seen, &audit_err));
	cr_assert_gt(seen.first, ahead);
}

static off_t bytes_of_segments(void)
{
	off_t bytes = 0;
	struct stat st;
	char path[256];

	for (int i = 1; i < 100; i++) {
		(void)snprintf(path, sizeof(path), "%s/segment-%08d.log",
			       audit_path, i);
		if (stat(path, &st) == 0)
			bytes += st.st_size;
	}
	return bytes;
}

static void expect_bounded(void)
{
	for (int i = 0; i < 60; i++) {
		audit_fill(20);
		audit_now_ms += 61000;
		OK(audit_checkpoint());
	}
	cr_assert_lt(bytes_of_segments(), 40000 + 16384);
	cr_assert_gt(bytes_of_segments(), 20000);
}

Test(audit_file, keep_size_bounds_the_folder)
{
	audit_options.keep_size = 40000;
	audit_options.segment_size = 8192;
	OK(audit_open());
	expect_bounded();
}

Test(audit_file, keep_size_bounds_the_folder_after_the_clock_was_set_back)
{
	const int64_t year_ms = INT64_C(31536000000);

	audit_options.keep_size = 40000;
	audit_options.segment_size = 8192;
	OK(audit_open());
	audit_now_ms += year_ms;
	audit_fill(1);
	OK(audit_checkpoint());
	audit_now_ms -= year_ms;
	expect_bounded();
}
