/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_CHANGES_H
#define AGENT_CHANGES_H

/*
 * What the API changes of agents, and their revisions to look at.
 *
 * A change is checked first, whole, its plugins' options too; then its record
 * is stored, durable, and only then anything is done: a daemon that is killed
 * has the revision it had before, or the new one.  One agent has one change
 * at a time.  All of it [control].
 */

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include <atomd/plugin.h>

#include "agent/records.h"
#include "config/config.h"

/* How it went, once, within the call or later.  ATOM_OK: `result` is the
 * receiver's.  ATOM_EINVAL: `message` has all that is wrong with the text, a
 * line each.  ATOM_ENOENT: no such agent or revision.  ATOM_ECONFLICT: another
 * change is under way, the agent is another's, or deployments are frozen.  Others: the store's. */
typedef void (*change_done)(void *argument, atom_status status, json_t *result,
			    const char *message);

enum change_kind {
	CHANGE_CREATE, /* the name must be free */
	CHANGE_DEPLOY, /* the agent must be there, and no rollout be under way */
	CHANGE_SUPERSEDE, /* a rollout that is under way ends */
	CHANGE_DELETE	  /* of change_delete() */
};

/* Puts `body`, an agent's group, in force as its next revision: `body` is
 * taken.  Where it says no `name` it gets this one; another is refused.  A body
 * that says what is in force already changes nothing.  Result:
 * {"agent","revision","from","changed","hash"}; `from` 0: it is new. */
void change_agent(enum change_kind kind, const char *name, struct setting *body,
		  const struct record_change *why,
		  const struct config *defaults, change_done done,
		  void *argument);
/* Back to revision `to` (0: the one before).  To the one that serves while a
 * rollout runs: that is aborted; to the one that is kept warm: it serves again,
 * by one swap of the snapshot, done first and stored at once after; it is no
 * new revision.  Else its text again, as the next revision, by the agent's
 * strategy, and whatever was under way is superseded.  The result says which,
 * too: "way" is "swap", with "closed_us", from the order until no call could be
 * given to the other, or "rollout", with "no_swap", why. */
void change_undo(const char *name, int64_t to, const struct record_change *why,
		 const struct config *defaults, change_done done,
		 void *argument);
/* An agent of the API's goes, with its records; its calls end by themselves.
 * One of the file's is refused: it would come back at the next reload.
 * Result: {"agent","deleted":true}. */
void change_delete(const char *name, const struct record_change *why,
		   change_done done, void *argument);

/* {"agent","revisions":[...]}, the newest first: what a record says, but for
 * its folder, with "changes" (the keys of its difference) and "in_force"; of
 * one that is damaged "revision" and "error".  `number` (0: all): only this
 * one, with its text where `text` says so; ATOM_ENOENT: it is not kept. */
void change_list(const char *name, int64_t number, bool text, change_done done,
		 void *argument);

#endif
