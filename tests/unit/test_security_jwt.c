/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Tokens of other issuers: each rule of RFC 8725 that concerns who takes
 * them, and who a token stands for.
 */

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "jose_fixture.h"
#include "security/jwt.h"
#include "security/jwt_cache.h"

#define NOW_MS	 1800000000000
#define ISSUER	 "https://id.example"
#define HEADER	 "{\"alg\":\"EdDSA\",\"kid\":\"a\"}"
#define STANDARD "\"iss\":\"" ISSUER "\",\"aud\":\"atomd\",\"sub\":\"ann\""
#define GOOD	 "{" STANDARD ",\"exp\":1800000060,\"role\":\"ops\"}"

static const struct config_jwt_role roles[] = {
	{ "root", "admin" },
	{ "ops", "operator" },
	{ "app", "caller" },
};
static struct config_jwt config = {
	.issuer = ISSUER,
	.audience = "atomd",
	.role_claim = "role",
	.agents_claim = "",
	.leeway_ms = 30000,
	.roles = roles,
	.role_count = ARRAY_SIZE(roles),
};
static struct config_jwt neighbour;
static struct jwt_issuer issuers[2];
static EVP_PKEY *key, *stranger;
static struct jwt_identity who;
static const char *why;

static struct jwks *keys_of(EVP_PKEY *pair, const char *members)
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

static void set_up(void)
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

static void tear_down(void)
{
	for (int i = 0; i < 2; i++)
		jwks_unref(&issuers[i].keys);
	jwt_agents_free(&who.agents);
	EVP_PKEY_free(key);
	EVP_PKEY_free(stranger);
	jwk_fini();
}

TestSuite(jwt, .init = set_up, .fini = tear_down);

static enum jwt_verdict judge_text(const char *token)
{
	const struct jwt_issuer *issuer;

	why = NULL;
	jwt_agents_free(&who.agents);
	return jwt_check(token, strlen(token), issuers, 2, NOW_MS, &who,
			 &issuer, &why);
}

static enum jwt_verdict judge(const char *header, const char *claims)
{
	char *token = jose_token(key, "EdDSA", header, claims);
	enum jwt_verdict verdict = judge_text(token);

	free(token);
	return verdict;
}

/* The verdict, and a word of the reason. */
static void expect(enum jwt_verdict verdict, const char *word,
		   const char *header, const char *claims)
{
	enum jwt_verdict found = judge(header, claims);

	cr_assert_eq(found, verdict, "%d: %s %s: %s", (int)found, header,
		     claims, why);
	cr_assert(strstr(why, word) != NULL, "\"%s\" lacks \"%s\"", why, word);
}

#define CLAIMS(more) "{" STANDARD "," more "}"
#define EXP	     "\"exp\":1800000060"
#define ROLE	     "\"role\":\"ops\""

Test(jwt, a_sound_token_is_its_subject_with_the_role_of_its_claim)
{
	cr_assert_eq(judge(HEADER, GOOD), JWT_GOOD, "%s", why);
	cr_assert_str_eq(who.role, "operator");
	cr_assert_eq(strncmp(who.name, "jwt:", 4), 0);
	cr_assert_eq(strlen(issuers[0].tag), 12);
	cr_assert_eq(strncmp(who.name + 4, issuers[0].tag, 12), 0);
	cr_assert_str_eq(who.name + 16, ":ann");
	cr_assert_null(who.agents);
	cr_assert_eq(who.expires_ms, 1800000090000);
}

