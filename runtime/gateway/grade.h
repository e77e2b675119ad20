/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_GRADE_H
#define GATEWAY_GRADE_H

/*
 * The answer to a caller, scored by the rollout's grader: the score counts as
 * the caller's own feedback does, unless the caller gives one.
 *
 *	expect -> hear* -> counted -> begin ··> question -> score -> recent.h
 *	[with the caller's own call]      [a later turn] [control] [its loop]
 *
 * Nothing that a caller sees depends on it.  What the grader is told is the
 * question, the answer and the criteria (rubric.h): not the agent, nor the
 * revision, nor the caller, nor the session.  What it may take is bounded in
 * agent/grading.h.  What it says enters no log; that it was asked is recorded
 * as any call of it, by lengths.
 *
 * A call that failed, or whose caller left, is not graded; of a session only
 * the first call that counts.  All of it [loop] of the exchange unless said.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exchange;
struct grade;

/* Before the caller's call: takes room, if it was chosen to be graded. */
void grade_expect(struct exchange *x);
/* Its answer, as it comes; of streams alone. */
void grade_hear(struct exchange *x, int32_t kind, const char *bytes,
		size_t length);
/* What it came to; `counts`: in the trial. */
void grade_counted(struct exchange *x, int status, bool counts);
/* Its call has let go of it: what is needed is taken out of it. */
void grade_begin(struct exchange *x);
/* NULL: nothing. */
void grade_free(struct grade **at);

#endif
