/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/session.h"

#include <assert.h>
#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "agent/session_priv.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "state/state.h"

/*
 * One table of agents a loop.  Every session of an agent is in its table,
 * with its messages or, when they have not been used lately, without: then
 * the store has them.
 *
 * A use's way:	open --free--> busy --close--> (commit) --> next in line
 *		  +--busy--> waits its turn, at most wait_ms
 */

/* Messages kept in memory for one agent; beyond it the least recently used
 * are left to the store. */
#define LOADED_BYTES_MAX ((size_t)16 * 1024 * 1024)
/* Sessions past their age are looked for this often. */
#define SWEEP_MS    60000
#define SWEEP_BATCH 1000

static struct table agents[LOOP_MAX];
static struct timer sweepers[LOOP_MAX];
static _Atomic uint64_t total;

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

uint64_t session_count(void)
{
	return atomic_load(&total);
}

/* --- the tables -------------------------------------------------------------- */

struct loop *session_home(const char *agent)
{
	return loops_get((unsigned int)(table_hash(agent, strlen(agent)) %
					loops_serving()));
}

static void list_remove(struct session *s)
{
	struct session_agent *a = s->agent;

	if (s->older != NULL)
		s->older->newer = s->newer;
	else
		a->oldest = s->newer;
	if (s->newer != NULL)
		s->newer->older = s->older;
	else
		a->newest = s->older;
	s->older = s->newer = NULL;
}

static void list_add(struct session *s)
{
	struct session_agent *a = s->agent;

	s->older = a->newest;
	s->newer = NULL;
	if (a->newest != NULL)
		a->newest->newer = s;
	else
		a->oldest = s;
	a->newest = s;
}

static size_t loaded_bytes(const struct session *s)
{
	return s->messages.capacity + s->state.capacity;
}

static void unload(struct session *s)
{
	size_t before = loaded_bytes(s);

	buffer_fini(&s->messages);
	buffer_fini(&s->state);
	session_init_buffers(s);
	s->loaded = false;
	s->agent->loaded_bytes -= before;
}

static void session_forget(struct session *s)
{
	assert(!s->busy && s->first_waiting == NULL);
	s->agent->loaded_bytes -= loaded_bytes(s);
	list_remove(s);
	(void)table_remove(&s->agent->by_key, s->key, strlen(s->key));
	atomic_fetch_sub(&total, 1);
	buffer_fini(&s->messages);
	buffer_fini(&s->state);
	mem_free(s->key);
	mem_free(s);
}

static void store_remove(struct session *s)
{
	struct buffer key = BUFFER_INIT(ATOM_STORE_KEY_MAX);
	struct atom_error err = ATOM_ERROR_INIT;

	if (!s->stored)
		return;
	if (session_store_key(s->agent->name, s->key, &key) != ATOM_OK ||
	    state_write_behind(SESSION_BUCKET,
			       (struct atom_span){ key.bytes, key.length },
			       (struct atom_span){ NULL, 0 }, &err) != ATOM_OK)
		log_line(ATOM_LOG_ERROR, "session_not_removed", err.message,
			 LOG_TEXT("agent", s->agent->name));
	buffer_fini(&key);
}

static void store_write(struct session *s)
{
	struct buffer key = BUFFER_INIT(ATOM_STORE_KEY_MAX);
	struct buffer value = BUFFER_INIT(ATOM_STORE_VALUE_MAX);
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status;

	status = session_store_key(s->agent->name, s->key, &key);
	if (status == ATOM_OK)
		status = session_encode(s, &value);
	if (status == ATOM_OK)
		status = state_write_behind(
			SESSION_BUCKET,
			(struct atom_span){ key.bytes, key.length },
			(struct atom_span){ value.bytes, value.length }, &err);
	if (status == ATOM_OK)
		s->stored = true;
	else
		log_line(ATOM_LOG_ERROR, "session_not_stored", err.message,
			 LOG_TEXT("agent", s->agent->name));
	buffer_fini(&key);
	buffer_fini(&value);
}

