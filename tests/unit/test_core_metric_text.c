/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics as text: Prometheus' own, and OpenMetrics with its exemplars.
 */
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/os.h"
#include "metric_fixture.h"

TestSuite(core_metric_text, .init = set_up, .fini = tear_down);

static double answer(void *argument)
{
	return *(const double *)argument;
}

Test(core_metric_text, the_text_is_the_golden_one)
{
	static const double bounds[] = { 0.1, 0.25, 1 };
	double forty_two = 42.5;
	struct buffer out = BUFFER_INIT(100000);
	uint32_t requests = declare(ATOM_METRIC_COUNTER, "t_requests_total",
				    two_labels, NULL, 0);
	uint32_t empty =
		declare(ATOM_METRIC_GAUGE, "t_empty", one_label, NULL, 0);
	uint32_t latency = declare(ATOM_METRIC_HISTOGRAM, "t_seconds",
				   one_label, bounds, 3);
	metric_id gauge =
		metric_single(ATOM_METRIC_GAUGE, "t_gauge", "two\nlines \\");
	metric_id bare;

	(void)empty;
	metric_add(series(requests, "echo", "200"), 3);
	metric_inc(series(requests, "echo", "200"));
	metric_inc(series(requests, "a\"b\\c\nd", "\xff"));
	metric_observe(series(latency, "echo", NULL), 0.05);
	metric_observe(series(latency, "echo", NULL), 0.1);
	metric_observe(series(latency, "echo", NULL), 0.5);
	metric_observe(series(latency, "echo", NULL), 7);
	metric_observe(series(latency, "echo", NULL), NAN);
	metric_set(gauge, -0.1);
	bare = metric_series(
		declare(ATOM_METRIC_HISTOGRAM, "t_bare", NULL, bounds, 1),
		NULL);
	metric_observe(bare, 3);
	cr_assert_eq(
		metric_gauge_callback("t_read", "read", answer, &forty_two),
		ATOM_OK);
	cr_assert_eq(
		metric_gauge_callback("t_read", "read", answer, &forty_two),
		ATOM_EEXIST);

	cr_assert_str_eq(render(&out),
			 "# HELP t_requests_total help\n"
			 "# TYPE t_requests_total counter\n"
			 "t_requests_total{agent=\"echo\",code=\"200\"} 4\n"
			 "t_requests_total{agent=\"a\\\"b\\\\c\\nd\","
			 "code=\"\xef\xbf\xbd\"} 1\n"
			 "# HELP t_empty help\n"
			 "# TYPE t_empty gauge\n"
			 "# HELP t_seconds help\n"
			 "# TYPE t_seconds histogram\n"
			 "t_seconds_bucket{agent=\"echo\",le=\"0.1\"} 2\n"
			 "t_seconds_bucket{agent=\"echo\",le=\"0.25\"} 2\n"
			 "t_seconds_bucket{agent=\"echo\",le=\"1\"} 3\n"
			 "t_seconds_bucket{agent=\"echo\",le=\"+Inf\"} 4\n"
			 "t_seconds_sum{agent=\"echo\"} 7.65\n"
			 "t_seconds_count{agent=\"echo\"} 4\n"
			 "# HELP t_gauge two\\nlines \\\\\n"
			 "# TYPE t_gauge gauge\n"
			 "t_gauge -0.1\n"
			 "# HELP t_bare help\n"
			 "# TYPE t_bare histogram\n"
			 "t_bare_bucket{le=\"0.1\"} 0\n"
			 "t_bare_bucket{le=\"+Inf\"} 1\n"
			 "t_bare_sum 3\n"
			 "t_bare_count 1\n"
			 "# HELP t_read read\n"
			 "# TYPE t_read gauge\n"
			 "t_read 42.5\n");
	buffer_fini(&out);
}

Test(core_metric_text, the_process_is_described)
{
	static const char *const names[] = {
		"process_cpu_seconds_total",
		"process_start_time_seconds",
		"process_resident_memory_bytes",
		"process_virtual_memory_bytes",
		"process_open_fds",
		"process_max_fds",
		"process_threads",
	};
	struct buffer out = BUFFER_INIT(100000);

	cr_assert_eq(metric_render(&out, METRIC_TEXT), ATOM_OK);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char line[64];
		const char *found;

		(void)snprintf(line, sizeof(line), "\n%s ", names[i]);
		found = strstr(out.bytes, line);
		cr_assert(found, "%s", names[i]);
		cr_expect_geq(strtod(found + strlen(line), NULL),
			      i == 0 ? 0 : 1, "%s", names[i]);
	}
	buffer_fini(&out);
}

