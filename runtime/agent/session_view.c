/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "agent/session_priv.h"
#include "core/memory.h"
#include "state/state.h"

/*
 * Reading and deleting a session for its owner.  What is read is the last
 * commit, whether a call is under way or not; a session that is deleted
 * during a call goes when the call ends.
 */

#define JSON_MAX ((size_t)5 * SESSION_BYTES_MAX)

struct view {
	struct message message;
	struct loop *loop;
	char *agent;
	char *key;
	char *id;
	atom_status status;
	struct buffer json;
	struct session copy; /* of one that only the store has */
	void (*read_done)(void *argument, atom_status status,
			  struct buffer *json);
	void (*delete_done)(void *argument, atom_status status);
	void *argument;
};

static void on_answer(struct loop *loop, struct message *message)
{
	struct view *v = CONTAINER_OF(message, struct view, message);

	(void)loop;
	if (v->read_done != NULL)
		v->read_done(v->argument, v->status,
			     v->status == ATOM_OK ? &v->json : NULL);
	else
		v->delete_done(v->argument, v->status);
	buffer_fini(&v->json);
	buffer_fini(&v->copy.messages);
	buffer_fini(&v->copy.state);
	mem_free(v->agent);
	mem_free(v->key);
	mem_free(v->id);
	mem_free(v);
}

static void answer(struct view *v, atom_status status)
{
	v->status = status;
	v->message.deliver = on_answer;
	loop_post(v->loop, &v->message);
}

static void on_stored(void *argument, atom_status status,
		      const struct state_record *record,
		      const struct atom_error *error)
{
	struct view *v = argument;

	(void)error;
	if (status == ATOM_OK)
		status = session_decode(&v->copy, record->value.bytes,
					record->value.length);
	if (status == ATOM_OK)
		status = session_to_json(&v->copy, v->id, &v->json);
	answer(v, status);
}

static void read_stored(struct view *v, struct session *s)
{
	struct buffer key = BUFFER_INIT(ATOM_STORE_KEY_MAX);
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status;

	session_init_buffers(&v->copy);
	v->copy.agent = s->agent;
	status = session_store_key(v->agent, v->key, &key);
	if (status == ATOM_OK)
		status = state_get(SESSION_BUCKET,
				   (struct atom_span){ key.bytes, key.length },
				   on_stored, v, &err);
	buffer_fini(&key);
	if (status != ATOM_OK)
		answer(v, status);
}

static void on_view(struct loop *loop, struct message *message)
{
	struct view *v = CONTAINER_OF(message, struct view, message);
	struct session *s = session_find(loop, v->agent, v->key);

	if (s == NULL || s->doomed || !s->stored || session_is_expired(s)) {
		answer(v, ATOM_ENOENT);
	} else if (v->delete_done != NULL) {
		session_doom(s);
		answer(v, ATOM_OK);
	} else if (s->loaded) {
		answer(v, session_to_json(s, v->id, &v->json));
	} else {
		read_stored(v, s);
	}
}

static void view_start(struct view *v, const char *agent, const char *principal,
		       const char *id)
{
	buffer_init(&v->json, JSON_MAX);
	v->agent = mem_strdup(agent);
	v->key = session_key(principal, id);
	v->id = mem_strdup(id);
	if (v->agent == NULL || v->key == NULL || v->id == NULL) {
		answer(v, ATOM_ENOMEM);
		return;
	}
	v->message.deliver = on_view;
	loop_post(session_home(agent), &v->message);
}

void session_read(struct loop *loop, const char *agent, const char *principal,
		  const char *id,
		  void (*done)(void *argument, atom_status status,
			       struct buffer *json),
		  void *argument)
{
	struct view *v = mem_zalloc(sizeof(*v));

	if (v == NULL) {
		done(argument, ATOM_ENOMEM, NULL);
		return;
	}
	v->loop = loop;
	v->read_done = done;
	v->argument = argument;
	view_start(v, agent, principal, id);
}

void session_delete(struct loop *loop, const char *agent, const char *principal,
		    const char *id,
		    void (*done)(void *argument, atom_status status),
		    void *argument)
{
	struct view *v = mem_zalloc(sizeof(*v));

	if (v == NULL) {
		done(argument, ATOM_ENOMEM);
		return;
	}
	v->loop = loop;
	v->delete_done = done;
	v->argument = argument;
	view_start(v, agent, principal, id);
}
