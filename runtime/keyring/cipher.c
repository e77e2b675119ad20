/* SPDX-License-Identifier: Apache-2.0 */
#include "keyring/cipher.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <pthread.h>
#include <string.h>

#include "core/memory.h"

static EVP_CIPHER *gcm_cipher;
static EVP_CIPHER *wrap_cipher;
static EVP_KDF *hkdf_kdf;
static EVP_MAC *hmac_mac;

static void fetch(void)
{
	gcm_cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	wrap_cipher = EVP_CIPHER_fetch(NULL, "AES-256-WRAP", NULL);
	hkdf_kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	hmac_mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
}

static bool is_fetched(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, fetch);
	return gcm_cipher && wrap_cipher && hkdf_kdf && hmac_mac;
}

/* --- AES-256-GCM --------------------------------------------------------- */

struct gcm {
	EVP_CIPHER_CTX *seal;
	EVP_CIPHER_CTX *open;
};

static EVP_CIPHER_CTX *context_new(const uint8_t *key, int seal)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();

	/* The nonce's length is GCM's default, 96 bits. */
	if (context && EVP_CipherInit_ex2(context, gcm_cipher, key, NULL, seal,
					  NULL) != 1) {
		EVP_CIPHER_CTX_free(context);
		context = NULL;
	}
	return context;
}

struct gcm *gcm_new(const uint8_t key[CIPHER_KEY_BYTES])
{
	struct gcm *gcm = is_fetched() ? mem_zalloc(sizeof(*gcm)) : NULL;

	if (!gcm)
		return NULL;
	gcm->seal = context_new(key, 1);
	gcm->open = context_new(key, 0);
	if (!gcm->seal || !gcm->open)
		gcm_free(&gcm);
	return gcm;
}

/* The contexts wipe what they hold. */
void gcm_free(struct gcm **gcm)
{
	struct gcm *g = TAKE(*gcm);

	if (!g)
		return;
	EVP_CIPHER_CTX_free(g->seal);
	EVP_CIPHER_CTX_free(g->open);
	mem_free(g);
}

static bool feed(EVP_CIPHER_CTX *context, char *out,
		 const struct atom_span *bytes)
{
	int n = 0;

	return bytes->length == 0 ||
	       EVP_CipherUpdate(context, (unsigned char *)out, &n,
				(const unsigned char *)bytes->bytes,
				(int)bytes->length) == 1;
}

static bool is_small(const struct atom_span *one, const struct atom_span *other)
{
	return one->length <= CIPHER_TEXT_MAX &&
	       other->length <= CIPHER_TEXT_MAX;
}

atom_status gcm_seal(struct gcm *gcm, const uint8_t nonce[CIPHER_NONCE_BYTES],
		     const struct atom_span *associated,
		     const struct atom_span *plain, char *out,
		     uint8_t tag[CIPHER_TAG_BYTES])
{
	EVP_CIPHER_CTX *context = gcm->seal;
	unsigned char rest[CIPHER_TAG_BYTES];
	int n = 0;

	if (!is_small(associated, plain))
		return ATOM_ELIMIT;
	/* No key given: the one set before stays. */
	if (EVP_CipherInit_ex2(context, NULL, NULL, nonce, 1, NULL) != 1 ||
	    !feed(context, NULL, associated) || !feed(context, out, plain) ||
	    EVP_CipherFinal_ex(context, rest, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG,
				CIPHER_TAG_BYTES, tag) != 1)
		return ATOM_EINTERNAL;
	return ATOM_OK;
}

atom_status gcm_open(struct gcm *gcm, const uint8_t nonce[CIPHER_NONCE_BYTES],
		     const struct atom_span *associated,
		     const struct atom_span *sealed, char *out,
		     const uint8_t tag[CIPHER_TAG_BYTES])
{
	EVP_CIPHER_CTX *context = gcm->open;
	unsigned char rest[CIPHER_TAG_BYTES];
	unsigned char expected[CIPHER_TAG_BYTES];
	int n = 0;

	if (!is_small(associated, sealed))
		return ATOM_ELIMIT;
	memcpy(expected, tag, sizeof(expected));
	if (EVP_CipherInit_ex2(context, NULL, NULL, nonce, 0, NULL) == 1 &&
	    feed(context, NULL, associated) && feed(context, out, sealed) &&
	    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG,
				CIPHER_TAG_BYTES, expected) == 1 &&
	    EVP_CipherFinal_ex(context, rest, &n) == 1)
		return ATOM_OK;
	/* Nobody may use what nobody vouches for. */
	if (sealed->length > 0)
		OPENSSL_cleanse(out, sealed->length);
	return ATOM_EDATALOSS;
}

