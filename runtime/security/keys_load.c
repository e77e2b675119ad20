/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "core/health.h"
#include "core/json.h"
#include "core/log.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/os.h"
#include "security/keys_priv.h"
#include "security/role.h"

#define SECRET_BUCKET "secrets"
/* Times of last use reach the store this often, so many at a time. */
#define LAST_USED_MS	60000
#define LAST_USED_BATCH 1000
#define LAST_USED_NEXT	50
/* Whoever mends the store starts the daemon again: callers ask this often. */
#define UNKNOWN_RETRY_MS 30000
/* A key that ended so long ago is forgotten at the next start. */
#define FORGET_MS ((int64_t)90 * 24 * 60 * 60 * 1000)

static struct timer last_used_timer;
/* Where the next batch begins; NULL: at the newest key. */
static struct key *last_used_at;
/* What was wrong with the store when the keys were read, or "". */
static char load_fault[ATOM_ERROR_MESSAGE_MAX];
/* It left some out, and nobody knows which.  Set before loops serve. */
static bool unknown;

/* --- last use --------------------------------------------------------------- */

bool key_store_soon(struct key *key)
{
	struct buffer value = BUFFER_INIT((size_t)256 * 1024);
	int64_t used = atomic_load(&key->last_used_ms);
	struct atom_error err = ATOM_ERROR_INIT;
	bool stored;

	stored = key_encode(key, atomic_load(&key->secrets), &value) ==
			 ATOM_OK &&
		 state_write_behind(
			 KEYS_BUCKET, state_text(key->id),
			 (struct atom_span){ value.bytes, value.length },
			 &err) == ATOM_OK;
	buffer_fini(&value);
	if (stored)
		key->last_stored_ms = used;
	return stored;
}

/* At most `most` of them, from `last_used_at` on; false: there may be more. */
static bool store_batch(size_t most)
{
	struct key *k = last_used_at != NULL ? last_used_at : keys_first();

	for (; k != NULL && most > 0; k = k->next) {
		if (atomic_load(&k->last_used_ms) == k->last_stored_ms ||
		    k->changing)
			continue;
		if (!key_store_soon(k))
			break;
		most--;
	}
	last_used_at = most == 0 ? k : NULL;
	return last_used_at == NULL;
}

static void on_last_used(struct timer *timer)
{
	bool all = store_batch(LAST_USED_BATCH);

	(void)timer_set(loop_control(), timer,
			all ? LAST_USED_MS : LAST_USED_NEXT);
}

void keys_flush(void)
{
	last_used_at = NULL;
	(void)store_batch(SIZE_MAX);
}

/* --- start and end ------------------------------------------------------------ */

static bool is_forgotten(const struct key *key, int64_t now_ms)
{
	int64_t ended_ms = key->expires_ms;

	if (atomic_load(&key->revoked))
		ended_ms = key->revoked_ms;
	return ended_ms != 0 && now_ms - ended_ms > FORGET_MS;
}

struct loading {
	size_t damaged;
	size_t uncounted;
	char (*forgotten)[SECRET_ID_LENGTH + 1];
	size_t forgotten_count;
	size_t forgotten_room;
};

/* The visit may not call the store: the ids are kept until its end. */
static void forget_later(struct loading *l, const char *id)
{
	if (l->forgotten_count == l->forgotten_room) {
		size_t room = l->forgotten_room * 2 + 64;
		void *more =
			mem_realloc(l->forgotten, room * sizeof(*l->forgotten));

		/* Then at another start. */
		if (more == NULL)
			return;
		l->forgotten = more;
		l->forgotten_room = room;
	}
	memcpy(l->forgotten[l->forgotten_count++], id, SECRET_ID_LENGTH + 1);
}

static int32_t load_one(void *argument, const struct state_record *record)
{
	struct loading *l = argument;
	struct atom_error err = ATOM_ERROR_INIT;
	char id[SECRET_ID_LENGTH + 1] = "";
	struct key *key = NULL;
	json_t *value = NULL;

	if (record->key.length == SECRET_ID_LENGTH &&
	    json_decode(record->value.bytes, record->value.length, &value,
			&err) == ATOM_OK) {
		memcpy(id, record->key.bytes, SECRET_ID_LENGTH);
		key = key_decode(id, value);
	}
	json_decref(value);
	if (key != NULL && is_forgotten(key, os.realtime_ms())) {
		forget_later(l, id);
		key_free(key);
		return 0;
	}
	if (key != NULL && key->number == KEY_NUMBER_NONE) {
		key->number = 0;
		/* It is stored so with the next times of use. */
		key->last_stored_ms = -1;
		l->uncounted++;
	}
	if (key == NULL || key_publish_early(key) != ATOM_OK) {
		l->damaged++;
		key_free(key);
	}
	return 0;
}

