/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials where memory or OpenSSL fails: nobody gets in by it.
 */
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/memory.h"
#include "failing_memory.h"
#include "failing_openssl.h"
#include "fails_closed.h"
#include "http/server.h"
#include "jose_fixture.h"
#include "security/certificate.h"
#include "security/jwk.h"
#include "security/jwt.h"
#include "security/keys_priv.h"
#include "security/role.h"
#include "security/secret.h"

static struct atom_error err;

/* --- keys of issuers ---------------------------------------------------------- */

static bool begins(void)
{
	jwk_fini();
	return jwk_init(&err) == ATOM_OK;
}

static bool reads(const char *text)
{
	struct jwks *keys = NULL;
	bool read = jwks_parse(text, strlen(text), &keys, &err) == ATOM_OK;

	jwks_unref(&keys);
	return read;
}

static const char *const algorithms[] = { "EdDSA", "ES256", "RS256", "PS256" };

/* A set of one key of that algorithm. */
static char *set_of(EVP_PKEY *key, const char *algorithm)
{
	char *members = jose_text("\"kid\":\"a\",\"alg\":\"%s\",", algorithm);
	char *jwk = jose_jwk(key, members);
	char *text = jose_text("{\"keys\":[%s]}", jwk);

	free(members);
	free(jwk);
	return text;
}

Test(security_closed, no_key_of_an_issuer_is_taken)
{
	FAILS_CLOSED(failing_openssl, begins());
	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
		EVP_PKEY *key = jose_key(algorithms[i]);
		char *text = set_of(key, algorithms[i]);

		FAILS_CLOSED(failing_openssl, reads(text));
		FAILS_CLOSED(failing_memory, reads(text));
		free(text);
		EVP_PKEY_free(key);
	}
	jwk_fini();
}

/* --- tokens ---------------------------------------------------------------------- */

#define HEADER_OF "{\"alg\":\"%s\",\"kid\":\"a\"}"
/* A subject whose name is a hash, and agents. */
#define CLAIMS                                              \
	"{\"iss\":\"i\",\"aud\":\"atomd\",\"sub\":\"a b\"," \
	"\"exp\":1800000060,\"role\":\"x\",\"agents\":[\"a\",\"b\"]}"

static const struct config_jwt_role rows[] = { { "x", "caller" } };
static const struct config_jwt config = {
	.issuer = "i",
	.audience = "atomd",
	.role_claim = "role",
	.agents_claim = "agents",
	.roles = rows,
	.role_count = 1,
};
static struct jwt_issuer issuer;

static bool lets_in(const char *token)
{
	const struct jwt_issuer *found;
	struct jwt_identity who = { .role = NULL };
	const char *why = NULL;
	enum jwt_verdict verdict = jwt_check(token, strlen(token), &issuer, 1,
					     1800000000000, &who, &found, &why);

	if (verdict == JWT_FAILED)
		cr_assert_not_null(strstr(why, "no memory"));
	jwt_agents_free(&who.agents);
	return verdict == JWT_GOOD;
}

Test(security_closed, no_token_is_let_in)
{
	cr_assert_eq(jwk_init(&err), ATOM_OK);
	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
		EVP_PKEY *key = jose_key(algorithms[i]);
		char *text = set_of(key, algorithms[i]);
		char *header = jose_text(HEADER_OF, algorithms[i]), *token;
		struct jwks *keys = NULL;

		token = jose_token(key, algorithms[i], header, CLAIMS);
		cr_assert_eq(jwks_parse(text, strlen(text), &keys, &err),
			     ATOM_OK, "%s", err.message);
		FAILS_CLOSED(failing_openssl,
			     jwt_issuer_init(&issuer, &config, keys));
		FAILS_CLOSED(failing_openssl, lets_in(token));
		FAILS_CLOSED(failing_memory, lets_in(token));
		jwks_unref(&keys);
		free(token);
		free(header);
		free(text);
		EVP_PKEY_free(key);
	}
	jwk_fini();
}

/* --- keys of ours ------------------------------------------------------------------ */

static const uint8_t pepper[SECRET_PEPPER_BYTES] = { 1 };

static bool takes_pepper(void)
{
	secret_fini();
	return secret_set_pepper(pepper, &err) == ATOM_OK;
}

