/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Keys of issuers and their signatures: the examples of the RFCs, and what
 * implementations are known to get wrong (in the manner of Project
 * Wycheproof).
 */

#include <criterion/criterion.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "jose_fixture.h"
#include "security/base64url.h"
#include "security/jwk.h"

/* --- base64url ------------------------------------------------------------------ */

static bool decodes(const char *text, const char *expected)
{
	uint8_t bytes[64];
	size_t length;

	if (!base64url_decode(text, strlen(text), bytes, sizeof(bytes),
			      &length))
		return false;
	return length == strlen(expected) &&
	       memcmp(bytes, expected, length) == 0;
}

Test(base64url, reads_the_vectors_of_rfc_4648_without_their_padding)
{
	cr_assert(decodes("", ""));
	cr_assert(decodes("Zg", "f"));
	cr_assert(decodes("Zm8", "fo"));
	cr_assert(decodes("Zm9v", "foo"));
	cr_assert(decodes("Zm9vYg", "foob"));
	cr_assert(decodes("Zm9vYmE", "fooba"));
	cr_assert(decodes("Zm9vYmFy", "foobar"));
	/* RFC 7515 appendix C */
	cr_assert(decodes("A-z_4ME", "\x03\xec\xff\xe0\xc1"));
}

Test(base64url, refuses_every_other_way_to_write_the_same_bytes)
{
	static const char *const wrong[] = {
		"Zg==",	  "Zm8=",   "Zg=",   "A+z/4ME",	   " Zg", "Zg ",
		"Zm9v\n", "Z",	    "Zm9vZ", "Zh", /* bits left over */
		"Zm9",	  "Zm9vYh", "Z.g",   "Zm\xc3\xa9",
	};
	uint8_t bytes[64];
	size_t length;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		cr_assert_not(base64url_decode(wrong[i], strlen(wrong[i]),
					       bytes, sizeof(bytes), &length),
			      "\"%s\" was read", wrong[i]);
	cr_assert_not(
		base64url_decode("Zm\0v", 4, bytes, sizeof(bytes), &length));
}

Test(base64url, writes_nothing_beyond_its_room)
{
	uint8_t bytes[4] = { 9, 9, 9, 9 };
	size_t length = 77;

	cr_assert_not(base64url_decode("Zm9vYmFy", 8, bytes, 3, &length));
	cr_assert_eq(bytes[3], 9);
	cr_assert_eq(length, 77);
	cr_assert(base64url_decode("Zm9v", 4, bytes, 3, &length));
	cr_assert_eq(length, 3);
}

Test(base64url, every_text_it_reads_is_the_one_that_is_written)
{
	/* All texts of three and two characters. */
	char text[5] = "";
	uint8_t bytes[3];
	size_t length, read = 0;

	for (int a = 32; a < 127; a++)
		for (int b = 32; b < 127; b++) {
			char *again;

			text[0] = (char)a;
			text[1] = (char)b;
			if (!base64url_decode(text, 2, bytes, sizeof(bytes),
					      &length))
				continue;
			again = jose_base64url(bytes, length);
			cr_assert_str_eq(again, text);
			free(again);
			read++;
		}
	cr_assert_eq(read, 256);
}

/* --- the RFCs' examples ------------------------------------------------------------ */

struct vector {
	const char *name;
	const char *jwk;
	enum jwk_algorithm algorithm;
	const char *input;
	const char *signature;
};

static const struct vector vectors[] = {
	{ "RFC 7515 A.2",
	  "{\"kty\":\"RSA\",\"n\":"
	  "\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp"
	  "-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG"
	  "6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e"
	  "-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_"
	  "I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9g"
	  "b54h4FRWyuXpoQ\",\"e\":\"AQAB\"}",
	  JWK_RS256,
	  "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsD"
	  "QogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
	  "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AA"
	  "uHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAyn"
	  "RFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZR"
	  "mB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnv"
	  "Wh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_Ioy"
	  "pGlUPQGe77Rw" },
	{ "RFC 7515 A.3",
	  "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
	  "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":"
	  "\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
	  JWK_ES256,
	  "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsD"
	  "QogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
	  "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApm"
	  "WQxfKTUJqPP3-Kg6NU1Q" },
	{ "RFC 8037 A.4",
	  "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
	  "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
	  JWK_EDDSA, "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
	  "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhV"
	  "sPt9g7sVvpAr_MuM0KAg" },
};