static void forget(struct loading *l)
{
	struct atom_error err = ATOM_ERROR_INIT;

	for (size_t i = 0; i < l->forgotten_count; i++)
		(void)state_write_behind(KEYS_BUCKET,
					 state_text(l->forgotten[i]),
					 (struct atom_span){ NULL, 0 }, &err);
	if (l->forgotten_count > 0)
		log_line(ATOM_LOG_INFO, "keys_forgotten",
			 "API keys that ended over 90 days ago are gone",
			 LOG_NUMBER("count", l->forgotten_count));
	mem_free(l->forgotten);
}

/* They are sorted. */
static void tell_uncounted(size_t count)
{
	char text[ATOM_ERROR_MESSAGE_MAX];

	for (const struct key *k = keys_first(); k != NULL; k = k->next)
		count += k->number != 0 && k->next != NULL &&
			 k->next->number == k->number;
	if (count == 0)
		return;
	(void)snprintf(text, sizeof(text),
		       "%zu records of API keys have no number by which keys "
		       "are listed, or another key's; those keys are good, and "
		       "listed by the time of their making",
		       count);
	log_line(ATOM_LOG_WARN, "keys_uncounted", text);
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

static void set_unknown(const char *why)
{
	unknown = true;
	(void)snprintf(load_fault, sizeof(load_fault),
		       "API keys cannot be checked, for the store failed at "
		       "the start: %.380s",
		       why);
}

/* Stored keys are out of reach; peers, tokens and the bootstrap key still
 * work. */
static atom_status without_keys(struct atom_error *err)
{
	uint8_t bytes[SECRET_PEPPER_BYTES];
	atom_status status;

	set_unknown(err->message);
	if (os.random(bytes, sizeof(bytes)) != 0)
		return atom_fail(err, ATOM_EIO, "no random bytes to be had");
	status = secret_set_pepper(bytes, err);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	return status;
}

atom_status keys_load(struct atom_error *err)
{
	uint8_t bytes[SECRET_PEPPER_BYTES];
	struct loading l = { 0 };
	atom_status status = pepper(bytes, err);

	load_fault[0] = '\0';
	unknown = false;
	if (status != ATOM_OK)
		return without_keys(err);
	status = secret_set_pepper(bytes, err);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	if (status == ATOM_OK)
		status = state_scan_now(KEYS_BUCKET,
					(struct atom_span){ NULL, 0 }, load_one,
					&l, err);
	if (status == ATOM_OK)
		status = keys_sort();
	if (status != ATOM_OK && status != ATOM_ENOENT)
		set_unknown(err->message);
	forget(&l);
	tell_uncounted(l.uncounted);
	if (l.damaged > 0 && !unknown) {
		(void)snprintf(load_fault, sizeof(load_fault),
			       "%zu records of API keys could not be read; "
			       "those keys are refused",
			       l.damaged);
		log_line(ATOM_LOG_ERROR, "keys_damaged", load_fault);
	}
	last_used_timer.fire = on_last_used;
	(void)timer_set(loop_control(), &last_used_timer, LAST_USED_MS);
	return ATOM_OK;
}

atom_status keys_known(struct atom_error *err)
{
	if (!unknown)
		return ATOM_OK;
	(void)atom_fail(err, ATOM_EUNAVAILABLE, "%s", load_fault);
	if (err != NULL)
		err->retry_after_ms = UNKNOWN_RETRY_MS;
	return ATOM_EUNAVAILABLE;
}

void keys_check_roles(void)
{
	int64_t now_ms = os.realtime_ms();
	char fault[ATOM_ERROR_MESSAGE_MAX];
	const struct key *first = NULL;
	size_t count = 0;

	for (const struct key *k = keys_first(); k != NULL; k = k->next) {
		if (!key_in_force(k, now_ms) || role_exists(k->role))
			continue;
		first = k;
		count++;
	}
	if (count > 0) {
		(void)snprintf(fault, sizeof(fault),
			       "%zu API keys may do nothing: their role is not "
			       "in security.roles; the first is %s, role '%s'",
			       count, first->id, first->role);
		log_line(ATOM_LOG_WARN, "role_missing", fault);
	}
	if (load_fault[0] != '\0')
		health_report("security", HEALTH_DEGRADED, false, load_fault);
	else if (count > 0)
		health_report("security", HEALTH_DEGRADED, false, fault);
	else
		health_report("security", HEALTH_OK, false, NULL);
}

void keys_fini(void)
{
	timer_stop(&last_used_timer);
	last_used_at = NULL;
	keys_free();
}
