/* SPDX-License-Identifier: Apache-2.0 */
#include "rule.h"

const int rule_hold_s[RULE_HOLDS] = { 0, 4, 8, 16, 30, 120, 600 };

static const float spares[RULE_SPARES] = { -0.5f, 0, 0.5f, 1, 1.5f, 2,
					   3,	  4, 6,	   8, 12 };

/* 0, 0.4, 0.8 of the calls that end within the target wait: a queue that stands
 * waits so much of it. */
#define PATIENCE_STEP 0.4f

/* 1 to 8 by one, then each some 15 % more. */
static const float floors[RULE_FLOORS] = {
	1,   2,	  3,   4,   5,	 6,   7,   8,	9,   10,  12,  13, 16,	18,
	21,  24,  28,  32,  37,	 42,  49,  56,	65,  74,  86,  99, 113, 130,
	150, 173, 199, 229, 263, 302, 348, 400, 460, 529, 609, 700
};

struct rule rule_at(int index)
{
	struct rule rule = { 0 };
	int patience;

	if (index >= RULE_REACTIVE) {
		rule.floor = floors[index - RULE_REACTIVE];
		return rule;
	}
	rule.hold = index % RULE_HOLDS;
	rule.spare = spares[index / RULE_HOLDS % RULE_SPARES];
	patience = index / (RULE_HOLDS * RULE_SPARES);
	rule.patience = PATIENCE_STEP * (float)patience;
	return rule;
}

static int reactive(int hold, int spare)
{
	return spare * RULE_HOLDS + hold;
}

int rule_first(float cold_start_s, float target_s)
{
	return cold_start_s > 4 * target_s ? reactive(6, 7) : reactive(2, 5);
}
