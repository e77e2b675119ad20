/* SPDX-License-Identifier: Apache-2.0 */
/* The spill of the http sink: order, restarts, damage, disks that fail. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "plugins/audit/http/spill.h"

/* --- syncs that fail on command ------------------------------------------ */

static int syncs_to_fail;
static ino_t failed_file;
static bool synced_again; /* the file whose sync failed */

static int sync_or_fail(long call, int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && st.st_ino == failed_file)
		synced_again = true;
	if (syncs_to_fail > 0 && S_ISREG(st.st_mode)) {
		syncs_to_fail--;
		failed_file = st.st_ino;
		errno = EIO;
		return -1;
	}
	return (int)syscall(call, fd);
}

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
__attribute__((visibility("default"))) int fdatasync(int fd)
{
	return sync_or_fail(SYS_fdatasync, fd);
}

/* --- a spill in a folder of its own ---------------------------------------- */

static char folder[64];
static struct spill spill;
static struct position position;
static struct position_file file;
static struct atom_error err;
static uint64_t lost, torn;

static void note_damage(void *argument, const char *path, uint64_t at,
			uint64_t count)
{
	(void)argument;
	(void)path;
	(void)at;
	lost += count;
	torn += count == 0;
}

/* --- a keyring that is no cipher, but refuses what a real one refuses ------ */

static bool no_keyring;

/* FNV-1a, over the identity and the text. */
static uint64_t sum_of(const struct atom_span *identity, const char *bytes,
		       size_t length)
{
	uint64_t sum = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < identity->length + length; i++)
		sum = (sum ^
		       (unsigned char)(i < identity->length
					       ? identity->bytes[i]
					       : bytes[i - identity->length])) *
		      0x100000001b3ULL;
	return sum;
}

static atom_status fake_seal(const struct atom_host *host,
			     const struct atom_span *identity,
			     const struct atom_span *plain, char *out,
			     size_t *length_r, struct atom_error *error)
{
	uint64_t sum = sum_of(identity, plain->bytes, plain->length);

	(void)host;
	if (no_keyring)
		return atom_fail(error, ATOM_EUNAVAILABLE, "no keyring");
	for (size_t i = 0; i < plain->length; i++)
		out[i] = (char)(plain->bytes[i] ^ 0x55);
	memcpy(out + plain->length, &sum, sizeof(sum));
	*length_r = plain->length + sizeof(sum);
	return ATOM_OK;
}

static atom_status fake_open(const struct atom_host *host,
			     const struct atom_span *identity,
			     const struct atom_span *sealed, char *out,
			     size_t *length_r, struct atom_error *error)
{
	uint64_t sum;

	(void)host;
	if (no_keyring)
		return atom_fail(error, ATOM_EUNAVAILABLE, "no keyring");
	if (sealed->length < sizeof(sum))
		return ATOM_EDATALOSS;
	*length_r = sealed->length - sizeof(sum);
	for (size_t i = 0; i < *length_r; i++)
		out[i] = (char)(sealed->bytes[i] ^ 0x55);
	sum = sum_of(identity, out, *length_r);
	return memcmp(&sum, sealed->bytes + *length_r, sizeof(sum)) == 0
		       ? ATOM_OK
		       : ATOM_EDATALOSS;
}

static const struct atom_seal fake = {
	.struct_size = sizeof(fake),
	.seal = fake_seal,
	.open = fake_open,
};

static struct spill_sealer sealer = { .seal = &fake };

static void open_spill(uint64_t size_max)
{
	err = (struct atom_error)ATOM_ERROR_INIT;
	cr_assert_eq(spill_open(&spill, folder, &sealer, size_max, note_damage,
				NULL, &file, &position, &err),
		     ATOM_OK, "%s", err.message);
}

static void close_spill(void)
{
	position_close(&file);
	spill_close(&spill);
}

static void begin(void)
{
	(void)snprintf(folder, sizeof(folder), "/tmp/atomd-spill-XXXXXX");
	cr_assert(mkdtemp(folder));
	open_spill(1 << 20);
}

static void end(void)
{
	struct dirent *entry;
	DIR *dir = opendir(folder);

	close_spill();
	while (dir && (entry = readdir(dir)))
		(void)unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		(void)closedir(dir);
	(void)rmdir(folder);
}

static const uint8_t hash[32] = { 1, 2, 3 };
static const uint8_t range[3 * 32] = { 4, 5, 6 };

