/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SCALING_FORMULA_COMPONENT_H
#define SCALING_FORMULA_COMPONENT_H

/* The life of a strategy that has nothing but its options: create, destroy
 * and reconfigure of its ops struct. */

#include <atomd/scaling.h>

atom_status component_create(const struct atom_host *host, const void *options,
			     void **self_r, struct atom_error *err);
void component_destroy(void *self);
atom_status component_reconfigure(void *self, const void *options,
				  struct atom_error *err);
/* The options in force. */
const void *component_options(const void *self);

#endif
