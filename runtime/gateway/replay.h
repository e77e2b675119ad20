/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_REPLAY_H
#define GATEWAY_REPLAY_H

/*
 * Recorded inputs, put to both revisions of a rollout before its first weight:
 * their answers are graded blind and compared (rollout/replay.h), and the
 * rollout goes on, waits for a person, or goes back (agent/replaying.h).
 *
 * An input goes to both at once, told ATOM_CALL_DRY_RUN, in slots that are free
 * (call.h); callers lose nothing by it.  It is in no metrics of callers, and in
 * no record: who deploys reads the report.  Then the grader is asked twice, with
 * the answers in either order, the first one drawn.  Equal answers are a tie and
 * cost nothing.
 *
 * What is never answered for want of a slot, and what the grader gives no
 * scores for, decides nothing and is told.  The gradings of a replay stay
 * within `grader_tokens_per_hour`.  All of it [control].
 */

#include <stdbool.h>

#include <jansson.h>

#include <atomd/plugin.h>

#define REPLAY_INPUTS_MAX 500

/* {"input": any} or {"messages": [...]}, 1 to REPLAY_INPUTS_MAX of them?  With a
 * sentence in `why`. */
bool replay_inputs_valid(const json_t *inputs, char *why, size_t why_size);
/* The rollout of this id waits for it; takes a copy of the inputs.  What cannot
 * begin ends the rollout. */
void replay_begin(const char *id, const json_t *inputs);
/* The loops have ended. */
void replays_fini(void);

#endif
