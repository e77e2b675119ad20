/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_OVERRIDE_PRIV_H
#define CONFIG_OVERRIDE_PRIV_H

/*
 * -D PATH=VALUE: one scalar, put into the tree before it is checked.
 *
 * A step of PATH is the key of a group, or of a list the `name` of a member
 * or its number from 0.  A name may hold dots.  Groups on the way that are
 * absent are made.  VALUE in double quotes is a string; else it takes the
 * type of what it replaces when it can be read so, and is otherwise a string
 * that may stand for any scalar, as a reference may.
 */

#include "config/config.h"

/* Is it the override of `environment`, which comes before all others? */
bool override_is_environment(const struct config_override *override);
atom_status override_apply(struct setting *root,
			   const struct config_override *override,
			   struct buffer *errors);

#endif
