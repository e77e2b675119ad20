/* SPDX-License-Identifier: Apache-2.0 */
#include "jwt_fixture.h"

#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "core/memory.h"

static const struct config_jwt_role roles[] = {
	{ "root", "admin" },
	{ "ops", "operator" },
	{ "app", "caller" },
};
struct config_jwt config = {
	.issuer = ISSUER,
	.audience = "atomd",
	.role_claim = "role",
	.agents_claim = "",
	.leeway_ms = 30000,
	.roles = roles,
	.role_count = ARRAY_SIZE(roles),
};
static struct config_jwt neighbour;
struct jwt_issuer issuers[2];
EVP_PKEY *key, *stranger;
struct jwt_identity who;
const char *why;

struct jwks *keys_of(EVP_PKEY *pair, const char *members)
{
	struct atom_error err = ATOM_ERROR_INIT;
	char *jwk = jose_jwk(pair, members);
	char *text = jose_text("{\"keys\":[%s]}", jwk);
	struct jwks *keys = NULL;

	cr_assert_eq(jwks_parse(text, strlen(text), &keys, &err), ATOM_OK, "%s",
		     err.message);
	free(jwk);
	free(text);
	return keys;
}

void set_up(void)
{
	struct atom_error err = ATOM_ERROR_INIT;

	cr_assert_eq(jwk_init(&err), ATOM_OK);
	key = jose_key("EdDSA");
	stranger = jose_key("EdDSA");
	neighbour = config;
	neighbour.issuer = "https://other.example";
	cr_assert(jwt_issuer_init(&issuers[0], &config,
				  keys_of(key, "\"kid\":\"a\",")));
	cr_assert(jwt_issuer_init(&issuers[1], &neighbour,
				  keys_of(stranger, "\"kid\":\"a\",")));
}

void tear_down(void)
{
	for (int i = 0; i < 2; i++)
		jwks_unref(&issuers[i].keys);
	jwt_agents_free(&who.agents);
	EVP_PKEY_free(key);
	EVP_PKEY_free(stranger);
	jwk_fini();
}

enum jwt_verdict judge_text(const char *token)
{
	const struct jwt_issuer *issuer;

	why = NULL;
	jwt_agents_free(&who.agents);
	return jwt_check(token, strlen(token), issuers, 2, NOW_MS, &who,
			 &issuer, &why);
}

enum jwt_verdict judge(const char *header, const char *claims)
{
	char *token = jose_token(key, "EdDSA", header, claims);
	enum jwt_verdict verdict = judge_text(token);

	free(token);
	return verdict;
}

void expect(enum jwt_verdict verdict, const char *word, const char *header,
	    const char *claims)
{
	enum jwt_verdict found = judge(header, claims);

	cr_assert_eq(found, verdict, "%d: %s %s: %s", (int)found, header,
		     claims, why);
	cr_assert(strstr(why, word) != NULL, "\"%s\" lacks \"%s\"", why, word);
}
