/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rollout as people see it: printed, and watched to its end.
 */
#ifndef CTL_ROLLOUT_H
#define CTL_ROLLOUT_H

#include "ctl.h"

/* The rollout of an id, or the last one of an agent. */
int rollout_get(struct ctl *ctl, const char *name, json_t **status_r);

/* The whole status, or its JSON. */
int rollout_print(struct ctl *ctl, const json_t *status);

/* "5.00% of new calls, step 1 of 4" */
void rollout_share(const json_t *status, char *out, size_t size);

/* Until it has ended or waits for a person; `*status_r` is replaced by the
 * newest. A progress line on a terminal, else a line on stdout for each change;
 * then the status, or with --json that alone. CTL_FAILED: it was aborted or a
 * newer one came; CTL_WAITS: it waits for a person. */
int rollout_watch(struct ctl *ctl, json_t **status_r);

#endif
