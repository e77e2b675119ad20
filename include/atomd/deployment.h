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

/* Calls of one (assignment probability, revision) cell. */
struct atom_cell {
	uint32_t struct_size;
	int32_t weight;	   /* of the new revision when they were assigned */
	int32_t is_new;	   /* 1: answered by the new revision */
	int32_t bad_kinds; /* valid entries of bad */
	uint64_t calls;
	uint64_t bad[8];
};

struct atom_observation {
	uint32_t struct_size;
	int32_t phase;	  /* ATOM_PHASE_* */
	int64_t now_ms;	  /* Unix time */
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
};

enum {
	ATOM_PERSON_NOTHING = 0,
	ATOM_PERSON_PROMOTE = 1,
	ATOM_PERSON_PROMOTE_FULL = 2,
	ATOM_PERSON_ABORT = 3,
	ATOM_PERSON_PAUSE = 4,
	ATOM_PERSON_RESUME = 5
};

enum {
	ATOM_ACT_WAIT = 0,	 /* look again later */
	ATOM_ACT_SET_NEW = 1,	 /* value: instances of the new revision */
	ATOM_ACT_SET_OLD = 2,	 /* value: instances of the old one */
	ATOM_ACT_SET_WEIGHT = 3, /* value: of ten thousand, to the new one */
	ATOM_ACT_SET_MIRROR = 4, /* value: of ten thousand */
	ATOM_ACT_PAUSE = 5,	 /* value: ms, 0 = until a person */
	ATOM_ACT_ANALYSE = 6,	 /* value: 1 begin, 0 end the judge */
	ATOM_ACT_STEP = 7,	 /* value: the step that begins */
	ATOM_ACT_PROMOTE = 8,	 /* done: the new one is stable */
	ATOM_ACT_ABORT = 9	 /* go back now */
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
