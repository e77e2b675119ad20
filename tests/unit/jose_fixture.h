/* SPDX-License-Identifier: Apache-2.0 */
#ifndef JOSE_FIXTURE_H
#define JOSE_FIXTURE_H

/*
 * What an issuer of tokens does: keys, their JWK, and signed tokens, sound or
 * wrong in whatever way a test wants.  Texts are malloc'ed; a failure ends
 * the test by abort().
 */

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

/* "RS256" "PS256" "ES256" "EdDSA" */
EVP_PKEY *jose_key(const char *algorithm);
EVP_PKEY *jose_rsa_key(unsigned int bits);
/* A JWK object; `members` is put in front ("" or "\"kid\":\"a\","). */
char *jose_jwk(EVP_PKEY *key, const char *members);
char *jose_base64url(const void *bytes, size_t length);
/* base64url(header).base64url(claims).base64url(signature) */
char *jose_token(EVP_PKEY *key, const char *algorithm, const char *header,
		 const char *claims);
/* The same of two parts that are encoded already. */
char *jose_sign(EVP_PKEY *key, const char *algorithm, const char *input);
/* printf into a new text. */
char *jose_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
