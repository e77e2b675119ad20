/* SPDX-License-Identifier: Apache-2.0 */

/* Who a token of another issuer stands for, and for how long that is
 * remembered. */

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "jwt_fixture.h"
#include "security/jwt_cache.h"

TestSuite(jwt_identity, .init = set_up, .fini = tear_down);

/* --- who ------------------------------------------------------------------ */

Test(jwt_identity, the_first_row_that_fits_gives_the_role)
{
	cr_assert_eq(judge(HEADER, CLAIMS(EXP ",\"role\":[\"app\",\"ops\"]")),
		     JWT_GOOD);
	cr_assert_str_eq(who.role, "operator");
	cr_assert_eq(judge(HEADER, CLAIMS(EXP ",\"role\":[7,\"app\"]")),
		     JWT_GOOD);
	cr_assert_str_eq(who.role, "caller");
	expect(JWT_NO_ROLE, "role", HEADER, CLAIMS(EXP));
	expect(JWT_NO_ROLE, "role", HEADER, CLAIMS(EXP ",\"role\":\"Ops\""));
	expect(JWT_NO_ROLE, "role", HEADER,
	       CLAIMS(EXP ",\"role\":\"ops app\""));
	expect(JWT_NO_ROLE, "role", HEADER, CLAIMS(EXP ",\"role\":[]"));
	expect(JWT_NO_ROLE, "role", HEADER,
	       CLAIMS(EXP ",\"role\":{\"ops\":true}"));
	expect(JWT_NO_ROLE, "role", HEADER,
	       CLAIMS(EXP ",\"role\":[[\"ops\"]]"));
}

Test(jwt_identity, dots_lead_into_objects_and_a_whole_name_comes_first)
{
	config.role_claim = "realm_access.roles";
	cr_assert_eq(judge(HEADER, CLAIMS(EXP ",\"realm_access\":{\"roles\":"
					      "[\"x\",\"app\"]}")),
		     JWT_GOOD);
	cr_assert_eq(judge(HEADER,
			   CLAIMS(EXP ",\"realm_access.roles\":\"ops\","
				      "\"realm_access\":{\"roles\":\"app\"}")),
		     JWT_GOOD);
	cr_assert_str_eq(who.role, "operator");
	expect(JWT_NO_ROLE, "role", HEADER,
	       CLAIMS(EXP ",\"realm_access\":\"ops\""));
	config.role_claim = "https://example.com/roles";
	cr_assert_eq(judge(HEADER, CLAIMS(EXP ",\"https://example.com/roles\":"
					      "[\"ops\"]")),
		     JWT_GOOD);
	config.role_claim = "scope";
	cr_assert_eq(judge(HEADER, CLAIMS(EXP ",\"scope\":\"openid app  x\"")),
		     JWT_GOOD);
	cr_assert_str_eq(who.role, "caller");
	expect(JWT_NO_ROLE, "role", HEADER,
	       CLAIMS(EXP ",\"scope\":\"openid apps\""));
}

Test(jwt_identity, agents_of_a_claim_limit_the_token)
{
	char *agents, *claims;
	size_t count = 0;

	config.agents_claim = "agents";
	cr_assert_eq(
		judge(HEADER, CLAIMS(EXP "," ROLE ",\"agents\":[\"a\",\"B!\",7,"
					 "\"b-2\"]")),
		JWT_GOOD);
	cr_assert_str_eq(who.agents[0], "a");
	cr_assert_str_eq(who.agents[1], "b-2");
	cr_assert_null(who.agents[2]);
	/* More than a token may name: the first of them. */
	agents = jose_text("%0*d", 4 * (JWT_AGENTS_MAX + 10), 0);
	for (size_t i = 0; agents[i] != '\0'; i++)
		agents[i] = "\"a\","[i % 4];
	agents[strlen(agents) - 1] = '\0';
	claims = jose_text("{" STANDARD "," EXP "," ROLE ",\"agents\":[%s]}",
			   agents);
	cr_assert_eq(judge(HEADER, claims), JWT_GOOD);
	while (who.agents[count] != NULL)
		count++;
	cr_assert_eq(count, JWT_AGENTS_MAX);
	free(claims);
	free(agents);
	/* No claim: no agent, rather than all. */
	cr_assert_eq(judge(HEADER, CLAIMS(EXP "," ROLE)), JWT_GOOD);
	cr_assert_not_null(who.agents);
	cr_assert_null(who.agents[0]);
}

