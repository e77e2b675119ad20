/* SPDX-License-Identifier: Apache-2.0 */
#include "security/jwt.h"

#include <string.h>
#include <strings.h>

#include "core/json.h"
#include "core/memory.h"
#include "core/text.h"
#include "security/base64url.h"

/* RSA of 8,192 bits. */
#define SIGNATURE_MAX 1024

/* The three parts of the compact form (RFC 7515 section 3.1). */
struct part {
	const char *at;
	size_t length;
};

struct token {
	struct part header;
	struct part claims;
	struct part signature;
	struct part signed_text; /* header "." claims */
};

static bool split(const char *text, size_t length, struct token *token_r)
{
	const char *end = text + length;
	const char *one = memchr(text, '.', length);
	const char *two =
		one != NULL ? memchr(one + 1, '.', (size_t)(end - one - 1))
			    : NULL;

	if (length > JWT_LENGTH_MAX || two == NULL ||
	    memchr(two + 1, '.', (size_t)(end - two - 1)) != NULL)
		return false;
	token_r->header = (struct part){ text, (size_t)(one - text) };
	token_r->claims = (struct part){ one + 1, (size_t)(two - one - 1) };
	token_r->signature = (struct part){ two + 1, (size_t)(end - two - 1) };
	token_r->signed_text = (struct part){ text, (size_t)(two - text) };
	return true;
}

/* A part that is base64url of one JSON object.  ATOM_EINVAL, ATOM_ENOMEM. */
static atom_status decode_object(struct part part, json_t **object_r)
{
	size_t size = BASE64URL_BYTES(part.length), length;
	uint8_t *bytes = mem_alloc(size);
	atom_status status = ATOM_EINVAL;
	json_t *value = NULL;

	if (bytes == NULL)
		return ATOM_ENOMEM;
	if (base64url_decode(part.at, part.length, bytes, size, &length))
		status = json_decode((const char *)bytes, length, &value, NULL);
	mem_free(bytes);
	if (status == ATOM_OK && json_typeof(value) != JSON_OBJECT)
		status = ATOM_EINVAL;
	if (status == ATOM_OK)
		*object_r = value;
	else
		json_decref(value);
	return status;
}

static const struct jwt_issuer *issuer_of(const json_t *claims,
					  const struct jwt_issuer *issuers,
					  size_t count)
{
	const char *iss = json_text(claims, "iss", NULL);

	for (size_t i = 0; iss != NULL && i < count; i++)
		if (strcmp(issuers[i].config->issuer, iss) == 0)
			return &issuers[i];
	return NULL;
}

/* --- the header --------------------------------------------------------------- */

static bool is_known_type(const json_t *typ)
{
	static const char *const types[] = { "JWT", "at+jwt", "application/jwt",
					     "application/at+jwt" };
	const char *text = json_string_value(typ);

	if (typ == NULL)
		return true;
	/* Media types have no case (RFC 7515 section 4.1.9). */
	for (size_t i = 0; text != NULL && i < ARRAY_SIZE(types); i++)
		if (strcasecmp(text, types[i]) == 0)
			return true;
	return false;
}

/* NULL, or why it is refused. */
static const char *choose_key(const json_t *header, const struct jwks *keys,
			      const struct jwk **key_r)
{
	const json_t *kid = json_object_get(header, "kid");
	enum jwk_algorithm algorithm;

	if (json_object_get(header, "crit") != NULL ||
	    json_object_get(header, "b64") != NULL)
		return "it has critical extensions, and none is known here";
	if (json_object_get(header, "zip") != NULL ||
	    json_object_get(header, "enc") != NULL)
		return "it is compressed or encrypted";
	if (!is_known_type(json_object_get(header, "typ")))
		return "its type is not JWT or at+jwt";
	if (!jwk_algorithm_of(json_text(header, "alg", ""), &algorithm))
		return "its algorithm is not RS256, PS256, ES256 or EdDSA";
	if (kid != NULL && json_typeof(kid) != JSON_STRING)
		return "the name of its key is no text";
	if (keys == NULL)
		return "the keys of its issuer are not here";
	*key_r = jwks_find(keys, json_string_value(kid), algorithm);
	return *key_r != NULL
		       ? NULL
		       : "its issuer has no key of that name and algorithm";
}

static const char *check_signature(const struct token *token,
				   const struct jwk *key)
{
	uint8_t signature[SIGNATURE_MAX];
	size_t length;

	if (!base64url_decode(token->signature.at, token->signature.length,
			      signature, sizeof(signature), &length) ||
	    !jwk_verify(key, token->signed_text.at, token->signed_text.length,
			signature, length))
		return "its signature is wrong";
	return NULL;
}

/* --- the whole ------------------------------------------------------------------ */

bool jwt_issuer_init(struct jwt_issuer *issuer, const struct config_jwt *config,
		     struct jwks *keys)
{
	uint8_t hash[32];

	issuer->config = config;
	issuer->keys = keys;
	if (!jwk_sha256(config->issuer, strlen(config->issuer), hash))
		return false;
	text_to_hex(hash, (sizeof(issuer->tag) - 1) / 2, issuer->tag);
	return true;
}

static enum jwt_verdict judge(const struct token *token,
			      const struct jwt_issuer *issuer,
			      const json_t *claims, int64_t now_ms,
			      struct jwt_identity *identity_r,
			      const char **why_r)
{
	const struct jwk *key = NULL;
	json_t *header = NULL;
	atom_status status = decode_object(token->header, &header);

	if (status == ATOM_ENOMEM)
		return JWT_FAILED;
	*why_r = status != ATOM_OK ? "its header is no base64url of sound JSON"
				   : choose_key(header, issuer->keys, &key);
	json_decref(header);
	if (*why_r == NULL)
		*why_r = check_signature(token, key);
	return *why_r != NULL ? JWT_BAD
			      : jwt_judge_claims(issuer, claims, now_ms,
						 identity_r, why_r);
}

enum jwt_verdict jwt_check(const char *text, size_t length,
			   const struct jwt_issuer *issuers, size_t count,
			   int64_t now_ms, struct jwt_identity *identity_r,
			   const struct jwt_issuer **issuer_r,
			   const char **why_r)
{
	const struct jwt_issuer *issuer;
	struct token token;
	json_t *claims = NULL;
	enum jwt_verdict verdict = JWT_FOREIGN;
	atom_status status;

	*issuer_r = NULL;
	*why_r = "it is no token of an issuer that is known here";
	if (!split(text, length, &token))
		return JWT_FOREIGN;
	status = decode_object(token.claims, &claims);
	if (status == ATOM_ENOMEM) {
		*why_r = "no memory to check a token";
		return JWT_FAILED;
	}
	if (status != ATOM_OK)
		return JWT_FOREIGN;
	issuer = issuer_of(claims, issuers, count);
	if (issuer != NULL) {
		*issuer_r = issuer;
		verdict = judge(&token, issuer, claims, now_ms, identity_r,
				why_r);
	}
	json_decref(claims);
	if (verdict == JWT_FAILED)
		*why_r = "no memory to check a token";
	return verdict;
}
