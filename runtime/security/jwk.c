/* SPDX-License-Identifier: Apache-2.0 */
#include "security/jwk.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <string.h>

#include "core/json.h"
#include "core/log.h"
#include "core/memory.h"
#include "security/jwk_priv.h"

#define HASH_BYTES   32
#define COORDINATE   32 /* of a P-256 signature */
#define DER_SIG_MAX  72 /* of it in ASN.1 */
#define ED25519_SIZE 64

static EVP_MD *sha256;

atom_status jwk_init(struct atom_error *err)
{
	if (sha256 == NULL)
		sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (sha256 == NULL)
		return atom_fail(err, ATOM_EINTERNAL,
				 "OpenSSL offers no SHA-256: is its default "
				 "provider switched off?");
	return ATOM_OK;
}

void jwk_fini(void)
{
	EVP_MD_free(sha256);
	sha256 = NULL;
}

bool jwk_sha256(const void *bytes, size_t length, uint8_t hash_r[HASH_BYTES])
{
	return EVP_Digest(bytes, length, hash_r, NULL, sha256, NULL) == 1;
}

bool jwk_algorithm_of(const char *name, enum jwk_algorithm *algorithm_r)
{
	static const struct {
		const char *name;
		enum jwk_algorithm algorithm;
	} rows[] = {
		{ "RS256", JWK_RS256 },	  { "PS256", JWK_PS256 },
		{ "ES256", JWK_ES256 },	  { "EdDSA", JWK_EDDSA },
		{ "Ed25519", JWK_EDDSA }, /* RFC 9864 */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcmp(rows[i].name, name) == 0) {
			*algorithm_r = rows[i].algorithm;
			return true;
		}
	return false;
}

/* --- a set -------------------------------------------------------------------- */

static bool prepare(struct jwk *key)
{
	EVP_PKEY_CTX *context;
	bool rsa = key->algorithm == JWK_RS256 || key->algorithm == JWK_PS256;

	if (key->algorithm == JWK_EDDSA)
		return true;
	context = EVP_PKEY_CTX_new_from_pkey(NULL, key->key, NULL);
	key->prepared = context;
	if (context == NULL || EVP_PKEY_verify_init(context) != 1)
		return false;
	/* RFC 7518 section 3.5: MGF1 with the same hash, a salt as long. */
	if (rsa && EVP_PKEY_CTX_set_rsa_padding(
			   context, key->algorithm == JWK_PS256
					    ? RSA_PKCS1_PSS_PADDING
					    : RSA_PKCS1_PADDING) != 1)
		return false;
	if (EVP_PKEY_CTX_set_signature_md(context, sha256) != 1)
		return false;
	return key->algorithm != JWK_PS256 ||
	       (EVP_PKEY_CTX_set_rsa_pss_saltlen(context,
						 RSA_PSS_SALTLEN_DIGEST) == 1 &&
		EVP_PKEY_CTX_set_rsa_mgf1_md(context, sha256) == 1);
}

static void key_fini(struct jwk *key)
{
	EVP_PKEY_CTX_free(key->prepared);
	EVP_PKEY_free(key->key);
	mem_free(key->kid);
}

/* NULL: it is of no use, and *why_r says why not. */
static const char *key_read(const struct jwks *set, const json_t *object,
			    struct jwk *key)
{
	const json_t *kid = json_object_get(object, "kid");
	const char *why = NULL;

	key->key = jwk_key_of(object, &key->algorithm, &why);
	if (key->key == NULL)
		return why;
	if (kid != NULL) {
		if (json_typeof(kid) != JSON_STRING ||
		    json_string_length(kid) > JWK_KID_MAX)
			return "its `kid` is no string of at most 256 bytes";
		key->kid = mem_strdup(json_string_value(kid));
		if (key->kid == NULL)
			return "no memory";
	}
	if (!prepare(key))
		return "OpenSSL cannot verify with it";
	for (size_t i = 0; i < set->count; i++)
		if (key->kid != NULL && set->keys[i].kid != NULL &&
		    set->keys[i].algorithm == key->algorithm &&
		    strcmp(set->keys[i].kid, key->kid) == 0)
			return "another key before it has its `kid`";
	return NULL;
}

static void skip(struct jwks *set, struct jwk *key, size_t index,
		 const char *why)
{
	key_fini(key);
	*key = (struct jwk){ .kid = NULL };
	set->skipped++;
	log_line(ATOM_LOG_DEBUG, "jwk_skipped", why,
		 LOG_NUMBER("index", index));
}

static atom_status read_set(const json_t *keys, struct jwks **jwks_r,
			    struct atom_error *err)
{
	size_t count = json_array_size(keys);
	const char *first = NULL;
	struct jwks *set;

