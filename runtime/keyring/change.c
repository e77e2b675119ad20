/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A keyring that changes: each change is made on a copy of what the file says,
 * written, and only then in force.
 */
#include <inttypes.h>
#include <openssl/crypto.h>
#include <string.h>

#include "core/memory.h"
#include "core/os.h"
#include "core/text.h"
#include "keyring/keyring_priv.h"
#include "keyring/locked.h"

uint64_t keyring_messages_max = UINT64_C(1) << 32;
uint64_t keyring_messages_rotate = UINT64_C(1) << 31;
uint64_t keyring_messages_block = UINT64_C(1) << 22;

/* --- a change ------------------------------------------------------------ */

/* The copy to be changed; file_lock is held until end_change(). */
static struct image *begin_change(struct keyring *keyring,
				  struct atom_error *err)
{
	struct image *next = mem_alloc(sizeof(*next));

	if (!next) {
		(void)atom_fail(err, ATOM_ENOMEM, "no memory for a keyring");
		return NULL;
	}
	(void)pthread_mutex_lock(&keyring->file_lock);
	*next = keyring->image;
	next->generation++;
	return next;
}

/* Writes it; ATOM_OK: it is durable and what the keyring says. */
static atom_status write_change(struct keyring *keyring,
				const struct image *next, const uint8_t *kek,
				struct atom_error *err)
{
	atom_status status = image_write(keyring->path, kek, next, err);

	if (status != ATOM_OK)
		return status;
	(void)pthread_mutex_lock(&keyring->lock);
	keyring->image = *next;
	(void)pthread_mutex_unlock(&keyring->lock);
	return ATOM_OK;
}

static void end_change(struct keyring *keyring, struct image **next)
{
	(void)pthread_mutex_unlock(&keyring->file_lock);
	mem_free(TAKE(*next));
}

static struct image_version *in_image(struct image *image, uint32_t number)
{
	for (uint32_t i = 0; i < image->count; i++)
		if (image->versions[i].number == number)
			return &image->versions[i];
	return NULL;
}

static struct image_version *newest_of(struct image *image)
{
	return &image->versions[image->count - 1];
}

/* A random data key as the image's next version. */
static atom_status draw_version(struct image *image, const uint8_t *kek,
				struct atom_error *err)
{
	struct image_version *v = &image->versions[image->count];
	uint8_t *key = locked_new();
	atom_status status;

	if (!key)
		return atom_fail(err, ATOM_ENOMEM, "no memory for a data key");
	*v = (struct image_version){
		.number = image->count ? newest_of(image)->number + 1 : 1,
		.flags = image->count ? newest_of(image)->flags &
						IMAGE_FOR_COMPONENTS
				      : 0,
		.created_ms = os.realtime_ms(),
		.messages = keyring_messages_block,
	};
	if (os.random(key, KEYRING_KEY_BYTES) != 0)
		status = atom_fail(err, ATOM_EIO, "no random bytes to be had");
	else
		status = image_wrap(image, kek, key, v->wrapped);
	if (status == ATOM_OK)
		image->count++;
	else if (status == ATOM_EINTERNAL)
		(void)atom_fail(err, status, "OpenSSL cannot wrap a key");
	locked_free(&key);
	return status;
}

/* --- life ---------------------------------------------------------------- */

static atom_status keep_kek(struct keyring *keyring, const uint8_t *kek,
			    struct atom_error *err)
{
	if (!keyring->kek)
		keyring->kek = locked_new();
	if (!keyring->kek)
		return atom_fail(err, ATOM_ENOMEM, "no memory for a key");
	memcpy(keyring->kek, kek, KEYRING_KEY_BYTES);
	return ATOM_OK;
}

/* All data keys of the image under another KEK. */
static atom_status wrap_anew(struct keyring *keyring, struct image *image,
			     const uint8_t *from, const uint8_t *to,
			     struct atom_error *err)
{
	uint8_t *key = locked_new();
	atom_status status = key ? ATOM_OK : ATOM_ENOMEM;

	for (uint32_t i = 0; status == ATOM_OK && i < image->count; i++) {
		uint8_t *wrapped = image->versions[i].wrapped;

		status = image_unwrap(image, from, wrapped, key);
		if (status == ATOM_OK)
			status = image_wrap(image, to, key, wrapped);
	}
	locked_free(&key);
	if (status != ATOM_OK)
		(void)atom_fail(err, status,
				"the data keys of %s cannot be wrapped anew",
				keyring->path);
	return status;
}

/* What every opened keyring does first: note that more will be sealed, and
 * under which KEK. */
