/* SPDX-License-Identifier: Apache-2.0 */

/* The expression language of monitor/alerts by itself: what it refuses and
 * how it says so, and its values where they can be told by hand.  What
 * Prometheus says about the same is tests/conformance/test_alerts_expr.py. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "plugins/monitor/alerts/function.h"

#define NOW_MS 600000

static struct arena arena = ARENA_INIT(1024 * 1024);

static void free_arena(void)
{
	arena_fini(&arena);
}

/* A counter that grows by 3 each 15 s from 0 at time 0, and a gauge that
 * ended. */
static atom_status select_two(void *self, struct arena *where,
			      const struct matcher *matchers, size_t count,
			      int64_t from_ms, int64_t to_ms,
			      const struct expr_series **series_r,
			      size_t *count_r, struct atom_error *err)
{
	static const struct label counter[] = { { "__name__", "c" },
						{ "agent", "a" } };
	static const struct label gauge[] = { { "__name__", "g" } };
	struct expr_series *series = arena_array(where, 2, sizeof(*series));
	struct expr_sample *samples = arena_array(where, 82, sizeof(*samples));
	const uint64_t bits = 0x7ff0000000000002ull;
	double stale;

	(void)self;
	if (series == NULL || samples == NULL)
		return atom_fail(err, ATOM_ENOMEM, "full");
	memcpy(&stale, &bits, sizeof(stale));
	series[0].labels = (struct labels){ counter, 2 };
	series[0].samples = samples;
	for (int64_t at = 0; at <= NOW_MS; at += 15000)
		if (at >= from_ms && at <= to_ms)
			samples[series[0].sample_count++] =
				(struct expr_sample){ at, (double)at / 5000 };
	series[1].labels = (struct labels){ gauge, 1 };
	series[1].samples = samples + 41;
	samples[41] = (struct expr_sample){ NOW_MS - 30000, 5 };
	samples[42] = (struct expr_sample){ NOW_MS - 15000, stale };
	series[1].sample_count = to_ms >= NOW_MS - 15000 ? 2 : 1;
	*count_r = 0;
	for (size_t i = 0; i < 2; i++)
		if (matchers_match(matchers, count, &series[i].labels)) {
			series[*count_r] = series[i];
			++*count_r;
		}
	*series_r = series;
	return ATOM_OK;
}

static struct expr_value evaluated(const char *text)
{
	const struct expr_source source = { NULL, select_two };
	struct atom_error error = ATOM_ERROR_INIT;
	const struct expr *expr = NULL;
	struct expr_value value = { 0 };

	cr_assert(expr_parse(&arena, text, &expr, &error) == ATOM_OK, "%s: %s",
		  text, error.message);
	cr_assert(expr_evaluate(expr, &source, NOW_MS, &arena, &value,
				&error) == ATOM_OK,
		  "%s: %s", text, error.message);
	return value;
}

static double single(const char *text)
{
	struct expr_value value = evaluated(text);

	if (value.type == EXPR_SCALAR)
		return value.scalar;
	cr_assert(value.count == 1, "%s has %zu elements", text, value.count);
	return value.items[0].value;
}

static void refused(const char *text, const char *why)
{
	struct atom_error error = ATOM_ERROR_INIT;
	const struct expr *expr = NULL;

	cr_assert(expr_parse(&arena, text, &expr, &error) == ATOM_EINVAL,
		  "%s is taken", text);
	cr_assert(strstr(error.message, why) != NULL, "%s: %s", text,
		  error.message);
}

Test(alerts_expr, a_refusal_names_the_place_and_what_was_expected,
     .fini = free_arena)
{
	refused("a +", "character 4: expected a selector, number or function, "
		       "found the end");
	refused("a ! b", "character 3");
	refused("rate(a)",
		"expected a range for rate, found an instant vector");
	refused("rate(a[5m], 1)", "expected 1 arguments for rate(), found 2");
	refused("a[5m]", "a function like rate()");
	refused("topk(3, a)", "a function that atomd knows");
	refused("a[5m:1m]", "no subqueries");
	refused("a * on(b) group_left() c", "one to one");
	refused("a{b=\"c\"", "`,` or `}`");
	refused("1 < 2", "`bool`");
	refused("a and 1", "expected an instant vector for a set operator");
	refused("{b=~\".*\"}", "at least one matcher");
	refused("a[0s]", "above zero");
	refused("a[5]", "duration");
}

Test(alerts_expr, a_regex_that_posix_reads_otherwise_is_refused,
     .fini = free_arena)
{
	refused("a{b=~\"\\\\d+\"}", "an escaped letter");
	refused("a{b=~\"(?i)x\"}", "(?...)");
	refused("a{b=~\"x+?\"}", "a repetition of a repetition");
	refused("a{b=~\"[\\\\]]\"}", "within brackets");
	refused("a{b=~\"(x{500}){500}\"}", "1,000 repetitions");
	refused("a{b=~\"(\"}", "regular expression");
	refused("a{b=~\"x{1\"}", "brace");
	cr_assert(evaluated("c{agent=~\"[[:alpha:]]|b{2,3}\"}").count == 1);
	cr_assert(evaluated("c{agent=~\"aa|b\"}").count == 0);
}