static struct entry entry_of(uint64_t ordinal, const char *line, size_t length)
{
	return (struct entry){
		.kind = ordinal % 10 == 0 ? ENTRY_CHECKPOINT : ENTRY_RECORD,
		.range_count = ordinal % 10 == 0 ? 3 : 0,
		.ordinal = ordinal,
		.sequence = ordinal + 1000,
		.hash = hash,
		.range = range,
		.line = { line, length },
	};
}

static atom_status append(uint64_t first, uint64_t count, size_t length)
{
	static char line[70000];
	struct pack pack = { 0 };
	atom_status status;

	memset(line, 'l', sizeof(line));
	for (uint64_t i = 0; i < count; i++) {
		struct entry entry = entry_of(first + i, line, length);

		cr_assert_eq(pack_add(&pack, &entry, &err), ATOM_OK);
	}
	status = spill_append(&spill, &pack, &err);
	pack_fini(&pack);
	return status;
}

/* Reads and consumes a batch; it must begin with `expected`.  Returns the
 * ordinal after it. */
static uint64_t take(uint64_t expected, size_t records)
{
	struct pack pack = { 0 };
	struct entry entry;

	cr_assert_eq(spill_peek(&spill, records, 1 << 20, &pack, &err), ATOM_OK,
		     "%s", err.message);
	for (size_t at = 0, size; at < pack.length; at += size) {
		cr_assert_eq(entry_decode(pack.bytes + at, pack.length - at,
					  &entry, &size),
			     ATOM_OK);
		cr_assert_eq(entry.ordinal, expected, "%llu, not %llu",
			     (unsigned long long)entry.ordinal,
			     (unsigned long long)expected);
		cr_assert_eq(entry.sequence, expected + 1000);
		expected++;
	}
	cr_assert_leq(pack.count, records);
	if (pack.count > 0) {
		position.delivered = expected - 1;
		cr_assert_eq(position_store(&file, &position, &err), ATOM_OK);
		spill_consume(&spill, expected - 1);
	}
	pack_fini(&pack);
	return expected;
}

TestSuite(audit_spill, .init = begin, .fini = end);

Test(audit_spill, every_flipped_bit_of_an_entry_is_seen)
{
	static const char text[] = "{\"a\":\"some text\"}";
	struct entry entry = entry_of(10, text, strlen(text)), back;
	size_t size = entry_size(&entry), got;
	uint8_t *bytes = malloc(size);

	cr_assert(bytes);
	entry_encode(&entry, bytes);
	cr_assert_eq(entry_decode(bytes, size, &back, &got), ATOM_OK);
	cr_assert_eq(got, size);
	cr_assert_eq(back.range_count, 3);
	cr_assert_arr_eq(back.range, range, sizeof(range));
	cr_assert_arr_eq(back.line.bytes, text, strlen(text));
	for (size_t bit = 0; bit < size * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		cr_assert_neq(entry_decode(bytes, size, &back, &got), ATOM_OK,
			      "bit %zu", bit);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t length = 0; length < size; length++)
		cr_assert_eq(entry_decode(bytes, length, &back, &got),
			     ATOM_ENOENT);
	free(bytes);
}

Test(audit_spill, keeps_the_order_over_segments_and_restarts)
{
	uint64_t next = 1, expected = 1;

	srand(7);
	for (int i = 0; i < 2000; i++) {
		switch (rand() % 8) {
		case 0:
			close_spill();
			open_spill(1 << 20);
			cr_assert_eq(position.taken, next - 1);
			break;
		case 1:
		case 2:
		case 3:
			expected = take(expected, 1 + (size_t)rand() % 20);
			break;
		default: {
			uint64_t count = 1 + (uint64_t)rand() % 12;

			if (append(next, count, (size_t)rand() % 2000) ==
			    ATOM_OK) {
				next += count;
				position.taken =
					next - 1; /* as the sink does */
			} else {
				cr_assert_eq(err.status, ATOM_EBUSY);
			}
		}
		}
	}
	while (!spill_is_empty(&spill))
		expected = take(expected, 100);
	cr_assert_eq(expected, next);
	cr_assert_gt(next, 3000);
	cr_assert_eq(spill.bytes, 0);
	cr_assert_eq(lost + torn, 0);
}

Test(audit_spill, is_where_it_was_after_a_restart)
{
	cr_assert_eq(append(1, 25, 50), ATOM_OK);
	cr_assert_eq(take(1, 12), 13);
	close_spill();
	memset(&position, 0, sizeof(position));
	open_spill(1 << 20);
	cr_assert_eq(position.delivered, 12);
	cr_assert_eq(position.taken, 25);
	cr_assert_eq(position.sequence, 1025);
	cr_assert_eq(position.checkpoint, 1020);
	cr_assert_eq(position.range_count, 3);
	cr_assert_arr_eq(position.range, range, sizeof(range));
	cr_assert_eq(take(13, 100), 26);
	cr_assert(spill_is_empty(&spill));
}

