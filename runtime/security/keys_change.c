/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/log.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/qsbr.h"
#include "core/text.h"
#include "security/keys_priv.h"
#include "security/principal.h"
#include "security/role.h"

/*
 * What changes of a key once it is made.
 *
 *	        rotate                    grace over, or rotate with grace 0
 *	one secret ──► two secrets ──► one secret
 *	    │              │
 *	    └── revoke ────┴──► revoked (for good)
 *
 * A rotation acts when the store has it: a secret that was shown is never
 * lost.  A revocation acts first and is stored after.
 */

static atom_status no_such(const char *id, struct atom_error *err)
{
	if (keys_known(err) != ATOM_OK)
		return ATOM_EUNAVAILABLE;
	return atom_fail(err, ATOM_ENOENT, "there is no key with the id '%s'",
			 id);
}

/* --- rotate ------------------------------------------------------------------ */

struct rotation {
	struct key *key;
	struct key_secrets *next;
	char text[KEY_TEXT_MAX];
	void (*done)(void *argument, atom_status status, json_t *row,
		     const struct atom_error *err);
	void *argument;
};

static atom_status may_rotate(const struct key *key,
			      const struct key_rotation *request,
			      int64_t now_ms, struct atom_error *err)
{
	const struct key_secrets *s = atomic_load(&key->secrets);
	char until[TEXT_TIME_MAX];

	if ((role_permissions(key->role) & ~request->allowed) != 0)
		return atom_fail(err, ATOM_EPERM,
				 "the role '%s' of this key may do more than "
				 "you; nobody hands out what they do not have",
				 key->role);
	if (!key_in_force(key, now_ms))
		return atom_fail(
			err, ATOM_ECONFLICT, "this key is %s; make a new one",
			atomic_load(&key->revoked) ? "revoked" : "expired");
	if (key->changing)
		return atom_fail(err, ATOM_ECONFLICT,
				 "this key is being rotated just now");
	if (request->grace_ms > 0 && now_ms < s->old_ends_ms) {
		text_of_time(s->old_ends_ms, until);
		return atom_fail(err, ATOM_ECONFLICT,
				 "two secrets of this key are good already, "
				 "the older one until %s; wait for that, or "
				 "rotate with a grace of 0, which ends both",
				 until);
	}
	return ATOM_OK;
}

static struct key_secrets *next_secrets(const struct key *key, int64_t grace_ms,
					int64_t now_ms)
{
	const struct key_secrets *s = atomic_load(&key->secrets);
	struct key_secrets *next = mem_zalloc(sizeof(*next));

	if (next == NULL)
		return NULL;
	memcpy(next->old_hash, s->hash, sizeof(next->old_hash));
	next->old_ends_ms = now_ms + grace_ms;
	next->rotated_ms = now_ms;
	atomic_init(&next->old_used_ms, atomic_load(&key->last_used_ms));
	return next;
}

static void rotation_free(struct rotation *r)
{
	if (r == NULL)
		return;
	key_secrets_free(r->next);
	mem_wipe_free(r, sizeof(*r));
}

static void on_rotated(void *argument, atom_status status,
		       const struct state_transaction *transaction,
		       const struct atom_error *error)
{
	struct rotation *r = argument;
	struct key *key = r->key;
	struct atom_error gone = ATOM_ERROR_INIT;
	json_t *row = NULL;

	(void)transaction;
	key->changing = false;
	/* What a failed store has kept of it nobody knows: the old again. */
	if (status != ATOM_OK)
		(void)key_store_soon(key);
	if (status == ATOM_OK && atomic_load(&key->revoked)) {
		status = atom_fail(&gone, ATOM_ECONFLICT,
				   "this key was revoked meanwhile");
		error = &gone;
	}
	if (status == ATOM_OK) {
		qsbr_retire(key_secrets_free,
			    atomic_exchange(&key->secrets, TAKE(r->next)));
		row = key_row(key);
		json_object_set_new(row, "key", json_string(r->text));
		log_line(ATOM_LOG_INFO, "key_rotated",
			 "an API key has a new secret",
			 LOG_TEXT("key", key->id));
	}
	r->done(r->argument, status, row, error);
	json_decref(row);
	rotation_free(r);
}