Test(jwt, an_algorithm_is_never_the_token_s_choice)
{
	static const char *const others[] = {
		"none",	 "None",  "NONE",   "nOnE",   "HS256", "HS384",
		"HS512", "RS384", "RS512",  "PS384",  "ES384", "ES512",
		"",	 "eddsa", "EdDSA ", "ES256K", "Ed448", "dir",
	};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		char *header =
			jose_text("{\"alg\":\"%s\",\"kid\":\"a\"}", others[i]);

		expect(JWT_BAD, "algorithm", header, GOOD);
		free(header);
	}
	/* Sound ones, that are not this key's. */
	expect(JWT_BAD, "no key of that name and algorithm",
	       "{\"alg\":\"RS256\",\"kid\":\"a\"}", GOOD);
	expect(JWT_BAD, "no key of that name and algorithm",
	       "{\"alg\":\"ES256\",\"kid\":\"a\"}", GOOD);
	expect(JWT_BAD, "algorithm", "{\"kid\":\"a\"}", GOOD);
	expect(JWT_BAD, "algorithm", "{\"alg\":1,\"kid\":\"a\"}", GOOD);
	cr_assert_eq(judge("{\"alg\":\"Ed25519\",\"kid\":\"a\"}", GOOD),
		     JWT_GOOD);
}

/* The public key as HMAC secret: the oldest trick. */
Test(jwt, a_token_signed_with_the_public_key_as_secret_is_refused)
{
	char *jwk = jose_jwk(key, "");
	char *header = jose_base64url("{\"alg\":\"HS256\",\"kid\":\"a\"}", 25);
	char *claims = jose_base64url(GOOD, strlen(GOOD));
	char *input = jose_text("%s.%s", header, claims), *mac, *token;
	uint8_t out[32];
	size_t n = 0;

	cr_assert_not_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, jwk,
				     strlen(jwk), (const uint8_t *)input,
				     strlen(input), out, sizeof(out), &n));
	mac = jose_base64url(out, n);
	token = jose_text("%s.%s", input, mac);
	cr_assert_eq(judge_text(token), JWT_BAD);
	free(jwk);
	free(header);
	free(claims);
	free(input);
	free(mac);
	free(token);
}

Test(jwt, a_token_without_signature_is_refused)
{
	char *header = jose_base64url("{\"alg\":\"none\"}", 14);
	char *claims = jose_base64url(GOOD, strlen(GOOD));
	char *token = jose_text("%s.%s.", header, claims);

	cr_assert_eq(judge_text(token), JWT_BAD);
	free(token);
	free(header);
	header = jose_base64url(HEADER, strlen(HEADER));
	token = jose_text("%s.%s.", header, claims);
	cr_assert_eq(judge_text(token), JWT_BAD);
	free(token);
	free(header);
	free(claims);
}

Test(jwt, a_stranger_s_signature_is_refused)
{
	char *token = jose_token(stranger, "EdDSA", HEADER, GOOD);

	cr_assert_eq(judge_text(token), JWT_BAD);
	cr_assert_str_eq(why, "its signature is wrong");
	free(token);
}

/* RFC 8725 section 2.8: two issuers, and each with its own keys only. */
Test(jwt, the_keys_of_one_issuer_do_not_sign_for_another)
{
	const char *claims =
		"{\"iss\":\"https://other.example\","
		"\"aud\":\"atomd\",\"sub\":\"ann\"," EXP "," ROLE "}";
	char *token = jose_token(stranger, "EdDSA", HEADER, claims);

	cr_assert_eq(judge_text(token), JWT_GOOD, "%s", why);
	cr_assert_neq(strncmp(who.name + 4, issuers[0].tag, 12), 0,
		      "one subject of two issuers is one principal");
	free(token);
	expect(JWT_BAD, "signature", HEADER, claims);
}

Test(jwt, extensions_are_refused)
{
	expect(JWT_BAD, "critical",
	       "{\"alg\":\"EdDSA\",\"kid\":\"a\",\"crit\":[\"exp\"]}", GOOD);
	expect(JWT_BAD, "critical",
	       "{\"alg\":\"EdDSA\",\"kid\":\"a\",\"crit\":[]}", GOOD);
	expect(JWT_BAD, "critical",
	       "{\"alg\":\"EdDSA\",\"kid\":\"a\",\"b64\":false}", GOOD);
	expect(JWT_BAD, "compressed",
	       "{\"alg\":\"EdDSA\",\"kid\":\"a\",\"zip\":\"DEF\"}", GOOD);
	expect(JWT_BAD, "encrypted",
	       "{\"alg\":\"EdDSA\",\"kid\":\"a\",\"enc\":\"A256GCM\"}", GOOD);
}

