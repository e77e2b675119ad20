/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metric history on its disk: what comes out is what went in, over
 * restarts, cuts and full disks.
 */
#include <criterion/criterion.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "history_fixture.h"
#include "monitor/week.h"

TestSuite(history_disk, .init = set_up, .fini = tear_down);

/* --- restarts ------------------------------------------------------------- */

Test(history_disk, a_restart_loses_nothing_and_counters_carry_on)
{
	uint32_t f = family(ATOM_METRIC_COUNTER, "t_total", agent_label);
	metric_id g = metric_single(ATOM_METRIC_GAUGE, "t_gauge", "h");

	metric_add(series(f, "a", NULL), 10);
	metric_set(g, 1);
	tick();
	metric_add(series(f, "b", NULL), 2);
	tick();
	finish();
	begin();
	f = family(ATOM_METRIC_COUNTER, "t_total", agent_label);
	metric_add(series(f, "a", NULL), 1);
	tick();
	metric_add(series(f, "b", NULL), 1);
	tick();
	cr_assert_str_eq(read_name("t_total"),
			 "t_total agent=a 1:10 2:10 3:11 4:11\n"
			 "t_total agent=b 1:0 2:2 4:3\n");
	cr_assert_str_eq(read_name("t_gauge"), "t_gauge 1:1 2:1\n");
}

/* Hours, so that most of it comes from the disk; every sample once. */
Test(history_disk, hours_are_read_from_the_disk)
{
	metric_id c = metric_single(ATOM_METRIC_COUNTER, "t_total", "h");
	const char *at;
	char *end;

	for (int i = 0; i < 4 * 240; i++) {
		if (i == 500) {
			finish();
			begin();
			c = metric_single(ATOM_METRIC_COUNTER, "t_total", "h");
		}
		metric_inc(c);
		tick();
	}
	at = read_name("t_total") + strlen("t_total");
	for (int i = 1; i <= 4 * 240; i++) {
		cr_assert_eq(strtol(at, &end, 10), i);
		cr_assert_eq(strtol(end + 1, &end, 10), i);
		at = end;
	}
	cr_assert_str_eq(at, "\n");
}

/* --- damage and want of room ---------------------------------------------- */

static int64_t size_of_newest(char path[512])
{
	DIR *names = opendir(history_folder);
	const struct dirent *entry;
	char newest[256] = "";
	struct stat stat;
	int fd;

	while ((entry = readdir(names)) != NULL)
		if (strncmp(entry->d_name, "raw-", 4) == 0 &&
		    strcmp(entry->d_name, newest) > 0)
			(void)snprintf(newest, sizeof(newest), "%s",
				       entry->d_name);
	(void)closedir(names);
	cr_assert(newest[0]);
	(void)snprintf(path, 512, "%s/%s", history_folder, newest);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert(fd >= 0 && fstat(fd, &stat) == 0);
	cr_assert_eq(stat.st_mode & 0777, 0600);
	(void)close(fd);
	return stat.st_size;
}

Test(history_disk, a_torn_tail_costs_that_tail)
{
	metric_id c = metric_single(ATOM_METRIC_COUNTER, "t_total", "h");
	int64_t whole = 0, size;
	char path[512];

	for (int i = 0; i < 3; i++) {
		whole = i == 2 ? size_of_newest(path) : 0;
		metric_inc(c);
		tick();
	}
	size = size_of_newest(path);
	for (int64_t cut = size - 1; cut >= whole; cut -= 7) {
		finish();
		cr_assert_eq(truncate(path, cut), 0);
		now_ms = START_MS + 3ll * HISTORY_RAW_MS;
		begin();
		cr_assert_str_eq(read_name("t_total"), "t_total 1:1 2:2\n");
	}
}

