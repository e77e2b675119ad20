/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From the members of a JWK (RFC 7518 section 6, RFC 8037 section 2) to a
 * public key of OpenSSL.
 */

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <string.h>

#include "core/json.h"
#include "core/memory.h"
#include "security/base64url.h"
#include "security/jwk_priv.h"

#define RSA_BITS_MIN 2048
/* Beyond it a check costs more than a call. */
#define RSA_BITS_MAX 8192
#define RSA_BYTES    (RSA_BITS_MAX / 8 + 1)
#define POINT_BYTES  32 /* P-256, Ed25519 */

/* A member's bytes; false when it is absent, no strict base64url or longer
 * than `size`. */
static bool bytes_of(const json_t *object, const char *name, uint8_t *bytes,
		     size_t size, size_t *length_r)
{
	const char *text = json_text(object, name, NULL);

	return text != NULL &&
	       base64url_decode(text, strlen(text), bytes, size, length_r) &&
	       *length_r > 0;
}

static EVP_PKEY *from_parameters(const char *type, OSSL_PARAM_BLD *builder)
{
	OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	if (parameters == NULL || context == NULL ||
	    EVP_PKEY_fromdata_init(context) != 1 ||
	    EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) !=
		    1)
		key = NULL;
	EVP_PKEY_CTX_free(context);
	OSSL_PARAM_free(parameters);
	return key;
}

/* --- RSA -------------------------------------------------------------------- */

static bool rsa_is_sound(const BIGNUM *n, const BIGNUM *e, const char **why_r)
{
	int bits = BN_num_bits(n);

	if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
		*why_r = "an RSA key has 2048 to 8192 bits";
	else if (!BN_is_odd(n) || !BN_is_odd(e) || BN_num_bits(e) < 17 ||
		 BN_num_bits(e) > 32)
		/* FIPS 186-5 wants more than 2^16; a long one is slow. */
		*why_r = "the modulus or exponent of an RSA key is not sound";
	else
		return true;
	return false;
}

static EVP_PKEY *rsa_key(const json_t *object, const char **why_r)
{
	uint8_t n_bytes[RSA_BYTES], e_bytes[8];
	size_t n_length = 0, e_length = 0;
	OSSL_PARAM_BLD *builder = NULL;
	BIGNUM *n = NULL, *e = NULL;
	EVP_PKEY *key = NULL;

	*why_r = "`n` and `e` of an RSA key are base64url of at most 8192 bits";
	if (!bytes_of(object, "n", n_bytes, sizeof(n_bytes), &n_length) ||
	    !bytes_of(object, "e", e_bytes, sizeof(e_bytes), &e_length))
		return NULL;
	n = BN_bin2bn(n_bytes, (int)n_length, NULL);
	e = BN_bin2bn(e_bytes, (int)e_length, NULL);
	builder = OSSL_PARAM_BLD_new();
	if (n == NULL || e == NULL || builder == NULL) {
		*why_r = "no memory";
		goto out;
	}
	if (!rsa_is_sound(n, e, why_r))
		goto out;
	*why_r = "OpenSSL does not take this RSA key";
	if (OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
	    OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1)
		key = from_parameters("RSA", builder);
out:
	OSSL_PARAM_BLD_free(builder);
	BN_free(n);
	BN_free(e);
	return key;
}

/* --- P-256 ------------------------------------------------------------------- */

/* Is the point on the curve, and not its zero? */
static bool is_on_curve(EVP_PKEY *key)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	bool sound = context != NULL && EVP_PKEY_public_check(context) == 1;

	EVP_PKEY_CTX_free(context);
	return sound;
}

