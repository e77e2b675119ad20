/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GOVERNOR_REHEARSAL_H
#define GOVERNOR_REHEARSAL_H

/*
 * What each rule would have done.
 *
 * Every second that was measured is played to every rule: so many calls came,
 * they take as long as calls take, instances start as slowly as they start.
 * A rule's rehearsal keeps what it would have now (instances, calls at work,
 * calls waiting) and adds up what it would have cost (instance-seconds) and
 * how many calls would have waited too long.  Old seconds fade.  So rules are
 * judged on one and the same load, whichever is in force, and no shape of
 * load is assumed: bursts, cycles and batches are simply met.
 *
 * Calls are a fluid here and seconds are the step: cheap enough to play
 * hundreds of rules, and wrong by a factor that `governor.c` measures.
 */

#include "rule.h"
#include "service.h"

/* Waiting calls by age, in equal steps up to the target wait; the last holds
 * all that are too late already. */
#define AGES 5
/* Starting instances by when they will be ready, in equal steps. */
#define DUES 9

struct rehearsal {
	float ready;
	float starting[DUES];
	float leaving;		       /* they drain ... */
	float leaving_at_work[PHASES]; /* ... these calls */
	float at_work[PHASES];
	float waiting[AGES];
	float cost_s; /* instance-seconds, faded */
	float late;   /* calls, faded */
};

/* What all rules see. */
struct stage {
	uint32_t seconds; /* played so far */
	float load;	  /* slots in use, mean of some minutes */
	float unit;	  /* of spare slots, see rule.h */
	float demand;	  /* calls at work if none had to wait */
	float demand_at_work[PHASES];
	/* The highest demand of this half and the last half of each hold. */
	float peak[RULE_HOLDS];
	float peak_before[RULE_HOLDS];
	struct rehearsal of[RULES];
};

/* Slots to have for so many calls at work and waiting. */
float stage_slots(const struct stage *stage, const struct rule *rule,
		  const struct service *service, float at_work, float waiting);
/* Plays one second with `arrived` calls; what was added up before fades to
 * `keep` of it.  `counts`: late calls count (not while it just began). */
void stage_play(struct stage *stage, const struct atom_load *load,
		const struct service *service, float arrived, float keep,
		bool counts);

#endif