Test(jwt, a_type_is_jwt_or_an_access_token)
{
	static const char *const good[] = { "JWT", "jwt", "at+jwt",
					    "application/at+jwt" };
	static const char *const bad[] = {
		"\"JOSE\"", "\"dpop+jwt\"", "\"secevent+jwt\"", "\"\"",
		"7",	    "null"
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		char *header = jose_text("{\"alg\":\"EdDSA\",\"kid\":\"a\","
					 "\"typ\":\"%s\"}",
					 good[i]);

		cr_assert_eq(judge(header, GOOD), JWT_GOOD, "%s", good[i]);
		free(header);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char *header = jose_text("{\"alg\":\"EdDSA\",\"kid\":\"a\","
					 "\"typ\":%s}",
					 bad[i]);

		expect(JWT_BAD, "type", header, GOOD);
		free(header);
	}
}

/* They are not looked at: the key is the configured one, or none. */
Test(jwt, keys_that_a_token_brings_along_are_not_used)
{
	char *jwk = jose_jwk(stranger, "\"kid\":\"a\",");
	char *header = jose_text(
		"{\"alg\":\"EdDSA\",\"kid\":\"a\",\"jwk\":%s,"
		"\"jku\":\"https://evil.example/jwks\","
		"\"x5u\":\"https://evil.example/x\",\"x5c\":[\"AA\"]}",
		jwk);
	char *token = jose_token(stranger, "EdDSA", header, GOOD);

	cr_assert_eq(judge_text(token), JWT_BAD);
	cr_assert_eq(judge(header, GOOD), JWT_GOOD);
	free(token);
	free(header);
	free(jwk);
}

Test(jwt, the_key_is_named)
{
	expect(JWT_BAD, "no key", "{\"alg\":\"EdDSA\",\"kid\":\"b\"}", GOOD);
	expect(JWT_BAD, "no text", "{\"alg\":\"EdDSA\",\"kid\":1}", GOOD);
	/* The set has one key, so there is no choice. */
	cr_assert_eq(judge("{\"alg\":\"EdDSA\"}", GOOD), JWT_GOOD);
	jwks_unref(&issuers[0].keys);
	expect(JWT_BAD, "not here", HEADER, GOOD);
}

Test(jwt, time_has_to_be_right)
{
	expect(JWT_REFUSED, "exp", HEADER, CLAIMS(ROLE));
	expect(JWT_REFUSED, "exp", HEADER, CLAIMS(ROLE ",\"exp\":\"1\""));
	expect(JWT_REFUSED, "exp", HEADER, CLAIMS(ROLE ",\"exp\":null"));
	expect(JWT_REFUSED, "exp", HEADER, CLAIMS(ROLE ",\"exp\":-5"));
	expect(JWT_REFUSED, "exp", HEADER, CLAIMS(ROLE ",\"exp\":1e300"));
	expect(JWT_REFUSED, "expired", HEADER,
	       CLAIMS(ROLE ",\"exp\":1799999970"));
	expect(JWT_REFUSED, "expired", HEADER, CLAIMS(ROLE ",\"exp\":0"));
	/* Within the leeway of 30 s, to the millisecond. */
	cr_assert_eq(judge(HEADER, CLAIMS(ROLE ",\"exp\":1799999971")),
		     JWT_GOOD);
	cr_assert_eq(judge(HEADER, CLAIMS(ROLE ",\"exp\":1799999970.001")),
		     JWT_GOOD);
	expect(JWT_REFUSED, "nbf", HEADER,
	       CLAIMS(EXP "," ROLE ",\"nbf\":1800000031"));
	cr_assert_eq(judge(HEADER, CLAIMS(EXP "," ROLE ",\"nbf\":1800000030")),
		     JWT_GOOD);
	expect(JWT_REFUSED, "nbf", HEADER,
	       CLAIMS(EXP "," ROLE ",\"nbf\":\"soon\""));
	expect(JWT_REFUSED, "iat", HEADER,
	       CLAIMS(EXP "," ROLE ",\"iat\":1800000031"));
	expect(JWT_REFUSED, "iat", HEADER,
	       CLAIMS(EXP "," ROLE ",\"iat\":true"));
	expect(JWT_REFUSED, "iat", HEADER,
	       CLAIMS(ROLE ",\"exp\":1800000010,\"iat\":1800000020"));
	cr_assert_eq(judge(HEADER, CLAIMS(EXP "," ROLE ",\"iat\":1700000000")),
		     JWT_GOOD);
}

