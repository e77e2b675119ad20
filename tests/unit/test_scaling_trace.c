/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recordings of calls, what is wrong in them, generators, service times.
 */
#include <criterion/criterion.h>

#include <math.h>
#include <string.h>

#include "scaling/trace.h"

static struct draw draw;
static struct trace trace;
static struct atom_error err;

static void begin(void)
{
	draw.state = 1;
	memset(&err, 0, sizeof(err));
	err.struct_size = sizeof(err);
}

static void end(void)
{
	trace_fini(&trace);
}

TestSuite(scaling_trace, .init = begin, .fini = end);

static atom_status parse(const char *text)
{
	trace_fini(&trace);
	return trace_parse(text, strlen(text), "t.csv", &draw, &trace, &err);
}

static void refused(const char *text, const char *words)
{
	cr_assert_neq(parse(text), ATOM_OK, "%s", text);
	cr_assert(strstr(err.message, words) != NULL, "`%s` is not in `%s`",
		  words, err.message);
	cr_assert_eq(trace.count, 0);
}

Test(scaling_trace, dates_begin_at_the_first_call)
{
	cr_assert_eq(parse("TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
			   "2023-11-16 18:17:03.9799600,4808,10\r\n"
			   "2023-11-16 18:17:04.5000000,1,27\n"
			   "\n# a remark\n"
			   "2023-11-17T00:00:00+00:00,1,3"),
		     ATOM_OK, "%s", err.message);
	cr_assert_eq(trace.count, 3);
	cr_assert(trace.has_tokens);
	cr_assert_eq(trace.calls[0].arrival_us, 0);
	cr_assert_eq(trace.calls[0].tokens, 10);
	cr_assert_float_eq((double)trace.calls[1].arrival_us, 520040, 1);
	cr_assert_eq(trace.calls[2].tokens, 3);
	cr_assert_float_eq((double)trace.span_us, 20576.02004e6, 1);
	/* 2023-11-16 18:17:03 UTC. */
	cr_assert_eq(trace.began_ms / 1000, 1700158623);
}

Test(scaling_trace, milliseconds_are_put_in_order)
{
	cr_assert_eq(parse("timestamp_ms,input_tokens,output_tokens\n"
			   "5000,1,2\n4000,1,3\n7500,9,4\n"),
		     ATOM_OK, "%s", err.message);
	cr_assert_eq(trace.count, 3);
	cr_assert_eq(trace.calls[0].tokens, 3);
	cr_assert_eq(trace.calls[0].arrival_us, 0);
	cr_assert_eq(trace.calls[1].arrival_us, 1000000);
	cr_assert_eq(trace.span_us, 3500000);
}

Test(scaling_trace, a_series_comes_in_its_seconds)
{
	size_t in_second[4] = { 0 };

	cr_assert_eq(parse("3\n0\n2\n"), ATOM_OK, "%s", err.message);
	cr_assert_eq(trace.count, 5);
	cr_assert_not(trace.has_tokens);
	for (size_t i = 0; i < trace.count; i++)
		in_second[trace.calls[i].arrival_us / 1000000]++;
	cr_assert_eq(in_second[0], 3);
	cr_assert_eq(in_second[1], 0);
	cr_assert_eq(in_second[2], 2);
	cr_assert_eq(trace.span_us, 3000000);
}

Test(scaling_trace, a_fraction_comes_by_chance_and_a_rate_holds)
{
	cr_assert_eq(parse("seconds,requests_per_second\n0,2.5\n1000,0\n"
			   "1500,1\n"),
		     ATOM_OK, "%s", err.message);
	cr_assert_float_eq((double)trace.count, 2501, 60);
	cr_assert_eq(trace.span_us, INT64_C(1501000000));
	for (size_t i = 0; i + 1 < trace.count; i++)
		cr_assert_lt(trace.calls[i].arrival_us, 1000000000);
}

Test(scaling_trace, what_is_wrong_is_said_with_its_line)
{
	refused("", "t.csv: expected calls, found none");
	refused("a,b\n1,2\n", "t.csv:1: expected a known heading");
	refused("timestamp_ms,input_tokens,output_tokens\n1,2\n",
		"t.csv:2: expected two token counts");
	refused("timestamp_ms,input_tokens,output_tokens\n1,2,3\n\nx,2,3\n",
		"t.csv:4: expected a time in milliseconds, found `x,2,3`");
	refused("TIMESTAMP,ContextTokens,GeneratedTokens\n"
		"2023-13-16 18:17:03,1,2\n",
		"t.csv:2: expected a time YYYY-MM-DD");
	refused("timestamp_ms,input_tokens,output_tokens\n1,2,-3\n",
		"t.csv:2:");
	refused("timestamp_ms,input_tokens,output_tokens\n1,2,nan\n",
		"t.csv:2:");
	refused("1\n2\nthree\n", "t.csv:3: expected a number of requests");
	refused("1\n1e99\n", "t.csv:2:");
	refused("seconds,requests_per_second\n5,1\n4,1\n",
		"t.csv:3: expected times that do not go back");
	refused("timestamp_ms,input_tokens,output_tokens\n", "found none");
	trace_fini(&trace);
	cr_assert_neq(
		trace_parse("1\n\0001\n", 5, "t.csv", &draw, &trace, &err),
		ATOM_OK);
}

