/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file sink on disks that fail, fill up, lie, and lose power; and killed.
 * What was acknowledged is there afterwards, and the log is sound.
 */
#include "effort.h"
#include "file_sink_fixture.h"
#include "lying_disk.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit/verify.h"

#define POWER_CUTS 1000
#define KILLS	   40

#define OK(call) cr_assert_eq(call, ATOM_OK, "%s", audit_err.message)

static const struct verify_unsealer unsealer = { .open = audit_unseal };
static struct verify_result result;
static struct disk *table;

/* The same sources once more, with the table for all to see. */
static void begin_on_lying_disk(void)
{
	const char *plugins = getenv("ATOMD_TEST_PLUGINS");
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/audit-file.so",
		       plugins ? plugins : "tests/built");
	table = dlsym(audit_load_file(path), "audit_disk");
	cr_assert(table, "%s", dlerror());
	disk_install(table);
	disk_begin();
	audit_begin();
	audit_options.segment_size = 6000;
}

static void end_on_lying_disk(void)
{
	audit_end();
	disk_end();
	verify_result_fini(&result);
}

TestSuite(audit_faults, .init = begin_on_lying_disk, .fini = end_on_lying_disk,
	  .timeout = 240);

static void expect_sound(void)
{
	struct verify_request request = { .path = audit_path,
					  .unsealer = &unsealer };
	struct atom_error err = ATOM_ERROR_INIT;

	audit_remove(audit_path);
	disk_copy_to(audit_path);
	verify_result_fini(&result);
	cr_assert_eq(verify_log(&request, &result, &err), ATOM_OK, "%s",
		     err.message);
	cr_assert_eq(result.verdict, VERIFY_SOUND, "%s at %llu: %s",
		     result.file, (unsigned long long)result.offset,
		     result.reason);
}

/* As the daemon: what could not be made durable is written again. */
static atom_status write_until_durable(size_t count, int tries)
{
	struct audit_log before = audit_log;
	atom_status status = ATOM_EIO;

	while (status != ATOM_OK && tries-- > 0) {
		audit_log = before;
		status = audit_write(count);
		if (status == ATOM_OK)
			status = audit_sync();
	}
	if (status != ATOM_OK)
		audit_log = before;
	return status;
}

static int32_t count_up(void *argument, const struct atom_audit_record *record)
{
	uint64_t *next = argument;

	cr_assert_eq(record->sequence, *next);
	++*next;
	return 0;
}

static void expect_all_there(uint64_t first)
{
	uint64_t next = first;

	OK(audit_ops->read(audit_sink, first - 1, UINT64_MAX, count_up, &next,
			   &audit_err));
	cr_assert_eq(next, audit_log.sequence + 1);
}

/* --- writes and syncs that fail ------------------------------------------- */

static void run_rounds(int rounds)
{
	for (int i = 0; i < rounds; i++) {
		OK(write_until_durable(1 + (size_t)i % 5, 3));
		/* Tried again a second later. */
		if (i % 4 == 3 && audit_checkpoint() != ATOM_OK)
			OK(audit_checkpoint());
	}
}

/* How many of them an undisturbed run makes. */
static uint64_t count_of(const uint64_t *counter)
{
	OK(audit_open());
	run_rounds(60);
	audit_close();
	return *counter;
}

static void expect_each_failure_survived(uint64_t *to_fail, uint64_t count)
{
	for (uint64_t n = 1; n <= count; n += 1 + n / 40) {
		disk_begin();
		audit_end();
		audit_begin();
		audit_options.segment_size = 6000;
		audit_options.encrypt = n % 3 == 0;
		*to_fail = n;
		if (audit_open() != ATOM_OK)
			OK(audit_open());
		run_rounds(60);
		cr_assert(!disk_failed_was_used, "failure %d", (int)n);
		expect_all_there(1);
		audit_close();
		expect_sound();
		cr_assert_eq(result.records, audit_log.sequence);
		OK(audit_open());
		uint64_t last = audit_log.sequence;
		OK(audit_resume());
		cr_assert_eq(audit_log.sequence, last);
		audit_close();
	}
}

Test(audit_faults, each_failing_write_costs_a_segment_and_no_record)
{
	uint64_t count = count_of(&disk_writes);

	cr_assert_gt(count, 70);
	expect_each_failure_survived(&disk_write_to_fail, count);
}

Test(audit_faults, each_failing_sync_costs_a_segment_and_no_record)
{
	uint64_t count = count_of(&disk_syncs);

	cr_assert_gt(count, 70);
	expect_each_failure_survived(&disk_sync_to_fail, count);
}

