/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a stranger, or an issuer's server, may send: the first byte says as
 * what the rest is read.
 *
 *	t	a bearer
 *	c	the claims of a token whose signature is good
 *	k	a JWK set
 *
 * The issuer's key is the one of RFC 8037 appendix A, so that seeds can be
 * signed.
 */
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/memory.h"
#include "security/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define NOW_MS 1800000000000

static const char own_keys[] =
	"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"a\","
	"\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";
static const struct config_jwt_role roles[] = {
	{ "ops", "operator" },
	{ "app", "caller" },
};
static const struct config_jwt config = {
	.issuer = "https://id.example",
	.audience = "atomd",
	.role_claim = "realm_access.roles",
	.agents_claim = "scope",
	.leeway_ms = 30000,
	.roles = roles,
	.role_count = ARRAY_SIZE(roles),
};
static struct jwt_issuer issuer;

static void set_up(void)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct jwks *keys = NULL;

	if (jwk_init(&err) != ATOM_OK ||
	    jwks_parse(own_keys, strlen(own_keys), &keys, &err) != ATOM_OK ||
	    !jwt_issuer_init(&issuer, &config, keys))
		abort();
}

/* Whatever was said, it is said in full. */
static void check(enum jwt_verdict verdict, struct jwt_identity *who,
		  const char *why)
{
	if (verdict != JWT_GOOD && why == NULL)
		abort();
	if (verdict == JWT_GOOD &&
	    (who->role == NULL || who->agents == NULL ||
	     memchr(who->name, '\0', sizeof(who->name)) == NULL ||
	     strncmp(who->name, "jwt:", 4) != 0 ||
	     strpbrk(who->name, "\x1f\n\" ") != NULL ||
	     who->expires_ms <= NOW_MS))
		abort();
	jwt_agents_free(&who->agents);
}

/* A good token has one spelling. */
static void check_spelling(const char *text, size_t size)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		"0123456789-_.";

	for (size_t i = 0; i < size; i++)
		if (text[i] == '\0' || strchr(alphabet, text[i]) == NULL)
			abort();
}

static void as_token(const char *text, size_t size)
{
	struct jwt_identity who = { .role = NULL };
	const struct jwt_issuer *named = NULL;
	const char *why = NULL;
	enum jwt_verdict verdict =
		jwt_check(text, size, &issuer, 1, NOW_MS, &who, &named, &why);

	if (verdict == JWT_GOOD)
		check_spelling(text, size);
	if ((verdict == JWT_FOREIGN) != (named == NULL))
		abort();
	check(verdict, &who, why);
}

static void as_claims(const char *text, size_t size)
{
	struct jwt_identity who = { .role = NULL };
	const char *why = NULL;
	json_t *claims = NULL;

	if (json_decode(text, size, &claims, NULL) != ATOM_OK)
		return;
	check(jwt_judge_claims(&issuer, claims, NOW_MS, &who, &why), &who, why);
	json_decref(claims);
}

static void as_keys(const char *text, size_t size)
{
	static const uint8_t signature[256];
	struct atom_error err = ATOM_ERROR_INIT;
	struct jwks *keys = NULL;
	const struct jwk *key;

	if (jwks_parse(text, size, &keys, &err) != ATOM_OK) {
		if (err.message[0] == '\0')
			abort();
		return;
	}
	if (jwks_count(keys) == 0)
		abort();
	for (int i = JWK_RS256; i <= JWK_EDDSA; i++) {
		key = jwks_find(keys, NULL, (enum jwk_algorithm)i);
		if (key != NULL &&
		    jwk_verify(key, "a.b", 3, signature,
			       i == JWK_RS256 || i == JWK_PS256 ? 256 : 64))
			abort();
	}
	jwks_unref(&keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const char *text = (const char *)bytes + 1;

	if (issuer.config == NULL)
		set_up();
	if (size == 0)
		return 0;
	switch (bytes[0]) {
	case 't':
		as_token(text, size - 1);
		break;
	case 'c':
		as_claims(text, size - 1);
		break;
	case 'k':
		as_keys(text, size - 1);
		break;
	default:
		break;
	}
	return 0;
}