static struct jwks *parse(const char *text)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct jwks *keys = NULL;

	cr_assert_eq(jwk_init(&err), ATOM_OK);
	cr_assert_eq(jwks_parse(text, strlen(text), &keys, &err), ATOM_OK,
		     "%s: %s", err.message, text);
	return keys;
}

static struct jwks *set_of(const char *jwk)
{
	char *text = jose_text("{\"keys\":[%s]}", jwk);
	struct jwks *keys = parse(text);

	free(text);
	return keys;
}

static bool verifies(const struct jwks *keys, enum jwk_algorithm algorithm,
		     const char *input, const uint8_t *signature, size_t length)
{
	const struct jwk *key = jwks_find(keys, NULL, algorithm);

	return key != NULL &&
	       jwk_verify(key, input, strlen(input), signature, length);
}

Test(jwk, the_examples_of_the_rfcs_verify_and_no_bit_of_them_may_change)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		const struct vector *v = &vectors[i];
		struct jwks *keys = set_of(v->jwk);
		uint8_t signature[512];
		size_t length;
		char *input = strdup(v->input);

		cr_assert(base64url_decode(v->signature, strlen(v->signature),
					   signature, sizeof(signature),
					   &length));
		cr_assert(
			verifies(keys, v->algorithm, input, signature, length),
			"%s", v->name);
		for (size_t bit = 0; bit < length * 8; bit += 7) {
			signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
			cr_assert_not(verifies(keys, v->algorithm, input,
					       signature, length),
				      "%s, bit %zu", v->name, bit);
			signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		input[3] ^= 1;
		cr_assert_not(
			verifies(keys, v->algorithm, input, signature, length));
		free(input);
		jwks_unref(&keys);
	}
}

Test(jwk, a_signature_has_the_length_of_its_kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		const struct vector *v = &vectors[i];
		struct jwks *keys = set_of(v->jwk);
		uint8_t signature[512] = { 0 };
		size_t length;

		cr_assert(base64url_decode(v->signature, strlen(v->signature),
					   signature, sizeof(signature),
					   &length));
		cr_assert_not(verifies(keys, v->algorithm, v->input, signature,
				       length - 1));
		cr_assert_not(verifies(keys, v->algorithm, v->input, signature,
				       length + 1));
		cr_assert_not(
			verifies(keys, v->algorithm, v->input, signature, 0));
		/* A zero in front is the same number and another text. */
		memmove(signature + 1, signature, length);
		signature[0] = 0;
		cr_assert_not(verifies(keys, v->algorithm, v->input, signature,
				       length + 1));
		jwks_unref(&keys);
	}
}

/* --- ES256 ----------------------------------------------------------------------- */

static const char order_hex[] =
	"FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551";

static const struct vector *es256 = &vectors[1];

static void es256_signature(uint8_t raw[64])
{
	size_t length;

	cr_assert(base64url_decode(es256->signature, strlen(es256->signature),
				   raw, 64, &length));
	cr_assert_eq(length, 64);
}

static void put(BIGNUM *number, uint8_t *out)
{
	cr_assert_eq(BN_bn2binpad(number, out, 32), 32);
	BN_free(number);
}

Test(jwk, es256_takes_no_r_or_s_that_is_zero_or_not_below_the_order)
{
	struct jwks *keys = set_of(es256->jwk);
	uint8_t raw[64];
	BIGNUM *order = NULL, *sum;

	BN_hex2bn(&order, order_hex);
	for (int half = 0; half < 2; half++) {
		uint8_t *at = raw + 32 * half;

		es256_signature(raw);
		memset(at, 0, 32);
		cr_assert_not(verifies(keys, JWK_ES256, es256->input, raw, 64));
		put(BN_dup(order), at);
		cr_assert_not(verifies(keys, JWK_ES256, es256->input, raw, 64));
		memset(at, 0xff, 32);
		cr_assert_not(verifies(keys, JWK_ES256, es256->input, raw, 64));
		/* r + n is r again, to who does not look at the range. */
		es256_signature(raw);
		sum = BN_bin2bn(at, 32, NULL);
		BN_add(sum, sum, order);
		if (BN_num_bytes(sum) <= 32) {
			put(sum, at);
			cr_assert_not(verifies(keys, JWK_ES256, es256->input,
					       raw, 64));
		} else {
			BN_free(sum);
		}
	}
	memset(raw, 0, sizeof(raw));
	cr_assert_not(verifies(keys, JWK_ES256, es256->input, raw, 64));
	BN_free(order);
	jwks_unref(&keys);
}

/* CVE-2022-21449 was r = s = 0; a high s is no fault of ES256's (RFC 7518 has
 * no rule like Bitcoin's). */
