/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCALING_FORMULA_COLD_START_H
#define SCALING_FORMULA_COLD_START_H

/* How long before they are needed instances are asked for. */

#include <stdint.h>

#include <atomd/scaling.h>

/* The longest cold start that the load tells, at least `least_ms`, and
 * `most_ms` at the most. */
int64_t cold_start_ms(const struct atom_load *load, int64_t least_ms,
		      int64_t most_ms);

#endif