static EVP_PKEY *ec_key(const json_t *object, const char **why_r)
{
	uint8_t point[1 + 2 * POINT_BYTES] = { 4 /* uncompressed */ };
	size_t x = 0, y = 0;
	OSSL_PARAM_BLD *builder;
	EVP_PKEY *key = NULL;

	*why_r = "`x` and `y` of a P-256 key are 32 bytes in base64url each";
	if (!bytes_of(object, "x", point + 1, POINT_BYTES, &x) ||
	    !bytes_of(object, "y", point + 1 + POINT_BYTES, POINT_BYTES, &y) ||
	    x != POINT_BYTES || y != POINT_BYTES)
		return NULL;
	builder = OSSL_PARAM_BLD_new();
	*why_r = "the point of a P-256 key is not on the curve";
	if (builder != NULL &&
	    OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME,
					    "P-256", 0) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY,
					     point, sizeof(point)) == 1)
		key = from_parameters("EC", builder);
	if (key != NULL && !is_on_curve(key)) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	OSSL_PARAM_BLD_free(builder);
	return key;
}

/* --- Ed25519 ------------------------------------------------------------------ */

static EVP_PKEY *okp_key(const json_t *object, const char **why_r)
{
	uint8_t x[POINT_BYTES];
	size_t length = 0;

	*why_r = "`x` of an Ed25519 key is 32 bytes in base64url";
	if (!bytes_of(object, "x", x, sizeof(x), &length) ||
	    length != sizeof(x))
		return NULL;
	return EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, x,
					      sizeof(x));
}

/* --- any ---------------------------------------------------------------------- */

static bool is_text(const json_t *object, const char *name, const char *text)
{
	return strcmp(json_text(object, name, ""), text) == 0;
}

/* `use` and `key_ops` (RFC 7517 sections 4.2 and 4.3). */
static bool is_for_verifying(const json_t *object)
{
	const json_t *use = json_object_get(object, "use");
	const json_t *operations = json_object_get(object, "key_ops");

	if (use != NULL && !is_text(object, "use", "sig"))
		return false;
	if (operations == NULL)
		return true;
	for (size_t i = 0; i < json_array_size(operations); i++) {
		const char *word =
			json_string_value(json_array_get(operations, i));

		if (word != NULL && strcmp(word, "verify") == 0)
			return true;
	}
	return false;
}

/* The algorithm that `kty` and `crv` mean; of RSA's two `alg` may name one. */
static bool algorithm_of_key(const json_t *object,
			     enum jwk_algorithm *algorithm_r)
{
	if (is_text(object, "kty", "RSA"))
		*algorithm_r =
			is_text(object, "alg", "PS256") ? JWK_PS256 : JWK_RS256;
	else if (is_text(object, "kty", "EC") &&
		 is_text(object, "crv", "P-256"))
		*algorithm_r = JWK_ES256;
	else if (is_text(object, "kty", "OKP") &&
		 is_text(object, "crv", "Ed25519"))
		*algorithm_r = JWK_EDDSA;
	else
		return false;
	return true;
}

/* Does `alg`, where it stands, say the same? */
static bool is_consistent(const json_t *object, enum jwk_algorithm algorithm)
{
	enum jwk_algorithm said;

	return json_object_get(object, "alg") == NULL ||
	       (jwk_algorithm_of(json_text(object, "alg", ""), &said) &&
		said == algorithm);
}

EVP_PKEY *jwk_key_of(const json_t *object, enum jwk_algorithm *algorithm_r,
		     const char **why_r)
{
	EVP_PKEY *key = NULL;

	if (json_typeof(object) != JSON_OBJECT)
		*why_r = "a key is an object";
	else if (!algorithm_of_key(object, algorithm_r))
		*why_r = "its kind is not RSA, EC P-256 or OKP Ed25519";
	else if (!is_for_verifying(object))
		*why_r = "it is not for signatures";
	else if (!is_consistent(object, *algorithm_r))
		*why_r = "its `alg` is not RS256, PS256, ES256 or EdDSA, or "
			 "not that of its kind";
	else if (json_object_get(object, "d") != NULL)
		*why_r = "its private half stands beside it: everybody could "
			 "sign with it";
	else if (*algorithm_r == JWK_ES256)
		key = ec_key(object, why_r);
	else if (*algorithm_r == JWK_EDDSA)
		key = okp_key(object, why_r);
	else
		key = rsa_key(object, why_r);
	ERR_clear_error();
	return key;
}
