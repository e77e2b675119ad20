/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SECURITY_JWK_H
#define SECURITY_JWK_H

/*
 * An issuer's public keys: a JWK set (RFC 7517), and the check of a signature
 * with one of them (RFC 7518 section 3, RFC 8037).
 *
 * The algorithm belongs to the key and never to the token (RFC 8725 section
 * 3.1).  A key is
 *
 *	RSA              RS256, or PS256 when its `alg` says so
 *	EC, P-256        ES256
 *	OKP, Ed25519     EdDSA
 *
 * and a token must name the same algorithm.  Keys of other kinds, keys that
 * are not for signatures, symmetric keys, RSA below 2,048 or above 8,192 bits,
 * and keys whose private half stands beside the public one are left out and
 * counted.
 *
 * A set is immutable: loops verify with it at the same time.  References are
 * [control]'s.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atomd/plugin.h>

#define JWKS_BYTES_MAX ((size_t)256 * 1024)
#define JWKS_KEYS_MAX  100
#define JWK_KID_MAX    256

enum jwk_algorithm {
	JWK_RS256,
	JWK_PS256,
	JWK_ES256,
	JWK_EDDSA
};

struct jwk;
struct jwks;

/* Fetches from OpenSSL what every check needs, once. [control] */
atom_status jwk_init(struct atom_error *err);
void jwk_fini(void);

/* From the text of a set; ATOM_EINVAL says what is wrong, or that no key in
 * it is of use.  Counted once. */
atom_status jwks_parse(const char *text, size_t length, struct jwks **jwks_r,
		       struct atom_error *err);
struct jwks *jwks_ref(struct jwks *jwks);
void jwks_unref(struct jwks **jwks);
size_t jwks_count(const struct jwks *jwks);
/* Keys of the set that were left out. */
size_t jwks_skipped(const struct jwks *jwks);

/* The algorithm of that name in a token's header ("EdDSA" and "Ed25519" are
 * one); false for every other, "none" and "HS256" included. */
bool jwk_algorithm_of(const char *name, enum jwk_algorithm *algorithm_r);
/* The key of this id and algorithm.  Without an id (NULL): the only key of
 * the set, if it has that algorithm.  Else NULL. [any] */
const struct jwk *jwks_find(const struct jwks *jwks, const char *kid,
			    enum jwk_algorithm algorithm);
/* Is it the key's signature of these bytes?  As it stands in a token: ES256
 * is r and s, 32 bytes each. [any] */
bool jwk_verify(const struct jwk *key, const void *bytes, size_t length,
		const uint8_t *signature, size_t signature_length);
/* SHA-256 with the algorithm that was fetched once. [any] */
bool jwk_sha256(const void *bytes, size_t length, uint8_t hash_r[32]);

#endif
