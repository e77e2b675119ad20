/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Tokens of other issuers: each rule of RFC 8725 that concerns who takes
 * them.
 */

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "jwt_fixture.h"

TestSuite(jwt, .init = set_up, .fini = tear_down);

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
