/* SPDX-License-Identifier: Apache-2.0 */
#include "security/keys.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "core/health.h"
#include "core/json.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/qsbr.h"
#include "core/table.h"
#include "core/text.h"
#include "security/keys_priv.h"
#include "security/role.h"
#include "state/state.h"

#define BUCKET	      "keys"
#define SECRET_BUCKET "secrets"
#define SHARDS	      256
/* last_used reaches the store this often. */
#define LAST_USED_MS 60000

static struct table *_Atomic shards[SHARDS];
static struct key *all;
static size_t key_count;
static struct timer last_used_timer;

/* --- look-up ------------------------------------------------------------------- */

static size_t shard_of(const char *id)
{
	return table_hash(id, strlen(id)) % SHARDS;
}

struct key *key_find(const char *id)
{
	const struct table *t = atomic_load_explicit(&shards[shard_of(id)],
						     memory_order_acquire);

	return t != NULL ? table_get_text(t, id) : NULL;
}

bool key_in_force(const struct key *key, int64_t now_ms)
{
	return !atomic_load_explicit(&key->revoked, memory_order_relaxed) &&
	       (key->expires_ms == 0 || now_ms < key->expires_ms);
}

static void table_release(void *object)
{
	table_fini(object);
	mem_free(object);
}

static atom_status publish(struct key *key)
{
	size_t at_shard = shard_of(key->id);
	struct table *old = atomic_load(&shards[at_shard]);
	struct table *next = mem_zalloc(sizeof(*next));
	atom_status status = ATOM_ENOMEM;
	struct key *k;

	if (next == NULL)
		return ATOM_ENOMEM;
	for (size_t at = 0; old != NULL && (k = table_next(old, &at)) != NULL;)
		if (table_set(next, k->id, strlen(k->id), k, NULL) != ATOM_OK)
			goto fail;
	if (table_set(next, key->id, strlen(key->id), key, NULL) != ATOM_OK)
		goto fail;
	atomic_store_explicit(&shards[at_shard], next, memory_order_release);
	if (old != NULL)
		qsbr_retire(table_release, old);
	key->next = all;
	all = key;
	key_count++;
	return ATOM_OK;
fail:
	table_release(next);
	return status;
}