Test(core_metric_text, promtool_finds_nothing_to_say)
{
	struct buffer out = BUFFER_INIT(100000);
	FILE *promtool;

	if (system("promtool --version >/dev/null 2>&1") != 0)
		cr_skip_test("promtool is not installed");
	metric_inc(series(declare(ATOM_METRIC_COUNTER, "atomd_x_total",
				  two_labels, NULL, 0),
			  "a", "b\"\n\\"));
	metric_observe(metric_single(ATOM_METRIC_HISTOGRAM,
				     "atomd_x_duration_seconds", "some"),
		       1.5);
	cr_assert_eq(metric_render(&out, METRIC_TEXT), ATOM_OK);
	promtool = popen("promtool check metrics", "w");
	cr_assert(promtool);
	cr_assert_eq(fwrite(out.bytes, 1, out.length, promtool), out.length);
	cr_assert_eq(pclose(promtool), 0);
	buffer_fini(&out);
}

Test(core_metric_text, the_texts_maximum_is_an_error_that_changes_nothing)
{
	struct buffer out = BUFFER_INIT(500);

	cr_assert_eq(buffer_append_text(&out, "before"), ATOM_OK);
	cr_assert_eq(metric_render(&out, METRIC_TEXT), ATOM_ELIMIT);
	cr_assert_str_eq(out.bytes, "before");
	cr_assert(out.failed);
	buffer_fini(&out);
}

/* --- OpenMetrics ---------------------------------------------------------- */

Test(core_metric_text, openmetrics_names_families_without_total_and_has_an_end)
{
	static const double bounds[] = { 0.5, 1, 20 };
	const struct atom_metric_spec waits = {
		.struct_size = sizeof(waits),
		.type = ATOM_METRIC_HISTOGRAM,
		.name = "atomd_x_wait_seconds",
		.help = "How \"long\".",
		.unit = "seconds",
		.bounds = bounds,
		.bound_count = 3,
	};
	static const char expected[] =
		"# HELP atomd_x_things some\n"
		"# TYPE atomd_x_things counter\n"
		"atomd_x_things_total 2\n"
		"# HELP atomd_x_wait_seconds How \\\"long\\\".\n"
		"# TYPE atomd_x_wait_seconds histogram\n"
		"# UNIT atomd_x_wait_seconds seconds\n"
		"atomd_x_wait_seconds_bucket{le=\"0.5\"} 0\n"
		"atomd_x_wait_seconds_bucket{le=\"1.0\"} 1\n"
		"atomd_x_wait_seconds_bucket{le=\"20.0\"} 1\n"
		"atomd_x_wait_seconds_bucket{le=\"+Inf\"} 1\n"
		"atomd_x_wait_seconds_sum 0.75\n"
		"atomd_x_wait_seconds_count 1\n";
	struct atom_error err = ATOM_ERROR_INIT;
	struct buffer out = BUFFER_INIT(100000);
	uint32_t family;

	metric_add(metric_single(ATOM_METRIC_COUNTER, "atomd_x_things_total",
				 "some"),
		   2);
	cr_assert_eq(metric_declare(&waits, &family, &err), ATOM_OK, "%s",
		     err.message);
	metric_observe(metric_series(family, NULL), 0.75);
	cr_assert_eq(metric_render(&out, METRIC_OPENMETRICS), ATOM_OK);
	cr_assert_eq(strncmp(out.bytes, expected, strlen(expected)), 0, "%s",
		     out.bytes);
	cr_assert(strstr(out.bytes, "# TYPE process_cpu_seconds counter\n"
				    "# UNIT process_cpu_seconds seconds\n"
				    "process_cpu_seconds_total "));
	cr_assert_str_eq(out.bytes + out.length - 6, "# EOF\n");
	buffer_fini(&out);
}

Test(core_metric_text, a_unit_is_told_where_it_is_the_names_last_word)
{
	struct buffer out = BUFFER_INIT(100000);

	(void)metric_single(ATOM_METRIC_GAUGE, "x_wait_milliseconds", "some");
	(void)metric_single(ATOM_METRIC_COUNTER, "x_read_kilobytes_total",
			    "some");
	(void)metric_single(ATOM_METRIC_COUNTER, "x_read_bytes_total", "some");
	cr_assert_eq(metric_render(&out, METRIC_OPENMETRICS), ATOM_OK);
	cr_assert(strstr(out.bytes, "# UNIT x_read_bytes bytes\n"));
	/* Prometheus refuses the whole scrape for one of these. */
	cr_assert_null(strstr(out.bytes, "# UNIT x_wait_milli"));
	cr_assert_null(strstr(out.bytes, "# UNIT x_read_kilo"));
	buffer_fini(&out);
}

