/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_SESSION_H
#define AGENT_SESSION_H

/*
 * Conversations that the daemon remembers: the messages of one (agent,
 * principal, id), and the backend's state.
 *
 * The sessions of one agent live on the loop that its name hashes to; others
 * reach them by messages.  One call at a time: session_open() waits its turn (up to a
 * deadline, then ATOM_EBUSY: 409 session_busy), session_close() commits or
 * not and lets the next one in.  Sessions are written behind to the store
 * within a second and read from there when they are not in memory.
 *
 * Limits per agent: max_messages (oldest pairs are dropped; the system
 * prompt is no part of it), max_age since last use, max_sessions (least
 * recently used go).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

#include "config/config.h"
#include "core/buffer.h"
#include "core/loop.h"

#define SESSION_ID_MAX	  128		    /* [A-Za-z0-9_.:-] */
#define SESSION_BYTES_MAX (4 * 1024 * 1024) /* messages of one session */

bool session_id_valid(const char *id);

/* One use of a session; part of the asker's object, zeroed before open. */
struct session_use {
	/* --- filled when `opened` is called --- */
	/* The messages so far as JSON objects joined by ',' (no brackets). */
	struct buffer messages;
	size_t message_count;
	struct buffer state; /* the backend's state, may be empty */
	bool fresh;	     /* did not exist before */

	/* --- private --- */
	struct message message;
	struct loop *loop;
	struct loop *home;
	struct session *session; /* home's; also the ticket for close */
	struct session_use *next;
	struct timer timer;
	void (*opened)(struct session_use *use, atom_status status);
	char *agent;
	char *key;
	struct config_memory limits;
	int64_t wait_ms;
	atom_status status;
};

/* [loop] Ask for the session; `opened` comes later on this loop, exactly
 * once: ATOM_OK (then session_close() is due), ATOM_EBUSY after `wait_ms`,
 * ATOM_ELIMIT when no session may be added, ATOM_EIO when the store
 * failed.  The use must stay until `opened` and, when it was OK, until
 * session_close()'s. */
void session_open(struct session_use *use, struct loop *loop, const char *agent,
		  const char *principal, const char *id,
		  const struct config_memory *limits, int64_t wait_ms,
		  void (*opened)(struct session_use *use, atom_status status));
/* [loop] The end of the use.  With `messages` (JSON objects joined by ',',
 * `count` of them) they are appended, and `state` (NULL: unchanged) replaces
 * the state; with NULL messages nothing is committed.  The use may be freed
 * at once after: what is needed is copied. */
void session_close(struct session_use *use, const struct buffer *messages,
		   size_t count, const struct buffer *state);

/* The whole session as JSON {"id","agent","messages":[...],"created",
 * "updated"}; ATOM_ENOENT when there is none (or it is another's). [loop] */
void session_read(struct loop *loop, const char *agent, const char *principal,
		  const char *id,
		  void (*done)(void *argument, atom_status status,
			       struct buffer *json),
		  void *argument);
void session_delete(struct loop *loop, const char *agent, const char *principal,
		    const char *id,
		    void (*done)(void *argument, atom_status status),
		    void *argument);

/* [control] Before loops start; an agent's limits changed or it is gone
 * (its sessions are removed: limits NULL). */
atom_status session_init(void);
void session_limits(const char *agent, const struct config_memory *limits);
/* Sessions that are remembered now: of all agents, and of one; those that
 * only the store has the messages of count too. [any] */
uint64_t session_count(void);
uint64_t session_count_of(const char *agent);
void session_fini(void);

#endif
