/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCALING_FORMULA_KPA_H
#define SCALING_FORMULA_KPA_H

/*
 * The formula of Knative's pod autoscaler (KPA) on calls at once.
 *
 * Two windows over the calls in service and waiting.  The stable one says how
 * many instances there should be: mean / target, rounded up.  The panic one
 * is a tenth of it; where it asks for `panic_threshold` times the ready
 * instances or more, panic begins: its larger number counts, and nothing goes
 * down until a whole stable window has passed without such a reading.  Within
 * one evaluation instances grow at most `up_rate` times and shrink to a
 * `down_rate`-th.
 *
 * Source: Knative Serving's documentation of autoscaling ("About
 * autoscaling", "Configuring panic mode", config-autoscaler's defaults).
 *
 * What differs: time in panic is counted from evaluation to evaluation, and a
 * step that no sequence of ticks explains (a machine that slept, a memory from
 * before a restart) counts as one tick; and 42 calls at 70 % of 4 each are 15
 * instances (number.h).
 */

#include <stdbool.h>
#include <stdint.h>

#include <atomd/scaling.h>

/* A load without a concurrency of its own; Knative's
 * container-concurrency-target-default. */
#define KPA_CONCURRENCY_DEFAULT 100

/* The least target that Knative allows, and enough. */
#define KPA_TARGET_MIN 0.01
#define KPA_TARGET_MAX 1e6

struct kpa_settings {
	double target; /* calls at once that one instance should have */
	int64_t stable_ms;
	int64_t panic_ms;
	double panic_threshold; /* 2 = 200 % */
	double up_rate;
	double down_rate;
	int32_t activation; /* instances at least, when any are wanted */
};

/* What is remembered from one evaluation to the next; zeroed at first. */
struct kpa_memory {
	int64_t evaluated_ms;  /* steady, of the last evaluation */
	int64_t panic_left_ms; /* 0 = calm */
	double panic_peak;     /* instances wanted at most in this panic */
	int64_t known;	       /* 0 = there was no evaluation */
};

struct kpa_verdict {
	int32_t wanted; /* negative: nothing was measured */
	bool panicking;
	double stable_calls; /* means of the two windows */
	double panic_calls;
	double deciding_calls; /* the one that decided */
};

/* Calls at once that one instance should have: `target` where it is above
 * zero, else `utilization_percent` of the load's concurrency. */
double kpa_target(const struct atom_load *load, double target,
		  double utilization_percent);

/* Knative's published defaults. */
struct kpa_settings kpa_published(const struct atom_load *load,
				  double utilization_percent);

/* Is this a memory that kpa_decide may have left? */
bool kpa_memory_sound(const struct kpa_memory *memory);

void kpa_decide(const struct kpa_settings *settings,
		const struct atom_load *load, struct kpa_memory *memory,
		struct kpa_verdict *verdict_r);

/* The verdict as advice. */
void kpa_advise(const struct kpa_settings *settings,
		const struct atom_load *load, const struct kpa_memory *memory,
		const struct kpa_verdict *verdict,
		struct atom_scaling_advice *advice);

#endif