static atom_status take_up(struct keyring *keyring, const uint8_t *kek,
			   const uint8_t *found_under, struct atom_error *err)
{
	struct image *next = begin_change(keyring, err);
	struct version *current = atomic_load(&keyring->current);
	atom_status status = keep_kek(keyring, kek, err);

	if (!next)
		return ATOM_ENOMEM;
	newest_of(next)->messages += keyring_messages_block;
	if (status == ATOM_OK && found_under != kek)
		status = wrap_anew(keyring, next, found_under, kek, err);
	if (status == ATOM_OK)
		status = write_change(keyring, next, kek, err);
	if (status == ATOM_OK)
		atomic_store(&current->reserved, newest_of(next)->messages);
	end_change(keyring, &next);
	return status;
}

static atom_status match_id(const struct keyring *keyring, const char *id,
			    struct atom_error *err)
{
	char own[2 * KEYRING_ID_BYTES + 1];

	text_to_hex(keyring->image.id, KEYRING_ID_BYTES, own);
	if (*id == '\0' || strcmp(own, id) == 0)
		return ATOM_OK;
	return atom_fail(err, ATOM_EDATALOSS,
			 "%s is the keyring %s, but what is stored was sealed "
			 "by %s: restore the two from the same backup",
			 keyring->path, own, id);
}

atom_status keyring_open(const char *path, const char *id,
			 const uint8_t kek[KEYRING_KEY_BYTES],
			 const uint8_t previous[KEYRING_KEY_BYTES],
			 struct keyring **keyring_r, struct atom_error *err)
{
	struct keyring *keyring = keyring_new(path, false);
	struct atom_error other = ATOM_ERROR_INIT;
	const uint8_t *under = kek;
	atom_status status;

	if (!keyring)
		return atom_fail(err, ATOM_ENOMEM, "no memory for a keyring");
	status = image_read(path, kek, &keyring->image, err);
	if (status == ATOM_EPERM && previous &&
	    image_read(path, previous, &keyring->image, &other) == ATOM_OK) {
		under = previous;
		status = ATOM_OK;
	}
	if (status == ATOM_OK)
		status = match_id(keyring, id, err);
	if (status == ATOM_OK)
		status = keyring_unwrap(keyring, under, err);
	if (status == ATOM_OK)
		status = take_up(keyring, kek, under, err);
	if (status == ATOM_OK)
		*keyring_r = TAKE(keyring);
	keyring_free(&keyring);
	return status;
}

atom_status keyring_create(const char *path,
			   const uint8_t kek[KEYRING_KEY_BYTES], bool sealed,
			   struct keyring **keyring_r, struct atom_error *err)
{
	struct keyring *keyring = keyring_new(path, false);
	struct image *image = keyring ? &keyring->image : NULL;
	atom_status status;

	if (!keyring)
		return atom_fail(err, ATOM_ENOMEM, "no memory for a keyring");
	status = keep_kek(keyring, kek, err);
	if (status != ATOM_OK)
		goto out;
	image->generation = 1;
	image->flags = sealed ? IMAGE_STATE_SEALED : 0;
	if (os.random(image->id, sizeof(image->id)) != 0) {
		status = atom_fail(err, ATOM_EIO, "no random bytes to be had");
		goto out;
	}
	status = draw_version(image, kek, err);
	if (status == ATOM_OK)
		status = image_write(path, kek, image, err);
	if (status == ATOM_OK)
		status = keyring_unwrap(keyring, kek, err);
	if (status == ATOM_OK) {
		atomic_store(&keyring->versions->used, 0);
		*keyring_r = TAKE(keyring);
	}
out:
	keyring_free(&keyring);
	return status;
}

atom_status keyring_close(struct keyring *keyring, struct atom_error *err)
{
	struct image *next = begin_change(keyring, err);
	struct version *current = atomic_load(&keyring->current);
	atom_status status;

	if (!next)
		return ATOM_ENOMEM;
	newest_of(next)->messages = atomic_load(&current->used);
	status = write_change(keyring, next, keyring->kek, err);
	/* What is sealed after all has to be noted again. */
	if (status == ATOM_OK)
		atomic_store(&current->reserved, newest_of(next)->messages);
	end_change(keyring, &next);
	return status;
}

/* --- counting ------------------------------------------------------------ */

atom_status keyring_reserve(struct keyring *keyring, struct version *version,
			    struct atom_error *err)
{
	struct image *next = begin_change(keyring, err);
	struct image_version *v;
	uint64_t used = atomic_load(&version->used);
	atom_status status = ATOM_OK;

