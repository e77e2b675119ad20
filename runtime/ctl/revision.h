/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands about revisions share.
 */
#ifndef CTL_REVISION_H
#define CTL_REVISION_H

#include "ctl.h"

/* The option's value as the number of a revision; -1: it is none, and
 * revision_bad_number says so. */
long long revision_number(struct ctl *ctl, enum option_id option);
int revision_bad_number(struct ctl *ctl, enum option_id option);

#endif
