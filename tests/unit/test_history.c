/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metric history: what comes out is what went in, over restarts, cuts and
 * full disks; and what rolls up does.
 */
#include <criterion/criterion.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/health.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "keyring/keyring.h"
#include "monitor/chunk.h"
#include "monitor/frame.h"
#include "monitor/history.h"
#include "monitor/week.h"

#define START_MS 1700000100000ll /* a whole multiple of five minutes */

static struct os real_os;
static int64_t now_ms;
static char folder[64];
static char history_folder[96];
static struct keyring *keyring;

static int64_t fake_time(void)
{
	return now_ms;
}

static void begin(void)
{
	struct atom_error err = ATOM_ERROR_INIT;

	cr_assert_eq(metric_init(1), ATOM_OK);
	metric_attach(0);
	cr_assert_eq(history_init(history_folder, keyring, &err), ATOM_OK, "%s",
		     err.message);
}

static void finish(void)
{
	history_fini();
	metric_fini();
}

static void set_up(void)
{
	static const uint8_t kek[KEYRING_KEY_BYTES] = { 1 };
	struct atom_error err = ATOM_ERROR_INIT;
	char path[128];

	log_set_descriptor(-1);
	real_os = os;
	os.realtime_ms = fake_time;
	now_ms = START_MS;
	(void)snprintf(folder, sizeof(folder), "/tmp/test_history.XXXXXX");
	cr_assert(mkdtemp(folder));
	(void)snprintf(history_folder, sizeof(history_folder), "%s/history",
		       folder);
	(void)snprintf(path, sizeof(path), "%s/keyring", folder);
	cr_assert_eq(keyring_create(path, kek, true, &keyring, &err), ATOM_OK,
		     "%s", err.message);
	begin();
}

static void tear_down(void)
{
	char command[128];

	finish();
	keyring_free(&keyring);
	os = real_os;
	health_fini();
	log_fini();
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	cr_assert_eq(system(command), 0);
}

TestSuite(history, .init = set_up, .fini = tear_down);

static const char *const agent_label[] = { "agent", NULL };
static const char *const revision_labels[] = { "agent", "revision", NULL };

static uint32_t family(int type, const char *name, const char *const *labels)
{
	static const double bounds[] = { 1, 5 };
	const struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = type,
		.name = name,
		.help = "help",
		.label_names = labels,
		.bounds = type == ATOM_METRIC_HISTOGRAM ? bounds : NULL,
		.bound_count = type == ATOM_METRIC_HISTOGRAM ? 2 : 0,
	};
	struct atom_error err = ATOM_ERROR_INIT;
	uint32_t number;

	cr_assert_eq(metric_declare(&spec, &number, &err), ATOM_OK, "%s",
		     err.message);
	return number;
}

static metric_id series(uint32_t number, const char *a, const char *b)
{
	const char *values[] = { a, b };

	return metric_series(number, values);
}

static void tick(void)
{
	now_ms += HISTORY_RAW_MS;
	history_sample();
}

/* --- reading ------------------------------------------------------------- */

/* All that is visited, as text: `NAME{a="b"} TIME=VALUE ...` a line; times in
 * samples since START_MS. */
static char text[65536];
static size_t visited;

static int32_t on_series(void *argument, const struct atom_history_series *s,
			 const void *samples, size_t stride, size_t count)
{
	size_t length = strlen(text);

	visited++;
	length += (size_t)snprintf(text + length, sizeof(text) - length, "%s",
				   s->name);
	for (size_t i = 0; i < s->label_count; i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length,
					   " %s=%s", s->labels[i].name,
					   s->labels[i].value);
	for (size_t i = 0; i < count; i++) {
		const struct atom_history_sample *at =
			(const void *)((const char *)samples + i * stride);

		length += (size_t)snprintf(
			text + length, sizeof(text) - length, " %g:%g",
			(double)(at->time_ms - START_MS) / HISTORY_RAW_MS,
			at->value);
		if (argument)
			length += (size_t)snprintf(text + length,
						   sizeof(text) - length,
						   "(%g,%g,%g)", at->lowest,
						   at->highest, at->mean);
	}
	(void)snprintf(text + length, sizeof(text) - length, "\n");
	return 0;
}

static const char *read_query(struct atom_history_query *q)
{
	struct atom_error err = ATOM_ERROR_INIT;
	static int spread;

	text[0] = '\0';
	visited = 0;
	q->struct_size = sizeof(*q);
	if (q->to_ms == 0)
		q->to_ms = now_ms;
	cr_assert_eq(history_read(q, on_series,
				  q->resolution == ATOM_HISTORY_ROLLED ? &spread
								       : NULL,
				  &err),
		     ATOM_OK, "%s", err.message);
	return text;
}

