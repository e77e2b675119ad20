/* SPDX-License-Identifier: Apache-2.0 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "failing_openssl.h"

#include <dlfcn.h>
#include <stdlib.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>

static unsigned int left; /* 0 = none fails any more */

void failing_openssl_begin(unsigned int nth)
{
	left = nth;
}

bool failing_openssl_end(void)
{
	bool failed = left == 0;

	left = 0;
	return failed;
}

static bool fails_now(void)
{
	return left > 0 && --left == 0;
}

static void *real_of(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (found == NULL)
		abort();
	return found;
}

/* A function of OpenSSL's, and what it returns when it fails.  Here it has a
 * name and parameters of its own; to the linker it is the one of the library. */
#define FAILS(type, failure, name, parameters, arguments) \
	__typeof__(name) failing_##name __asm__(#name);   \
	type failing_##name parameters                    \
	{                                                 \
		static __typeof__(name) *real;            \
                                                          \
		if (fails_now())                          \
			return failure;                   \
		if (real == NULL)                         \
			*(void **)&real = real_of(#name); \
		return real arguments;                    \
	}

/* clang-format off */

/* --- digests */
FAILS(int, 0, SHA256_Init, (SHA256_CTX *c), (c))
FAILS(int, 0, SHA256_Update, (SHA256_CTX *c, const void *at, size_t n), (c, at, n))
FAILS(int, 0, SHA256_Final, (unsigned char *hash, SHA256_CTX *c), (hash, c))
FAILS(EVP_MD *, NULL, EVP_MD_fetch, (OSSL_LIB_CTX *lib, const char *name, const char *query),
      (lib, name, query))
FAILS(EVP_MD_CTX *, NULL, EVP_MD_CTX_new, (void), ())
FAILS(int, 0, EVP_MD_CTX_copy_ex, (EVP_MD_CTX *to, const EVP_MD_CTX *from), (to, from))
FAILS(int, 0, EVP_Digest,
      (const void *at, size_t n, unsigned char *hash, unsigned int *size, const EVP_MD *md, ENGINE *e),
      (at, n, hash, size, md, e))
FAILS(int, 0, EVP_DigestInit_ex, (EVP_MD_CTX *c, const EVP_MD *md, ENGINE *e), (c, md, e))
FAILS(int, 0, EVP_DigestUpdate, (EVP_MD_CTX *c, const void *at, size_t n), (c, at, n))
FAILS(int, 0, EVP_DigestFinal_ex, (EVP_MD_CTX *c, unsigned char *hash, unsigned int *size),
      (c, hash, size))

/* --- signatures */
FAILS(int, 0, EVP_DigestSignInit,
      (EVP_MD_CTX *c, EVP_PKEY_CTX **p, const EVP_MD *md, ENGINE *e, EVP_PKEY *key),
      (c, p, md, e, key))
FAILS(int, 0, EVP_DigestSign,
      (EVP_MD_CTX *c, unsigned char *out, size_t *size, const unsigned char *at, size_t n),
      (c, out, size, at, n))
FAILS(int, 0, EVP_DigestVerifyInit,
      (EVP_MD_CTX *c, EVP_PKEY_CTX **p, const EVP_MD *md, ENGINE *e, EVP_PKEY *key),
      (c, p, md, e, key))
FAILS(int, 0, EVP_DigestVerifyInit_ex,
      (EVP_MD_CTX *c, EVP_PKEY_CTX **p, const char *md, OSSL_LIB_CTX *lib, const char *query,
       EVP_PKEY *key, const OSSL_PARAM parameters[]),
      (c, p, md, lib, query, key, parameters))
FAILS(int, 0, EVP_DigestVerify,
      (EVP_MD_CTX *c, const unsigned char *signature, size_t size, const unsigned char *at, size_t n),
      (c, signature, size, at, n))
FAILS(int, 0, EVP_PKEY_verify_init, (EVP_PKEY_CTX *c), (c))
FAILS(int, 0, EVP_PKEY_verify,
      (EVP_PKEY_CTX *c, const unsigned char *signature, size_t size, const unsigned char *at, size_t n),
      (c, signature, size, at, n))
FAILS(int, 0, EVP_PKEY_CTX_set_rsa_padding, (EVP_PKEY_CTX *c, int padding), (c, padding))
FAILS(int, 0, EVP_PKEY_CTX_set_rsa_pss_saltlen, (EVP_PKEY_CTX *c, int length), (c, length))
FAILS(int, 0, EVP_PKEY_CTX_set_rsa_mgf1_md, (EVP_PKEY_CTX *c, const EVP_MD *md), (c, md))
FAILS(int, 0, EVP_PKEY_CTX_set_signature_md, (EVP_PKEY_CTX *c, const EVP_MD *md), (c, md))
FAILS(ECDSA_SIG *, NULL, ECDSA_SIG_new, (void), ())
FAILS(int, 0, ECDSA_SIG_set0, (ECDSA_SIG *signature, BIGNUM *r, BIGNUM *s), (signature, r, s))
FAILS(int, 0, i2d_ECDSA_SIG, (const ECDSA_SIG *signature, unsigned char **out), (signature, out))

/* --- keys */
FAILS(BIGNUM *, NULL, BN_bin2bn, (const unsigned char *at, int n, BIGNUM *out), (at, n, out))
FAILS(EVP_PKEY *, NULL, EVP_PKEY_new_raw_private_key,
      (int type, ENGINE *e, const unsigned char *at, size_t n), (type, e, at, n))
FAILS(EVP_PKEY *, NULL, EVP_PKEY_new_raw_public_key,
      (int type, ENGINE *e, const unsigned char *at, size_t n), (type, e, at, n))
FAILS(EVP_PKEY *, NULL, EVP_PKEY_new_raw_public_key_ex,
      (OSSL_LIB_CTX *lib, const char *type, const char *query, const unsigned char *at, size_t n),
      (lib, type, query, at, n))
FAILS(int, 0, EVP_PKEY_get_raw_public_key, (const EVP_PKEY *key, unsigned char *at, size_t *n),
      (key, at, n))
FAILS(EVP_PKEY_CTX *, NULL, EVP_PKEY_CTX_dup, (const EVP_PKEY_CTX *c), (c))
FAILS(EVP_PKEY_CTX *, NULL, EVP_PKEY_CTX_new_from_pkey,
      (OSSL_LIB_CTX *lib, EVP_PKEY *key, const char *query), (lib, key, query))
FAILS(EVP_PKEY_CTX *, NULL, EVP_PKEY_CTX_new_from_name,
      (OSSL_LIB_CTX *lib, const char *name, const char *query), (lib, name, query))
FAILS(int, 0, EVP_PKEY_fromdata_init, (EVP_PKEY_CTX *c), (c))
FAILS(int, 0, EVP_PKEY_fromdata,
      (EVP_PKEY_CTX *c, EVP_PKEY **key, int selection, OSSL_PARAM parameters[]),
      (c, key, selection, parameters))
FAILS(int, 0, EVP_PKEY_public_check, (EVP_PKEY_CTX *c), (c))
FAILS(OSSL_PARAM_BLD *, NULL, OSSL_PARAM_BLD_new, (void), ())
FAILS(OSSL_PARAM *, NULL, OSSL_PARAM_BLD_to_param, (OSSL_PARAM_BLD *builder), (builder))
FAILS(int, 0, OSSL_PARAM_BLD_push_BN, (OSSL_PARAM_BLD *builder, const char *name, const BIGNUM *n),
      (builder, name, n))
FAILS(int, 0, OSSL_PARAM_BLD_push_utf8_string,
      (OSSL_PARAM_BLD *builder, const char *name, const char *text, size_t n),
      (builder, name, text, n))
FAILS(int, 0, OSSL_PARAM_BLD_push_octet_string,
      (OSSL_PARAM_BLD *builder, const char *name, const void *at, size_t n), (builder, name, at, n))

/* clang-format on */
