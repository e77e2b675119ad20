/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_FREEZE_H
#define AGENT_FREEZE_H

/*
 * The "stop everything" switch of deployments: while it is on, deployments
 * over the API are refused and rollouts stand where they are.  What goes back,
 * an abort or an undo, is let through (an undo that a restart interrupts
 * waits, too).  Kept over restarts; a record that is damaged counts as on.  All of it [control].
 */

#include <jansson.h>

#include <atomd/plugin.h>

/* At start, before the first look at a rollout. */
void freeze_recall(void);
/* Why nothing may go forward now, or NULL. */
const char *freeze_reason(void);
/* {"frozen"} and, when it is, "since", "who", "reason".  New. */
json_t *freeze_describe(void);

/* Once, at once or later.  ATOM_OK: `result` as freeze_describe(). */
typedef void (*freeze_done)(void *argument, atom_status status, json_t *result,
			    const char *message);
/* In force when it returns; `done` once it is durable. */
void freeze_begin(const char *who, const char *reason, freeze_done done,
		  void *argument);
/* In force once it is durable. */
void freeze_end(freeze_done done, void *argument);

#endif
