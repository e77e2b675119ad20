/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCALING_FIXTURE_H
#define SCALING_FIXTURE_H

/*
 * A built strategy, opened as the daemon does, and the load that it is asked
 * about.  One a program: the test file says which in `scaling_begin`.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/scaling.h>

/* 2026-01-05 00:00:00 UTC, a Monday. */
#define SCALING_MONDAY_MS INT64_C(1767571200000)

#define SCALING_SECONDS	     600
#define SCALING_FIVE_MINUTES 2016

/* The load of the next `scaling_ask`; tests change what they mean to.  It
 * begins as an agent of concurrency 1, bounds 0 to 1000, one ready instance
 * in force, nothing to do, no samples, no CPU or memory measured, at
 * SCALING_MONDAY_MS with ticks of two seconds. */
extern struct atom_load scaling_load;
extern struct atom_scaling_advice scaling_advice;
/* What it remembers; guard bytes behind are looked at by every ask. */
extern unsigned char scaling_state[];
extern size_t scaling_state_size;

/* Open scaling-NAME.so and make it with options as in a configuration. */
void scaling_begin(const char *name, const char *text);
void scaling_end(void);
/* New options for the same component; only RELOADABLE ones. */
void scaling_reconfigure(const char *text);
/* Is `text` refused with these words in it, by the table or by create? */
void scaling_refused(const char *name, const char *text, const char *words);

/* Drop the samples; then one a second, or one each five minutes, that ends
 * now: older ones are moved back. */
void scaling_forget_samples(void);
void scaling_seconds(size_t count, double in_flight, double waiting);
void scaling_five_minutes(size_t count, double in_flight, int64_t arrived);
/* The newest of each. */
struct atom_load_sample *scaling_last_second(void);
struct atom_load_sample *scaling_last_five_minutes(void);

/* Evaluate; checks that the advice is legal: bounded texts, known action,
 * finite value.  Returns what is wanted. */
int32_t scaling_ask(void);
/* Time passes on both clocks, then evaluate. */
int32_t scaling_ask_after(int64_t passed_ms);

/* Ask with damaged, foreign and random states and loads of nonsense, many
 * times from `seed`; every advice must be legal.  Leaves the load as it was
 * and no state. */
void scaling_bombard(uint64_t seed, int rounds);

#endif