static bool traces(void)
{
	char trace[SECRET_TRACE_MAX];

	secret_trace("owner", "name", trace);
	return trace[0] != '\0';
}

Test(security_closed, no_hash_of_a_key_is_made)
{
	char text[KEY_TEXT_MAX] = "atm_x", trace[SECRET_TRACE_MAX];
	char name[600];
	uint8_t hash[SECRET_HASH_LENGTH];

	/* Before there is a pepper. */
	cr_assert_neq(secret_hash(text, 5, hash), ATOM_OK);
	FAILS_CLOSED(failing_openssl, takes_pepper());
	FAILS_CLOSED(failing_openssl, secret_hash(text, 5, hash) == ATOM_OK);
	FAILS_CLOSED(failing_openssl, traces());
	/* One that would be cut, and so could be another's. */
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	secret_trace("owner", name, trace);
	cr_assert_str_eq(trace, "");
}

static unsigned int random_left;
static int (*real_random)(void *bytes, size_t length);

static int some_random(void *bytes, size_t length)
{
	return random_left-- > 0 ? real_random(bytes, length) : -1;
}

Test(security_closed, no_key_is_made_without_randomness)
{
	char text[KEY_TEXT_MAX], id[SECRET_ID_LENGTH + 1];

	real_random = os.random;
	os.random = some_random;
	/* None for the id, and none for the secret behind it. */
	for (unsigned int some = 0; some < 2; some++) {
		random_left = some;
		cr_assert_eq(secret_make(text, id, &err), ATOM_EIO);
		cr_assert_not_null(strstr(err.message, "random"));
	}
	os.random = real_random;
	cr_assert_eq(secret_make(text, id, &err), ATOM_OK);
}

#define RECORD                                                            \
	"\"role\":\"caller\",\"hash\":\"0123456789abcdef0123456789abcdef" \
	"0123456789abcdef0123456789abcdef\""

static json_t *record_of(const char *more)
{
	char *text = jose_text("{" RECORD "%s}", more);
	json_t *record = NULL;

	cr_assert_eq(json_decode(text, strlen(text), &record, &err), ATOM_OK);
	free(text);
	return record;
}

static bool is_key_for(const json_t *record, const char *const *agents)
{
	struct key *key = key_decode("key-1", record);

	if (key == NULL)
		return false;
	cr_assert_not_null(key->agents);
	for (size_t i = 0; i == 0 || agents[i - 1] != NULL; i++)
		if (agents[i] == NULL)
			cr_assert_null(key->agents[i]);
		else
			cr_assert_str_eq(key->agents[i], agents[i]);
	key_free(key);
	return true;
}

Test(security_closed, no_key_is_read_for_other_agents)
{
	static const char *const agents[] = { "a", "b", "c", NULL };
	json_t *record = record_of(",\"agents\":[\"a\",\"b\",\"c\"]");

	FAILS_CLOSED(failing_memory, is_key_for(record, agents));
	json_decref(record);
	record = record_of(",\"agents\":[]");
	cr_assert(is_key_for(record, agents + 3));
	json_decref(record);
}

Test(security_closed, no_damaged_record_opens_more)
{
	static const char *const damaged[] = {
		",\"agents\":\"a\"",	 ",\"agents\":{\"a\":1}",
		",\"agents\":[\"a\",1]", ",\"agents\":[null]",
		",\"expires_ms\":\"1\"", ",\"expires_ms\":null",
		",\"revoked\":1",	 ",\"revoked\":\"true\"",
	};
	json_t *record = record_of(",\"agents\":null,\"expires_ms\":0,"
				   "\"revoked\":false");
	struct key *key = key_decode("key-1", record);

	cr_assert_not_null(key);
	cr_assert_null(key->agents);
	key_free(key);
	json_decref(record);
	for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
		record = record_of(damaged[i]);
		cr_assert_null(key_decode("key-1", record), "%s", damaged[i]);
		json_decref(record);
	}
}

static bool publishes(const char *id, atom_status (*publish)(struct key *key))
{
	struct key *one = mem_zalloc(sizeof(*one));
	bool published;

	if (one == NULL)
		return false;
	memcpy(one->id, id, strlen(id) + 1);
	published = publish(one) == ATOM_OK;
	cr_assert_eq(key_find(id), published ? one : NULL);
	if (!published)
		mem_free(one);
	return published;
}

