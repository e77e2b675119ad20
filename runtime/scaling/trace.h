/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCALING_TRACE_H
#define SCALING_TRACE_H

/*
 * When calls come: read from a recording, or made by a generator.
 *
 * Recordings, told apart by their first line:
 *
 *	TIMESTAMP,ContextTokens,GeneratedTokens	 2023-11-16 18:17:03.97,4808,10
 *	timestamp_ms,input_tokens,output_tokens	 27482,6955,52
 *	numbers alone				 requests in each second
 *	seconds,requests_per_second		 a rate from that time on
 *
 * Empty lines and lines that begin with # are passed over.  The first call of
 * a recording with times comes at 0.  A series of numbers says how many come
 * in a second: the whole ones come, one more by chance for the fraction, each
 * at a random time within.
 *
 * Generators, `word:key=value,...` (rates in calls a second):
 *
 *	poisson		rate, duration
 *	step		from, to, at, until, duration
 *	flash		rate, peak, at, for, duration
 *	diurnal		rate, swing (0 to 1), period, duration
 *
 * Pure. [any]
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

#include "scaling/draw.h"

#define TRACE_CALLS_MAX 20000000

struct trace_call {
	int64_t arrival_us;
	int64_t tokens; /* put out */
};

struct trace {
	struct trace_call *calls; /* by arrival */
	size_t count;
	size_t room;
	int64_t span_us;
	int64_t began_ms; /* Unix time of its beginning; 0 = not said */
	bool has_tokens;
};

/* `name` is for messages: "NAME:LINE: expected ..., found ...".
 * ATOM_EINVAL, ATOM_ELIMIT, ATOM_ENOMEM; *trace_r is empty then. */
atom_status trace_parse(const char *text, size_t length, const char *name,
			struct draw *draw, struct trace *trace_r,
			struct atom_error *err);
/* Does the text name a generator? */
bool trace_is_generator(const char *text);
atom_status trace_generate(const char *text, struct draw *draw,
			   struct trace *trace_r, struct atom_error *err);
void trace_fini(struct trace *trace);

/* One more call; ATOM_ELIMIT, ATOM_ENOMEM. */
atom_status trace_add(struct trace *trace, double at_s, int64_t tokens,
		      struct atom_error *err);

#endif
