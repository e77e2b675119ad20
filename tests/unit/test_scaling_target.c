/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scaling/target against hand-worked cases of the Kubernetes documentation
 * ("Horizontal Pod Autoscaling", "HorizontalPodAutoscaler Walkthrough") and of
 * the Nomad Autoscaler's ("Target Value Strategy Plugin"); each names its own.
 */
#include <criterion/criterion.h>

#include <string.h>

#include "scaling_fixture.h"

static void begin(void)
{
	scaling_begin("target", "metric = \"cpu_percent\"; target = 50;");
}

TestSuite(scaling_target, .init = begin, .fini = scaling_end);

static void instances(int32_t ready, size_t starting)
{
	scaling_load.ready = ready;
	scaling_load.starting_count = starting;
	scaling_load.desired = ready + (int32_t)starting;
}

static int32_t at_cpu(double percent)
{
	scaling_load.cpu_percent = percent;
	return scaling_ask();
}

/* "Algorithm details": twice the target doubles, half of it halves. */
Test(scaling_target, twice_the_target_doubles_and_half_of_it_halves)
{
	instances(4, 0);
	cr_assert_eq(at_cpu(100), 8);
	cr_assert_eq(scaling_advice.action, ATOM_SCALE_ADD);
	cr_assert_str_eq(scaling_advice.reason_code, "high_cpu_usage");
	cr_assert_eq(at_cpu(25), 2);
	cr_assert_eq(scaling_advice.action, ATOM_SCALE_REMOVE);
	cr_assert_str_eq(scaling_advice.reason_code, "low_cpu_usage");
}

/* The walkthrough: one replica at 305 % of a target of 50 % becomes seven. */
Test(scaling_target, the_walkthroughs_one_becomes_seven)
{
	instances(1, 0);
	cr_assert_eq(at_cpu(305), 7);
	cr_assert_float_eq(scaling_advice.value, 305, 0);
	cr_assert_str_eq(scaling_advice.metric, "cpu_percent");
}

/* Nomad: ten instances at a memory of 80 and a target of 70 become
 * ceil(1.142857 x 10) = 12. */
Test(scaling_target, nomads_ten_become_twelve)
{
	scaling_reconfigure("metric = \"memory_percent\"; target = 70;");
	instances(10, 0);
	scaling_load.memory_percent = 80;
	cr_assert_eq(scaling_ask(), 12);
	cr_assert_str_eq(scaling_advice.reason_code, "high_memory_usage");
}

/* "Algorithm details": a ratio within 0.1 of one changes nothing. */
Test(scaling_target, the_tolerance_is_a_tenth)
{
	instances(10, 0);
	cr_assert_eq(at_cpu(55), 10);
	cr_assert_str_eq(scaling_advice.reason_code, "steady");
	cr_assert_eq(at_cpu(55.1), 12); /* ceil(11.02) */
	cr_assert_eq(at_cpu(45), 10);
	cr_assert_eq(at_cpu(44.9), 9); /* ceil(8.98) */
	scaling_reconfigure("metric = \"cpu_percent\"; target = 50;"
			    "tolerance_percent = 0;");
	cr_assert_eq(at_cpu(50.1), 11);
	cr_assert_eq(at_cpu(50), 10);
}

/* "Algorithm details": those not yet ready count as 0 % going up.  Target 30,
 * two ready at 60 %, one starting: 120 / 3 = 40 %, ratio 4/3, four. */
Test(scaling_target, going_up_starting_instances_count_as_unused)
{
	scaling_reconfigure("metric = \"cpu_percent\"; target = 30;");
	instances(2, 1);
	cr_assert_eq(at_cpu(60), 4);
	/* One ready at 40 %, two starting: 40 / 3 is below the target, which
	 * would turn the direction: none is taken. */
	instances(1, 2);
	cr_assert_eq(at_cpu(40), 3);
	/* 99 / 3 = 33 is within the tolerance. */
	cr_assert_eq(at_cpu(99), 3);
	cr_assert_eq(at_cpu(100), 4);
	/* Fewer in force than there are: 50 x 2 / 4 is below the target, and
	 * none is added though ceil(50 / 30 x 2) is more than three. */
	instances(2, 2);
	scaling_load.desired = 3;
	cr_assert_eq(at_cpu(50), 3);
}

Test(scaling_target, going_down_starting_instances_are_left_out)
{
	instances(4, 2);
	cr_assert_eq(at_cpu(25), 2);
}

/* Metrics of the whole agent are shared out (HPA's AverageValue). */
Test(scaling_target, calls_are_shared_out)
{
	scaling_reconfigure("metric = \"calls\"; target = 4;");
	instances(2, 0);
	scaling_seconds(15, 30, 3);
	cr_assert_eq(scaling_ask(), 9); /* ceil(33 / 4) */
	cr_assert_str_eq(scaling_advice.reason_code, "high_calls");
	scaling_reconfigure("metric = \"in_flight\"; target = 4;");
	cr_assert_eq(scaling_ask(), 8);
	scaling_reconfigure("metric = \"waiting\"; target = 1;");
	cr_assert_eq(scaling_ask(), 3);
	/* Nine in force: 33 / 36 is within the tolerance. */
	scaling_reconfigure("metric = \"calls\"; target = 4;");
	instances(9, 0);
	cr_assert_eq(scaling_ask(), 9);
	instances(10, 0);
	cr_assert_eq(scaling_ask(), 9);
}