	if (!next)
		return ATOM_ENOMEM;
	/* Another thread was first. */
	if (used + keyring_messages_block / 2 <=
	    atomic_load(&version->reserved))
		goto out;
	v = in_image(next, version->number);
	if (!v || used >= keyring_messages_max) {
		status = atom_fail(err, ATOM_ELIMIT,
				   "key version %" PRIu32 " has sealed %" PRIu64
				   " texts, the most that is safe (NIST SP "
				   "800-38D): rotate",
				   version->number, used);
		goto out;
	}
	v->messages = used + keyring_messages_block;
	if (v->messages > keyring_messages_max)
		v->messages = keyring_messages_max;
	status = write_change(keyring, next, keyring->kek, err);
	if (status == ATOM_OK)
		atomic_store_explicit(&version->reserved, v->messages,
				      memory_order_release);
out:
	end_change(keyring, &next);
	return status;
}

bool keyring_needs_care(const struct keyring *keyring)
{
	const struct version *v = atomic_load(&keyring->current);
	uint64_t used = atomic_load(&v->used);

	return used >= keyring_messages_rotate ||
	       used + keyring_messages_block / 2 > atomic_load(&v->reserved);
}

atom_status keyring_care(struct keyring *keyring, bool *rotated_r,
			 struct atom_error *err)
{
	struct version *v = atomic_load(&keyring->current);
	uint32_t number;

	*rotated_r = atomic_load(&v->used) >= keyring_messages_rotate;
	if (*rotated_r)
		return keyring_rotate(keyring, &number, err);
	return keyring_reserve(keyring, v, err);
}

/* --- versions ------------------------------------------------------------ */

atom_status keyring_rotate(struct keyring *keyring, uint32_t *version_r,
			   struct atom_error *err)
{
	struct image *next = begin_change(keyring, err);
	struct version *v = NULL;
	atom_status status;

	if (!next)
		return ATOM_ENOMEM;
	if (next->count == KEYRING_VERSIONS_MAX) {
		status = atom_fail(err, ATOM_ELIMIT,
				   "%s holds %d versions, the most there may "
				   "be: rewrap, and retire old ones (atomctl "
				   "keyring rewrap --retire N)",
				   keyring->path, KEYRING_VERSIONS_MAX);
		goto out;
	}
	status = draw_version(next, keyring->kek, err);
	if (status == ATOM_OK)
		status = keyring_version_new(keyring, next, newest_of(next),
					     keyring->kek, &v, err);
	if (status == ATOM_OK)
		status = write_change(keyring, next, keyring->kek, err);
	if (status != ATOM_OK)
		goto out;
	atomic_store(&v->used, 0);
	*version_r = v->number;
	(void)pthread_mutex_lock(&keyring->lock);
	keyring_version_add(keyring, TAKE(v));
	(void)pthread_mutex_unlock(&keyring->lock);
out:
	keyring_version_free(&v);
	end_change(keyring, &next);
	return status;
}

atom_status keyring_set_kek(struct keyring *keyring,
			    const uint8_t kek[KEYRING_KEY_BYTES],
			    struct atom_error *err)
{
	struct image *next = begin_change(keyring, err);
	atom_status status = ATOM_OK;

	if (!next)
		return ATOM_ENOMEM;
	if (CRYPTO_memcmp(kek, keyring->kek, KEYRING_KEY_BYTES) == 0)
		goto out;
	status = wrap_anew(keyring, next, keyring->kek, kek, err);
	if (status == ATOM_OK)
		status = write_change(keyring, next, kek, err);
	if (status == ATOM_OK)
		status = keep_kek(keyring, kek, err);
out:
	end_change(keyring, &next);
	return status;
}

atom_status keyring_note_component(struct keyring *keyring,
				   struct atom_error *err)
{
	struct version *v =
		atomic_load_explicit(&keyring->current, memory_order_acquire);
	struct image_version *noted;
	struct image *next;
	atom_status status = ATOM_OK;

	if (atomic_load_explicit(&v->for_components, memory_order_acquire))
		return ATOM_OK;
	next = begin_change(keyring, err);
	if (!next)
		return ATOM_ENOMEM;
	/* All versions: another may have come into force meanwhile. */
	v = atomic_load(&keyring->current);
	noted = in_image(next, v->number);
	if (!(noted->flags & IMAGE_FOR_COMPONENTS)) {
		noted->flags |= IMAGE_FOR_COMPONENTS;
		status = write_change(keyring, next, keyring->kek, err);
	}
	if (status == ATOM_OK)
		atomic_store(&v->for_components, true);
	end_change(keyring, &next);
	return status;
}

/* --- rewrap and retirement ----------------------------------------------- */

atom_status keyring_begin_rewrap(struct keyring *keyring, uint32_t *version_r,
				 struct atom_error *err)
{
	struct image *next = begin_change(keyring, err);
	atom_status status;