Test(audit_spill, a_failed_sync_is_never_repeated_on_its_file)
{
	cr_assert_eq(append(1, 5, 50), ATOM_OK);
	syncs_to_fail = 1;
	cr_assert_eq(append(6, 5, 50), ATOM_EIO);
	cr_assert(strstr(err.message, "sync"), "%s", err.message);
	cr_assert_eq(append(6, 7, 50), ATOM_OK);
	cr_assert_not(synced_again);
	cr_assert_eq(take(1, 100), 6);
	cr_assert_eq(take(6, 100), 13);
	cr_assert(spill_is_empty(&spill));
}

Test(audit_spill, entries_of_a_failed_append_are_not_read_twice)
{
	char name[128];
	FILE *segment;
	struct entry entry = entry_of(6, "late", 4);
	uint8_t bytes[256];

	cr_assert_eq(append(1, 5, 50), ATOM_OK);
	syncs_to_fail = 1;
	cr_assert_eq(append(6, 1, 4), ATOM_EIO);
	cr_assert_eq(append(6, 3, 50), ATOM_OK);
	close_spill();
	/* The disk had it after all, and the cut not. */
	(void)snprintf(name, sizeof(name), "%s/spill-%020d", folder, 1);
	segment = fopen(name, "ab");
	cr_assert(segment);
	entry_encode(&entry, bytes);
	cr_assert_eq(fwrite(bytes, entry_size(&entry), 1, segment), 1);
	(void)fclose(segment);
	open_spill(1 << 20);
	cr_assert_eq(take(1, 100), 7);
	cr_assert_eq(take(7, 100), 9);
	cr_assert(spill_is_empty(&spill));
	cr_assert_eq(lost, 0);
}

Test(audit_spill, a_first_append_that_fails_leaves_nothing)
{
	syncs_to_fail = 1;
	cr_assert_eq(append(1, 5, 50), ATOM_EIO);
	cr_assert(spill_is_empty(&spill));
	close_spill();
	open_spill(1 << 20);
	cr_assert(spill_is_empty(&spill));
	cr_assert_eq(append(1, 5, 50), ATOM_OK);
	cr_assert_eq(take(1, 100), 6);
}

Test(audit_spill, one_too_large_for_a_batch_goes_alone)
{
	struct pack pack = { 0 };

	cr_assert_eq(append(1, 1, 10), ATOM_OK);
	cr_assert_eq(append(2, 1, 60000), ATOM_OK);
	for (uint64_t ordinal = 1; ordinal <= 2; ordinal++) {
		cr_assert_eq(spill_peek(&spill, 100, 4096, &pack, &err),
			     ATOM_OK);
		cr_assert_eq(pack.count, 1);
		spill_consume(&spill, ordinal);
	}
	pack_fini(&pack);
}

Test(audit_spill, damage_while_it_runs_is_counted_and_passed_over)
{
	char name[128];

	cr_assert_eq(append(1, 5, 50), ATOM_OK);
	syncs_to_fail = 1;
	cr_assert_eq(append(6, 1, 50), ATOM_EIO);
	cr_assert_eq(append(6, 5, 50), ATOM_OK);
	cr_assert_eq(take(1, 2), 3);
	/* Somebody cuts the first segment to nothing. */
	(void)snprintf(name, sizeof(name), "%s/spill-%020d", folder, 1);
	cr_assert_eq(truncate(name, 0), 0);
	cr_assert_eq(take(6, 100), 11);
	cr_assert_eq(lost, 3);
	cr_assert(spill_is_empty(&spill));
}