Test(jwt, it_has_to_be_made_for_us)
{
	static const char *const good[] = { "\"atomd\"", "[\"atomd\"]",
					    "[\"x\",\"atomd\"]" };
	static const char *const bad[] = {
		"\"Atomd\"",   "\"atomd \"", "\"atomd2\"",
		"\"x atomd\"", "[]",	     "[[\"atomd\"]]",
		"7",	       "null",	     "{\"atomd\":1}"
	};
	char *claims;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		claims = jose_text("{\"iss\":\"" ISSUER "\",\"sub\":\"a\"," EXP
				   "," ROLE ",\"aud\":%s}",
				   good[i]);
		cr_assert_eq(judge(HEADER, claims), JWT_GOOD, "%s", good[i]);
		free(claims);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		claims = jose_text("{\"iss\":\"" ISSUER "\",\"sub\":\"a\"," EXP
				   "," ROLE ",\"aud\":%s}",
				   bad[i]);
		expect(JWT_REFUSED, "aud", HEADER, claims);
		free(claims);
	}
	expect(JWT_REFUSED, "aud", HEADER,
	       "{\"iss\":\"" ISSUER "\",\"sub\":\"a\"," EXP "," ROLE "}");
}

Test(jwt, an_issuer_is_compared_to_the_letter)
{
	static const char *const others[] = { "https://id.example/",
					      "https://ID.example",
					      "http://id.example",
					      "https://id.example.evil", "" };

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		char *claims = jose_text("{\"iss\":\"%s\",\"aud\":\"atomd\","
					 "\"sub\":\"a\"," EXP "," ROLE "}",
					 others[i]);

		cr_assert_eq(judge(HEADER, claims), JWT_FOREIGN, "%s",
			     others[i]);
		free(claims);
	}
	cr_assert_eq(judge(HEADER, "{" EXP "}"), JWT_FOREIGN);
	cr_assert_eq(judge(HEADER, "{\"iss\":[\"" ISSUER "\"]," EXP "}"),
		     JWT_FOREIGN);
}

Test(jwt, json_has_one_reading)
{
	/* Of two members of one name two readers would take different ones. */
	cr_assert_eq(judge(HEADER,
			   "{" STANDARD "," EXP "," ROLE ",\"role\":\"root\"}"),
		     JWT_FOREIGN);
	cr_assert_eq(judge(HEADER, "{" STANDARD "," EXP "," ROLE
				   ",\"x\":{\"a\":1,\"a\":2}}"),
		     JWT_FOREIGN);
	expect(JWT_BAD, "header",
	       "{\"alg\":\"EdDSA\",\"kid\":\"a\",\"kid\":\"a\"}", GOOD);
	expect(JWT_BAD, "header", "{\"alg\":\"EdDSA\",\"kid\":\"a\"} x", GOOD);
	expect(JWT_BAD, "header", "[\"alg\"]", GOOD);
	expect(JWT_BAD, "header", "", GOOD);
	cr_assert_eq(
		judge(HEADER, "{" STANDARD "," EXP "," ROLE ",\"x\":\"\xff\"}"),
		JWT_FOREIGN);
	cr_assert_eq(judge(HEADER,
			   "{" STANDARD "," EXP "," ROLE ",\"x\":\"\\u0000\"}"),
		     JWT_FOREIGN);
	cr_assert_eq(judge(HEADER, "[]"), JWT_FOREIGN);
}

Test(jwt, json_nests_64_deep_at_most)
{
	char deep[200], *claims;

	memset(deep, '[', 70);
	memset(deep + 70, ']', 70);
	deep[140] = '\0';
	claims = jose_text("{" STANDARD "," EXP "," ROLE ",\"x\":%s}", deep);
	cr_assert_eq(judge(HEADER, claims), JWT_FOREIGN);
	free(claims);
}

