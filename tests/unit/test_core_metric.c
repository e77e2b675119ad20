/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics: what may be declared, and what is counted.
 */
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "core/os.h"
#include "failing_memory.h"
#include "metric_fixture.h"

TestSuite(core_metric, .init = set_up, .fini = tear_down);

Test(core_metric, declaring_again_gives_the_same_or_refuses)
{
	static const double bounds[] = { 1, 2 }, others[] = { 1, 3 };
	uint32_t counter =
		declare(ATOM_METRIC_COUNTER, "t_total", two_labels, NULL, 0);
	uint32_t histogram =
		declare(ATOM_METRIC_HISTOGRAM, "t_seconds", NULL, bounds, 2);
	struct atom_metric_spec spec = {
		.struct_size = sizeof(spec),
		.type = ATOM_METRIC_COUNTER,
		.name = "t_total",
		.help = "other words are fine",
		.label_names = two_labels,
	};
	struct atom_error err = ATOM_ERROR_INIT;
	uint32_t again = 77;

	cr_assert_eq(metric_declare(&spec, &again, &err), ATOM_OK);
	cr_assert_eq(again, counter);
	spec.label_names = one_label;
	cr_assert_eq(metric_declare(&spec, &again, &err), ATOM_EEXIST);
	cr_assert(strstr(err.message, "t_total"));
	spec.name = "t_seconds";
	spec.type = ATOM_METRIC_HISTOGRAM;
	spec.label_names = NULL;
	spec.bounds = bounds;
	spec.bound_count = 2;
	cr_assert_eq(metric_declare(&spec, &again, &err), ATOM_OK);
	cr_assert_eq(again, histogram);
	spec.bounds = others;
	cr_assert_eq(metric_declare(&spec, &again, &err), ATOM_EEXIST);
}