static void name_of(const char *sub, char out[PRINCIPAL_NAME_MAX])
{
	char *claims = jose_text("{\"iss\":\"" ISSUER "\",\"aud\":\"atomd\","
				 "\"sub\":\"%s\"," EXP "," ROLE "}",
				 sub);

	cr_assert_eq(judge(HEADER, claims), JWT_GOOD, "%s", why);
	memcpy(out, who.name, PRINCIPAL_NAME_MAX);
	free(claims);
}

Test(jwt_identity, no_two_subjects_are_one_principal)
{
	char one[PRINCIPAL_NAME_MAX], other[PRINCIPAL_NAME_MAX];
	char *sub = jose_text("%0200d", 1), *hashed;

	name_of(sub, one);
	sub[0] = '1';
	name_of(sub, other);
	cr_assert_str_neq(one, other);
	cr_assert_lt(strlen(one), PRINCIPAL_NAME_MAX);
	/* The hash of one, said by another. */
	hashed = strchr(one, '#');
	cr_assert_not_null(hashed);
	hashed = strdup(hashed);
	name_of(hashed, other);
	cr_assert_str_neq(one, other);
	name_of("a b", one);
	name_of("a\\u001fb", other);
	cr_assert_str_neq(one, other);
	cr_assert_null(strchr(other, '\x1f'));
	free(hashed);
	free(sub);
}

Test(jwt_identity, a_token_names_somebody)
{
	expect(JWT_REFUSED, "sub", HEADER,
	       "{\"iss\":\"" ISSUER "\",\"aud\":\"atomd\"," EXP "," ROLE "}");
	expect(JWT_REFUSED, "sub", HEADER,
	       "{\"iss\":\"" ISSUER "\",\"aud\":\"atomd\",\"sub\":\"\"," EXP
	       "," ROLE "}");
	expect(JWT_REFUSED, "sub", HEADER,
	       "{\"iss\":\"" ISSUER "\",\"aud\":\"atomd\",\"sub\":1," EXP
	       "," ROLE "}");
}

/* --- what is remembered --------------------------------------------------- */

Test(jwt_cache, keeps_a_token_until_it_expires_or_its_issuers_change)
{
	struct jwt_cache *cache = jwt_cache_new();
	struct jwt_identity identity = { .role = "caller",
					 .name = "jwt:x:ann",
					 .expires_ms = 1000 };
	uint8_t hash[32] = { 7 }, other[32] = { 7, 1 };

	cr_assert_not_null(cache);
	cr_assert_null(jwt_cache_find(cache, hash, 1, 10));
	cr_assert_str_eq(jwt_cache_put(cache, hash, 1, 10, &identity)->name,
			 "jwt:x:ann");
	cr_assert_str_eq(jwt_cache_find(cache, hash, 1, 999)->name,
			 "jwt:x:ann");
	cr_assert_null(jwt_cache_find(cache, hash, 1, 1000));
	cr_assert_null(jwt_cache_find(cache, hash, 2, 10));
	cr_assert_null(jwt_cache_find(cache, other, 1, 10));
	jwt_cache_free(&cache);
}

Test(jwt_cache, forgets_the_longest_unused_and_never_grows)
{
	struct jwt_cache *cache = jwt_cache_new();
	uint8_t hash[32] = { 0 };

	for (int i = 0; i < 5; i++) {
		struct jwt_identity identity = { .role = "caller",
						 .expires_ms = 1000 };

		identity.agents = mem_array(2, sizeof(char *));
		hash[31] = (uint8_t)i;
		(void)jwt_cache_put(cache, hash, 1, 0, &identity);
		cr_assert_null(identity.agents);
		/* The first is in use all the time. */
		hash[31] = 0;
		cr_assert_not_null(jwt_cache_find(cache, hash, 1, 0));
	}
	hash[31] = 1;
	cr_assert_null(jwt_cache_find(cache, hash, 1, 0));
	for (int i = 2; i < 5; i++) {
		hash[31] = (uint8_t)i;
		cr_assert_not_null(jwt_cache_find(cache, hash, 1, 0));
	}
	jwt_cache_free(&cache);
}