Test(history_disk, a_changed_byte_ends_the_segment_and_nothing_else)
{
	metric_id c = metric_single(ATOM_METRIC_COUNTER, "t_total", "h");
	char path[512];
	int64_t at;
	int fd;

	metric_inc(c);
	tick();
	at = size_of_newest(path);
	metric_inc(c);
	tick();
	finish();
	fd = open(path, O_WRONLY | O_CLOEXEC);
	cr_assert_eq(pwrite(fd, "#", 1, at + 60), 1);
	(void)close(fd);
	begin();
	c = metric_single(ATOM_METRIC_COUNTER, "t_total", "h");
	metric_inc(c);
	tick();
	cr_assert_str_eq(read_name("t_total"), "t_total 1:1 3:2\n");
}

static bool full;

static ssize_t write_to_full(int fd, const void *bytes, size_t length)
{
	if (!full)
		return real_os.write(fd, bytes, length);
	/* As a disk does: what fits, then no more. */
	if (length > 10)
		return real_os.write(fd, bytes, 10);
	errno = ENOSPC;
	return -1;
}

Test(history_disk, a_full_disk_costs_its_rows_and_is_told)
{
	metric_id c = metric_single(ATOM_METRIC_COUNTER, "t_total", "h");
	metric_id failures = metric_single(
		ATOM_METRIC_COUNTER, "atomd_history_write_failures_total",
		"Samples of the history that could not be "
		"written to disk.");

	metric_inc(c);
	tick();
	os.write = write_to_full;
	full = true;
	metric_inc(c);
	tick();
	cr_assert_eq(metric_value(failures), 1);
	full = false;
	/* It is tried again after a minute. */
	for (int i = 0; i < 4; i++) {
		metric_inc(c);
		tick();
	}
	cr_assert_eq(metric_value(failures), 1);
	/* Memory has it all, the disk what fitted. */
	cr_assert_str_eq(read_name("t_total"),
			 "t_total 1:1 2:2 3:3 4:4 5:5 6:6\n");
	finish();
	begin();
	cr_assert_str_eq(read_name("t_total"), "t_total 1:1 6:6\n");
}

Test(history_disk, what_failed_in_a_time_that_never_was_is_tried_again)
{
	metric_id c = metric_single(ATOM_METRIC_COUNTER, "t_total", "h");

	metric_inc(c);
	tick();
	now_ms += 24 * 3600 * 1000ll;
	os.write = write_to_full;
	full = true;
	tick();
	full = false;
	now_ms = START_MS + HISTORY_RAW_MS;
	for (int i = 0; i < 4; i++) {
		metric_inc(c);
		tick();
	}
	finish();
	begin();
	cr_assert_str_eq(read_name("t_total"), "t_total 1:1 2:2 3:3 4:4 5:5\n");
}

static size_t files_of(const char *word)
{
	DIR *names = opendir(history_folder);
	const struct dirent *entry;
	size_t count = 0;

	while ((entry = readdir(names)) != NULL)
		count += strncmp(entry->d_name, word, strlen(word)) == 0;
	(void)closedir(names);
	return count;
}

Test(history_disk, what_is_too_old_goes)
{
	metric_id c = metric_single(ATOM_METRIC_COUNTER, "t_total", "h");

	for (int day = 0; day < 40; day++) {
		now_ms += 24 * 3600 * 1000ll;
		for (int i = 0; i < 25; i++) {
			metric_inc(c);
			tick();
		}
	}
	cr_assert_eq(files_of("raw-"), 1);
	cr_assert_leq(files_of("rolled-"), 32);
	cr_assert_geq(files_of("rolled-"), 30);
	/* 30 days back there is a row, from the rolled ones. */
	cr_assert_geq(strlen(read_query(&(struct atom_history_query){
			      .name = "t_total",
			      .from_ms = now_ms - 30 * 24 * 3600 * 1000ll })),
		      200);
	cr_assert_eq(visited, 1);
}

/* The row of five minutes that the full disk did not take begins a segment
 * again, after a restart, under the name of the one that it broke off. */