Test(audit_faults, the_next_segment_says_why_it_was_begun)
{
	size_t length;
	const char *text;

	OK(audit_open());
	OK(write_until_durable(3, 1));
	disk_sync_to_fail = 1;
	OK(audit_write(2));
	cr_assert_eq(audit_sync(), ATOM_EIO);
	cr_assert_str_eq(audit_event, "audit_segment_failed");
	/* Not before what was lost is written again. */
	cr_assert_eq(audit_sync(), ATOM_EIO);
	cr_assert(strstr(audit_err.message, "written again"), "%s",
		  audit_err.message);
	text = disk_file("segment-00000002.log", &length);
	cr_assert_null(text);
	struct atom_audit_record record = audit_record(4);
	OK(audit_ops->write(audit_sink, &record, 1, sizeof(record),
			    &audit_err));
	text = disk_file("segment-00000002.log", &length);
	cr_assert(text &&
		  memmem(text, length, "\nreason failed: cannot sync ", 28));
	cr_assert(memmem(text, length, "\nbefore 3 ", 10));
}

Test(audit_faults, short_writes_are_gone_on_with)
{
	disk_write_max = 7;
	OK(audit_open());
	run_rounds(40);
	audit_close();
	expect_sound();
	cr_assert_eq(result.records, audit_log.sequence);
}

/* --- files that cannot be removed ------------------------------------------ */

static int remove_nothing(int folder, const char *name)
{
	(void)folder;
	(void)name;
	errno = EPERM;
	return -1;
}

Test(audit_faults, a_prune_that_failed_is_gone_on_with)
{
	int (*const unlink)(int folder, const char *name) = table->unlink;
	uint64_t removed;

	OK(audit_open());
	run_rounds(60);
	table->unlink = remove_nothing;
	cr_assert_eq(audit_ops->prune(audit_sink, 50, &removed, &audit_err),
		     ATOM_EIO);
	cr_assert_eq(audit_ops->prune(audit_sink, 90, &removed, &audit_err),
		     ATOM_EIO);
	table->unlink = unlink;
	OK(audit_ops->prune(audit_sink, 90, &removed, &audit_err));
	audit_close();
	expect_sound();
	cr_assert_gt(result.pruned, 50);
	OK(audit_open());
	OK(audit_resume());
	expect_all_there(result.pruned + 1);
}

/* --- a disk that fills up ------------------------------------------------- */

Test(audit_faults, a_full_disk_is_told_in_stages_and_loses_nothing)
{
	const size_t reserve = 1024 * 1024;
	size_t length;

	disk_capacity = 8 * reserve;
	audit_options.low_space = 2 << 20;
	OK(audit_open());
	run_rounds(4);
	cr_assert_eq(audit_stage, 0);
	cr_assert(disk_file("reserve", &length));
	cr_assert_eq(length, reserve);

	disk_capacity = reserve + 30000;
	run_rounds(4);
	cr_assert_eq(audit_stage, 1);
	while (audit_stage < 2)
		run_rounds(4);
	cr_assert_null(disk_file("reserve", &length));
	uint64_t in_reserve = audit_log.sequence;
	while (write_until_durable(16, 2) == ATOM_OK)
		;
	cr_assert_gt(audit_log.sequence, in_reserve + 1000);
	cr_assert_eq(audit_stage, 3);
	expect_sound();
	cr_assert_geq(result.records, audit_log.sequence);

	disk_capacity = 16 * reserve;
	run_rounds(4);
	cr_assert_eq(audit_stage, 0);
	cr_assert(disk_file("reserve", &length));
	expect_all_there(1);
	expect_sound();
}

/* --- power cuts ----------------------------------------------------------- */

static uint64_t acknowledged;
static uint8_t acknowledged_hash[32];

/* Until the power goes. */
static void work(void)
{
	for (int i = 0;; i++) {
		size_t count = 1 + disk_any(30);
		uint64_t removed;

		if (disk_any(200) == 0)
			disk_sync_to_fail = 1;
		/* Some write calls before the sync, as a full batch is. */
		if (disk_any(4) == 0 && audit_write(count) != ATOM_OK)
			return;
		if (audit_write(count) != ATOM_OK || audit_sync() != ATOM_OK)
			return;
		acknowledged = audit_log.sequence;
		memcpy(acknowledged_hash, audit_log.hash, 32);
		if (i % 3 == 2 && audit_checkpoint() != ATOM_OK)
			return;
		if (disk_any(40) == 0 &&
		    audit_ops->prune(audit_sink, acknowledged / 2, &removed,
				     &audit_err) != ATOM_OK)
			return;
	}
}

