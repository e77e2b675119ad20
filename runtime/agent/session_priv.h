/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_SESSION_PRIV_H
#define AGENT_SESSION_PRIV_H

/*
 * The record of one session and its stored form; shared by session.c (uses
 * and turns), session_table.c (which there are, limits) and session_record.c
 * (bytes).  Owned by the home loop.
 */

#include <stdatomic.h>

#include "agent/session.h"
#include "core/table.h"

#define SESSION_BUCKET "sessions"

struct session_agent;

struct session {
	struct session_agent *agent;
	char *key; /* PRINCIPAL \x1f ID */
	int64_t created_ms;
	int64_t updated_ms; /* realtime of the last commit */
	bool loaded;	    /* messages and state are here */
	bool stored;	    /* there is a record in the store */
	bool busy;
	bool doomed;		/* delete it when the use ends */
	struct buffer messages; /* a JSON array, or empty */
	size_t count;
	struct buffer state;
	struct session_use *first_waiting;
	struct session_use *last_waiting;
	struct session *older; /* of the agent's list by last use */
	struct session *newer;
};

struct session_agent {
	char *name;
	_Atomic uint64_t count; /* by_key's, for other threads */
	struct config_memory limits;
	struct table by_key;
	struct session *oldest;
	struct session *newest;
	size_t loaded_bytes;
};

struct loop *session_home(const char *agent);
/* PRINCIPAL \x1f ID, mem_free() it; NULL: no memory or too long. */
char *session_key(const char *principal, const char *id);
/* [home] */
struct session *session_find(struct loop *loop, const char *agent,
			     const char *key);
/* Not used for longer than max_age. */
bool session_is_expired(const struct session *session);
/* [home] Delete it now, or when its use ends: who waits for it begins anew. */
void session_doom(struct session *session);
/* --- session_table.c [home] --- */
/* The agent's table, made with `limits` when there is none; NULL: no memory.
 */
struct session_agent *session_agent_get(unsigned int loop, const char *name,
					const struct config_memory *limits);
struct session *session_add(struct session_agent *agent, const char *key);
/* Room for one more: the least recently used that is idle goes. */
bool session_make_room(struct session_agent *agent);
void session_keep_within_memory(struct session_agent *agent);
void session_list_remove(struct session *session);
void session_list_add(struct session *session); /* as the newest */
size_t session_loaded_bytes(const struct session *session);
/* What it holds out of memory, all of it; out of the store; into the store,
 * within a second. */
void session_unload(struct session *session);
void session_forget(struct session *session);
void session_store_remove(struct session *session);
void session_store_write(struct session *session);

/* --- session_record.c --- */
void session_init_buffers(struct session *session);
/* The store's key: AGENT \x1f PRINCIPAL \x1f ID. */
atom_status session_store_key(const char *agent, const char *key,
			      struct buffer *out);
/* Stored form: a line "1 CREATED UPDATED COUNT STATE_LENGTH", the state, the
 * array of messages. */
atom_status session_encode(const struct session *session, struct buffer *out);
/* The head alone (index at start), or all of it. */
bool session_decode_head(const char *bytes, size_t length, int64_t *created_r,
			 int64_t *updated_r);
atom_status session_decode(struct session *session, const char *bytes,
			   size_t length);
/* Appends `count` objects joined by ','. */
atom_status session_append(struct session *session,
			   const struct buffer *messages, size_t count);
/* Drops the oldest pairs until at most `max` messages and
 * SESSION_BYTES_MAX bytes are left, and the first one is the user's. */
void session_trim(struct session *session, size_t max);
/* The inside of the array. */
atom_status session_inside(const struct session *session, struct buffer *out);
atom_status session_to_json(const struct session *session, const char *id,
			    struct buffer *out);

#endif
