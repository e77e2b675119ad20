/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `atomctl audit verify` says of logs that are as they were written, that
 * a crash has torn, and that somebody or something has changed.
 */
#include "effort.h"
#include "file_sink_fixture.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/verify.h"
#include "core/os.h"

#define CHANGES 1000

#define OK(call) cr_assert_eq(call, ATOM_OK, "%s", audit_err.message)

static struct verify_result result;
static const struct verify_unsealer unsealer = { .open = audit_unseal };

static void begin(void)
{
	audit_load();
	audit_begin();
	audit_options.segment_size = 8192;
}

TestSuite(audit_verify, .init = begin, .fini = audit_end, .timeout = 240);

/* --- one look ------------------------------------------------------------- */

static enum verify_verdict look_with(struct verify_request *request)
{
	struct atom_error err = ATOM_ERROR_INIT;

	verify_result_fini(&result);
	request->path = audit_path;
	cr_assert_eq(verify_log(request, &result, &err), ATOM_OK, "%s",
		     err.message);
	return result.verdict;
}

static enum verify_verdict look(void)
{
	struct verify_request request = { .unsealer = &unsealer };

	return look_with(&request);
}

static void expect_sound(void)
{
	cr_assert_eq(look(), VERIFY_SOUND, "%s at %llu: %s", result.file,
		     (unsigned long long)result.offset, result.reason);
	cr_assert_eq(result.first_bad, 0);
}

/* Records with a checkpoint now and then, and one at the end: a log as a
 * daemon that was stopped leaves it. */
static void fill(size_t rounds)
{
	for (size_t i = 0; i < rounds; i++) {
		audit_fill(17 + i % 7);
		audit_now_ms += 1000;
		OK(audit_checkpoint());
	}
}

static int changes;

static void make_log(void)
{
	changes = effort(CHANGES);
	uint64_t removed;

	OK(audit_open());
	fill(20);
	OK(audit_ops->prune(audit_sink, 100, &removed, &audit_err));
	cr_assert_gt(removed, 0);
	fill(3);
	OK(audit_ops->prune(audit_sink, 200, &removed, &audit_err));
	cr_assert_gt(removed, 0);
	fill(3);
	audit_close();
	expect_sound();
	cr_assert_gt(result.pruned, 100);
	cr_assert_eq(result.last, audit_log.sequence);
	cr_assert_eq(result.records, audit_log.sequence - result.pruned);
	cr_assert_eq(result.signed_records, audit_log.sequence);
}

/* --- changes -------------------------------------------------------------- */

/* The files of the log, in one order whatever the disk's is. */
static struct file {
	char name[64];
	char *bytes;
	size_t length;
} files[64];
static size_t file_count;

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct file *)a)->name,
		      ((const struct file *)b)->name);
}

static void read_files(void)
{
	DIR *names = opendir(audit_path);
	struct dirent *entry;

	while (file_count > 0)
		free(files[--file_count].bytes);
	while ((entry = readdir(names)) != NULL) {
		struct file *file = &files[file_count];

		if (entry->d_name[0] == '.')
			continue;
		(void)snprintf(file->name, sizeof(file->name), "%.60s",
			       entry->d_name);
		file->bytes = audit_file(file->name, &file->length);
		file_count++;
	}
	(void)closedir(names);
	qsort(files, file_count, sizeof(*files), by_name);
}

static void restore(const struct file *file)
{
	audit_put_file(file->name, file->bytes, file->length);
}

static unsigned int seed = 1;

static size_t any(size_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (size_t)(((uint64_t)(seed >> 4) * below) >> 28);
}

/* A log that needs more than what it is given is incomplete before it is
 * changed: the change must be named as such. */
static bool is_found(enum verify_verdict (*verify)(void))
{
	return verify() != VERIFY_SOUND &&
	       (result.file[0] != '\0' || result.first_bad > 0);
}

static void expect_flips_found(enum verify_verdict (*verify)(void))
{
	read_files();
	cr_assert_gt(file_count, 3);
	for (int i = 0; i < changes; i++) {
		struct file *file = &files[any(file_count)];
		size_t at = any(file->length);
		int bit = (int)any(8);

		file->bytes[at] = (char)(file->bytes[at] ^ 1 << bit);
		restore(file);
		cr_assert(is_found(verify), "bit %d of byte %zu of %s", bit, at,
			  file->name);
		file->bytes[at] = (char)(file->bytes[at] ^ 1 << bit);
		restore(file);
	}
	cr_assert(!is_found(verify), "%s", result.reason);
}

/* The n-th line that begins with this letter, with its end. */
static bool find_line(const struct file *file, char letter, size_t n,
		      struct atom_span *line_r)
{
	const char *at = file->bytes, *end = at + file->length;

	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at)) + 1;

		if (at[0] == letter && at[1] == ' ' && n-- == 0) {
			*line_r = (struct atom_span){ at, (size_t)(stop - at) };
			return true;
		}
		at = stop;
	}
	return false;
}

