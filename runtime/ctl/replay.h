/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recorded inputs that a deployment is tried with before its first weight.
 */
#ifndef CTL_REPLAY_H
#define CTL_REPLAY_H

#include "ctl.h"

/* JSONL: an object with "input" or "messages" a line; other members, as logs
 * have them, are left out, and so are empty lines. An array for the request;
 * NULL: `ctl` has the sentence, with the line. */
json_t *replay_read_inputs(struct ctl *ctl, const char *path);

/* Until the rollout's replay has ended, and then what it came to; `*status_r`
 * is replaced by the newest. CTL_FAILED: the new revision was given up;
 * CTL_WAITS: a person is waited for. With --json nothing is printed. */
int replay_watch(struct ctl *ctl, json_t **status_r);

#endif
