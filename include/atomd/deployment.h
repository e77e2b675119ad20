/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATOMD_DEPLOYMENT_H
#define ATOMD_DEPLOYMENT_H

/*
 * atom.deployment/1: how an agent moves from one revision to another.
 *
 * A pure function like atom.scaling/1: observation + own state bytes in;
 * actions, reason and new state bytes out.  The host owns the mechanics: it
 * stores each step before it does it, gives weight only to revisions with
 * ready instances, and can always go back.
 */

#include <atomd/host.h>
#include <atomd/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ATOM_DEPLOYMENT_STATE_MAX  (64 * 1024)
#define ATOM_DEPLOYMENT_REASON_MAX 240
#define ATOM_WEIGHT_ALL		   10000 /* weights are of ten thousand */

/* Phases and verdicts: Argo Rollouts' words. */
enum {
	ATOM_PHASE_HEALTHY = 1,
	ATOM_PHASE_PROGRESSING = 2,
	ATOM_PHASE_PAUSED = 3,
	ATOM_PHASE_DEGRADED = 4
};

enum {
	ATOM_ANALYSIS_NONE = 0,
	ATOM_ANALYSIS_SUCCESSFUL = 1,
	ATOM_ANALYSIS_FAILED = 2,
	ATOM_ANALYSIS_ERROR = 3,
	ATOM_ANALYSIS_INCONCLUSIVE = 4
};

/* Kinds of bad event, for atom_cell.bad. */
enum {
	ATOM_BAD_ERROR = 0,
	ATOM_BAD_SLOW = 1,
	ATOM_BAD_SLOW_FIRST_TOKEN = 2,
	ATOM_BAD_TOKENS = 3,
	ATOM_BAD_INVALID_JSON = 4,
	ATOM_BAD_RATED = 5,
	ATOM_BAD_COUNT = 6
};

/* Calls of one (assignment probability, revision) cell.  A mirrored call,
 * answered by both, counts once in each cell of weight 5,000: either revision
 * was as likely as the other to have its bad events. */
struct atom_cell {
	uint32_t struct_size;
	int32_t weight;	   /* of the new revision when they were assigned */
	int32_t is_new;	   /* 1: answered by the new revision */
	int32_t bad_kinds; /* valid entries of bad */
	uint64_t calls;
	uint64_t bad[8];
};

/* Calls that were mirrored: both revisions answered the same input, the
 * caller had the old one's answer.  Cumulative since the rollout began. */
struct atom_comparison {
	uint32_t struct_size;
	uint32_t reserved;
	uint64_t calls;		 /* mirrored and compared */
	uint64_t status_differs; /* one failed and the other did not */
	uint64_t json_differs;	 /* of JSON answers: other shape */
	uint64_t similar_calls;	 /* with a text of both to compare */
	double similarity_sum;	 /* 0 (nothing alike) to 1 each */
	double old_s_sum;	 /* seconds until the last byte */
	double new_s_sum;
	uint64_t old_tokens;
	uint64_t new_tokens;
};

struct atom_observation {
	uint32_t struct_size;
	int32_t phase; /* ATOM_PHASE_* */
	/* Unix time, but of a clock that never goes back and leaps with no
	 * step of the system's: for durations, and to be kept in state. */
	int64_t now_ms;
	int64_t began_ms; /* of the rollout */
	int64_t step_began_ms;
	int64_t paused_ms; /* so far, in this step */
	int32_t step;	   /* as the last action said; 0 first */
	int32_t weight;	   /* of the new revision now */
	int32_t mirror;	   /* share mirrored, of ten thousand */
	int32_t analysis;  /* verdict of the judge: ATOM_ANALYSIS_* */
	/* Units of capacity. */
	int32_t old_wanted;
	int32_t old_ready;
	int32_t new_wanted;
	int32_t new_ready;
	int32_t new_failed; /* starts that failed since the step began */
	int32_t person;	    /* what a person asked: ATOM_PERSON_* */
	uint32_t cell_stride;
	int32_t old_in_flight;
	const void *cells; /* struct atom_cell, by cell_stride */
	size_t cell_count;
	/* Units that scaling wants for the whole agent, at least 1. */
	int32_t agent_wanted;
	int32_t judged;	 /* 1: a judge looks, `analysis` will say something */
	int64_t pauses;	 /* of this step that are over */
	int64_t samples; /* calls of the new revision in the analysis */
	int64_t mirror_tokens; /* mirrored calls used, in the last hour */
	const struct atom_comparison *comparison; /* NULL: nothing mirrored */
};

enum {
	ATOM_PERSON_NOTHING = 0,
	ATOM_PERSON_PROMOTE = 1,
	ATOM_PERSON_PROMOTE_FULL = 2,
	ATOM_PERSON_ABORT = 3,
	ATOM_PERSON_PAUSE = 4,
	ATOM_PERSON_RESUME = 5
};

/* What an action asks holds until another one asks for something else; the
 * host does it as far and as soon as it can: weight only with ready
 * instances, fewer old ones only once the weight is in force. */
enum {
	ATOM_ACT_WAIT = 0,    /* look again later */
	ATOM_ACT_SET_NEW = 1, /* value: instances of the new revision */
	/* value: instances of the old one; -1: as many as scaling says */
	ATOM_ACT_SET_OLD = 2,
	ATOM_ACT_SET_WEIGHT = 3, /* value: of ten thousand, to the new one */
	ATOM_ACT_SET_MIRROR = 4, /* value: of ten thousand */
	/* value: ms, 0 = until a person.  The host asks again once the pause
	 * is over, and `pauses` is one more. */
	ATOM_ACT_PAUSE = 5,
	/* value: 1 begin anew, 0 end.  Without it the judge looks from the
	 * first call of the new revision until the end. */
	ATOM_ACT_ANALYSE = 6,
	ATOM_ACT_STEP = 7,    /* value: the step that begins */
	ATOM_ACT_PROMOTE = 8, /* done: the new one is stable */
	ATOM_ACT_ABORT = 9,   /* go back now */
	/* value: 1 new calls wait for the new revision's first instance, 0
	 * they do not.  For moves that need the old one gone first. */
	ATOM_ACT_HOLD = 10,
	/* value: tokens an hour that mirrored calls may use; 0 = any. */
	ATOM_ACT_SET_MIRROR_BUDGET = 11
};

struct atom_action {
	int32_t what;
	int32_t reserved;
	int64_t value;
};

#define ATOM_ACTIONS_MAX 16

struct atom_plan {
	uint32_t struct_size;
	uint32_t action_count;
	int32_t steps; /* in all, for the progress display */
	int32_t reserved;
	struct atom_action actions[ATOM_ACTIONS_MAX];
	char reason[ATOM_DEPLOYMENT_REASON_MAX];
};

struct atom_deployment_ops {
	ATOM_OPS_HEAD;
	/* [control], offline too.  `state` as in atom.scaling/1. */
	atom_status (*advance)(void *self, const struct atom_observation *seen,
			       void *state, size_t *state_size,
			       struct atom_plan *plan_r,
			       struct atom_error *err);
};

#ifdef __cplusplus
}
#endif

#endif