Test(jwk, es256_takes_a_high_s)
{
	struct jwks *keys = set_of(es256->jwk);
	uint8_t raw[64];
	BIGNUM *order = NULL, *s;

	es256_signature(raw);
	BN_hex2bn(&order, order_hex);
	s = BN_bin2bn(raw + 32, 32, NULL);
	BN_sub(s, order, s);
	put(s, raw + 32);
	cr_assert(verifies(keys, JWK_ES256, es256->input, raw, 64));
	BN_free(order);
	jwks_unref(&keys);
}

Test(jwk, es256_takes_no_der)
{
	EVP_PKEY *key = jose_key("ES256");
	char *jwk = jose_jwk(key, "");
	struct jwks *keys = set_of(jwk);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t der[128];
	size_t length = sizeof(der);

	cr_assert_eq(EVP_DigestSignInit_ex(context, NULL, "SHA256", NULL, NULL,
					   key, NULL),
		     1);
	cr_assert_eq(EVP_DigestSign(context, der, &length,
				    (const uint8_t *)"a.b", 3),
		     1);
	cr_assert_not(verifies(keys, JWK_ES256, "a.b", der, length));
	EVP_MD_CTX_free(context);
	jwks_unref(&keys);
	free(jwk);
	EVP_PKEY_free(key);
}

/* --- RSA, and one algorithm a key --------------------------------------------------- */

static bool signs(EVP_PKEY *key, const struct jwks *keys, const char *with,
		  enum jwk_algorithm algorithm)
{
	char *token = jose_sign(key, with, "aGVsbG8.d29ybGQ");
	const char *encoded = strrchr(token, '.') + 1;
	uint8_t signature[1024];
	size_t length;
	bool sound;

	cr_assert(base64url_decode(encoded, strlen(encoded), signature,
				   sizeof(signature), &length));
	sound = verifies(keys, algorithm, "aGVsbG8.d29ybGQ", signature, length);
	free(token);
	return sound;
}

Test(jwk, an_rsa_key_is_for_one_algorithm)
{
	EVP_PKEY *key = jose_rsa_key(2048);
	char *plain = jose_jwk(key, "");
	char *rs = jose_jwk(key, "\"alg\":\"RS256\",");
	char *ps = jose_jwk(key, "\"alg\":\"PS256\",");
	struct jwks *keys = set_of(plain);

	cr_assert(signs(key, keys, "RS256", JWK_RS256));
	cr_assert_not(signs(key, keys, "PS256", JWK_PS256));
	cr_assert_not(signs(key, keys, "PS256", JWK_RS256));
	jwks_unref(&keys);
	keys = set_of(rs);
	cr_assert(signs(key, keys, "RS256", JWK_RS256));
	cr_assert_not(signs(key, keys, "PS256", JWK_PS256));
	jwks_unref(&keys);
	keys = set_of(ps);
	cr_assert(signs(key, keys, "PS256", JWK_PS256));
	cr_assert_not(signs(key, keys, "RS256", JWK_RS256));
	cr_assert_not(signs(key, keys, "RS256", JWK_PS256));
	jwks_unref(&keys);
	free(plain);
	free(rs);
	free(ps);
	EVP_PKEY_free(key);
}

/* The salt is as long as the hash (RFC 7518 section 3.5). */
Test(jwk, ps256_takes_no_other_salt)
{
	EVP_PKEY *key = jose_rsa_key(2048);
	char *jwk = jose_jwk(key, "\"alg\":\"PS256\",");
	struct jwks *keys = set_of(jwk);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_PKEY_CTX *inner = NULL;
	uint8_t signature[256];
	size_t length = sizeof(signature);

	EVP_DigestSignInit_ex(context, &inner, "SHA256", NULL, NULL, key, NULL);
	EVP_PKEY_CTX_set_rsa_padding(inner, RSA_PKCS1_PSS_PADDING);
	EVP_PKEY_CTX_ctrl_str(inner, "rsa_pss_saltlen", "20");
	cr_assert_eq(EVP_DigestSign(context, signature, &length,
				    (const uint8_t *)"a.b", 3),
		     1);
	cr_assert_not(verifies(keys, JWK_PS256, "a.b", signature, length));
	EVP_MD_CTX_free(context);
	jwks_unref(&keys);
	free(jwk);
	EVP_PKEY_free(key);
}

/* --- sets -------------------------------------------------------------------------- */