	if (count > JWKS_KEYS_MAX)
		return atom_fail(err, ATOM_EINVAL,
				 "a JWK set has at most %d keys, this one %zu",
				 JWKS_KEYS_MAX, count);
	set = mem_zalloc(sizeof(*set) + count * sizeof(set->keys[0]));
	if (set == NULL)
		return atom_fail(err, ATOM_ENOMEM, "no memory for keys");
	set->references = 1;
	for (size_t i = 0; i < count; i++) {
		struct jwk *key = &set->keys[set->count];
		const char *why = key_read(set, json_array_get(keys, i), key);

		if (why == NULL) {
			set->count++;
			continue;
		}
		skip(set, key, i, why);
		first = first != NULL ? first : why;
	}
	ERR_clear_error();
	if (set->count == 0) {
		jwks_unref(&set);
		return atom_fail(err, ATOM_EINVAL,
				 "none of the %zu keys of the JWK set is of "
				 "use%s%s",
				 count, first != NULL ? "; the first: " : "",
				 first != NULL ? first : "");
	}
	*jwks_r = set;
	return ATOM_OK;
}

atom_status jwks_parse(const char *text, size_t length, struct jwks **jwks_r,
		       struct atom_error *err)
{
	json_t *root = NULL, *keys;
	atom_status status;

	if (length > JWKS_BYTES_MAX)
		return atom_fail(err, ATOM_EINVAL,
				 "a JWK set has at most %zu KiB, this one %zu",
				 JWKS_BYTES_MAX / 1024, length / 1024);
	status = json_decode(text, length, &root, err);
	if (status != ATOM_OK)
		return status;
	keys = json_object_get(root, "keys");
	if (!json_is_array(keys))
		status = atom_fail(err, ATOM_EINVAL,
				   "a JWK set is an object with an array "
				   "`keys`, and this is none");
	else
		status = read_set(keys, jwks_r, err);
	json_decref(root);
	return status;
}

struct jwks *jwks_ref(struct jwks *jwks)
{
	if (jwks != NULL)
		jwks->references++;
	return jwks;
}

void jwks_unref(struct jwks **jwks)
{
	struct jwks *set = TAKE(*jwks);

	if (set == NULL || --set->references > 0)
		return;
	for (size_t i = 0; i < set->count; i++)
		key_fini(&set->keys[i]);
	mem_free(set);
}

size_t jwks_count(const struct jwks *jwks)
{
	return jwks != NULL ? jwks->count : 0;
}

size_t jwks_skipped(const struct jwks *jwks)
{
	return jwks != NULL ? jwks->skipped : 0;
}

const struct jwk *jwks_find(const struct jwks *jwks, const char *kid,
			    enum jwk_algorithm algorithm)
{
	if (jwks == NULL || (kid == NULL && jwks->count != 1))
		return NULL;
	for (size_t i = 0; i < jwks->count; i++) {
		const struct jwk *key = &jwks->keys[i];

		if (key->algorithm == algorithm &&
		    (kid == NULL ||
		     (key->kid != NULL && strcmp(key->kid, kid) == 0)))
			return key;
	}
	return NULL;
}

/* --- signatures ----------------------------------------------------------------- */

/* r and s to the ASN.1 that OpenSSL reads; 0 when that fails. */
static size_t to_der(const uint8_t *raw, uint8_t der[DER_SIG_MAX])
{
	ECDSA_SIG *signature = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(raw, COORDINATE, NULL);
	BIGNUM *s = BN_bin2bn(raw + COORDINATE, COORDINATE, NULL);
	uint8_t *end = der;
	int length = 0;

	if (signature != NULL && r != NULL && s != NULL &&
	    ECDSA_SIG_set0(signature, r, s) == 1) {
		r = s = NULL;
		length = i2d_ECDSA_SIG(signature, &end);
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(signature);
	return length > 0 ? (size_t)length : 0;
}

static bool verify_hash(const struct jwk *key, const void *bytes, size_t length,
			const uint8_t *signature, size_t signature_length)
{
	uint8_t hash[HASH_BYTES];
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_dup(key->prepared);
	bool sound = context != NULL && jwk_sha256(bytes, length, hash) &&
		     EVP_PKEY_verify(context, signature, signature_length, hash,
				     sizeof(hash)) == 1;

	EVP_PKEY_CTX_free(context);
	return sound;
}

static bool verify_eddsa(const struct jwk *key, const void *bytes,
			 size_t length, const uint8_t *signature)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool sound = context != NULL &&
		     EVP_DigestVerifyInit_ex(context, NULL, NULL, NULL, NULL,
					     key->key, NULL) == 1 &&
		     EVP_DigestVerify(context, signature, ED25519_SIZE, bytes,
				      length) == 1;

	EVP_MD_CTX_free(context);
	return sound;
}

bool jwk_verify(const struct jwk *key, const void *bytes, size_t length,
		const uint8_t *signature, size_t signature_length)
{
	uint8_t der[DER_SIG_MAX];
	bool sound = false;

	switch (key->algorithm) {
	case JWK_EDDSA:
		sound = signature_length == ED25519_SIZE &&
			verify_eddsa(key, bytes, length, signature);
		break;
	case JWK_ES256:
		if (signature_length == 2 * COORDINATE)
			signature_length = to_der(signature, der);
		else
			signature_length = 0;
		sound = signature_length > 0 &&
			verify_hash(key, bytes, length, der, signature_length);
		break;
	default: /* RS256, PS256 */
		/* RFC 8017: exactly as long as the modulus. */
		sound = signature_length ==
				(size_t)EVP_PKEY_get_size(key->key) &&
			verify_hash(key, bytes, length, signature,
				    signature_length);
		break;
	}
	ERR_clear_error();
	return sound;
}
