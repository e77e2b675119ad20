/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_MIRRORING_H
#define AGENT_MIRRORING_H

/*
 * What mirrored calls of one trial may take, and what they came to.
 *
 * A mirrored call is the repetition of a caller's call by the new revision,
 * once the caller has been answered; nobody is given its answer.  It is an
 * extra, so everything it takes has a bound of its own: calls at once and
 * bytes here, tokens an hour by the rollout, a slot of the new revision only
 * while one is free (call.h).  What does not fit is dropped and counted by its
 * reason.
 *
 * Tokens are reserved before a call, by what the caller's own came to, and
 * settled after it (token_hour.h).
 *
 * By relaxed atomics, part of a trial.  [any loop], reading [control]
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/deployment.h>

#include "agent/token_hour.h"
#include "core/metric.h"

struct revision;

/* At once, of one trial. */
#define MIRRORED_CALLS_MAX 128
#define MIRRORED_BYTES_MAX ((int64_t)16 * 1024 * 1024)

enum mirrored_result {
	MIRRORED_COMPARED,     /* both ended, and were counted */
	MIRRORED_FULL,	       /* too many calls or bytes at once */
	MIRRORED_BUSY,	       /* the new revision had no slot free, or its
				   slot was wanted for a caller */
	MIRRORED_BUDGET,       /* the hour's tokens are used up */
	MIRRORED_NOT_ANSWERED, /* the caller left, or its call never got a
				   slot: there is nothing to compare with */
	MIRRORED_NO_MEMORY,
	MIRRORED_STOPPED, /* the rollout or the daemon ended */
	MIRRORED_RESULTS
};

struct mirroring {
	_Atomic int64_t running;
	_Atomic int64_t bytes;
	struct token_hour hour;
	_Atomic int64_t results[MIRRORED_RESULTS];
	_Atomic int64_t status_differs;
	_Atomic int64_t json_differs;
	_Atomic int64_t similar_calls;
	_Atomic int64_t similarity_ppm; /* sum, in millionths */
	_Atomic int64_t old_us;
	_Atomic int64_t new_us;
	_Atomic int64_t old_tokens;
	_Atomic int64_t new_tokens;
	_Atomic metric_id result_series[MIRRORED_RESULTS];
	_Atomic metric_id input_series;
	_Atomic metric_id output_series;
	_Atomic metric_id duration_series;
};

/* What one pair came to; times are from the slot to the last byte. */
struct mirrored_pair {
	bool status_differs;
	bool json_differs;
	bool texts;	   /* there were two to compare */
	double similarity; /* 0 to 1 */
	int64_t old_ns;
	int64_t new_ns;
	int64_t old_tokens;
	int64_t new_tokens;
};

/* Room for one more of so many bytes; false: there is none. */
bool mirroring_take(struct mirroring *m, int64_t bytes);
void mirroring_give_back(struct mirroring *m, int64_t bytes);

void mirroring_compared(struct mirroring *m, const struct mirrored_pair *pair);
/* Counts how one ended; also in atomd_mirrored_calls_total of the new
 * revision. */
void mirroring_note(struct mirroring *m, const struct revision *revision,
		    enum mirrored_result result);
/* Tokens and duration in its metrics. */
void mirroring_measure(struct mirroring *m, const struct revision *revision,
		       int64_t input_tokens, int64_t output_tokens, int64_t ns);

/* --- told --- */
void mirroring_read(const struct mirroring *m,
		    struct atom_comparison *comparison_r);
int64_t mirroring_result(const struct mirroring *m,
			 enum mirrored_result result);
/* "compared", "full", ... */
const char *mirroring_word(enum mirrored_result result);
/* Declares the metrics. [control] */
atom_status mirroring_init(struct atom_error *err);

#endif