static int32_t compare_hash(void *argument,
			    const struct atom_audit_record *record)
{
	bool *same = argument;

	*same = record->sequence == acknowledged &&
		memcmp(record->hash, acknowledged_hash, 32) == 0;
	return 1;
}

static void expect_acknowledged(int run)
{
	bool same = false;

	cr_assert_geq(audit_log.sequence, acknowledged, "cut %d", run);
	if (acknowledged == 0)
		return;
	OK(audit_ops->read(audit_sink, acknowledged - 1, 1, compare_hash, &same,
			   &audit_err));
	cr_assert(same, "cut %d: record %d is another", run, (int)acknowledged);
}

Test(audit_faults, no_power_cut_loses_what_was_acknowledged)
{
	for (int run = 0; run < effort(POWER_CUTS); run++) {
		if (run % 10 == 0) {
			disk_begin();
			audit_end();
			audit_begin();
			audit_options.segment_size = 6000;
			audit_options.encrypt = run % 40 == 30;
			acknowledged = 0;
		}
		disk_cut_after(1 + disk_any(run % 5 == 0 ? 40 : 250));
		if (audit_open() == ATOM_OK && audit_resume() == ATOM_OK)
			work();
		audit_close();
		disk_sync_to_fail = 0;
		disk_restore_power();
		if (disk_file("segment-00000001.log", &(size_t){ 0 }) ||
		    disk_file("head", &(size_t){ 0 })) {
			expect_sound();
			cr_assert_geq(result.records + result.pruned,
				      acknowledged, "cut %d", run);
		}
		OK(audit_open());
		OK(audit_resume());
		expect_acknowledged(run);
		audit_close();
	}
}

/* --- kills ---------------------------------------------------------------- */

/* Writes until killed; says what is durable after each sync. */
static void write_for_ever(int fd)
{
	if (audit_open() != ATOM_OK || audit_resume() != ATOM_OK)
		_exit(1);
	for (int i = 0;; i++) {
		if (audit_write(1 + (size_t)i % 64) != ATOM_OK ||
		    audit_sync() != ATOM_OK ||
		    write(fd, &audit_log.sequence, sizeof(audit_log.sequence)) <
			    0 ||
		    (i % 5 == 4 && audit_checkpoint() != ATOM_OK))
			_exit(1);
	}
}

static uint64_t kill_one(unsigned int delay_us)
{
	uint64_t last = 0, seen;
	int fds[2], status;
	pid_t child;

	cr_assert_eq(pipe(fds), 0);
	child = fork();
	if (child == 0)
		write_for_ever(fds[1]);
	(void)close(fds[1]);
	/* Random moments: the delay is what is tested, nothing is waited for. */
	(void)usleep(delay_us);
	cr_assert_eq(kill(child, SIGKILL), 0);
	while (read(fds[0], &seen, sizeof(seen)) == sizeof(seen))
		last = seen;
	(void)close(fds[0]);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFSIGNALED(status), "the child failed by itself");
	return last;
}

static void begin_on_the_disk(void)
{
	audit_load();
	audit_begin();
	audit_options.segment_size = 65536;
}

Test(audit_kills, no_kill_loses_what_was_acknowledged,
     .init = begin_on_the_disk, .fini = audit_end, .timeout = 3600)
{
	const char *asked = getenv("ATOMD_TEST_KILLS");
	int kills = asked ? (int)strtol(asked, NULL, 10) : KILLS;
	uint64_t last = 0;

	/* A slow machine's child may need longer to its first record. */
	for (int i = 0; i < kills || last == 0; i++) {
		struct verify_request request = { .path = audit_path };
		struct atom_error err = ATOM_ERROR_INIT;
		size_t latest = 60000 * (1 + (size_t)(i / kills));
		uint64_t seen = kill_one((unsigned int)disk_any(latest));

		if (seen > last)
			last = seen;
		verify_result_fini(&result);
		if (last == 0 && access(audit_path, F_OK) != 0)
			continue;
		if (verify_log(&request, &result, &err) == ATOM_ENOENT) {
			cr_assert_eq(last, 0);
			continue;
		}
		cr_assert_eq(result.verdict, VERIFY_SOUND, "kill %d: %s: %s", i,
			     result.file, result.reason);
		cr_assert_geq(result.records, last, "kill %d", i);
	}
	cr_assert_gt(last, 0);
	verify_result_fini(&result);
}