static struct file *any_segment(size_t *lines_r, char letter)
{
	struct file *file;
	struct atom_span line;

	do {
		file = &files[any(file_count)];
		*lines_r = 0;
		if (strncmp(file->name, "segment-", 8) == 0)
			while (find_line(file, letter, *lines_r, &line))
				++*lines_r;
	} while (*lines_r < 2);
	return file;
}

static void expect_deletions_found(char letter)
{
	read_files();
	for (int i = 0; i < changes; i++) {
		size_t lines;
		struct file *file = any_segment(&lines, letter);
		char *bytes = malloc(file->length);
		struct atom_span line;
		size_t before;

		cr_assert(find_line(file, letter, any(lines), &line));
		before = (size_t)(line.bytes - file->bytes);
		memcpy(bytes, file->bytes, before);
		memcpy(bytes + before, line.bytes + line.length,
		       file->length - before - line.length);
		audit_put_file(file->name, bytes, file->length - line.length);
		cr_assert_neq(look(), VERIFY_SOUND, "byte %zu of %s", before,
			      file->name);
		cr_assert_gt(result.first_bad, 0);
		restore(file);
		free(bytes);
	}
}

static void expect_swaps_found(char letter)
{
	read_files();
	for (int i = 0; i < changes; i++) {
		size_t lines;
		struct file *file = any_segment(&lines, letter);
		char *bytes = malloc(file->length), *at = bytes;
		struct atom_span a, b;
		size_t first = any(lines - 1);
		size_t second = first + 1 + any(lines - 1 - first);

		cr_assert(find_line(file, letter, first, &a));
		cr_assert(find_line(file, letter, second, &b));
		const char *parts[] = { file->bytes, b.bytes,
					a.bytes + a.length, a.bytes,
					b.bytes + b.length };
		const size_t lengths[] = {
			(size_t)(a.bytes - file->bytes), b.length,
			(size_t)(b.bytes - a.bytes) - a.length, a.length,
			file->length -
				(size_t)(b.bytes + b.length - file->bytes)
		};
		for (size_t part = 0; part < 5; part++) {
			memcpy(at, parts[part], lengths[part]);
			at += lengths[part];
		}
		audit_put_file(file->name, bytes, file->length);
		cr_assert_eq(look(), VERIFY_TAMPERED, "%zu and %zu of %s",
			     first, second, file->name);
		cr_assert_gt(result.first_bad, 0);
		restore(file);
		free(bytes);
	}
}

static void expect_cuts_found(void)
{
	read_files();
	for (int i = 0; i < changes; i++) {
		struct file *file = &files[any(file_count)];
		size_t at = any(file->length);

		audit_put_file(file->name, file->bytes, at);
		cr_assert_neq(look(), VERIFY_SOUND, "%s cut at %zu", file->name,
			      at);
		restore(file);
	}
	for (size_t i = 0; i < file_count; i++) {
		char path[512];

		if (strcmp(files[i].name, "reserve") == 0)
			continue;
		(void)snprintf(path, sizeof(path), "%.80s/%.63s", audit_path,
			       files[i].name);
		cr_assert_eq(unlink(path), 0);
		cr_assert_neq(look(), VERIFY_SOUND, "%s removed",
			      files[i].name);
		restore(&files[i]);
	}
	expect_sound();
}

Test(audit_verify, finds_each_flipped_bit)
{
	make_log();
	expect_flips_found(look);
}

Test(audit_verify, finds_each_deleted_record)
{
	make_log();
	expect_deletions_found('R');
}

Test(audit_verify, finds_each_swap_of_records)
{
	make_log();
	expect_swaps_found('R');
}

Test(audit_verify, finds_each_cut_file_and_each_missing_one)
{
	make_log();
	expect_cuts_found();
}

Test(audit_verify, finds_changes_of_sealed_segments)
{
	audit_options.encrypt = 1;
	make_log();
	expect_flips_found(look);
	changes = effort(CHANGES / 4);
	expect_deletions_found('E');
	expect_swaps_found('E');
	expect_cuts_found();
}

static enum verify_verdict look_without_key(void)
{
	struct verify_request request = { 0 };

	return look_with(&request);
}

Test(audit_verify, sealed_segments_are_looked_at_without_the_keyring)
{
	audit_options.encrypt = 1;
	make_log();
	cr_assert_eq(look_without_key(), VERIFY_INCOMPLETE);
	cr_assert_gt(result.unread, 100);
	cr_assert_eq(result.unread, result.records);
	cr_assert_eq(result.first_bad, 0);
	cr_assert(strstr(result.reason, "keyring"), "%s", result.reason);
	expect_flips_found(look_without_key);
}

