/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "audit/chain.h"
#include "audit/digest.h"
#include "audit/note.h"
#include "core/text.h"

/* Hashes, the chain, Ed25519 and signed heads of the log. */

static void from_hex(const char *text, uint8_t *out, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned int byte;

		cr_assert_eq(sscanf(text + i * 2, "%2x", &byte), 1);
		out[i] = (uint8_t)byte;
	}
}

static void check_hex(const uint8_t *bytes, size_t length, const char *want)
{
	char text[256];

	text_to_hex(bytes, length, text);
	cr_assert_str_eq(text, want);
}

/* FIPS 180-4's examples. */
Test(digest, sha256_is_the_published_one)
{
	uint8_t hash[DIGEST_BYTES];

	for (int twice = 0; twice < 2; twice++) {
		cr_assert(digest_of("ab", 2, "c", 1, hash));
		check_hex(
			hash, sizeof(hash),
			"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
		cr_assert(digest_of("abcdbcdecdefdefgefghfghighijhi", 30,
				    "jkijkljklmklmnlmnomnopnopq", 26, hash));
		check_hex(
			hash, sizeof(hash),
			"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	}
}

/* The other way is another's code. */
Test(digest, two_blocks_at_once_are_the_same_digest)
{
	uint8_t blocks[DIGEST_TWO_BLOCKS], want[DIGEST_BYTES],
		got[DIGEST_BYTES];

	for (size_t length = DIGEST_TWO_MIN; length <= DIGEST_TWO_MAX;
	     length++) {
		for (size_t i = 0; i < sizeof(blocks); i++)
			blocks[i] = (uint8_t)(i * 37 + length);
		cr_assert(digest_of(blocks, length, "", 0, want));
		cr_assert(digest_of_two(blocks, length, got));
		cr_assert_arr_eq(got, want, sizeof(want), "%zu bytes", length);
	}
}

/* Computed by sha256sum. */
Test(chain, begins_and_goes_on_as_documented)
{
	uint8_t hash[CHAIN_HASH], leaf[TREE_HASH];

	cr_assert(chain_genesis("0123456789abcdef", hash));
	check_hex(
		hash, sizeof(hash),
		"eb748d3262b6cf83c8a6dc0f37da60627c76c1f3ec0f37305a71093bd0657315");
	cr_assert(tree_leaf("{\"sequence\":1}", 14, leaf));
	cr_assert(chain_step(hash, leaf));
	check_hex(
		hash, sizeof(hash),
		"94ebce2824881d10766210d5b8f98218a899644e1269e5146d13af6425c72094");
}

Test(chain, a_log_id_is_sixteen_lower_case_hexadecimal_digits)
{
	static const uint8_t random[8] = { 0, 1, 0xab, 0xcd, 4, 5, 6, 0xff };
	char id[CHAIN_LOG_ID + 1];
	uint8_t hash[CHAIN_HASH];

	chain_log_id(random, id);
	cr_assert_str_eq(id, "0001abcd040506ff");
	cr_assert(chain_is_log_id(id));
	cr_assert_not(chain_is_log_id("0001ABCD040506FF"));
	cr_assert_not(chain_is_log_id("0001abcd040506f"));
	cr_assert_not(chain_is_log_id("0001abcd040506fff"));
	cr_assert_not(chain_genesis("../../etc/passwd", hash));
}

/* RFC 8032, 7.1: tests 1, 2, 3 and "SHA(abc)". */
static const struct {
	const char *seed, *key, *message, *signature;
} rfc8032[] = {
	{ "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
	  "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
	  "",
	  "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
	  "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b" },
	{ "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
	  "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
	  "72",
	  "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
	  "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00" },
	{ "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
	  "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
	  "af82",
	  "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
	  "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a" },
	{ "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
	  "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
	  "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
	  "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
	  "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
	  "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704" },
};

Test(ed25519, keys_and_signatures_are_the_published_ones)
{
	for (size_t i = 0; i < sizeof(rfc8032) / sizeof(*rfc8032); i++) {
		uint8_t seed[32], key[32], message[64], signature[64];
		size_t length = strlen(rfc8032[i].message) / 2;

		from_hex(rfc8032[i].seed, seed, 32);
		from_hex(rfc8032[i].message, message, length);
		cr_assert_eq(note_public_key(seed, key, NULL), ATOM_OK);
		check_hex(key, 32, rfc8032[i].key);
		cr_assert_eq(note_sign(seed, message, length, signature, NULL),
			     ATOM_OK);
		check_hex(signature, 64, rfc8032[i].signature);
		cr_assert(note_signature_fits(key, message, length, signature));
		for (int bit = 0; bit < 512; bit++) {
			signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
			cr_assert_not(note_signature_fits(key, message, length,
							  signature));
			signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

/* The order of the group added to S gives a second signature of the same
 * text in implementations that do not check S < L. */
Test(ed25519, a_signature_has_one_form_only)
{
	static const uint8_t order[32] = { 0xed, 0xd3,	     0xf5, 0x5c, 0x1a,
					   0x63, 0x12,	     0x58, 0xd6, 0x9c,
					   0xf7, 0xa2,	     0xde, 0xf9, 0xde,
					   0x14, [31] = 0x10 };
	uint8_t key[32], signature[64], message[1];
	unsigned int carry = 0;

	from_hex(rfc8032[1].key, key, 32);
	from_hex(rfc8032[1].message, message, 1);
	from_hex(rfc8032[1].signature, signature, 64);
	for (int i = 0; i < 32; i++) {
		carry += signature[32 + i] + order[i];
		signature[32 + i] = (uint8_t)carry;
		carry >>= 8;
	}
	cr_assert_not(note_signature_fits(key, message, 1, signature));
}

/* --- notes --------------------------------------------------------------- */

static struct note_signer signer;
static struct note_head head;
static char note[NOTE_TEXT_MAX];
static size_t note_length;

static void make_note(void)
{
	struct atom_error err = ATOM_ERROR_INIT;
	uint8_t seed[32];

	from_hex(rfc8032[0].seed, seed, 32);
	cr_assert_eq(note_signer_init(&signer, "0123456789abcdef", seed, &err),
		     ATOM_OK, "%s", err.message);
	head = (struct note_head){ .size = 1234567, .time_ms = 1767323045678 };
	memcpy(head.log_id, "0123456789abcdef", 17);
	memset(head.root, 0x5a, sizeof(head.root));
	memset(head.chain, 0xc3, sizeof(head.chain));
	cr_assert_eq(note_make(&signer, &head, note, &note_length, &err),
		     ATOM_OK, "%s", err.message);
	cr_assert_eq(strlen(note), note_length);
}

/* Hash and signature computed by Python's hashlib and cryptography. */
Test(note, has_the_documented_form, .init = make_note)
{
	char text[NOTE_VERIFIER_MAX];

	cr_assert_str_eq(
		note,
		"atomd-audit/0123456789abcdef\n1234567\n"
		"WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlo=\n"
		"chain c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3"
		"c3c3c3c3\ntime 2026-01-02T03:04:05.678Z\n\n"
		"\xe2\x80\x94 atomd-audit/0123456789abcdef "
		"viOBqaNeV6HUyZoJy9H94pZxl9MwvcerDf0HwIg+f6m8x8dDyZit6neJiGTjItDE"
		"oOAYxpq5QayKRlNt/hgAGcmZOAk="
		"\n");
	note_verifier_text(&signer.verifier, text);
	cr_assert_str_eq(
		text,
		"atomd-audit/0123456789abcdef+be2381a9+AddamAGCsQq31Uv+08lkBzoO4X"
		"Lz2qYjJa8CGmj3B1Ea");
}

Test(note, is_read_as_it_was_made, .init = make_note)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct note_head read;

	cr_assert_eq(
		note_verify(note, note_length, &signer.verifier, &read, &err),
		ATOM_OK, "%s", err.message);
	cr_assert_str_eq(read.log_id, head.log_id);
	cr_assert_eq(read.size, head.size);
	cr_assert_eq(read.time_ms, head.time_ms);
	cr_assert_arr_eq(read.root, head.root, TREE_HASH);
	cr_assert_arr_eq(read.chain, head.chain, CHAIN_HASH);
}

Test(note, no_bit_of_it_may_change, .init = make_note)
{
	struct note_head read;

	for (size_t i = 0; i < note_length; i++)
		for (int bit = 0; bit < 8; bit++) {
			note[i] ^= (char)(1 << bit);
			cr_assert_neq(note_verify(note, note_length,
						  &signer.verifier, &read,
						  NULL),
				      ATOM_OK, "byte %zu, bit %d", i, bit);
			note[i] ^= (char)(1 << bit);
		}
}

Test(note, nothing_may_be_cut_or_added, .init = make_note)
{
	char longer[NOTE_TEXT_MAX + 1];
	struct note_head read;

	for (size_t i = 0; i < note_length; i++)
		cr_assert_neq(
			note_verify(note, i, &signer.verifier, &read, NULL),
			ATOM_OK, "%zu bytes", i);
	for (size_t i = 0; i <= note_length; i++) {
		memcpy(longer, note, i);
		longer[i] = '\n';
		memcpy(longer + i + 1, note + i, note_length - i);
		cr_assert_neq(note_verify(longer, note_length + 1,
					  &signer.verifier, &read, NULL),
			      ATOM_OK, "a line end at %zu", i);
	}
}

/* The whole note with `line`, of `count` times the text, behind its body. */
static int with_lines(char *out, size_t size, const char *line, int count)
{
	size_t body = (size_t)(strstr(note, "\n\n") + 2 - note);
	int length = snprintf(out, size, "%.*s", (int)body, note);

	while (count-- > 0)
		length += snprintf(out + length, size - (size_t)length, "%s",
				   line);
	return length +
	       snprintf(out + length, size - (size_t)length, "%s", note + body);
}

Test(note, a_witness_may_sign_beside_us, .init = make_note)
{
	char both[NOTE_TEXT_MAX * 2];
	struct note_head read;
	int length = snprintf(
		both, sizeof(both),
		"%s\xe2\x80\x94 witness.example/w1 AAAAAAAAAAAA\n", note);

	cr_assert_eq(note_verify(both, (size_t)length, &signer.verifier, &read,
				 NULL),
		     ATOM_OK);
	/* Two in front of us, of whom one has a name as long as ours. */
	length = with_lines(both, sizeof(both),
			    "\xe2\x80\x94 w AAAAAAAAAAAA\n"
			    "\xe2\x80\x94 atomd-audit/0123456789abcdee "
			    "AAAAAAAAAAAA\n",
			    1);
	cr_assert_eq(note_verify(both, (size_t)length, &signer.verifier, &read,
				 NULL),
		     ATOM_OK);
	length = snprintf(both, sizeof(both),
			  "%s\xe2\x80\x94 witness.example AAAA\nAAAA\n", note);
	cr_assert_eq(note_verify(both, (size_t)length, &signer.verifier, &read,
				 NULL),
		     ATOM_EINVAL);
}

Test(note, anothers_key_verifies_nothing, .init = make_note)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct note_signer other;
	struct note_head read;
	uint8_t seed[32] = { 1 };

	cr_assert_eq(note_signer_init(&other, "0123456789abcdef", seed, &err),
		     ATOM_OK);
	cr_assert_eq(
		note_verify(note, note_length, &other.verifier, &read, &err),
		ATOM_EDATALOSS);
	cr_assert_eq(note_signer_init(&other, "fedcba9876543210", seed, &err),
		     ATOM_OK);
	cr_assert_eq(note_make(&other, &head, note, &note_length, &err),
		     ATOM_EINVAL);
}

Test(note, signature_lines_have_one_form, .init = make_note)
{
	static const char *const bad[] = {
		"\xe2\x80\x94  AAAAAAAAAAAA\n",	 /* no name */
		"\xe2\x80\x94 w AAAAAAA\n",	 /* 7 digits */
		"\xe2\x80\x94 w AAAA\n",	 /* no room for a hash */
		"\xe2\x80\x94 w AAAAA=AAAAAA\n", /* an end within */
		"\xe2\x80\x94 a+b AAAAAAAAAAAA\n",
		"\xe2\x80\x94 a\x7f AAAAAAAAAAAA\n",
		"\xe2\x80\x94 a\tb AAAAAAAAAAAA\n",
		"- w AAAAAAAAAAAA\n",
	};
	/* Ours by its name, and no signature: another's may yet be. */
	const char *forged = "\xe2\x80\x94 atomd-audit/0123456789abcdef "
			     "AAAAAAAAAAAA\n";
	char text[NOTE_READ_MAX + 100];
	struct atom_error err = ATOM_ERROR_INIT;
	struct note_head read;
	int length;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		length = with_lines(text, sizeof(text), bad[i], 1);
		cr_assert_eq(note_parse(text, (size_t)length, &read, &err),
			     ATOM_EINVAL, "%s", bad[i]);
	}
	length = with_lines(text, sizeof(text), forged, 1);
	cr_assert_eq(note_verify(text, (size_t)length, &signer.verifier, &read,
				 &err),
		     ATOM_OK);
	length = with_lines(text, sizeof(text), forged, 15);
	cr_assert_eq(note_parse(text, (size_t)length, &read, &err), ATOM_OK);
	length = with_lines(text, sizeof(text), forged, 16);
	cr_assert_eq(note_parse(text, (size_t)length, &read, &err),
		     ATOM_EINVAL);
	cr_assert_not_null(strstr(err.message, "at most 16"));
	cr_assert_eq(note_parse(text, NOTE_READ_MAX + 1, &read, &err),
		     ATOM_EINVAL);
	cr_assert_not_null(strstr(err.message, "bytes: at most"));
}

Test(note, a_size_and_a_time_have_one_form, .init = make_note)
{
	static const struct {
		const char *size;
		const char *time;
		atom_status status;
	} rows[] = {
		{ "0", "2026-01-02T03:04:05.678Z", ATOM_OK },
		{ "9223372036854775807", "2026-01-02T03:04:05.678Z", ATOM_OK },
		{ "9223372036854775808", "2026-01-02T03:04:05.678Z",
		  ATOM_EINVAL },
		{ "01", "2026-01-02T03:04:05.678Z", ATOM_EINVAL },
		{ "", "2026-01-02T03:04:05.678Z", ATOM_EINVAL },
		{ "1!", "2026-01-02T03:04:05.678Z", ATOM_EINVAL },
		{ "1", "2026-01-02T03:04:05Z", ATOM_EINVAL },
		{ "1", "2026-13-02T03:04:05.678Z", ATOM_EINVAL },
		{ "1", "2026-01-02T03:04:05.678901234567890Z", ATOM_EINVAL },
		{ "1", "2026-01-02T03:04:05.678Z@", ATOM_EINVAL },
	};
	struct atom_error err = ATOM_ERROR_INIT;
	struct note_head read;
	char text[NOTE_TEXT_MAX], *nul;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int length = snprintf(
			text, sizeof(text),
			"atomd-audit/0123456789abcdef\n%s\n"
			"WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlo=\n"
			"chain %064d\ntime %s\n\n"
			"\xe2\x80\x94 w AAAAAAAAAAAA\n",
			rows[i].size, 7, rows[i].time);

		/* An end within the line is none. */
		nul = strchr(text, '@');
		if (nul != NULL)
			*nul = '\0';
		cr_assert_eq(note_parse(text, (size_t)length, &read, &err),
			     rows[i].status, "%s %s: %s", rows[i].size,
			     rows[i].time, err.message);
	}
}

/* Good signature, right name, and the records of another log. */
Test(note, a_key_signs_for_its_own_log_alone, .init = make_note)
{
	struct atom_error err = ATOM_ERROR_INIT;
	uint8_t seed[32] = { 1 }, bytes[NOTE_KEY_HASH + NOTE_SIGNATURE_BYTES];
	size_t body = (size_t)(strstr(note, "\n\n") + 1 - note);
	char text[NOTE_TEXT_MAX], base64[100];
	struct note_signer other;
	struct note_head read;
	int length;

	cr_assert_eq(note_signer_init(&other, "fedcba987654321", seed, &err),
		     ATOM_EINVAL);
	cr_assert_eq(note_signer_init(&other, "fedcba9876543210", seed, &err),
		     ATOM_OK);
	memcpy(bytes, other.verifier.key_hash, NOTE_KEY_HASH);
	cr_assert_eq(note_sign(seed, note, body, bytes + NOTE_KEY_HASH, &err),
		     ATOM_OK);
	text_base64(bytes, sizeof(bytes), base64, sizeof(base64));
	length = snprintf(text, sizeof(text), "%.*s\n\xe2\x80\x94 %s %s\n",
			  (int)body, note, other.verifier.name, base64);
	cr_assert_eq(
		note_verify(text, (size_t)length, &other.verifier, &read, &err),
		ATOM_EDATALOSS);
	cr_assert_not_null(strstr(err.message, "of log 0123456789abcdef"));
}

Test(note, errors_name_the_line, .init = make_note)
{
	struct atom_error err = ATOM_ERROR_INIT;
	struct note_head read;

	note[strlen("atomd-audit/0123456789abcdef\n")] = '0';
	cr_assert_eq(note_parse(note, note_length, &read, &err), ATOM_EINVAL);
	cr_assert_str_eq(err.message,
			 "signed note, line 2: expected the number of records");
}

Test(note, keys_are_read_as_they_were_written, .init = make_note)
{
	char text[NOTE_PRIVATE_KEY_MAX], public[NOTE_VERIFIER_MAX];
	struct note_signer read;
	struct note_verifier verifier;

	note_signer_text(&signer, text);
	cr_assert_eq(note_signer_parse(text, &read, NULL), ATOM_OK);
	cr_assert_eq(memcmp(&read, &signer, sizeof(read)), 0);
	note_verifier_text(&signer.verifier, public);
	cr_assert_eq(note_verifier_parse(public, &verifier, NULL), ATOM_OK);
	cr_assert_eq(memcmp(&verifier, &signer.verifier, sizeof(verifier)), 0);
}

Test(note, no_bit_of_a_key_may_change, .init = make_note)
{
	char text[NOTE_PRIVATE_KEY_MAX], public[NOTE_VERIFIER_MAX];
	struct note_signer read;
	struct note_verifier verifier;

	note_signer_text(&signer, text);
	for (size_t i = 0; text[i]; i++) {
		text[i] ^= 1;
		cr_assert_eq(note_signer_parse(text, &read, NULL), ATOM_EINVAL,
			     "byte %zu", i);
		text[i] ^= 1;
	}
	cr_assert_eq(note_verifier_parse("", &verifier, NULL), ATOM_EINVAL);
	note_verifier_text(&signer.verifier, public);
	for (size_t i = 0; public[i]; i++) {
		public[i] ^= 1;
		cr_assert_eq(note_verifier_parse(public, &verifier, NULL),
			     ATOM_EINVAL, "byte %zu", i);
		public[i] ^= 1;
	}
}

Test(base64, has_one_form_only)
{
	uint8_t out[4];

	cr_assert(note_base64_read("AAECAw==", 8, out, 4));
	cr_assert_arr_eq(out, ((uint8_t[]){ 0, 1, 2, 3 }), 4);
	cr_assert_not(note_base64_read("AAECAx==", 8, out, 4), "stray bits");
	cr_assert_not(note_base64_read("AAECAw", 6, out, 4), "no padding");
	cr_assert_not(note_base64_read(" AAECAw=", 8, out, 4), "a space");
	cr_assert_not(note_base64_read("AAEC", 4, out, 4), "too short");
	cr_assert_not(note_base64_read("AAEC_w==", 8, out, 4), "RFC 4648, 5");
}
