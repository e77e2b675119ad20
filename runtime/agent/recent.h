/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_RECENT_H
#define AGENT_RECENT_H

/*
 * Calls that ended not long ago, so that their callers may rate them: whose
 * each was, which revision answered, and where it counted in a trial.
 *
 * Each loop keeps the last RECENT_MAX of its own in a ring that grows as they
 * come; nobody else touches it.  A rating may come in on any loop: it goes
 * from one to the next until one knows the call.  In memory alone: a restart
 * forgets them.
 */

#include <stdbool.h>
#include <stdint.h>

#include <atomd/plugin.h>

#include "core/id.h"
#include "core/loop.h"

struct assignment;
struct revision;

#define RECENT_MAX	 16384 /* calls of a loop */
#define RECENT_AGENT_MAX 64

/* Declares atomd_feedback_score. [control] */
atom_status recent_init(struct atom_error *err);
/* After the loops have ended. */
void recent_fini(void);

/* [loop] A call of this principal has ended.  `counted` (NULL: nowhere) is
 * where; references are taken.  Without memory it is not kept. */
void recent_add(const char *request_id, const char *principal,
		const struct revision *revision,
		const struct assignment *counted);

/* A rating on its way.  Zero it and fill the first part; lives until `done`,
 * which runs once, on the loop that asked, never inline. */
struct recent_rating {
	/* The hash of call and principal: recent_key(). */
	uint64_t key[2];
	double score;	/* 0 to 1 */
	bool by_grader; /* a caller's own goes before it */
	void (*done)(struct recent_rating *rating);

	/* --- the answer --- */
	bool found;
	bool replaced; /* an earlier score of the same call, by its caller */
	bool kept;     /* the caller's score stays: this one is not taken */
	char agent[RECENT_AGENT_MAX];
	int64_t revision;

	/* --- its own --- */
	struct message message;
	struct loop *asker;
	unsigned int asked; /* loops so far */
};

void recent_key(const char *request_id, const char *principal,
		uint64_t key_r[2]);
/* [loop] The newest call with this key gets the score, in place of the one it
 * had. */
void recent_rate(struct recent_rating *rating);
/* [control] The same of a call that ended on this loop; `done` comes on
 * control. */
void recent_rate_on(struct recent_rating *rating, struct loop *loop);

#endif
