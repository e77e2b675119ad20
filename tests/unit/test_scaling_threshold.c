/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scaling/threshold: the default lines (70 and 80 up, 30 and 40 down), its
 * recommendations, and what is missing.  Steps as in the Nomad Autoscaler's
 * "Threshold Strategy Plugin" (delta, percentage).
 */
#include <criterion/criterion.h>

#include <string.h>

#include "scaling_fixture.h"

static void begin(void)
{
	scaling_begin("threshold", "");
}

TestSuite(scaling_threshold, .init = begin, .fini = scaling_end);

static void instances(int32_t ready, size_t starting)
{
	scaling_load.ready = ready;
	scaling_load.starting_count = starting;
	scaling_load.desired = ready + (int32_t)starting;
}

static int32_t at(double cpu, double memory)
{
	scaling_load.cpu_percent = cpu;
	scaling_load.memory_percent = memory;
	return scaling_ask();
}

static void advised(int32_t action, const char *metric, const char *code,
		    double value)
{
	cr_assert_eq(scaling_advice.action, action);
	cr_assert_str_eq(scaling_advice.metric, metric);
	cr_assert_str_eq(scaling_advice.reason_code, code);
	cr_assert_float_eq(scaling_advice.value, value, 1e-9);
}

Test(scaling_threshold, high_cpu_adds_agents)
{
	instances(4, 0);
	cr_assert_eq(at(85, 50), 5);
	advised(ATOM_SCALE_ADD, "cpu_percent", "high_cpu_usage", 85);
}

Test(scaling_threshold, high_memory_adds_memory_optimized_agents)
{
	instances(4, 0);
	cr_assert_eq(at(50, 81), 5);
	advised(ATOM_SCALE_ADD_MEMORY, "memory_percent", "high_memory_usage",
		81);
	/* CPU that is low does not outvote it. */
	cr_assert_eq(at(10, 95), 5);
	advised(ATOM_SCALE_ADD_MEMORY, "memory_percent", "high_memory_usage",
		95);
}

Test(scaling_threshold, of_two_the_one_further_above_its_line_is_told)
{
	instances(4, 0);
	cr_assert_eq(at(90, 85), 5);
	advised(ATOM_SCALE_ADD, "cpu_percent", "high_cpu_usage", 90);
	cr_assert_eq(at(72, 99), 5);
	advised(ATOM_SCALE_ADD_MEMORY, "memory_percent", "high_memory_usage",
		99);
}

Test(scaling_threshold, low_cpu_and_low_memory_remove_agents)
{
	instances(4, 0);
	cr_assert_eq(at(29, 39), 3);
	advised(ATOM_SCALE_REMOVE, "cpu_percent", "low_cpu_usage", 29);
	cr_assert_eq(at(29, 45), 4); /* one alone does not */
	cr_assert_eq(at(35, 39), 4);
	advised(ATOM_SCALE_NONE, "cpu_percent", "steady", 35);
}

Test(scaling_threshold, on_a_line_is_not_across_it)
{
	instances(4, 0);
	cr_assert_eq(at(70, 80), 4);
	cr_assert_eq(at(70.1, 80), 5);
	cr_assert_eq(at(70, 80.1), 5);
	cr_assert_eq(at(30, 39), 4);
	cr_assert_eq(at(29, 40), 4);
	cr_assert_eq(at(29.9, 39.9), 3);
}

/* Nomad's delta and percentage: of 20, two or 10 % are two, 25 % are five. */
Test(scaling_threshold, steps_are_a_count_or_a_part)
{
	instances(20, 0);
	scaling_reconfigure("step = 2; step_percent = 10.0;");
	cr_assert_eq(at(90, 50), 22);
	cr_assert_eq(at(10, 10), 18);
	scaling_reconfigure("step = 2; step_percent = 25.0;");
	cr_assert_eq(at(90, 50), 25);
	cr_assert_eq(at(10, 10), 15);
	scaling_reconfigure("step = 7; step_percent = 25.0;");
	cr_assert_eq(at(90, 50), 27);
	cr_assert_eq(at(0, 10), 13);
}

