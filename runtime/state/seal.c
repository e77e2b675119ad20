/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encryption at rest: values are sealed by the writer on their way to the
 * store and opened on their way back, so that neither loops pay for it nor
 * those who wait in memory are touched.  What identifies a record, its bucket
 * and key, is authenticated with it: no value can take another's place.
 */
#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>

#include "core/health.h"
#include "core/log.h"
#include "core/memory.h"
#include "keyring/keyring.h"
#include "state/state_priv.h"

#define PURPOSE	       "state"
#define IDENTITY_BYTES (ATOM_STORE_BUCKET_MAX + 1 + ATOM_STORE_KEY_MAX)
#define SHOWN_BYTES    96

static struct keyring *_Atomic keyring;

void state_use_keyring(struct keyring *used)
{
	atomic_store(&keyring, used);
}

struct keyring *seal_keyring(void)
{
	return atomic_load_explicit(&keyring, memory_order_acquire);
}

bool seal_is_plain(const char *bucket)
{
	return strcmp(bucket, STATE_PLAIN_BUCKET) == 0;
}

/* "bucket\0key" */
static struct atom_span identity_of(const char *bucket, struct atom_span key,
				    char out[IDENTITY_BYTES])
{
	size_t length = strlen(bucket) + 1;

	memcpy(out, bucket, length);
	memcpy(out + length, key.bytes, key.length);
	return (struct atom_span){ out, length + key.length };
}

/* --- to the store -------------------------------------------------------- */

/* A transaction as the store gets it: the same writes, their values sealed.
 * The caller's own stays as it is, for it is read while it is written. */
struct sealed {
	struct atom_store_transaction store;
	struct atom_store_write writes[];
};

static size_t room_of(const struct state_transaction *t)
{
	size_t room = sizeof(struct sealed);

	for (size_t i = 0; i < t->store.write_count; i++)
		room += sizeof(struct atom_store_write) + KEYRING_OVERHEAD +
			transaction_write(t, i)->value.length;
	return room;
}

static atom_status seal_write(struct keyring *used,
			      struct atom_store_write *write, char *out,
			      struct atom_error *err)
{
	char bytes[IDENTITY_BYTES];
	const struct atom_span identity =
		identity_of(write->bucket, write->key, bytes);
	size_t length = 0;
	atom_status status;

	status = keyring_seal(used, PURPOSE, &identity, &write->value, out,
			      &length, err);
	write->value = (struct atom_span){ out, length };
	return status;
}

static atom_status seal_one(struct keyring *used,
			    const struct state_transaction *t,
			    struct sealed **sealed_r, struct atom_error *err)
{
	size_t count = t->store.write_count;
	struct sealed *s = mem_alloc(room_of(t));
	atom_status status = ATOM_OK;
	char *at;

	if (!s)
		return atom_fail(err, ATOM_ENOMEM,
				 "no memory to encrypt what is to be stored");
	s->store = t->store;
	s->store.writes = s->writes;
	at = (char *)&s->writes[count];
	for (size_t i = 0; status == ATOM_OK && i < count; i++) {
		struct atom_store_write *write = &s->writes[i];

		*write = *transaction_write(t, i);
		if (write->remove || seal_is_plain(write->bucket))
			continue;
		status = seal_write(used, write, at, err);
		at += write->value.length;
	}
	if (status == ATOM_OK)
		*sealed_r = s;
	else
		mem_free(s);
	return status;
}

atom_status seal_batch(struct state_transaction **batch, size_t count,
		       struct atom_store_transaction **stored,
		       struct atom_error *err)
{
	struct keyring *used = seal_keyring();

	for (size_t i = 0; i < count; i++) {
		struct sealed *s = NULL;
		atom_status status;

		stored[i] = &batch[i]->store;
		if (!used)
			continue;
		status = seal_one(used, batch[i], &s, err);
		if (status != ATOM_OK) {
			seal_batch_end(batch, i, stored);
			return status;
		}
		stored[i] = &s->store;
	}
	return ATOM_OK;
}

void seal_batch_end(struct state_transaction **batch, size_t count,
		    struct atom_store_transaction **stored)
{
	for (size_t i = 0; i < count; i++) {
		struct state_transaction *t = batch[i];
		struct sealed *s;

		if (stored[i] == &t->store)
			continue;
		s = CONTAINER_OF(stored[i], struct sealed, store);
		t->store.status_r = s->store.status_r;
		t->store.conflict_r = s->store.conflict_r;
		for (size_t w = 0; w < t->store.write_count; w++)
			transaction_write(t, w)->version_r =
				s->writes[w].version_r;
		mem_free(s);
	}
}

/* --- from the store ------------------------------------------------------ */

/* A key as people may read it. */
static const char *shown(struct atom_span key, char out[SHOWN_BYTES])
{
	size_t length = key.length < SHOWN_BYTES ? key.length : SHOWN_BYTES - 1;

	for (size_t i = 0; i < length; i++)
		out[i] = isgraph((unsigned char)key.bytes[i]) ? key.bytes[i]
							      : '/';
	out[length] = '\0';
	return out;
}

static atom_status damaged(const char *bucket, struct atom_span key,
			   const char *why, struct atom_error *err)
{
	struct atom_error own = ATOM_ERROR_INIT;
	char name[SHOWN_BYTES];

	(void)atom_fail(&own, ATOM_EDATALOSS,
			"the record %s of bucket %s is refused: %s",
			shown(key, name), bucket, why);
	metrics_damaged();
	health_report("encryption", HEALTH_DEGRADED, false, own.message);
	return atom_fail(err, ATOM_EDATALOSS, "%s", own.message);
}

atom_status seal_open(const char *bucket, struct atom_span key,
		      struct atom_span value, char *out, size_t *length_r,
		      struct atom_error *err)
{
	struct keyring *used = seal_keyring();
	struct atom_error why = ATOM_ERROR_INIT;
	char bytes[IDENTITY_BYTES];
	struct atom_span identity;
	atom_status status;

	if (!used || seal_is_plain(bucket) || keyring_version_of(&value) == 0) {
		if (used && !seal_is_plain(bucket) &&
		    keyring_state_sealed(used))
			return damaged(bucket, key,
				       "it is not encrypted as all records "
				       "are, so it is not this daemon's",
				       err);
		if (value.length > 0)
			memcpy(out, value.bytes, value.length);
		*length_r = value.length;
		return ATOM_OK;
	}
	identity = identity_of(bucket, key, bytes);
	status = keyring_unseal(used, PURPOSE, &identity, &value, out, length_r,
				&why);
	if (status == ATOM_EDATALOSS)
		return damaged(bucket, key, why.message, err);
	return status == ATOM_OK ? ATOM_OK
				 : atom_fail(err, status, "%s", why.message);
}
