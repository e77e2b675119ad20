/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "agent/session_priv.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/metric.h"
#include "core/os.h"
#include "state/state.h"

/*
 * Which sessions there are: one table of agents a loop, and each agent's
 * sessions in order of their last use.  Every session of an agent is in its
 * table, with its messages or, when they have not been used lately, without:
 * then the store has them.
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
/* Not all could be read at start: one that is not known may be there. */
static bool unread;

/* The same records by name, for who counts from another thread: they stay
 * until the end, so that the lock is held for a look alone. */
static pthread_mutex_t counted_lock = PTHREAD_MUTEX_INITIALIZER;
static struct table counted;

uint64_t session_count(void)
{
	return atomic_load(&total);
}

uint64_t session_count_of(const char *agent)
{
	struct session_agent *a;

	(void)pthread_mutex_lock(&counted_lock);
	a = table_get_text(&counted, agent);
	(void)pthread_mutex_unlock(&counted_lock);
	return a != NULL ? atomic_load(&a->count) : 0;
}

static atom_status count_begin(struct session_agent *a)
{
	atom_status status;

	(void)pthread_mutex_lock(&counted_lock);
	status = table_set(&counted, a->name, strlen(a->name), a, NULL);
	(void)pthread_mutex_unlock(&counted_lock);
	return status;
}

/* --- the tables -------------------------------------------------------------- */

struct loop *session_home(const char *agent)
{
	return loops_get((unsigned int)(table_hash(agent, strlen(agent)) %
					loops_serving()));
}

void session_list_remove(struct session *s)
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

void session_list_add(struct session *s)
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

size_t session_loaded_bytes(const struct session *s)
{
	return s->messages.capacity + s->state.capacity;
}

void session_unload(struct session *s)
{
	size_t before = session_loaded_bytes(s);

	buffer_fini(&s->messages);
	buffer_fini(&s->state);
	session_init_buffers(s);
	s->loaded = false;
	s->agent->loaded_bytes -= before;
}

void session_forget(struct session *s)
{
	assert(!s->busy && s->first_waiting == NULL);
	s->agent->loaded_bytes -= session_loaded_bytes(s);
	session_list_remove(s);
	(void)table_remove(&s->agent->by_key, s->key, strlen(s->key));
	atomic_fetch_sub(&total, 1);
	atomic_fetch_sub(&s->agent->count, 1);
	buffer_fini(&s->messages);
	buffer_fini(&s->state);
	mem_free(s->key);
	mem_free(s);
}

void session_store_remove(struct session *s)
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

void session_store_write(struct session *s)
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

struct session_agent *session_agent_get(unsigned int loop, const char *name,
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
	if (a->name == NULL ||
	    table_set(&agents[loop], a->name, strlen(name), a, NULL) != ATOM_OK)
		goto fail;
	if (count_begin(a) != ATOM_OK) {
		(void)table_remove(&agents[loop], name, strlen(name));
		goto fail;
	}
	return a;

fail:
	mem_free(a->name);
	mem_free(a);
	return NULL;
}

struct session *session_find(struct loop *loop, const char *agent,
			     const char *key)
{
	struct session_agent *a =
		table_get_text(&agents[loop_index(loop)], agent);

	return a != NULL ? table_get_text(&a->by_key, key) : NULL;
}

struct session *session_add(struct session_agent *a, const char *key)
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
	s->stored = unread;
	session_list_add(s);
	atomic_fetch_add(&total, 1);
	atomic_fetch_add(&a->count, 1);
	return s;
}

/* Room for one more: the least recently used that is idle goes. */
bool session_make_room(struct session_agent *a)
{
	struct session *s = a->oldest;

	while ((int64_t)a->by_key.count >= a->limits.max_sessions) {
		while (s != NULL && (s->busy || s->first_waiting != NULL))
			s = s->newer;
		if (s == NULL)
			return false;
		struct session *next = s->newer;

		session_store_remove(s);
		session_forget(s);
		s = next;
	}
	return true;
}

void session_keep_within_memory(struct session_agent *a)
{
	for (struct session *s = a->oldest;
	     s != NULL && a->loaded_bytes > LOADED_BYTES_MAX; s = s->newer)
		if (s->loaded && s->stored && !s->busy)
			session_unload(s);
}

bool session_is_expired(const struct session *s)
{
	int64_t max = s->agent->limits.max_age_ms;

	return max > 0 && os.realtime_ms() - s->updated_ms > max;
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
			session_store_remove(a->oldest);
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
		(void)session_make_room(a);
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
	bool *no_memory = argument;
	char *agent, *key;

	if (separator == NULL)
		return 0;
	agent = mem_strndup(record->key.bytes,
			    (size_t)(separator - record->key.bytes));
	key = mem_strndup(separator + 1,
			  record->key.length -
				  (size_t)(separator + 1 - record->key.bytes));
	if (agent != NULL && key != NULL) {
		a = session_agent_get(loop_index(session_home(agent)), agent,
				      &unknown);
		s = a != NULL ? session_add(a, key) : NULL;
	}
	if (s != NULL) {
		s->stored = true;
		/* One that does not open has no age, and must not be taken
		 * for expired or new: whoever asks for it is told. */
		if (!session_decode_head(record->value.bytes,
					 record->value.length, &s->created_ms,
					 &s->updated_ms))
			s->updated_ms = os.realtime_ms();
	}
	mem_free(agent);
	mem_free(key);
	*no_memory |= s == NULL;
	return 0;
}

static int by_use(const void *a, const void *b)
{
	int64_t x = (*(struct session *const *)a)->updated_ms;
	int64_t y = (*(struct session *const *)b)->updated_ms;

	return x < y ? -1 : x > y;
}

/* The store has them by their keys. */
static void order_by_use(struct session_agent *a)
{
	size_t count = a->by_key.count, n = 0;
	struct session **list =
		count > 1 ? mem_array(count, sizeof(struct session *)) : NULL;

	if (list == NULL)
		return; /* or there is no memory: as they came */
	for (struct session *s = a->oldest; s != NULL; s = s->newer)
		list[n++] = s;
	qsort(list, n, sizeof(struct session *), by_use);
	a->oldest = a->newest = NULL;
	for (size_t i = 0; i < n; i++)
		session_list_add(list[i]);
	mem_free(list);
}

static double count_now(void *argument)
{
	(void)argument;
	return (double)session_count();
}

atom_status session_init(void)
{
	struct atom_error err = ATOM_ERROR_INIT;
	bool no_memory = false;
	atom_status status;

	status = state_scan_now(SESSION_BUCKET, (struct atom_span){ NULL, 0 },
				index_one, &no_memory, &err);
	if (status == ATOM_OK && no_memory)
		status = atom_fail(&err, ATOM_ENOMEM, "no memory");
	/* Without a store no use begins at all. */
	unread = status != ATOM_OK && status != ATOM_ENOENT &&
		 status != ATOM_EUNAVAILABLE;
	if (status != ATOM_OK && status != ATOM_ENOENT)
		log_line(ATOM_LOG_ERROR, "sessions_not_read", err.message);
	for (unsigned int i = 0; i < loops_serving(); i++) {
		struct session_agent *a;

		for (size_t at = 0; (a = table_next(&agents[i], &at)) != NULL;)
			order_by_use(a);
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
	table_fini(&counted);
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
