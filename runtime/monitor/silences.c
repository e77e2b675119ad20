/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/silences.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/json.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"
#include "monitor/matchers.h"
#include "state/state.h"

#define BUCKET	   "silences"
#define SHOWN_MS   (24 * 3600 * 1000ll) /* once expired */
#define RECORD_MAX ((size_t)256 * 1024)

struct silence {
	struct silence *next;
	char id[ID_MAX];
	struct matchers *matchers;
	char *comment;
	char *created_by;
	int64_t starts_ms, ends_ms;
	bool end_unstored; /* [control] ended by silences_end(), here alone */
};

/* Changed on control alone, and under the lock; read anywhere under it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct silence *silences;
static size_t silence_count;
static size_t coming; /* [control] being stored */

static void silence_free(struct silence **silence)
{
	struct silence *s = *silence;

	*silence = NULL;
	if (s == NULL)
		return;
	matchers_free(&s->matchers);
	mem_free(s->comment);
	mem_free(s->created_by);
	mem_free(s);
}

/* --- what they say ----------------------------------------------------------- */

static const char *state_of(const struct silence *s, int64_t now_ms)
{
	return now_ms >= s->ends_ms	? "expired"
	       : now_ms >= s->starts_ms ? "active"
					: "pending";
}

static json_t *describe(const struct silence *s, int64_t now_ms)
{
	char starts[TEXT_TIME_MAX], ends[TEXT_TIME_MAX];

	text_of_time(s->starts_ms, starts);
	text_of_time(s->ends_ms, ends);
	return json_pack("{s:s,s:o,s:s,s:s,s:s,s:s,s:s}", "id", s->id,
			 "matchers", matchers_describe(s->matchers),
			 "starts_at", starts, "ends_at", ends, "created_by",
			 s->created_by, "comment", s->comment, "state",
			 state_of(s, now_ms));
}

/* Those of one state, in order of their end. */
static bool list_those(json_t *list, const char *state, int64_t now_ms)
{
	size_t first = json_array_size(list);

	for (const struct silence *s = silences; s != NULL; s = s->next) {
		size_t at = first;
		char ends[TEXT_TIME_MAX];

		if (strcmp(state_of(s, now_ms), state) != 0)
			continue;
		text_of_time(s->ends_ms, ends);
		while (at < json_array_size(list) &&
		       strcmp(json_text(json_array_get(list, at), "ends_at",
					""),
			      ends) <= 0)
			at++;
		if (json_array_insert_new(list, at, describe(s, now_ms)) < 0)
			return false;
	}
	return true;
}

json_t *silences_list(void)
{
	static const char *const order[] = { "active", "pending", "expired" };
	int64_t now_ms = os.realtime_ms();
	json_t *list = json_array();
	bool whole = list != NULL;

	(void)pthread_mutex_lock(&lock);
	for (size_t i = 0; whole && i < ARRAY_SIZE(order); i++)
		whole = list_those(list, order[i], now_ms);
	(void)pthread_mutex_unlock(&lock);
	if (!whole) {
		json_decref(list);
		return NULL;
	}
	return list;
}

bool silences_find(const json_t *labels, char id_r[ID_MAX])
{
	const struct silence *found = NULL;
	int64_t now_ms = os.realtime_ms();

	(void)pthread_mutex_lock(&lock);
	for (const struct silence *s = silences; s != NULL; s = s->next)
		if (now_ms >= s->starts_ms && now_ms < s->ends_ms &&
		    (found == NULL || s->ends_ms > found->ends_ms) &&
		    matchers_hold(s->matchers, labels))
			found = s;
	if (found != NULL)
		(void)snprintf(id_r, ID_MAX, "%s", found->id);
	(void)pthread_mutex_unlock(&lock);
	return found != NULL;
}

/* --- the list [control] ------------------------------------------------------- */

static void add(struct silence *s)
{
	(void)pthread_mutex_lock(&lock);
	s->next = silences;
	silences = s;
	silence_count++;
	(void)pthread_mutex_unlock(&lock);
}

/* Forgets what expired a day ago, and, where the list is full, what expired
 * first. */
static void make_room(int64_t now_ms)
{
	for (;;) {
		struct silence **oldest = NULL, *gone;
		struct atom_error err = ATOM_ERROR_INIT;

		for (struct silence **place = &silences; *place != NULL;
		     place = &(*place)->next)
			if ((*place)->ends_ms <= now_ms &&
			    (oldest == NULL ||
			     (*place)->ends_ms < (*oldest)->ends_ms))
				oldest = place;
		if (oldest == NULL || (silence_count + coming < SILENCES_MAX &&
				       now_ms - (*oldest)->ends_ms < SHOWN_MS))
			return;
		(void)pthread_mutex_lock(&lock);
		gone = *oldest;
		*oldest = gone->next;
		silence_count--;
		(void)pthread_mutex_unlock(&lock);
		/* One that stays in the store goes at the next start. */
		(void)state_write_behind(BUCKET, state_text(gone->id),
					 (struct atom_span){ NULL, 0 }, &err);
		silence_free(&gone);
	}
}

