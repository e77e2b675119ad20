/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metric history: what a sample takes, what is told of it, and what rolls
 * up.
 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "history_fixture.h"
#include "monitor/chunk.h"
#include "monitor/week.h"

TestSuite(history, .init = set_up, .fini = tear_down);

/* --- series --------------------------------------------------------------- */

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

/* --- time ----------------------------------------------------------------- */

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

/* --- limits --------------------------------------------------------------- */

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

Test(history, the_longest_name_is_whole)
{
	char name[201], part[256];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	metric_observe(metric_single(ATOM_METRIC_HISTOGRAM, name, "h"), 1);
	tick();
	(void)snprintf(part, sizeof(part), "%s_count", name);
	(void)read_name(part);
	cr_assert_eq(visited, 1);
}