Test(core_metric_text, help_that_is_no_utf8_spoils_no_scrape)
{
	struct buffer out = BUFFER_INIT(100000);

	(void)metric_single(ATOM_METRIC_GAUGE, "x_things",
			    "caf\xe9, caf\xc3\xa9\\");
	cr_assert_eq(metric_render(&out, METRIC_TEXT), ATOM_OK);
	cr_assert(strstr(out.bytes, "# HELP x_things caf\xef\xbf\xbd, "
				    "caf\xc3\xa9\\\\\n"),
		  "%s", out.bytes);
	buffer_fini(&out);
}

/* --- exemplars ------------------------------------------------------------ */

static int64_t test_ms;

static int64_t test_realtime_ms(void)
{
	return test_ms;
}

static metric_id waits(void)
{
	static const double bounds[] = { 1, 10 };

	return metric_series(declare(ATOM_METRIC_HISTOGRAM, "waits_seconds",
				     NULL, bounds, 2),
			     NULL);
}

static void expect_bucket(const char *line, enum metric_format format)
{
	struct buffer out = BUFFER_INIT(100000);

	cr_assert_eq(metric_render(&out, format), ATOM_OK);
	cr_assert(strstr(out.bytes, line), "expected %s in:\n%s", line,
		  out.bytes);
	buffer_fini(&out);
}

Test(core_metric_text, an_exemplar_is_the_first_call_of_a_second_in_its_bucket)
{
	const metric_id id = waits();
	const struct metric_call first = { "0af7651916cd43dd8448eb211c80319c",
					   "req_1" };
	const struct metric_call second = { NULL, "req_2" };
	const struct metric_call third = { "1af7651916cd43dd8448eb211c80319c",
					   "" };

	os.realtime_coarse_ms = test_realtime_ms;
	test_ms = 1700000000007;
	metric_observe_call(id, 0.5, &first);
	test_ms += 999;
	metric_observe_call(id, 0.25, &second);
	metric_observe_call(id, 20, &second);
	metric_observe(id, 5);
	expect_bucket("waits_seconds_bucket{le=\"1.0\"} 2 # {trace_id=\""
		      "0af7651916cd43dd8448eb211c80319c\",request_id="
		      "\"req_1\"} 0.5 1700000000.007\n"
		      "waits_seconds_bucket{le=\"10.0\"} 3\n"
		      "waits_seconds_bucket{le=\"+Inf\"} 4 # {request_id="
		      "\"req_2\"} 20 1700000001.006\n",
		      METRIC_OPENMETRICS);
	expect_bucket("waits_seconds_bucket{le=\"1\"} 2\n"
		      "waits_seconds_bucket{le=\"10\"} 3\n"
		      "waits_seconds_bucket{le=\"+Inf\"} 4\n",
		      METRIC_TEXT);
	test_ms += 1;
	metric_observe_call(id, 0.75, &third);
	expect_bucket("le=\"1.0\"} 3 # {trace_id=\""
		      "1af7651916cd43dd8448eb211c80319c\"} 0.75 "
		      "1700000001.007\n",
		      METRIC_OPENMETRICS);
	/* A clock that was set back does not keep it. */
	test_ms -= 60000;
	metric_observe_call(id, 0.5, &second);
	expect_bucket("# {request_id=\"req_2\"} 0.5 1699999941.007\n",
		      METRIC_OPENMETRICS);
}

Test(core_metric_text, an_id_that_does_not_fit_is_no_exemplar)
{
	static const char *const bad[] = { "a\"b",     "a\\b", "a b", "a\nb",
					   "\xc3\xa9", "",     NULL };
	const metric_id id = waits();
	char whole[METRIC_REQUEST_ID_MAX + 2];
	struct metric_call call = { NULL, NULL };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		call.request_id = bad[i];
		metric_observe_call(id, 0.5, &call);
	}
	memset(whole, 'x', sizeof(whole));
	whole[METRIC_REQUEST_ID_MAX + 1] = '\0';
	call.request_id = whole;
	metric_observe_call(id, 0.5, &call);
	expect_bucket("waits_seconds_bucket{le=\"1.0\"} 8\n",
		      METRIC_OPENMETRICS);
	whole[METRIC_REQUEST_ID_MAX] = '\0';
	metric_observe_call(id, 0.5, &call);
	expect_bucket("waits_seconds_bucket{le=\"1.0\"} 9 # {request_id=\"xxx",
		      METRIC_OPENMETRICS);
}