static const char *read_name(const char *name)
{
	return read_query(&(struct atom_history_query){
		.name = name, .resolution = ATOM_HISTORY_RAW });
}

/* --- packing ------------------------------------------------------------- */

Test(history, any_values_come_back_from_a_chunk_bit_by_bit)
{
	static const double odd[] = { 0,     1,	      1,     -1,   0.1,
				      1e300, -1e-300, 1e300, 12,   12,
				      13,    1 << 30, 7,     0.30, 0.31 };
	struct chunk *chunk = chunk_new();
	double values[CHUNK_ROWS];
	unsigned int seed = 7;
	double all[20][CHUNK_ROWS];

	cr_assert(chunk);
	for (unsigned int row = 0; row < CHUNK_ROWS; row++) {
		chunk_add_row(chunk, row);
		for (size_t c = 0; c < 20; c++) {
			uint64_t bits = 0;

			all[c][row] = c < 5 ? odd[(row + c) % ARRAY_SIZE(odd)]
				      : c < 10 ? row * (double)c
					       : 0;
			for (int i = 0; c >= 10 && i < 4; i++)
				bits = bits << 16 |
				       ((uint64_t)rand_r(&seed) & 0xffff);
			if (c >= 10)
				memcpy(&all[c][row], &bits, 8);
			/* Some begin late, some have holes. */
			if (row < c || (c % 3 == 0 && row % 5 == 0)) {
				all[c][row] = chunk_absent();
				continue;
			}
			cr_assert_eq(chunk_set(chunk, c, row, all[c][row]),
				     ATOM_OK);
		}
	}
	for (int packed = 0; packed < 2; packed++) {
		for (size_t c = 0; c < 20; c++) {
			chunk_column_values(chunk, c, values);
			cr_assert_eq(memcmp(values, all[c], sizeof(values)), 0,
				     "column %zu", c);
		}
		chunk_pack(chunk);
	}
	chunk_column_values(chunk, 20, values);
	cr_assert(chunk_is_absent(values[0]));
	chunk_free(&chunk);
}

/* A value that stays: one bit. */
Test(history, what_does_not_move_takes_a_bit)
{
	struct chunk *chunk = chunk_new();
	size_t before = sizeof(*chunk) + sizeof(*chunk->columns);

	for (unsigned int row = 0; row < CHUNK_ROWS; row++) {
		chunk_add_row(chunk, row);
		cr_assert_eq(chunk_set(chunk, 0, row, 42.5), ATOM_OK);
	}
	chunk_pack(chunk);
	cr_assert_eq(chunk_bytes(chunk) - before,
		     (64 + CHUNK_ROWS - 1 + 7) / 8);
	chunk_free(&chunk);
}

static atom_status nothing(void *argument, const struct frame_series *s)
{
	(void)argument;
	return s->width > 0 ? ATOM_OK : ATOM_EDATALOSS;
}

/* Every cut and every flipped bit of a frame is refused or read within its
 * bounds (the sanitizers watch). */
Test(history, a_frame_that_is_damaged_is_no_crash)
{
	const double bounds[] = { 1, 5 };
	const double values[] = { 1, 2, 3, 4, 5.5 };
	const struct frame_series is[] = {
		{ .type = ATOM_METRIC_COUNTER,
		  .width = 1,
		  .name = "a_total",
		  .label_count = 1,
		  .label_names = { "agent" },
		  .label_values = { "x" } },
		{ .type = ATOM_METRIC_HISTOGRAM,
		  .width = 4,
		  .name = "h",
		  .bound_count = 2,
		  .bounds = bounds },
	};
	struct buffer out = BUFFER_INIT(4096);
	struct frame_state state = { 0 };
	int64_t time_ms = 0;

	cr_assert_eq(frame_encode(&state, 77, is, 2, values, 5, &out), ATOM_OK);
	frame_state_fini(&state);
	for (size_t length = 0; length <= out.length; length++) {
		const struct atom_span cut = { out.bytes, length };

		cr_assert_eq(frame_decode(&state, &cut, nothing, NULL,
					  &time_ms) == ATOM_OK,
			     length == out.length);
		frame_state_fini(&state);
	}
	cr_assert_eq(time_ms, 77);
	for (size_t bit = 0; bit < out.length * 8; bit++) {
		const struct atom_span frame = { out.bytes, out.length };

		out.bytes[bit / 8] ^= (char)(1 << bit % 8);
		(void)frame_decode(&state, &frame, nothing, NULL, &time_ms);
		frame_state_fini(&state);
		out.bytes[bit / 8] ^= (char)(1 << bit % 8);
	}
	buffer_fini(&out);
}