Test(scaling_threshold, starting_instances_take_their_share_already)
{
	instances(2, 1);
	cr_assert_eq(at(100, 50), 3); /* 200 / 3 is 66.7 % */
	instances(3, 1);
	cr_assert_eq(at(100, 50), 5); /* 75 % */
	instances(3, 2);
	cr_assert_eq(at(50, 95), 5); /* 57 % */
}

Test(scaling_threshold, going_down_never_puts_the_rest_above_the_line)
{
	scaling_reconfigure("step = 3;");
	instances(4, 0);
	/* 4 x 29 / 70 = 1.66: two carry it, one does not. */
	cr_assert_eq(at(29, 10), 2);
	cr_assert_eq(at(1, 10), 1);
}

Test(scaling_threshold, slots_stand_for_cpu_and_memory_is_not_asked)
{
	scaling_load.concurrency = 10;
	instances(2, 0);
	scaling_seconds(15, 16, 0);
	cr_assert_eq(at(-1, -1), 3);
	advised(ATOM_SCALE_ADD, "slot_percent", "high_cpu_usage", 80);
	cr_assert(strstr(scaling_advice.reason, "slots in use") != NULL);
	cr_assert(strstr(scaling_advice.reason, "memory is not measured") !=
		  NULL);
	scaling_seconds(15, 2, 0);
	cr_assert_eq(at(-1, -1), 1);
	advised(ATOM_SCALE_REMOVE, "slot_percent", "low_cpu_usage", 10);
}

Test(scaling_threshold, memory_missing_beside_cpu_keeps_all)
{
	instances(4, 0);
	cr_assert_lt(at(10, -1), 0);
	advised(ATOM_SCALE_NONE, "memory_percent", "no_measurement", -1);
	cr_assert_eq(at(90, -1), 5);
	advised(ATOM_SCALE_ADD, "cpu_percent", "high_cpu_usage", 90);
	scaling_reconfigure("memory_low_percent = 100.0;");
	cr_assert_eq(at(10, -1), 3);
	cr_assert_eq(at(10, 100), 5); /* still asked upwards */
}

Test(scaling_threshold, nothing_measured_changes_nothing)
{
	instances(4, 0);
	scaling_load.slot_percent = -1;
	cr_assert_lt(at(-1, -1), 0);
	cr_assert_lt(at(0.0 / 0.0, 10), 0);
	/* Memory alone may still ask for more. */
	cr_assert_eq(at(-1, 90), 5);
}

Test(scaling_threshold, zero_is_left_and_reached_by_calls)
{
	instances(0, 0);
	cr_assert_lt(at(-1, -1), 0);
	scaling_load.waiting = 3;
	cr_assert_eq(at(-1, -1), 1);
	cr_assert_str_eq(scaling_advice.reason_code, "call_waits");
	instances(1, 0);
	scaling_load.waiting = 0;
	scaling_load.in_flight = 1;
	cr_assert_eq(at(1, 1), 1);
	scaling_load.in_flight = 0;
	cr_assert_eq(at(0, 1), 0);
}

Test(scaling_threshold, lines_move_live)
{
	instances(4, 0);
	cr_assert_eq(at(60, 10), 4);
	scaling_reconfigure("cpu_high_percent = 50.0;");
	cr_assert_eq(at(60, 10), 5);
}

Test(scaling_threshold, lines_that_cross_are_refused)
{
	scaling_refused("threshold", "cpu_high_percent = 101.0;",
			"between 0 and 100");
	scaling_refused("threshold", "cpu_low_percent = 80.0;",
			"`cpu_low_percent`");
	scaling_refused("threshold", "memory_high_percent = 40.0;",
			"`memory_low_percent`");
}

Test(scaling_threshold, nonsense_is_bounded)
{
	scaling_bombard(3, 2000);
	scaling_reconfigure("step = 1000; step_percent = 1000.0;"
			    "cpu_high_percent = 0.1; cpu_low_percent = 0.0;");
	scaling_bombard(4, 2000);
}
