/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_REPLAY_PRIV_H
#define GATEWAY_REPLAY_PRIV_H

/*
 * A replay under way: replay.c asks, replay_report.c counts and tells.
 * [control]
 */

#include <stdbool.h>
#include <stdint.h>

#include "agent/grading.h"
#include "agent/replaying.h"
#include "gateway/question.h"
#include "gateway/said.h"
#include "rollout/replay.h"
#include "rollout/rollout.h"

#define REPLAY_ANSWER_MAX ((size_t)1024 * 1024)

struct replay_input {
	char *text; /* JSON */
	bool is_messages;
};

struct replay_run;

/* What one of the two revisions said. */
struct replay_said {
	struct replay_run *run;
	bool busy; /* it has not been asked: there was no slot */
	bool failed;
	int64_t ns;
	int64_t tokens;
	struct buffer text;
};

/* One input. */
struct replay_run {
	struct replay *replay;
	struct replay_run *following; /* of its replay's */
	const struct replay_input *input;
	struct replay_said of[2]; /* old, new */
	int asked;		  /* answers that are to come */
	int tries;
	int first;	     /* which of them is A the first time */
	int graded;	     /* orders */
	double scores[2][2]; /* by order, by revision */
	struct timer retry;
};

/* One revision's. */
struct replay_side {
	int64_t answered;
	int64_t errors;
	int64_t ns;
	int64_t slowest_ns;
	int64_t tokens;
	double score;
};

struct replay {
	struct replay *following;
	struct replay_run *runs; /* that are under way */
	char id[ROLLOUT_ID_MAX];
	struct replay_order order;
	struct replay_input *inputs;
	size_t count;
	size_t next; /* input to be asked */
	int running;
	int64_t done;
	struct timer timer;

	/* --- what it came to --- */
	struct replay_tally tally;
	struct replay_side sides[2]; /* old, new */
	int64_t unanswered;
	int64_t ungraded;
	int64_t identical;
	int64_t graded;
	int64_t compared; /* texts */
	double likeness;  /* sum */
	int64_t grader_tokens;
};

enum replay_next {
	REPLAY_DECIDED,
	REPLAY_TO_GRADE
};

/* Both have been asked. */
enum replay_next replay_count_answers(struct replay *replay,
				      const struct replay_said of[2]);
/* By order, by revision. */
void replay_count_scores(struct replay *replay, double scores[2][2]);
/* What the rollout is to do: as replaying_end() takes it. */
void replay_conclude(const struct replay *replay, const char **cause_r,
		     bool *pause_r, char *reason, size_t size);
/* New; NULL without memory. */
json_t *replay_report(const struct replay *replay, bool ended);

#endif