/* --- series -------------------------------------------------------------- */

Test(history, revisions_are_one_and_what_goes_takes_nothing_along)
{
	uint32_t f = family(ATOM_METRIC_COUNTER, "t_total", revision_labels);
	const char *first[] = { "a", "1" };

	metric_add(series(f, "a", "1"), 10);
	tick();
	metric_add(series(f, "a", "1"), 5);
	metric_add(series(f, "a", "2"), 1);
	tick();
	metric_remove(f, first);
	metric_add(series(f, "a", "2"), 2);
	tick();
	cr_assert_str_eq(read_name("t_total"),
			 "t_total agent=a 1:10 2:16 3:18\n");
}

Test(history, a_counter_that_comes_up_begins_at_0)
{
	uint32_t f = family(ATOM_METRIC_COUNTER, "t_total", agent_label);

	tick();
	tick();
	metric_add(series(f, "a", NULL), 3);
	tick();
	cr_assert_str_eq(read_name("t_total"), "t_total agent=a 2:0 3:3\n");
	/* Also where a chunk ends between. */
	while (now_ms < START_MS + CHUNK_ROWS * HISTORY_RAW_MS)
		tick();
	metric_add(series(f, "b", NULL), 4);
	tick();
	cr_assert_str_eq(
		read_query(&(struct atom_history_query){
			.name = "t_total",
			.matchers =
				&(struct atom_history_matcher){
					sizeof(struct atom_history_matcher),
					ATOM_HISTORY_MATCHES, "agent", "b|c" },
			.matcher_stride = sizeof(struct atom_history_matcher),
			.matcher_count = 1 }),
		"t_total agent=b 80:0 81:4\n");
}

Test(history, a_histogram_is_told_as_its_parts)
{
	metric_id h =
		series(family(ATOM_METRIC_HISTOGRAM, "t_seconds", agent_label),
		       "a", NULL);

	metric_observe(h, 0.5);
	metric_observe(h, 3);
	tick();
	metric_observe(h, 30);
	tick();
	cr_assert_str_eq(read_name("t_seconds_bucket"),
			 "t_seconds_bucket agent=a le=1 1:1 2:1\n"
			 "t_seconds_bucket agent=a le=5 1:2 2:2\n"
			 "t_seconds_bucket agent=a le=+Inf 1:2 2:3\n");
	cr_assert_str_eq(read_name("t_seconds_count"),
			 "t_seconds_count agent=a 1:2 2:3\n");
	cr_assert_str_eq(read_name("t_seconds_sum"),
			 "t_seconds_sum agent=a 1:3.5 2:33.5\n");
	cr_assert_str_eq(read_name("t_seconds"), "");
}

Test(history, a_step_takes_the_last_and_the_spread_of_each)
{
	metric_id g = metric_single(ATOM_METRIC_GAUGE, "t_gauge", "h");

	for (int i = 1; i <= 6; i++) {
		metric_set(g, i * i);
		tick();
	}
	cr_assert_str_eq(read_query(&(struct atom_history_query){
				 .name = "t_gauge",
				 .from_ms = START_MS + 1,
				 .step_ms = 2 * HISTORY_RAW_MS }),
			 "t_gauge 2:4 4:16 6:36\n");
}

Test(history, what_is_wrong_with_a_query_is_said)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct atom_history_matcher m = { sizeof(m), ATOM_HISTORY_MATCHES,
					  "agent", "a{1000}" };
	struct atom_history_query q = { .struct_size = sizeof(q),
					.matchers = &m,
					.matcher_stride = sizeof(m),
					.matcher_count = 1,
					.to_ms = 10 };

	cr_assert_eq(history_read(&q, on_series, NULL, &err), ATOM_EINVAL);
	cr_assert(strstr(err.message, "without counts in braces"), "%s",
		  err.message);
	m.value = "(";
	cr_assert_eq(history_read(&q, on_series, NULL, &err), ATOM_EINVAL);
	m.type = 9;
	cr_assert_eq(history_read(&q, on_series, NULL, &err), ATOM_EINVAL);
	q.matcher_count = 0;
	q.from_ms = 11;
	cr_assert_eq(history_read(&q, on_series, NULL, &err), ATOM_EINVAL);
}

/* --- over restarts ------------------------------------------------------- */

Test(history, a_restart_loses_nothing_and_counters_carry_on)
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
Test(history, hours_are_read_from_the_disk)
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

