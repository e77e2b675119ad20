/* SPDX-License-Identifier: Apache-2.0 */

/* What is kept of an agent's load, and told to strategies. */

#include <math.h>
#include <string.h>

#include <criterion/criterion.h>

#include "scaling/window.h"

#define WALL 1700000000000

static struct scaling_window *window;
static struct atom_load load;

static void set_up(void)
{
	window = scaling_window_new();
	memset(&load, 0, sizeof(load));
	cr_assert_not_null(window);
}

static void tear_down(void)
{
	scaling_window_free(&window);
	cr_assert_null(window);
}

TestSuite(window, .init = set_up, .fini = tear_down);

static void add(int64_t second, int64_t arrived, double in_flight)
{
	const struct atom_load_sample sample = {
		.interval_ms = 1000,
		.arrived = arrived,
		.refused = 0,
		.finished = arrived,
		.failed = 0,
		.in_flight = in_flight,
		.waiting = -1,
		.ready = 2,
		.service_s_sum = 0.5 * (double)arrived,
		.wait_s_max = (double)(second % 7),
	};

	cr_assert_eq(scaling_window_add(window, &sample, second * 1000),
		     ATOM_OK);
}

static void tell(int64_t second)
{
	scaling_window_tell(window, second * 1000, WALL + second * 1000, &load);
}

Test(window, empty_is_told_as_empty)
{
	tell(5);
	cr_assert_eq(load.second_count, 0);
	cr_assert_eq(load.five_minute_count, 0);
	cr_assert_eq(load.service.count, 0);
	cr_assert_eq(load.cold_start_count, 0);
	cr_assert_eq(scaling_window_last_ms(window), -1);
}

Test(window, keeps_the_last_600_seconds_oldest_first)
{
	for (int64_t s = 1; s <= 5000; s++) {
		add(s, s, 1);
		tell(s);
		cr_assert_eq(load.second_count, (size_t)(s < 600 ? s : 600));
		cr_assert_eq(
			atom_load_second(&load, load.second_count - 1)->arrived,
			s);
		cr_assert_eq(atom_load_second(&load, 0)->arrived,
			     s < 600 ? 1 : s - 599);
		cr_assert_eq(atom_load_second(&load, 0)->time_ms,
			     WALL + (s < 600 ? 1 : s - 599) * 1000);
	}
}

Test(window, adds_seconds_up_to_five_minutes)
{
	const struct atom_load_sample *five;

	for (int64_t s = 1; s <= 600; s++)
		add(s, 2, s <= 300 ? 4 : (s % 2 == 0 ? 1 : 3));
	tell(600);
	cr_assert_eq(load.five_minute_count, 2);
	five = load.five_minutes;
	cr_assert_eq(five[0].interval_ms, 300000);
	cr_assert_eq(five[0].arrived, 600);
	cr_assert_eq(five[0].time_ms, WALL + 300000);
	cr_assert_float_eq(five[0].in_flight, 4, 1e-9);
	cr_assert_float_eq(five[0].service_s_sum, 300, 1e-9);
	cr_assert_float_eq(five[0].wait_s_max, 6, 1e-9);
	/* What was never measured stays so. */
	cr_assert_lt(five[0].waiting, 0);
	cr_assert_float_eq(five[1].in_flight, 2, 1e-9);
}

Test(window, keeps_a_week_of_five_minutes)
{
	const struct atom_load_sample *fives;

	for (int64_t s = 300; s <= 300 * 5000; s += 300)
		add(s, s / 300, 1);
	tell(300 * 5000);
	cr_assert_eq(load.five_minute_count, SCALING_FIVE_MINUTES);
	fives = load.five_minutes;
	for (size_t i = 0; i < SCALING_FIVE_MINUTES; i++)
		cr_assert_eq(fives[i].arrived,
			     5000 - SCALING_FIVE_MINUTES + 1 + (int64_t)i);
}

Test(window, a_sample_that_is_not_later_is_ignored)
{
	add(5, 1, 1);
	add(5, 100, 1);
	add(4, 100, 1);
	tell(5);
	cr_assert_eq(load.second_count, 1);
	cr_assert_eq(atom_load_second(&load, 0)->arrived, 1);
}

Test(window, a_step_of_the_wall_clock_moves_samples_along)
{
	for (int64_t s = 1; s <= 300; s++)
		add(s, 1, 1);
	scaling_window_tell(window, 300000, WALL + 86400000, &load);
	cr_assert_eq(atom_load_second(&load, 299)->time_ms, WALL + 86400000);
	cr_assert_eq(atom_load_second(&load, 0)->time_ms,
		     WALL + 86400000 - 299000);
	cr_assert_eq(
		((const struct atom_load_sample *)load.five_minutes)->time_ms,
		WALL + 86400000);
	cr_assert_eq(load.steady_ms, 300000);
	add(301, 1, 1);
	tell(301);
	cr_assert_eq(atom_load_second(&load, 0)->time_ms, WALL + 1000);
	cr_assert_eq(atom_load_second(&load, 300)->time_ms, WALL + 301000);
}

Test(window, service_times_leave_after_an_hour)
{
	scaling_window_service(window, 0, 2.0, 3);
	tell(3299);
	cr_assert_eq(load.service.count, 3);
	cr_assert_float_eq(load.service.sum, 6, 1e-9);
	tell(3600);
	cr_assert_eq(load.service.count, 0);
	/* Its place is taken by the hour after. */
	scaling_window_service(window, 3600000, 1.0, 1);
	tell(3600);
	cr_assert_eq(load.service.count, 1);
}

Test(window, buckets_hold_what_their_bounds_say)
{
	for (size_t i = 1; i < SCALING_BUCKETS - 1; i++) {
		double low = scaling_bounds[i - 1], high = scaling_bounds[i];

		cr_assert_lt(low, high);
		cr_assert(high / low < 1.1251, "bucket %zu", i);
		cr_assert_eq(scaling_bucket(low), i);
		cr_assert_eq(scaling_bucket((low + high) / 2), i);
		cr_assert_eq(scaling_bucket(nextafter(high, 0)), i);
	}
	cr_assert_eq(scaling_bucket(0), 0);
	cr_assert_eq(scaling_bucket(-1), 0);
	cr_assert_eq(scaling_bucket((double)NAN), 0);
	cr_assert_eq(scaling_bucket(1e9), SCALING_BUCKETS - 1);
}

Test(window, quantiles_are_within_a_bucket)
{
	uint64_t counts[SCALING_BUCKETS] = { 0 };

	cr_assert_lt(scaling_quantile(counts, 0.5), 0);
	for (int ms = 1; ms <= 1000; ms++)
		counts[scaling_bucket(ms / 1000.0)]++;
	for (double q = 0.05; q < 1; q += 0.05)
		cr_assert_float_eq(scaling_quantile(counts, q), q, q * 0.07,
				   "the %g-quantile is %g", q,
				   scaling_quantile(counts, q));
}

Test(window, keeps_the_last_32_cold_starts)
{
	for (int i = 1; i <= 1000; i++) {
		scaling_window_cold_start(window, i);
		tell(1);
		cr_assert_eq(load.cold_start_count, (size_t)(i < 32 ? i : 32));
		cr_assert_float_eq(
			load.cold_starts_s[load.cold_start_count - 1], i, 0);
		cr_assert_float_eq(load.cold_starts_s[0], i < 32 ? 1 : i - 31,
				   0);
	}
}
