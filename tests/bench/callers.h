/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_CALLERS_H
#define BENCH_CALLERS_H

/*
 * Connections that ask, wait for the answer, check it, and ask again.
 *
 * Closed loop: each asks as soon as it has its answer.  With a rate, calls
 * are due at fixed times whether or not a connection is free, and their
 * latency counts from when they were due: a server that stops for a second
 * does not hide it (coordinated omission).  With `once`, each connection
 * asks one time, and it is the caller of this who says when that is over.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "check.h"
#include "histogram.h"

#define CALLERS_ERRORS_MAX 100 /* then there is no point in going on */

struct callers_plan {
	uint16_t port;
	const char *path;
	const char *key; /* NULL: none */
	struct shape shape;
	size_t request_size;
	uint32_t connections;
	double rate; /* calls a second; 0: closed loop */
	bool once;
	enum check_kind kind;
};

struct callers_tally {
	uint64_t calls;
	uint64_t wrong;	  /* answers that differ from what was asked for */
	uint64_t refused; /* statuses other than 200 */
	uint64_t broken;  /* connections that failed midway */
	uint64_t reconnects;
	struct histogram latency; /* ns */
	struct histogram first;	  /* until the first event, ns */
};

struct callers;

/* NULL, with a line on stderr. */
struct callers *callers_new(const struct callers_plan *plan);
void callers_free(struct callers **callers);
/* Works until a time of clock_ns(), or until `done` says so. */
void callers_turn(struct callers *callers, uint64_t until_ns,
		  bool (*done)(const struct callers *callers));
/* Forgets what was counted, errors excepted. */
void callers_reset(struct callers *callers);
/* No new call from now on. */
void callers_stop(struct callers *callers);

const struct callers_tally *callers_tally(const struct callers *callers);
const struct check_rules *callers_rules(const struct callers *callers);
/* What was wrong first; empty: nothing. */
const char *callers_complaint(const struct callers *callers);
uint64_t callers_errors(const struct callers *callers);
/* Too many errors. */
bool callers_gave_up(const struct callers *callers);
/* Calls under way. */
uint32_t callers_busy(const struct callers *callers);
/* Streams of `once` of which something has come, and those that ended. */
uint32_t callers_open(const struct callers *callers);
uint32_t callers_ended(const struct callers *callers);

#endif
