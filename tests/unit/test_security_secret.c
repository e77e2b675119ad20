/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "core/loop.h"
#include "core/text.h"
#include "security/keys_priv.h"
#include "security/principal.h"
#include "security/role.h"
#include "security/secret.h"

/* The text of API keys, their hash, and the built-in roles. */

Test(secret, a_new_key_has_the_documented_form)
{
	struct atom_error err = ATOM_ERROR_INIT;
	char text[SECRET_TEXT_LENGTH + 1], id[SECRET_ID_LENGTH + 1];
	char parsed[SECRET_ID_LENGTH + 1];

	cr_assert_eq(secret_make(text, id, &err), ATOM_OK, "%s", err.message);
	cr_assert_eq(strlen(text), SECRET_TEXT_LENGTH);
	cr_assert_eq(strncmp(text, "atm_", 4), 0);
	cr_assert_eq(text[4 + SECRET_ID_LENGTH], '_');
	cr_assert(secret_parse(text, parsed));
	cr_assert_str_eq(parsed, id);
}

Test(secret, two_keys_share_nothing)
{
	struct atom_error err = ATOM_ERROR_INIT;
	char one[SECRET_TEXT_LENGTH + 1], other[SECRET_TEXT_LENGTH + 1];
	char id[SECRET_ID_LENGTH + 1], other_id[SECRET_ID_LENGTH + 1];

	cr_assert_eq(secret_make(one, id, &err), ATOM_OK);
	cr_assert_eq(secret_make(other, other_id, &err), ATOM_OK);
	cr_assert_str_neq(id, other_id);
	cr_assert_str_neq(one + 17, other + 17);
}

Test(secret, every_single_typo_is_told_without_a_look_up)
{
	struct atom_error err = ATOM_ERROR_INIT;
	char text[SECRET_TEXT_LENGTH + 1], id[SECRET_ID_LENGTH + 1];
	char parsed[SECRET_ID_LENGTH + 1];

	cr_assert_eq(secret_make(text, id, &err), ATOM_OK);
	for (size_t i = 0; i < SECRET_TEXT_LENGTH; i++) {
		char right = text[i];

		text[i] = right == 'a' ? 'b' : 'a';
		cr_assert_not(secret_parse(text, parsed),
			      "character %zu changed and nobody noticed", i);
		text[i] = right;
	}
	text[SECRET_TEXT_LENGTH - 1] = '\0';
	cr_assert_not(secret_parse(text, parsed), "one character short");
	cr_assert_not(secret_parse("", parsed));
	cr_assert_not(secret_parse("atm_", parsed));
}

static void begin(const char *pepper)
{
	struct atom_error err = ATOM_ERROR_INIT;
	uint8_t bytes[SECRET_PEPPER_BYTES] = { 0 };

	memcpy(bytes, pepper, strlen(pepper));
	if (loop_current() == NULL)
		cr_assert_eq(loops_init(1, &err), ATOM_OK, "%s", err.message);
	cr_assert_eq(secret_set_pepper(bytes, &err), ATOM_OK, "%s",
		     err.message);
}

/* --- known answers ------------------------------------------------------------ */

/* The check value of CRC-32/ISO-HDLC in the catalogue of parametrised CRCs,
 * and the samples of RFC 3720's cousin in zlib's own documentation. */
Test(secret, the_check_is_crc_32_in_base62)
{
	static const struct {
		const char *text;
		uint32_t crc;
		const char *check;
	} cases[] = {
		{ "", 0x00000000u, "000000" },
		{ "a", 0xe8b7be43u, "4GEHKN" },
		{ "123456789", 0xcbf43926u, "3jZRME" },
		{ "The quick brown fox jumps over the lazy dog", 0x414fa339u,
		  "1C9bYH" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char check[SECRET_CHECK + 1] = "";
		size_t length = strlen(cases[i].text);

		cr_assert_eq(secret_crc32(cases[i].text, length), cases[i].crc,
			     "%s", cases[i].text);
		secret_check(cases[i].text, length, check);
		cr_assert_str_eq(check, cases[i].check);
	}
	/* All bytes, high ones too. */
	{
		uint8_t bytes[256];

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)i;
		cr_assert_eq(secret_crc32(bytes, sizeof(bytes)), 0x29058c73u);
	}
}

