/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_GRADING_H
#define AGENT_GRADING_H

/*
 * Answers of both revisions of a rollout, scored by an agent that does not know
 * which revision it grades: what is drawn, what it may take, and what it came
 * to.
 *
 * Whether a call is graded is drawn when it is assigned, whichever revision it
 * goes to, and room for it is taken before its answer is known: what is left
 * out is left out of both revisions alike, so that a bad score of the new one
 * has the assignment's own probability, which is all that the judge needs.
 *
 * It is an extra: calls at once and, by GRADED_TEXT_MAX, bytes are bounded
 * here, tokens an hour by `grader_tokens_per_hour`, and the grader gives it a
 * slot only while one is free (call.h).
 *
 * By relaxed atomics, part of a trial. [any loop], reading [control]
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/token_hour.h"
#include "config/config.h"

/* At once, of one trial. */
#define GRADED_CALLS_MAX 64
/* Bytes that the grader is shown of what was asked, and of the answer. */
#define GRADED_TEXT_MAX ((size_t)16 * 1024)
/* Reserved for one: both texts, the criteria and the frame at four bytes a
 * token, and the answer. */
#define GRADED_TOKENS 12000

enum graded_result {
	GRADED_SCORED,
	GRADED_FULL,	 /* too many at once */
	GRADED_BUDGET,	 /* the hour's tokens are used up */
	GRADED_BUSY,	 /* the grader had no slot free */
	GRADED_TIMEOUT,	 /* it took too long */
	GRADED_ERROR,	 /* it failed, or is not there */
	GRADED_NO_SCORE, /* its answer holds no score from 0 to 1 */
	GRADED_RATED,	 /* the caller had rated it meanwhile, or it is
			   forgotten */
	GRADED_NO_MEMORY,
	GRADED_RESULTS
};

struct grading {
	/* --- fixed before the first call --- */
	char agent[64]; /* "" = nothing is graded */
	char *criteria;
	uint64_t share; /* of a million calls */
	int64_t budget; /* tokens an hour; 0 = any */
	int32_t timeout_ms;

	_Atomic int64_t running;
	struct token_hour hour;
	_Atomic int64_t results[GRADED_RESULTS];
	/* Old, new. */
	_Atomic int64_t scored[2];
	_Atomic int64_t score_ppm[2]; /* sum, in millionths */
};

/* ATOM_ENOMEM. */
atom_status grading_setup(struct grading *g, const struct config_grader *with);
void grading_fini(struct grading *g);
/* Is this call one of those? */
bool grading_draws(const struct grading *g);
/* Room and tokens for one more; what there is none of is noted. */
bool grading_take(struct grading *g, const char *agent, int64_t revision,
		  int64_t now_ms);
/* It has used so many tokens. */
void grading_give_back(struct grading *g, int64_t tokens, int64_t now_ms);
/* Counts how one ended; also in atomd_graded_calls_total. */
void grading_note(struct grading *g, const char *agent, int64_t revision,
		  enum graded_result result);
/* The same of one with a score; also in atomd_grader_score. */
void grading_scored(struct grading *g, const char *agent, int64_t revision,
		    bool is_new, double score);
/* "scored", "full", ... */
const char *grading_word(enum graded_result result);

/* Is somebody's grader the agent itself, or one that it is to grade?  Faults
 * are added to `errors`. [control] */
void grading_check(const struct config *config, struct buffer *errors);
/* Declares the metrics. [control] */
atom_status grading_init(struct atom_error *err);

#endif
