/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/os.h"
#include "keyring/keyring_priv.h"

/* The keyring and its file: what is sealed, what opens, and that no file but
 * the very one is taken. */

static char folder[64];
static char path[96];
static uint8_t kek[KEYRING_KEY_BYTES];
static uint8_t other_kek[KEYRING_KEY_BYTES];
static struct atom_error err = ATOM_ERROR_INIT;

static void begin(void)
{
	(void)snprintf(folder, sizeof(folder), "/tmp/atomd-keyring-XXXXXX");
	cr_assert(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/keyring", folder);
	cr_assert_eq(os.random(kek, sizeof(kek)), 0);
	cr_assert_eq(os.random(other_kek, sizeof(other_kek)), 0);
}

static void end(void)
{
	char partial[128];

	(void)snprintf(partial, sizeof(partial), "%s.new", path);
	cr_assert_eq(access(partial, F_OK), -1, "a partial file is left");
	(void)unlink(path);
	cr_assert_eq(rmdir(folder), 0, "something is left in the folder");
}

static struct keyring *create(void)
{
	struct keyring *k = NULL;

	cr_assert_eq(keyring_create(path, kek, true, &k, &err), ATOM_OK, "%s",
		     err.message);
	return k;
}

static struct keyring *reopen(void)
{
	struct keyring *k = NULL;

	cr_assert_eq(keyring_open(path, "", kek, NULL, &k, &err), ATOM_OK, "%s",
		     err.message);
	return k;
}

static struct atom_span text(const char *words)
{
	return (struct atom_span){ words, strlen(words) };
}

struct sealed {
	char bytes[256];
	struct atom_span span;
};

static void seal(struct keyring *k, const char *purpose, const char *identity,
		 const char *plain, struct sealed *out)
{
	struct atom_span i = text(identity), p = text(plain);

	cr_assert_eq(keyring_seal(k, purpose, &i, &p, out->bytes,
				  &out->span.length, &err),
		     ATOM_OK, "%s", err.message);
	out->span.bytes = out->bytes;
	cr_assert_eq(out->span.length, p.length + KEYRING_OVERHEAD);
}

static atom_status try(struct keyring *k, const char *purpose,
		       const char *identity, const struct sealed *sealed,
		       char out[256])
{
	struct atom_span i = text(identity);
	size_t length = 0;
	atom_status status = keyring_unseal(k, purpose, &i, &sealed->span, out,
					    &length, &err);

	if (status == ATOM_OK)
		out[length] = '\0';
	return status;
}

static uint32_t rotate(struct keyring *k)
{
	uint32_t number = 0;

	cr_assert_eq(keyring_rotate(k, &number, &err), ATOM_OK, "%s",
		     err.message);
	return number;
}

TestSuite(keyring, .init = begin, .fini = end);

Test(keyring, what_was_sealed_opens_after_a_restart_and_without_a_daemon)
{
	struct keyring *k = create();
	struct sealed one, two;
	char out[256];

	seal(k, "state", "sessions\0a", "hello", &one);
	cr_assert_eq(rotate(k), 2);
	seal(k, "state", "x", "", &two);
	cr_assert_eq(keyring_version_of(&one.span), 1);
	cr_assert_eq(keyring_version_of(&two.span), 2);
	keyring_free(&k);
	k = reopen();
	cr_assert_eq(keyring_current(k), 2);
	cr_assert_eq(try(k, "state", "sessions\0a", &one, out), ATOM_OK);
	cr_assert_str_eq(out, "hello");
	cr_assert_eq(try(k, "state", "x", &two, out), ATOM_OK);
	cr_assert_str_eq(out, "");
	keyring_free(&k);
	cr_assert_eq(keyring_open_file(path, kek, &k, &err), ATOM_OK, "%s",
		     err.message);
	cr_assert_eq(try(k, "state", "sessions\0a", &one, out), ATOM_OK);
	cr_assert_str_eq(out, "hello");
	/* It only reads. */
	{
		struct atom_span nothing = text("");
		size_t length;

		cr_assert_eq(keyring_seal(k, "state", &nothing, &nothing, out,
					  &length, &err),
			     ATOM_ESTATE);
	}
	keyring_free(&k);
}

Test(keyring, another_purpose_identity_or_keyring_does_not_open_it)
{
	char component[KEYRING_PURPOSE_MAX], other[KEYRING_PURPOSE_MAX];
	struct keyring *k = create(), *stranger = NULL;
	char elsewhere[128], out[256];
	struct sealed one;

	keyring_purpose("audit/file", "", component);
	keyring_purpose("audit/file", "chat", other);
	cr_assert_str_neq(component, other);
	seal(k, component, "segment 1 frame 2", "record", &one);
	cr_assert_eq(try(k, component, "segment 1 frame 2", &one, out),
		     ATOM_OK);
	cr_assert_eq(try(k, other, "segment 1 frame 2", &one, out),
		     ATOM_EDATALOSS);
	cr_assert_eq(try(k, "state", "segment 1 frame 2", &one, out),
		     ATOM_EDATALOSS);
	cr_assert_eq(try(k, component, "segment 1 frame 3", &one, out),
		     ATOM_EDATALOSS);
	cr_assert_eq(try(k, component, "", &one, out), ATOM_EDATALOSS);
	/* The same KEK, but not the same keys. */
	(void)snprintf(elsewhere, sizeof(elsewhere), "%s/other", folder);
	cr_assert_eq(keyring_create(elsewhere, kek, true, &stranger, &err),
		     ATOM_OK);
	cr_assert_eq(try(stranger, component, "segment 1 frame 2", &one, out),
		     ATOM_EDATALOSS);
	keyring_free(&stranger);
	keyring_free(&k);
	(void)unlink(elsewhere);
}

Test(keyring, every_changed_bit_and_every_cut_of_sealed_bytes_is_refused)
{
	struct keyring *k = create();
	struct sealed one, changed;
	char out[256];

	seal(k, "state", "i", "sixteen bytes...", &one);
	for (size_t bit = 0; bit < 8 * one.span.length; bit++) {
		changed = one;
		changed.span.bytes = changed.bytes;
		changed.bytes[bit / 8] ^= (char)(1 << bit % 8);
		cr_assert_eq(try(k, "state", "i", &changed, out),
			     ATOM_EDATALOSS, "bit %zu", bit);
	}
	for (size_t length = 0; length < one.span.length; length++) {
		changed = one;
		changed.span = (struct atom_span){ changed.bytes, length };
		cr_assert_eq(try(k, "state", "i", &changed, out),
			     ATOM_EDATALOSS, "cut to %zu bytes", length);
	}
	keyring_free(&k);
}

Test(keyring, the_same_text_is_never_sealed_to_the_same_bytes)
{
	struct keyring *k = create();
	struct sealed one, other;

	seal(k, "state", "i", "text", &one);
	seal(k, "state", "i", "text", &other);
	cr_assert_neq(memcmp(one.bytes + 8, other.bytes + 8, 12), 0);
	cr_assert_neq(memcmp(one.bytes + 20, other.bytes + 20, 4), 0);
	keyring_free(&k);
}

/* --- the file ------------------------------------------------------------ */

static size_t read_file(uint8_t *bytes, size_t size)
{
	FILE *f = fopen(path, "re");
	size_t length;

	cr_assert(f);
	length = fread(bytes, 1, size, f);
	(void)fclose(f);
	return length;
}

static void write_file(const uint8_t *bytes, size_t length)
{
	FILE *f = fopen(path, "we");

	cr_assert(f);
	cr_assert_eq(fwrite(bytes, 1, length, f), length);
	cr_assert_eq(fclose(f), 0);
}

static atom_status try_file(void)
{
	struct keyring *k = NULL;
	atom_status status = keyring_open_file(path, kek, &k, &err);

	keyring_free(&k);
	return status;
}

Test(keyring, the_file_holds_no_key_and_is_its_owners_alone)
{
	struct keyring *k = create();
	uint8_t bytes[IMAGE_BYTES_MAX];
	size_t length = read_file(bytes, sizeof(bytes));
	struct stat st;

	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0600);
	cr_assert_eq(length, 64 + 64 + 32);
	cr_assert_null(memmem(bytes, length, k->versions->key, 8));
	cr_assert_null(memmem(bytes, length, kek, 8));
	keyring_free(&k);
}