static void refused(const char *text, const char *why)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct jwks *keys = NULL;

	cr_assert_eq(jwk_init(&err), ATOM_OK);
	cr_assert_neq(jwks_parse(text, strlen(text), &keys, &err), ATOM_OK,
		      "%s was taken", text);
	cr_assert(strstr(err.message, why) != NULL, "\"%s\" lacks \"%s\"",
		  err.message, why);
	cr_assert_null(keys);
}

static void key_refused(const char *jwk, const char *why)
{
	char *text = jose_text("{\"keys\":[%s]}", jwk);

	refused(text, why);
	free(text);
}

Test(jwk, what_is_no_sound_key_for_signatures_is_left_out)
{
	EVP_PKEY *small = jose_rsa_key(1024), *point = jose_key("ES256");
	EVP_PKEY *edwards = jose_key("EdDSA");
	char *jwk = jose_jwk(small, ""), *members;

	key_refused(jwk, "2048 to 8192");
	free(jwk);
	key_refused("{\"kty\":\"oct\",\"k\":\"AAAA\",\"alg\":\"HS256\"}",
		    "kind");
	key_refused("{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"AA\","
		    "\"y\":\"AA\"}",
		    "kind");
	key_refused("{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AA\"}",
		    "kind");
	key_refused("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}",
		    "32 bytes");
	key_refused("{\"kty\":\"RSA\",\"n\":\"!\",\"e\":\"AQAB\"}",
		    "base64url");
	key_refused("{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"AQAB\"}", "base64url");
	key_refused("{\"kty\":\"RSA\",\"n\":\"AQAB\"}", "base64url");
	key_refused("{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}", "32 bytes");
	key_refused("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"!\"}",
		    "32 bytes");
	key_refused("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQ\"}",
		    "32 bytes");
	/* One of the two is a byte short. */
	key_refused("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQ\",\"y\":"
		    "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}",
		    "32 bytes");
	key_refused("{\"kty\":\"EC\",\"crv\":\"P-256\",\"y\":\"AQ\",\"x\":"
		    "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}",
		    "32 bytes");
	/* (1, 1) is not on the curve. */
	key_refused("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
		    "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\",\"y\":"
		    "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}",
		    "curve");
	jwk = jose_jwk(point, "\"use\":\"enc\",");
	key_refused(jwk, "signatures");
	free(jwk);
	jwk = jose_jwk(point, "\"key_ops\":[\"sign\"],");
	key_refused(jwk, "signatures");
	free(jwk);
	jwk = jose_jwk(point, "\"key_ops\":[7],");
	key_refused(jwk, "signatures");
	free(jwk);
	jwk = jose_jwk(point, "\"alg\":\"RS256\",");
	key_refused(jwk, "alg");
	free(jwk);
	jwk = jose_jwk(edwards, "\"alg\":\"none\",");
	key_refused(jwk, "alg");
	free(jwk);
	jwk = jose_jwk(edwards, "\"d\":\"AAAA\",");
	key_refused(jwk, "private");
	free(jwk);
	jwk = jose_jwk(edwards, "\"kid\":7,");
	key_refused(jwk, "kid");
	free(jwk);
	members = jose_text("\"kid\":\"%0*d\",", JWK_KID_MAX + 1, 0);
	jwk = jose_jwk(edwards, members);
	key_refused(jwk, "kid");
	free(members);
	free(jwk);
	EVP_PKEY_free(small);
	EVP_PKEY_free(point);
	EVP_PKEY_free(edwards);
}

Test(jwk, an_exponent_of_3_or_of_many_bits_is_refused)
{
	EVP_PKEY *key = jose_rsa_key(2048);
	char *jwk = jose_jwk(key, "");
	char *e = strstr(jwk, "AQAB");

	memcpy(e, "AAAD", 4);
	key_refused(jwk, "exponent");
	memcpy(e, "AQAA", 4); /* 65536: even */
	key_refused(jwk, "exponent");
	free(jwk);
	EVP_PKEY_free(key);
}

Test(jwk, a_set_is_strict_json_of_bounded_size)
{
	char *many = malloc(20000), *at = many;
	char *large = malloc(JWKS_BYTES_MAX + 2);

	refused("", "JSON");
	refused("[]", "`keys`");
	refused("{}", "`keys`");
	refused("{\"keys\":{}}", "`keys`");
	refused("{\"keys\":[]}", "none of the 0 keys");
	refused("{\"keys\":[7]}", "object");
	refused("{\"keys\":[],\"keys\":[]}", "JSON");
	at = stpcpy(at, "{\"keys\":[7");
	for (int i = 0; i < JWKS_KEYS_MAX; i++)
		at = stpcpy(at, ",7");
	(void)stpcpy(at, "]}");
	refused(many, "at most 100 keys");
	memset(large, ' ', JWKS_BYTES_MAX + 1);
	large[JWKS_BYTES_MAX + 1] = '\0';
	refused(large, "KiB");
	free(many);
	free(large);
}