static struct session_agent *agent_get(unsigned int loop, const char *name,
				       const struct config_memory *limits)
{
	struct session_agent *a = table_get_text(&agents[loop], name);

	if (a != NULL)
		return a;
	a = mem_zalloc(sizeof(*a));
	if (a == NULL)
		return NULL;
	a->limits = *limits;
	a->name = mem_strdup(name);
	if (a->name == NULL || table_set(&agents[loop], a->name, strlen(name),
					 a, NULL) != ATOM_OK) {
		mem_free(a->name);
		mem_free(a);
		return NULL;
	}
	return a;
}

struct session *session_find(struct loop *loop, const char *agent,
			     const char *key)
{
	struct session_agent *a =
		table_get_text(&agents[loop_index(loop)], agent);

	return a != NULL ? table_get_text(&a->by_key, key) : NULL;
}

static struct session *session_add(struct session_agent *a, const char *key)
{
	struct session *s = mem_zalloc(sizeof(*s));

	if (s == NULL)
		return NULL;
	session_init_buffers(s);
	s->agent = a;
	s->key = mem_strdup(key);
	if (s->key == NULL ||
	    table_set(&a->by_key, s->key, strlen(s->key), s, NULL) != ATOM_OK) {
		mem_free(s->key);
		mem_free(s);
		return NULL;
	}
	s->created_ms = s->updated_ms = os.realtime_ms();
	list_add(s);
	atomic_fetch_add(&total, 1);
	return s;
}

/* Room for one more: the least recently used that is idle goes. */
static bool make_room(struct session_agent *a)
{
	struct session *s = a->oldest;

	while ((int64_t)a->by_key.count >= a->limits.max_sessions) {
		while (s != NULL && (s->busy || s->first_waiting != NULL))
			s = s->newer;
		if (s == NULL)
			return false;
		struct session *next = s->newer;

		store_remove(s);
		session_forget(s);
		s = next;
	}
	return true;
}

static void keep_within_memory(struct session_agent *a)
{
	for (struct session *s = a->oldest;
	     s != NULL && a->loaded_bytes > LOADED_BYTES_MAX; s = s->newer)
		if (s->loaded && s->stored && !s->busy)
			unload(s);
}

bool session_is_expired(const struct session *s)
{
	int64_t max = s->agent->limits.max_age_ms;

	return max > 0 && os.realtime_ms() - s->updated_ms > max;
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
		reply(use, status);
		return;
	}
	use->session = s;
	reply(use, ATOM_OK);
}

static void next_turn(struct session *s);

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
		s->busy = false;
		use->session = NULL;
		reply(use, ATOM_EIO);
		next_turn(s);
		return;
	}
	s->loaded = true;
	s->agent->loaded_bytes += loaded_bytes(s);
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