Test(jwt, base64url_has_one_reading)
{
	char *good = jose_token(key, "EdDSA", HEADER, GOOD);
	size_t length = strlen(good);
	char *text;

	cr_assert_eq(judge_text(good), JWT_GOOD);
	/* Ed25519: 64 bytes, so the last character holds four spare bits. */
	text = strdup(good);
	text[length - 1] = text[length - 1] == 'Q' ? 'R' : text[length - 1] + 1;
	cr_assert_eq(judge_text(text), JWT_BAD);
	free(text);
	text = jose_text("%s==", good);
	cr_assert_eq(judge_text(text), JWT_BAD);
	free(text);
	text = jose_text("%s\n", good);
	cr_assert_eq(judge_text(text), JWT_BAD);
	free(text);
	text = jose_text(" %s", good);
	cr_assert_eq(judge_text(text), JWT_BAD);
	free(text);
	text = jose_text("%s.", good);
	cr_assert_eq(judge_text(text), JWT_FOREIGN);
	free(text);
	free(good);
}

Test(jwt, what_is_no_token_is_foreign)
{
	static const char *const texts[] = {
		"",	    ".",	   "..",	"...",
		"a.b",	    "a.b.c",	   "sk-1",	"e30.e30",
		"e30.e30.", "e30.W10.e30", "a.b.c.d.e",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		cr_assert_eq(judge_text(texts[i]), JWT_FOREIGN, "%s", texts[i]);
}

Test(jwt, a_token_has_16_kib_at_most)
{
	for (int over = 0; over < 2; over++) {
		size_t filler = over ? 13000 : 11500;
		char *claims = jose_text("{" STANDARD "," EXP "," ROLE
					 ",\"x\":\"%0*d\"}",
					 (int)filler, 0);
		char *token = jose_token(key, "EdDSA", HEADER, claims);

		cr_assert_eq(strlen(token) > JWT_LENGTH_MAX, over != 0);
		cr_assert_eq(judge_text(token), over ? JWT_FOREIGN : JWT_GOOD);
		free(token);
		free(claims);
	}
}

Test(jwt, every_single_changed_character_is_noticed)
{
	char *token = jose_token(key, "EdDSA", HEADER, GOOD);
	size_t length = strlen(token);

	for (size_t i = 0; i < length; i++) {
		char was = token[i];

		token[i] = was == 'A' ? 'B' : 'A';
		cr_assert_neq(judge_text(token), JWT_GOOD, "character %zu", i);
		token[i] = was;
	}
	cr_assert_eq(judge_text(token), JWT_GOOD);
	free(token);
}

Test(jwt, each_algorithm_lets_its_token_in)
{
	static const char *const algorithms[] = { "RS256", "PS256", "ES256",
						  "EdDSA" };

	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
		EVP_PKEY *pair = jose_key(algorithms[i]);
		char *members = jose_text("\"kid\":\"k\",\"alg\":\"%s\",",
					  algorithms[i]);
		char *header = jose_text("{\"alg\":\"%s\",\"kid\":\"k\"}",
					 algorithms[i]);
		char *token = jose_token(pair, algorithms[i], header, GOOD);

		jwks_unref(&issuers[0].keys);
		issuers[0].keys = keys_of(pair, members);
		cr_assert_eq(judge_text(token), JWT_GOOD, "%s: %s",
			     algorithms[i], why);
		free(token);
		free(header);
		free(members);
		EVP_PKEY_free(pair);
	}
}

/* --- who ----------------------------------------------------------------------- */

Test(jwt, the_first_row_that_fits_gives_the_role)
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

Test(jwt, dots_lead_into_objects_and_a_whole_name_comes_first)
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

Test(jwt, agents_of_a_claim_limit_the_token)
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

Test(jwt, no_two_subjects_are_one_principal)
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

Test(jwt, a_token_names_somebody)
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

/* --- what is remembered ----------------------------------------------------------- */

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