Test(scaling_target, arrivals_are_a_rate_over_the_window)
{
	scaling_reconfigure("metric = \"arrivals_per_s\"; target = 2;"
			    "window_ms = \"4s\";");
	scaling_seconds(4, 0, 0);
	scaling_last_second()->arrived = 20;
	cr_assert_eq(scaling_ask(), 3); /* 5 a second */
	cr_assert_float_eq(scaling_advice.value, 5, 1e-9);
	scaling_last_second()->arrived = -1;
	cr_assert_eq(scaling_ask(), 0); /* of the other three */
}

Test(scaling_target, slots_are_those_of_the_ready_instances)
{
	scaling_reconfigure("target = 50;");
	scaling_load.concurrency = 4;
	instances(3, 0);
	scaling_seconds(15, 12, 0);
	cr_assert_eq(scaling_ask(), 6);
	cr_assert_str_eq(scaling_advice.metric, "slot_percent");
	scaling_forget_samples();
	scaling_load.slot_percent = 25;
	cr_assert_eq(scaling_ask(), 2);
}

Test(scaling_target, slots_stand_for_missing_cpu_and_the_reason_says_so)
{
	instances(4, 0);
	scaling_load.slot_percent = 100;
	cr_assert_eq(at_cpu(-1), 8);
	cr_assert(strstr(scaling_advice.reason, "there is no CPU") != NULL);
}

/* "Algorithm details": of several metrics the largest counts. */
Test(scaling_target, several_metrics_take_the_largest)
{
	scaling_reconfigure("metric = \"cpu_percent\"; target = 50;"
			    "more_metrics = ("
			    " { metric = \"memory_percent\"; target = 80; },"
			    " { metric = \"calls\"; target = 2; } );");
	instances(4, 0);
	scaling_seconds(15, 10, 0);
	scaling_load.memory_percent = 40;
	cr_assert_eq(at_cpu(25), 5); /* 2, 2, 5 */
	cr_assert_str_eq(scaling_advice.metric, "calls");
	scaling_load.memory_percent = 160;
	cr_assert_eq(at_cpu(25), 8);
	cr_assert_str_eq(scaling_advice.metric, "memory_percent");
	cr_assert_eq(at_cpu(200), 16);
	cr_assert_str_eq(scaling_advice.metric, "cpu_percent");
}

/* "Algorithm details": where a metric cannot be had, others may scale up, and
 * a scale down is skipped. */
Test(scaling_target, a_missing_metric_is_never_outvoted_downwards)
{
	scaling_reconfigure("metric = \"cpu_percent\"; target = 50;"
			    "more_metrics = ("
			    " { metric = \"memory_percent\"; target = 80; });");
	instances(4, 0);
	cr_assert_eq(at_cpu(100), 8);
	cr_assert_lt(at_cpu(25), 0);
	cr_assert_str_eq(scaling_advice.reason_code, "no_measurement");
	cr_assert_str_eq(scaling_advice.metric, "memory_percent");
	cr_assert_lt(at_cpu(50), 0);
	scaling_load.memory_percent = 0.0 / 0.0;
	cr_assert_lt(at_cpu(25), 0);
	scaling_load.memory_percent = 20;
	cr_assert_eq(at_cpu(25), 2);
}

Test(scaling_target, nothing_measured_changes_nothing)
{
	scaling_load.slot_percent = -1;
	instances(4, 0);
	cr_assert_lt(at_cpu(-1), 0);
	instances(0, 2);
	cr_assert_lt(at_cpu(80), 0); /* of whom? */
}

Test(scaling_target, from_zero_one_that_waits_wakes_it)
{
	instances(0, 0);
	cr_assert_lt(at_cpu(-1), 0);
	scaling_load.waiting = 7;
	cr_assert_eq(at_cpu(-1), 1);
	cr_assert_str_eq(scaling_advice.reason_code, "call_waits");
	scaling_reconfigure("metric = \"calls\"; target = 2;");
	scaling_seconds(15, 0, 7);
	cr_assert_eq(scaling_ask(), 4);
	cr_assert_str_eq(scaling_advice.reason_code, "high_calls");
}

Test(scaling_target, a_call_in_service_keeps_the_last_instance)
{
	instances(1, 0);
	cr_assert_eq(at_cpu(0), 0);
	scaling_load.in_flight = 1;
	cr_assert_eq(at_cpu(0), 1);
}

Test(scaling_target, options_out_of_range_are_refused)
{
	scaling_refused("target", "metric = \"mood\";", "slot_percent");
	scaling_refused("target", "target = 0;", "target");
	scaling_refused("target", "more_metrics = ( { aim = 1; } );", "aim");
}

Test(scaling_target, nonsense_is_bounded)
{
	static const char *const all[] = {
		"metric = \"slot_percent\";",
		"metric = \"cpu_percent\";",
		"metric = \"memory_percent\";",
		"metric = \"calls\"; target = 0.001;",
		"metric = \"in_flight\";",
		"metric = \"waiting\";",
		"metric = \"arrivals_per_s\"; target = 0.001;",
		"more_metrics = ( { metric = \"calls\"; } );",
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		scaling_reconfigure(all[i]);
		scaling_bombard(2 + i, 500);
	}
}
