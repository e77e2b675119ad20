/* SPDX-License-Identifier: Apache-2.0 */
#include "security/keys.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "core/json.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"
#include "security/keys_priv.h"
#include "security/role.h"
#include "state/state.h"

void key_secrets_free(void *object)
{
	struct key_secrets *secrets = object;

	if (secrets != NULL)
		mem_wipe_free(secrets, sizeof(*secrets));
}

static void free_agents(const char ***agents)
{
	const char **list = TAKE(*agents);

	for (size_t i = 0; list != NULL && list[i] != NULL; i++)
		mem_free((void *)(uintptr_t)list[i]);
	mem_free(list);
}

void key_free(struct key *key)
{
	if (key == NULL)
		return;
	free_agents(&key->agents);
	mem_free(key->name);
	mem_free(key->created_by);
	key_secrets_free(atomic_load(&key->secrets));
	mem_free(key);
}

/* --- rows and records ------------------------------------------------------------ */

static json_t *time_or_null(int64_t ms)
{
	char text[TEXT_TIME_MAX];

	if (ms == 0)
		return json_null();
	text_of_time(ms, text);
	return json_string(text);
}

static json_t *agents_of(const struct key *key)
{
	json_t *list;

	if (key->agents == NULL)
		return json_null();
	list = json_array();
	for (size_t i = 0; key->agents[i] != NULL; i++)
		json_array_append_new(list, json_string(key->agents[i]));
	return list;
}

static const char *state_of(const struct key *key, int64_t now_ms)
{
	if (atomic_load(&key->revoked))
		return "revoked";
	if (!key_in_force(key, now_ms))
		return "expired";
	/* Its role went out of the configuration: it may do nothing. */
	return role_exists(key->role) ? "active" : "role_missing";
}

json_t *key_row(const struct key *key)
{
	const struct key_secrets *s = atomic_load(&key->secrets);
	int64_t now_ms = os.realtime_ms();
	bool two = now_ms < s->old_ends_ms;

	return json_pack(
		"{s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:s,s:o,s:o,s:o,s:o,s:s}", "id",
		key->id, "role", key->role, "name", key->name, "agents",
		agents_of(key), "limits", key_limits_row(&key->limits.own),
		"expires", time_or_null(key->expires_ms), "created",
		time_or_null(key->created_ms), "created_by", key->created_by,
		"last_used", time_or_null(atomic_load(&key->last_used_ms)),
		"rotated", time_or_null(s->rotated_ms), "old_secret_ends",
		time_or_null(two ? s->old_ends_ms : 0), "old_secret_last_used",
		time_or_null(two ? atomic_load(&s->old_used_ms) : 0), "state",
		state_of(key, now_ms));
}

json_t *keys_list(const char *after, size_t limit, const char **next_r)
{
	json_t *list = json_array();
	const struct key *k = keys_first();

	*next_r = NULL;
	if (after[0] != '\0') {
		k = key_find(after);
		if (k == NULL) {
			json_decref(list);
			return NULL;
		}
		k = k->next;
	}
	for (; k != NULL && limit > 0; k = k->next, limit--) {
		json_array_append_new(list, key_row(k));
		*next_r = k->next != NULL ? k->id : NULL;
	}
	return list;
}

void keys_limit(const struct config_limits *defaults)
{
	key_limits_defaults(defaults);
	for (struct key *k = keys_first(); k != NULL; k = k->next)
		key_limits_set(&k->limits, &k->limits.own);
}

static atom_status add_old(json_t *record, const struct key_secrets *s)
{
	char hex[2 * SECRET_HASH_LENGTH + 1];

	if (s->rotated_ms == 0)
		return ATOM_OK;
	text_to_hex(s->old_hash, sizeof(s->old_hash), hex);
	return json_object_set_new(record, "old_hash", json_string(hex)) == 0 &&
			       json_object_set_new(
				       record, "old_ends_ms",
				       json_integer(s->old_ends_ms)) == 0 &&
			       json_object_set_new(record, "old_used_ms",
						   json_integer(atomic_load(
							   &s->old_used_ms))) ==
				       0 &&
			       json_object_set_new(
				       record, "rotated_ms",
				       json_integer(s->rotated_ms)) == 0
		       ? ATOM_OK
		       : ATOM_ENOMEM;
}