/* Of keys of one kind: with names, without, and with the same. */
Test(jwk, no_name_is_no_other_s_name)
{
	EVP_PKEY *a = jose_key("EdDSA"), *b = jose_key("EdDSA");
	char *named = jose_jwk(a, "\"kid\":\"k\",");
	char *nameless = jose_jwk(b, "");
	char *other = jose_jwk(b, "\"kid\":\"l\",");
	char *text = jose_text("{\"keys\":[7,8,%s,%s,%s,%s]}", nameless, named,
			       other, nameless);
	struct jwks *keys = parse(text), *again = jwks_ref(keys);

	cr_assert_eq(jwks_count(keys), 4);
	cr_assert_eq(jwks_skipped(keys), 2);
	cr_assert_not_null(jwks_find(keys, "k", JWK_EDDSA));
	cr_assert_not_null(jwks_find(keys, "l", JWK_EDDSA));
	cr_assert_null(jwks_find(keys, "m", JWK_EDDSA));
	cr_assert_null(jwks_find(keys, NULL, JWK_EDDSA), "there is a choice");
	jwks_unref(&keys);
	cr_assert_not_null(jwks_find(again, "k", JWK_EDDSA), "still held");
	jwks_unref(&again);
	cr_assert_null(jwks_ref(NULL));
	cr_assert_eq(jwks_count(NULL) + jwks_skipped(NULL), 0);
	cr_assert_null(jwks_find(NULL, "k", JWK_EDDSA));
	refused("{\"keys\":[7,\"8\"]}", "the first: a key is an object");
	free(text);
	free(other);
	free(nameless);
	free(named);
	EVP_PKEY_free(a);
	EVP_PKEY_free(b);
}

static void rsa_refused(const uint8_t *n, size_t length, const char *e,
			const char *why)
{
	char *number = jose_base64url(n, length);
	char *text = jose_text("{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}",
			       number, e);

	key_refused(text, why);
	free(text);
	free(number);
}

Test(jwk, a_modulus_is_odd_and_of_a_size_that_can_be_checked)
{
	uint8_t n[1025];

	memset(n, 0xff, sizeof(n));
	rsa_refused(n, 1025, "AQAB", "2048 to 8192");
	rsa_refused(n, 256, "AQAAAAE", "modulus or exponent"); /* 2^32 + 1 */
	n[255] = 0xfe;
	rsa_refused(n, 256, "AQAB", "modulus or exponent");
}

Test(jwk, a_key_is_found_by_its_id_and_algorithm)
{
	EVP_PKEY *a = jose_key("ES256"), *b = jose_key("EdDSA");
	char *one = jose_jwk(a, "\"kid\":\"k\",");
	char *same = jose_jwk(a, "\"kid\":\"k\",");
	char *other = jose_jwk(b, "\"kid\":\"k\",\"use\":\"sig\","
				  "\"key_ops\":[\"verify\"],");
	char *text = jose_text("{\"keys\":[%s,%s,%s]}", one, same, other);
	struct jwks *keys = parse(text);

	cr_assert_eq(jwks_count(keys), 2);
	cr_assert_eq(jwks_skipped(keys), 1);
	cr_assert_not_null(jwks_find(keys, "k", JWK_ES256));
	cr_assert_not_null(jwks_find(keys, "k", JWK_EDDSA));
	cr_assert_neq(jwks_find(keys, "k", JWK_ES256),
		      jwks_find(keys, "k", JWK_EDDSA));
	cr_assert_null(jwks_find(keys, "k", JWK_RS256));
	cr_assert_null(jwks_find(keys, "K", JWK_ES256));
	cr_assert_null(jwks_find(keys, "", JWK_ES256));
	/* Without an id only where there is no choice. */
	cr_assert_null(jwks_find(keys, NULL, JWK_ES256));
	jwks_unref(&keys);
	keys = set_of(one);
	cr_assert_not_null(jwks_find(keys, NULL, JWK_ES256));
	cr_assert_null(jwks_find(keys, NULL, JWK_EDDSA));
	jwks_unref(&keys);
	free(one);
	free(same);
	free(other);
	free(text);
	EVP_PKEY_free(a);
	EVP_PKEY_free(b);
}