Test(core_metric, bad_declarations_are_refused_in_words)
{
	static const double falling[] = { 2, 1 }, twice[] = { 1, 1 },
			    endless[] = { 1, INFINITY };
	static const char
		*const le[] = { "le", NULL },
		       *const hidden[] = { "__name", NULL },
		       *const same[] = { "a", "a", NULL },
		       *const five[] = { "a", "b", "c", "d", "e", NULL },
		       *const dash[] = { "a-b", NULL };
	static const struct {
		int type;
		const char *name, *help;
		const char *const *labels;
		const double *bounds;
		size_t bound_count;
		const char *word;
	} cases[] = {
		{ 0, "t_x", "h", NULL, NULL, 0, "type" },
		{ 4, "t_x", "h", NULL, NULL, 0, "type" },
		{ ATOM_METRIC_COUNTER, "t_x", "h", NULL, NULL, 0, "_total" },
		{ ATOM_METRIC_GAUGE, "t_total", "h", NULL, NULL, 0, "_total" },
		{ ATOM_METRIC_GAUGE, "t_count", "h", NULL, NULL, 0, "_count" },
		{ ATOM_METRIC_GAUGE, "1t", "h", NULL, NULL, 0, "1t" },
		{ ATOM_METRIC_GAUGE, "t x", "h", NULL, NULL, 0, "t x" },
		{ ATOM_METRIC_GAUGE, "", "h", NULL, NULL, 0, "name" },
		{ ATOM_METRIC_GAUGE, NULL, "h", NULL, NULL, 0, "name" },
		{ ATOM_METRIC_GAUGE, "t_x", "", NULL, NULL, 0, "help" },
		{ ATOM_METRIC_GAUGE, "t_x", NULL, NULL, NULL, 0, "help" },
		{ ATOM_METRIC_GAUGE, "t_x", "h", le, NULL, 0, "le" },
		{ ATOM_METRIC_GAUGE, "t_x", "h", hidden, NULL, 0, "__name" },
		{ ATOM_METRIC_GAUGE, "t_x", "h", same, NULL, 0, "twice" },
		{ ATOM_METRIC_GAUGE, "t_x", "h", five, NULL, 0, "4" },
		{ ATOM_METRIC_GAUGE, "t_x", "h", dash, NULL, 0, "a-b" },
		{ ATOM_METRIC_HISTOGRAM, "t_x", "h", NULL, falling, 2, "rise" },
		{ ATOM_METRIC_HISTOGRAM, "t_x", "h", NULL, twice, 2, "rise" },
		{ ATOM_METRIC_HISTOGRAM, "t_x", "h", NULL, endless, 2,
		  "finite" },
		{ ATOM_METRIC_HISTOGRAM, "t_x", "h", NULL, falling, 33, "32" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct atom_metric_spec spec = {
			.struct_size = sizeof(spec),
			.type = cases[i].type,
			.name = cases[i].name,
			.help = cases[i].help,
			.label_names = cases[i].labels,
			.bounds = cases[i].bounds,
			.bound_count = cases[i].bound_count,
		};
		struct atom_error err = ATOM_ERROR_INIT;
		uint32_t family = 77;

		cr_expect_eq(metric_declare(&spec, &family, &err), ATOM_EINVAL,
			     "case %zu", i);
		cr_expect(strstr(err.message, cases[i].word), "case %zu: %s", i,
			  err.message);
		cr_expect_eq(family, 77);
	}
}

Test(core_metric, quantiles_are_prometheus_own)
{
	static const double bounds[] = { 1, 2, 4 };
	metric_id h = metric_series(
		declare(ATOM_METRIC_HISTOGRAM, "t_seconds", NULL, bounds, 3),
		NULL);

	cr_assert(isnan(metric_quantile(h, 0.5)));
	for (int i = 0; i < 10; i++)
		metric_observe(h, 0.5); /* 10 up to 1 */
	for (int i = 0; i < 20; i++)
		metric_observe(h, 3); /* 20 up to 4 */
	cr_assert_float_eq(metric_quantile(h, 0.1), 0.3, 1e-9);
	cr_assert_float_eq(metric_quantile(h, 0.5), 2.5, 1e-9);
	cr_assert_float_eq(metric_quantile(h, 1), 4, 1e-9);
	metric_observe(h, 100);
	cr_assert_float_eq(metric_quantile(h, 1), 4, 1e-9);
	cr_assert_float_eq(metric_quantile(h, 0), 0, 1e-9);
	cr_assert(isnan(metric_quantile(h, 1.1)));
	cr_assert(isnan(metric_quantile(h, NAN)));
	cr_assert(isnan(metric_quantile(0, 0.5)));
}

Test(core_metric, every_bucket_takes_its_bound_and_what_is_below)
{
	for (size_t count = 1; count <= 32; count++) {
		double bounds[32];
		char name[32];
		metric_id h;

		(void)snprintf(name, sizeof(name), "t_%zu", count);
		for (size_t i = 0; i < count; i++)
			bounds[i] = (double)i;
		h = metric_series(declare(ATOM_METRIC_HISTOGRAM, name, NULL,
					  bounds, count),
				  NULL);
		for (size_t i = 0; i <= count; i++) {
			metric_observe(h, (double)i);
			metric_observe(h, (double)i - 0.5);
			/* Were one put into the next bucket, the highest
			 * quantile would be the next bound. */
			cr_assert_float_eq(metric_quantile(h, 1),
					   i < count ? bounds[i]
						     : bounds[count - 1],
					   1e-9);
			cr_assert_eq(metric_count(h), 2 * (i + 1));
		}
	}
}

Test(core_metric, wrong_ids_and_types_are_ignored)
{
	metric_id counter = metric_single(ATOM_METRIC_COUNTER, "t_total", "h");
	metric_id gauge = metric_single(ATOM_METRIC_GAUGE, "t_gauge", "h");
	metric_id h = metric_single(ATOM_METRIC_HISTOGRAM, "t_seconds", "h");

	metric_inc(0);
	metric_set(0, 1);
	metric_observe(0, 1);
	metric_set(counter, 5);
	metric_observe(counter, 5);
	metric_observe(gauge, 5);
	metric_inc(h);
	metric_set(h, 5);
	cr_assert_eq(metric_value(counter), 0);
	cr_assert_eq(metric_value(gauge), 0);
	cr_assert_eq(metric_value(h), 0);
	cr_assert_eq(metric_count(h), 0);
	cr_assert_eq(metric_count(counter), 0);
	cr_assert_eq(metric_type(0), 0);
	cr_assert_eq(metric_type(counter), ATOM_METRIC_COUNTER);
	cr_assert_eq(metric_type(gauge), ATOM_METRIC_GAUGE);
	cr_assert_eq(metric_type(h), ATOM_METRIC_HISTOGRAM);
}

Test(core_metric, a_family_holds_a_thousand_series_unless_told)
{
	uint32_t family =
		declare(ATOM_METRIC_COUNTER, "t_total", one_label, NULL, 0);
	struct buffer out = BUFFER_INIT(1000000);
	char name[16];

	for (int i = 0; i < 1001; i++) {
		(void)snprintf(name, sizeof(name), "a%d", i);
		cr_assert_eq(series(family, name, NULL) != 0, i < 1000);
	}
	metric_allow(family, 1001);
	cr_assert(series(family, name, NULL));
	cr_assert_eq(metric_render(&out, METRIC_TEXT), ATOM_OK);
	cr_assert(strstr(out.bytes, "atomd_metric_series_dropped_total 1\n"));
	buffer_fini(&out);
}

static int64_t now_ns;

static int64_t fake_monotonic_ns(void)
{
	return now_ns;
}

Test(core_metric, a_table_is_declared_up_to_what_is_refused)
{
	uint32_t first = UINT32_MAX, second = UINT32_MAX, third = UINT32_MAX;
	const struct metric_declaration rows[] = {
		{ .type = ATOM_METRIC_COUNTER,
		  .name = "t_all_total",
		  .help = "h",
		  .labels = one_label,
		  .family_r = &first,
		  .series_max = 2 },
		{ .type = ATOM_METRIC_HISTOGRAM,
		  .name = "t_all_seconds",
		  .help = "h",
		  .unit = "seconds",
		  .family_r = &second },
		{ .type = ATOM_METRIC_COUNTER,
		  .name = "t_without_its_ending",
		  .help = "h",
		  .family_r = &third },
	};
	struct atom_error err = ATOM_ERROR_INIT;
	metric_id histogram;

	cr_assert_eq(metric_declare_all(rows, 3, &err), ATOM_EINVAL);
	cr_expect(strstr(err.message, "t_without_its_ending") != NULL);
	cr_expect_eq(third, UINT32_MAX);
	cr_expect(series(first, "a", NULL) != 0);
	cr_expect(series(first, "b", NULL) != 0);
	cr_expect_eq(series(first, "c", NULL), 0);
	histogram = metric_series(second, NULL);
	metric_observe(histogram, 0.03);
	cr_expect_eq(metric_count(histogram), 1);
	cr_expect_eq(metric_declare_all(rows, 2, &err), ATOM_OK);
}

Test(core_metric, removed_series_vanish_and_come_back_at_zero)
{
	int64_t (*real)(void) = os.monotonic_ns;
	uint32_t family =
		declare(ATOM_METRIC_GAUGE, "t_gauge", one_label, NULL, 0);
	struct buffer out = BUFFER_INIT(100000);
	const char *values[] = { "gone" };
	metric_id first = series(family, "gone", NULL), next, reused;

	os.monotonic_ns = fake_monotonic_ns;
	metric_set(first, 7);
	metric_add(first, 1);
	series(family, "stays", NULL);
	metric_remove(family, values);
	metric_remove(family, values);
	cr_assert_str_eq(render(&out), "# HELP t_gauge help\n"
				       "# TYPE t_gauge gauge\n"
				       "t_gauge{agent=\"stays\"} 0\n");
	/* A call may still hold the old id. */
	next = series(family, "next", NULL);
	cr_assert_neq(next, first);
	metric_inc(first);
	cr_assert_eq(metric_value(next), 0);
	now_ns += 16ll * 60 * 1000000000;
	reused = series(family, "later", NULL);
	cr_assert_eq(reused, first);
	cr_assert_eq(metric_value(reused), 0);
	os.monotonic_ns = real;
	buffer_fini(&out);
}

static unsigned int visits;
static double visit_total;

static void visit(void *argument, const struct metric_view *view)
{
	cr_assert_eq(argument, &visits);
	if (strncmp(view->name, "t_", 2) != 0)
		return;
	if (view->type == ATOM_METRIC_HISTOGRAM) {
		cr_assert_eq(view->bound_count, metric_duration_bound_count);
		cr_assert_eq(view->bounds[0], 0.001);
		cr_assert_eq(view->counts[9], 1); /* up to 1 s */
		cr_assert_eq(view->counts[10], 1);
		cr_assert_str_eq(view->labels, "");
	} else {
		cr_assert_str_eq(view->name, "t_total");
		cr_assert_str_eq(view->labels, "{agent=\"a\\\"\"}");
		cr_assert_eq(view->label_count, 1);
		cr_assert_str_eq(view->label_names[0], "agent");
		cr_assert_str_eq(view->label_values[0], "a\"");
	}
	visits++;
	visit_total += view->value;
}

Test(core_metric, a_visit_sees_every_series)
{
	metric_id h = metric_single(ATOM_METRIC_HISTOGRAM, "t_seconds", "h");

	metric_observe(h, 1);
	metric_observe(h, 2);
	metric_add(series(declare(ATOM_METRIC_COUNTER, "t_total", one_label,
				  NULL, 0),
			  "a\"", NULL),
		   10);
	metric_visit(visit, &visits);
	cr_assert_eq(visits, 2);
	cr_assert_float_eq(visit_total, 13, 1e-9);
}

static int64_t now_ms;

static int64_t fake_realtime_ms(void)
{
	return now_ms;
}

struct since {
	int64_t since_ms;
	const char *help;
};

static void note_since(void *argument, const struct metric_view *view)
{
	struct since *since = argument;

	if (strcmp(view->name, "t_total") == 0)
		*since = (struct since){ view->since_ms, view->help };
}

Test(core_metric, a_series_knows_since_when_it_counts)
{
	int64_t (*real)(void) = os.realtime_ms;
	uint32_t family =
		declare(ATOM_METRIC_COUNTER, "t_total", one_label, NULL, 0);
	const char *values[] = { "a" };
	struct since since = { 0, NULL };

	os.realtime_ms = fake_realtime_ms;
	now_ms = 1000;
	series(family, "a", NULL);
	now_ms = 2000;
	series(family, "a", NULL);
	metric_visit(note_since, &since);
	cr_assert_eq(since.since_ms, 1000);
	cr_assert_str_eq(since.help, "help");
	metric_remove(family, values);
	series(family, "a", NULL);
	metric_visit(note_since, &since);
	cr_assert_eq(since.since_ms, 2000);
	os.realtime_ms = real;
}

Test(core_metric, without_memory_nothing_breaks)
{
	for (unsigned int n = 1;; n++) {
		uint32_t family;
		const struct atom_metric_spec spec = {
			.struct_size = sizeof(spec),
			.type = ATOM_METRIC_HISTOGRAM,
			.name = "t_seconds",
			.help = "h",
			.label_names = one_label,
		};
		struct buffer out = BUFFER_INIT(100000);
		const char *values[] = { "a" };

		metric_fini();
		failing_memory_begin(n);
		if (metric_init(2) == ATOM_OK &&
		    metric_declare(&spec, &family, NULL) == ATOM_OK) {
			metric_id id = metric_series(family, values);

			metric_observe(id, 1);
			(void)metric_render(&out, METRIC_TEXT);
			metric_remove(family, values);
			metric_observe(id, 1);
		}

		bool failed = failing_memory_end();

		buffer_fini(&out);
		if (!failed)
			break;
	}
}
