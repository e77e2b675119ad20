/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing and opening.  Each thread keeps the contexts that it used last, so
 * that neither deriving a key nor setting it up is paid for a second time and
 * no lock is taken.  A context outlives the retirement of its key until its
 * thread seals or opens again, or ends.
 */
#include <openssl/crypto.h>
#include <string.h>

#include "core/memory.h"
#include "core/os.h"
#include "keyring/keyring_priv.h"

#define HEAD_BYTES  (sizeof(magic) + 4 + CIPHER_NONCE_BYTES)
#define CACHE_SLOTS 16

_Static_assert(KEYRING_OVERHEAD <= ATOM_SEAL_OVERHEAD, "the ABI's bound");

/* No UTF-8 text begins with the first two. */
static const uint8_t magic[4] = { 0xd7, 'A', 'S', 1 };

_Static_assert(HEAD_BYTES + CIPHER_TAG_BYTES == KEYRING_OVERHEAD,
	       "the form in keyring.h");

/* --- contexts of this thread --------------------------------------------- */

struct slot {
	uint64_t serial; /* of the keyring; 0: empty */
	uint32_t number;
	unsigned int retirements;
	char purpose[KEYRING_PURPOSE_MAX];
	struct gcm *gcm;
};

struct cache {
	unsigned int next; /* to be replaced */
	struct slot slots[CACHE_SLOTS];
};

static pthread_key_t cache_key;
static bool have_cache_key;

static void cache_free(void *argument)
{
	struct cache *cache = argument;

	for (size_t i = 0; cache && i < CACHE_SLOTS; i++)
		gcm_free(&cache->slots[i].gcm);
	mem_free(cache);
}

static void make_cache_key(void)
{
	have_cache_key = pthread_key_create(&cache_key, cache_free) == 0;
}

static struct cache *cache_of_thread(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct cache *cache;

	(void)pthread_once(&once, make_cache_key);
	if (!have_cache_key)
		return NULL;
	cache = pthread_getspecific(cache_key);
	if (cache)
		return cache;
	cache = mem_zalloc(sizeof(*cache));
	if (cache && pthread_setspecific(cache_key, cache) != 0)
		mem_free(TAKE(cache));
	return cache;
}

void seal_forget(void)
{
	struct cache *cache = cache_of_thread();

	if (!cache)
		return;
	(void)pthread_setspecific(cache_key, NULL);
	cache_free(cache);
}

static void empty(struct slot *slot)
{
	gcm_free(&slot->gcm);
	slot->serial = 0;
}

static atom_status fill(struct slot *slot, struct keyring *keyring,
			uint32_t number, unsigned int retirements,
			const char *purpose, struct atom_error *err)
{
	uint8_t key[KEYRING_KEY_BYTES];
	size_t length = strlen(purpose);
	atom_status status;

	empty(slot);
	if (length >= sizeof(slot->purpose))
		return atom_fail(err, ATOM_EINVAL,
				 "the purpose of a sealed text has %zu bytes: "
				 "at most %zu are possible",
				 length, sizeof(slot->purpose) - 1);
	status = keyring_derive(keyring, number, purpose, key, err);
	if (status != ATOM_OK)
		return status;
	slot->gcm = gcm_new(key);
	OPENSSL_cleanse(key, sizeof(key));
	if (!slot->gcm)
		return atom_fail(err, ATOM_ENOMEM, "no memory for a cipher");
	slot->serial = keyring->serial;
	slot->number = number;
	slot->retirements = retirements;
	memcpy(slot->purpose, purpose, length + 1);
	return ATOM_OK;
}

static atom_status context(struct keyring *keyring, uint32_t number,
			   const char *purpose, struct gcm **gcm_r,
			   struct atom_error *err)
{
	struct cache *cache = cache_of_thread();
	unsigned int retirements = atomic_load_explicit(&keyring->retirements,
							memory_order_acquire);
	struct slot *slot;
	atom_status status;

	if (!cache)
		return atom_fail(err, ATOM_ENOMEM, "no memory for a cipher");
	for (size_t i = 0; i < CACHE_SLOTS; i++) {
		slot = &cache->slots[i];
		if (slot->serial != keyring->serial)
			continue;
		if (slot->retirements != retirements) {
			empty(slot);
			continue;
		}
		if (slot->number == number &&
		    strcmp(slot->purpose, purpose) == 0) {
			*gcm_r = slot->gcm;
			return ATOM_OK;
		}
	}
	slot = &cache->slots[cache->next++ % CACHE_SLOTS];
	status = fill(slot, keyring, number, retirements, purpose, err);
	*gcm_r = slot->gcm;
	return status;
}