Test(security_closed, no_key_is_listed_that_is_not_found)
{
	atom_status (*const ways[])(struct key * key) = { key_publish,
							  key_publish_early };
	char id[16];

	/* So many that many share a shard: the later are added to a copy. */
	for (unsigned int i = 0; i < 1000; i++) {
		(void)snprintf(id, sizeof(id), "key-%u", i);
		for (unsigned int n = 1, done = 0; done == 0; n++) {
			cr_assert_eq(keys_count(), i);
			failing_memory_begin(n);
			done = publishes(id, ways[i % 2]);
			(void)failing_memory_end();
		}
	}
	FAILS_CLOSED(failing_memory, keys_sort() == ATOM_OK);
	for (unsigned int i = 0; i < 1000; i++) {
		(void)snprintf(id, sizeof(id), "key-%u", i);
		cr_assert_not_null(key_find(id));
	}
	keys_free();
	cr_assert_eq(keys_sort(), ATOM_OK);
	cr_assert_null(key_find("key-0"));
}

/* Whatever the clock said: by their numbers; those of a daemon that did not
 * count stand behind, by time and name. */
Test(security_closed, keys_are_listed_in_the_order_of_their_making)
{
	static const struct {
		const char *id;
		int64_t number, created_ms;
	} made[] = {
		{ "old-b", 0, 100 }, { "first", 7, 500 },  { "old-a", 0, 100 },
		{ "third", 9, 400 }, { "second", 8, 400 }, { "old-c", 0, 200 },
		{ "old-e", 0, 300 }, { "old-d", 0, 250 },
	};
	static const char *const expected[] = { "third", "second", "first",
						"old-e", "old-d",  "old-c",
						"old-a", "old-b" };
	const struct key *key;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
		struct key *one = mem_zalloc(sizeof(*one));

		cr_assert_not_null(one);
		memcpy(one->id, made[i].id, strlen(made[i].id) + 1);
		one->number = made[i].number;
		one->created_ms = made[i].created_ms;
		cr_assert_eq(key_publish_early(one), ATOM_OK);
	}
	cr_assert_eq(keys_sort(), ATOM_OK);
	for (key = keys_first(); key != NULL; key = key->next)
		cr_assert_str_eq(key->id, expected[n++]);
	cr_assert_eq(n, ARRAY_SIZE(expected));
	cr_assert_eq(keys_next_number(), 10);
	keys_free();
}

/* --- roles and certificates ---------------------------------------------------------- */

Test(security_closed, no_role_is_half_applied)
{
	const char *permissions[] = { "invoke_agent", NULL };
	struct config_role mine = { .name = "mine",
				    .permissions = permissions };
	struct config with = { .roles = &mine, .role_count = 1 };

	FAILS_CLOSED(failing_memory, roles_apply(&with, &err) == ATOM_OK);
	cr_assert(role_exists("mine"));
	cr_assert_eq(role_permissions("mine"), PERMISSION_INVOKE_AGENT);
	roles_fini();
	cr_assert_not(role_exists("mine"));
}

static char long_name[300];
static struct config_client_certificate certificates[] = {
	{ .subject = "", .uri = "u", .dns = "", .email = "" },
	{ .subject = "", .uri = long_name, .dns = "", .email = "" },
	{ .subject = "", .uri = "#u", .dns = "", .email = "" },
};

static bool has_rules(void)
{
	const struct config some = {
		.client_certificates = certificates,
		.client_certificate_count = ARRAY_SIZE(certificates),
	};
	struct certificate_rules *rules = NULL;
	bool made = certificate_rules_new(&some, &rules, &err) == ATOM_OK;

	cr_assert_eq(rules != NULL, made);
	certificate_rules_free(&rules);
	return made;
}

Test(security_closed, no_row_of_a_certificate_is_left_out)
{
	memset(long_name, 'u', sizeof(long_name) - 1);
	cr_assert_eq(jwk_init(&err), ATOM_OK);
	FAILS_CLOSED(failing_memory, has_rules());
	FAILS_CLOSED(failing_openssl, has_rules());
	jwk_fini();
}
