/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/session.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "agent/session_priv.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "state/state.h"

/*
 * A use's way:	open --free--> busy --close--> (commit) --> next in line
 *		  +--busy--> waits its turn, at most wait_ms
 */

bool session_id_valid(const char *id)
{
	size_t n = strlen(id);

	if (n == 0 || n > SESSION_ID_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)id[i]) &&
		    strchr("_.:-", id[i]) == NULL)
			return false;
	return true;
}

/* --- turns -------------------------------------------------------------------- */

static void on_reply(struct loop *loop, struct message *message)
{
	struct session_use *use =
		CONTAINER_OF(message, struct session_use, message);

	(void)loop;
	use->opened(use, use->status);
}

static void reply(struct session_use *use, atom_status status)
{
	timer_stop(&use->timer);
	mem_free(TAKE(use->agent));
	mem_free(TAKE(use->key));
	use->status = status;
	use->message.deliver = on_reply;
	loop_post(use->loop, &use->message);
}

static void next_turn(struct session *s);

static void hand_over(struct session *s, struct session_use *use)
{
	atom_status status;

	use->message_count = s->count;
	use->fresh = !s->stored && s->count == 0;
	status = session_inside(s, &use->messages);
	if (status == ATOM_OK && s->state.length > 0)
		status = buffer_append(&use->state, s->state.bytes,
				       s->state.length);
	if (status != ATOM_OK) {
		s->busy = false;
		use->session = NULL;
		reply(use, status);
		next_turn(s);
		return;
	}
	use->session = s;
	reply(use, ATOM_OK);
}

static void on_loaded(void *argument, atom_status status,
		      const struct state_record *record,
		      const struct atom_error *error)
{
	struct session_use *use = argument;
	struct session *s = use->session;

	if (status == ATOM_ENOENT) {
		/* It was removed behind our back: begin anew. */
		status = ATOM_OK;
		s->stored = false;
		s->count = 0;
	} else if (status == ATOM_OK) {
		status = session_decode(s, record->value.bytes,
					record->value.length);
	}
	if (status != ATOM_OK) {
		log_line(ATOM_LOG_ERROR, "session_not_read",
			 error != NULL ? error->message
				       : "its record is damaged",
			 LOG_TEXT("agent", s->agent->name));
		/* What was read of it is not counted. */
		buffer_fini(&s->messages);
		buffer_fini(&s->state);
		session_init_buffers(s);
		s->busy = false;
		use->session = NULL;
		reply(use, status == ATOM_EDATALOSS ? status : ATOM_EIO);
		next_turn(s);
		return;
	}
	s->loaded = true;
	s->agent->loaded_bytes += session_loaded_bytes(s);
	hand_over(s, use);
}

/* The session is free: this use has it now. */
static void begin_use(struct session *s, struct session_use *use)
{
	struct buffer key = BUFFER_INIT(ATOM_STORE_KEY_MAX);
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status;

	s->busy = true;
	timer_stop(&use->timer);
	if (!s->loaded && !s->stored && state_attached(&err) != ATOM_OK) {
		/* It may well be there, where nobody can read. */
		use->session = s;
		on_loaded(use, ATOM_EUNAVAILABLE, NULL, &err);
		return;
	}
	if (s->loaded || !s->stored) {
		s->loaded = true;
		hand_over(s, use);
		return;
	}
	use->session = s;
	status = session_store_key(s->agent->name, s->key, &key);
	if (status == ATOM_OK)
		status = state_get(SESSION_BUCKET,
				   (struct atom_span){ key.bytes, key.length },
				   on_loaded, use, &err);
	buffer_fini(&key);
	if (status != ATOM_OK)
		on_loaded(use, status, NULL, &err);
}

/* Who waits for it gets a new one, as who comes after them. */
static void renew(struct session *s)
{
	session_unload(s);
	s->stored = s->doomed = false;
	s->count = 0;
	s->created_ms = os.realtime_ms();
}

static void next_turn(struct session *s)
{
	struct session_use *use = s->first_waiting;

	if (s->busy)
		return;
	if (s->doomed) {
		session_store_remove(s);
		renew(s);
	}
	if (use != NULL) {
		s->first_waiting = use->next;
		if (use->next == NULL)
			s->last_waiting = NULL;
		begin_use(s, use);
		return;
	}
	if (!s->stored)
		session_forget(s);
}

void session_doom(struct session *s)
{
	s->doomed = true;
	if (!s->busy && s->first_waiting == NULL)
		next_turn(s);
}

static void on_wait_over(struct timer *timer)
{
	struct session_use *use =
		CONTAINER_OF(timer, struct session_use, timer);
	struct session *s = use->session;
	struct session_use **link = &s->first_waiting;
	struct session_use *before = NULL;

	while (*link != use) {
		before = *link;
		link = &(*link)->next;
	}
	*link = use->next;
	if (s->last_waiting == use)
		s->last_waiting = before;
	use->session = NULL;
	reply(use, ATOM_EBUSY);
}