static void next_turn(struct session *s)
{
	struct session_use *use = s->first_waiting;

	if (s->busy)
		return;
	if (use != NULL) {
		s->first_waiting = use->next;
		if (use->next == NULL)
			s->last_waiting = NULL;
		begin_use(s, use);
		return;
	}
	if (s->doomed)
		store_remove(s);
	if (s->doomed || !s->stored)
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
		agent_get(loop_index(loop), use->agent, &use->limits);
	struct session *s;

	if (a == NULL) {
		reply(use, ATOM_ENOMEM);
		return;
	}
	s = table_get_text(&a->by_key, use->key);
	if (s != NULL && !s->busy && session_is_expired(s)) {
		store_remove(s);
		session_forget(s);
		s = NULL;
	}
	if (s == NULL) {
		s = make_room(a) ? session_add(a, use->key) : NULL;
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
	size_t before = loaded_bytes(s);

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
		list_remove(s);
		list_add(s);
		store_write(s);
	}
	s->agent->loaded_bytes += loaded_bytes(s) - before;
	keep_within_memory(s->agent);
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

/* --- limits, age ------------------------------------------------------------------ */

static void on_sweep(struct timer *timer)
{
	unsigned int at_loop = loop_index(loop_current());
	struct session_agent *a;
	int left = SWEEP_BATCH;

	for (size_t at = 0; (a = table_next(&agents[at_loop], &at)) != NULL;)
		while (left > 0 && a->oldest != NULL && !a->oldest->busy &&
		       a->oldest->first_waiting == NULL &&
		       session_is_expired(a->oldest)) {
			store_remove(a->oldest);
			session_forget(a->oldest);
			left--;
		}
	(void)timer_set(loop_current(), timer, left == 0 ? 10 : SWEEP_MS);
}

struct new_limits {
	struct message message;
	struct config_memory limits;
	bool gone;
	char *agent;
};

static void remove_all(struct session_agent *a)
{
	struct session *next;

	for (struct session *s = a->oldest; s != NULL; s = next) {
		next = s->newer;
		session_doom(s);
	}
}

static void on_limits(struct loop *loop, struct message *message)
{
	struct new_limits *n =
		CONTAINER_OF(message, struct new_limits, message);
	struct session_agent *a =
		table_get_text(&agents[loop_index(loop)], n->agent);

	if (a != NULL && n->gone) {
		remove_all(a);
	} else if (a != NULL && n->limits.present) {
		a->limits = n->limits;
		a->limits.max_sessions++; /* none has to come */
		(void)make_room(a);
		a->limits.max_sessions--;
	}
	mem_free(n->agent);
	mem_free(n);
}

void session_limits(const char *agent, const struct config_memory *limits)
{
	struct new_limits *n = mem_zalloc(sizeof(*n));

	if (n != NULL)
		n->agent = mem_strdup(agent);
	if (n == NULL || n->agent == NULL) {
		mem_free(n);
		return;
	}
	n->gone = limits == NULL;
	if (limits != NULL)
		n->limits = *limits;
	n->message.deliver = on_limits;
	loop_post(session_home(agent), &n->message);
}

/* --- start and end ------------------------------------------------------------------ */

static int32_t index_one(void *argument, const struct state_record *record)
{
	static const struct config_memory unknown = {
		.present = true,
		.max_messages = 50,
		.max_age_ms = (int64_t)30 * 24 * 3600 * 1000,
		.max_sessions = 100000,
	};
	const char *separator =
		memchr(record->key.bytes, '\x1f', record->key.length);
	struct session_agent *a;
	struct session *s = NULL;
	char *agent, *key;

	(void)argument;
	if (separator == NULL)
		return 0;
	agent = mem_strndup(record->key.bytes,
			    (size_t)(separator - record->key.bytes));
	key = mem_strndup(separator + 1,
			  record->key.length -
				  (size_t)(separator + 1 - record->key.bytes));
	if (agent != NULL && key != NULL) {
		a = agent_get(loop_index(session_home(agent)), agent, &unknown);
		s = a != NULL ? session_add(a, key) : NULL;
	}
	if (s != NULL) {
		s->stored = true;
		(void)session_decode_head(record->value.bytes,
					  record->value.length, &s->created_ms,
					  &s->updated_ms);
	}
	mem_free(agent);
	mem_free(key);
	return 0;
}

static double count_now(void *argument)
{
	(void)argument;
	return (double)session_count();
}

atom_status session_init(void)
{
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status;

	status = state_scan_now(SESSION_BUCKET, (struct atom_span){ NULL, 0 },
				index_one, NULL, &err);
	if (status != ATOM_OK && status != ATOM_ENOENT)
		log_line(ATOM_LOG_ERROR, "sessions_not_read", err.message);
	for (unsigned int i = 0; i < loops_serving(); i++) {
		sweepers[i].fire = on_sweep;
		status = timer_set(loops_get(i), &sweepers[i], SWEEP_MS);
		if (status != ATOM_OK)
			return status;
	}
	return metric_gauge_callback("atomd_sessions",
				     "Sessions that are remembered.", count_now,
				     NULL);
}

void session_fini(void)
{
	for (unsigned int i = 0; i < LOOP_MAX; i++) {
		struct session_agent *a;

		for (size_t at = 0;
		     (a = table_next(&agents[i], &at)) != NULL;) {
			while (a->oldest != NULL) {
				a->oldest->busy = false;
				session_forget(a->oldest);
			}
			table_fini(&a->by_key);
			mem_free(a->name);
			mem_free(a);
		}
		table_fini(&agents[i]);
	}
}