Test(history_disk, five_minutes_that_found_no_room_are_written_after_a_restart)
{
	metric_id c = metric_single(ATOM_METRIC_COUNTER, "t_total", "h");

	for (int i = 0; i < 20; i++) {
		metric_inc(c);
		tick();
	}
	os.write = write_to_full;
	full = true;
	tick();
	full = false;
	finish();
	begin();
	c = metric_single(ATOM_METRIC_COUNTER, "t_total", "h");
	for (int i = 0; i < 40; i++) {
		metric_inc(c);
		tick();
	}
	cr_assert_str_eq(
		read_query(&(struct atom_history_query){
			.name = "t_total", .resolution = ATOM_HISTORY_ROLLED }),
		"t_total 20:20(20,20,20) 40:39(39,39,39) 60:59(59,59,59)\n");
}

/* --- the clock ------------------------------------------------------------ */

Test(history_disk, a_future_that_never_was_is_not_read_from_the_disk)
{
	metric_id g = metric_single(ATOM_METRIC_GAUGE, "t_gauge", "h");

	metric_set(g, 1);
	for (int i = 0; i < 9; i++)
		tick();
	now_ms = START_MS + 3ll * HISTORY_RAW_MS;
	metric_set(g, 2);
	for (int i = 0; i < 8; i++)
		tick();
	finish();
	begin();
	cr_assert_str_eq(read_name("t_gauge"),
			 "t_gauge 1:1 2:1 3:1 4:2 5:2 6:2 7:2 8:2 9:2 10:2 "
			 "11:2\n");
	/* Most of it from the disk. */
	for (int i = 0; i < 5 * 80; i++)
		tick();
	cr_assert_str_eq(read_query(&(struct atom_history_query){
				 .name = "t_gauge",
				 .resolution = ATOM_HISTORY_RAW,
				 .to_ms = START_MS + 6ll * HISTORY_RAW_MS }),
			 "t_gauge 1:1 2:1 3:1 4:2 5:2 6:2\n");
}

/* --- what is gone --------------------------------------------------------- */

Test(history_disk, series_that_are_gone_give_their_place_to_others)
{
	uint32_t f = family(ATOM_METRIC_GAUGE, "t_gauge", agent_label);
	char agent[16];

	for (int i = 0; i < HISTORY_SERIES_MAX; i++) {
		(void)snprintf(agent, sizeof(agent), "old%d", i);
		metric_set(series(f, agent, NULL), 1);
	}
	tick();
	finish();
	/* Two days without them, in which segments end. */
	for (int day = 0; day < 2; day++) {
		begin();
		for (int i = 0; i < 25 * 6; i++) {
			now_ms += 10 * 60 * 1000;
			history_sample();
		}
		finish();
	}
	begin();
	f = family(ATOM_METRIC_GAUGE, "t_gauge", agent_label);
	metric_set(series(f, "new", NULL), 1);
	tick();
	(void)read_name("t_gauge");
	cr_assert_eq(visited, 1);
}

/* --- the week ------------------------------------------------------------- */

Test(history_disk, five_minutes_that_a_stop_cut_short_count_once)
{
	static struct week week;
	uint32_t f = family(ATOM_METRIC_GAUGE, "atomd_inflight_requests",
			    agent_label);

	metric_set(series(f, "a", NULL), 4);
	for (int i = 0; i < 28; i++)
		tick();
	finish();
	now_ms += 1200 * 1000;
	begin();
	f = family(ATOM_METRIC_GAUGE, "atomd_inflight_requests", agent_label);
	metric_set(series(f, "a", NULL), 4);
	for (int i = 0; i < 40; i++)
		tick();
	week_read("a", &week);
	cr_assert_geq(week.count, 3);
	for (size_t i = 0; i < week.count; i++)
		cr_assert_float_eq(week.loads[i], 4, 1e-9, "%zu: %g", i,
				   week.loads[i]);
	cr_assert_float_eq(week.peak, 4, 1e-9);
}