atom_status key_encode(const struct key *key, const struct key_secrets *secrets,
		       struct buffer *out)
{
	char hex[2 * SECRET_HASH_LENGTH + 1];
	json_t *record;
	atom_status status;

	text_to_hex(secrets->hash, sizeof(secrets->hash), hex);
	record = json_pack("{s:s,s:s,s:s,s:s,s:o,s:o,s:I,s:I,s:I,s:I,s:I,s:b}",
			   "hash", hex, "role", key->role, "name", key->name,
			   "created_by", key->created_by, "agents",
			   agents_of(key), "limits",
			   key_limits_row(&key->limits.own), "number",
			   (json_int_t)key->number, "created_ms",
			   (json_int_t)key->created_ms, "expires_ms",
			   (json_int_t)key->expires_ms, "last_used_ms",
			   (json_int_t)atomic_load(&key->last_used_ms),
			   "revoked_ms", (json_int_t)key->revoked_ms, "revoked",
			   (int)atomic_load(&key->revoked));
	status = record != NULL ? add_old(record, secrets) : ATOM_ENOMEM;
	if (status == ATOM_OK)
		status = json_encode(record, out);
	json_decref(record);
	return status;
}

/* Lower-case, as text_to_hex() writes it; -1: no digit. */
static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hex_to_hash(const char *hex, uint8_t hash[SECRET_HASH_LENGTH])
{
	if (strlen(hex) != (size_t)2 * SECRET_HASH_LENGTH)
		return false;
	for (size_t i = 0; i < SECRET_HASH_LENGTH; i++) {
		int high = digit_of(hex[2 * i]), low = digit_of(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		hash[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* NULL without memory: never a part of them. */
static const char **copy_agents(const char *const *agents, size_t count)
{
	const char **copy = mem_array(count + 1, sizeof(*copy));

	for (size_t i = 0; copy != NULL && i < count; i++) {
		copy[i] = mem_strdup(agents[i]);
		if (copy[i] == NULL)
			free_agents(&copy);
	}
	return copy;
}

/* Of a record: none is every agent.  False: it is damaged, or there is no
 * memory. */
static bool read_agents(const json_t *list, const char ***agents_r)
{
	size_t count = json_array_size(list);
	const char **names;

	*agents_r = NULL;
	if (list == NULL || json_is_null(list))
		return true;
	names = mem_array(count + 1, sizeof(*names));
	if (names == NULL)
		return false;
	for (size_t i = 0; i < count; i++) {
		names[i] = json_string_value(json_array_get(list, i));
		if (names[i] == NULL)
			list = NULL;
	}
	if (json_is_array(list))
		*agents_r = copy_agents(names, count);
	mem_free(names);
	return *agents_r != NULL;
}

/* What of a record opens more when it is not what it should be. */
static bool has_sound_end(const json_t *record)
{
	const json_t *expires = json_object_get(record, "expires_ms");
	const json_t *revoked = json_object_get(record, "revoked");

	return (expires == NULL || json_is_integer(expires)) &&
	       (revoked == NULL || json_is_boolean(revoked));
}

static int64_t integer_of(const json_t *record, const char *name)
{
	return json_integer_value(json_object_get(record, name));
}

static int64_t number_of(const json_t *record)
{
	const json_t *number = json_object_get(record, "number");
	const int64_t value = json_integer_value(number);

	return json_is_integer(number) && value >= 0 && value <= KEY_NUMBER_MAX
		       ? value
		       : KEY_NUMBER_NONE;
}

static struct key_secrets *decode_secrets(const json_t *record)
{
	struct key_secrets *s = mem_zalloc(sizeof(*s));

	if (s == NULL)
		return NULL;
	s->rotated_ms = integer_of(record, "rotated_ms");
	s->old_ends_ms = integer_of(record, "old_ends_ms");
	atomic_init(&s->old_used_ms, integer_of(record, "old_used_ms"));
	if (!hex_to_hash(json_text(record, "hash", ""), s->hash) ||
	    (s->rotated_ms != 0 &&
	     !hex_to_hash(json_text(record, "old_hash", ""), s->old_hash))) {
		key_secrets_free(s);
		return NULL;
	}
	return s;
}

struct key *key_decode(const char *id, const json_t *record)
{
	struct key *key = mem_zalloc(sizeof(*key));
	struct config_limits limits;
	const char *wrong;

	if (key == NULL)
		return NULL;
	atomic_init(&key->secrets, decode_secrets(record));
	key->revoked_ms = integer_of(record, "revoked_ms");
	(void)snprintf(key->id, sizeof(key->id), "%s", id);
	(void)snprintf(key->role, sizeof(key->role), "%s",
		       json_text(record, "role", ""));
	key->name = mem_strdup(json_text(record, "name", ""));
	key->created_by = mem_strdup(json_text(record, "created_by", ""));
	key->number = number_of(record);
	key->created_ms =
		json_integer_value(json_object_get(record, "created_ms"));
	key->expires_ms =
		json_integer_value(json_object_get(record, "expires_ms"));
	key->last_stored_ms =
		json_integer_value(json_object_get(record, "last_used_ms"));
	atomic_init(&key->last_used_ms, key->last_stored_ms);
	atomic_init(&key->revoked,
		    json_is_true(json_object_get(record, "revoked")));
	if (key->name == NULL || key->created_by == NULL ||
	    !read_agents(json_object_get(record, "agents"), &key->agents) ||
	    !has_sound_end(record) ||
	    !key_limits_read(json_object_get(record, "limits"), &limits,
			     &wrong) ||
	    atomic_load(&key->secrets) == NULL) {
		key_free(key);
		return NULL;
	}
	key_limits_set(&key->limits, &limits);
	return key;
}

/* --- create ------------------------------------------------------------------------- */

static atom_status make(const struct key_request *request,
			char text[KEY_TEXT_MAX], struct key **key_r,
			struct atom_error *err)
{
	uint32_t permissions = role_permissions(request->role);
	struct key_secrets *secrets;
	struct key *key = NULL;
	size_t agents = 0;
	atom_status status;

	if (!role_exists(request->role))
		return atom_fail(err, ATOM_EINVAL,
				 "role: there is no role '%s'; use admin, "
				 "operator, read_only, caller, or one of "
				 "security.roles",
				 request->role);
	if ((permissions & ~request->allowed) != 0)
		return atom_fail(err, ATOM_EPERM,
				 "role: '%s' may do more than you; nobody "
				 "hands out what they do not have",
				 request->role);
	if (keys_count() >= KEY_COUNT_MAX)
		return atom_fail(err, ATOM_ELIMIT,
				 "there are %d keys already, the most allowed",
				 KEY_COUNT_MAX);
	while (request->agents != NULL && request->agents[agents] != NULL)
		agents++;
	key = mem_zalloc(sizeof(*key));
	if (key == NULL)
		return atom_fail(err, ATOM_ENOMEM, "no memory for a key");
	(void)snprintf(key->role, sizeof(key->role), "%s", request->role);
	key->name = mem_strdup(request->name != NULL ? request->name : "");
	key->created_by = mem_strdup(request->created_by);
	key->number = keys_next_number();
	key->created_ms = os.realtime_ms();
	key->expires_ms = request->expires_ms;
	key_limits_set(&key->limits, &request->limits);
	if (request->agents != NULL)
		key->agents = copy_agents(request->agents, agents);
	secrets = mem_zalloc(sizeof(*secrets));
	atomic_init(&key->secrets, secrets);
	status = secret_make(text, key->id, err);
	if (status == ATOM_OK && secrets != NULL)
		status = secret_hash(text, strlen(text), secrets->hash);
	if (status == ATOM_OK &&
	    (key->name == NULL || key->created_by == NULL || secrets == NULL ||
	     (request->agents != NULL && key->agents == NULL)))
		status = atom_fail(err, ATOM_ENOMEM, "no memory for a key");
	if (status != ATOM_OK)
		key_free(key);
	else
		*key_r = key;
	return status;
}

atom_status key_write(const struct key *key, const struct key_secrets *secrets,
		      struct state_transaction **transaction_r,
		      struct atom_error *err)
{
	struct state_transaction *t = state_transaction_new();
	struct buffer value = BUFFER_INIT((size_t)256 * 1024);
	atom_status status = ATOM_ENOMEM;

	if (t != NULL)
		status = key_encode(key, secrets, &value);
	if (status == ATOM_OK)
		status = state_transaction_put(
			t, KEYS_BUCKET, state_text(key->id),
			(struct atom_span){ value.bytes, value.length },
			STATE_ANY, err);
	buffer_fini(&value);
	if (status != ATOM_OK)
		state_transaction_free(&t);
	*transaction_r = t;
	return status;
}

struct creation {
	struct key *key;
	char text[KEY_TEXT_MAX];
	void (*done)(void *argument, atom_status status, json_t *row,
		     const struct atom_error *err);
	void *argument;
};

static void on_created(void *argument, atom_status status,
		       const struct state_transaction *transaction,
		       const struct atom_error *error)
{
	struct creation *c = argument;
	struct atom_error plain = ATOM_ERROR_INIT;
	json_t *row = NULL;

	(void)transaction;
	if (status == ATOM_OK) {
		status = key_publish(c->key);
		if (status != ATOM_OK)
			atom_fail(&plain, status, "no memory for a key");
		error = &plain;
	}
	if (status == ATOM_OK) {
		row = key_row(c->key);
		json_object_set_new(row, "key", json_string(c->text));
		log_line(ATOM_LOG_INFO, "key_created", "an API key was made",
			 LOG_TEXT("key", c->key->id),
			 LOG_TEXT("role", c->key->role),
			 LOG_TEXT("user", c->key->created_by));
	} else {
		key_free(c->key);
	}
	c->done(c->argument, status, row, error);
	json_decref(row);
	mem_wipe_free(c, sizeof(*c));
}

void keys_create(const struct key_request *request,
		 void (*done)(void *argument, atom_status status, json_t *row,
			      const struct atom_error *err),
		 void *argument)
{
	struct creation *c = mem_zalloc(sizeof(*c));
	struct state_transaction *t = NULL;
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status;

	if (c == NULL) {
		atom_fail(&err, ATOM_ENOMEM, "no memory for a key");
		done(argument, ATOM_ENOMEM, NULL, &err);
		return;
	}
	c->done = done;
	c->argument = argument;
	status = keys_known(&err);
	if (status == ATOM_OK)
		status = make(request, c->text, &c->key, &err);
	if (status == ATOM_OK)
		status = key_write(c->key, atomic_load(&c->key->secrets), &t,
				   &err);
	if (status == ATOM_OK)
		status = state_commit(&t, on_created, c, &err);
	if (status == ATOM_OK)
		return;
	state_transaction_free(&t);
	key_free(c->key);
	mem_wipe_free(c, sizeof(*c));
	done(argument, status, NULL, &err);
}

atom_status keys_create_now(const struct key_request *request,
			    char out[KEY_TEXT_MAX], struct atom_error *err)
{
	struct state_transaction *t = NULL;
	struct key *key = NULL;
	atom_status status;

	status = keys_known(err);
	if (status == ATOM_OK)
		status = make(request, out, &key, err);
	if (status == ATOM_OK)
		status = key_write(key, atomic_load(&key->secrets), &t, err);
	if (status == ATOM_OK)
		status = state_commit_now(t, err);
	if (status == ATOM_OK)
		status = key_publish(key);
	state_transaction_free(&t);
	if (status != ATOM_OK)
		key_free(key);
	return status;
}
