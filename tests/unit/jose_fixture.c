/* SPDX-License-Identifier: Apache-2.0 */
#include "jose_fixture.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(x)                                                             \
	do {                                                                 \
		if (!(x)) {                                                  \
			fprintf(stderr, "# %s:%d: %s\n", __FILE__, __LINE__, \
				#x);                                         \
			abort();                                             \
		}                                                            \
	} while (0)

char *jose_text(const char *format, ...)
{
	va_list arguments;
	char *text = NULL;

	va_start(arguments, format);
	CHECK(vasprintf(&text, format, arguments) >= 0);
	va_end(arguments);
	return text;
}

char *jose_base64url(const void *bytes, size_t length)
{
	unsigned char *out = malloc(length / 3 * 4 + 8);
	size_t n;

	CHECK(out);
	n = (size_t)EVP_EncodeBlock(out, bytes, (int)length);
	while (n > 0 && out[n - 1] == '=')
		n--;
	out[n] = '\0';
	for (size_t i = 0; i < n; i++)
		out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
	return (char *)out;
}

EVP_PKEY *jose_rsa_key(unsigned int bits)
{
	EVP_PKEY *key = EVP_RSA_gen(bits);

	CHECK(key);
	return key;
}

EVP_PKEY *jose_key(const char *algorithm)
{
	EVP_PKEY *key;

	if (algorithm[0] == 'R' || algorithm[0] == 'P')
		return jose_rsa_key(2048);
	key = strcmp(algorithm, "ES256") == 0
		      ? EVP_EC_gen("P-256")
		      : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	CHECK(key);
	return key;
}

static char *number_of(EVP_PKEY *key, const char *name, int size)
{
	unsigned char bytes[2048];
	BIGNUM *n = NULL;
	char *text;

	CHECK(EVP_PKEY_get_bn_param(key, name, &n) == 1);
	if (size == 0)
		size = BN_num_bytes(n);
	CHECK(BN_bn2binpad(n, bytes, size) == size);
	text = jose_base64url(bytes, (size_t)size);
	BN_free(n);
	return text;
}

char *jose_jwk(EVP_PKEY *key, const char *members)
{
	unsigned char raw[32];
	size_t length = sizeof(raw);
	char *one, *two = NULL, *jwk;

	if (EVP_PKEY_is_a(key, "RSA")) {
		one = number_of(key, OSSL_PKEY_PARAM_RSA_N, 0);
		two = number_of(key, OSSL_PKEY_PARAM_RSA_E, 0);
		jwk = jose_text("{%s\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}",
				members, one, two);
	} else if (EVP_PKEY_is_a(key, "EC")) {
		one = number_of(key, OSSL_PKEY_PARAM_EC_PUB_X, 32);
		two = number_of(key, OSSL_PKEY_PARAM_EC_PUB_Y, 32);
		jwk = jose_text("{%s\"kty\":\"EC\",\"crv\":\"P-256\","
				"\"x\":\"%s\",\"y\":\"%s\"}",
				members, one, two);
	} else {
		CHECK(EVP_PKEY_get_raw_public_key(key, raw, &length) == 1);
		one = jose_base64url(raw, length);
		jwk = jose_text("{%s\"kty\":\"OKP\",\"crv\":\"Ed25519\","
				"\"x\":\"%s\"}",
				members, one);
	}
	free(one);
	free(two);
	return jwk;
}

/* OpenSSL's DER to r and s. */
static size_t to_raw(const unsigned char *der, size_t length,
		     unsigned char raw[64])
{
	ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &der, (long)length);

	CHECK(signature);
	CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(signature), raw, 32) == 32);
	CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(signature), raw + 32, 32) == 32);
	ECDSA_SIG_free(signature);
	return 64;
}

char *jose_sign(EVP_PKEY *key, const char *algorithm, const char *input)
{
	unsigned char signature[2048], raw[64];
	const unsigned char *out = signature;
	size_t length = sizeof(signature);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_PKEY_CTX *inner = NULL;
	bool eddsa = strcmp(algorithm, "EdDSA") == 0;
	char *encoded, *token;

	CHECK(context);
	CHECK(EVP_DigestSignInit_ex(context, &inner, eddsa ? NULL : "SHA256",
				    NULL, NULL, key, NULL) == 1);
	if (strcmp(algorithm, "PS256") == 0) {
		CHECK(EVP_PKEY_CTX_set_rsa_padding(inner,
						   RSA_PKCS1_PSS_PADDING) == 1);
		CHECK(EVP_PKEY_CTX_set_rsa_pss_saltlen(
			      inner, RSA_PSS_SALTLEN_DIGEST) == 1);
	}
	CHECK(EVP_DigestSign(context, signature, &length,
			     (const unsigned char *)input, strlen(input)) == 1);
	EVP_MD_CTX_free(context);
	if (strcmp(algorithm, "ES256") == 0) {
		length = to_raw(signature, length, raw);
		out = raw;
	}
	encoded = jose_base64url(out, length);
	token = jose_text("%s.%s", input, encoded);
	free(encoded);
	return token;
}

char *jose_token(EVP_PKEY *key, const char *algorithm, const char *header,
		 const char *claims)
{
	char *one = jose_base64url(header, strlen(header));
	char *two = jose_base64url(claims, strlen(claims));
	char *input = jose_text("%s.%s", one, two);
	char *token = jose_sign(key, algorithm, input);

	free(one);
	free(two);
	free(input);
	return token;
}
