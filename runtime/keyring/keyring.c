/* SPDX-License-Identifier: Apache-2.0 */
#include "keyring/keyring_priv.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "core/os.h"
#include "keyring/locked.h"

_Static_assert(LOCKED_BYTES == KEYRING_KEY_BYTES, "a slot holds one key");
_Static_assert(LOCKED_COUNT > 2 * KEYRING_VERSIONS_MAX,
	       "a keyring and one that takes its place");

/* --- versions in memory -------------------------------------------------- */

struct version *keyring_find(const struct keyring *keyring, uint32_t number)
{
	for (struct version *v = keyring->versions; v; v = v->next)
		if (v->number == number)
			return v->key ? v : NULL;
	return NULL;
}

void keyring_version_free(struct version **version)
{
	struct version *v = TAKE(*version);

	if (!v)
		return;
	locked_free(&v->key);
	mem_free(v);
}

atom_status keyring_version_new(const struct keyring *keyring,
				const struct image *image,
				const struct image_version *from,
				const uint8_t kek[KEYRING_KEY_BYTES],
				struct version **version_r,
				struct atom_error *err)
{
	struct version *v = mem_zalloc(sizeof(*v));
	atom_status status = ATOM_ENOMEM;

	if (v)
		v->key = locked_new();
	if (!v || !v->key) {
		(void)atom_fail(err, status, "no memory for a data key");
		goto out;
	}
	status = image_unwrap(image, kek, from->wrapped, v->key);
	if (status != ATOM_OK) {
		(void)atom_fail(err, status,
				"%s: version %" PRIu32 " does not unwrap: the "
				"file is damaged",
				keyring->path, from->number);
		goto out;
	}
	v->number = from->number;
	atomic_init(&v->used, from->messages);
	atomic_init(&v->reserved, from->messages);
	atomic_init(&v->for_components,
		    (from->flags & IMAGE_FOR_COMPONENTS) != 0);
	*version_r = TAKE(v);
out:
	keyring_version_free(&v);
	return status;
}

void keyring_version_add(struct keyring *keyring, struct version *version)
{
	version->next = keyring->versions;
	keyring->versions = version;
	atomic_store_explicit(&keyring->current, version, memory_order_release);
}

/* --- life ---------------------------------------------------------------- */

struct keyring *keyring_new(const char *path, bool read_only)
{
	static _Atomic uint64_t serials;
	struct keyring *keyring = mem_zalloc(sizeof(*keyring));

	if (!keyring)
		return NULL;
	keyring->serial = 1 + atomic_fetch_add(&serials, 1);
	keyring->read_only = read_only;
	(void)pthread_mutex_init(&keyring->file_lock, NULL);
	(void)pthread_mutex_init(&keyring->lock, NULL);
	keyring->path = mem_strdup(path);
	if (!keyring->path)
		keyring_free(&keyring);
	return keyring;
}

void keyring_free(struct keyring **keyring)
{
	struct keyring *k = TAKE(*keyring);
	struct version *v;

	if (!k)
		return;
	seal_forget();
	while ((v = k->versions)) {
		k->versions = v->next;
		keyring_version_free(&v);
	}
	locked_free(&k->kek);
	(void)pthread_mutex_destroy(&k->file_lock);
	(void)pthread_mutex_destroy(&k->lock);
	mem_free(k->path);
	mem_free(k);
}

atom_status keyring_unwrap(struct keyring *keyring,
			   const uint8_t kek[KEYRING_KEY_BYTES],
			   struct atom_error *err)
{
	const struct image *image = &keyring->image;
	atom_status status = ATOM_OK;

	for (uint32_t i = 0; status == ATOM_OK && i < image->count; i++) {
		struct version *v = NULL;

		status = keyring_version_new(keyring, image,
					     &image->versions[i], kek, &v, err);
		if (status == ATOM_OK)
			keyring_version_add(keyring, v);
	}
	atomic_store(&keyring->state_sealed,
		     (image->flags & IMAGE_STATE_SEALED) != 0);
	return status;
}

atom_status keyring_open_file(const char *path,
			      const uint8_t kek[KEYRING_KEY_BYTES],
			      struct keyring **keyring_r,
			      struct atom_error *err)
{
	struct keyring *keyring = keyring_new(path, true);
	atom_status status;

	if (!keyring)
		return atom_fail(err, ATOM_ENOMEM, "no memory for a keyring");
	status = image_read(path, kek, &keyring->image, err);
	if (status == ATOM_OK)
		status = keyring_unwrap(keyring, kek, err);
	if (status == ATOM_OK)
		*keyring_r = TAKE(keyring);
	keyring_free(&keyring);
	return status;
}

/* --- keys ---------------------------------------------------------------- */

void keyring_purpose(const char *component, const char *agent,
		     char purpose_r[KEYRING_PURPOSE_MAX])
{
	/* No name of a kind, a component or an agent holds a colon. */
	(void)snprintf(purpose_r, KEYRING_PURPOSE_MAX, "component:%s:%s",
		       component, agent);
}

atom_status keyring_derive(struct keyring *keyring, uint32_t number,
			   const char *purpose,
			   uint8_t key_r[KEYRING_KEY_BYTES],
			   struct atom_error *err)
{
	static const char label[] = "atomd seal/1 ";
	char text[sizeof(label) + KEYRING_PURPOSE_MAX];
	const struct atom_span salt = { (const char *)keyring->image.id,
					KEYRING_ID_BYTES };
	struct atom_span info = { text, 0 };
	struct version *version;
	atom_status status;

	info.length =
		(size_t)snprintf(text, sizeof(text), "%s%s", label, purpose);
	(void)pthread_mutex_lock(&keyring->lock);
	version = keyring_find(keyring, number);
	if (version) {
		const struct atom_span key = { (const char *)version->key,
					       KEYRING_KEY_BYTES };

		status = cipher_hkdf(&key, &salt, &info, key_r,
				     KEYRING_KEY_BYTES);
		if (status != ATOM_OK)
			(void)atom_fail(err, status, "OpenSSL offers no HKDF");
	} else {
		status = atom_fail(err, ATOM_EDATALOSS,
				   "it was sealed under key version %" PRIu32
				   ", which %s does not hold: restore that "
				   "file from a backup",
				   number, keyring->path);
	}
	(void)pthread_mutex_unlock(&keyring->lock);
	return status;
}
