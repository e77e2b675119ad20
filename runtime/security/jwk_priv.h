/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECURITY_JWK_PRIV_H
#define SECURITY_JWK_PRIV_H

#include <jansson.h>
#include <openssl/evp.h>

#include "security/jwk.h"

struct jwk {
	char *kid; /* NULL: it has none */
	enum jwk_algorithm algorithm;
	EVP_PKEY *key;
	/* Set up for a verification, to be copied for each; NULL for EdDSA,
	 * which OpenSSL 3.0 cannot copy. */
	EVP_PKEY_CTX *prepared;
};

struct jwks {
	unsigned int references;
	size_t count;
	size_t skipped;
	struct jwk keys[];
};

/* The OpenSSL key of a JWK object, or NULL with the reason in *why_r.
 * jwk_key.c */
EVP_PKEY *jwk_key_of(const json_t *object, enum jwk_algorithm *algorithm_r,
		     const char **why_r);

#endif