static struct silence *find(const char *id)
{
	struct silence *s = silences;

	while (s != NULL && strcmp(s->id, id) != 0)
		s = s->next;
	return s;
}

/* --- storing ------------------------------------------------------------------ */

struct change {
	struct silence *made; /* to be added once it is stored; NULL: none */
	char id[ID_MAX];
	silence_done done;
	void *argument;
};

static void on_stored(void *argument, atom_status status,
		      const struct state_transaction *transaction,
		      const struct atom_error *error)
{
	struct change *c = argument;
	struct silence *s;

	(void)transaction;
	coming -= c->made != NULL;
	if (status == ATOM_OK && c->made != NULL) {
		log_line(ATOM_LOG_WARN, "silence_began", c->made->comment,
			 LOG_TEXT("silence", c->made->id),
			 LOG_TEXT("by", c->made->created_by));
		add(TAKE(c->made));
	}
	s = status == ATOM_OK ? find(c->id) : NULL;
	if (s != NULL)
		s->end_unstored = false;
	/* It may have been forgotten meanwhile. */
	c->done(c->argument, status,
		s != NULL	    ? describe(s, os.realtime_ms())
		: status == ATOM_OK ? json_pack("{s:s}", "id", c->id)
				    : NULL,
		error != NULL ? error->message : NULL);
	silence_free(&c->made);
	mem_free(c);
}

static atom_status put(struct state_transaction *transaction,
		       const struct silence *s, struct atom_error *err)
{
	struct buffer value = BUFFER_INIT(RECORD_MAX);
	json_t *kept = describe(s, s->starts_ms);
	atom_status status = ATOM_ENOMEM;

	if (kept != NULL) {
		(void)json_object_del(kept, "state");
		status = json_encode(kept, &value);
	}
	json_decref(kept);
	if (status == ATOM_OK)
		status = state_transaction_put(
			transaction, BUCKET, state_text(s->id),
			(struct atom_span){ value.bytes, value.length },
			STATE_ANY, err);
	else
		(void)atom_fail(err, status, "no memory");
	buffer_fini(&value);
	return status;
}

/* Takes `made` in any case. */
static void store(const struct silence *s, struct silence *made,
		  silence_done done, void *argument)
{
	struct state_transaction *transaction = state_transaction_new();
	struct change *c = mem_zalloc(sizeof(*c));
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status = ATOM_OK;

	if (transaction == NULL || c == NULL)
		status = atom_fail(&err, ATOM_ENOMEM, "no memory");
	if (status == ATOM_OK)
		status = put(transaction, s, &err);
	if (status == ATOM_OK) {
		*c = (struct change){ .made = made,
				      .done = done,
				      .argument = argument };
		(void)snprintf(c->id, sizeof(c->id), "%s", s->id);
		status = state_commit(&transaction, on_stored, c, &err);
	}
	state_transaction_free(&transaction);
	if (status == ATOM_OK) {
		coming += made != NULL;
		return;
	}
	mem_free(c);
	silence_free(&made);
	done(argument, status, NULL, err.message);
}

/* --- changing [control] -------------------------------------------------------- */

static atom_status check(const struct silence_request *request, int64_t now_ms,
			 struct atom_error *err)
{
	int64_t starts_ms =
		request->starts_ms > now_ms ? request->starts_ms : now_ms;

	if (request->comment == NULL || *request->comment == '\0' ||
	    strlen(request->comment) > SILENCE_TEXT_MAX)
		return atom_fail(err, ATOM_EINVAL,
				 "comment: expected why, in 1 to %d bytes",
				 SILENCE_TEXT_MAX);
	if (request->ends_ms <= starts_ms ||
	    request->ends_ms - starts_ms > SILENCE_LONGEST_MS)
		return atom_fail(err, ATOM_EINVAL,
				 "ends_at: expected a time behind now and "
				 "starts_at, at most 366 days");
	make_room(now_ms);
	return silence_count + coming < SILENCES_MAX
		       ? ATOM_OK
		       : atom_fail(err, ATOM_ELIMIT,
				   "%d silences are in force or to come, the "
				   "most there may be; end some",
				   SILENCES_MAX);
}

static atom_status make(const struct silence_request *request,
			const char *comment, struct silence **silence_r,
			struct atom_error *err)
{
	struct silence *s = mem_zalloc(sizeof(*s));
	atom_status status;