/* Each of these takes the C library seconds or gigabytes. */
Test(alerts_expr, a_regex_that_would_take_for_ever_is_refused,
     .fini = free_arena)
{
	char text[300] = "c{agent=~\"(";
	size_t length = strlen(text);

	refused("c{agent=~\"a++++\"}", "a repetition of a repetition");
	refused("c{agent=~\"((((((((((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+"
		")+)+)+)+\"}",
		"groups in each other");
	refused("c{agent=~\"((((a+)+)+)+)+\"}", "in each other");
	refused("c{agent=~\"(a?){0,1000}\"}", "of what may be empty");
	refused("c{agent=~\"(((((a?)+)+)+)+)+\"}", "of what may be empty");
	refused("c{agent=~\"(|b)*\"}", "of what may be empty");
	for (int i = 0; i < 30; i++, length += strlen("(a?b?)+"))
		(void)snprintf(text + length, sizeof(text) - length, "(a?b?)+");
	(void)snprintf(text + length, sizeof(text) - length, ")+\"}");
	refused(text, "of what may be empty");
	refused("c{agent=~\"((abcdefghij){800}x)+\"}", "too many repetitions");
	refused("c{agent=~\"a)|(b\"}", "nothing has opened");
	/* What people write. */
	cr_assert(
		evaluated("c{agent=~\"[a-z]{1,63}([.][a-z]{1,63})*\"}").count ==
		1);
	cr_assert(evaluated("c{agent=~\"(a|[c-d]{1,3}|x-.*)?\"}").count == 1);
}

Test(alerts_expr, deep_or_long_expressions_are_refused, .fini = free_arena)
{
	struct atom_error error = ATOM_ERROR_INIT;
	char text[EXPR_TEXT_MAX + 2];
	const struct expr *expr = NULL;

	memset(text, '(', 200);
	text[200] = '\0';
	refused(text, "fewer than 64");
	memset(text, '-', 200);
	refused(text, "fewer than 64");
	for (int i = 0; i < 100; i++)
		memcpy(text + 2 * i, "1+", 2);
	memcpy(text + 200, "1", 2);
	refused(text, "fewer than 64");
	memset(text, ' ', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	cr_assert(expr_parse(&arena, text, &expr, &error) == ATOM_ELIMIT);
}

Test(alerts_expr, an_evaluation_stays_within_its_memory, .fini = free_arena)
{
	const struct expr_source source = { NULL, select_two };
	struct atom_error error = ATOM_ERROR_INIT;
	struct arena small = ARENA_INIT(8192);
	const struct expr *expr = NULL;
	struct expr_value value;

	cr_assert(expr_parse(&arena, "c + c + c + c + c + c + c", &expr,
			     &error) == ATOM_OK);
	cr_assert(expr_evaluate(expr, &source, NOW_MS, &small, &value,
				&error) == ATOM_ENOMEM);
	cr_assert(small.used <= small.max);
	arena_fini(&small);
}

Test(alerts_expr, rates_reach_to_the_ends_of_the_range, .fini = free_arena)
{
	/* 3 each 15 s, also where the range's ends lie between samples. */
	cr_assert_float_eq(single("rate(c[5m])"), 0.2, 1e-12);
	cr_assert_float_eq(single("increase(c[100s])"), 20, 1e-12);
	cr_assert_float_eq(single("increase(c[5m] offset 5m)"), 60, 1e-12);
	/* The counter is not stretched to before its zero. */
	cr_assert_float_eq(single("increase(c[1h])"), 120, 1e-12);
}

Test(alerts_expr, a_series_that_ended_is_absent, .fini = free_arena)
{
	cr_assert(evaluated("g").count == 0);
	cr_assert_float_eq(single("g offset 16s"), 5, 0);
	cr_assert_float_eq(single("absent(g)"), 1, 0);
	cr_assert(evaluated("absent(c)").count == 0);
	cr_assert_float_eq(single("count_over_time(g[5m])"), 1, 0);
}

Test(alerts_expr, operators_bind_as_prometheus_has_it, .fini = free_arena)
{
	cr_assert_float_eq(single("2 ^ 3 ^ 2"), 512, 0);
	cr_assert_float_eq(single("-2 ^ 2"), -4, 0);
	cr_assert_float_eq(single("2 + 3 * 4 % 5"), 4, 0);
	cr_assert_float_eq(single("time()"), 600, 0);
	cr_assert_float_eq(single("scalar(c) == bool 120"), 1, 0);
	cr_assert(isnan(single("scalar(g)")));
	cr_assert(evaluated("c > 1000 or c < 1000").count == 1);
}

Test(alerts_expr, what_an_expression_reaches_back_for)
{
	struct atom_error error = ATOM_ERROR_INIT;
	const struct expr *expr = NULL;

	cr_assert(expr_parse(&arena,
			     "rate(a[5m] offset 1h) + sum(rate(b[30m])) + c",
			     &expr, &error) == ATOM_OK);
	cr_assert(expr_reach_ms(expr) == 65 * 60000);
	arena_fini(&arena);
}

Test(alerts_expr, durations_are_those_of_prometheus)
{
	int64_t ms = 0;

	cr_assert(expr_duration("1h30m", 5, &ms) && ms == 5400000);
	cr_assert(expr_duration("1d500ms", 7, &ms) && ms == 86400500);
	cr_assert(expr_duration("30m1h", 5, &ms) == false);
	cr_assert(expr_duration("5", 1, &ms) == false);
	cr_assert(expr_duration("", 0, &ms) == false);
	cr_assert(expr_duration("1m1m", 4, &ms) == false);
	cr_assert(expr_duration("9999999999y", 11, &ms) == false);
}