static void on_open(struct loop *loop, struct message *message)
{
	struct session_use *use =
		CONTAINER_OF(message, struct session_use, message);
	struct session_agent *a =
		session_agent_get(loop_index(loop), use->agent, &use->limits);
	struct session *s;

	if (a == NULL) {
		reply(use, ATOM_ENOMEM);
		return;
	}
	s = table_get_text(&a->by_key, use->key);
	if (s != NULL && !s->busy && session_is_expired(s)) {
		session_store_remove(s);
		session_forget(s);
		s = NULL;
	}
	if (s == NULL) {
		s = session_make_room(a) ? session_add(a, use->key) : NULL;
		if (s == NULL) {
			reply(use, ATOM_ELIMIT);
			return;
		}
	}
	if (!s->busy) {
		begin_use(s, use);
		return;
	}
	use->session = s;
	use->next = NULL;
	if (s->last_waiting != NULL)
		s->last_waiting->next = use;
	else
		s->first_waiting = use;
	s->last_waiting = use;
	use->timer.fire = on_wait_over;
	if (timer_set(loop, &use->timer, use->wait_ms) != ATOM_OK)
		on_wait_over(&use->timer);
}

char *session_key(const char *principal, const char *id)
{
	struct buffer key = BUFFER_INIT(ATOM_STORE_KEY_MAX);

	buffer_append_text(&key, principal);
	buffer_append_char(&key, '\x1f');
	buffer_append_text(&key, id);
	if (key.failed) {
		buffer_fini(&key);
		return NULL;
	}
	return buffer_take(&key, NULL);
}

void session_open(struct session_use *use, struct loop *loop, const char *agent,
		  const char *principal, const char *id,
		  const struct config_memory *limits, int64_t wait_ms,
		  void (*opened)(struct session_use *use, atom_status status))
{
	buffer_init(&use->messages, (size_t)4 * SESSION_BYTES_MAX);
	buffer_init(&use->state, (size_t)256 * 1024);
	use->loop = loop;
	use->home = session_home(agent);
	use->opened = opened;
	use->limits = *limits;
	use->wait_ms = wait_ms;
	use->agent = mem_strdup(agent);
	use->key = session_key(principal, id);
	if (use->agent == NULL || use->key == NULL) {
		reply(use, ATOM_ENOMEM);
		return;
	}
	use->message.deliver = on_open;
	loop_post(use->home, &use->message);
}

/* --- the end of a use ------------------------------------------------------------ */

struct commit {
	struct message message;
	struct session *session;
	bool wanted;
	bool state_set;
	size_t count;
	struct buffer messages;
	struct buffer state;
};

static void on_commit(struct loop *loop, struct message *message)
{
	struct commit *c = CONTAINER_OF(message, struct commit, message);
	struct session *s = c->session;
	size_t before = session_loaded_bytes(s);

	(void)loop;
	s->busy = false;
	if (c->wanted && !s->doomed &&
	    session_append(s, &c->messages, c->count) == ATOM_OK) {
		session_trim(s, (size_t)s->agent->limits.max_messages);
		if (c->state_set) {
			buffer_clear(&s->state);
			(void)buffer_append(&s->state, c->state.bytes,
					    c->state.length);
		}
		s->updated_ms = os.realtime_ms();
		session_list_remove(s);
		session_list_add(s);
		session_store_write(s);
	}
	s->agent->loaded_bytes += session_loaded_bytes(s) - before;
	session_keep_within_memory(s->agent);
	buffer_fini(&c->messages);
	buffer_fini(&c->state);
	mem_free(c);
	next_turn(s);
}

void session_close(struct session_use *use, const struct buffer *messages,
		   size_t count, const struct buffer *state)
{
	struct commit *c = mem_zalloc(sizeof(*c));

	buffer_fini(&use->messages);
	buffer_fini(&use->state);
	if (c == NULL) {
		/* The session stays busy for good rather than be shared. */
		log_printf(ATOM_LOG_ERROR, "out_of_memory",
			   "no memory to end the use of a session");
		return;
	}
	c->session = TAKE(use->session);
	buffer_init(&c->messages, (size_t)4 * SESSION_BYTES_MAX);
	buffer_init(&c->state, (size_t)256 * 1024);
	c->wanted = messages != NULL;
	c->count = count;
	if (messages != NULL)
		c->wanted = buffer_append(&c->messages, messages->bytes,
					  messages->length) == ATOM_OK;
	if (state != NULL)
		c->state_set = buffer_append(&c->state, state->bytes,
					     state->length) == ATOM_OK;
	c->message.deliver = on_commit;
	loop_post(use->home, &c->message);
}
