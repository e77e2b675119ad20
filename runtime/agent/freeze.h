/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_FREEZE_H
#define AGENT_FREEZE_H

/*
 * The "stop everything" switch of deployments, and the windows of the calendar
 * in which they stop by themselves: while it is on, or one holds, deployments
 * over the API are refused and rollouts stand where they are.  What goes back,
 * an abort or an undo, is let through (an undo that a restart interrupts
 * waits, too).  Kept over restarts; a record that is damaged counts as on.  All of it [control].
 */

#include <jansson.h>

#include <atomd/plugin.h>

#include "config/config.h"

struct agent;

/* At start, before the first look at a rollout. */
void freeze_recall(void);
/* The windows of all agents are this configuration's. */
void freeze_apply(struct config *config);
void freeze_fini(void);
/* Why nothing of this agent (NULL: of one that is new) may go forward now, the
 * switch before the windows of all agents before its own, or NULL.  Lives until
 * the next one. */
const char *freeze_reason(const struct agent *agent);
/* The switch, whatever the windows say. */
bool freeze_is_on(void);
/* {"frozen"} and, when it is, "since", "who", "reason"; "window", why, while
 * one of all agents holds.  New. */
json_t *freeze_describe(void);

/* --- freeze_window.c --- */
/* Of those that hold at this local time the one that ends last, and when. */
const struct config_freeze_window *freeze_window_at(
	const struct config_freeze_windows *windows, int64_t local_ms,
	int64_t *ends_ms_r);
/* A sentence while one holds, or NULL. */
const char *freeze_window_reason(const struct config_freeze_windows *windows,
				 const char *whose);

/* Once, at once or later.  ATOM_OK: `result` as freeze_describe(). */
typedef void (*freeze_done)(void *argument, atom_status status, json_t *result,
			    const char *message);
/* In force when it returns; `done` once it is durable. */
void freeze_begin(const char *who, const char *reason, freeze_done done,
		  void *argument);
/* In force once it is durable. */
void freeze_end(freeze_done done, void *argument);

#endif