Test(keyring, every_single_changed_bit_of_the_file_is_refused)
{
	struct keyring *k = create();
	uint8_t bytes[IMAGE_BYTES_MAX];
	size_t length;

	(void)rotate(k);
	cr_assert_eq(keyring_note_component(k, &err), ATOM_OK);
	keyring_free(&k);
	length = read_file(bytes, sizeof(bytes));
	cr_assert_eq(length, 64 + 2 * 64 + 32);
	cr_assert_eq(try_file(), ATOM_OK);
	for (size_t bit = 0; bit < 8 * length; bit++) {
		static struct image image;
		atom_status status;

		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		status = image_decode(bytes, length, path, kek, &image, &err);
		cr_assert(status == ATOM_EDATALOSS || status == ATOM_EPERM ||
				  status == ATOM_ENOTSUP,
			  "bit %zu: status %d", bit, (int)status);
		cr_assert_neq(strlen(err.message), 0);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

Test(keyring, a_cut_longer_foreign_or_absent_file_is_refused)
{
	struct keyring *k = create();
	uint8_t bytes[IMAGE_BYTES_MAX + 64] = { 0 };
	size_t length;

	(void)rotate(k);
	keyring_free(&k);
	length = read_file(bytes, sizeof(bytes));
	for (size_t cut = 0; cut < length; cut++) {
		write_file(bytes, cut);
		cr_assert_eq(try_file(), ATOM_EDATALOSS, "cut to %zu", cut);
	}
	write_file(bytes, length + 1);
	cr_assert_eq(try_file(), ATOM_EDATALOSS);
	write_file(bytes, sizeof(bytes));
	cr_assert_eq(try_file(), ATOM_EDATALOSS);
	write_file((const uint8_t *)"SQLite format 3", 16);
	cr_assert_eq(try_file(), ATOM_EDATALOSS);
	(void)unlink(path);
	cr_assert_eq(try_file(), ATOM_ENOENT);
}

Test(keyring, another_kek_is_told_from_damage_and_changes_nothing)
{
	struct keyring *k = create();
	uint8_t before[IMAGE_BYTES_MAX], after[IMAGE_BYTES_MAX];
	size_t length;

	keyring_free(&k);
	length = read_file(before, sizeof(before));
	cr_assert_eq(keyring_open(path, "", other_kek, NULL, &k, &err),
		     ATOM_EPERM);
	cr_assert(strstr(err.message, "key-encryption key"), "%s", err.message);
	cr_assert(strstr(err.message, "previous_key"), "%s", err.message);
	cr_assert_null(k);
	/* Or another keyring than the one that is wanted. */
	cr_assert_eq(keyring_open(path, "00112233445566778899aabbccddeeff",
				  other_kek, kek, &k, &err),
		     ATOM_EDATALOSS);
	cr_assert(strstr(err.message, "same backup"), "%s", err.message);
	cr_assert_null(k);
	cr_assert_eq(read_file(after, sizeof(after)), length);
	cr_assert_arr_eq(before, after, length);
}

Test(keyring, a_new_kek_wraps_the_same_data_keys_and_the_old_opens_no_more)
{
	struct keyring *k = create();
	uint8_t third[KEYRING_KEY_BYTES];
	struct sealed one;
	char out[256];

	seal(k, "state", "i", "kept", &one);
	(void)rotate(k);
	keyring_free(&k);
	/* At a start, with the old one as the previous. */
	cr_assert_eq(keyring_open(path, "", other_kek, kek, &k, &err), ATOM_OK,
		     "%s", err.message);
	cr_assert_eq(try(k, "state", "i", &one, out), ATOM_OK);
	cr_assert_str_eq(out, "kept");
	keyring_free(&k);
	cr_assert_eq(try_file(), ATOM_EPERM);
	/* The previous one may stay configured. */
	cr_assert_eq(keyring_open(path, "", other_kek, kek, &k, &err), ATOM_OK);
	/* While it runs. */
	cr_assert_eq(os.random(third, sizeof(third)), 0);
	cr_assert_eq(keyring_set_kek(k, third, &err), ATOM_OK);
	cr_assert_eq(rotate(k), 3);
	keyring_free(&k);
	cr_assert_eq(keyring_open(path, "", other_kek, NULL, &k, &err),
		     ATOM_EPERM);
	cr_assert_eq(keyring_open(path, "", third, NULL, &k, &err), ATOM_OK);
	cr_assert_eq(try(k, "state", "i", &one, out), ATOM_OK);
	keyring_free(&k);
}

/* --- versions ------------------------------------------------------------ */

Test(keyring, a_version_goes_when_nothing_needs_it_and_never_before)
{
	struct keyring *k = create();
	static struct keyring_status status;
	struct sealed one, two;
	const uint32_t kept[] = { 1 };
	uint32_t target = 0;
	char out[256];

	seal(k, "state", "i", "one", &one);
	(void)rotate(k);
	seal(k, "state", "i", "two", &two);
	(void)rotate(k);
	cr_assert_eq(keyring_begin_rewrap(k, &target, &err), ATOM_OK);
	cr_assert_eq(target, 3);
	keyring_free(&k);
	k = reopen();
	keyring_status(k, &status);
	cr_assert_eq(status.rewrap, 3, "a rewrap survives a restart");
	/* One record is still of version 1. */
	cr_assert_eq(keyring_end_rewrap(k, 3, kept, 1, true, &err), ATOM_OK);
	cr_assert_eq(try(k, "state", "i", &one, out), ATOM_OK);
	cr_assert_eq(try(k, "state", "i", &two, out), ATOM_EDATALOSS);
	cr_assert(strstr(err.message, "version 2"), "%s", err.message);
	keyring_status(k, &status);
	cr_assert_eq(status.rewrap, 0);
	cr_assert_eq(status.count, 2);
	/* What is gone is gone from the file, too, and no number comes back. */
	keyring_free(&k);
	k = reopen();
	cr_assert_eq(try(k, "state", "i", &two, out), ATOM_EDATALOSS);
	cr_assert_eq(rotate(k), 4);
	keyring_free(&k);
}

Test(keyring, what_components_may_have_used_stays_until_an_operator_says_so)
{
	struct keyring *k = create();
	struct sealed one;
	uint32_t target;
	char out[256];

	cr_assert_eq(keyring_note_component(k, &err), ATOM_OK);
	seal(k, "component:audit/file:", "i", "one", &one);
	(void)rotate(k);
	(void)rotate(k);
	cr_assert_eq(keyring_end_rewrap(k, 3, NULL, 0, true, &err), ATOM_OK);
	cr_assert_eq(try(k, "component:audit/file:", "i", &one, out), ATOM_OK);
	cr_assert_eq(keyring_retire(k, 3, &err), ATOM_EINVAL);
	cr_assert_eq(keyring_retire(k, 9, &err), ATOM_ENOENT);
	cr_assert_eq(keyring_retire(k, 1, &err), ATOM_OK);
	cr_assert_eq(keyring_begin_rewrap(k, &target, &err), ATOM_OK);
	cr_assert_eq(keyring_end_rewrap(k, 3, NULL, 0, true, &err), ATOM_OK);
	cr_assert_eq(try(k, "component:audit/file:", "i", &one, out),
		     ATOM_EDATALOSS);
	keyring_free(&k);
}

Test(keyring, texts_are_counted_over_crashes_and_another_key_is_due_in_time)
{
	struct keyring *k;
	struct atom_span nothing = text("");
	struct sealed one;
	bool rotated;
	size_t length;

	keyring_messages_block = 8;
	keyring_messages_rotate = 16;
	keyring_messages_max = 32;
	k = create();
	for (int i = 0; i < 5; i++)
		seal(k, "state", "i", "x", &one);
	keyring_free(&k); /* as a crash: nobody wrote the true count */
	k = reopen();
	cr_assert_geq(atomic_load(&k->versions->used), 5);
	cr_assert_eq(atomic_load(&k->versions->used), 8);
	for (int i = 0; i < 8; i++)
		seal(k, "state", "i", "x", &one);
	cr_assert(keyring_needs_care(k));
	cr_assert_eq(keyring_care(k, &rotated, &err), ATOM_OK);
	cr_assert(rotated);
	cr_assert_eq(keyring_current(k), 2);
	/* Without care it goes on to the bound, and not beyond. */
	for (int i = 0; i < 32; i++)
		seal(k, "state", "i", "x", &one);
	cr_assert_eq(keyring_seal(k, "state", &nothing, &nothing, one.bytes,
				  &length, &err),
		     ATOM_ELIMIT);
	cr_assert(strstr(err.message, "800-38D"), "%s", err.message);
	cr_assert_eq(keyring_care(k, &rotated, &err), ATOM_OK);
	seal(k, "state", "i", "x", &one);
	cr_assert_eq(keyring_close(k, &err), ATOM_OK);
	keyring_free(&k);
	k = reopen();
	cr_assert_eq(atomic_load(&k->versions->used), 1,
		     "an orderly end leaves the true count");
	keyring_free(&k);
}

/* --- a disk that fails --------------------------------------------------- */

static int failing_calls;
static struct os real;

static int maybe_fail(void)
{
	if (failing_calls > 0 && --failing_calls == 0) {
		errno = EIO;
		return -1;
	}
	return 0;
}

static ssize_t write_or_fail(int fd, const void *bytes, size_t length)
{
	return maybe_fail() ? -1 : real.write(fd, bytes, length);
}

static int fsync_or_fail(int fd)
{
	return maybe_fail() ? -1 : real.fsync(fd);
}

static int rename_or_fail(const char *from, const char *to)
{
	return maybe_fail() ? -1 : real.rename(from, to);
}

Test(keyring, a_change_that_fails_at_any_step_is_not_in_force_and_hurts_nothing)
{
	struct keyring *k = create();
	struct sealed one, two;
	uint32_t number = 0;
	atom_status status;
	int steps = 0;
	char out[256];

	seal(k, "state", "i", "one", &one);
	real = os;
	os.write = write_or_fail;
	os.fsync = fsync_or_fail;
	os.rename = rename_or_fail;
	do {
		struct keyring *again = NULL;

		failing_calls = ++steps;
		status = keyring_rotate(k, &number, &err);
		failing_calls = 0;
		if (status != ATOM_OK)
			cr_assert_eq(keyring_current(k), 1, "step %d", steps);
		seal(k, "state", "i", "two", &two);
		/* What was sealed opens from whatever is on the disk. */
		cr_assert_eq(keyring_open_file(path, kek, &again, &err),
			     ATOM_OK, "step %d: %s", steps, err.message);
		cr_assert_eq(try(again, "state", "i", &one, out), ATOM_OK);
		cr_assert_eq(try(again, "state", "i", &two, out), ATOM_OK);
		keyring_free(&again);
	} while (status != ATOM_OK);
	os = real;
	cr_assert_eq(steps, 5, "write, sync, rename, sync of the folder");
	cr_assert_eq(keyring_current(k), 2);
	keyring_free(&k);
}