Test(audit_spill, a_torn_position_leaves_the_one_before)
{
	char path[128], slot[8192];
	struct position back;
	FILE *f;

	for (uint64_t i = 1; i <= 4; i++) {
		position.delivered = i;
		position.sequence = i * 10;
		cr_assert_eq(position_store(&file, &position, &err), ATOM_OK);
	}
	(void)snprintf(path, sizeof(path), "%s/position", folder);
	f = fopen(path, "r+b");
	cr_assert(f);
	cr_assert_gt(fread(slot, 1, sizeof(slot), f), 6000);
	/* Generation 4 is the second slot: it is written half over. */
	for (long cut = 0; cut < 2000; cut += 97) {
		cr_assert_eq(fseek(f, 4096 + cut, SEEK_SET), 0);
		(void)fputc(slot[4096 + cut] ^ 0x55, f);
		(void)fflush(f);
		position_close(&file);
		cr_assert_eq(position_open(&file, spill.directory, &back, &err),
			     ATOM_OK);
		cr_assert_eq(back.sequence, 30, "at %ld", cut);
		cr_assert_eq(fseek(f, 4096 + cut, SEEK_SET), 0);
		(void)fputc(slot[4096 + cut], f);
		(void)fflush(f);
	}
	position_close(&file);
	cr_assert_eq(position_open(&file, spill.directory, &back, &err),
		     ATOM_OK);
	cr_assert_eq(back.sequence, 40);
	(void)fclose(f);
}

/* --- sealed ---------------------------------------------------------------- */

/* The only segment, whole; the caller frees it. */
static char *read_segment(char path[160], size_t *size_r)
{
	FILE *stream;
	char *bytes = malloc(1 << 20);

	(void)snprintf(path, 160, "%s/spill-%020d", folder, 1);
	stream = fopen(path, "rb");
	cr_assert(bytes && stream);
	*size_r = fread(bytes, 1, 1 << 20, stream);
	(void)fclose(stream);
	return bytes;
}

Test(audit_spill, nothing_is_in_clear_on_disk)
{
	char path[160], *bytes;
	size_t size;

	cr_assert_eq(append(1, 20, 200), ATOM_OK);
	bytes = read_segment(path, &size);
	cr_assert_gt(size, 20 * 200);
	cr_assert_null(memmem(bytes, size, "llllllll", 8));
	cr_assert_null(memmem(bytes, size, "ATE1", 4));
	free(bytes);
	cr_assert_eq(take(1, 100), 21);
}

Test(audit_spill, what_an_older_version_left_in_clear_is_delivered)
{
	close_spill();
	sealer.seal = NULL;
	open_spill(1 << 20);
	cr_assert_eq(append(1, 30, 100), ATOM_OK);
	close_spill();
	sealer.seal = &fake;
	open_spill(1 << 20);
	cr_assert_eq(position.taken, 30);
	cr_assert_eq(append(31, 30, 100), ATOM_OK);
	cr_assert_eq(take(1, 10), 11);
	close_spill();
	open_spill(1 << 20);
	/* A batch ends with its segment. */
	cr_assert_eq(take(11, 100), 31);
	cr_assert_eq(take(31, 100), 61);
	cr_assert(spill_is_empty(&spill));
	cr_assert_eq(lost + torn, 0);
}

Test(audit_spill, a_sealed_entry_opens_in_its_own_place_only)
{
	char path[160], *bytes, *copy;
	FILE *stream;
	size_t size, each;

	/* Of one size, all of them. */
	cr_assert_eq(append(1, 3, 100), ATOM_OK);
	bytes = read_segment(path, &size);
	each = size / 3;
	copy = malloc(each);
	cr_assert(copy);
	/* The sealed parts of the second and the third change places. */
	memcpy(copy, bytes + each + 16, each - 16);
	memcpy(bytes + each + 16, bytes + 2 * each + 16, each - 16);
	memcpy(bytes + 2 * each + 16, copy, each - 16);
	stream = fopen(path, "r+b");
	cr_assert(stream && fwrite(bytes, 1, size, stream) == size);
	cr_assert_eq(fclose(stream), 0);
	free(copy);
	free(bytes);
	cr_assert_eq(take(1, 100), 2);
	cr_assert_eq(take(2, 100), 2);
	cr_assert_eq(lost, 2);
}

Test(audit_spill, without_a_keyring_nothing_is_spilled_and_nothing_given_up)
{
	struct spill other;
	struct position_file other_file;

	cr_assert_eq(append(1, 5, 100), ATOM_OK);
	no_keyring = true;
	cr_assert_eq(append(6, 5, 100), ATOM_EUNAVAILABLE);
	close_spill();
	cr_assert_eq(spill_open(&other, folder, &sealer, 1 << 20, note_damage,
				NULL, &other_file, &position, &err),
		     ATOM_EUNAVAILABLE);
	no_keyring = false;
	open_spill(1 << 20);
	cr_assert_eq(append(6, 5, 100), ATOM_OK);
	cr_assert_eq(take(1, 100), 6);
	cr_assert_eq(take(6, 100), 11);
	cr_assert_eq(lost + torn, 0);
}