Test(history, five_minutes_become_one_row_and_the_present_ones_follow)
{
	metric_id g = metric_single(ATOM_METRIC_GAUGE, "t_gauge", "h");

	/* The 20th sample is the last of the first five minutes. */
	for (int i = 1; i <= 25; i++) {
		if (i == 10) {
			finish();
			begin();
			g = metric_single(ATOM_METRIC_GAUGE, "t_gauge", "h");
		}
		metric_set(g, i);
		tick();
	}
	cr_assert_str_eq(
		read_query(&(struct atom_history_query){
			.name = "t_gauge", .resolution = ATOM_HISTORY_ROLLED }),
		"t_gauge 20:20(1,20,10.5)\n");
	cr_assert_str_eq(read_query(&(struct atom_history_query){
				 .name = "t_gauge",
				 .step_ms = HISTORY_ROLLED_MS,
				 .resolution = ATOM_HISTORY_ROLLED }),
			 "t_gauge 20:20(1,20,10.5) 40:25(21,25,23)\n");
}

Test(history, an_agents_week_goes_on_over_a_restart)
{
	static struct week week;

	for (int start = 0; start < 2; start++) {
		uint32_t in_flight =
			family(ATOM_METRIC_GAUGE, "atomd_inflight_requests",
			       agent_label);
		uint32_t waiting = family(ATOM_METRIC_GAUGE,
					  "atomd_queue_depth", agent_label);

		for (int i = 1; i <= 20; i++) {
			metric_set(series(in_flight, "one", NULL),
				   start == 0 ? 4 : 1);
			metric_set(series(waiting, "one", NULL),
				   start == 0 && i > 10 ? 8 : 0);
			metric_set(series(in_flight, "two", NULL), 50);
			tick();
		}
		finish();
		begin();
	}
	/* The next one says that the five minutes are over. */
	tick();
	week_read("one", &week);
	cr_assert_eq(week.count, 2);
	cr_assert_float_eq(week.loads[0], 8, 1e-9);
	cr_assert_float_eq(week.loads[1], 1, 1e-9);
	cr_assert_float_eq(week.peak, 8, 1e-9);
	week_read("nobody", &week);
	cr_assert_eq(week.count, 0);
	/* Older than a week is not of it. */
	now_ms += WEEK_MS;
	week_read("one", &week);
	cr_assert_eq(week.count, 1);
	cr_assert_float_eq(week.loads[0], 1, 1e-9);
}

/* --- disks --------------------------------------------------------------- */

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

Test(history, a_sample_on_time_stands_at_its_multiple_and_a_late_one_does_not)
{
	metric_id c = metric_single(ATOM_METRIC_COUNTER, "t_total", "h");

	metric_inc(c);
	now_ms = START_MS + HISTORY_RAW_MS + 7;
	history_sample();
	metric_inc(c);
	now_ms = START_MS + 2 * HISTORY_RAW_MS - 3; /* the timer was early */
	history_sample();
	now_ms = START_MS + 2 * HISTORY_RAW_MS + 4; /* and fired once more */
	history_sample();
	metric_inc(c);
	now_ms = START_MS + 3 * HISTORY_RAW_MS + HISTORY_RAW_MS / 2;
	history_sample();
	now_ms += HISTORY_RAW_MS;
	cr_assert_str_eq(read_name("t_total"), "t_total 1:1 2:2 3.5:3\n");
}

Test(history, a_torn_tail_costs_that_tail)
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

Test(history, a_changed_byte_ends_the_segment_and_nothing_else)
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

Test(history, a_full_disk_costs_its_rows_and_is_told)
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

Test(history, a_clock_that_goes_back_is_followed)
{
	metric_id c = metric_single(ATOM_METRIC_COUNTER, "t_total", "h");

	metric_inc(c);
	tick();
	now_ms += 24 * 3600 * 1000ll;
	tick();
	now_ms = START_MS + HISTORY_RAW_MS;
	metric_inc(c);
	tick();
	tick();
	cr_assert_str_eq(read_name("t_total"), "t_total 1:1 2:2 3:2\n");
}

Test(history, what_failed_in_a_time_that_never_was_is_tried_again)
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

Test(history, what_is_too_old_goes)
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

/* --- limits -------------------------------------------------------------- */

Test(history, more_series_than_there_is_room_for_are_counted)
{
	uint32_t f = family(ATOM_METRIC_COUNTER, "t_total", agent_label);
	struct atom_history_extent extent;

	for (int i = 0; i < 600; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "a%d", i);
		metric_inc(series(f, name, NULL));
	}
	tick();
	history_extent(&extent);
	cr_assert_eq(extent.series_count, HISTORY_SERIES_MAX);
	cr_assert_eq(extent.last_ms, now_ms);
	read_name("t_total");
	cr_assert_gt(visited, 400);
}