/* --- seal ---------------------------------------------------------------- */

/* Count one more text under the version. */
static atom_status count(struct keyring *keyring, struct version *version,
			 struct atom_error *err)
{
	uint64_t n = atomic_fetch_add_explicit(&version->used, 1,
					       memory_order_relaxed);

	if (n < atomic_load_explicit(&version->reserved, memory_order_acquire))
		return ATOM_OK;
	return keyring_reserve(keyring, version, err);
}

static void write_head(char *out, uint32_t number)
{
	memcpy(out, magic, sizeof(magic));
	for (int i = 0; i < 4; i++)
		out[sizeof(magic) + i] = (char)(number >> 8 * (3 - i));
}

atom_status keyring_seal(struct keyring *keyring, const char *purpose,
			 const struct atom_span *identity,
			 const struct atom_span *plain, char *out,
			 size_t *length_r, struct atom_error *err)
{
	uint8_t tag[CIPHER_TAG_BYTES];
	struct version *version;
	uint8_t *nonce;
	struct gcm *gcm;
	atom_status status;

	if (keyring->read_only)
		return atom_fail(err, ATOM_ESTATE,
				 "this keyring was opened for reading only");
	version = atomic_load_explicit(&keyring->current, memory_order_acquire);
	status = count(keyring, version, err);
	if (status == ATOM_OK)
		status = context(keyring, version->number, purpose, &gcm, err);
	if (status != ATOM_OK)
		return status;
	write_head(out, version->number);
	nonce = (uint8_t *)out + sizeof(magic) + 4;
	if (os.random(nonce, CIPHER_NONCE_BYTES) != 0)
		return atom_fail(err, ATOM_EIO, "no random bytes to be had");
	status = gcm_seal(gcm, nonce, identity, plain, out + HEAD_BYTES, tag);
	if (status != ATOM_OK)
		return atom_fail(err, status,
				 "%zu bytes cannot be encrypted: OpenSSL "
				 "refuses",
				 plain->length);
	memcpy(out + HEAD_BYTES + plain->length, tag, sizeof(tag));
	*length_r = HEAD_BYTES + plain->length + sizeof(tag);
	return ATOM_OK;
}

/* --- open ---------------------------------------------------------------- */

uint32_t keyring_version_of(const struct atom_span *bytes)
{
	const uint8_t *at = (const uint8_t *)bytes->bytes;
	uint32_t number = 0;

	if (bytes->length < sizeof(magic) + 4 ||
	    memcmp(at, magic, sizeof(magic)) != 0)
		return 0;
	for (int i = 0; i < 4; i++)
		number = number << 8 | at[sizeof(magic) + i];
	return number;
}

atom_status keyring_unseal(struct keyring *keyring, const char *purpose,
			   const struct atom_span *identity,
			   const struct atom_span *sealed, char *out,
			   size_t *length_r, struct atom_error *err)
{
	const uint8_t *bytes = (const uint8_t *)sealed->bytes;
	uint32_t number = keyring_version_of(sealed);
	struct atom_span text;
	struct gcm *gcm = NULL;
	atom_status status;

	if (number == 0 || sealed->length < KEYRING_OVERHEAD)
		return atom_fail(err, ATOM_EDATALOSS,
				 "these %zu bytes are not of the sealed form, "
				 "or cut",
				 sealed->length);
	status = context(keyring, number, purpose, &gcm, err);
	if (status != ATOM_OK)
		return status;
	text = (struct atom_span){ sealed->bytes + HEAD_BYTES,
				   sealed->length - KEYRING_OVERHEAD };
	status = gcm_open(gcm, bytes + sizeof(magic) + 4, identity, &text, out,
			  bytes + sealed->length - CIPHER_TAG_BYTES);
	if (status != ATOM_OK)
		return atom_fail(err, status,
				 "what was sealed under key version %u does "
				 "not open: it was changed, or is not what it "
				 "is taken for",
				 (unsigned int)number);
	*length_r = text.length;
	return ATOM_OK;
}
