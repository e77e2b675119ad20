/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_CHANGES_PRIV_H
#define AGENT_CHANGES_PRIV_H

/* What changes.c and changes_undo.c share.  [control] */

#include "agent/changes.h"

/* May such a change of this agent begin now, with this reason? */
atom_status change_may_begin(const char *name, enum change_kind kind,
			     const struct record_change *why,
			     struct atom_error *err);

#endif