	if (s == NULL)
		return atom_fail(err, ATOM_ENOMEM, "no memory");
	s->comment = mem_strdup(comment);
	s->created_by = mem_strdup(request->created_by);
	s->starts_ms = request->starts_ms;
	s->ends_ms = request->ends_ms;
	status = s->comment != NULL && s->created_by != NULL
			 ? matchers_new(request->matchers, SILENCE_MATCHERS_MAX,
					SILENCE_TEXT_MAX, &s->matchers, err)
			 : atom_fail(err, ATOM_ENOMEM, "no memory");
	if (status == ATOM_OK)
		*silence_r = s;
	else
		silence_free(&s);
	return status;
}

void silences_create(const struct silence_request *request, silence_done done,
		     void *argument)
{
	int64_t now_ms = os.realtime_ms();
	struct silence_request asked = *request;
	struct atom_error err = ATOM_ERROR_INIT;
	struct silence *s = NULL;
	atom_status status = check(request, now_ms, &err);

	if (asked.starts_ms < now_ms)
		asked.starts_ms = now_ms;
	if (status == ATOM_OK)
		status = make(&asked, request->comment, &s, &err);
	if (status != ATOM_OK) {
		done(argument, status, NULL, err.message);
		return;
	}
	id_new("sil_", s->id);
	store(s, s, done, argument);
}

void silences_end(const char *id, silence_done done, void *argument)
{
	int64_t now_ms = os.realtime_ms();
	struct silence *s = find(id);

	if (s == NULL) {
		done(argument, ATOM_ENOENT, NULL,
		     "there is no silence of that id");
		return;
	}
	/* Where the store would not have it, whoever asks again wants it
	 * there. */
	if (now_ms >= s->ends_ms && !s->end_unstored) {
		done(argument, ATOM_OK, describe(s, now_ms), NULL);
		return;
	}
	if (now_ms < s->ends_ms) {
		(void)pthread_mutex_lock(&lock);
		s->ends_ms = now_ms;
		if (s->starts_ms > now_ms)
			s->starts_ms = now_ms;
		(void)pthread_mutex_unlock(&lock);
		log_line(ATOM_LOG_INFO, "silence_ended", s->comment,
			 LOG_TEXT("silence", s->id));
	}
	s->end_unstored = true;
	store(s, NULL, done, argument);
}

/* --- life ---------------------------------------------------------------------- */

static atom_status recall(const struct state_record *record,
			  struct atom_error *err)
{
	struct silence_request kept = { 0 };
	struct silence *s = NULL;
	json_t *value = NULL;
	const char *comment;
	atom_status status = record->status;

	if (status == ATOM_OK)
		status = json_decode(record->value.bytes, record->value.length,
				     &value, err);
	else
		(void)atom_fail(err, status, "its record does not open");
	if (status != ATOM_OK)
		goto out;
	kept.matchers = json_object_get(value, "matchers");
	kept.created_by = json_text(value, "created_by", NULL);
	comment = json_text(value, "comment", NULL);
	if (kept.created_by == NULL || comment == NULL ||
	    record->key.length >= ID_MAX ||
	    !text_to_time(json_text(value, "starts_at", ""), &kept.starts_ms) ||
	    !text_to_time(json_text(value, "ends_at", ""), &kept.ends_ms)) {
		status = atom_fail(err, ATOM_EDATALOSS,
				   "its record lacks a member");
		goto out;
	}
	status = make(&kept, comment, &s, err);
	if (status != ATOM_OK)
		goto out;
	(void)snprintf(s->id, sizeof(s->id), "%.*s", (int)record->key.length,
		       record->key.bytes);
	add(s);
out:
	json_decref(value);
	return status;
}

static int32_t on_record(void *argument, const struct state_record *record)
{
	struct atom_error err = ATOM_ERROR_INIT;
	char id[ID_MAX];

	(void)argument;
	(void)snprintf(id, sizeof(id), "%.*s",
		       (int)(record->key.length < ID_MAX ? record->key.length
							 : ID_MAX - 1),
		       record->key.bytes);
	if (recall(record, &err) != ATOM_OK)
		log_line(ATOM_LOG_ERROR, "silence_not_read", err.message,
			 LOG_TEXT("silence", &id[0]));
	return silence_count >= 2 * SILENCES_MAX;
}

void silences_recall(void)
{
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status =
		state_scan_now(BUCKET, state_text(""), on_record, NULL, &err);

	if (status != ATOM_OK && status != ATOM_ENOENT)
		log_line(ATOM_LOG_ERROR, "silences_not_read", err.message);
	make_room(os.realtime_ms());
}

void silences_fini(void)
{
	while (silences != NULL) {
		struct silence *s = silences;

		silences = s->next;
		silence_free(&s);
	}
	silence_count = 0;
}