/* The rotation, made but not yet under way. */
static atom_status begin(struct key *key, const struct key_rotation *request,
			 struct rotation **rotation_r, struct atom_error *err)
{
	int64_t now_ms = os.realtime_ms();
	atom_status status = may_rotate(key, request, now_ms, err);
	struct rotation *r;

	if (status != ATOM_OK)
		return status;
	r = mem_zalloc(sizeof(*r));
	if (r == NULL)
		return atom_fail(err, ATOM_ENOMEM, "no memory for a key");
	r->key = key;
	r->next = next_secrets(key, request->grace_ms, now_ms);
	status = r->next != NULL
			 ? secret_renew(key->id, r->text, err)
			 : atom_fail(err, ATOM_ENOMEM, "no memory for a key");
	if (status == ATOM_OK &&
	    secret_hash(r->text, strlen(r->text), r->next->hash) != ATOM_OK)
		status = atom_fail(err, ATOM_ENOMEM, "no memory for a key");
	if (status == ATOM_OK)
		*rotation_r = r;
	else
		rotation_free(r);
	return status;
}

void keys_rotate(const char *id, const struct key_rotation *request,
		 void (*done)(void *argument, atom_status status, json_t *row,
			      const struct atom_error *err),
		 void *argument)
{
	struct key *key = key_find(id);
	struct state_transaction *t = NULL;
	struct rotation *r = NULL;
	struct atom_error err = ATOM_ERROR_INIT;
	atom_status status;

	if (key != NULL)
		status = begin(key, request, &r, &err);
	else
		status = no_such(id, &err);
	if (status == ATOM_OK)
		status = key_write(key, r->next, &t, &err);
	if (status == ATOM_OK) {
		r->done = done;
		r->argument = argument;
		status = state_commit(&t, on_rotated, r, &err);
	}
	if (status == ATOM_OK) {
		key->changing = true;
		return;
	}
	state_transaction_free(&t);
	rotation_free(r);
	done(argument, status, NULL, &err);
}

/* --- revoke -------------------------------------------------------------------- */

/* Good now, for every agent, with every permission. */
static bool is_admin(const struct key *key, int64_t now_ms)
{
	return key->agents == NULL && key_in_force(key, now_ms) &&
	       role_permissions(key->role) == role_permissions("admin");
}

bool keys_have_admin(const struct key *but)
{
	int64_t now_ms = os.realtime_ms();

	for (const struct key *k = keys_first(); k != NULL; k = k->next)
		if (k != but && is_admin(k, now_ms))
			return true;
	return false;
}

struct revocation {
	struct key *key;
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
	/* Or a restart would bring it back: as soon as the store can. */
	if (status != ATOM_OK)
		(void)key_store_soon(r->key);
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
		status = no_such(id, &err);
		done(argument, status, &err);
		return;
	}
	if (is_admin(key, os.realtime_ms()) && !security_has_admin(key)) {
		status = atom_fail(&err, ATOM_ECONFLICT,
				   "this is the last key with the role admin, "
				   "and without it nobody could administer "
				   "this daemon; make another one first, or "
				   "give it a listener with `admin = true`, a "
				   "bootstrap_admin_key, or a token or client "
				   "certificate with the role admin");
		done(argument, status, &err);
		return;
	}
	/* What makes things safer acts first and is stored after. */
	if (!atomic_exchange(&key->revoked, true))
		key->revoked_ms = os.realtime_ms();
	log_line(ATOM_LOG_INFO, "key_revoked", "an API key was revoked",
		 LOG_TEXT("key", key->id));
	r = mem_zalloc(sizeof(*r));
	status = r != NULL
			 ? key_write(key, atomic_load(&key->secrets), &t, &err)
			 : atom_fail(&err, ATOM_ENOMEM, "no memory");
	if (status == ATOM_OK) {
		r->key = key;
		r->done = done;
		r->argument = argument;
		status = state_commit(&t, on_revoked, r, &err);
	}
	if (status == ATOM_OK)
		return;
	(void)key_store_soon(key);
	state_transaction_free(&t);
	mem_free(r);
	done(argument, status, &err);
}