Test(audit_verify, finds_flipped_bits_in_a_tail_that_is_not_signed)
{
	OK(audit_open());
	fill(2);
	audit_fill(40);
	audit_close();
	expect_sound();
	cr_assert_eq(result.last, audit_log.sequence);
	cr_assert_eq(result.signed_records, audit_log.sequence - 40);
	expect_flips_found(look);
}

/* --- names the place ------------------------------------------------------ */

Test(audit_verify, names_the_first_bad_record)
{
	size_t length;
	char *text;

	OK(audit_open());
	fill(1);
	audit_close();
	text = audit_file("segment-00000001.log", &length);
	char *at = strstr(text, "\nR 9 ") + 90;
	*at ^= 1;
	audit_put_file("segment-00000001.log", text, length);
	cr_assert_eq(look(), VERIFY_TAMPERED);
	cr_assert_eq(result.first_bad, 9);
	cr_assert_str_eq(result.file, "segment-00000001.log");
	cr_assert_eq(result.offset,
		     (uint64_t)(strstr(text, "\nR 9 ") + 1 - text));
	cr_assert_eq(result.records, 8);
	free(text);
}

Test(audit_verify, names_what_a_missing_segment_had)
{
	char path[256];

	OK(audit_open());
	fill(10);
	audit_close();
	(void)snprintf(path, sizeof(path), "%s/segment-00000002.log",
		       audit_path);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(look(), VERIFY_INCOMPLETE);
	cr_assert_str_eq(result.file, "segment-00000002.log");
	cr_assert_eq(result.first_bad, result.records + 1);
}

/* --- what is sound -------------------------------------------------------- */

Test(audit_verify, a_log_that_is_being_written_is_sound)
{
	OK(audit_open());
	for (int i = 0; i < 40; i++) {
		audit_fill(7);
		expect_sound();
		cr_assert_eq(result.records, audit_log.sequence);
		if (i % 3 == 0)
			OK(audit_checkpoint());
		expect_sound();
	}
}

static struct os whole_os;
static int hidden;

/* The first `hidden` files that a checkpoint writes are not there yet. */
static int open_before_checkpoint(const char *path, int flags, mode_t mode)
{
	if (hidden > 0 && (strstr(path, "/verifier.pub") != NULL ||
			   strstr(path, "/head") != NULL)) {
		hidden--;
		errno = ENOENT;
		return -1;
	}
	return whole_os.open(path, flags, mode);
}

Test(audit_verify, a_log_that_is_signed_meanwhile_is_sound)
{
	OK(audit_open());
	fill(1);
	whole_os = os;
	os.open = open_before_checkpoint;
	/* The key alone: the head tells; and both: a line of the segment. */
	for (int unseen = 1; unseen <= 2; unseen++) {
		hidden = unseen;
		expect_sound();
		cr_assert_eq(hidden, 0);
		cr_assert_eq(result.signed_records, audit_log.sequence);
	}
	os = whole_os;
	audit_close();
}

Test(audit_verify, a_torn_tail_is_sound)
{
	size_t length;
	char *text;

	audit_options.segment_size = 1 << 20;
	OK(audit_open());
	fill(2);
	audit_fill(4);
	OK(audit_write(3));
	audit_close();
	text = audit_file("segment-00000001.log", &length);
	char word[32];
	(void)snprintf(word, sizeof(word), "\nR %d ",
		       (int)audit_log.sequence - 1);
	size_t torn = (size_t)(strstr(text, word) + 1 - text);
	cr_assert_gt(length, torn);
	for (size_t cut = torn; cut < length; cut += 7) {
		audit_put_file("segment-00000001.log", text, cut);
		expect_sound();
		cr_assert_leq(result.torn_bytes, cut - torn);
		cr_assert_geq(result.last, audit_log.sequence - 2);
	}
	memset(text + torn + 50, 0, length - torn - 50);
	audit_put_file("segment-00000001.log", text, length);
	expect_sound();
	cr_assert_eq(result.torn_bytes, length - torn);
	free(text);
}

Test(audit_verify, what_does_not_belong_is_told_and_changes_nothing)
{
	OK(audit_open());
	fill(1);
	audit_close();
	audit_put_file("notes.txt", "mine", 4);
	audit_put_file("head.new", "half", 4);
	expect_sound();
	cr_assert_str_eq(result.unknown.bytes, "notes.txt\n");
	cr_assert_str_eq(result.unfinished.bytes, "head.new\n");
}

Test(audit_verify, a_folder_without_a_log_has_no_verdict)
{
	struct verify_request request = { .path = audit_folder };
	struct atom_error err = ATOM_ERROR_INIT;

	cr_assert_eq(verify_log(&request, &result, &err), ATOM_ENOENT);
	cr_assert(strstr(err.message, "holds no audit log"), "%s", err.message);
	request.path = "/nowhere/at/all";
	cr_assert_eq(verify_log(&request, &result, &err), ATOM_ENOENT);
}