/* --- keys from keys ------------------------------------------------------ */

static OSSL_PARAM octets(const char *name, const struct atom_span *bytes)
{
	return OSSL_PARAM_construct_octet_string(
		name, (void *)(uintptr_t)bytes->bytes, bytes->length);
}

atom_status cipher_hkdf(const struct atom_span *key,
			const struct atom_span *salt,
			const struct atom_span *info, uint8_t *out,
			size_t length)
{
	char digest[] = "SHA256";
	OSSL_PARAM parameters[5];
	EVP_KDF_CTX *context;
	size_t n = 0;
	int rc;

	if (!is_fetched())
		return ATOM_EINTERNAL;
	context = EVP_KDF_CTX_new(hkdf_kdf);
	if (!context)
		return ATOM_ENOMEM;
	parameters[n++] = OSSL_PARAM_construct_utf8_string(
		OSSL_KDF_PARAM_DIGEST, digest, 0);
	parameters[n++] = octets(OSSL_KDF_PARAM_KEY, key);
	/* RFC 5869: no salt is one of zeros, which HMAC takes for the same. */
	if (salt->length > 0)
		parameters[n++] = octets(OSSL_KDF_PARAM_SALT, salt);
	if (info->length > 0)
		parameters[n++] = octets(OSSL_KDF_PARAM_INFO, info);
	parameters[n] = OSSL_PARAM_construct_end();
	rc = EVP_KDF_derive(context, out, length, parameters);
	EVP_KDF_CTX_free(context);
	return rc == 1 ? ATOM_OK : ATOM_EINTERNAL;
}

atom_status cipher_hmac(const uint8_t key[CIPHER_KEY_BYTES],
			const struct atom_span *bytes,
			uint8_t out[CIPHER_HASH_BYTES])
{
	char digest[] = "SHA256";
	const OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest,
						 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC_CTX *context;
	size_t n = 0;
	bool good;

	if (!is_fetched())
		return ATOM_EINTERNAL;
	context = EVP_MAC_CTX_new(hmac_mac);
	if (!context)
		return ATOM_ENOMEM;
	good = EVP_MAC_init(context, key, CIPHER_KEY_BYTES, parameters) == 1 &&
	       EVP_MAC_update(context, (const unsigned char *)bytes->bytes,
			      bytes->length) == 1 &&
	       EVP_MAC_final(context, out, &n, CIPHER_HASH_BYTES) == 1 &&
	       n == CIPHER_HASH_BYTES;
	EVP_MAC_CTX_free(context);
	return good ? ATOM_OK : ATOM_EINTERNAL;
}

static bool run_wrap(const uint8_t *wrapping, int wrap, const uint8_t *in,
		     int in_length, uint8_t *out, int out_length)
{
	EVP_CIPHER_CTX *context = is_fetched() ? EVP_CIPHER_CTX_new() : NULL;
	int n = 0, rest = 0;
	bool good;

	if (!context)
		return false;
	EVP_CIPHER_CTX_set_flags(context, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	good = EVP_CipherInit_ex2(context, wrap_cipher, wrapping, NULL, wrap,
				  NULL) == 1 &&
	       EVP_CipherUpdate(context, out, &n, in, in_length) == 1 &&
	       EVP_CipherFinal_ex(context, out + n, &rest) == 1 &&
	       n + rest == out_length;
	EVP_CIPHER_CTX_free(context);
	return good;
}

atom_status cipher_wrap(const uint8_t wrapping[CIPHER_KEY_BYTES],
			const uint8_t key[CIPHER_KEY_BYTES],
			uint8_t wrapped_r[CIPHER_WRAPPED_BYTES])
{
	return run_wrap(wrapping, 1, key, CIPHER_KEY_BYTES, wrapped_r,
			CIPHER_WRAPPED_BYTES)
		       ? ATOM_OK
		       : ATOM_EINTERNAL;
}

atom_status cipher_unwrap(const uint8_t wrapping[CIPHER_KEY_BYTES],
			  const uint8_t wrapped[CIPHER_WRAPPED_BYTES],
			  uint8_t key_r[CIPHER_KEY_BYTES])
{
	/* OpenSSL wants room for the wrapped length while it unwraps. */
	uint8_t room[CIPHER_WRAPPED_BYTES + 8];
	bool good = run_wrap(wrapping, 0, wrapped, CIPHER_WRAPPED_BYTES, room,
			     CIPHER_KEY_BYTES);

	if (good)
		memcpy(key_r, room, CIPHER_KEY_BYTES);
	OPENSSL_cleanse(room, sizeof(room));
	return good ? ATOM_OK : ATOM_EDATALOSS;
}