Test(secret, a_key_made_elsewhere_is_read)
{
	/* Made by hand: id, secret, and zlib.crc32 of them in base62. */
	static const char good[] =
		"atm_0123456789ab_"
		"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg216p8R";
	char id[SECRET_ID_LENGTH + 1];

	cr_assert(secret_parse(good, id));
	cr_assert_str_eq(id, "0123456789ab");
}

Test(secret, renewing_keeps_the_id_and_nothing_else)
{
	struct atom_error err = ATOM_ERROR_INIT;
	char one[SECRET_TEXT_LENGTH + 1], other[SECRET_TEXT_LENGTH + 1];
	char id[SECRET_ID_LENGTH + 1], parsed[SECRET_ID_LENGTH + 1];

	cr_assert_eq(secret_make(one, id, &err), ATOM_OK);
	cr_assert_eq(secret_renew(id, other, &err), ATOM_OK);
	cr_assert(secret_parse(other, parsed));
	cr_assert_str_eq(parsed, id);
	cr_assert_neq(strncmp(one + 17, other + 17, 8), 0);
}

Test(secret, no_text_of_another_form_is_taken_for_a_key)
{
	struct atom_error err = ATOM_ERROR_INIT;
	char text[SECRET_TEXT_LENGTH + 2], id[SECRET_ID_LENGTH + 1];

	cr_assert_eq(secret_make(text, id, &err), ATOM_OK);
	for (size_t i = 0; i < SECRET_TEXT_LENGTH; i++)
		for (int c = 1; c < 256; c++) {
			char right = text[i];

			if ((char)c == right)
				continue;
			text[i] = (char)c;
			cr_assert_not(secret_parse(text, id), "%zu: 0x%02x", i,
				      (unsigned int)c);
			text[i] = right;
		}
	cr_assert(secret_parse(text, id));
	text[SECRET_TEXT_LENGTH] = '0';
	text[SECRET_TEXT_LENGTH + 1] = '\0';
	cr_assert_not(secret_parse(text, id), "one character long");
}

/* HMAC fills a short key up with zeros (RFC 2104), so a pepper may stand for
 * the short key of a published test. */
/* RFC 4231, sections 4.2 to 4.7: the cases whose key has at most 32 bytes
 * (a pepper has no more). */
