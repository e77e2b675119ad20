/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GOVERNOR_RULE_H
#define GOVERNOR_RULE_H

/*
 * The ways to staff that are compared.  A rule says how many slots there
 * should be for what is in the system now:
 *
 *	at work + (waiting - patience x at work x min(1, target / mean service))
 *	or the most calls of the last hold_s seconds if that is more,
 *	+ spare x unit
 *
 * and never fewer than `floor` instances.  The unit is the square root of
 * the load (Halfin and Whitt 1981: spare of that order keeps the chance to
 * wait the same at every load), at least half an instance.  Patience counts
 * on the slots that others leave while a call may still wait.  A rule with a
 * floor alone is a fixed size.
 */

#include <stdint.h>

#define RULE_HOLDS    7
#define RULE_SPARES   11
#define RULE_PATIENCE 3
#define RULE_FLOORS   40
#define RULE_REACTIVE (RULE_HOLDS * RULE_SPARES * RULE_PATIENCE)
#define RULES	      (RULE_REACTIVE + RULE_FLOORS)

struct rule {
	int hold;    /* which of rule_hold_s */
	float spare; /* in units */
	float patience;
	float floor; /* instances */
};

extern const int rule_hold_s[RULE_HOLDS]; /* the first is 0 */

struct rule rule_at(int index);
/* Where to begin: some spare and a short hold; where starting takes much
 * longer than a call may wait, much spare and a long one. */
int rule_first(float cold_start_s, float target_s);

#endif