static void key_free(struct key *key)
{
	if (key == NULL)
		return;
	for (size_t i = 0; key->agents != NULL && key->agents[i] != NULL; i++)
		mem_free((void *)(uintptr_t)key->agents[i]);
	mem_free(key->agents);
	mem_free(key->name);
	mem_free(key->created_by);
	OPENSSL_cleanse(key->hash, sizeof(key->hash));
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

static json_t *row_of(const struct key *key)
{
	const char *state = atomic_load(&key->revoked)		  ? "revoked"
			    : key_in_force(key, os.realtime_ms()) ? "active"
								  : "expired";

	return json_pack(
		"{s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:s,s:o,s:s}", "id", key->id,
		"role", key->role, "name", key->name, "agents", agents_of(key),
		"limits", key_limits_row(&key->limits.own), "expires",
		time_or_null(key->expires_ms), "created",
		time_or_null(key->created_ms), "created_by", key->created_by,
		"last_used", time_or_null(atomic_load(&key->last_used_ms)),
		"state", state);
}

json_t *keys_list(void)
{
	json_t *list = json_array();

	for (const struct key *k = all; k != NULL; k = k->next)
		json_array_append_new(list, row_of(k));
	return list;
}

void keys_limit(const struct config_limits *defaults)
{
	key_limits_defaults(defaults);
	for (struct key *k = all; k != NULL; k = k->next)
		key_limits_set(&k->limits, &k->limits.own);
}

/* What the store keeps: the row's facts and the hash, never the key. */
static atom_status encode(const struct key *key, struct buffer *out)
{
	char hex[2 * SECRET_HASH_LENGTH + 1];
	json_t *record;
	atom_status status;

	text_to_hex(key->hash, sizeof(key->hash), hex);
	record = json_pack("{s:s,s:s,s:s,s:s,s:o,s:o,s:I,s:I,s:I,s:b}", "hash",
			   hex, "role", key->role, "name", key->name,
			   "created_by", key->created_by, "agents",
			   agents_of(key), "limits",
			   key_limits_row(&key->limits.own), "created_ms",
			   (json_int_t)key->created_ms, "expires_ms",
			   (json_int_t)key->expires_ms, "last_used_ms",
			   (json_int_t)atomic_load(&key->last_used_ms),
			   "revoked", (int)atomic_load(&key->revoked));
	status = record != NULL ? json_encode(record, out) : ATOM_ENOMEM;
	json_decref(record);
	return status;
}

static bool hex_to_hash(const char *hex, uint8_t hash[SECRET_HASH_LENGTH])
{
	if (strlen(hex) != (size_t)2 * SECRET_HASH_LENGTH)
		return false;
	for (size_t i = 0; i < SECRET_HASH_LENGTH; i++) {
		unsigned int byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return false;
		hash[i] = (uint8_t)byte;
	}
	return true;
}

static const char **copy_agents(const char *const *agents, size_t count)
{
	const char **copy = mem_array(count + 1, sizeof(*copy));

	for (size_t i = 0; copy != NULL && i < count; i++) {
		copy[i] = mem_strdup(agents[i]);
		if (copy[i] == NULL)
			count = i;
	}
	return copy;
}

static struct key *decode(const char *id, const json_t *record)
{
	struct key *key = mem_zalloc(sizeof(*key));
	const json_t *agents = json_object_get(record, "agents");
	struct config_limits limits;
	const char *wrong;

	if (key == NULL)
		return NULL;
	(void)snprintf(key->id, sizeof(key->id), "%s", id);
	(void)snprintf(key->role, sizeof(key->role), "%s",
		       json_text(record, "role", ""));
	key->name = mem_strdup(json_text(record, "name", ""));
	key->created_by = mem_strdup(json_text(record, "created_by", ""));
	key->created_ms =
		json_integer_value(json_object_get(record, "created_ms"));
	key->expires_ms =
		json_integer_value(json_object_get(record, "expires_ms"));
	key->last_stored_ms =
		json_integer_value(json_object_get(record, "last_used_ms"));
	atomic_init(&key->last_used_ms, key->last_stored_ms);
	atomic_init(&key->revoked,
		    json_is_true(json_object_get(record, "revoked")));
	if (json_is_array(agents)) {
		size_t n = json_array_size(agents);

		key->agents = mem_array(n + 1, sizeof(*key->agents));
		for (size_t i = 0; key->agents != NULL && i < n; i++)
			key->agents[i] = mem_strdup(
				json_string_value(json_array_get(agents, i)));
	}
	if (key->name == NULL || key->created_by == NULL ||
	    (json_is_array(agents) && key->agents == NULL) ||
	    !key_limits_read(json_object_get(record, "limits"), &limits,
			     &wrong) ||
	    !hex_to_hash(json_text(record, "hash", ""), key->hash)) {
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
	struct key *key = NULL;
	size_t agents = 0;
	atom_status status;

	if (permissions == 0)
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
	if (key_count >= KEY_COUNT_MAX)
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
	key->created_ms = os.realtime_ms();
	key->expires_ms = request->expires_ms;
	key_limits_set(&key->limits, &request->limits);
	if (request->agents != NULL)
		key->agents = copy_agents(request->agents, agents);
	status = secret_make(text, key->id, err);
	if (status == ATOM_OK)
		status = secret_hash(text, strlen(text), key->hash);
	if (status == ATOM_OK &&
	    (key->name == NULL || key->created_by == NULL ||
	     (request->agents != NULL && key->agents == NULL)))
		status = atom_fail(err, ATOM_ENOMEM, "no memory for a key");
	if (status != ATOM_OK)
		key_free(key);
	else
		*key_r = key;
	return status;
}

static atom_status write_of(const struct key *key,
			    struct state_transaction **transaction_r,
			    struct atom_error *err)
{
	struct state_transaction *t = state_transaction_new();
	struct buffer value = BUFFER_INIT((size_t)256 * 1024);
	atom_status status = ATOM_ENOMEM;

	if (t != NULL)
		status = encode(key, &value);
	if (status == ATOM_OK)
		status = state_transaction_put(
			t, BUCKET, state_text(key->id),
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
		status = publish(c->key);
		if (status != ATOM_OK)
			atom_fail(&plain, status, "no memory for a key");
		error = &plain;
	}
	if (status == ATOM_OK) {
		row = row_of(c->key);
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
	status = make(request, c->text, &c->key, &err);
	if (status == ATOM_OK)
		status = write_of(c->key, &t, &err);
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

	status = make(request, out, &key, err);
	if (status == ATOM_OK)
		status = write_of(key, &t, err);
	if (status == ATOM_OK)
		status = state_commit_now(t, err);
	if (status == ATOM_OK)
		status = publish(key);
	state_transaction_free(&t);
	if (status != ATOM_OK)
		key_free(key);
	return status;
}

/* --- revoke ----------------------------------------------------------------------------- */

struct revocation {
	void (*done)(void *argument, atom_status status,
		     const struct atom_error *err);
	void *argument;
};

static void on_revoked(void *argument, atom_status status,
		       const struct state_transaction *transaction,
		       const struct atom_error *error)
{
	struct revocation *r = argument;

	(void)transaction;
	r->done(r->argument, status, error);
	mem_free(r);
}

void keys_revoke(const char *id,
		 void (*done)(void *argument, atom_status status,
			      const struct atom_error *err),
		 void *argument)
{
	struct key *key = key_find(id);
	struct revocation *r;
	struct state_transaction *t = NULL;
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status;

	if (key == NULL) {
		status = atom_fail(&err, ATOM_ENOENT,
				   "there is no key with the id '%s'", id);
		done(argument, status, &err);
		return;
	}
	/* What makes things safer acts first and is stored after. */
	atomic_store(&key->revoked, true);
	log_line(ATOM_LOG_INFO, "key_revoked", "an API key was revoked",
		 LOG_TEXT("key", key->id));
	r = mem_zalloc(sizeof(*r));
	status = r != NULL ? write_of(key, &t, &err)
			   : atom_fail(&err, ATOM_ENOMEM, "no memory");
	if (status == ATOM_OK) {
		r->done = done;
		r->argument = argument;
		status = state_commit(&t, on_revoked, r, &err);
	}
	if (status == ATOM_OK)
		return;
	state_transaction_free(&t);
	mem_free(r);
	done(argument, status, &err);
}

/* --- start and end --------------------------------------------------------------------------- */

static int32_t load_one(void *argument, const struct state_record *record)
{
	size_t *damaged = argument;
	struct atom_error err = ATOM_ERROR_INIT;
	char id[SECRET_ID_LENGTH + 1] = "";
	struct key *key = NULL;
	json_t *value = NULL;

	if (record->key.length == SECRET_ID_LENGTH &&
	    json_decode(record->value.bytes, record->value.length, &value,
			&err) == ATOM_OK) {
		memcpy(id, record->key.bytes, SECRET_ID_LENGTH);
		key = decode(id, value);
	}
	json_decref(value);
	if (key == NULL || publish(key) != ATOM_OK) {
		(*damaged)++;
		key_free(key);
	}
	return 0;
}

static void on_last_used(struct timer *timer)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct buffer value = BUFFER_INIT((size_t)256 * 1024);

	for (struct key *k = all; k != NULL; k = k->next) {
		int64_t used = atomic_load(&k->last_used_ms);

		if (used == k->last_stored_ms)
			continue;
		buffer_clear(&value);
		if (encode(k, &value) != ATOM_OK ||
		    state_write_behind(
			    BUCKET, state_text(k->id),
			    (struct atom_span){ value.bytes, value.length },
			    &err) != ATOM_OK)
			break;
		k->last_stored_ms = used;
	}
	buffer_fini(&value);
	(void)timer_set(loop_control(), timer, LAST_USED_MS);
}

/* The pepper of this daemon's keys: made once, kept in the store. */
static atom_status pepper(uint8_t out[SECRET_PEPPER_BYTES],
			  struct atom_error *err)
{
	struct state_record *record = NULL;
	struct state_transaction *t;
	atom_status status;

	status = state_get_now(SECRET_BUCKET, state_text("pepper"), &record,
			       err);
	if (status == ATOM_OK && record->value.length == SECRET_PEPPER_BYTES)
		memcpy(out, record->value.bytes, SECRET_PEPPER_BYTES);
	else if (status == ATOM_OK)
		status = atom_fail(err, ATOM_EDATALOSS,
				   "the keys' pepper in the store is damaged");
	mem_free(record);
	if (status != ATOM_ENOENT)
		return status;
	if (os.random(out, SECRET_PEPPER_BYTES) != 0)
		return atom_fail(err, ATOM_EIO, "no random bytes to be had");
	t = state_transaction_new();
	status = t == NULL ? ATOM_ENOMEM
			   : state_transaction_put(
				     t, SECRET_BUCKET, state_text("pepper"),
				     (struct atom_span){ (const char *)out,
							 SECRET_PEPPER_BYTES },
				     STATE_NEW, err);
	if (status == ATOM_OK)
		status = state_commit_now(t, err);
	state_transaction_free(&t);
	return status;
}

atom_status keys_load(struct atom_error *err)
{
	uint8_t bytes[SECRET_PEPPER_BYTES];
	size_t damaged = 0;
	atom_status status = pepper(bytes, err);

	if (status != ATOM_OK) {
		/* Stored keys are out of reach; peers and the bootstrap key
		 * still work. */
		health_report("security", HEALTH_DEGRADED, false, err->message);
		if (os.random(bytes, sizeof(bytes)) != 0)
			return atom_fail(err, ATOM_EIO,
					 "no random bytes to be had");
		status = secret_set_pepper(bytes, err);
		OPENSSL_cleanse(bytes, sizeof(bytes));
		return status;
	}
	status = secret_set_pepper(bytes, err);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	if (status == ATOM_OK)
		status = state_scan_now(BUCKET, (struct atom_span){ NULL, 0 },
					load_one, &damaged, err);
	if (status == ATOM_ENOENT)
		status = ATOM_OK;
	if (damaged > 0)
		log_printf(ATOM_LOG_ERROR, "keys_damaged",
			   "%zu records of API keys could not be read; those "
			   "keys are refused",
			   damaged);
	health_report("security",
		      status == ATOM_OK && damaged == 0 ? HEALTH_OK
							: HEALTH_DEGRADED,
		      false, status == ATOM_OK ? NULL : err->message);
	last_used_timer.fire = on_last_used;
	(void)timer_set(loop_control(), &last_used_timer, LAST_USED_MS);
	return ATOM_OK;
}

void keys_fini(void)
{
	timer_stop(&last_used_timer);
	for (size_t i = 0; i < SHARDS; i++) {
		struct table *t = atomic_exchange(&shards[i], NULL);

		if (t != NULL)
			table_release(t);
	}
	while (all != NULL) {
		struct key *next = all->next;

		key_free(all);
		all = next;
	}
	key_count = 0;
}