	if (!next)
		return ATOM_ENOMEM;
	next->rewrap = newest_of(next)->number;
	*version_r = next->rewrap;
	status = write_change(keyring, next, keyring->kek, err);
	end_change(keyring, &next);
	return status;
}

static bool is_among(uint32_t number, const uint32_t *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == number)
			return true;
	return false;
}

/* [file_lock held] The keys of what the image no longer holds. */
static void forget_retired(struct keyring *keyring)
{
	(void)pthread_mutex_lock(&keyring->lock);
	for (struct version *v = keyring->versions; v; v = v->next)
		if (v->key && !in_image(&keyring->image, v->number))
			locked_free(&v->key);
	atomic_fetch_add_explicit(&keyring->retirements, 1,
				  memory_order_release);
	(void)pthread_mutex_unlock(&keyring->lock);
}

atom_status keyring_end_rewrap(struct keyring *keyring, uint32_t floor,
			       const uint32_t *kept, size_t kept_count,
			       bool sealed, struct atom_error *err)
{
	struct image *next = begin_change(keyring, err);
	uint32_t count = 0;
	atom_status status;

	if (!next)
		return ATOM_ENOMEM;
	for (uint32_t i = 0; i < next->count; i++) {
		const struct image_version *v = &next->versions[i];
		bool needed = v->number >= floor ||
			      is_among(v->number, kept, kept_count) ||
			      ((v->flags & IMAGE_FOR_COMPONENTS) &&
			       !(v->flags & IMAGE_RETIRE));

		if (needed || v == newest_of(next))
			next->versions[count++] = *v;
	}
	next->count = count;
	/* Another one may have been asked for meanwhile. */
	if (next->rewrap <= floor)
		next->rewrap = 0;
	if (sealed)
		next->flags |= IMAGE_STATE_SEALED;
	status = write_change(keyring, next, keyring->kek, err);
	if (status == ATOM_OK) {
		forget_retired(keyring);
		if (sealed)
			atomic_store(&keyring->state_sealed, true);
	}
	end_change(keyring, &next);
	return status;
}

atom_status keyring_retire(struct keyring *keyring, uint32_t version,
			   struct atom_error *err)
{
	struct image *next = begin_change(keyring, err);
	struct image_version *v;
	atom_status status;

	if (!next)
		return ATOM_ENOMEM;
	v = in_image(next, version);
	if (!v) {
		status = atom_fail(err, ATOM_ENOENT,
				   "the keyring has no key version %" PRIu32,
				   version);
	} else if (v == newest_of(next)) {
		status = atom_fail(err, ATOM_EINVAL,
				   "key version %" PRIu32 " is the current "
				   "one: rotate first",
				   version);
	} else {
		v->flags |= IMAGE_RETIRE;
		status = write_change(keyring, next, keyring->kek, err);
	}
	end_change(keyring, &next);
	return status;
}

/* --- looking ------------------------------------------------------------- */

uint32_t keyring_current(const struct keyring *keyring)
{
	return atomic_load_explicit(&keyring->current, memory_order_acquire)
		->number;
}

bool keyring_state_sealed(const struct keyring *keyring)
{
	return atomic_load_explicit(&keyring->state_sealed,
				    memory_order_acquire);
}

void keyring_status(struct keyring *keyring, struct keyring_status *status_r)
{
	const struct image *image = &keyring->image;
	uint8_t kek_id[IMAGE_KEK_ID_BYTES] = { 0 };

	*status_r = (struct keyring_status){ .current = 0 };
	(void)pthread_mutex_lock(&keyring->lock);
	text_to_hex(image->id, sizeof(image->id), status_r->id);
	if (keyring->kek)
		(void)image_kek_id(image, keyring->kek, kek_id);
	text_to_hex(kek_id, sizeof(kek_id), status_r->kek_id);
	status_r->generation = image->generation;
	status_r->rewrap = image->rewrap;
	status_r->state_sealed = (image->flags & IMAGE_STATE_SEALED) != 0;
	for (uint32_t i = 0; i < image->count; i++) {
		const struct image_version *v = &image->versions[i];
		const struct version *live = keyring_find(keyring, v->number);

		status_r->versions[status_r->count++] =
			(struct keyring_version_status){
				.version = v->number,
				.for_components =
					(v->flags & IMAGE_FOR_COMPONENTS) != 0,
				.retire = (v->flags & IMAGE_RETIRE) != 0,
				.created_ms = v->created_ms,
				.messages = live ? atomic_load(&live->used)
						 : v->messages,
			};
		status_r->current = v->number;
	}
	(void)pthread_mutex_unlock(&keyring->lock);
}
