/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ROLLOUT_SIMULATE_PRIV_H
#define ROLLOUT_SIMULATE_PRIV_H

/* What simulations of judges and of whole rollouts share. */

#include "rollout/simulate.h"

/* The seed of one run: runs are drawn apart, so that their number changes
 * none of them. */
uint64_t simulate_seed(const struct rollout_setup *setup, uint32_t number);
/* In [0, 1). */
double simulate_uniform(uint64_t *seed);
/* Does a revision's call number `call` go badly? */
bool simulate_is_bad(const struct rollout_setup *setup, uint64_t call,
		     bool is_new, uint64_t *seed);
/* Is it one that can be? */
atom_status simulate_check(const struct rollout_setup *setup,
			   struct atom_error *err);
/* Sorts the runs' ends and gives the one in the middle; negative: fewer than
 * half of the runs have one (UINT64_MAX is none). */
double simulate_median(uint64_t *ends, uint32_t runs);

#endif