/* --- keys and notes from outside ------------------------------------------ */

Test(audit_verify, another_key_is_told)
{
	struct verify_request request = { 0 };
	struct note_signer other;
	uint8_t bytes[NOTE_KEY_BYTES] = { 3 };

	OK(audit_open());
	fill(1);
	audit_close();
	request.key = &audit_log.signer.verifier;
	cr_assert_eq(look_with(&request), VERIFY_SOUND, "%s", result.reason);
	OK(note_signer_init(&other, "00112233445566aa", bytes, &audit_err));
	request.key = &other.verifier;
	cr_assert_eq(look_with(&request), VERIFY_TAMPERED);
	cr_assert_str_eq(result.file, "verifier.pub");
}

static struct outside_notes notes;

static void keep_note(void)
{
	char note[NOTE_TEXT_MAX];
	size_t length = audit_note(note);

	OK(outside_add_text(&notes, "kept", note, length, &audit_err));
}

static enum verify_verdict look_outside(void)
{
	struct verify_request request = { .outside = &notes };

	return look_with(&request);
}

Test(audit_verify, agrees_with_notes_kept_outside)
{
	uint64_t removed;

	OK(audit_open());
	for (int i = 0; i < 12; i++) {
		fill(1);
		keep_note();
	}
	cr_assert_eq(look_outside(), VERIFY_SOUND, "%s", result.reason);
	cr_assert_eq(result.notes, 12);
	OK(audit_ops->prune(audit_sink, 100, &removed, &audit_err));
	cr_assert_eq(look_outside(), VERIFY_SOUND, "%s", result.reason);
	cr_assert_gt(result.notes, 5);
	cr_assert_gt(result.notes_unchecked, 0);
	cr_assert_eq(result.notes + result.notes_unchecked, 12);
	outside_fini(&notes);
}

Test(audit_verify, notes_outside_show_that_the_log_was_cut)
{
	char copy[sizeof(audit_path)];

	OK(audit_open());
	fill(3);
	(void)snprintf(copy, sizeof(copy), "%.64s/copy", audit_folder);
	audit_copy_log(copy);
	uint64_t then = audit_log.sequence;
	fill(2);
	keep_note();
	audit_close();
	(void)snprintf(audit_path, sizeof(audit_path), "%s", copy);
	expect_sound();
	cr_assert_eq(look_outside(), VERIFY_INCOMPLETE);
	cr_assert_eq(result.first_bad, then + 1);
	outside_fini(&notes);
}

Test(audit_verify, notes_outside_show_that_the_log_was_written_anew)
{
	OK(audit_open());
	fill(1);
	keep_note();
	uint64_t agreed = audit_log.sequence;
	audit_fill(5);
	fill(1);
	keep_note();
	/* Whoever has the key writes other records, and as many. */
	audit_close();
	audit_remove(audit_path);
	uint64_t wanted = audit_log.sequence;
	audit_end();
	audit_begin();
	OK(audit_open());
	fill(1);
	cr_assert_eq(audit_log.sequence, agreed);
	audit_now_ms += 5; /* the only difference */
	audit_fill(wanted - agreed);
	OK(audit_checkpoint());
	audit_close();
	expect_sound();
	cr_assert_eq(look_outside(), VERIFY_TAMPERED);
	cr_assert_eq(result.first_bad, agreed + 1);
	cr_assert(strstr(result.reason, "written anew"), "%s", result.reason);
	outside_fini(&notes);
}

Test(audit_verify, notes_are_read_from_lines_of_json)
{
	struct outside_notes found = { 0 };
	char note[NOTE_TEXT_MAX], line[4 * NOTE_TEXT_MAX];
	size_t used = 0;

	OK(audit_open());
	fill(1);
	(void)audit_note(note);
	used += (size_t)snprintf(line, sizeof(line),
				 "nothing\n<110>1 - host {\"a\":[{\"note\":\"");
	for (const char *at = note; *at; at++) {
		if (*at == '\n')
			line[used++] = '\\';
		line[used++] = *at == '\n' ? 'n' : *at;
	}
	used += (size_t)snprintf(line + used, sizeof(line) - used,
				 "\"}]}\n{\"other\":1}\n%s\n%s", note, note);
	OK(outside_add_text(&found, "lines", line, used, &audit_err));
	cr_assert_eq(found.count, 3);
	cr_assert_eq(found.items[0].head.size, audit_log.sequence);
	cr_assert_eq(outside_add_text(&found, "none", "text\n", 5, &audit_err),
		     ATOM_EINVAL);
	cr_assert_eq(outside_add_text(&found, "half", note, 40, &audit_err),
		     ATOM_EINVAL);
	cr_assert_eq(found.count, 3);
	outside_fini(&found);
}