static void generate(const char *text)
{
	trace_fini(&trace);
	cr_assert_eq(trace_generate(text, &draw, &trace, &err), ATOM_OK, "%s",
		     err.message);
}

static double calls_between(double from_s, double until_s)
{
	double count = 0;

	for (size_t i = 0; i < trace.count; i++)
		count += (double)trace.calls[i].arrival_us >= from_s * 1e6 &&
			 (double)trace.calls[i].arrival_us < until_s * 1e6;
	return count;
}

/* Within four standard deviations of a Poisson count. */
static void about(double count, double expected)
{
	cr_assert_float_eq(count, expected, 4 * sqrt(expected),
			   "%g, expected about %g", count, expected);
}

Test(scaling_trace, generators_have_the_rates_that_they_say)
{
	generate("poisson:rate=20,duration=1000s");
	about((double)trace.count, 20000);
	cr_assert_eq(trace.span_us, INT64_C(1000000000));
	generate("step:from=2,to=30,at=100,until=300,duration=500");
	about(calls_between(0, 100), 200);
	about(calls_between(100, 300), 6000);
	about(calls_between(300, 500), 400);
	generate("flash:rate=1,peak=100,at=600,for=30,duration=20m");
	about(calls_between(600, 630), 3000);
	about(calls_between(0, 600), 600);
	generate("diurnal:rate=10,swing=1,period=1h,duration=1h");
	about((double)trace.count, 36000);
	cr_assert_lt(calls_between(0, 300), calls_between(1650, 1950) / 20);
}

Test(scaling_trace, the_same_seed_makes_the_same_calls)
{
	int64_t at;

	generate("poisson:rate=5");
	at = trace.calls[100].arrival_us;
	draw.state = 1;
	generate("poisson:rate=5");
	cr_assert_eq(trace.calls[100].arrival_us, at);
	draw.state = 2;
	generate("poisson:rate=5");
	cr_assert_neq(trace.calls[100].arrival_us, at);
}

Test(scaling_trace, wrong_generators_are_refused)
{
	static const char *const wrong[] = {
		"poisson:rate",	    "poisson:rate=-1",
		"poisson:rte=3",    "poisson:rate=5,duration=0",
		"poisson:rate=1e9", "diurnal:swing=2",
		"poisson:rate=0",   "diurnal:period=0"
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		cr_assert_eq(trace_generate(wrong[i], &draw, &trace, &err),
			     ATOM_EINVAL, "%s", wrong[i]);
		cr_assert_eq(trace.count, 0);
	}
	cr_assert(trace_is_generator("step"));
	cr_assert(trace_is_generator("flash:peak=2"));
	cr_assert_not(trace_is_generator("stepping"));
	cr_assert_not(trace_is_generator("poisson.csv"));
}

Test(scaling_trace, service_times_have_their_mean)
{
	static const struct {
		const char *text;
		double mean;
		double within;
	} times[] = {
		{ "constant:2s", 2, 1e-9 }, { "exponential:500ms", 0.5, 0.01 },
		{ "uniform:3", 3, 0.03 },   { "lognormal:2s,0.8", 2, 0.04 },
		{ "pareto:1m,3", 60, 1 },   { "tokens:0.02s", 2, 1e-9 },
	};

	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		struct service_time time;
		double sum = 0;

		cr_assert_eq(service_time_parse(times[i].text, &time, &err),
			     ATOM_OK, "%s", err.message);
		for (int j = 0; j < 100000; j++)
			sum += service_time_draw(&time, 100, &draw);
		cr_assert_float_eq(sum / 100000, times[i].mean, times[i].within,
				   "%s: %g", times[i].text, sum / 100000);
	}
}

Test(scaling_trace, wrong_service_times_are_refused)
{
	static const char *const wrong[] = {
		"constant",	 "constant:",	   "constant:0",
		"constant:-1s",	 "constant:2s,1",  "gamma:2s",
		"pareto:2s,1",	 "lognormal:2s,0", "tokens:1x",
		"lognormal:2s,x"
	};
	struct service_time time;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		cr_assert_eq(service_time_parse(wrong[i], &time, &err),
			     ATOM_EINVAL, "%s", wrong[i]);
}