Test(secret, the_hash_is_hmac_sha256)
{
	static const char fifty_dd[] =
		"\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd"
		"\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd"
		"\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd"
		"\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd"
		"\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd";
	static const char fifty_cd[] =
		"\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd"
		"\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd"
		"\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd"
		"\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd"
		"\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd\xcd";
	static const struct {
		const char *pepper;
		const char *text;
		const char *mac;
	} cases[] = {
		{ "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b"
		  "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b",
		  "Hi There",
		  "b0344c61d8db38535ca8afceaf0bf12b"
		  "881dc200c9833da726e9376c2e32cff7" },
		{ "Jefe", "what do ya want for nothing?",
		  "5bdcc146bf60754e6a042426089575c7"
		  "5a003f089d2739839dec58b964ec3843" },
		{ "\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa"
		  "\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa",
		  fifty_dd,
		  "773ea91e36800e46854db8ebd09181a7"
		  "2959098b3ef8c122d9635514ced565fe" },
		{ "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d"
		  "\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19",
		  fifty_cd,
		  "82558a389a443c0ea4cc819899f2083a"
		  "85f0faa3e578f8077a2e3ff46729665b" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t hash[SECRET_HASH_LENGTH];
		char hex[2 * SECRET_HASH_LENGTH + 1];

		begin(cases[i].pepper);
		/* Twice: the keyed context is used again. */
		for (int k = 0; k < 2; k++) {
			cr_assert_eq(secret_hash(cases[i].text,
						 strlen(cases[i].text), hash),
				     ATOM_OK);
			text_to_hex(hash, sizeof(hash), hex);
			cr_assert_str_eq(hex, cases[i].mac, "case %zu", i);
		}
		secret_fini();
	}
}

/* --- what opens a key ------------------------------------------------------------ */

static void fill(struct key_secrets *secrets, uint8_t now, uint8_t before,
		 int64_t old_ends_ms)
{
	memset(secrets->hash, now, sizeof(secrets->hash));
	memset(secrets->old_hash, before, sizeof(secrets->old_hash));
	secrets->old_ends_ms = old_ends_ms;
}

Test(keys, every_bit_of_the_hash_counts)
{
	struct key_secrets secrets = { .rotated_ms = 1 };
	struct key key = { .id = "x" };
	uint8_t hash[SECRET_HASH_LENGTH];

	fill(&secrets, 0x5a, 0xa5, 0);
	atomic_init(&key.secrets, &secrets);
	memset(hash, 0x5a, sizeof(hash));
	cr_assert(key_matches(&key, hash, 1));
	for (size_t bit = 0; bit < 8 * sizeof(hash); bit++) {
		hash[bit / 8] ^= (uint8_t)(1u << bit % 8);
		cr_assert_not(key_matches(&key, hash, 1), "bit %zu", bit);
		hash[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

Test(keys, the_old_secret_is_good_until_its_end_and_not_a_millisecond_more)
{
	struct key_secrets secrets = { .rotated_ms = 1 };
	struct key key = { .id = "x" };
	uint8_t hash[SECRET_HASH_LENGTH];

	fill(&secrets, 1, 2, 1000);
	atomic_init(&key.secrets, &secrets);
	memset(hash, 2, sizeof(hash));
	cr_assert(key_matches(&key, hash, 999));
	cr_assert_eq(atomic_load(&secrets.old_used_ms), 999);
	cr_assert_not(key_matches(&key, hash, 1000));
	cr_assert_eq(atomic_load(&secrets.old_used_ms), 999);
	memset(hash, 1, sizeof(hash));
	cr_assert(key_matches(&key, hash, 1000));
}

Test(keys, nobody_and_a_key_never_rotated_match_no_hash_of_zeros)
{
	struct key_secrets secrets = { .rotated_ms = 0 };
	struct key key = { .id = "x" };
	uint8_t hash[SECRET_HASH_LENGTH] = { 0 };

	fill(&secrets, 1, 0, 0);
	atomic_init(&key.secrets, &secrets);
	cr_assert_not(key_matches(NULL, hash, 1));
	cr_assert_not(key_matches(&key, hash, 1));
}

Test(role, the_built_in_roles_are_the_documented_ones)
{
	cr_assert_eq(role_permissions("caller"),
		     (uint32_t)PERMISSION_INVOKE_AGENT);
	cr_assert_eq(role_permissions("read_only"),
		     (uint32_t)(PERMISSION_VIEW_METRICS |
				PERMISSION_VIEW_PUBLIC_LOGS));
	cr_assert_eq(role_permissions("operator"),
		     (uint32_t)(PERMISSION_VIEW_METRICS |
				PERMISSION_RESTART_AGENT |
				PERMISSION_VIEW_LOGS));
	cr_assert_eq(role_permissions("admin"), 0x1ffu);
	cr_assert_eq(role_permissions("root"), 0u);
	cr_assert_eq(role_permissions(""), 0u);
	cr_assert(role_exists("caller"));
	cr_assert_not(role_exists("root"));
}

Test(role, words_and_bits_name_each_other)
{
	for (uint32_t bit = 1; bit <= PERMISSION_INVOKE_AGENT; bit <<= 1)
		cr_assert_eq(permission_of(permission_name(bit)), bit);
	cr_assert_eq(permission_of("view"), PERMISSION_NONE);
	cr_assert_str_eq(permission_name(PERMISSION_NONE), "none");
}
