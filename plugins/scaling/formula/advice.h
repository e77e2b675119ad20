/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCALING_FORMULA_ADVICE_H
#define SCALING_FORMULA_ADVICE_H

/* Filling struct atom_scaling_advice. */

#include <stdbool.h>

#include <atomd/scaling.h>

/* What the advice is about: the metric that decided and its value, and the
 * stable word of the reason. */
struct advice_cause {
	const char *metric;
	const char *code;
	double value; /* anything that is no number is given as -1 */
};

/* `wanted` instances (negative: keep) because of `cause`, and the prose with
 * its numbers.  The action follows from `wanted` and what is in force. */
ATOM_PRINTF(5, 6)
void advice_give(struct atom_scaling_advice *advice,
		 const struct atom_load *load, int32_t wanted,
		 const struct advice_cause *cause, const char *format, ...);

/* A call waits and no instance is in force, which measurements of instances
 * cannot say: one is wanted. */
bool advice_sleeper(const struct atom_load *load);
void advice_wake(struct atom_scaling_advice *advice,
		 const struct atom_load *load);

#endif
